/* SPDX-License-Identifier: MIT */
/* One question to the kernel over netlink(7), and its answers. */
#include "netlink.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "compat.h"
#include "sys.h"

/* a dump comes in parts no longer than this: net/netlink/af_netlink.c */
enum { BUFFER = 16384 };

/* The messages of one part; *more: until NLMSG_DONE there are others. */
static int take(const uint8_t *p, size_t n, bool *more, ktls__netlink_fn *fn,
		void *arg)
{
	struct nlmsghdr h;
	int r = 0;

	while (r == 0 && n >= sizeof(h)) {
		const struct nlmsghdr *answer = (const void *)p;

		memcpy(&h, p, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > n)
			return -EBADMSG;
		*more = (h.nlmsg_flags & NLM_F_MULTI) &&
			h.nlmsg_type != NLMSG_DONE;
		if (h.nlmsg_type == NLMSG_DONE)
			return 0;
		if (h.nlmsg_type == NLMSG_ERROR) {
			if (h.nlmsg_len < sizeof(h) + sizeof(r))
				return -EBADMSG;
			memcpy(&r, p + sizeof(h), sizeof(r));
			return r < 0 ? r : -EBADMSG;
		}
		r = fn(arg, answer);
		if (NLMSG_ALIGN(h.nlmsg_len) >= n)
			return r;
		p += NLMSG_ALIGN(h.nlmsg_len);
		n -= NLMSG_ALIGN(h.nlmsg_len);
	}
	return r == 0 && n > 0 ? -EBADMSG : r;
}

int ktls__netlink(int protocol, const void *request, size_t size,
		  ktls__netlink_fn *fn, void *arg)
{
	_Alignas(struct nlmsghdr) uint8_t buf[BUFFER];
	const int fd = ktls__sys_netlink(protocol);
	ssize_t r = fd < 0 ? fd : ktls__sys_send(fd, request, size);
	bool more = true;

	if (r > 0)
		r = 0;
	while (r == 0 && more) {
		/* the kernel answers within the call that asks */
		r = ktls__sys_recv(fd, buf, sizeof(buf));
		r = r > 0    ? take(buf, (size_t)r, &more, fn, arg)
		    : r == 0 ? -EBADMSG
			     : r;
	}
	if (fd >= 0)
		ktls__sys_close(fd);
	return (int)r;
}

int ktls__netlink_ends(int fd, struct ktls__ends *out)
{
	socklen_t len = sizeof(out->ifindex);
	struct sockaddr_in6 in6;
	int r;

	memset(out, 0, sizeof(*out));
	r = ktls__sys_names(fd, &out->local, &out->peer);
	if (r < 0)
		return r;
	if (out->peer.ss_family != AF_INET && out->peer.ss_family != AF_INET6)
		return -EPROTOTYPE;
	(void)ktls__sys_getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX,
				   &out->ifindex, &len);
	memcpy(&in6, &out->peer, sizeof(in6));
	/* link-local addresses are there once on each interface */
	if (in6.sin6_family == AF_INET6 && in6.sin6_scope_id)
		out->ifindex = (int)in6.sin6_scope_id;
	return 0;
}

int ktls__netlink_own(int fd)
{
	uint64_t theirs = 0, ours = 0;
	socklen_t len = sizeof(theirs);
	int r = ktls__sys_getsockopt(fd, SOL_SOCKET, KTLS__SO_NETNS_COOKIE,
				     &theirs, &len);

	if (r == 0)
		r = ktls__sys_netns(&ours);
	return r < 0 ? r : theirs == ours;
}

struct ktls__attrs ktls__netlink_attrs(const struct nlmsghdr *answer,
				       size_t header)
{
	const size_t skip = NLMSG_HDRLEN + NLMSG_ALIGN(header);

	if (answer->nlmsg_len <= skip)
		return (struct ktls__attrs){NULL, 0};
	return (struct ktls__attrs){(const uint8_t *)answer + skip,
				    answer->nlmsg_len - skip};
}

struct ktls__attrs ktls__netlink_find(struct ktls__attrs in, unsigned int type,
				      size_t min)
{
	struct nlattr a;

	while (in.len >= sizeof(a)) {
		size_t step;

		memcpy(&a, in.p, sizeof(a));
		if (a.nla_len < sizeof(a) || a.nla_len > in.len)
			break;
		if ((a.nla_type & NLA_TYPE_MASK) == type &&
		    a.nla_len - sizeof(a) >= min)
			return (struct ktls__attrs){in.p + sizeof(a),
						    a.nla_len - sizeof(a)};
		step = (size_t)NLA_ALIGN(a.nla_len);
		if (step >= in.len)
			break;
		in.p += step;
		in.len -= step;
	}
	return (struct ktls__attrs){NULL, 0};
}

uint32_t ktls__netlink_number(struct ktls__attrs in, unsigned int type,
			      uint32_t otherwise)
{
	const struct ktls__attrs a = ktls__netlink_find(in, type, 1);
	uint16_t u16;
	uint32_t u32;

	if (a.len == 1)
		return *a.p;
	if (a.len == sizeof(u16)) {
		memcpy(&u16, a.p, sizeof(u16));
		return u16;
	}
	if (a.len < sizeof(u32))
		return otherwise;
	memcpy(&u32, a.p, sizeof(u32));
	return u32;
}
