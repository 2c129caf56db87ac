/* SPDX-License-Identifier: MIT */
/* One step of receiving. */
#ifndef KTLS_READ_H
#define KTLS_READ_H

#include <sys/uio.h>

#include "state.h"

/*
 * Application data that is there: bytes, 0 after close_notify, -EAGAIN, or
 * -errno. Control records before them are digested.
 */
ssize_t ktls__receive(struct ktls_conn *c, const struct iovec *iov, int count);

/*
 * The same into c->ahead, unless that has some already; returns how many it
 * has. MSG_PEEK is of no use: behind an empty record the kernel says EAGAIN
 * for ever, while poll(2) says POLLIN.
 */
ssize_t ktls__receive_ahead(struct ktls_conn *c);
/* The same behind what c->ahead has: what this call added. */
ssize_t ktls__receive_more(struct ktls_conn *c);

#endif
