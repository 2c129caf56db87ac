/* SPDX-License-Identifier: MIT */
/* One question to the kernel over netlink(7), and its answers. */
#ifndef KTLS_NETLINK_H
#define KTLS_NETLINK_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Looks at one answer: 0 for the next, anything else ends the question. */
typedef int ktls__netlink_fn(void *arg, const struct nlmsghdr *answer);

/*
 * What fn returned; 0 when there was no answer it stopped at; -errno of the
 * kernel's. request begins with a struct nlmsghdr.
 */
int ktls__netlink(int protocol, const void *request, size_t size,
		  ktls__netlink_fn *fn, void *arg);

/*
 * Which connection fd is, for questions about it: the addresses of its ends,
 * IPv4 or IPv6, and the interface it is bound to, or 0.
 */
struct ktls__ends {
	struct sockaddr_storage local;
	struct sockaddr_storage peer;
	int ifindex;
};
int ktls__netlink_ends(int fd, struct ktls__ends *out);
/* 1: fd is in the network namespace that this thread asks about; 0, -errno. */
int ktls__netlink_own(int fd);

/* The attributes behind so many bytes of an answer's own header. */
struct ktls__attrs {
	const uint8_t *p;
	size_t len;
};
struct ktls__attrs ktls__netlink_attrs(const struct nlmsghdr *answer,
				       size_t header);
/*
 * The content of the first attribute of a type, of min bytes or more; p is
 * NULL when there is none. What was found may be attributes itself.
 */
struct ktls__attrs ktls__netlink_find(struct ktls__attrs in, unsigned int type,
				      size_t min);
/* The same as a number of 1, 2 or 4 bytes in host order; otherwise, if none. */
uint32_t ktls__netlink_number(struct ktls__attrs in, unsigned int type,
			      uint32_t otherwise);

#endif
