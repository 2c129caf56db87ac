/* SPDX-License-Identifier: MIT */
/* ktls-vm-move: ktls_sendfilev(). */
#include "move.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SPANS = 1024 };

static struct ktls_span memory(size_t at, size_t len)
{
	return (struct ktls_span){.buf = vt_data + at, .len = len, .fd = -1};
}

static struct ktls_span range(size_t at, size_t len)
{
	return (struct ktls_span){.fd = vt_file, .offset = (off_t)at, .len = len};
}

/* The bytes before the place where the cursor stands. */
static size_t place(const struct ktls_span *s, int n, const struct ktls_cursor *c)
{
	size_t sum = 0;

	for (int i = 0; i < c->span && i < n; i++)
		sum += s[i].len;
	return sum + (size_t)c->done;
}

/* The spans' bytes, which are all in vt_data, from there on. */
static void expect(struct vt_line *l, const struct ktls_span *s, size_t from,
		   size_t n)
{
	for (; n > 0; s++) {
		const uint8_t *p = s->buf ? s->buf : vt_data + s->offset;
		size_t k = s->len;

		if (from >= k) {
			from -= k;
			continue;
		}
		k = k - from < n ? k - from : n;
		vt_sink_add(&l->want, p + from, k);
		from = 0;
		n -= k;
	}
}

/* Until it says 0; the cursor is checked on the way. False: reported. */
static bool all_from(struct vt_line *l, const struct ktls_span *s, int n,
		     struct ktls_cursor c)
{
	const struct ktls_cursor end = {.span = n};
	const size_t total = place(s, n, &end), start = place(s, n, &c);
	const uint64_t before = c.total;
	size_t at = start;

	for (;;) {
		const ssize_t r = ktls_sendfilev(l->e.c, s, n, &c);
		const size_t now = place(s, n, &c);

		if (!CHECK(now == at + (r > 0 ? (size_t)r : 0) &&
				   c.total - before == now - start,
			   "%zd; cursor from %zu to %zu, total %llu", r, at,
			   now, (unsigned long long)c.total))
			return false;
		if (r > 0) {
			expect(l, s, at, (size_t)r);
			l->shorts += now < total;
			at = now;
		}
		if (r < 0 && !vt_line_again(l, "ktls_sendfilev"))
			return false;
		if (r == 0)
			break;
	}
	return CHECK(at == total && c.span == n && c.done == 0,
		     "0 at %zu of %zu: span %d, done %llu", at, total, c.span,
		     (unsigned long long)c.done);
}

static bool all_of(struct vt_line *l, const struct ktls_span *s, int n)
{
	const struct ktls_cursor zero = {0}, end = {.span = n};

	l->least += vt_wire_least(place(s, n, &end), VT_RECORD);
	return all_from(l, s, n, zero);
}

static int multipart(struct ktls_span *s)
{
	int n = 0;

	for (size_t i = 0; i < 20; i++) {
		s[n++] = memory(7 + 211 * i, 90 + i);
		s[n++] = range(4093 * i + 1, 3000 * i + 17);
		s[n++] = memory(500 + i, 2);
	}
	return n;
}

static void shapes(const struct vt_kind *k)
{
	static struct ktls_span s[SPANS];
	struct vt_line l;
	size_t files = 0;
	bool ok;
	int n;

	vt_case("%s: ktls_sendfilev, shapes", vt_kind_name(k));
	if (!vt_line_open(&l, k))
		return;
	ok = all_of(&l, NULL, 0);
	s[0] = memory(10, 300);
	s[1] = range(12345, 100000);
	s[2] = memory(20, 20);
	ok = ok && all_of(&l, s, 3) && all_of(&l, s + 1, 1) &&
	     all_of(&l, s + 1, 2) && all_of(&l, s, 2);
	s[1] = range(0, 70000);
	ok = ok && all_of(&l, s, 3);
	/* at and around the edges of records, pages and pipes */
	for (size_t i = 0; ok && i < 3; i++) {
		s[0] = memory(30, VT_RECORD - 1 + i);
		s[1] = range(4095 + i, 2 * VT_RECORD);
		s[2] = range(4096 * i, 65536);
		s[3] = memory(40, 1);
		ok = all_of(&l, s, 4);
	}
	n = multipart(s);
	ok = ok && all_of(&l, s, n);
	for (n = 0; n < 1000; n++)
		s[n] = n % 3 ? memory(61 * (size_t)n, 1 + (size_t)n % 50)
			     : range(4999 * (size_t)n, 1 + (size_t)n % 47);
	ok = ok && all_of(&l, s, n);
	/* empty ones, with or without anything that they name */
	for (n = 0; n < SPANS; n++) {
		memset(&s[n], 0, sizeof(s[n]));
		s[n].fd = -1;
		if (n % 5 == 1)
			s[n] = memory(17 * (size_t)n, 40);
		if (n % 7 == 2)
			s[n] = range((size_t)n, 0);
	}
	ok = ok && all_of(&l, s, n);
	vt_line_close(&l);
	/* a file that does not begin with a page: once for each of them */
	files = 12;
	CHECK(!ok || (l.w.count >= l.least &&
		      l.w.count <= l.least + l.shorts + files),
	      "%zu records for %zu bytes, not %zu, and %zu short counts",
	      l.w.count, l.w.bytes, l.least, l.shorts);
	vt_wire_free(&l.w);
}

