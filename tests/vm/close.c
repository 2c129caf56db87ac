/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-close: the kernel loses accepted bytes when a socket with keys is
 * closed; ktls_close() loses none.
 */
#include "close.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const struct vt_suite *const tls12 = &vt_suites[0];
static const struct vt_suite *const tls13 = &vt_suites[6];

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void set_alarm(bool on)
{
	const struct itimerval t = {
		.it_interval.tv_usec = on ? 20000 : 0,
		.it_value.tv_usec = on ? 20000 : 0,
	};
	struct sigaction sa = {.sa_handler = on_alarm};

	sigaction(SIGALRM, &sa, NULL);
	MUST(setitimer(ITIMER_REAL, &t, NULL) == 0);
}

/* After fill(): what was accepted has come, no byte more or less. */
static void check_full(struct vt_peer *p, struct vt_end *e, uint32_t use)
{
	/* in user space a call may keep quiet about its last byte */
	if (use == KTLS_OFF && p->in.count == e->out.pos + 1)
		e->out.pos++;
	vt_sink_check(&p->in, &e->out, e->out.pos, "the peer");
}

struct traffic {
	const struct vt_suite *suite;
	uint32_t use;
	bool blocking;
	bool signals;
	bool fill;  /* until EAGAIN and no further, then close */
	bool quiet; /* no close_notify: nothing is sent after the data */
	int sndbuf;
	int pause_us; /* of the reader */
	size_t total;
	size_t call; /* bytes a call */
};

/* Fills the socket; what was accepted is all that will be sent. */
static bool fill(struct vt_end *e)
{
	while (e->out.pos < e->out.total) {
		ssize_t n = vt_end_send(e);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 && errno != EINTR)
			return CHECK(false, "send: errno %d", errno);
	}
	return CHECK(e->out.pos > 0, "nothing was taken");
}

static void traffic(const struct traffic *t, SSL_CTX *lib, SSL_CTX *other)
{
	struct ktls_policy policy = vt_policy(t->use, KTLS_OFF);
	size_t sizes[64];
	struct ktls_info info;
	struct vt_peer p;
	struct vt_end e;
	size_t n = 0;
	int fd[2];

	vt_case("TLS %s, use %u, %s%s%s%s, SO_SNDBUF %d, %zu of %zu bytes",
		vt_version_str(t->suite->version), t->use,
		t->blocking ? "blocking" : "non-blocking",
		t->signals ? ", signals" : "", t->fill ? ", to the brim" : "",
		t->quiet ? ", quiet" : "", t->sndbuf, t->call, t->total);
	for (size_t left = t->total; left > 0 && n < 64; n++) {
		sizes[n] = left < t->call || n == 63 ? left : t->call;
		left -= sizes[n];
	}
	vt_tcp_pair(fd);
	vt_set_sndbuf(fd[1], t->sndbuf);
	vt_peer_init(&p, other, fd[0], false);
	p.start_ms = VT_LATE;
	p.pause_us = t->pause_us;
	vt_end_init(&e, lib, fd[1], true, t->blocking, &policy);
	SSL_set_quiet_shutdown(e.ssl, t->quiet);
	vt_stream_init(&e.out, 4321, sizes, n);
	/* with signals, calls end early */
	e.interrupts = t->signals;
	vt_peer_start(&p);
	if (CHECK(vt_end_handshake(&e) == 0, "errno %d", errno)) {
		vt_end_info(&e, &info);
		CHECK((info.tx.mode == KTLS_MODE_KERNEL) ==
			      (t->use == KTLS_REQUIRE),
		      "tx is %s", vt_reason(info.tx.reason));
		if (t->signals)
			set_alarm(true);
		if (t->fill)
			fill(&e);
		else
			vt_end_exchange(&e);
	}
	CHECK(vt_end_close(&e) == 0, "ktls_close: errno %d", errno);
	set_alarm(false);
	vt_peer_join(&p);
	CHECK(p.close_notify == !t->quiet && p.eof == t->quiet && p.error == 0,
	      "the peer: %s", p.text);
	check_full(&p, &e, t->fill ? t->use : KTLS_REQUIRE);
	EVP_MD_CTX_free(e.in.md);
}

/*
 * After a short count or EAGAIN the next call may have another length and
 * another buffer; after a full one, other data. The peer gets what was
 * reported as accepted, no byte more or less.
 */
