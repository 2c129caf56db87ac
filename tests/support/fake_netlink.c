/* SPDX-License-Identifier: MIT */
/* Netlink sockets of the model: every request is answered at once. */
#include "fake_netlink.h"

#include <errno.h>
#include <string.h>

#include "fake_seam.h"

enum { NETLINKS = 16, QUEUE = 32, FIRST_FD = 4000, PORT = 7001 };

static struct netlink {
	bool open;
	int protocol;
	struct fake_bytes bytes;
	size_t length[QUEUE]; /* of each datagram in bytes */
	size_t n;
} netlinks[NETLINKS];
static size_t used;
static struct netlink *asked; /* whose request is being answered */

struct fake_net fake_net;

static const struct fake_net usual = {
	.links = {{.index = 1, .name = "lo"},
		  {.index = 2, .name = "eth0", .driver = "virtio_net"}},
	.links_per_recv = 2,
	.route_if = 2,
	.features = FAKE_FEATURES,
	.cut = SIZE_MAX,
};

void fake_net_reset(void)
{
	for (size_t i = 0; i < used; i++)
		fake_drop_all(&netlinks[i].bytes);
	memset(netlinks, 0, sizeof(netlinks));
	used = 0;
	fake_net = usual;
}

static struct netlink *netlink_of(int fd)
{
	const size_t i = (size_t)(fd - FIRST_FD);

	return fd >= FIRST_FD && i < used && netlinks[i].open ? &netlinks[i]
							      : NULL;
}

bool fake_is_netlink(int fd)
{
	return netlink_of(fd) != NULL;
}

size_t fake_own_netlinks(void)
{
	size_t n = 0;

	for (size_t i = 0; i < used; i++)
		n += netlinks[i].open;
	return n;
}

/* Those that are closed are used again: there may be one for every look. */
static struct netlink *unused(void)
{
	for (size_t i = 0; i < used; i++)
		if (!netlinks[i].open)
			return &netlinks[i];
	if (used == NETLINKS)
		fake_broken("too many netlink sockets");
	return &netlinks[used++];
}

int ktls__sys_netlink(int protocol)
{
	int r = fake_enter(FAKE_NETLINK);

	if (r == 0 && protocol != NETLINK_SOCK_DIAG && protocol != NETLINK_ROUTE)
		r = -EPROTONOSUPPORT;
	if (r == 0) {
		struct netlink *l = unused();

		l->open = true;
		l->protocol = protocol;
		r = FIRST_FD + (int)(l - netlinks);
	}
	return (int)fake_leave(r);
}

static void append(struct fake_answer *a, const void *p, size_t n)
{
	const size_t padded = NLMSG_ALIGN(n);

	if (a->n + padded > sizeof(a->buf))
		fake_broken("a datagram that is too long");
	memset(a->buf + a->n, 0, padded);
	if (n > 0)
		memcpy(a->buf + a->n, p, n);
	a->n += padded;
}

/* The length of what begins at is everything behind that. */
static void grown(struct fake_answer *a)
{
	const uint32_t n = (uint32_t)(a->n - a->message);

	memcpy(a->buf + a->message, &n, sizeof(n));
}

void fake_message(struct fake_answer *a, uint16_t type, uint16_t flags,
		  const void *p, size_t n)
{
	const struct nlmsghdr h = {.nlmsg_type = type,
				   .nlmsg_flags = flags,
				   .nlmsg_seq = a->seq,
				   .nlmsg_pid = a->pid};

	a->message = a->n;
	append(a, &h, sizeof(h));
	append(a, p, n);
	grown(a);
}

void fake_attr(struct fake_answer *a, uint16_t type, const void *p, size_t n)
{
	const struct nlattr head = {.nla_len = (uint16_t)(sizeof(head) + n),
				    .nla_type = type};

	append(a, &head, sizeof(head));
	append(a, p, n);
	grown(a);
}

size_t fake_nest(struct fake_answer *a, uint16_t type)
{
	const size_t nest = a->n;

	fake_attr(a, type | (fake_net.nested ? NLA_F_NESTED : 0), NULL, 0);
	return nest;
}

void fake_nest_end(struct fake_answer *a, size_t nest)
{
	const uint16_t n = (uint16_t)(a->n - nest);

	memcpy(a->buf + nest, &n, sizeof(n));
}