/* Every call stops after a few bytes, and goes on from there. */
static void any_byte(const struct vt_kind *k)
{
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	struct ktls_span s[60];
	struct ktls_cursor c;
	struct vt_line l;
	bool ok = true;
	int n;

	vt_case("%s: ktls_sendfilev stops at any byte", vt_kind_name(k));
	policy.budget = 7;
	vt_line_init(&l, k, &policy, NULL);
	if (!vt_line_start(&l))
		return;
	s[0] = memory(1, 23);
	s[1] = range(4090, 100);
	s[2] = memory(2, 1);
	s[3] = range(4, 1);
	s[4] = memory(3, 11);
	ok = all_of(&l, s, 5);
	/* the caller may put it anywhere */
	policy.budget = 1 << 20;
	CHECK(ktls_set_policy(l.e.c, &policy) == 0, "errno %d", errno);
	for (int i = 0; ok && i < 5; i++)
		for (size_t j = 0; ok && j <= s[i].len; j += 1 + s[i].len / 3) {
			memset(&c, 0, sizeof(c));
			c.span = i;
			c.done = j;
			c.total = 1000;
			ok = all_from(&l, s, 5, c);
		}
	policy.budget = 12347;
	CHECK(ktls_set_policy(l.e.c, &policy) == 0, "errno %d", errno);
	n = multipart(s);
	ok = ok && all_of(&l, s, n);
	vt_line_close(&l);
	vt_wire_free(&l.w);
}

static void slow(const struct vt_kind *k)
{
	struct ktls_span s[60];
	struct vt_line l;
	bool ok;

	vt_case("%s: ktls_sendfilev, a slow peer", vt_kind_name(k));
	vt_line_init_slow(&l, k);
	l.p.read_size = 3000;
	if (!vt_line_start(&l))
		return;
	ok = all_of(&l, s, multipart(s));
	s[0] = memory(33, 3);
	s[1] = range(70001, 150000);
	s[2] = memory(44, 50000);
	ok = ok && all_of(&l, s, 3);
	vt_line_close(&l);
	vt_wire_free(&l.w);
}

/* A file that ends early, and goes on later. */
static void truncated(const struct vt_kind *k, size_t has)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	struct ktls_span s[] = {memory(0, 100), range(0, 50000), memory(7, 9)};
	struct ktls_error error = {.size = sizeof(error)};
	struct ktls_cursor c = {0};
	struct vt_line l;
	size_t at = 0;
	ssize_t r;

	vt_case("%s: ktls_sendfilev, a file of %zu", vt_kind_name(k), has);
	MUST(fd >= 0 && pwrite(fd, vt_data, has, 0) == (ssize_t)has);
	s[1].fd = fd;
	if (!vt_line_open(&l, k))
		return;
	while ((r = ktls_sendfilev(l.e.c, s, 3, &c)) > 0 ||
	       (r < 0 && errno == EAGAIN && vt_line_again(&l, "sendfilev"))) {
		expect(&l, s, at, r > 0 ? (size_t)r : 0);
		at += r > 0 ? (size_t)r : 0;
	}
	for (int i = 0; i < 2; i++) {
		CHECK(r == -1 && errno == ENODATA, "%zd, errno %d", r, errno);
		CHECK(at == 100 + has && c.total == at && c.span == 1 &&
			      c.done == has,
		      "%zu: span %d, done %llu", at, c.span,
		      (unsigned long long)c.done);
		CHECK(ktls_get_error(l.e.c, &error) == 0 && error.code == ENODATA,
		      "code %d", error.code);
		r = ktls_sendfilev(l.e.c, s, 3, &c);
	}
	MUST(pwrite(fd, vt_data, 50000, 0) == 50000);
	all_from(&l, s, 3, c);
	vt_line_close(&l);
	vt_wire_free(&l.w);
	close(fd);
}

