/* SPDX-License-Identifier: MIT */
/* What the model says of its sockets: names, and NETLINK_SOCK_DIAG. */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <string.h>

#include "fake_netlink.h"
#include "fake_seam.h"

enum {
	PORTS = 20000,
	STATE_CLOSE = 7,
	BASE = 1, /* of TLS_INFO_TXCONF and TLS_INFO_RXCONF */
	SOFTWARE = 2,
	DEVICE = 3
};

uint16_t fake_port(int fd)
{
	return (uint16_t)(PORTS + fd);
}

/* The address of both ends, as idiag_src and idiag_dst have it. */
static void address(const struct fake_socket *s, int family, uint32_t word[4])
{
	memset(word, 0, 16);
	if (family == AF_INET) {
		word[0] = htonl(INADDR_LOOPBACK);
	} else if (s->mapped) {
		word[2] = htonl(0xffff);
		word[3] = htonl(INADDR_LOOPBACK);
	} else {
		word[0] = s->bound_if ? htonl(0xfe800000) : 0;
		word[3] = htonl(1);
	}
}

/* The name of one end, in the family of the socket that is asked. */
static void name_of(const struct fake_socket *s, int fd,
		    struct sockaddr_storage *name)
{
	uint32_t word[4];

	address(s, s->domain, word);
	memset(name, 0, sizeof(*name));
	name->ss_family = (sa_family_t)s->domain;
	if (s->domain == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)(void *)name;

		in->sin_port = htons(fake_port(fd));
		in->sin_addr.s_addr = word[0];
	} else if (s->domain == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)name;

		in6->sin6_port = htons(fake_port(fd));
		memcpy(&in6->sin6_addr, word, sizeof(word));
		in6->sin6_scope_id = (uint32_t)s->bound_if;
	}
}

int ktls__sys_names(int fd, struct sockaddr_storage *local,
		    struct sockaddr_storage *peer)
{
	const struct fake_socket *s = fake_socket(fd);
	int r = fake_enter(FAKE_NAMES);

	if (r == 0 && !s)
		r = fake_pipe_of(fd) || fake_file_of(fd) ? -ENOTSOCK : -EBADF;
	/* net/ipv4/af_inet.c, inet_getname() */
	if (r == 0 && fake_state_of(s) == STATE_CLOSE)
		r = -ENOTCONN;
	if (r == 0) {
		name_of(s, fd, local);
		name_of(s, s->peer->fd, peer);
	}
	return (int)fake_leave(r);
}

static bool same(const uint32_t a[4], const uint32_t b[4], int family)
{
	return memcmp(a, b, family == AF_INET ? 4 : 16) == 0;
}

/*
 * net/ipv4/inet_diag.c, inet_diag_find_one_icsk(): by addresses, ports and the
 * interface it is bound to; then the cookie has to be right, if there is one.
 */
static int find(const struct inet_diag_req_v2 *q, struct fake_socket **to)
{
	static const uint32_t none[2] = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE};
	const int fd = ntohs(q->id.idiag_sport) - PORTS;
	struct fake_socket *s = fake_socket(fd);
	uint32_t word[4], cookie[2];

	if (!s || fake_state_of(s) == STATE_CLOSE ||
	    s->protocol != q->sdiag_protocol ||
	    !(s->domain == q->sdiag_family ||
	      (s->mapped && q->sdiag_family == AF_INET)) ||
	    ntohs(q->id.idiag_dport) != fake_port(s->peer->fd))
		return -ENOENT;
	address(s, q->sdiag_family, word);
	if (!same(word, q->id.idiag_src, q->sdiag_family) ||
	    !same(word, q->id.idiag_dst, q->sdiag_family) ||
	    (s->bound_if && q->id.idiag_if != (uint32_t)s->bound_if))
		return -ENOENT;
	if (memcmp(q->id.idiag_cookie, none, sizeof(none)) != 0) {
		cookie[0] = (uint32_t)s->cookie;
		cookie[1] = (uint32_t)(s->cookie >> 32);
		if (memcmp(q->id.idiag_cookie, cookie, sizeof(cookie)) != 0)
			return -ESTALE;
	}
	*to = s;
	return 0;
}

static uint16_t conf(const struct fake_key *k)
{
	return k->on ? k->device ? DEVICE : SOFTWARE : BASE;
}

static void attr16(struct fake_answer *a, uint16_t type, uint16_t v)
{
	fake_attr(a, type, &v, sizeof(v));
}

/* net/tls/tls_main.c, tls_get_info() */
static void put_tls(struct fake_answer *a, const struct fake_socket *s)
{
	const struct fake_key *k = s->tx.on ? &s->tx : &s->rx;
	const size_t nest = fake_nest(a, INET_ULP_INFO_TLS);

	if (k->on) {
		attr16(a, TLS_INFO_VERSION, (uint16_t)k->version);
		attr16(a, TLS_INFO_CIPHER, (uint16_t)k->cipher);
	}
	attr16(a, TLS_INFO_TXCONF, conf(&s->tx));
	attr16(a, TLS_INFO_RXCONF, conf(&s->rx));
	if (s->tx.device && s->zerocopy)
		fake_attr(a, TLS_INFO_ZC_RO_TX, NULL, 0);
	if (s->rx_no_pad)
		fake_attr(a, TLS_INFO_RX_NO_PAD, NULL, 0);
	fake_nest_end(a, nest);
}

static void put_ulp(struct fake_answer *a, const struct fake_socket *s)
{
	const char *name = s->ulp ? "tls" : "other";
	const size_t nest = fake_nest(a, INET_DIAG_ULP_INFO);

	fake_attr(a, INET_ULP_INFO_NAME, name, strlen(name) + 1);
	if (s->ulp)
		put_tls(a, s);
	fake_nest_end(a, nest);
}

int fake_diag(struct fake_answer *a, const struct nlmsghdr *h)
{
	struct inet_diag_msg m = {.idiag_state = FAKE_ESTABLISHED};
	struct inet_diag_req_v2 q;
	struct fake_socket *s;
	int r;

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    h->nlmsg_len < NLMSG_LENGTH(sizeof(q)))
		return -EINVAL;
	if (h->nlmsg_flags & NLM_F_DUMP)
		fake_broken("all sockets of the host are asked for");
	if (fake_net.diag_errno)
		return -fake_net.diag_errno;
	memcpy(&q, NLMSG_DATA(h), sizeof(q));
	r = find(&q, &s);
	if (r < 0)
		return r;
	m.idiag_family = (uint8_t)s->domain;
	m.idiag_state = (uint8_t)fake_state_of(s);
	m.id = q.id;
	fake_message(a, SOCK_DIAG_BY_FAMILY, 0, &m, sizeof(m));
	fake_attr(a, INET_DIAG_SHUTDOWN, &(uint8_t){0}, 1);
	if (q.idiag_ext & (1 << (INET_DIAG_INFO - 1))) {
		static const struct tcp_info info;

		fake_attr(a, INET_DIAG_INFO, &info, sizeof(info));
	}
	if ((s->ulp || s->ulp_other) && !fake_net.not_admin)
		put_ulp(a, s);
	fake_queue(a);
	return 0;
}
