/* SPDX-License-Identifier: MIT */
/* What the model says of its sockets: names, sock_diag, and zerocopy. */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include "ktest.h"
#include "rawtls.h"

static int fd[2];
static int diag;
static _Alignas(8) uint8_t got[16384];
static ssize_t n_got;

static int setup(void **state)
{
	(void)state;
	fake_reset();
	fake_tcp_pair(fd, 100000);
	diag = ktls__sys_netlink(NETLINK_SOCK_DIAG);
	assert_true(diag >= 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

struct request {
	struct nlmsghdr h;
	struct inet_diag_req_v2 q;
};

/* The question about a socket, as its names and its cookie have it. */
static struct request question(int s)
{
	struct request r = {
		.h = {.nlmsg_len = sizeof(r),
		      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		      .nlmsg_flags = NLM_F_REQUEST,
		      .nlmsg_seq = 77},
		.q = {.sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u},
	};
	struct sockaddr_storage a, b;
	struct inet_diag_sockid *id = &r.q.id;
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	assert_int_equal(ktls__sys_names(s, &a, &b), 0);
	r.q.sdiag_family = (uint8_t)a.ss_family;
	if (a.ss_family == AF_INET) {
		const struct sockaddr_in *l = (void *)&a, *p = (void *)&b;

		id->idiag_sport = l->sin_port;
		id->idiag_dport = p->sin_port;
		id->idiag_src[0] = l->sin_addr.s_addr;
		id->idiag_dst[0] = p->sin_addr.s_addr;
	} else {
		const struct sockaddr_in6 *l = (void *)&a, *p = (void *)&b;

		id->idiag_sport = l->sin6_port;
		id->idiag_dport = p->sin6_port;
		memcpy(id->idiag_src, &l->sin6_addr, 16);
		memcpy(id->idiag_dst, &p->sin6_addr, 16);
		id->idiag_if = l->sin6_scope_id;
	}
	assert_int_equal(
		ktls__sys_getsockopt(s, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	assert_int_equal(len, 8);
	memcpy(id->idiag_cookie, &cookie, 8);
	return r;
}

/* The error of the answer, or 0 when it is a message of the socket's. */
static int asked(const struct request *r)
{
	const struct nlmsghdr *h = (const void *)got;

	assert_int_equal(ktls__sys_send(diag, r, sizeof(*r)), sizeof(*r));
	n_got = ktls__sys_recv(diag, got, sizeof(got));
	assert_true(n_got >= (ssize_t)sizeof(*h));
	assert_int_equal(h->nlmsg_seq, 77);
	assert_int_equal(ktls__sys_recv(diag, got + n_got, 1), -EAGAIN);
	if (h->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = NLMSG_DATA(h);

		assert_int_equal(e->msg.nlmsg_type, SOCK_DIAG_BY_FAMILY);
		assert_memory_equal(&e->msg, r, sizeof(*r));
		return e->error;
	}
	assert_int_equal(h->nlmsg_type, SOCK_DIAG_BY_FAMILY);
	assert_int_equal(h->nlmsg_len, n_got);
	return 0;
}

static int ask(int s)
{
	const struct request r = question(s);

	return asked(&r);
}

static const struct rtattr *find(const struct rtattr *a, size_t n, int type)
{
	for (; RTA_OK(a, n); a = RTA_NEXT(a, n))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

static const struct rtattr *in(const struct rtattr *nest, int type)
{
	return nest ? find(RTA_DATA(nest), RTA_PAYLOAD(nest), type) : NULL;
}

static const struct rtattr *ulp(void)
{
	const struct nlmsghdr *h = (const void *)got;
	const size_t fixed = NLMSG_LENGTH(sizeof(struct inet_diag_msg));

	return find((const void *)(got + NLMSG_ALIGN(fixed)),
		    h->nlmsg_len - NLMSG_ALIGN(fixed), INET_DIAG_ULP_INFO);
}

/* An attribute of the last answer about kernel TLS, -1: there is none. */
static int tls(int type)
{
	const struct rtattr *a = in(in(ulp(), INET_ULP_INFO_TLS), type);
	uint16_t v = 1;

	if (a && RTA_PAYLOAD(a) > 0)
		memcpy(&v, RTA_DATA(a), sizeof(v));
	return a ? v : -1;
}

static void names_are_those_of_both_ends(void **state)
{
	struct sockaddr_storage a, b;
	const struct sockaddr_in *l = (void *)&a, *p = (void *)&b;
	const struct sockaddr_in6 *l6 = (void *)&a;
	int pipe[2];

	(void)state;
	assert_int_equal(ktls__sys_names(fd[0], &a, &b), 0);
	assert_int_equal(l->sin_family, AF_INET);
	assert_int_equal(ntohs(l->sin_port), fake_port(fd[0]));
	assert_int_equal(ntohs(p->sin_port), fake_port(fd[1]));
	assert_int_equal(ntohl(p->sin_addr.s_addr), INADDR_LOOPBACK);
	fake_socket(fd[0])->domain = AF_INET6;
	assert_int_equal(ktls__sys_names(fd[0], &a, &b), 0);
	assert_int_equal(l6->sin6_family, AF_INET6);
	assert_int_equal(l6->sin6_addr.s6_addr[15], 1);
	fake_socket(fd[0])->mapped = true;
	assert_int_equal(ktls__sys_names(fd[0], &a, &b), 0);
	assert_true(IN6_IS_ADDR_V4MAPPED(&l6->sin6_addr));
	assert_int_equal(ktls__sys_names(5, &a, &b), -EBADF);
	fake_pipe(pipe, FAKE_SLOTS);
	assert_int_equal(ktls__sys_names(pipe[0], &a, &b), -ENOTSOCK);
	fake_raw_reset(fd[1]);
	assert_int_equal(ktls__sys_names(fd[0], &a, &b), -ENOTCONN);
	assert_int_equal(fake_count(FAKE_NAMES), 6);
}

static void socket_is_found_by_all_it_has(void **state)
{
	struct request r;

	(void)state;
	assert_int_equal(ask(fd[0]), 0);
	r = question(fd[0]);
	r.q.id.idiag_cookie[1]++;
	assert_int_equal(asked(&r), -ESTALE);
	memset(r.q.id.idiag_cookie, 0xff, 8);
	assert_int_equal(asked(&r), 0);
	r.q.id.idiag_dst[0]++;
	assert_int_equal(asked(&r), -ENOENT);
	r = question(fd[0]);
	r.q.id.idiag_sport ^= 256;
	assert_int_equal(asked(&r), -ENOENT);
	r = question(fd[0]);
	r.q.sdiag_family = AF_INET6;
	assert_int_equal(asked(&r), -ENOENT);
	r = question(fd[0]);
	r.q.sdiag_protocol = IPPROTO_UDP;
	assert_int_equal(asked(&r), -ENOENT);
	r = question(fd[0]);
	r.h.nlmsg_flags |= NLM_F_DUMP;
	assert_broken(asked(&r), "all sockets");
	fake_net.diag_errno = EPERM;
	assert_int_equal(ask(fd[0]), -EPERM);
	fake_net.diag_errno = 0;
	r = question(fd[0]);
	ktls__sys_close(fd[0]);
	assert_int_equal(asked(&r), -ENOENT);
}

static void ipv6_sockets_are_found_as_well(void **state)
{
	struct request r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		fake_socket(fd[0])->domain = AF_INET6;
		fake_socket(fd[0])->mapped = i;
		assert_int_equal(ask(fd[0]), 0);
		r = question(fd[0]);
		r.q.id.idiag_dst[3]++;
		assert_int_equal(asked(&r), -ENOENT);
	}
	/* IPv4 finds it, too */
	r = question(fd[0]);
	r.q.sdiag_family = AF_INET;
	r.q.id.idiag_src[0] = r.q.id.idiag_dst[0] = htonl(INADDR_LOOPBACK);
	assert_int_equal(asked(&r), 0);
	/* one of a link-local address is bound to its interface */
	fake_socket(fd[0])->mapped = false;
	fake_socket(fd[0])->bound_if = 2;
	r = question(fd[0]);
	assert_int_equal(asked(&r), 0);
	r.q.id.idiag_if = 0;
	assert_int_equal(asked(&r), -ENOENT);
}

static void ulp_is_shown_with_its_keys(void **state)
{
	(void)state;
	assert_int_equal(ask(fd[0]), 0);
	assert_null(ulp());
	for (int nested = 0; nested < 2; nested++) {
		setup(NULL);
		fake_net.nested = nested;
		rawtls_ulp(fd[0]);
		assert_int_equal(ask(fd[0]), 0);
		assert_string_equal(RTA_DATA(in(ulp(), INET_ULP_INFO_NAME)),
				    "tls");
		assert_int_equal(tls(TLS_INFO_VERSION), -1);
		assert_int_equal(tls(TLS_INFO_TXCONF), TLS_CONF_BASE);
		rawtls_keys(fd[0], TLS_TX, 0x0304);
		assert_int_equal(ask(fd[0]), 0);
		assert_int_equal(tls(TLS_INFO_VERSION), 0x0304);
		assert_int_equal(tls(TLS_INFO_CIPHER), 51);
		assert_int_equal(tls(TLS_INFO_TXCONF), TLS_CONF_SW);
		assert_int_equal(tls(TLS_INFO_RXCONF), TLS_CONF_BASE);
		assert_int_equal(tls(TLS_INFO_RX_NO_PAD), -1);
		rawtls_keys(fd[0], TLS_RX, 0x0304);
		fake_socket(fd[0])->rx_no_pad = true;
		assert_int_equal(ask(fd[0]), 0);
		assert_int_equal(tls(TLS_INFO_RXCONF), TLS_CONF_SW);
		assert_int_equal(tls(TLS_INFO_RX_NO_PAD), 1);
	}
	fake_net.not_admin = true;
	assert_int_equal(ask(fd[0]), 0);
	assert_null(ulp());
	setup(NULL);
	fake_socket(fd[0])->ulp_other = true;
	assert_int_equal(ask(fd[0]), 0);
	assert_string_equal(RTA_DATA(in(ulp(), INET_ULP_INFO_NAME)), "other");
	assert_null(in(ulp(), INET_ULP_INFO_TLS));
}

static void device_takes_tls_1_2_only(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		const uint16_t version = i & 1 ? 0x0303 : 0x0304;

		setup(NULL);
		fake_kernel.device_tx = i & 2;
		fake_kernel.device_rx = i & 4;
		rawtls_ulp(fd[0]);
		rawtls_keys(fd[0], TLS_TX, version);
		rawtls_keys(fd[0], TLS_RX, version);
		assert_int_equal(ask(fd[0]), 0);
		assert_int_equal(tls(TLS_INFO_TXCONF),
				 (i & 3) == 3 ? TLS_CONF_HW : TLS_CONF_SW);
		assert_int_equal(tls(TLS_INFO_RXCONF),
				 (i & 5) == 5 ? TLS_CONF_HW : TLS_CONF_SW);
	}
}

static int set_zerocopy(uint32_t v)
{
	return ktls__sys_setsockopt(fd[0], 282, 3, &v, sizeof(v));
}

static void zerocopy_is_the_devices(void **state)
{
	const uint64_t wide = 1;
	socklen_t len = 4;
	int v = -1;

	(void)state;
	assert_int_equal(set_zerocopy(1), -ENOPROTOOPT);
	rawtls_ulp(fd[0]);
	assert_int_equal(set_zerocopy(2), -EINVAL);
	assert_int_equal(ktls__sys_setsockopt(fd[0], 282, 3, &wide, 8), -EINVAL);
	assert_int_equal(set_zerocopy(1), 0);
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, 3, &v, &len), 0);
	assert_int_equal(v, 1);
	len = 8;
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, 3, &v, &len), -EINVAL);
	rawtls_keys(fd[0], TLS_TX, 0x0303);
	assert_int_equal(ask(fd[0]), 0);
	assert_int_equal(tls(TLS_INFO_ZC_RO_TX), -1);
	setup(NULL);
	fake_kernel.device_tx = true;
	rawtls_ulp(fd[0]);
	rawtls_keys(fd[0], TLS_TX, 0x0303);
	assert_int_equal(ask(fd[0]), 0);
	assert_int_equal(tls(TLS_INFO_ZC_RO_TX), -1);
	assert_int_equal(set_zerocopy(1), 0);
	assert_int_equal(ask(fd[0]), 0);
	assert_int_equal(tls(TLS_INFO_ZC_RO_TX), 1);
	assert_int_equal(set_zerocopy(0), 0);
	assert_int_equal(ask(fd[0]), 0);
	assert_int_equal(tls(TLS_INFO_ZC_RO_TX), -1);
	fake_kernel.no_zerocopy = true;
	assert_int_equal(set_zerocopy(1), -ENOPROTOOPT);
	assert_int_equal(fake_count(FAKE_SET_ZEROCOPY), 3);
}