static void other_calls(uint32_t use)
{
	static const size_t lengths[] = {16384, 1, 40000, 777, 1, 20000, 2};
	static uint8_t buf[40000];
	SSL_CTX *lib = vt_ctx(tls13, true, false);
	SSL_CTX *other = vt_ctx(tls13, false, false);
	struct ktls_policy policy = vt_policy(use, KTLS_OFF);
	uint8_t want[VT_DIGEST], got[VT_DIGEST];
	struct vt_sink accepted;
	struct vt_peer p;
	struct vt_end e;
	size_t at = 0;
	bool full = false;
	int eagain = 0, fd[2];

	vt_case("other calls after EAGAIN, use %u", use);
	MUST(ktls_ctx_enable(lib) == 0);
	vt_sink_init(&accepted);
	vt_tcp_pair(fd);
	vt_set_sndbuf(fd[1], 4608);
	vt_set_rcvbuf(fd[0], 16384);
	vt_peer_init(&p, other, fd[0], false);
	p.start_ms = VT_LATE;
	vt_end_init(&e, lib, fd[1], true, false, &policy);
	vt_peer_start(&p);
	CHECK(vt_end_handshake(&e) == 0, "errno %d", errno);
	for (size_t i = 0; (accepted.count < 300000 && eagain < 40) || !full;
	     i++) {
		const size_t len = lengths[i % 7];
		ssize_t n;

		memcpy(buf, vt_data + at, len);
		n = ktls_write(e.c, buf, len);
		if (n < 0) {
			if (!CHECK(errno == EAGAIN, "errno %d", errno))
				break;
			eagain++;
			CHECK(vt_poll(e.fd, ktls_wants(e.c)), "stalled");
		} else {
			full = (size_t)n == len;
			vt_sink_add(&accepted, buf, (size_t)n);
			at += (size_t)n + (full ? 12345 : 0);
		}
		memset(buf, 0, sizeof(buf));
	}
	CHECK(vt_end_close(&e) == 0, "ktls_close: errno %d", errno);
	vt_peer_join(&p);
	MUST(EVP_DigestFinal_ex(accepted.md, want, NULL) == 1);
	MUST(EVP_DigestFinal_ex(p.in.md, got, NULL) == 1);
	CHECK(eagain > 0, "the socket was never full");
	CHECK(p.in.count == accepted.count && memcmp(got, want, VT_DIGEST) == 0,
	      "accepted %zu bytes, the peer got %zu, or others", accepted.count,
	      p.in.count);
	EVP_MD_CTX_free(accepted.md);
	EVP_MD_CTX_free(p.in.md);
	EVP_MD_CTX_free(e.in.md);
	SSL_CTX_free(lib);
	SSL_CTX_free(other);
}

/* Times that something must hold, with what varies in between. */
static void repeat(const struct vt_suite *s, uint32_t use, unsigned int times)
{
	SSL_CTX *lib = vt_ctx(s, true, false), *other = vt_ctx(s, false, false);

	MUST(ktls_ctx_enable(lib) == 0);
	for (unsigned int i = 0; i < times; i++) {
		struct traffic t = {
			.suite = s,
			.use = use,
			.blocking = i % 2,
			.signals = i / 2 % 3 == 2,
			.sndbuf = vt_shapes[i / 2 % VT_SHAPES].sndbuf,
			.call = vt_shapes[i / 2 % VT_SHAPES].call,
			.fill = !(i % 2),
			.quiet = !(i % 2) && s == tls12,
		};

		/* an unlimited one takes megabytes before it is full */
		t.total = t.fill ? 6 * 1024 * 1024 : 200000;
		t.pause_us = t.sndbuf && !t.fill ? 2000 : 0;
		traffic(&t, lib, other);
	}
	SSL_CTX_free(lib);
	SSL_CTX_free(other);
}

/*
 * A peer that does not read: the time runs out, and the connection says what
 * is left, which is returned.
 */
