/* SPDX-License-Identifier: MIT */
/* Netlink of the model: messages, and the families that answer. */
#ifndef FAKE_NETLINK_H
#define FAKE_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fakenet.h"

enum { FAKE_DATAGRAM = 8192 };

/* A datagram that is being made, of one message or several. */
struct fake_answer {
	_Alignas(8) uint8_t buf[FAKE_DATAGRAM];
	size_t n;
	size_t message; /* where the last one begins */
	uint32_t seq;
	uint32_t pid;
};

/* Begins a message; its fixed part is p. */
void fake_message(struct fake_answer *a, uint16_t type, uint16_t flags,
		  const void *p, size_t n);
void fake_attr(struct fake_answer *a, uint16_t type, const void *p, size_t n);
/* A nest is begun, and ended by what the first call returned. */
size_t fake_nest(struct fake_answer *a, uint16_t type);
void fake_nest_end(struct fake_answer *a, size_t nest);
/* NLMSG_ERROR: error is -errno, or 0 for an acknowledgement. */
void fake_error(struct fake_answer *a, int error, const struct nlmsghdr *of);

/* The datagram is what recv() gives next, and the next one begins. */
void fake_queue(struct fake_answer *a);

/* The value of an attribute of at least n bytes, behind fixed bytes; or NULL */
const void *fake_attr_of(const struct nlmsghdr *h, size_t fixed, uint16_t type,
			 size_t n);

/* Each answers one request: 0, or -errno. */
int fake_diag(struct fake_answer *a, const struct nlmsghdr *h);
int fake_route(struct fake_answer *a, const struct nlmsghdr *h);

#endif
