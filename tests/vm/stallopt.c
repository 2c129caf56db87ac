/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-stall: TCP_NODELAY and TCP_CORK that the caller has set. The guard
 * uses both, and no call may leave them other than it found them; a socket that
 * is corked by its caller stays so, and waits for TCP's timer at most.
 *
 * That timer strikes once, at the end: the last record is in TCP's queue,
 * corked, and when it fills a small SO_SNDBUF there is no room for close_notify
 * until it has been sent. So the kernel alone would have it, too.
 */
#include "stall.h"

#include <stdio.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

enum {
	TRIES = 3,
	BYTES = 1024 * 1024,
	PAUSE_US = 100000,
	CORKED_US = 250000, /* TCP's timer for that has 200 ms */
};

static void with(const struct st_scenario *s)
{
	const int64_t most = s->cork ? CORKED_US : PAUSE_US;
	struct st_result r;
	int64_t pause = INT64_MAX;

	vt_case("nodelay %d, cork %d: lowat %d, sndbuf %d, mss %d, %s %s",
		s->nodelay, s->cork, s->lowat, s->sndbuf, s->mss,
		s->blocking ? "blocking" : "non-blocking", st_how_str(s->how));
	for (int i = 0; i < TRIES && pause > most; i++) {
		st_send_lib(s, &r);
		if (!r.ok)
			break;
		pause = r.wire.pause_us;
	}
	CHECK(r.ok && r.sent == s->most, "%zu bytes of %zu", r.sent, s->most);
	CHECK(pause <= most, "a pause of %lld ms", (long long)pause / 1000);
	CHECK(r.wire.halts <= s->cork, "%zu pauses of more than 100 ms",
	      r.wire.halts);
	printf("nodelay %d, cork %d: lowat %d, sndbuf %d, mss %d, %s %s: "
	       "%.2f MiB/s, paused for %lld ms after %zu bytes of %zu, "
	       "pushes %llu of %llu\n",
	       s->nodelay, s->cork, s->lowat, s->sndbuf, s->mss,
	       s->blocking ? "blocking" : "non-blocking", st_how_str(s->how),
	       st_rate(&r) / 1048576, (long long)r.wire.pause_us / 1000,
	       r.wire.pause_at, r.wire.bytes,
	       (unsigned long long)r.info.guard_pushes,
	       (unsigned long long)r.info.guard_waits);
}

void st_options(void)
{
	static const struct st_scenario sockets[] = {
		{.lowat = 0},
		{.lowat = 16384},
		{.sndbuf = 4096},
		{.sndbuf = 65536, .mss = 1448},
	};

	for (unsigned int i = 0; i < N(sockets) * ST_HOWS * 2; i++) {
		struct st_scenario s = sockets[i / 2 % N(sockets)];

		s.nodelay = (i / 2 + i / 8) % 2;
		s.cork = i % 2;
		s.how = (enum st_how)(i / 2 / N(sockets));
		s.blocking = (i + i / 4) % 2;
		s.record_size = VT_RECORD;
		s.most = BYTES;
		s.watch = true;
		with(&s);
	}
}
