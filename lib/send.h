/* SPDX-License-Identifier: MIT */
/* One step of sending: into the kernel, or through OpenSSL. */
#ifndef KTLS_SEND_H
#define KTLS_SEND_H

#include "source.h"

/*
 * Both send some of the left bytes of src: how many were accepted; 0 at the
 * source's end; -EAGAIN, -errno when none was. c->out is empty.
 */
ssize_t ktls__send_kernel(struct ktls_conn *c, struct ktls__source *src,
			  size_t left, struct ktls__sigpipe *sigpipe);
ssize_t ktls__send_user(struct ktls_conn *c, struct ktls__source *src,
			size_t left);

#endif
