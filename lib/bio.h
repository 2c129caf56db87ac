/* SPDX-License-Identifier: MIT */
/* What stands between OpenSSL and the socket. */
#ifndef KTLS_BIO_H
#define KTLS_BIO_H

#include "state.h"

/* A BIO on c->fd for c->ssl; NULL: no memory. It does not own c. */
BIO *ktls__bio_new(struct ktls_conn *c);
/* Cuts the BIO off: OpenSSL may keep it, but it reaches nothing any more. */
void ktls__bio_detach(BIO *bio);

/* Follows n bytes; exposed for tests. */
void ktls__track(struct ktls__track *t, const uint8_t *p, size_t n);
/* Bytes up to the end of the header or the body that is being passed. */
size_t ktls__track_want(const struct ktls__track *t);
/* True when no record is half done. */
bool ktls__track_aligned(const struct ktls__track *t);
/* A new key begins with the next record. */
void ktls__track_rekey(struct ktls__track *t);

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
