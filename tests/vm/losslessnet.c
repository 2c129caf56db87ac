/* SPDX-License-Identifier: MIT */
/* ktls-vm-lossless: over a network that loses and reorders packets. */
#include "lossless.h"

#include <stdio.h>
#include <string.h>

enum { TIMES = 36, NET_BYTES = 120000 };

void ll_network(void)
{
	static const size_t sizes[] = {5000, 16384, 65536};
	static const int sndbufs[] = {0, 16384, 65536, 4096};
	const int e = vt_far_make();
	struct ll_result raw, lib;
	unsigned int lossy = 0;
	size_t accepted = 0;

	if (e || !vt_shell("tc qdisc replace dev ka root netem "
			   "delay 5ms loss 1% reorder 25% 50%")) {
		vt_skip("a network that loses: %s", strerror(e));
		return;
	}
	for (unsigned int i = 0; i < TIMES; i++) {
		int fd[2];
		struct ll_scenario s = {
			.tls12 = i % 2,
			.blocking = i / 2 % 2,
			.how = (enum ll_how)(i % LL_HOWS),
			.end = (enum ll_end)(i / 3 % LL_ENDS),
			.sndbuf = sndbufs[i / 3 % 4],
			.size = sizes[i / 9 % 3] + i * 177,
			.base = i,
			.most = NET_BYTES + i * 1001,
			.rides = i % 5,
			.nap_ms = 20,
			.one_call = i / 4 % 2,
			.fd = fd,
		};

		vt_case("the kernel alone, netem, %s", ll_name(&s));
		vt_far_pair(fd, s.sndbuf, 0);
		ll_run_raw(&s, &raw);
		lossy += raw.received < raw.accepted;
		vt_case("netem, %s", ll_name(&s));
		vt_far_pair(fd, s.sndbuf, 0);
		ll_run_lib(&s, &lib);
		accepted += lib.accepted;
	}
	vt_note("netem loss 1%%, delay 5ms, reorder 25%%: %d connections, %zu "
		"bytes; close(2) alone: %u of them lost bytes",
		TIMES, accepted, lossy);
}
