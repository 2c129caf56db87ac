/* SPDX-License-Identifier: MIT */
/* ktls-vm-rekey: keys change thousands of times while data move. */
#include "rekey.h"

#include <errno.h>
#include <linux/tls.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TLS_RX_EXPECT_NO_PAD
#define TLS_RX_EXPECT_NO_PAD 4
#endif

enum {
	CALLS = 150,
	REQUEST = 8,
	/* of the library's, one */ PEER_SNDBUF = 400000
};

/* Sizes of the calls of either end, small ones and large ones. */
static const size_t *call_sizes(void)
{
	static size_t sizes[CALLS];

	for (size_t i = 0; i < CALLS; i++)
		sizes[i] = i % 25 == 24 ? 20000 + i * 37 : 1 + i * 7 % 3000;
	return sizes;
}

/* That the kernel has counted what the library did, and nothing failed. */
static void check_stat(const struct vt_stat *before, const struct ktls_info *info)
{
	struct vt_stat now;
	const long tx =
		info->tx.mode == KTLS_MODE_KERNEL ? (long)info->tx.rekeys : 0;
	const long rx =
		info->rx.mode == KTLS_MODE_KERNEL ? (long)info->rx.rekeys : 0;

	vt_stat_read(&now);
	CHECK(now.tx_rekey - before->tx_rekey == tx,
	      "TlsTxRekeyOk grew by %ld, not %ld",
	      now.tx_rekey - before->tx_rekey, tx);
	CHECK(now.rx_rekey - before->rx_rekey == rx,
	      "TlsRxRekeyOk grew by %ld, not %ld",
	      now.rx_rekey - before->rx_rekey, rx);
	/* one may have been decrypted along with the data before it */
	CHECK(now.rekey_received - before->rekey_received - rx <= (rx > 0) &&
		      now.rekey_received - before->rekey_received >= rx,
	      "TlsRxRekeyReceived grew by %ld, not %ld",
	      now.rekey_received - before->rekey_received, rx);
	CHECK(now.tx_rekey_error == before->tx_rekey_error &&
		      now.rx_rekey_error == before->rx_rekey_error,
	      "%ld and %ld rekeys failed",
	      now.tx_rekey_error - before->tx_rekey_error,
	      now.rx_rekey_error - before->rx_rekey_error);
}

/* TLS_RX_EXPECT_NO_PAD is as it was. */
static void check_no_pad(const struct vt_line *l, const struct ktls_info *info)
{
	int on = -1;
	socklen_t len = sizeof(on);

	if (info->rx.mode != KTLS_MODE_KERNEL || !info->expect_no_pad)
		return;
	CHECK(getsockopt(l->e.fd, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &on, &len) == 0,
	      "TLS_RX_EXPECT_NO_PAD: errno %d", errno);
	CHECK(on == 1, "TLS_RX_EXPECT_NO_PAD is %d", on);
}

/* 1: something moved; 0: nothing could; -1: failed, and said so */
static int step(struct vt_line *l, const struct rekey_load *load,
		unsigned int *calls)
{
	struct vt_end *e = &l->e;
	const bool out = e->out.pos < e->out.total;
	const bool in = e->in.count < e->in_total && (!out || !e->blocking);
	const size_t at = e->out.base + e->out.pos;
	bool moved = false;
	ssize_t n = 0;

	if (load->by && ++*calls % load->by == 0 &&
	    !CHECK(ktls_rekey(e->c, *calls / load->by % REQUEST == 0) == 0,
		   "ktls_rekey: errno %d", errno))
		return -1;
	if (out) {
		n = vt_end_send(e);
		if (n > 0)
			vt_line_took(l, vt_data + at, (size_t)n, (size_t)n);
		moved |= n > 0;
	}
	if (n >= 0 || errno == EAGAIN) {
		if (in)
			n = vt_end_recv(e);
		moved |= n > 0;
	}
	if (n == 0 && in)
		return CHECK(false, "close_notify after %zu bytes", e->in.count)
			       ? 0
			       : -1;
	if (n >= 0 || errno == EAGAIN)
		return moved;
	(void)vt_line_again(l, "exchange");
	return -1;
}

static bool exchange(struct vt_line *l, const struct rekey_load *load)
{
	const struct vt_end *e = &l->e;
	unsigned int calls = 0;
	int r;

	while (e->out.pos < e->out.total || e->in.count < e->in_total) {
		r = step(l, load, &calls);
		if (r < 0)
			return false;
		if (r == 0 && !CHECK(vt_poll(e->fd, ktls_wants(e->c)),
				     "no event 0x%x: sent %zu, got %zu",
				     (unsigned int)ktls_wants(e->c), e->out.pos,
				     e->in.count))
			return false;
	}
	return true;
}

