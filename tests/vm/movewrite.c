/* SPDX-License-Identifier: MIT */
/* ktls-vm-move: ktls_writev(), and KTLS_MORE with every call that sends. */
#include "move.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ELEMENTS = 1024 /* IOV_MAX */ };

/* What must be refused, or do nothing. */
static void arguments(const struct vt_kind *k)
{
	static struct iovec many[ELEMENTS + 1];
	char c = 'x';
	const struct iovec empty[] = {{NULL, 0}, {&c, 0}, {NULL, 0}};
	const struct iovec null[] = {{&c, 1}, {NULL, 1}};
	const struct iovec huge[] = {{&c, SSIZE_MAX}, {&c, 1}};
	const struct {
		const struct iovec *iov;
		int count;
		int flags;
	} bad[] = {
		{null, 2, 0},	{huge, 2, 0},
		{empty, -1, 0}, {many, ELEMENTS + 1, 0},
		{NULL, 1, 0},	{empty, 1, 2},
		{empty, 1, -1}, {null, 1, KTLS_MORE | 4},
	};
	struct vt_line l;

	vt_case("%s: ktls_writev, arguments", vt_kind_name(k));
	if (!vt_line_open(&l, k))
		return;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ssize_t r;

		errno = 0;
		r = ktls_writev(l.e.c, bad[i].iov, bad[i].count, bad[i].flags);
		CHECK(r == -1 && errno == EINVAL, "%zu: %zd, errno %d", i, r,
		      errno);
	}
	CHECK(ktls_writev(NULL, empty, 1, 0) == -1 && errno == EINVAL, "NULL");
	for (int more = 0; more <= KTLS_MORE; more++) {
		CHECK(ktls_writev(l.e.c, empty, 3, more) == 0, "empty ones");
		CHECK(ktls_writev(l.e.c, empty, 0, more) == 0, "none");
		CHECK(ktls_writev(l.e.c, NULL, 0, more) == 0, "NULL, none");
		CHECK(ktls_writev(l.e.c, many, ELEMENTS, more) == 0, "many");
	}
	vt_line_close(&l);
	CHECK(l.w.count == 0, "%zu records of nothing", l.w.count);
	vt_wire_free(&l.w);
}

/* Sends the elements, from where each short count stopped. */
static bool all_of(struct vt_line *l, struct iovec *iov, int count, int flags)
{
	while (count > 0) {
		size_t sum = 0;
		ssize_t r;

		for (int i = 0; i < count; i++)
			sum += iov[i].iov_len;
		if (sum == 0)
			break;
		r = ktls_writev(l->e.c, iov, count, flags);
		if (!CHECK(r != 0 && r <= (ssize_t)sum, "%zd of %zu", r, sum))
			return false;
		if (r < 0 && !vt_line_again(l, "ktls_writev"))
			return false;
		l->shorts += r > 0 && (size_t)r < sum;
		for (size_t n = r > 0 ? (size_t)r : 0; n > 0;) {
			const size_t j = n < iov->iov_len ? n : iov->iov_len;

			vt_sink_add(&l->want, iov->iov_base, j);
			iov->iov_base = (uint8_t *)iov->iov_base + j;
			iov->iov_len -= j;
			n -= j;
			if (iov->iov_len == 0) {
				iov++;
				count--;
			}
		}
		while (count > 0 && iov->iov_len == 0) {
			iov++;
			count--;
		}
	}
	return true;
}

/* count elements of these lengths by turns; each elsewhere in vt_data. */
static bool shape(struct vt_line *l, const size_t *sizes, size_t n, int count)
{
	static struct iovec iov[ELEMENTS];
	size_t sum = 0;

	for (int i = 0; i < count; i++) {
		const size_t len = sizes[(size_t)i % n];

		/* nothing writes there */
		iov[i].iov_base =
			(void *)(uintptr_t)(vt_data + (size_t)i * 7919 % 4000000);
		iov[i].iov_len = len;
		if (len == 0 && i % 2)
			iov[i].iov_base = NULL;
		sum += len;
	}
	l->least += vt_wire_least(sum, VT_RECORD);
	return all_of(l, iov, count, 0);
}

