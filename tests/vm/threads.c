/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-threads: one thread sends on a connection, a second one receives,
 * and a third one asks it questions; and a connection that goes on in another
 * process. Made for ThreadSanitizer, too.
 */
#include "vmtest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 60 };

struct shared {
	struct vt_end e;
	const struct vt_suite *suite;
	bool rekeys;	/* KeyUpdates are to be had */
	int send_errno; /* 0: all went well */
	int recv_errno;
	unsigned int rekeyed;
};

static bool wait_for(struct shared *s, short events)
{
	return !s->e.blocking && errno == EAGAIN && vt_poll(s->e.fd, events);
}

/* A pipe's worth of the stream, spliced; bytes or -1. */
static ssize_t send_spliced(struct vt_end *e, const int pipe[2], size_t len)
{
	const size_t n = len < 4096 ? len : 4096;
	size_t done = 0;

	if (write(pipe[1], vt_data + e->out.base + e->out.pos, n) != (ssize_t)n)
		return -1;
	while (done < n) {
		const ssize_t r = ktls_splice_in(e->c, pipe[0], n - done, 0);

		if (r > 0)
			done += (size_t)r;
		else if (r == 0 || errno != EAGAIN || !vt_poll(e->fd, POLLOUT))
			return -1;
	}
	e->out.pos += done;
	return (ssize_t)done;
}

static void *sender(void *arg)
{
	struct shared *s = arg;
	size_t number, len;
	int pipe[2];

	MUST(pipe2(pipe, O_CLOEXEC) == 0);
	for (int i = 0; s->e.out.pos < s->e.out.total && !s->send_errno; i++) {
		ssize_t n;

		len = vt_stream_next(&s->e.out, &number);
		n = i % 3 == 2 ? send_spliced(&s->e, pipe, len)
			       : vt_end_send(&s->e);
		if (n < 0 && !wait_for(s, POLLOUT))
			s->send_errno = errno;
		if (s->rekeys && i % 4 == 0) {
			if (ktls_rekey(s->e.c, i % 8 == 0) < 0)
				s->send_errno = errno;
			else
				s->rekeyed++;
		}
	}
	if (!s->send_errno && ktls_flush(s->e.c, VT_WAIT) < 0)
		s->send_errno = errno;
	close(pipe[0]);
	close(pipe[1]);
	return NULL;
}

static void *receiver(void *arg)
{
	struct shared *s = arg;
	char c;

	while (s->e.in.count < s->e.in_total && !s->recv_errno) {
		if ((s->e.in.count % 3 == 0 && ktls_peek(s->e.c, &c, 1) < 0 &&
		     !wait_for(s, POLLIN)) ||
		    (vt_end_recv(&s->e) < 0 && !wait_for(s, POLLIN)))
			s->recv_errno = errno;
	}
	return NULL;
}

static void ask(struct shared *s, uint32_t use)
{
	struct ktls_error error = {.size = sizeof(error)};
	struct ktls_policy policy = vt_policy(use, use);
	struct ktls_info info;

	for (int i = 0; i < 200; i++) {
		vt_end_info(&s->e, &info);
		MUST(ktls_get_error(s->e.c, &error) == 0);
		(void)ktls_wants(s->e.c);
		(void)ktls_pending(s->e.c);
		policy.record_size = 4096 << i % 3;
		MUST(ktls_set_policy(s->e.c, &policy) == 0);
	}
}

