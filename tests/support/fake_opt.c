/* SPDX-License-Identifier: MIT */
/* setsockopt(2) and getsockopt(2) of the model: sockets and TCP. */
#include "fake_seam.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

enum {
	TLS_LEVEL = 282,
	NETNS_COOKIE = 71, /* SO_NETNS_COOKIE */
	STATE_FIN_WAIT1 = 4,
	STATE_CLOSE = 7,
	STATE_CLOSE_WAIT = 8,
	STATE_LAST_ACK = 9
};

static const struct option {
	int level, name;
	enum fake_call get, set;
	size_t offset; /* of an int of the socket; 0: it is something else */
} options[] = {
#define INT(field) offsetof(struct fake_socket, field)
	{SOL_SOCKET, SO_TYPE, FAKE_GET_TYPE, FAKE_SET_OTHER, INT(type)},
	{SOL_SOCKET, SO_DOMAIN, FAKE_GET_DOMAIN, FAKE_SET_OTHER, INT(domain)},
	{SOL_SOCKET, SO_PROTOCOL, FAKE_GET_PROTOCOL, FAKE_SET_OTHER,
	 INT(protocol)},
	{SOL_SOCKET, SO_SNDBUF, FAKE_GET_SNDBUF, FAKE_SET_OTHER, INT(sndbuf)},
	{SOL_SOCKET, SO_ERROR, FAKE_GET_ERROR, FAKE_SET_OTHER, 0},
	{SOL_SOCKET, SO_RCVTIMEO, FAKE_GET_TIMEO, FAKE_SET_OTHER, 0},
	{SOL_SOCKET, SO_SNDTIMEO, FAKE_GET_TIMEO, FAKE_SET_OTHER, 0},
	{SOL_SOCKET, SO_BINDTOIFINDEX, FAKE_GET_BOUND, FAKE_SET_OTHER,
	 INT(bound_if)},
	{SOL_SOCKET, SO_COOKIE, FAKE_GET_COOKIE, FAKE_SET_OTHER, 0},
	{SOL_SOCKET, NETNS_COOKIE, FAKE_GET_NETNS, FAKE_SET_OTHER, 0},
	{IPPROTO_TCP, TCP_NODELAY, FAKE_GET_NODELAY, FAKE_SET_NODELAY,
	 INT(nodelay)},
	{IPPROTO_TCP, TCP_CORK, FAKE_GET_CORK, FAKE_SET_CORK, INT(cork)},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, FAKE_GET_LOWAT, FAKE_SET_LOWAT,
	 INT(lowat)},
	{IPPROTO_TCP, TCP_MAXSEG, FAKE_GET_MAXSEG, FAKE_SET_OTHER, INT(mss)},
	{IPPROTO_TCP, TCP_INFO, FAKE_GET_TCP_INFO, FAKE_SET_OTHER, 0},
	{IPPROTO_TCP, TCP_ULP, FAKE_GET_ULP, FAKE_SET_ULP, 0},
	{TLS_LEVEL, 1, FAKE_GET_TLS_TX, FAKE_SET_TLS_TX, 0},
	{TLS_LEVEL, 2, FAKE_GET_TLS_RX, FAKE_SET_TLS_RX, 0},
	{TLS_LEVEL, 3, FAKE_GET_ZEROCOPY, FAKE_SET_ZEROCOPY, 0},
	{TLS_LEVEL, 4, FAKE_GET_NO_PAD, FAKE_SET_NO_PAD, 0},
	{TLS_LEVEL, 5, FAKE_GET_PAYLOAD, FAKE_SET_PAYLOAD, 0},
#undef INT
};
static const struct option other = {
	.get = FAKE_GET_OTHER,
	.set = FAKE_SET_OTHER,
};

static const struct option *option(int level, int name)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (options[i].level == level && options[i].name == name)
			return &options[i];
	return &other;
}

static int *int_of(struct fake_socket *s, const struct option *o)
{
	return (int *)(void *)((char *)s + o->offset);
}

int fake_state_of(const struct fake_socket *s)
{
	if (s->tcpi_state)
		return s->tcpi_state;
	if (s->error)
		return STATE_CLOSE;
	if (s->peer->fin_sent)
		return s->fin_sent ? STATE_LAST_ACK : STATE_CLOSE_WAIT;
	return s->fin_sent ? STATE_FIN_WAIT1 : FAKE_ESTABLISHED;
}

