/* SPDX-License-Identifier: MIT */
/* ktls-vm-move: ktls_flush(), ktls_shutdown_write(), ktls_set_policy(). */
#include "move.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t more(struct ktls_conn *c, const uint8_t *p, size_t n)
{
	const struct iovec iov = {(void *)(uintptr_t)p, n};

	return ktls_writev(c, &iov, 1, KTLS_MORE);
}

static void get_error(const struct ktls_conn *c, struct ktls_error *e)
{
	memset(e, 0, sizeof(*e));
	e->size = sizeof(*e);
	MUST(ktls_get_error(c, e) == 0);
}

/* Only ktls_flush() sends what KTLS_MORE left open. */
static void open_record(struct vt_duo *d)
{
	struct ktls_info info;
	uint8_t buf[200];

	vt_case("ktls_flush, an open record");
	CHECK(ktls_flush(d->lib.c, 0) == 0, "nothing to do: errno %d", errno);
	for (int timeout = -1; timeout < 1000; timeout += 500) {
		struct pollfd p = {.fd = d->fd, .events = POLLIN};

		CHECK(more(d->lib.c, vt_data + 5, 100) == 100, "errno %d", errno);
		CHECK(poll(&p, 1, 20) == 0, "the open record has come");
		vt_end_info(&d->lib, &info);
		CHECK(info.unsent >= 100, "%llu unsent",
		      (unsigned long long)info.unsent);
		CHECK(ktls_flush(d->lib.c, timeout) == 0, "errno %d", errno);
		vt_end_info(&d->lib, &info);
		CHECK(info.unsent == 0, "%llu unsent",
		      (unsigned long long)info.unsent);
		CHECK(vt_duo_peer_read(d, buf, sizeof(buf)) == 100 &&
			      memcmp(buf, vt_data + 5, 100) == 0,
		      "the peer got something else");
	}
	/* timeout 0, where it may take another call */
	CHECK(more(d->lib.c, vt_data + 5, 100) == 100, "errno %d", errno);
	while (ktls_flush(d->lib.c, 0) < 0)
		if (!CHECK(errno == EAGAIN && ktls_wants(d->lib.c),
			   "errno %d, wants %d", errno, ktls_wants(d->lib.c)))
			break;
	CHECK(vt_duo_peer_read(d, buf, sizeof(buf)) == 100, "the peer");
	CHECK(ktls_flush(NULL, 0) == -1 && errno == EINVAL, "NULL");
}

/* Full for good: TCP may go on for a while by itself. */
static bool fill(struct vt_duo *d, size_t *sent)
{
	struct pollfd p = {.fd = d->lib.fd, .events = POLLOUT};
	ssize_t r;

	do {
		while ((r = ktls_write(d->lib.c, vt_data + *sent, 50000)) > 0)
			*sent += (size_t)r;
		if (!CHECK(errno == EAGAIN && ktls_wants(d->lib.c) == POLLOUT,
			   "errno %d", errno))
			return false;
		/* a few bytes of a record's end fit where poll(2) sees no room */
	} while (poll(&p, 1, 50) > 0 || ktls_flush(d->lib.c, 0) == 0);
	return true;
}

/* One SSL_read() of the peer's; false: other bytes, or an end. */
static bool peer_takes(struct vt_duo *d, size_t *got, int max)
{
	static uint8_t buf[VT_RECORD];
	const int n = SSL_read(d->ssl, buf, max);

	if (n > 0 && CHECK(memcmp(buf, vt_data + *got, (size_t)n) == 0,
			   "other bytes than those at %zu", *got)) {
		*got += (size_t)n;
		return true;
	}
	return n <= 0 && CHECK(SSL_get_error(d->ssl, n) == SSL_ERROR_WANT_READ,
			       "the peer's SSL_read: %d", n);
}

/* Beyond TCP's persist timer, which sends what is less than a segment. */
static bool is_full(struct vt_duo *d)
{
	struct pollfd p = {.fd = d->lib.fd, .events = POLLOUT};

	return poll(&p, 1, 400) == 0 && ktls_flush(d->lib.c, 0) < 0;
}

