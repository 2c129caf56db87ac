/* SPDX-License-Identifier: MIT */
/* The one loop that sends application data, whatever it comes from. */
#ifndef KTLS_WRITE_H
#define KTLS_WRITE_H

#include "state.h"

struct ktls__source {
	/*
	 * Sends up to max bytes from done bytes behind the source's start:
	 * their number, 0 at its end, -EAGAIN or -errno when none was taken.
	 */
	ssize_t (*step)(struct ktls_conn *c, const struct ktls__source *src,
			size_t done, size_t max);
	const uint8_t *mem; /* ktls_write() */
	int in_fd;	    /* ktls_sendfile() */
	off_t start;
	bool by_read; /* not by sendfile(2) */
	struct ktls__sigpipe *sigpipe;
};

/*
 * Sends n bytes of src; ahead is how many there are in all, for the policy.
 * Returns the bytes accepted, 0 at the source's end, or -errno.
 */
ssize_t ktls__transmit(struct ktls_conn *c, const struct ktls__source *src,
		       size_t n, uint64_t ahead);

/* Sends bytes of memory as one step does. */
ssize_t ktls__send(struct ktls_conn *c, const uint8_t *p, size_t n);

/* After the kernel took n bytes of the asked ones: see write.c. */
void ktls__kernel_took(struct ktls_conn *c, size_t n, size_t asked);

#endif
