/* SPDX-License-Identifier: MIT */
/* What every way to make a connection begins with, and what undoes it. */
#ifndef KTLS_CONN_H
#define KTLS_CONN_H

#include "state.h"

/*
 * Looks at policy and fd, changes neither. own_keys: the socket may have keys,
 * and they are the connection's. 0 or -errno.
 */
int ktls__conn_make(struct ktls_conn **out, int fd,
		    const struct ktls_policy *policy, bool own_keys);
/* Sets O_NONBLOCK, which ktls_conn_free() takes back. 0 or -errno. */
int ktls__conn_nonblock(struct ktls_conn *c);
/* Wipes and frees c, and nothing else. */
void ktls__conn_wipe(struct ktls_conn *c);

/* Version and cipher of the kernel's key; -EBUSY and others: it has none. */
int ktls__conn_key(int fd, int dir, uint16_t key[2]);

#endif
