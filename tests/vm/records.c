/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-records [PART]: sizes of records as the peer gets them, whoever
 * cuts them and whichever call sends.
 *
 * No record may have more than the size in effect, and n bytes of one call
 * come in ceil(n / size) records. There are more
 * - of a file, by one, where the kernel itself ends records at a size of which
 *   a pipe's worth of pages (64 KiB) is a multiple: the first sendfile(2) goes
 *   to the end of a page, so that all that follow begin at one;
 * - of a pipe, by one for each time that it is filled: nothing waits for the
 *   next filling;
 * - by one for each short count.
 */
#include "records.h"

#include "vmnet.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TLS12 (&vt_suites[0])
#define TLS13 (&vt_suites[6])

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

enum {
	MAX_PAYLOAD_LEN = 5, /* TLS_TX_MAX_PAYLOAD_LEN */
	PIPE_BYTES = 65536,
	BUFFER = 8 * 1024 * 1024,
	ODD = 4096 * 3 + 17 /* not at a page */
};

static const struct vt_kind kinds[] = {
	{TLS13, KTLS_REQUIRE, KTLS_OFF, true, false},
	{TLS12, KTLS_REQUIRE, KTLS_OFF, false, true},
	{TLS13, KTLS_OFF, KTLS_OFF, false, true},
	{TLS12, KTLS_OFF, KTLS_OFF, true, false},
};

bool rec_kernel_cuts(void)
{
	static int known = -1;
	const uint16_t max = 4096;
	int fd[2];

	if (known < 0) {
		vt_tcp_pair(fd);
		known = setsockopt(fd[0], IPPROTO_TCP, TCP_ULP, "tls", 3) == 0 &&
			setsockopt(fd[0], SOL_TLS, MAX_PAYLOAD_LEN, &max,
				   sizeof(max)) == 0;
		close(fd[0]);
		close(fd[1]);
	}
	return known;
}

const char *rec_how(enum vt_method how)
{
	static const char *const names[] = {"write", "writev", "sendfile",
					    "sendfilev", "splice"};

	return names[how];
}

void rec_init(struct rec *r, const struct vt_kind *k,
	      const struct ktls_policy *policy, const int pair[2])
{
	const int size = BUFFER;

	memset(r, 0, sizeof(*r));
	vt_line_init(&r->l, k, policy, pair);
	/* what the socket does not take ends a record early */
	if (setsockopt(r->l.e.fd, SOL_SOCKET, SO_SNDBUFFORCE, &size,
		       sizeof(size)) < 0)
		vt_set_sndbuf(r->l.e.fd, BUFFER);
}

bool rec_open(struct rec *r, const struct vt_kind *k,
	      const struct ktls_policy *policy)
{
	rec_init(r, k, policy, NULL);
	return vt_line_start(&r->l);
}

static size_t extra(const struct ktls_info *i, enum vt_method how, size_t n)
{
	switch (how) {
	case VT_FILE:
	case VT_SPANS:
		return i->record_sizing == KTLS_SIZING_KERNEL &&
		       PIPE_BYTES % i->record_size == 0;
	case VT_SPLICE:
		return n / PIPE_BYTES;
	case VT_WRITE:
	case VT_WRITEV:
	case VT_METHODS:
		break;
	}
	return 0;
}

bool rec_send(struct rec *r, enum vt_method how, size_t base, size_t n)
{
	struct rec_part *p = &r->part[r->parts++];
	const size_t shorts = r->l.shorts;
	struct ktls_info i;
	bool ok;

	MUST(r->parts <= REC_PARTS);
	vt_end_info(&r->l.e, &i);
	*p = (struct rec_part){.how = how, .n = n, .size = i.record_size};
	ok = vt_line_send(&r->l, how, base, n);
	/* a ramp has an end, and what counts is what comes after it */
	vt_end_info(&r->l.e, &i);
	p->extra = extra(&i, how, n) + r->l.shorts - shorts;
	return ok;
}

bool rec_send_all(struct rec *r, size_t n)
{
	bool ok = true;

	for (int how = 0; ok && how < VT_METHODS; how++)
		ok = rec_send(r, (enum vt_method)how,
			      ODD + (size_t)how * 400000, n);
	return ok;
}

/* Where the part ends; 0: no record ends there. */
static size_t find(const struct vt_wire *w, struct rec_part *p, size_t first)
{
	size_t sum = 0, i;

	for (i = first; i < w->count && sum < p->n; i++) {
		CHECK(w->sizes[i] <= p->size, "%s: record %zu has %u bytes",
		      rec_how(p->how), i - first, w->sizes[i]);
		sum += w->sizes[i];
	}
	p->first = first;
	p->count = i - first;
	return sum == p->n ? i : 0;
}

