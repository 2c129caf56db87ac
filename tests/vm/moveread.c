/* SPDX-License-Identifier: MIT */
/* ktls-vm-move: ktls_readv() and ktls_peek(). */
#include "move.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ELEMENTS = 1024 };

static void arguments(struct vt_duo *d)
{
	static struct iovec many[ELEMENTS + 1];
	char c[2];
	const struct iovec empty[] = {{NULL, 0}, {c, 0}};
	const struct iovec null[] = {{c, 1}, {NULL, 1}};
	const struct iovec huge[] = {{c, SSIZE_MAX}, {c, 1}};
	const struct {
		const struct iovec *iov;
		int count;
	} bad[] = {
		{null, 2}, {huge, 2}, {empty, -1}, {many, ELEMENTS + 1},
		{NULL, 1},
	};

	vt_case("ktls_readv, arguments");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(ktls_readv(d->lib.c, bad[i].iov, bad[i].count) == -1 &&
			      errno == EINVAL,
		      "%zu: errno %d", i, errno);
	CHECK(ktls_peek(d->lib.c, NULL, 1) == -1 && errno == EINVAL, "peek");
	CHECK(ktls_readv(NULL, empty, 1) == -1 && errno == EINVAL, "NULL");
	CHECK(ktls_peek(NULL, c, 1) == -1 && errno == EINVAL, "NULL");
	/* no question at all */
	CHECK(ktls_readv(d->lib.c, empty, 2) == 0, "errno %d", errno);
	CHECK(ktls_readv(d->lib.c, NULL, 0) == 0, "errno %d", errno);
	CHECK(ktls_peek(d->lib.c, c, 0) == 0, "errno %d", errno);
	CHECK(ktls_readv(d->lib.c, many, ELEMENTS) == 0, "errno %d", errno);
	CHECK(ktls_peek(d->lib.c, c, 1) == -1 && errno == EAGAIN &&
		      ktls_wants(d->lib.c) == POLLIN,
	      "nothing there: errno %d, wants %d", errno, ktls_wants(d->lib.c));
	many[7].iov_base = c;
	many[7].iov_len = 2;
	CHECK(ktls_readv(d->lib.c, many, ELEMENTS) == -1 && errno == EAGAIN &&
		      ktls_wants(d->lib.c) == POLLIN,
	      "nothing there: errno %d, wants %d", errno, ktls_wants(d->lib.c));
	many[7].iov_len = 0;
}

static void peer_sends(struct vt_duo *d, const uint8_t *p, size_t n)
{
	size_t k;

	for (; n > 0; p += k, n -= k)
		MUST(SSL_write_ex(d->ssl, p, n < VT_RECORD ? n : VT_RECORD,
				  &k) == 1);
}

/* count elements of these lengths by turns, over a buffer of 0xee */
static int spread(struct iovec *iov, uint8_t *buf, const size_t *sizes,
		  size_t n, int count)
{
	size_t at = 0;

	for (int i = 0; i < count; i++) {
		iov[i].iov_len = sizes[(size_t)i % n];
		iov[i].iov_base = iov[i].iov_len ? buf + at : NULL;
		at += iov[i].iov_len + 3;
	}
	return (int)at;
}