static void both(const struct vt_suite *suite, uint32_t use, bool blocking,
		 bool server, bool rekeys)
{
	const size_t sizes[] = {5000, 20000, 1, 70000, 16384, 300};
	struct ktls_policy policy = vt_policy(use, use);
	SSL_CTX *lib = vt_ctx(suite, server, false);
	SSL_CTX *other = vt_ctx(suite, !server, false);
	struct shared s = {.suite = suite, .rekeys = rekeys};
	pthread_t threads[2];
	struct ktls_info info;
	size_t calls[CALLS];
	struct vt_peer p;
	int fd[2];

	vt_case("TLS %s, use %u, %s, %s%s", vt_version_str(suite->version), use,
		blocking ? "blocking" : "non-blocking",
		server ? "server" : "client", rekeys ? ", rekeys" : "");
	for (size_t i = 0; i < CALLS; i++)
		calls[i] = sizes[i % 6];
	policy.offload_after = use == KTLS_AUTO ? 100000 : 0;
	MUST(ktls_ctx_enable(lib) == 0);
	vt_tcp_pair(fd);
	vt_set_sndbuf(fd[server], 16384);
	vt_peer_init(&p, other, fd[!server], !server);
	vt_stream_init(&p.out, 77, calls, CALLS);
	vt_end_init(&s.e, lib, fd[server], server, blocking, &policy);
	vt_stream_init(&s.e.out, 4711, calls, CALLS);
	/* a byte may be told of with the next call */
	s.e.interrupts = 1;
	s.e.in_total = p.out.total;
	p.in_total = s.e.out.total;
	vt_peer_start(&p);
	if (CHECK(vt_end_handshake(&s.e) == 0, "errno %d", errno)) {
		MUST(pthread_create(&threads[0], NULL, sender, &s) == 0);
		MUST(pthread_create(&threads[1], NULL, receiver, &s) == 0);
		ask(&s, use);
		MUST(pthread_join(threads[0], NULL) == 0);
		MUST(pthread_join(threads[1], NULL) == 0);
	}
	CHECK(s.send_errno == 0 && s.recv_errno == 0, "errno %d and %d",
	      s.send_errno, s.recv_errno);
	vt_end_info(&s.e, &info);
	CHECK(!rekeys || (s.rekeyed > 0 && info.tx.rekeys >= s.rekeyed),
	      "%u KeyUpdates, %llu and %llu", s.rekeyed,
	      (unsigned long long)info.tx.rekeys,
	      (unsigned long long)info.rx.rekeys);
	CHECK(vt_end_close(&s.e) == 0, "ktls_close: errno %d", errno);
	vt_peer_join(&p);
	CHECK(p.close_notify && p.error == 0, "the peer: %s", p.text);
	vt_sink_check(&p.in, &s.e.out, s.e.out.total, "the peer");
	vt_sink_check(&s.e.in, &p.out, s.e.in_total, "libktls");
	SSL_CTX_free(lib);
	SSL_CTX_free(other);
}

static void *stuck(void *arg)
{
	struct shared *s = arg;

	while (s->send_errno == 0)
		if (ktls_write(s->e.c, vt_data, 100000) < 0)
			s->send_errno = errno;
	return NULL;
}

/*
 * A thread that waits in ktls_write() for a peer that does not read keeps
 * nobody from the connection; who shuts it down ends that call.
 */
static void waiting_holds_nothing(uint32_t use)
{
	struct ktls_policy policy = vt_policy(use, KTLS_OFF);
	SSL_CTX *lib = vt_ctx(&vt_suites[6], true, false);
	SSL_CTX *other = vt_ctx(&vt_suites[6], false, false);
	struct shared s = {.suite = &vt_suites[6]};
	struct ktls_error error = {.size = sizeof(error)};
	struct vt_peer p;
	pthread_t thread;
	int64_t start;
	int fd[2], hold[2], r;

	vt_case("a thread that waits, use %u", use);
	MUST(ktls_ctx_enable(lib) == 0);
	vt_tcp_pair(fd);
	vt_set_sndbuf(fd[1], 16384);
	vt_set_rcvbuf(fd[0], 8192);
	vt_peer_init(&p, other, fd[0], false);
	MUST(pipe(hold) == 0);
	p.hold = hold[0];
	vt_end_init(&s.e, lib, fd[1], true, true, &policy);
	vt_peer_start(&p);
	if (!CHECK(vt_end_handshake(&s.e) == 0, "errno %d", errno))
		return;
	MUST(pthread_create(&thread, NULL, stuck, &s) == 0);
	MUST(poll(NULL, 0, 300) == 0);
	start = vt_now();
	r = ktls_flush(s.e.c, 200);
	/* TCP may have all that was accepted; close_notify it has no room for */
	CHECK(r == 0 || errno == ETIMEDOUT, "ktls_flush: %d, errno %d", r, errno);
	r = ktls_shutdown_write(s.e.c, 200);
	CHECK(r == -1 && errno == ETIMEDOUT,
	      "ktls_shutdown_write: %d, errno %d", r, errno);
	CHECK(vt_now() - start >= 190 && vt_now() - start < 15000,
	      "it took %lld ms", (long long)(vt_now() - start));
	MUST(ktls_get_error(s.e.c, &error) == 0);
	CHECK(error.unsent > 0, "nothing is left to be sent");
	/* when the peer reads, the one that waits is told */
	close(hold[1]);
	MUST(pthread_join(thread, NULL) == 0);
	CHECK(s.send_errno == EPIPE, "errno %d", s.send_errno);
	CHECK(vt_end_close(&s.e) == 0, "ktls_close: errno %d", errno);
	vt_peer_join(&p);
	CHECK(p.close_notify, "the peer: %s", p.text);
	close(hold[0]);
	EVP_MD_CTX_free(p.in.md);
	EVP_MD_CTX_free(s.e.in.md);
	SSL_CTX_free(lib);
	SSL_CTX_free(other);
}

