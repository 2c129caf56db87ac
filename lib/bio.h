/* SPDX-License-Identifier: MIT */
/* What stands between OpenSSL and the socket. */
#ifndef KTLS_BIO_H
#define KTLS_BIO_H

#include "state.h"

/* A BIO on c->fd for c->ssl; NULL: no memory. It does not own c. */
BIO *ktls__bio_new(struct ktls_conn *c);
/* Alerts to c->error, and everything to the caller's own callback. */
void ktls__info_callback(const SSL *ssl, int where, int ret);
/* Leaves the SSL, which the caller may still have, and which reaches nothing. */
void ktls__ssl_leave(struct ktls_conn *c);

/*
 * Sends what waits in c->out: 0 when it is empty, -EAGAIN when some of it
 * still waits, -errno when the socket failed.
 */
int ktls__out_flush(struct ktls_conn *c);
/* Queues a control record for the kernel; false: no memory. */
bool ktls__out_control(struct ktls_conn *c, uint8_t type, const uint8_t *p,
		       size_t n);

/*
 * Gives OpenSSL a control record that the kernel has decrypted: encrypts it
 * again with OpenSSL's own record number. 0 or -errno.
 */
int ktls__bio_feed(struct ktls_conn *c, uint8_t type, const uint8_t *p, size_t n);

#endif
