/* SPDX-License-Identifier: MIT */
/*
 * What this kernel does right, found by doing it on a connection of our own
 * over loopback, once in a process. Safe in all threads.
 */
#ifndef KTLS_PROBE_H
#define KTLS_PROBE_H

#include "cipher.h"

/*
 * 1: TLS_RX_EXPECT_NO_PAD delivers the right bytes; 0: it does not, or is not
 * there; -errno: it could not be tried.
 */
int ktls__probe_no_pad(void);
/* 1: keys of TLS 1.3 can be changed, from Linux 6.14; 0, -errno as above. */
int ktls__probe_rekey(void);
/* 1: splice(2) from a TLS socket loses nothing; 0, -errno as above. */
int ktls__probe_splice(void);

/* attempt on both ends of a connection over loopback; -errno: there is none. */
int ktls__probe_try(int (*attempt)(const int fd[2], void *arg), void *arg);
/* Attaches "tls" where that is to be done; 0 or -errno. */
int ktls__probe_attach(int fd);
/* Sets keys without a secret, on a connection that nobody else sees. */
int ktls__probe_keys(int fd, const struct ktls__cipher *cipher,
		     unsigned int version, int direction);
/* What the errno of TCP_ULP means; what that of TLS_TX and TLS_RX does. */
uint32_t ktls__probe_ulp_reason(int e);
uint32_t ktls__probe_key_reason(int e);

/* Tries all of it again. */
void ktls__probe_again(void);
/* For tests: the next calls try again. */
void ktls__probe_forget(void);

#endif