/*
 * After fork(2) the child goes on: what the parent does to its copy does not
 * disturb the socket, which is still non-blocking, nor say anything on it.
 */
static void another_process(uint32_t use)
{
	const size_t sizes[] = {100000, 100000, 100000};
	struct ktls_policy policy = vt_policy(use, use);
	static char buf[VT_RECORD];
	int status = -1, go[2], n;
	struct vt_sink sink;
	struct vt_duo d;
	pid_t pid;
	char c;

	vt_case("another process, use %u", use);
	MUST(pipe(go) == 0);
	if (!vt_duo_open(&d, &vt_suites[6], true, &policy))
		return;
	vt_set_sndbuf(d.lib.fd, 16384);
	vt_stream_init(&d.lib.out, 99, sizes, 3);
	d.lib.interrupts = 1;
	pid = fork();
	if (pid == 0) {
		close(d.fd);
		/* the parent has let go of it */
		MUST(read(go[0], &c, 1) == 1);
		_exit(!vt_end_exchange(&d.lib) || vt_end_close(&d.lib) < 0);
	}
	CHECK(pid > 0, "no child");
	CHECK(ktls_detach(d.lib.c) == 0, "errno %d", errno);
	CHECK(ktls_write(d.lib.c, "x", 1) == -1 && errno == ENOTCONN,
	      "errno %d", errno);
	CHECK(ktls_close(d.lib.c, 1000) == 0, "errno %d", errno);
	d.lib.c = NULL;
	MUST(write(go[1], "x", 1) == 1);
	vt_sink_init(&sink);
	while ((n = vt_duo_peer_read(&d, buf, sizeof(buf))) > 0)
		vt_sink_add(&sink, buf, (size_t)n);
	CHECK(n == 0, "no close_notify");
	vt_sink_check(&sink, &d.lib.out, d.lib.out.total, "the peer");
	SSL_shutdown(d.ssl);
	close(d.fd);
	SSL_free(d.ssl);
	EVP_MD_CTX_free(d.lib.in.md);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0, "the child: 0x%x", (unsigned int)status);
	close(go[0]);
	close(go[1]);
}

/* Whether TLS_TX can be set twice. */
static bool can_rekey(const struct vt_suite *suite)
{
	bool can;
	int fd[2];

	vt_tcp_pair(fd);
	can = vt_raw_install(fd[0], suite, KTLS_TX) == 0 &&
	      vt_raw_install(fd[0], suite, KTLS_TX) == 0;
	close(fd[0]);
	close(fd[1]);
	return can;
}

int main(void)
{
	static const uint32_t uses[] = {KTLS_OFF, KTLS_AUTO, KTLS_REQUIRE};
	const struct vt_suite *tls12 = &vt_suites[0], *tls13 = &vt_suites[6];
	const int e = vt_ulp_errno();
	const bool rekey = e == 0 && can_rekey(tls13);

	vt_begin("ktls-vm-threads", 600);
	vt_data_init();
	if (e)
		vt_skip("the kernel's part: setsockopt(TCP_ULP): %s",
			strerror(e));
	for (unsigned int i = 0; i < 12; i++) {
		const uint32_t use = uses[i / 4];

		if (e && use != KTLS_OFF)
			break;
		both(i % 2 ? tls13 : tls12, use, i / 2 % 2, i / 2 % 3 != 0,
		     false);
		if (i % 2 && (use == KTLS_OFF || rekey))
			both(tls13, use, i / 2 % 2, i / 2 % 3 == 0, true);
	}
	waiting_holds_nothing(KTLS_OFF);
	another_process(KTLS_OFF);
	if (e == 0) {
		waiting_holds_nothing(KTLS_REQUIRE);
		another_process(KTLS_REQUIRE);
	}
	return vt_end();
}