/* Peeks and reads n bytes at p; nothing may be written between elements. */
static bool gathers(struct vt_duo *d, const uint8_t *p, size_t n,
		    const size_t *sizes, size_t n_sizes, int count)
{
	static struct iovec iov[ELEMENTS];
	static uint8_t buf[1 << 20], peeked[VT_RECORD];
	size_t done = 0;

	while (done < n) {
		const size_t span =
			(size_t)spread(iov, buf, sizes, n_sizes, count);
		ssize_t r, k;
		size_t left, at = 0;

		memset(buf, 0xee, span);
		/* whatever is peeked at is there again */
		k = ktls_peek(d->lib.c, peeked, done % sizeof(peeked) + 1);
		if (k > 0)
			CHECK(memcmp(peeked, p + done, (size_t)k) == 0,
			      "other bytes are peeked at");
		r = ktls_readv(d->lib.c, iov, count);
		if (r < 0 && errno == EAGAIN && k < 0 &&
		    vt_poll(d->lib.fd, ktls_wants(d->lib.c)))
			continue;
		if (!CHECK(r > 0 && (size_t)r <= n - done,
			   "%zd, errno %d, peeked %zd, after %zu of %zu", r,
			   errno, k, done, n))
			return false;
		left = (size_t)r;
		for (int i = 0; i < count; i++) {
			const size_t j =
				left < iov[i].iov_len ? left : iov[i].iov_len;
			bool ok = memcmp(buf + at, p + done, j) == 0;

			for (size_t m = j; m < iov[i].iov_len + 3; m++)
				ok = ok && buf[at + m] == 0xee;
			if (!CHECK(ok, "element %d of %zd bytes", i, r))
				return false;
			at += iov[i].iov_len + 3;
			done += j;
			left -= j;
		}
	}
	return true;
}

static void shapes(struct vt_duo *d)
{
	static const size_t one[] = {1}, large[] = {100000};
	static const size_t odd[] = {0, 1, 100, 0, 16383, 4097, 0, 5};
	static const size_t lengths[] = {1, 100, 16384, 16385, 60000};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const size_t n = lengths[i];

		vt_case("ktls_readv, %zu bytes", n);
		peer_sends(d, vt_data + i, n);
		if (!gathers(d, vt_data + i, n, odd, 8, 8))
			return;
		peer_sends(d, vt_data + i, n);
		if (!gathers(d, vt_data + i, n, odd, 8, 300))
			return;
		peer_sends(d, vt_data + i, n);
		if (!gathers(d, vt_data + i, n, large, 1, 1) ||
		    !gathers(d, vt_data, 0, one, 1, 1))
			return;
		peer_sends(d, vt_data + i, 3000);
		if (!gathers(d, vt_data + i, 3000, one, 1, ELEMENTS))
			return;
	}
}

static void ticket(struct vt_duo *d)
{
	if (SSL_version(d->ssl) != TLS1_3_VERSION || !SSL_is_server(d->ssl))
		return;
	MUST(SSL_new_session_ticket(d->ssl) == 1);
	MUST(SSL_do_handshake(d->ssl) == 1);
}

static ssize_t peek(struct vt_duo *d, void *buf, size_t len)
{
	ssize_t n;

	while ((n = ktls_peek(d->lib.c, buf, len)) < 0 && errno == EAGAIN)
		if (!vt_poll(d->lib.fd, ktls_wants(d->lib.c))) {
			errno = ETIMEDOUT;
			return -1;
		}
	return n;
}

/* Of all lengths, again and again, with control records in front. */
static void peeks(struct vt_duo *d)
{
	static const size_t sizes[] = {1000, 1};
	uint8_t buf[2000];
	char c;

	vt_case("ktls_peek");
	ticket(d);
	peer_sends(d, vt_data + 50, 1000);
	ticket(d);
	ticket(d);
	peer_sends(d, vt_data + 1050, 500);
	for (size_t n = 1; n <= 2000; n = n * 3 + 1) {
		ssize_t r = peek(d, buf, n);

		CHECK(r > 0 && (size_t)r <= n && r <= 1500 &&
			      memcmp(buf, vt_data + 50, (size_t)r) == 0,
		      "%zd of %zu, errno %d", r, n, errno);
		if (n <= 1000)
			CHECK((size_t)r == n, "%zd of %zu", r, n);
	}
	/* a part is read, then peeked at and read in turns */
	CHECK(ktls_read(d->lib.c, buf, 100) == 100 &&
		      memcmp(buf, vt_data + 50, 100) == 0,
	      "errno %d", errno);
	CHECK(peek(d, buf, 10) == 10 && memcmp(buf, vt_data + 150, 10) == 0,
	      "errno %d", errno);
	gathers(d, vt_data + 150, 1400, sizes, 2, 2);
	CHECK(ktls_peek(d->lib.c, &c, 1) == -1 && errno == EAGAIN, "errno %d",
	      errno);
	/* a control record alone is not data */
	ticket(d);
	poll(NULL, 0, 5);
	CHECK(ktls_peek(d->lib.c, &c, 1) == -1 && errno == EAGAIN &&
		      ktls_wants(d->lib.c) == POLLIN,
	      "errno %d", errno);
}