static void shapes(const struct vt_kind *k)
{
	static const size_t one[] = {1};
	static const size_t large[] = {20000};
	static const size_t edge[] = {16384};
	static const size_t some[] = {0, 5, 0, 0, 16380, 1, 16384, 0};
	static const size_t small[] = {97, 1, 0, 130, 33};
	static const size_t odd[] = {1,	   3,  4095, 0,	   16383, 7,   4097,
				     8191, 13, 0,    2048, 16385, 511, 48467};
	struct vt_line l;
	bool ok;

	vt_case("%s: ktls_writev, shapes", vt_kind_name(k));
	if (!vt_line_open(&l, k))
		return;
	ok = shape(&l, one, 1, 1) && shape(&l, large, 1, 1) &&
	     shape(&l, edge, 1, 1) && shape(&l, edge, 1, 3) &&
	     shape(&l, some, 8, 8) && shape(&l, small, 5, ELEMENTS) &&
	     shape(&l, odd, 14, 14) && shape(&l, one, 1, ELEMENTS) &&
	     shape(&l, one, 1, 64) && shape(&l, one, 1, 65);
	vt_line_close(&l);
	if (ok)
		vt_records_full(&l);
	vt_wire_free(&l.w);
}

static bool more(struct vt_line *l, const uint8_t *p, size_t n, int flags)
{
	struct iovec iov = {(void *)(uintptr_t)p, n};

	return all_of(l, &iov, 1, flags);
}

/* Pieces of 1 to 5000 bytes make full records, whatever their borders. */
static void pieces(const struct vt_kind *k)
{
	struct vt_line l;
	size_t at = 0, n = 0;
	bool ok = true;

	vt_case("%s: KTLS_MORE, pieces", vt_kind_name(k));
	if (!vt_line_open(&l, k))
		return;
	while (ok && at < 150000) {
		n = at * 40503U % 5000 + 1;
		ok = more(&l, vt_data + at, n, KTLS_MORE);
		at += n;
	}
	ok = ok && more(&l, vt_data + at, 777, 0);
	l.least = vt_wire_least(at + 777, VT_RECORD);
	vt_line_close(&l);
	if (ok)
		vt_records_full(&l);
	for (size_t i = 0; ok && l.shorts == 0 && i + 1 < l.w.count; i++)
		CHECK(l.w.sizes[i] == VT_RECORD, "record %zu has %u bytes", i,
		      l.w.sizes[i]);
	vt_wire_free(&l.w);
}

/* An open record, and what comes next goes into it. */
static void mixed(const struct vt_kind *k)
{
	enum { HEAD = 1000, TAIL = VT_RECORD - HEAD };
	struct vt_line l;
	bool ok = true;

	vt_case("%s: KTLS_MORE, then any call", vt_kind_name(k));
	if (!vt_line_open(&l, k))
		return;
	for (int how = 0; ok && how < VT_METHODS; how++) {
		const size_t at = 40000 * (size_t)how;

		ok = more(&l, vt_data + 5, HEAD - 1, KTLS_MORE) &&
		     more(&l, vt_data + 9, 1, KTLS_MORE) &&
		     vt_line_send(&l, (enum vt_method)how, at, TAIL);
		l.least++;
		/* and one that takes two */
		ok = ok && more(&l, vt_data + 5, HEAD, KTLS_MORE) &&
		     vt_line_send(&l, (enum vt_method)how, at + 111, TAIL + 1);
		l.least += 2;
	}
	/* full without the need of another call */
	ok = ok && more(&l, vt_data + 77, 2 * VT_RECORD, KTLS_MORE);
	l.least += 2;
	/* and one that only the end closes */
	ok = ok && more(&l, vt_data + 99, 333, KTLS_MORE);
	l.least++;
	vt_line_close(&l);
	if (ok)
		vt_records_full(&l);
	vt_wire_free(&l.w);
}

/* Larger than every buffer on the way, and a peer that takes its time. */
static void large(const struct vt_kind *k)
{
	struct vt_line l;
	size_t at = 0;
	bool ok = true;

	vt_case("%s: ktls_writev, a slow peer", vt_kind_name(k));
	vt_line_init_slow(&l, k);
	l.p.read_size = 5000;
	if (!vt_line_start(&l))
		return;
	ok = vt_line_send(&l, VT_WRITEV, 31, 150000);
	while (ok && at < 120000) {
		const size_t n = at * 40503U % 30000 + 1;

		ok = more(&l, vt_data + at, n, at % 5 ? KTLS_MORE : 0);
		at += n;
	}
	vt_line_close(&l);
	CHECK(l.w.largest <= VT_RECORD, "a record of %zu bytes", l.w.largest);
	vt_wire_free(&l.w);
}

void vt_writev_cases(const struct vt_kind *k)
{
	arguments(k);
	shapes(k);
	pieces(k);
	mixed(k);
	large(k);
}