static void garble(uint8_t *msg, size_t *n, size_t max)
{
	assert_true(*n < max);
	msg[4] = 0xee;
	*n += 4;
}

static void answers_can_be_spoilt(void **state)
{
	const struct request r = question(fd[0]);
	ssize_t whole;

	(void)state;
	assert_int_equal(asked(&r), 0);
	whole = n_got;
	fake_net.cut = 20;
	ktls__sys_send(diag, &r, sizeof(r));
	assert_int_equal(ktls__sys_recv(diag, got, sizeof(got)), 20);
	fake_net.cut = SIZE_MAX;
	fake_net.flip_at = 4;
	fake_net.flip_with = 0x81;
	ktls__sys_send(diag, &r, sizeof(r));
	assert_int_equal(ktls__sys_recv(diag, got, sizeof(got)), whole);
	assert_int_equal(got[4], SOCK_DIAG_BY_FAMILY ^ 0x81);
	fake_net.flip_with = 0;
	fake_net.garble = garble;
	ktls__sys_send(diag, &r, sizeof(r));
	assert_int_equal(ktls__sys_recv(diag, got, sizeof(got)), whole + 4);
	assert_int_equal(got[4], 0xee);
	fake_net.garble = NULL;
	fake_net.silent = true;
	ktls__sys_send(diag, &r, sizeof(r));
	assert_int_equal(ktls__sys_recv(diag, got, sizeof(got)), -EAGAIN);
	fake_net.silent = false;
	/* the rest of a datagram is lost */
	ktls__sys_send(diag, &r, sizeof(r));
	ktls__sys_send(diag, &r, sizeof(r));
	assert_int_equal(ktls__sys_recv(diag, got, 10), 10);
	assert_int_equal(ktls__sys_recv(diag, got, sizeof(got)), whole);
}