static uint64_t nobody_reads(uint32_t use, bool blocking, size_t shape)
{
	SSL_CTX *lib = vt_ctx(tls13, true, false);
	SSL_CTX *other = vt_ctx(tls13, false, false);
	struct ktls_policy policy = vt_policy(use, KTLS_OFF);
	struct ktls_error error = {.size = sizeof(error)};
	struct ktls_info info;
	const size_t call = vt_shapes[shape].call;
	const size_t sizes[] = {call, call, call,
				call, call, call,
				call, call, VT_DATA - 10000 - 8 * call};
	struct vt_peer p;
	struct vt_end e;
	int64_t start;
	int fd[2], hold[2], r;

	vt_case("nobody reads, use %u, %s, SO_SNDBUF %d, %zu bytes a call", use,
		blocking ? "blocking" : "non-blocking", vt_shapes[shape].sndbuf,
		call);
	MUST(ktls_ctx_enable(lib) == 0);
	vt_tcp_pair(fd);
	vt_set_sndbuf(fd[1], vt_shapes[shape].sndbuf);
	vt_set_rcvbuf(fd[0], 8192);
	vt_peer_init(&p, other, fd[0], false);
	MUST(pipe(hold) == 0);
	p.hold = hold[0];
	vt_end_init(&e, lib, fd[1], true, false, &policy);
	vt_stream_init(&e.out, 1, sizes, sizeof(sizes) / sizeof(sizes[0]));
	e.only_write = true;
	vt_peer_start(&p);
	if (CHECK(vt_end_handshake(&e) == 0, "errno %d", errno))
		/* again, when TCP has moved what it could */
		for (int i = 0; i < 3; i++) {
			fill(&e);
			vt_sleep_ms(50);
		}
	/* a deadline counts for both kinds of socket */
	start = vt_now();
	r = ktls_shutdown(e.c, 0);
	CHECK(r == -1 && errno == EAGAIN, "timeout 0: %d, errno %d", r, errno);
	r = ktls_shutdown(e.c, 300);
	CHECK(r == -1 && errno == ETIMEDOUT, "timeout 300: %d, errno %d", r,
	      errno);
	CHECK(vt_now() - start >= 290 && vt_now() - start < 15000,
	      "it took %lld ms", (long long)(vt_now() - start));
	CHECK(ktls_get_error(e.c, &error) == 0 && error.code == ETIMEDOUT,
	      "code %d", error.code);
	vt_end_info(&e, &info);
	CHECK(info.unsent == error.unsent, "%llu, not %llu",
	      (unsigned long long)info.unsent, (unsigned long long)error.unsent);
	CHECK(ktls_write(e.c, "x", 1) == -1 && errno == EPIPE, "errno %d", errno);
	/* later the peer reads, and gets all of it */
	close(hold[1]);
	e.blocking = blocking;
	CHECK(vt_end_close(&e) == 0, "ktls_close: errno %d", errno);
	vt_peer_join(&p);
	close(hold[0]);
	CHECK(p.close_notify, "the peer: %s", p.text);
	check_full(&p, &e, use);
	EVP_MD_CTX_free(e.in.md);
	SSL_CTX_free(lib);
	SSL_CTX_free(other);
	return error.unsent;
}

static void nobody_reads_at_all(uint32_t use)
{
	uint64_t unsent = 0;

	/* one of them leaves a record behind, see above */
	for (size_t i = 0; i < 4; i++)
		unsent += nobody_reads(use, i % 2, i / 2);
	CHECK(unsent > 0, "no bytes unsent");
}

int main(int argc, char **argv)
{
	const unsigned int times = argc > 1 ? (unsigned int)atoi(argv[1]) : 16;
	const int e = vt_ulp_errno();

	vt_begin("ktls-vm-close", 400);
	vt_data_init();
	repeat(tls13, KTLS_OFF, times);
	nobody_reads_at_all(KTLS_OFF);
	other_calls(KTLS_OFF);
	if (e) {
		vt_skip("the kernel's part: setsockopt(TCP_ULP): %s",
			strerror(e));
		return vt_end();
	}
	vt_close_raw(true);
	repeat(tls12, KTLS_REQUIRE, times);
	repeat(tls13, KTLS_REQUIRE, times);
	nobody_reads_at_all(KTLS_REQUIRE);
	other_calls(KTLS_REQUIRE);
	if (vt_async_start("pcrypt") == 0) {
		vt_note("with asynchronous crypto:");
		vt_close_raw(false);
		repeat(tls12, KTLS_REQUIRE, times);
		repeat(tls13, KTLS_REQUIRE, times);
		vt_case("back to synchronous crypto");
		CHECK(vt_async_stop(), "pcrypt stays");
	} else {
		vt_skip("asynchronous crypto: no pcrypt");
	}
	return vt_end();
}
