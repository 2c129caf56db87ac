/* SPDX-License-Identifier: MIT */
/* Whether everything that was accepted is encrypted and in TCP's queue. */
#ifndef KTLS_ACCOUNT_H
#define KTLS_ACCOUNT_H

#include "state.h"

/* Just before TLS_TX is set with this record number; 0 or -errno. */
int ktls__account_start(struct ktls_conn *c, uint64_t seq);

/* Just before TLS_TX is set again, with a new key; 0 or -errno. */
int ktls__account_rekey(struct ktls_conn *c);

/* The number of the kernel's next record in this direction; 0 or -errno. */
int ktls__account_seq(const struct ktls_conn *c, int dir, uint64_t *seq);

/*
 * Wire bytes accepted and not in TCP's queue; 0 when all are. -errno when the
 * kernel does not say.
 */
int64_t ktls__account_unsent(const struct ktls_conn *c);
/* Wire bytes in TCP's queue that the peer has not acknowledged, or -errno. */
int64_t ktls__account_unacked(const struct ktls_conn *c);

/*
 * Closes the open record where it may be a NIC's: 0 when that is done, or was
 * not to be done; -EAGAIN while the socket is full; -errno.
 */
int ktls__account_close(struct ktls_conn *c);

/*
 * Bytes that TCP was handed in the connection's life, while nothing is sent; 0
 * where it is not TCP. 0 or -errno.
 */
int ktls__account_handed(const struct ktls_conn *c, uint64_t *bytes);

#endif
