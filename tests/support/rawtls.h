/* SPDX-License-Identifier: MIT */
/* Kernel TLS by hand, through the seam: what the tests of the model call. */
#ifndef RAWTLS_H
#define RAWTLS_H

#include <setjmp.h>

#include <linux/tls.h>

#include "fake_seam.h"

/* AES-128-GCM with number 9 as the next one. */
struct tls12_crypto_info_aes_gcm_128 rawtls_info(uint16_t version);
int rawtls_ulp(int s);
/* name: TLS_TX or TLS_RX */
int rawtls_keys(int s, int name, uint16_t version);
/* A connected pair: fd[0] sends and fd[1] receives. */
void rawtls_pair(int fd[2], size_t capacity, uint16_t version);

/* Each of the n parts is of the same length; type 0: none. */
ssize_t rawtls_send(int s, uint8_t type, const void *p, size_t len, int parts,
		    int flags);
/* *type is 0 when there was no ancillary data */
ssize_t rawtls_receive(int s, void *p, size_t len, int parts, uint8_t *type,
		       int *flags);

/* The model must find fault with the call, and say so with these words. */
extern jmp_buf rawtls_env;
extern char rawtls_said[200];
void rawtls_broken(const char *text);
#define assert_broken(call, text)                                              \
	do {                                                                   \
		rawtls_said[0] = '\0';                                         \
		fake_on_broken = rawtls_broken;                                \
		if (setjmp(rawtls_env) == 0)                                   \
			(void)(call);                                          \
		fake_on_broken = NULL;                                         \
		if (!strstr(rawtls_said, text))                                \
			fail_msg("the model said \"%s\"", rawtls_said);        \
	} while (0)

#endif
