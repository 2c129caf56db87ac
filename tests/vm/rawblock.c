/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-nonblock: a blocking kernel TLS socket without libktls. A record
 * that a blocking call leaves half sent is what a kernel worker waits for,
 * holding the lock that all who send need, MSG_DONTWAIT or not, and that
 * close(2) waits for, out of reach of signals (net/tls/tls_sw.c,
 * tx_work_handler(); net/tls/tls_main.c, tls_sk_proto_close()).
 */
#include "nonblock.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
	CALL = 65536,
	WATCH_MS = 300, /* a call that has not come back by then waits */
	PAUSE_MS = 100
};

struct raw {
	int fd[2];
	pthread_t thread;
	atomic_bool done;
};

/* Until a signal ends it: that leaves half a record, mostly. */
static void *send_blocking(void *arg)
{
	struct raw *r = arg;

	while (send(r->fd[0], vt_data, CALL, MSG_NOSIGNAL) == CALL)
		;
	r->done = true;
	return NULL;
}

static void *send_dontwait(void *arg)
{
	struct raw *r = arg;

	(void)!send(r->fd[0], vt_data, 1000, MSG_NOSIGNAL | MSG_DONTWAIT);
	r->done = true;
	return NULL;
}

static void *close_it(void *arg)
{
	struct raw *r = arg;

	close(r->fd[0]);
	r->done = true;
	return NULL;
}

/* Runs it in a thread; true: it did not come back in time. */
static bool waits(struct raw *r, void *(*f)(void *))
{
	const int64_t end = vt_now() + WATCH_MS;

	r->done = false;
	MUST(pthread_create(&r->thread, NULL, f, r) == 0);
	while (!r->done && vt_now() < end)
		vt_sleep_ms(5);
	return !r->done;
}

static void interrupt(struct raw *r)
{
	while (!r->done) {
		pthread_kill(r->thread, SIGALRM);
		vt_sleep_ms(20);
	}
	MUST(pthread_join(r->thread, NULL) == 0);
}

/* Reads, undecrypted: there are no keys on this end. */
static void take(int fd, size_t most, int wait_ms)
{
	static uint8_t buf[16384];
	size_t got = 0;

	while (got < most) {
		const size_t len =
			most - got < sizeof(buf) ? most - got : sizeof(buf);
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, wait_ms) <= 0)
			return;
		n = recv(fd, buf, len, MSG_DONTWAIT);
		if (n <= 0)
			return;
		got += (size_t)n;
	}
}

/* One connection; whether each of the two calls had to wait. */
static void one(int sndbuf, size_t little, bool *dontwait, bool *closing)
{
	struct raw r = {.done = false};

	vt_tcp_pair_small(r.fd, NB_MSS, 0);
	vt_set_sndbuf(r.fd[0], sndbuf);
	MUST(vt_raw_install(r.fd[0], &vt_suites[6], KTLS_TX) == 0);
	(void)waits(&r, send_blocking);
	interrupt(&r);
	vt_sleep_ms(PAUSE_MS);
	take(r.fd[1], little, PAUSE_MS);
	vt_sleep_ms(PAUSE_MS);
	*dontwait = waits(&r, send_dontwait);
	interrupt(&r);
	*closing = waits(&r, close_it);
	/* now the peer reads, and that is what they have waited for */
	take(r.fd[1], SIZE_MAX, VT_WAIT);
	MUST(pthread_join(r.thread, NULL) == 0);
	close(r.fd[1]);
}

void nb_raw(void)
{
	static const int sndbufs[] = {0, 100000};
	static const size_t littles[] = {0, 20000};
	unsigned int n = 0, n_dontwait = 0, n_closing = 0;
	struct utsname uts;

	vt_case("blocking sockets, the kernel alone");
	MUST(uname(&uts) == 0);
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < 2; k++) {
			bool dontwait, closing;

			one(sndbufs[i], littles[k], &dontwait, &closing);
			n_dontwait += dontwait;
			n_closing += closing;
			n++;
		}
	printf("table: %s nonblock: blocking sockets of the kernel alone: "
	       "send(MSG_DONTWAIT) waited for the peer in %u of %u "
	       "connections, close(2) in %u\n",
	       uts.release, n_dontwait, n, n_closing);
	CHECK(n_dontwait > 0 && n_closing > 0,
	      "NOT REPRODUCED: nothing waited; the rest proves little");
}
