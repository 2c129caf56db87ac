/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-move [--kernel] [PART]: the calls that gather, scatter, splice, flush
 * and half-close, in the kernel and in user space; or in the kernel, with
 * AES-GCM, alone.
 */
#include "move.h"

#include "vmnet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TLS12  (&vt_suites[0])
#define TLS13  (&vt_suites[6])
#define CHACHA (&vt_suites[8])

/* Every version with every mode, role and kind of socket, two by two. */
static const struct vt_kind kinds[] = {
	{TLS13, KTLS_REQUIRE, KTLS_REQUIRE, true, false},
	{TLS13, KTLS_REQUIRE, KTLS_REQUIRE, false, true},
	{TLS12, KTLS_REQUIRE, KTLS_REQUIRE, true, true},
	{TLS12, KTLS_REQUIRE, KTLS_REQUIRE, false, false},
	{TLS13, KTLS_OFF, KTLS_OFF, true, true},
	{TLS13, KTLS_OFF, KTLS_OFF, false, false},
	{TLS12, KTLS_OFF, KTLS_OFF, true, false},
	{TLS12, KTLS_OFF, KTLS_OFF, false, true},
	{TLS13, KTLS_REQUIRE, KTLS_OFF, true, true},
	{TLS13, KTLS_OFF, KTLS_REQUIRE, false, false},
	{CHACHA, KTLS_REQUIRE, KTLS_REQUIRE, true, false},
};

void vt_records_full(const struct vt_line *l)
{
	CHECK(l->w.count >= l->least && l->w.count <= l->least + l->shorts,
	      "%zu records for %zu bytes, not %zu, and %zu short counts",
	      l->w.count, l->w.bytes, l->least, l->shorts);
	CHECK(l->w.largest <= VT_RECORD, "a record of %zu bytes", l->w.largest);
}

size_t vt_pipe_level(int fd)
{
	int n = -1;

	MUST(ioctl(fd, FIONREAD, &n) == 0);
	return (size_t)n;
}

static void run(const struct vt_kind *k, const char *only)
{
	static const struct {
		const char *name;
		void (*cases)(const struct vt_kind *k);
		bool once; /* for each mode of TX is enough */
	} parts[] = {
		{"writev", vt_writev_cases, true},
		{"spans", vt_spans_cases, true},
		{"splice in", vt_splice_in_cases, false},
		{"splice out", vt_splice_out_cases, false},
		{"readv", vt_readv_cases, false},
		{"empty", vt_empty_cases, false},
		{"flush", vt_flush_cases, false},
	};
	const bool more = k->tx != k->rx || k->suite == CHACHA;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const int64_t start = vt_now();

		if (only ? strcmp(only, parts[i].name) != 0
			 : more && parts[i].once)
			continue;
		parts[i].cases(k);
		printf("%s, %s: %lld ms\n", vt_kind_name(k), parts[i].name,
		       (long long)(vt_now() - start));
	}
}

int main(int argc, char **argv)
{
	const int e = vt_ulp_errno();
	const bool kernel = argc > 1 && strcmp(argv[1], "--kernel") == 0;
	const char *only = argc > 1 + kernel ? argv[1 + kernel] : NULL;

	vt_begin("ktls-vm-move", 400);
	vt_data_init();
	vt_probed();
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct vt_kind *k = &kinds[i];
		const bool user = k->tx == KTLS_OFF && k->rx == KTLS_OFF;

		/* TLS 1.3 is there as it is on loopback */
		if (vt_nic_used && k->suite != TLS12)
			continue;
		if (kernel ? !e && !user && k->suite != CHACHA : user || !e)
			run(k, only);
	}
	if (e)
		vt_skip("the kernel's part: setsockopt(TCP_ULP): %s",
			strerror(e));
	return vt_end();
}
