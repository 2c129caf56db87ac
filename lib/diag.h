/* SPDX-License-Identifier: MIT */
/* What the kernel itself says of a TLS socket, by sock_diag(7). */
#ifndef KTLS_DIAG_H
#define KTLS_DIAG_H

#include <stdbool.h>

struct ktls__diag {
	bool tx_device; /* a NIC was given the key, */
	bool rx_device;
	bool zerocopy; /* and may read files in place */
};

/*
 * 0, or -errno: -EPERM where the kernel keeps this to itself, before Linux
 * 6.15 without CAP_NET_ADMIN.
 */
int ktls__diag(int fd, struct ktls__diag *out);

#endif
