/* SPDX-License-Identifier: MIT */
/* ktls-vm-stall: readers that are slow or stop, and networks that lose. */
#include "stall.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

enum {
	TRIES = 3,
	PAUSE_US = 100000,
	SLOW_BYTES = 1024 * 1024,
	STOP_BYTES = 3 * 1024 * 1024,
	NET_BYTES = 512 * 1024,
	RCVBUF = 131072, /* the sender has to feel it */
};

/* Tried again where it waits too long: see run() of stall.c. */
static void reader(const struct st_scenario *s, const char *what)
{
	struct st_result r;
	int64_t waited = INT64_MAX;

	vt_case("%s: mss %d, %s %s", what, s->mss,
		s->blocking ? "blocking" : "non-blocking", st_how_str(s->how));
	for (int i = 0; i < TRIES && waited > PAUSE_US; i++) {
		st_send_lib(s, &r);
		if (!r.ok)
			break;
		waited = s->stop_ms ? r.wire.resume_us : r.wire.pause_us;
	}
	CHECK(r.ok && r.sent == s->most, "%zu bytes of %zu", r.sent, s->most);
	CHECK(waited <= PAUSE_US, "it waited for %lld ms",
	      (long long)waited / 1000);
	printf("%s: mss %d, %s %s: waited for %lld ms\n", what, s->mss,
	       s->blocking ? "blocking" : "non-blocking", st_how_str(s->how),
	       (long long)waited / 1000);
}

void st_readers(void)
{
	for (unsigned int i = 0; i < 2 * ST_HOWS; i++) {
		struct st_scenario s = {
			.how = (enum st_how)(i / 2),
			.blocking = i % 2,
			.mss = (i + i / 2) % 2 ? 1448 : 0,
			.record_size = VT_RECORD,
			.rcvbuf = RCVBUF,
		};

		s.most = SLOW_BYTES;
		s.nap_us = 5000;
		reader(&s, "a slow reader");
		s.most = STOP_BYTES;
		s.nap_us = 0;
		s.stop_at = 262144;
		s.stop_ms = 1000;
		reader(&s, "a reader that stops");
	}
}

/* How long it may wait is for TCP's timers to say: only that all arrives. */
static void over(const char *network, const struct st_scenario *proto)
{
	struct st_scenario s = *proto;
	struct st_result r;
	int fd[2];

	vt_case("%s: lowat %d, sndbuf %d, %s %s", network, s.lowat, s.sndbuf,
		s.blocking ? "blocking" : "non-blocking", st_how_str(s.how));
	vt_far_pair(fd, s.sndbuf, s.lowat);
	s.fd = fd;
	st_send_lib(&s, &r);
	CHECK(r.ok && r.sent == s.most, "%zu bytes of %zu", r.sent, s.most);
	printf("%s: lowat %d, sndbuf %d, %s %s: %.2f MiB/s, paused for %lld "
	       "ms\n",
	       network, s.lowat, s.sndbuf,
	       s.blocking ? "blocking" : "non-blocking", st_how_str(s.how),
	       st_rate(&r) / 1048576, (long long)r.wire.pause_us / 1000);
}

void st_networks(void)
{
	static const struct {
		int mtu;
		const char *netem;
	} networks[] = {
		{1500, "delay 10ms loss 1%"},
		{9000, "loss 1%"},
		{65535, "delay 5ms 1ms"},
	};
	static const struct st_scenario sockets[] = {
		{.lowat = 0},
		{.lowat = 16384},
		{.sndbuf = 4096},
	};
	const int e = vt_far_make();

	if (e) {
		vt_skip("networks that lose: %s", strerror(e));
		return;
	}
	for (unsigned int i = 0; i < N(networks) * N(sockets); i++) {
		struct st_scenario s = sockets[i % 3];
		char name[64], command[256];

		snprintf(name, sizeof(name), "mtu %d, %s", networks[i / 3].mtu,
			 networks[i / 3].netem);
		snprintf(command, sizeof(command),
			 "ip link set ka mtu %d && "
			 "ip -n ktls-far link set kb mtu %d && "
			 "tc qdisc replace dev ka root netem %s",
			 networks[i / 3].mtu, networks[i / 3].mtu,
			 networks[i / 3].netem);
		if (i % 3 == 0 && !vt_shell(command)) {
			vt_skip("networks that lose: no netem");
			return;
		}
		s.how = (enum st_how)((i + i / 3) % ST_HOWS);
		s.blocking = i % 2;
		s.record_size = VT_RECORD;
		s.most = NET_BYTES;
		over(name, &s);
	}
}
