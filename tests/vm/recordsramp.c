/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-records: the ramp. The first bytes of a connection, and the first
 * ones after it was idle, come in records of one TCP segment each.
 */
#include "records.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum {
	MSS = 1448,
	RAMP = 14000,
	IDLE = 250,
	PART = 60001,
	ODD = 4096 * 5 + 99
};

/* RFC 8446 section 5.2, RFC 5288 section 3: AES-GCM */
static size_t one_segment(const struct rec *r)
{
	const size_t overhead = SSL_version(r->l.e.ssl) == TLS1_3_VERSION
					? 5 + 1 + 16
					: 5 + 8 + 16;
	int mss = 0;
	socklen_t len = sizeof(mss);

	MUST(getsockopt(r->l.e.fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &len) == 0);
	return (size_t)mss - overhead < 512 ? 512 : (size_t)mss - overhead;
}

static bool ramp_open(struct rec *r, const struct vt_kind *k,
		      const struct ktls_policy *policy, int mss)
{
	int fd[2];

	vt_tcp_pair_small(fd, mss, 0);
	rec_init(r, k, policy, fd);
	return vt_line_start(&r->l);
}

/* ramp bytes came in small records, the rest in those of p->size. */
static void check_part(const struct rec *r, const struct rec_part *p,
		       size_t ramp, size_t small)
{
	const size_t n = vt_wire_least(ramp, small), rest = p->n - n * small;
	const size_t most = n + vt_wire_least(rest, p->size) + p->extra;
	const uint16_t *sizes = r->l.w.sizes + p->first;

	for (size_t i = 0; i < n && i < p->count; i++)
		CHECK(sizes[i] == small, "%s: record %zu has %u bytes, not %zu",
		      rec_how(p->how), i, sizes[i], small);
	CHECK(p->count <= most, "%s: %zu records, not %zu", rec_how(p->how),
	      p->count, most);
	if (n < p->count && rest > 2 * p->size)
		CHECK(sizes[n] > small || p->size <= small,
		      "%s: record %zu is small as well", rec_how(p->how), n);
}

/* By each method after idle time, and by another one at once. */
static void ramps(const struct vt_kind *k, uint32_t size, uint64_t ramp)
{
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	size_t small = 0, sent[REC_PARTS];
	bool ok = true;
	struct rec r;

	vt_case("%s: a ramp of %llu bytes, then records of %u", vt_kind_name(k),
		(unsigned long long)ramp, size);
	policy.record_size = size;
	policy.record_ramp = ramp;
	policy.record_idle = IDLE;
	if (!ramp_open(&r, k, &policy, MSS))
		return;
	small = one_segment(&r);
	for (int how = 0; ok && how < VT_METHODS; how++) {
		const size_t at = ODD + (size_t)how * 100000;
		const int64_t start = vt_now();

		sent[r.parts] = ramp;
		ok = rec_send(&r, (enum vt_method)how, at, PART);
		sent[r.parts] = 0;
		ok = ok && rec_send(&r, (enum vt_method)((how + 2) % VT_METHODS),
				    at, PART);
		/* it was idle in between, if this machine is as slow as that */
		if (vt_now() - start >= IDLE)
			sent[r.parts - 1] = SIZE_MAX;
		rec_expect(&r, size, true);
		poll(NULL, 0, IDLE + 30);
	}
	for (int i = 0; i < r.parts; i++) {
		r.part[i].extra += sent[i] ? vt_wire_least(PART, small) : 0;
		r.part[i].size = size;
	}
	if (rec_close(&r) && ok)
		for (int i = 0; i < r.parts; i++) {
			if (sent[i])
				r.part[i].extra -= vt_wire_least(PART, small);
			if (sent[i] != SIZE_MAX)
				check_part(&r, &r.part[i], sent[i], small);
		}
	rec_free(&r);
}

