/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-rekey: KeyUpdates on a real kernel, of both sides, while both send.
 * Every byte arrives, by digest; the kernel's counters agree.
 */
#include "rekey.h"

#include <string.h>

static void loads(const char *what, const size_t *suites, size_t n, size_t each)
{
	for (size_t i = 0; i < n * 4; i++) {
		const struct rekey_load load = {
			.what = what,
			.kind = {.suite = &vt_suites[suites[i / 4]],
				 .tx = KTLS_REQUIRE,
				 .rx = KTLS_REQUIRE,
				 .server = i & 1,
				 .blocking = i & 2},
			.each = each,
			.by = each < 1000 ? 1 : 8,
		};

		rekey_load(&load);
	}
}

/* Nearly always full: each KeyUpdate of ours waits for room. */
static void full_buffers(const char *what, size_t each)
{
	for (int i = 0; i < 4; i++) {
		const struct rekey_load load = {
			.what = what,
			.kind = {.suite = &vt_suites[6 + i % 2],
				 .tx = KTLS_REQUIRE,
				 .rx = KTLS_REQUIRE,
				 .server = i & 1,
				 .blocking = i & 2},
			.sndbuf = i & 1 ? 4096 : 10000,
			.each = each,
			.by = each < 1000 ? 1 : 8,
		};

		rekey_load(&load);
	}
}

/* The other direction is OpenSSL's, and in both it is the same. */
static void mixed(void)
{
	for (int i = 0; i < 3; i++) {
		const struct rekey_load load = {
			.what = i == 0	 ? "tx in kernel"
				: i == 1 ? "rx in kernel"
					 : "user space",
			.kind = {.suite = &vt_suites[6],
				 .tx = i == 0 ? KTLS_REQUIRE : KTLS_OFF,
				 .rx = i == 1 ? KTLS_REQUIRE : KTLS_OFF,
				 .server = i & 1},
			.each = 300,
			.by = 2,
		};

		rekey_load(&load);
	}
}

static void no_padding(void)
{
	struct ktls_policy policy = vt_policy(KTLS_REQUIRE, KTLS_REQUIRE);
	const struct rekey_load load = {
		.what = "no padding",
		.kind = {.suite = &vt_suites[6],
			 .tx = KTLS_REQUIRE,
			 .rx = KTLS_REQUIRE},
		.each = 3000,
		.policy = &policy,
	};

	policy.expect_no_pad = KTLS_REQUIRE;
	rekey_load(&load);
}

static void on_this_kernel(void)
{
	static const size_t all[] = {6, 7, 8}, gcm[] = {6};
	int e;

	loads("sync", all, 3, 300);
	full_buffers("full", 300);
	mixed();
	no_padding();
	rekey_methods(&vt_suites[6], "sync");
	rekey_close(&vt_suites[7]);
	e = vt_async_start("pcrypt");
	if (e) {
		vt_skip("asynchronous crypto: pcrypt: %s", strerror(e));
		return;
	}
	/* where each key takes ten times as long */
	loads("async", gcm, 1, 5000);
	full_buffers("full, async", 5000);
	rekey_methods(&vt_suites[6], "async");
	rekey_close(&vt_suites[6]);
	CHECK(vt_async_stop(), "pcrypt stays");
}

int main(void)
{
	const int e = vt_ulp_errno();

	vt_begin("ktls-vm-rekey", 600);
	if (e) {
		vt_skip("setsockopt(TCP_ULP): %s", strerror(e));
		return vt_end();
	}
	vt_data_init();
	vt_probed();
	rekey_raw(vt_rekey_errno() != 0);
	rekey_parts(&vt_suites[6], vt_rekey_errno() == 0);
	if (vt_rekey_errno() == 0)
		on_this_kernel();
	else
		rekey_old();
	return vt_end();
}