/*
 * net/ipv4/tcp.c: setting TCP_NODELAY pushes even if it was on, and although
 * the socket is corked; pulling the cork does the same.
 */
static int set_int(struct fake_socket *s, const struct option *o,
		   const void *val, socklen_t len)
{
	int v;

	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	*int_of(s, o) = v;
	if (o->set == FAKE_SET_NODELAY ? v : o->set == FAKE_SET_CORK && !v)
		fake_uncork(s);
	return 0;
}

int ktls__sys_setsockopt(int fd, int level, int name, const void *val,
			 socklen_t len)
{
	const struct option *o = option(level, name);
	struct fake_socket *s = fake_socket(fd);
	int r = fake_enter(o->set);

	if (r == 0 && !s)
		r = -EBADF;
	if (r == 0)
		r = o->offset && o->set != FAKE_SET_OTHER
			    ? set_int(s, o, val, len)
			    : fake_tls_set(s, o->set, val, len);
	return (int)fake_leave(r);
}

static int get_int(int value, void *val, socklen_t *len)
{
	if (*len < sizeof(value))
		return -EINVAL;
	memcpy(val, &value, sizeof(value));
	*len = sizeof(value);
	return 0;
}

static int get_timeo(int ms, void *val, socklen_t *len)
{
	const struct timeval tv = {.tv_sec = ms / 1000,
				   .tv_usec = ms % 1000 * 1000};

	if (*len < sizeof(tv))
		return -EINVAL;
	memcpy(val, &tv, sizeof(tv));
	*len = sizeof(tv);
	return 0;
}

/* Half of what the peer has not read was not sent yet. */
static int get_tcp_info(struct fake_socket *s, void *val, socklen_t *len)
{
	const size_t queued = fake_queued(s);
	struct tcp_info info = {
		.tcpi_state = (uint8_t)fake_state_of(s),
		.tcpi_notsent_bytes = (uint32_t)(queued / 2),
		.tcpi_bytes_sent = s->handed - queued / 2 + s->retrans,
		.tcpi_bytes_acked = s->handed - queued,
		.tcpi_bytes_retrans = s->retrans,
	};
	size_t n = s->tcpi_len ? s->tcpi_len : sizeof(info);

	/* something is always lost on the way: who ignores it is wrong */
	s->retrans += 1317;
	if (n > *len)
		n = *len;
	memcpy(val, &info, n);
	*len = (socklen_t)n;
	return 0;
}

static int get_cookie(uint64_t cookie, void *val, socklen_t *len)
{
	if (*len < sizeof(cookie))
		return -EINVAL;
	memcpy(val, &cookie, sizeof(cookie));
	*len = sizeof(cookie);
	return 0;
}

static int get(struct fake_socket *s, const struct option *o, void *val,
	       socklen_t *len)
{
	if (o->offset)
		return get_int(*int_of(s, o), val, len);
	if (o->get == FAKE_GET_ERROR) {
		const int e = s->so_error;

		s->so_error = 0;
		return get_int(e, val, len);
	}
	if (o->get == FAKE_GET_TIMEO)
		return get_timeo(o->name == SO_RCVTIMEO ? s->rcvtimeo_ms
							: s->sndtimeo_ms,
				 val, len);
	if (o->get == FAKE_GET_COOKIE)
		return get_cookie(s->cookie, val, len);
	if (o->get == FAKE_GET_NETNS)
		return get_cookie(s->netns, val, len);
	if (o->get == FAKE_GET_TCP_INFO)
		return get_tcp_info(s, val, len);
	return fake_tls_get(s, o->get, val, len);
}

int ktls__sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	const struct option *o = option(level, name);
	struct fake_socket *s = fake_socket(fd);
	int r = fake_enter(o->get);

	if (r == 0 && !s)
		r = -EBADF;
	else if (r == 0)
		r = get(s, o, val, len);
	return (int)fake_leave(r);
}

int ktls__sys_netns(uint64_t *cookie)
{
	const int r = fake_enter(FAKE_GET_NETNS);

	*cookie = FAKE_NETNS;
	return (int)fake_leave(r);
}
