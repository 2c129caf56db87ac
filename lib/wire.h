/* SPDX-License-Identifier: MIT */
/* Records in user space where there is no SSL to make them. */
#ifndef KTLS_WIRE_H
#define KTLS_WIRE_H

#include "state.h"

/* recv(2), of what was read before the socket was ours first. */
ssize_t ktls__wire_recv(struct ktls_conn *c, void *buf, size_t len);

/* One record to the end of c->out; 0, -ENOMEM, -EIO. */
int ktls__wire_seal(struct ktls_conn *c, uint8_t type, const uint8_t *p,
		    size_t n);

/*
 * Reads one record and puts what is in it behind what to has. 1 with its type;
 * 0 at the end of the stream; -EAGAIN while it is not whole, -EBADMSG,
 * -EMSGSIZE, -EPROTO, -errno.
 */
int ktls__wire_open(struct ktls_conn *c, struct ktls__buf *to, uint8_t *type);

/* From the next record on the key that follows; 0, -EIO. */
int ktls__wire_rekey(struct ktls_conn *c, int dir);

#endif