bool rekey_load(const struct rekey_load *load)
{
	const int64_t start = vt_now();
	struct ktls_info info;
	struct vt_stat before;
	struct vt_line l;
	bool ok;

	vt_case("%s, %s", vt_kind_name(&load->kind), load->what);
	vt_stat_read(&before);
	vt_line_init(&l, &load->kind, load->policy, NULL);
	vt_set_sndbuf(l.e.fd, load->sndbuf);
	vt_set_sndbuf(l.p.fd, PEER_SNDBUF);
	l.e.duplex = true;
	vt_stream_init(&l.e.out, 100, call_sizes(), CALLS);
	vt_stream_init(&l.p.out, 5000, call_sizes(), CALLS);
	l.e.in_total = l.p.out.total;
	l.p.in_total = l.e.out.total;
	l.p.rekey_each = load->each;
	if (!vt_line_start(&l)) {
		vt_wire_free(&l.w);
		return false;
	}
	ok = exchange(&l, load);
	vt_end_info(&l.e, &info);
	check_no_pad(&l, &info);
	ok &= vt_sink_check(&l.e.in, &l.p.out, l.e.in.count, "libktls");
	/* its own first, so that no KeyUpdate is on its way at the count */
	l.cut = !ok;
	if (ok)
		CHECK(ktls_flush(l.e.c, VT_WAIT) == 0, "ktls_flush: errno %d",
		      errno);
	vt_end_info(&l.e, &info);
	check_stat(&before, &info);
	if (load->each || load->by)
		CHECK(info.tx.rekeys > 0 && (!load->each || info.rx.rekeys > 0),
		      "%llu and %llu rekeys", (unsigned long long)info.tx.rekeys,
		      (unsigned long long)info.rx.rekeys);
	if (!ok) {
		ktls_conn_free(l.e.c);
		l.e.c = NULL;
		shutdown(l.e.fd, SHUT_RDWR);
	}
	vt_line_close(&l);
	vt_wire_free(&l.w);
	printf("table: rekey %-17s %-6s %-12s %-12s %4zu kB out %4zu kB in "
	       "%5llu tx %5llu rx %6lld ms\n",
	       load->kind.suite->label, load->kind.server ? "server" : "client",
	       load->kind.blocking ? "blocking" : "non-blocking", load->what,
	       l.p.in.count / 1000, l.e.in.count / 1000,
	       (unsigned long long)info.tx.rekeys,
	       (unsigned long long)info.rx.rekeys, (long long)(vt_now() - start));
	return ok;
}

/* Reads nothing, but what the peer wants of the keys. */
static bool follow(struct vt_line *l)
{
	char c;

	return CHECK(ktls_read(l->e.c, &c, 1) == -1 && errno == EAGAIN,
		     "ktls_read: errno %d", errno);
}

void rekey_methods(const struct vt_suite *s, const char *what)
{
	struct ktls_policy policy = vt_policy(KTLS_REQUIRE, KTLS_REQUIRE);

	policy.rekey_after = 3;
	for (int how = 0; how < 2 * VT_METHODS; how++) {
		const struct vt_kind kind = {.suite = s,
					     .tx = KTLS_REQUIRE,
					     .rx = KTLS_REQUIRE,
					     .server = how & 1,
					     .blocking = how >= VT_METHODS};
		struct ktls_info info;
		struct vt_line l;
		bool ok = true;

		vt_case("%s, method %d, %s", vt_kind_name(&kind),
			how % VT_METHODS, what);
		vt_line_init(&l, &kind, &policy, NULL);
		vt_set_sndbuf(l.e.fd, how & 2 ? 8192 : 0);
		vt_set_sndbuf(l.p.fd, PEER_SNDBUF);
		l.p.rekey_each = kind.blocking ? 0 : 2500;
		if (!vt_line_start(&l))
			continue;
		for (size_t i = 0, at = 0; i < 12 && ok; i++) {
			const size_t n = i % 4 ? 3000 + 997 * i : 40000;

			ok = vt_line_send(&l, (enum vt_method)(how % VT_METHODS),
					  at, n);
			at += n;
			if (i % 3 == 0)
				ok &= CHECK(ktls_rekey(l.e.c, i & 1) == 0,
					    "ktls_rekey: errno %d", errno);
			if (!kind.blocking)
				ok &= follow(&l);
		}
		vt_end_info(&l.e, &info);
		CHECK(info.tx.rekeys >= 6, "%llu rekeys",
		      (unsigned long long)info.tx.rekeys);
		l.cut = !ok;
		vt_line_close(&l);
		vt_wire_free(&l.w);
	}
}

void rekey_close(const struct vt_suite *s)
{
	for (int i = 0; i < 16; i++) {
		const struct vt_kind kind = {
			.suite = s,
			.tx = i & 1 ? KTLS_OFF : KTLS_REQUIRE,
			.rx = i & 2 ? KTLS_OFF : KTLS_REQUIRE,
			.server = i & 4,
			.blocking = i & 8,
		};
		struct vt_line l;

		vt_case("%s: rekey, then close", vt_kind_name(&kind));
		vt_line_init_slow(&l, &kind);
		vt_set_sndbuf(l.p.fd, PEER_SNDBUF);
		l.p.rekey_each = 4000;
		if (!vt_line_start(&l))
			continue;
		for (size_t k = 0; k < 3; k++) {
			(void)vt_line_send(&l, VT_WRITE, k * 15000, 15000);
			CHECK(ktls_rekey(l.e.c, k & 1) == 0,
			      "ktls_rekey: errno %d", errno);
		}
		vt_line_close(&l);
		vt_wire_free(&l.w);
	}
}
