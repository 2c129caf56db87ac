/* SPDX-License-Identifier: MIT */
/* What the kernel itself says of a TLS socket, by sock_diag(7). */
#include "diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <string.h>

#include "compat.h"
#include "netlink.h"
#include "sys.h"

/* include/uapi/linux/inet_diag.h, include/uapi/linux/tls.h */
enum { ULP_INFO_TLS = 2, TXCONF = 3, RXCONF = 4, ZC_RO_TX = 5, CONF_HW = 3 };

static void set_end(const struct sockaddr_storage *from, __be16 *port,
		    __be32 addr[4])
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (from->ss_family == AF_INET) {
		memcpy(&in, from, sizeof(in));
		*port = in.sin_port;
		addr[0] = in.sin_addr.s_addr;
		return;
	}
	memcpy(&in6, from, sizeof(in6));
	*port = in6.sin6_port;
	memcpy(addr, &in6.sin6_addr, sizeof(in6.sin6_addr));
}

static int describe(int fd, struct inet_diag_req_v2 *req)
{
	struct ktls__ends ends;
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	int r = ktls__netlink_ends(fd, &ends);

	if (r == 0)
		r = ktls__sys_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie,
					 &len);
	if (r < 0)
		return r;
	req->sdiag_family = (uint8_t)ends.local.ss_family;
	req->sdiag_protocol = IPPROTO_TCP;
	/* inet_diag.c, inet_sk_diag_fill(): ULP_INFO comes with this one */
	req->idiag_ext = 1 << (INET_DIAG_INFO - 1);
	req->idiag_states = ~0U;
	set_end(&ends.local, &req->id.idiag_sport, req->id.idiag_src);
	set_end(&ends.peer, &req->id.idiag_dport, req->id.idiag_dst);
	req->id.idiag_if = (__u32)ends.ifindex;
	req->id.idiag_cookie[0] = (__u32)cookie;
	req->id.idiag_cookie[1] = (__u32)(cookie >> 32);
	return 0;
}

/* net/tls/tls_main.c, tls_get_info() */
static int read_answer(void *arg, const struct nlmsghdr *answer)
{
	struct ktls__diag *out = arg;
	struct ktls__attrs a;

	if (answer->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -EBADMSG;
	a = ktls__netlink_attrs(answer, sizeof(struct inet_diag_msg));
	a = ktls__netlink_find(a, INET_DIAG_ULP_INFO, 0);
	if (!a.p)
		return -EPERM;
	a = ktls__netlink_find(a, ULP_INFO_TLS, 0);
	if (!a.p)
		return -ENOPROTOOPT;
	out->tx_device = ktls__netlink_number(a, TXCONF, 0) == CONF_HW;
	out->rx_device = ktls__netlink_number(a, RXCONF, 0) == CONF_HW;
	out->zerocopy = ktls__netlink_find(a, ZC_RO_TX, 0).p != NULL;
	return 1;
}

int ktls__diag(int fd, struct ktls__diag *out)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 req;
	} q;
	int r;

	memset(&q, 0, sizeof(q));
	memset(out, 0, sizeof(*out));
	q.h.nlmsg_len = sizeof(q);
	q.h.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	q.h.nlmsg_flags = NLM_F_REQUEST;
	r = describe(fd, &q.req);
	if (r == 0)
		r = ktls__netlink(NETLINK_SOCK_DIAG, &q, sizeof(q), read_answer,
				  out);
	if (r == 0)
		r = -ENOENT;
	return r > 0 ? 0 : r;
}
