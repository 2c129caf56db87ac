/* SPDX-License-Identifier: MIT */
/* ktls-vm-stall: readers that are slow or stop, and networks that lose. */
#include "stall.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

static bool shell(const char *command)
{
	const int status = system(command);

	if (status != 0)
		printf("status 0x%x: %s\n", (unsigned int)status, command);
	return status == 0;
}

/* Two namespaces of our own, the thread's and "ktls-stall"; errno or 0. */
static int make_network(void)
{
	static const char *const commands[] = {
		"ip link set lo up",
		"ip netns add ktls-stall",
		"ip link add ka type veth peer name kb netns ktls-stall",
		"ip addr add 192.0.2.1/24 dev ka",
		"ip link set ka up",
		"ip -n ktls-stall addr add 192.0.2.2/24 dev kb",
		"ip -n ktls-stall link set kb up",
	};

	if (unshare(CLONE_NEWNET) < 0)
		return errno;
	for (size_t i = 0; i < N(commands); i++)
		if (!shell(commands[i]))
			return ENODEV;
	return 0;
}

/* A socket of the other namespace */
static int far_socket(void)
{
	const int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	const int there = open("/run/netns/ktls-stall", O_RDONLY | O_CLOEXEC);
	int fd;

	MUST(here >= 0 && there >= 0);
	MUST(setns(there, CLONE_NEWNET) == 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(fd >= 0);
	MUST(setns(here, CLONE_NEWNET) == 0);
	close(here);
	close(there);
	return fd;
}

static void far_pair(const struct st_scenario *s, int fd[2])
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0xc0000202), /* 192.0.2.2 */
	};
	socklen_t len = sizeof(a);
	const int l = far_socket();

	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(fd[0] >= 0);
	vt_set_sndbuf(fd[0], s->sndbuf);
	if (s->lowat)
		MUST(setsockopt(fd[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &s->lowat,
				sizeof(s->lowat)) == 0);
	MUST(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0);
	MUST(listen(l, 1) == 0);
	MUST(getsockname(l, (struct sockaddr *)&a, &len) == 0);
	MUST(connect(fd[0], (struct sockaddr *)&a, sizeof(a)) == 0);
	fd[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	MUST(fd[1] >= 0);
	close(l);
}

/* How long it may wait is for TCP's timers to say: only that all arrives. */
static void over(const char *network, const struct st_scenario *proto)
{
	struct st_scenario s = *proto;
	struct st_result r;
	int fd[2];

	vt_case("%s: lowat %d, sndbuf %d, %s %s", network, s.lowat, s.sndbuf,
		s.blocking ? "blocking" : "non-blocking", st_how_str(s.how));
	far_pair(&s, fd);
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
	const int e = make_network();

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
			 "ip -n ktls-stall link set kb mtu %d && "
			 "tc qdisc replace dev ka root netem %s",
			 networks[i / 3].mtu, networks[i / 3].mtu,
			 networks[i / 3].netem);
		if (i % 3 == 0 && !shell(command)) {
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
