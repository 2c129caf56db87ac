/* SPDX-License-Identifier: MIT */
/* The one loop that sends application data, whatever it comes from. */
#ifndef KTLS_WRITE_H
#define KTLS_WRITE_H

#include "source.h"

/*
 * Sends n bytes of src, or the policy's budget; ahead is how many there are
 * in all, for the threshold. Returns the bytes accepted, 0 at the source's
 * end, or -errno.
 */
ssize_t ktls__transmit(struct ktls_conn *c, struct ktls__source *src, size_t n,
		       uint64_t ahead);

#endif