static void times_out(struct vt_duo *d)
{
	const int64_t t = vt_now();
	struct ktls_error error;
	struct ktls_info info;
	int64_t ms;

	vt_end_info(&d->lib, &info);
	CHECK(ktls_flush(d->lib.c, 0) == -1 && errno == EAGAIN &&
		      ktls_wants(d->lib.c) != 0,
	      "errno %d, wants %d", errno, ktls_wants(d->lib.c));
	CHECK(ktls_flush(d->lib.c, 100) == -1 && errno == ETIMEDOUT, "errno %d",
	      errno);
	ms = vt_now() - t;
	CHECK(ms >= 100 && ms < 3000, "%lld ms", (long long)ms);
	get_error(d->lib.c, &error);
	CHECK(error.code == ETIMEDOUT && error.unsent > 0 &&
		      error.unsent <= info.unsent,
	      "code %d, unsent %llu of %llu", error.code,
	      (unsigned long long)error.unsent, (unsigned long long)info.unsent);
}

/* A peer that does not read, then reads. */
static void full_socket(const struct vt_kind *k)
{
	SSL_CTX *lib = vt_ctx(k->suite, k->server, false);
	SSL_CTX *peer = vt_ctx(k->suite, !k->server, false);
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	size_t sent = 0, got = 0;
	struct ktls_info info = {.unsent = 0};
	struct vt_duo d;
	bool ok = true;
	int fd[2], r = -1;

	MUST(ktls_ctx_enable(lib) == 0);
	vt_tcp_pair_small(fd, 1448, 8192);
	vt_duo_init(&d, lib, peer, fd, k->server, &policy);
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
	if (!vt_duo_handshake(&d)) {
		vt_duo_drop(&d);
		return;
	}
	/* a client has its tickets then */
	vt_duo_to_peer(&d, 9, 100);
	open_record(&d);
	vt_case("%s: ktls_flush, a full socket", vt_kind_name(k));
	vt_set_sndbuf(d.lib.fd, 8192);
	/* in user space a record's tail, in the kernel what TCP has not got */
	for (int i = 0; ok && i < 50 && (info.unsent == 0 || !is_full(&d)); i++) {
		ok = (i == 0 || info.unsent > 0 || peer_takes(&d, &got, 3000)) &&
		     fill(&d, &sent);
		vt_end_info(&d.lib, &info);
	}
	if (ok && CHECK(info.unsent > 0, "nothing is ever unsent"))
		times_out(&d);
	/* it goes on as if nothing had been */
	while (ok && (r = ktls_flush(d.lib.c, 0)) < 0) {
		ok = CHECK(errno == EAGAIN, "errno %d", errno) &&
		     peer_takes(&d, &got, VT_RECORD);
		poll(NULL, 0, 1);
	}
	vt_end_info(&d.lib, &info);
	CHECK(r == 0 && info.unsent == 0, "%d, %llu unsent", r,
	      (unsigned long long)info.unsent);
	while (ok && got < sent && vt_poll(d.fd, POLLIN))
		ok = peer_takes(&d, &got, VT_RECORD);
	/* a call of user space may have kept quiet about its last byte */
	CHECK(got == sent || got == sent + 1, "%zu of %zu", got, sent);
	if (got == sent + 1)
		CHECK(ktls_write(d.lib.c, vt_data + sent, 1) == 1, "errno %d",
		      errno);
	vt_duo_to_peer(&d, 3, 1000);
	vt_duo_close(&d);
}

/* After 0 even close(2) loses nothing. */
static void then_close(const struct vt_kind *k)
{
	struct vt_line l;
	size_t n = 0;
	bool ok;

	if (!k->server)
		return; /* unread tickets would make it a reset */
	vt_case("%s: ktls_flush, then close(2)", vt_kind_name(k));
	vt_line_init(&l, k, NULL, NULL);
	vt_set_sndbuf(l.e.fd, 8192);
	l.p.start_ms = 150;
	l.cut = true;
	if (!vt_line_start(&l))
		return;
	ok = vt_line_send(&l, VT_WRITE, 5, 30000) &&
	     vt_line_send(&l, VT_FILE, 12345, 50000);
	while (ok && n < 1000) {
		ssize_t r = more(l.e.c, vt_data + n, 1000 - n);

		if (r < 0 && !vt_line_again(&l, "ktls_writev"))
			break;
		if (r > 0)
			vt_line_took(&l, vt_data + n, (size_t)r, (size_t)r);
		n += r > 0 ? (size_t)r : 0;
	}
	CHECK(ktls_flush(l.e.c, VT_WAIT) == 0, "errno %d", errno);
	ktls_conn_free(l.e.c);
	l.e.c = NULL;
	close(l.e.fd);
	vt_line_close(&l);
	CHECK(l.p.eof, "the peer saw more than the end of TCP");
	vt_wire_free(&l.w);
}