void fake_error(struct fake_answer *a, int error, const struct nlmsghdr *of)
{
	const struct nlmsgerr e = {.error = error, .msg = *of};

	fake_message(a, NLMSG_ERROR, error == 0 ? NLM_F_CAPPED : 0, &e,
		     sizeof(e));
	/* the whole request comes back with an error, not with an answer */
	if (error)
		append(a, (const uint8_t *)of + sizeof(*of),
		       of->nlmsg_len - sizeof(*of));
	grown(a);
}

void fake_queue(struct fake_answer *a)
{
	if (fake_net.garble)
		fake_net.garble(a->buf, &a->n, sizeof(a->buf));
	if (asked->n == QUEUE)
		fake_broken("too many datagrams that nobody reads");
	if (fake_net.flip_at < a->n)
		a->buf[fake_net.flip_at] ^= fake_net.flip_with;
	if (a->n > fake_net.cut)
		a->n = fake_net.cut;
	if (!fake_net.silent) {
		fake_put(&asked->bytes, a->buf, a->n);
		asked->length[asked->n++] = a->n;
	}
	a->n = 0;
}

const void *fake_attr_of(const struct nlmsghdr *h, size_t fixed, uint16_t type,
			 size_t n)
{
	const uint8_t *p = (const uint8_t *)h;
	size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(fixed);
	struct nlattr a;

	while (at + sizeof(a) <= h->nlmsg_len) {
		memcpy(&a, p + at, sizeof(a));
		if (a.nla_len < sizeof(a) || at + a.nla_len > h->nlmsg_len)
			fake_broken("a request with broken attributes");
		if ((a.nla_type & NLA_TYPE_MASK) == type &&
		    a.nla_len >= sizeof(a) + n)
			return p + at + sizeof(a);
		at += NLA_ALIGN(a.nla_len);
	}
	return NULL;
}

/* net/netlink/af_netlink.c, netlink_rcv_skb() */
static ssize_t request(struct netlink *l, const void *buf, size_t len)
{
	static struct fake_answer a;
	_Alignas(8) uint8_t copy[512];
	struct nlmsghdr h;
	int r;

	if (len < sizeof(h) || len > sizeof(copy))
		fake_broken("a netlink request of %zu bytes", len);
	memcpy(copy, buf, len);
	memcpy(&h, buf, sizeof(h));
	if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len)
		fake_broken("a netlink request whose length is %u", h.nlmsg_len);
	if (!(h.nlmsg_flags & NLM_F_REQUEST))
		fake_broken("a netlink message that is no request");
	asked = l;
	a.n = 0;
	a.seq = h.nlmsg_seq;
	a.pid = PORT;
	r = l->protocol == NETLINK_ROUTE
		    ? fake_route(&a, (const struct nlmsghdr *)(void *)copy)
		    : fake_diag(&a, (const struct nlmsghdr *)(void *)copy);
	if (r < 0 || (h.nlmsg_flags & NLM_F_ACK)) {
		fake_error(&a, r, (const struct nlmsghdr *)(void *)copy);
		fake_queue(&a);
	}
	return (ssize_t)len;
}

ssize_t fake_netlink_send(int fd, const void *buf, size_t len)
{
	struct netlink *l = netlink_of(fd);
	ssize_t r = fake_enter(FAKE_NETLINK_SEND);

	if (r == 0)
		r = request(l, buf, len);
	return fake_leave(r);
}

/* What there is no room for is lost: these are datagrams. */
static ssize_t receive(struct netlink *l, void *buf, size_t len)
{
	size_t n, k;

	if (l->n == 0)
		return -EAGAIN;
	n = l->length[0];
	k = n < len ? n : len;
	fake_take(&l->bytes, buf, k);
	fake_take(&l->bytes, NULL, n - k);
	l->n--;
	memmove(l->length, l->length + 1, l->n * sizeof(*l->length));
	return (ssize_t)k;
}

ssize_t fake_netlink_recv(int fd, void *buf, size_t len)
{
	struct netlink *l = netlink_of(fd);
	ssize_t r = fake_enter(FAKE_NETLINK_RECV);

	if (r == 0)
		r = receive(l, buf, len);
	return fake_leave(r);
}

int fake_netlink_close(int fd)
{
	struct netlink *l = netlink_of(fd);
	const int r = fake_enter(FAKE_NETLINK_CLOSE);

	fake_drop_all(&l->bytes);
	memset(l, 0, sizeof(*l));
	return (int)fake_leave(r);
}