static void netlink_sockets_are_counted(void **state)
{
	const struct request r = question(fd[0]);

	(void)state;
	assert_int_equal(fake_own_fds(), 1);
	assert_int_equal(ktls__sys_close(diag), 0);
	assert_int_equal(fake_own_fds(), 0);
	assert_int_equal(ktls__sys_close(diag), -EBADF);
	assert_int_equal(ktls__sys_send(diag, &r, sizeof(r)), -EBADF);
	assert_int_equal(fake_count(FAKE_NETLINK), 1);
	assert_int_equal(ktls__sys_netlink(NETLINK_CRYPTO), -EPROTONOSUPPORT);
	/* one after the other there may be any number */
	for (int i = 0; i < 1000; i++)
		ktls__sys_close(ktls__sys_netlink(NETLINK_ROUTE));
	diag = ktls__sys_netlink(NETLINK_SOCK_DIAG);
	fake_fail(FAKE_NETLINK_SEND, 1, ENOBUFS);
	assert_int_equal(ktls__sys_send(diag, &r, sizeof(r)), -ENOBUFS);
	assert_broken(ktls__sys_send(diag, &r, 4), "request of 4 bytes");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(names_are_those_of_both_ends),   T(socket_is_found_by_all_it_has),
	T(ipv6_sockets_are_found_as_well), T(ulp_is_shown_with_its_keys),
	T(device_takes_tls_1_2_only),	   T(zerocopy_is_the_devices),
	T(answers_can_be_spoilt),	   T(netlink_sockets_are_counted),
};

KTEST_MAIN("fakesys_net", tests)