bool rec_close(struct rec *r)
{
	const struct vt_wire *w = &r->l.w;
	size_t at = 0;

	vt_line_close(&r->l);
	MUST(w->count <= VT_WIRE_MAX);
	for (int i = 0; i < r->parts; i++) {
		struct rec_part *p = &r->part[i];
		const size_t least = vt_wire_least(p->n, p->size);

		at = find(w, p, at);
		if (!CHECK(at > 0, "%s: %zu bytes are not whole records",
			   rec_how(p->how), p->n))
			return false;
		CHECK(p->count <= least + p->extra,
		      "%s: %zu bytes in %zu records of %zu, not %zu + %zu",
		      rec_how(p->how), p->n, p->count, p->size, least, p->extra);
	}
	return r->parts == 0 ||
	       CHECK(at == w->count, "%zu records, not %zu", w->count, at);
}

void rec_free(struct rec *r)
{
	vt_wire_free(&r->l.w);
}

void rec_sizes(const struct rec *r, const uint16_t *sizes, size_t n)
{
	CHECK(r->l.w.count == n, "%zu records, not %zu", r->l.w.count, n);
	for (size_t i = 0; i < n && i < r->l.w.count; i++)
		CHECK(r->l.w.sizes[i] == sizes[i],
		      "record %zu has %u bytes, not %u", i, r->l.w.sizes[i],
		      sizes[i]);
}

void rec_expect(const struct rec *r, size_t size, bool fixed)
{
	const bool kernel = r->l.kind->tx == KTLS_REQUIRE;
	const uint32_t sizing =
		!kernel ? KTLS_SIZING_OPENSSL
		: size == VT_RECORD || (fixed && rec_kernel_cuts())
			? KTLS_SIZING_KERNEL
			: KTLS_SIZING_CALLS;
	struct ktls_info i;

	vt_end_info(&r->l.e, &i);
	CHECK(i.record_size == size, "record_size %u, not %zu", i.record_size,
	      size);
	CHECK(i.record_sizing == sizing, "record_sizing %u, not %u",
	      i.record_sizing, sizing);
}

void rec_set_policy(struct rec *r, const struct ktls_policy *policy)
{
	struct ktls_info i;

	CHECK(ktls_set_policy(r->l.e.c, policy) == 0, "errno %d", errno);
	vt_end_info(&r->l.e, &i);
	CHECK(i.record_size_asked == policy->record_size &&
		      i.record_ramp == policy->record_ramp &&
		      i.budget == policy->budget,
	      "record_size %u, record_ramp %llu, budget %llu",
	      i.record_size_asked, (unsigned long long)i.record_ramp,
	      (unsigned long long)i.budget);
}

static void sizes(const struct vt_kind *k)
{
	static const uint32_t all[] = {512,  1000,  1024, 4096,
				       5000, 12288, 16384};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct ktls_policy policy = vt_policy(k->tx, k->rx);
		struct rec r;
		bool ok;

		vt_case("%s: records of %u", vt_kind_name(k), all[i]);
		policy.record_size = all[i];
		if (!rec_open(&r, k, &policy))
			continue;
		rec_expect(&r, all[i], true);
		/* several calls of sendfile(2), or less than a record */
		ok = rec_send_all(&r, all[i] < 4096 ? 70001 : 200001) &&
		     rec_send_all(&r, 3 * all[i]) && rec_send_all(&r, 511);
		rec_expect(&r, all[i], true);
		if (rec_close(&r) && ok)
			printf("%s, %u: %zu, %zu, %zu, %zu, %zu records\n",
			       vt_kind_name(k), all[i], r.part[0].count,
			       r.part[1].count, r.part[2].count,
			       r.part[3].count, r.part[4].count);
		rec_free(&r);
	}
}

static void run(const struct vt_kind *k, const char *only)
{
	/* the others are as they are on loopback, and so is what limits calls */
	const bool nic = k->suite == TLS12 && k->tx == KTLS_REQUIRE;
	static const struct {
		const char *name;
		void (*cases)(const struct vt_kind *k);
		bool loopback;
	} parts[] = {
		{"sizes", sizes, false},
		{"live", rec_live_cases, false},
		{"limit", rec_limit_cases, false},
		{"ramp", rec_ramp_cases, true},
		{"budget", rec_budget_cases, true},
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const int64_t start = vt_now();

		if (only && strcmp(only, parts[i].name) != 0)
			continue;
		if (vt_nic_used && (parts[i].loopback || !nic))
			continue;
		parts[i].cases(k);
		printf("%s, %s: %lld ms\n", vt_kind_name(k), parts[i].name,
		       (long long)(vt_now() - start));
	}
}

int main(int argc, char **argv)
{
	const int e = vt_ulp_errno();

	vt_begin("ktls-vm-records", 400);
	vt_data_init();
	vt_probed();
	vt_note("small records in the kernel: %s",
		rec_kernel_cuts() ? "by TLS_TX_MAX_PAYLOAD_LEN"
				  : "a call for each");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!e || kinds[i].tx == KTLS_OFF)
			run(&kinds[i], argc > 1 ? argv[1] : NULL);
	if (e)
		vt_skip("the kernel's part: setsockopt(TCP_ULP): %s",
			strerror(e));
	return vt_end();
}