static void ends(const struct vt_kind *k, bool notify)
{
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	uint8_t buf[200];
	struct vt_duo d;
	ssize_t r;

	vt_case("%s: ktls_peek, %s", vt_kind_name(k),
		notify ? "close_notify" : "FIN");
	if (!vt_duo_open(&d, k->suite, k->server, &policy))
		return;
	peer_sends(&d, vt_data, 100);
	ticket(&d);
	if (notify)
		SSL_shutdown(d.ssl);
	shutdown(d.fd, SHUT_WR);
	for (int i = 0; i < 3; i++) {
		r = peek(&d, buf, sizeof(buf));
		CHECK(r == 100 && memcmp(buf, vt_data, 100) == 0,
		      "%zd, errno %d", r, errno);
	}
	r = vt_duo_lib_read(&d, buf, sizeof(buf));
	CHECK(r == 100 && memcmp(buf, vt_data, 100) == 0, "%zd, errno %d", r,
	      errno);
	for (int i = 0; i < 3; i++) {
		r = i == 1 ? vt_duo_lib_read(&d, buf, 9) : peek(&d, buf, 9);
		if (notify)
			CHECK(r == 0, "%d: %zd, errno %d", i, r, errno);
		else
			CHECK(r == -1 && errno == ECONNABORTED,
			      "%d: %zd, errno %d", i, r, errno);
	}
	vt_duo_to_peer(&d, 9, 20000);
	vt_duo_drop(&d);
}

/* The same with a peer that sends on, and an end that may block. */
static void stream(const struct vt_kind *k)
{
	static const size_t sizes[] = {1, 70000, 300, 16384, 16385, 200000};
	static const size_t lengths[] = {0, 1000, 7, 20000, 0, 1};
	static uint8_t buf[65536], peeked[3000];
	struct iovec iov[6];
	struct vt_line l;
	ssize_t r, n = 0;

	vt_case("%s: ktls_readv, a stream", vt_kind_name(k));
	vt_line_init(&l, k, NULL, NULL);
	vt_stream_init(&l.p.out, 555, sizes, 6);
	l.p.closes_first = true;
	if (!vt_line_start(&l))
		return;
	for (;;) {
		spread(iov, buf, lengths, 6, 6);
		if (l.e.in.count % 3 == 0) {
			n = ktls_peek(l.e.c, peeked, sizeof(peeked));
			if (n < 0 && !vt_line_again(&l, "ktls_peek"))
				break;
		}
		r = ktls_readv(l.e.c, iov, 6);
		if (n > 0 && r > 0)
			CHECK(peeked[0] == *(uint8_t *)iov[1].iov_base,
			      "peeked at another byte");
		n = 0;
		if (r == 0)
			break;
		if (r < 0 && !vt_line_again(&l, "ktls_readv"))
			break;
		for (int i = 0; i < 6 && r > 0; i++) {
			const size_t j = (size_t)r < iov[i].iov_len
						 ? (size_t)r
						 : iov[i].iov_len;

			vt_sink_add(&l.e.in, iov[i].iov_base, j);
			r -= (ssize_t)j;
		}
	}
	vt_sink_check(&l.e.in, &l.p.out, l.p.out.total, "libktls");
	vt_line_close(&l);
	vt_wire_free(&l.w);
}

void vt_readv_cases(const struct vt_kind *k)
{
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	struct vt_duo d;

	stream(k);
	if (k->blocking)
		return;
	vt_case("%s: ktls_readv, step by step", vt_kind_name(k));
	if (vt_duo_open(&d, k->suite, k->server, &policy)) {
		arguments(&d);
		shapes(&d);
		peeks(&d);
		vt_duo_close(&d);
	}
	ends(k, true);
	ends(k, false);
}
