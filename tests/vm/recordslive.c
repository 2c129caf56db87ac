/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-records: sizes that change while the connection lives, and those
 * that the peer asked for, RFC 6066 section 4.
 */
#include "records.h"

#include <errno.h>
#include <string.h>

enum { PART = 50001 };

/* ktls_set_policy() of the size, and what is in effect then. */
static void set(struct rec *r, struct ktls_policy *policy, uint32_t size,
		uint32_t effect, bool fixed)
{
	policy->record_size = size;
	rec_set_policy(r, policy);
	rec_expect(r, effect, fixed);
}

static void both_ways(const struct vt_kind *k, uint32_t first)
{
	static const uint32_t others[] = {1000, 16384, 512, 4096, 5000};
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	const bool kernel = k->tx == KTLS_REQUIRE && rec_kernel_cuts();
	struct rec r;
	bool ok;

	vt_case("%s: records of %u, then others", vt_kind_name(k), first);
	policy.record_size = first;
	if (!rec_open(&r, k, &policy))
		return;
	rec_expect(&r, first, true);
	ok = rec_send_all(&r, PART);
	for (size_t i = 0; ok && i < sizeof(others) / sizeof(others[0]); i++) {
		/* what the kernel was told at first is an upper bound */
		const uint32_t effect =
			kernel && first < others[i] ? first : others[i];

		set(&r, &policy, others[i], effect, effect == first);
		ok = rec_send_all(&r, PART);
	}
	rec_close(&r);
	rec_free(&r);
}

static bool more(struct rec *r, size_t at, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)(vt_data + at), n};
	const ssize_t k = ktls_writev(r->l.e.c, &iov, 1, KTLS_MORE);

	if (!CHECK(k == (ssize_t)n, "%zd of %zu, errno %d", k, n, errno))
		return false;
	vt_line_took(&r->l, vt_data + at, n, n);
	return true;
}

/* The record that is open has its bytes, and may have too many by now. */
static void open_record(const struct vt_kind *k)
{
	static const uint16_t sizes[] = {3000, 1000, 1000, 500, 1000,
					 1000, 2400, 513,  512, 188};
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	struct rec r;

	vt_case("%s: a new size while a record is open", vt_kind_name(k));
	if (!rec_open(&r, k, &policy))
		return;
	more(&r, 0, 3000);
	set(&r, &policy, 1000, 1000, false);
	vt_line_send(&r.l, VT_WRITE, 3000, 2500);
	set(&r, &policy, 16384, 16384, false);
	more(&r, 9, 400);
	set(&r, &policy, 1000, 1000, false);
	vt_line_send(&r.l, VT_FILE, 77, 1600);
	more(&r, 5, 400);
	set(&r, &policy, 5000, 5000, false);
	vt_line_send(&r.l, VT_SPANS, 77, 2000);
	/* the smaller size leaves no room at all */
	more(&r, 1, 400);
	more(&r, 8, 112);
	more(&r, 8, 1);
	set(&r, &policy, 512, 512, false);
	vt_line_send(&r.l, VT_SPLICE, 21, 700);
	rec_close(&r);
	rec_sizes(&r, sizes, sizeof(sizes) / sizeof(sizes[0]));
	rec_free(&r);
}