/* A size below that of a segment, and segments below the least size. */
static void small_ones(const struct vt_kind *k)
{
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	struct ktls_info i;
	struct rec r;

	vt_case("%s: a ramp, and records below a segment", vt_kind_name(k));
	policy.record_size = 600;
	policy.record_ramp = 3000;
	if (!ramp_open(&r, k, &policy, MSS))
		return;
	rec_send_all(&r, 10000);
	rec_expect(&r, 600, true);
	rec_close(&r);
	rec_free(&r);

	vt_case("%s: a ramp, and segments below any record", vt_kind_name(k));
	policy.record_size = 16384;
	policy.record_ramp = 30000;
	policy.record_idle = 100000;
	if (!ramp_open(&r, k, &policy, 500))
		return;
	rec_send(&r, VT_WRITE, 0, 1);
	/* what is left of the ramp */
	for (int how = 0; how < VT_METHODS; how++)
		rec_send(&r, (enum vt_method)how, ODD, 5120);
	vt_end_info(&r.l.e, &i);
	CHECK(i.record_size == 512, "record_size %u", i.record_size);
	/* r.part[0] was begun when no size was known yet */
	rec_close(&r);
	for (int j = 1; j < r.parts; j++)
		CHECK(r.part[j].size == 512 && r.part[j].count == 10,
		      "%s: %zu records of %zu", rec_how(r.part[j].how),
		      r.part[j].count, r.part[j].size);
	rec_free(&r);
}

/* Switched on and off later; a kernel's own size is less than a segment. */
static void switched(const struct vt_kind *k)
{
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	const bool kernel = k->tx == KTLS_REQUIRE && rec_kernel_cuts();
	struct ktls_info i;
	struct rec r;
	size_t small;

	vt_case("%s: a ramp that is switched on", vt_kind_name(k));
	policy.record_size = 1000;
	if (!ramp_open(&r, k, &policy, MSS))
		return;
	small = one_segment(&r);
	rec_send(&r, VT_WRITE, 0, 10000);
	policy.record_size = 16384;
	policy.record_ramp = UINT64_MAX;
	policy.record_idle = 100000;
	rec_set_policy(&r, &policy);
	rec_send(&r, VT_WRITE, 0, 1);
	vt_end_info(&r.l.e, &i);
	CHECK(i.record_size == (kernel ? 1000 : small), "record_size %u",
	      i.record_size);
	rec_send_all(&r, 20001);
	policy.record_ramp = 0;
	rec_set_policy(&r, &policy);
	rec_expect(&r, kernel ? 1000 : 16384, true);
	rec_send_all(&r, 20001);
	rec_close(&r);
	rec_free(&r);
}

/* A call that takes longer than record_idle is no idle time. */
static void slow(const struct vt_kind *k)
{
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	size_t small, n, first = 0;
	struct vt_line l;
	int fd[2];

	if (!k->blocking)
		return;
	vt_case("%s: a ramp, and a call that waits", vt_kind_name(k));
	policy.record_ramp = RAMP;
	policy.record_idle = 250;
	vt_tcp_pair_small(fd, MSS, 16384);
	vt_line_init(&l, k, &policy, fd);
	vt_set_sndbuf(l.e.fd, 16384);
	l.p.start_ms = 600;
	if (!vt_line_start(&l))
		return;
	/* both calls end when the peer has begun to read */
	vt_line_send(&l, VT_WRITE, 0, 300000);
	vt_line_send(&l, VT_WRITE, 7, 100000);
	vt_line_close(&l);
	for (n = 0; first < 300000; n++)
		first += l.w.sizes[n];
	small = l.w.sizes[0];
	CHECK(first == 300000 && small < MSS && n + 3 < l.w.count,
	      "%zu bytes in %zu records", first, n);
	CHECK(l.w.sizes[n] > small || l.w.sizes[n + 1] > small,
	      "the second call begins with small records");
	vt_wire_free(&l.w);
}

void rec_ramp_cases(const struct vt_kind *k)
{
	ramps(k, 16384, RAMP);
	if (!k->blocking)
		ramps(k, 4096, 1);
	small_ones(k);
	switched(k);
	slow(k);
}
