/* SPDX-License-Identifier: MIT */
/*
 * The open record: bytes that were accepted with KTLS_MORE, in the kernel or
 * in c->open, and wait for more.
 */
#ifndef KTLS_OPEN_H
#define KTLS_OPEN_H

#include "state.h"

/* Bytes in it. In the kernel there may be fewer, never more. */
static inline size_t ktls__open_length(const struct ktls_conn *c)
{
	return c->tx.mode == KTLS_MODE_KERNEL ? c->open_kernel : c->open.len;
}

/* One record of user space: n, or -errno. c->out is empty. */
ssize_t ktls__seal(struct ktls_conn *c, const uint8_t *p, size_t n);

/*
 * Closes it, so that it goes out: 0, also when none is open; -EAGAIN when the
 * record before it is still on its way; -errno.
 */
int ktls__open_close(struct ktls_conn *c);

/* After the kernel took n of the asked bytes; more: MSG_MORE was set. */
void ktls__kernel_took(struct ktls_conn *c, size_t n, size_t asked, bool more);

#endif