/* What ktls_set_policy() refuses changes nothing. */
static void refused(const struct vt_kind *k)
{
	struct ktls_policy policy = vt_policy(k->tx, k->rx), bad;
	struct ktls_info before, after;
	struct rec r;

	vt_case("%s: policies that are refused", vt_kind_name(k));
	policy.record_size = 4096;
	policy.budget = 100000;
	if (!rec_open(&r, k, &policy))
		return;
	vt_end_info(&r.l.e, &before);
	for (int i = 0; i < 7; i++) {
		bad = policy;
		bad.budget = 5000;
		bad.record_size = 600;
		bad.record_ramp = 100;
		switch (i) {
		case 0:
			bad.record_size = 511;
			break;
		case 1:
			bad.record_size = 16385;
			break;
		case 2:
			bad.budget = 0;
			break;
		case 3:
			bad.tx = k->tx == KTLS_OFF ? KTLS_AUTO : KTLS_OFF;
			break;
		case 4:
			bad.rx = KTLS_AUTO;
			break;
		case 5:
			bad.stall_guard = KTLS_REQUIRE;
			break;
		default:
			bad.size = sizeof(bad) - 8;
		}
		errno = 0;
		CHECK(ktls_set_policy(r.l.e.c, &bad) == -1 && errno == EINVAL,
		      "%d: errno %d", i, errno);
		vt_end_info(&r.l.e, &after);
		/* the peer acknowledges the handshake when it likes */
		after.unacked = before.unacked;
		CHECK(memcmp(&before, &after, sizeof(before)) == 0,
		      "%d: something has changed", i);
	}
	CHECK(ktls_set_policy(r.l.e.c, NULL) == -1 && errno == EINVAL, "NULL");
	CHECK(ktls_set_policy(NULL, &policy) == -1 && errno == EINVAL, "NULL");
	rec_send_all(&r, PART);
	rec_close(&r);
	rec_free(&r);
}

/* In user space at first, where the size changes; then in the kernel. */
static void later(const struct vt_kind *k)
{
	struct ktls_policy policy = vt_policy(KTLS_AUTO, KTLS_OFF);
	struct ktls_info i;
	struct rec r;
	bool ok = true;

	vt_case("%s: a size set before TX moves", vt_kind_name(k));
	policy.offload_after = 200000;
	if (!rec_open(&r, k, &policy))
		return;
	policy.record_size = 2000;
	rec_set_policy(&r, &policy);
	for (int n = 0; ok && n < 4; n++) {
		vt_end_info(&r.l.e, &i);
		CHECK((i.tx.mode != KTLS_MODE_USER) == (n > 2),
		      "mode %u after %llu bytes", i.tx.mode,
		      (unsigned long long)i.tx.bytes);
		ok = rec_send_all(&r, 15000);
	}
	rec_expect(&r, 2000, true);
	rec_close(&r);
	rec_free(&r);
}

void rec_live_cases(const struct vt_kind *k)
{
	both_ways(k, 16384);
	both_ways(k, 4096);
	open_record(k);
	refused(k);
	if (k->tx == KTLS_REQUIRE)
		later(k);
}

/* The client asks for it, whichever end it is. */
static void limited(const struct vt_kind *k, uint8_t code, uint32_t size)
{
	const uint32_t limit = (uint32_t)256 << code;
	const uint32_t effect = size < limit ? size : limit;
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	struct ktls_info i;
	struct rec r;

	vt_case("%s: max_fragment_length %u, record_size %u", vt_kind_name(k),
		limit, size);
	policy.record_size = size;
	rec_init(&r, k, &policy, NULL);
	MUST(SSL_set_tlsext_max_fragment_length(
		     k->server ? r.l.p.ssl : r.l.e.ssl, code) == 1);
	if (!vt_line_start(&r.l))
		return;
	vt_end_info(&r.l.e, &i);
	CHECK(i.record_limit == limit, "record_limit %u", i.record_limit);
	CHECK(i.record_size_asked == size, "asked for %u", i.record_size_asked);
	rec_expect(&r, effect, true);
	rec_send_all(&r, 30001);
	/* the policy does not outdo the peer */
	policy.record_size = 16384;
	rec_set_policy(&r, &policy);
	if (size >= limit || k->tx == KTLS_OFF || !rec_kernel_cuts())
		rec_expect(&r, limit, size >= limit);
	rec_send_all(&r, 30001);
	rec_close(&r);
	rec_free(&r);
}

void rec_limit_cases(const struct vt_kind *k)
{
	limited(k, TLSEXT_max_fragment_length_512, 16384);
	limited(k, TLSEXT_max_fragment_length_1024, 16384);
	limited(k, TLSEXT_max_fragment_length_2048, 1000);
	limited(k, TLSEXT_max_fragment_length_4096, 5000);
}
