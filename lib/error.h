/* SPDX-License-Identifier: MIT */
/* The detail record behind ktls_get_error(), and numbers to words. */
#ifndef KTLS_ERROR_H
#define KTLS_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include <ktls/ktls.h>

enum { KTLS__REASONS = KTLS_REASON_NO_DIAG + 1 };

struct ktls__error {
	int code;
	int sys_errno;
	int16_t alert_sent;
	int16_t alert_received;
	bool told; /* to the log and the counters */
	const char *call;
	const char *text; /* static, or NULL: the words of the errno */
	uint32_t openssl; /* first error of OpenSSL's queue, */
	uint32_t shown;	  /* and the one whose words say most; or 0 */
	uint64_t unsent;
};

void ktls__error_init(struct ktls__error *e);

/*
 * Records a failure and returns -code. call is a static string; sys_errno and
 * openssl are 0 where they do not apply; text is static, or NULL for the words
 * of the errno, or of OpenSSL.
 */
int ktls__error_set(struct ktls__error *e, int code, const char *call,
		    int sys_errno, unsigned long openssl, const char *text);

/* True when no later call on the socket can succeed after this errno. */
bool ktls__error_is_fatal(int code);
/* True for an errno that sendfile(2) has from the socket, not the file. */
bool ktls__error_is_of_socket(int code);

#endif