/* We say that we have nothing more, and read on. */
static void half_close(const struct vt_kind *k)
{
	static const size_t sizes[] = {1, 70000, 300, 200000};
	struct vt_line l;
	bool ok;
	int r;

	vt_case("%s: ktls_shutdown_write", vt_kind_name(k));
	vt_line_init(&l, k, NULL, NULL);
	vt_stream_init(&l.p.out, 555, sizes, 4);
	l.p.in_total = 150333;
	l.p.after = true;
	l.p.half_closes = true;
	l.e.in_total = l.p.out.total;
	if (!vt_line_start(&l))
		return;
	ok = vt_line_send(&l, VT_FILE, 12345, 150000) &&
	     CHECK(more(l.e.c, vt_data, 333) == 333, "errno %d", errno);
	if (ok)
		vt_line_took(&l, vt_data, 333, 333);
	if (k->blocking)
		CHECK(ktls_shutdown_write(l.e.c, VT_WAIT) == 0, "errno %d",
		      errno);
	else
		while ((r = ktls_shutdown_write(l.e.c, 0)) < 0) {
			if (!CHECK(errno == EAGAIN && ktls_wants(l.e.c),
				   "errno %d, wants %d", errno, ktls_wants(l.e.c)))
				break;
			poll(NULL, 0, 1);
		}
	for (int i = 0; i < 2; i++) {
		CHECK(ktls_shutdown_write(l.e.c, 0) == 0, "again: errno %d",
		      errno);
		CHECK(ktls_write(l.e.c, "x", 1) == -1 && errno == EPIPE,
		      "ktls_write: errno %d", errno);
		CHECK(ktls_flush(l.e.c, 0) == -1 && errno == EPIPE,
		      "ktls_flush: errno %d", errno);
	}
	if (ok && vt_end_exchange(&l.e))
		vt_end_finished(&l.e);
	vt_sink_check(&l.e.in, &l.p.out, l.p.out.total, "libktls");
	vt_line_close(&l);
	vt_wire_free(&l.w);
}

/* What may change while bytes move, and what may not. */
static void policies(const struct vt_kind *k)
{
	struct ktls_policy policy = vt_policy(k->tx, k->rx), other;
	struct ktls_info info;
	struct vt_line l;
	ssize_t r;

	vt_case("%s: ktls_set_policy", vt_kind_name(k));
	if (!vt_line_open(&l, k))
		return;
	other = policy;
	other.budget = 777;
	other.tx = k->tx == KTLS_OFF ? KTLS_AUTO : KTLS_OFF;
	CHECK(ktls_set_policy(l.e.c, &other) == -1 && errno == EINVAL, "tx");
	other = policy;
	other.budget = 777;
	other.rx = k->rx == KTLS_OFF ? KTLS_AUTO : KTLS_OFF;
	CHECK(ktls_set_policy(l.e.c, &other) == -1 && errno == EINVAL, "rx");
	other = policy;
	other.budget = 777;
	other.record_size = 511;
	CHECK(ktls_set_policy(l.e.c, &other) == -1 && errno == EINVAL, "size");
	CHECK(ktls_set_policy(l.e.c, NULL) == -1 && errno == EINVAL, "NULL");
	CHECK(ktls_set_policy(NULL, &policy) == -1 && errno == EINVAL, "NULL");
	vt_end_info(&l.e, &info);
	CHECK(info.budget == policy.budget && info.record_size_asked == VT_RECORD,
	      "a failure changed budget to %llu",
	      (unsigned long long)info.budget);
	other = policy;
	other.budget = 777;
	other.offload_after = 123456;
	other.stall_guard = KTLS_OFF;
	CHECK(ktls_set_policy(l.e.c, &other) == 0, "errno %d", errno);
	vt_end_info(&l.e, &info);
	CHECK(info.budget == 777 && info.offload_after == 123456 &&
		      info.stall_guard_asked == KTLS_OFF && !info.stall_guard,
	      "budget %llu, guard %u", (unsigned long long)info.budget,
	      info.stall_guard);
	r = ktls_write(l.e.c, vt_data, 5000);
	CHECK(r == 777, "%zd bytes, errno %d", r, errno);
	if (r > 0)
		vt_line_took(&l, vt_data, (size_t)r, (size_t)r);
	CHECK(ktls_set_policy(l.e.c, &policy) == 0, "errno %d", errno);
	vt_line_send(&l, VT_SPANS, 77, 100000);
	vt_line_close(&l);
	vt_wire_free(&l.w);
}

void vt_flush_cases(const struct vt_kind *k)
{
	if (!k->blocking)
		full_socket(k);
	then_close(k);
	half_close(k);
	policies(k);
}
