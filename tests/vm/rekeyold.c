/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-rekey: kernels before 6.14. What a KeyUpdate does there is part of
 * ktls-vm-cases; here is how to live with it.
 */
#include "rekey.h"

#include <errno.h>

static void refused(const struct vt_suite *s, struct ktls_policy policy,
		    int request)
{
	const bool can = policy.tx != KTLS_REQUIRE &&
			 !(policy.rx == KTLS_REQUIRE && request);
	struct ktls_info info;
	struct vt_duo d;
	int r;

	vt_case("%s, use %u/%u: ktls_rekey(%d)", s->label, policy.tx, policy.rx,
		request);
	if (!vt_duo_open(&d, s, request, &policy))
		return;
	for (size_t i = 0; i < 3; i++) {
		vt_duo_to_lib(&d, i, 20000);
		r = ktls_rekey(d.lib.c, request);
		CHECK(can ? r == 0 : r == -1 && errno == ENOTSUP,
		      "ktls_rekey: %d, errno %d", r, errno);
		vt_duo_to_peer(&d, i, 20000);
	}
	vt_duo_to_lib(&d, 3, 20000);
	vt_end_info(&d.lib, &info);
	CHECK(info.tx.rekeys == (can ? 3 : 0), "%llu rekeys",
	      (unsigned long long)info.tx.rekeys);
	CHECK(policy.tx == KTLS_OFF || info.rekey_after == 0,
	      "rekey_after is %llu", (unsigned long long)info.rekey_after);
	vt_duo_close(&d);
}

static void stays(const struct vt_suite *s)
{
	struct ktls_policy policy = vt_policy(KTLS_AUTO, KTLS_AUTO);
	struct ktls_info info;
	struct vt_duo d;

	policy.rekey_unsupported = KTLS_REKEY_STAY_IN_USER_SPACE;
	policy.offload_after = 0;
	for (int blocking = 0; blocking < 2; blocking++) {
		const struct rekey_load load = {
			.what = "stays",
			.kind = {.suite = s,
				 .tx = KTLS_AUTO,
				 .rx = KTLS_AUTO,
				 .server = blocking,
				 .blocking = blocking},
			.each = 5000,
			.by = 5,
			.policy = &policy,
		};

		rekey_load(&load);
	}
	vt_case("the policy's reason");
	if (vt_duo_open(&d, s, true, &policy)) {
		vt_duo_to_peer(&d, 1, 1000);
		vt_duo_to_lib(&d, 1, 1000);
		vt_end_info(&d.lib, &info);
		CHECK(info.tx.reason == KTLS_REASON_REKEY &&
			      info.rx.reason == KTLS_REASON_REKEY,
		      "reasons %s, %s", vt_reason(info.tx.reason),
		      vt_reason(info.rx.reason));
		vt_duo_close(&d);
	}
	vt_case("the policy, and KTLS_REQUIRE");
	policy.tx = policy.rx = KTLS_REQUIRE;
	{
		SSL_CTX *lib = vt_ctx(s, true, false);
		SSL_CTX *peer = vt_ctx(s, false, false);
		int fd[2];

		vt_tcp_pair(fd);
		MUST(ktls_ctx_enable(lib) == 0);
		vt_duo_init(&d, lib, peer, fd, true, &policy);
		d.handshake_errno = ENOTSUP;
		CHECK(vt_duo_handshake(&d), "not ENOTSUP");
		vt_end_info(&d.lib, &info);
		CHECK(info.tx.reason == KTLS_REASON_REKEY, "reason %s",
		      vt_reason(info.tx.reason));
		vt_duo_drop(&d);
		SSL_CTX_free(lib);
		SSL_CTX_free(peer);
	}
}

void rekey_old(void)
{
	const struct vt_suite *s = &vt_suites[6];

	for (int i = 0; i < 6; i++) {
		const struct ktls_policy policy =
			vt_policy(i % 3 == 1 ? KTLS_OFF : KTLS_REQUIRE,
				  i % 3 == 2 ? KTLS_OFF : KTLS_REQUIRE);

		refused(s, policy, i / 3);
	}
	stays(s);
}