static void bad(struct vt_line *l, const struct ktls_span *s, int n,
		struct ktls_cursor c, int code, int line)
{
	const struct ktls_cursor old = c;
	ssize_t r;

	errno = 0;
	r = ktls_sendfilev(l->e.c, s, n, &c);
	CHECK(r == -1 && errno == code, "line %d: %zd, errno %d, not %d", line,
	      r, errno, code);
	CHECK(memcmp(&old, &c, sizeof(c)) == 0, "line %d: the cursor moved",
	      line);
}

#define BAD(s, n, code, ...)                                                   \
	bad(&l, s, n, (struct ktls_cursor){__VA_ARGS__}, code, __LINE__)

static void refused(const struct vt_kind *k)
{
	struct ktls_span s[] = {memory(0, 10), range(0, 10)}, *one = s + 1;
	struct ktls_cursor c = {0};
	int p[2], u[2], dir;
	struct vt_line l;

	vt_case("%s: ktls_sendfilev, arguments", vt_kind_name(k));
	if (!vt_line_open(&l, k))
		return;
	MUST(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, u) == 0);
	MUST(write(p[1], "x", 1) == 1 && write(u[1], "x", 1) == 1);
	dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(dir >= 0);
	BAD(s, -1, EINVAL, .span = 0);
	BAD(s, SPANS + 1, EINVAL, .span = 0);
	BAD(NULL, 2, EINVAL, .span = 0);
	BAD(s, 2, EINVAL, .span = -1);
	BAD(s, 2, EINVAL, .span = 3);
	BAD(s, 2, EINVAL, .span = 0, .done = 11);
	BAD(s, 2, EINVAL, .span = 2, .done = 1);
	BAD(s, 2, EINVAL, .span = 0, .reserved = 1);
	CHECK(ktls_sendfilev(l.e.c, s, 2, NULL) == -1 && errno == EINVAL,
	      "no cursor");
	CHECK(ktls_sendfilev(NULL, s, 2, &c) == -1 && errno == EINVAL, "NULL");
	s[1].offset = -1;
	BAD(s, 2, EINVAL, .span = 0);
	s[1].offset = INT64_MAX - 9;
	BAD(s, 2, EOVERFLOW, .span = 0);
	s[1].offset = 0;
	s[1].reserved = 1;
	BAD(s, 2, EINVAL, .span = 0);
	s[1].reserved = 0;
	s[1].fd = p[0];
	BAD(one, 1, EINVAL, .span = 0);
	s[1].fd = u[0];
	BAD(one, 1, EINVAL, .span = 0);
	s[1].fd = dir;
	BAD(one, 1, EINVAL, .span = 0);
	s[1].fd = -1;
	BAD(one, 1, EBADF, .span = 0);
	/* what comes before it is sent */
	CHECK(ktls_sendfilev(l.e.c, s, 2, &c) == 10 && c.span == 1 && c.done == 0,
	      "span %d, errno %d", c.span, errno);
	vt_sink_add(&l.want, vt_data, 10);
	CHECK(ktls_sendfilev(l.e.c, s, 2, &c) == -1 && errno == EBADF,
	      "errno %d", errno);
	s[1].fd = vt_file;
	CHECK(all_from(&l, s, 2, c), "after the failures");
	/* at the end nothing is left, again and again */
	c = (struct ktls_cursor){.span = 2, .total = 5};
	CHECK(ktls_sendfilev(l.e.c, s, 2, &c) == 0 && c.total == 5,
	      "at the end");
	vt_line_close(&l);
	for (int i = 0; i < 2; i++) {
		close(p[i]);
		close(u[i]);
	}
	close(dir);
	vt_wire_free(&l.w);
}

void vt_spans_cases(const struct vt_kind *k)
{
	shapes(k);
	any_byte(k);
	slow(k);
	truncated(k, 0);
	truncated(k, 5000);
	truncated(k, 4096 * 5);
	refused(k);
}
