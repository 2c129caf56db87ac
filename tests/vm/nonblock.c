/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-nonblock: a socket is O_NONBLOCK as long as libktls has it. Peers
 * that stop reading hold nobody up for longer than was asked for, and the
 * caller finds his socket as he left it. Beside it, the kernel alone: see
 * rawblock.c.
 */
#include "nonblock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	TRIES = 6,
	STALLED = 12,
	BYSTANDERS = 2,
	STOP_AT = 150000, /* bytes that a peer reads before it stops */
	CALL = 50000,
	TIMEOUT_MS = 300,
	LATE_MS = 8000, /* an emulated machine may be that slow */
	BYSTANDER_MS = 20000
};

/* What is called when the socket is full, with a deadline. */
enum role { FLUSH, SHUTDOWN_WRITE, SHUTDOWN, CLOSE, ROLES };

struct stalled {
	enum role role;
	bool blocking;
	bool sndtimeo; /* SO_SNDTIMEO is set; else a signal ends the call */
	struct vt_end e;
	struct vt_peer p;
	int hold[2];
	pthread_t thread;
	unsigned int number;
	atomic_bool sending;
	atomic_bool over;
};

static SSL_CTX *server, *client;
static atomic_bool over;
static atomic_uint n_bystanders;

static void on_alarm(int sig)
{
	(void)sig;
}

static bool in_time(int64_t start, const char *what)
{
	const int64_t ms = vt_now() - start;

	return CHECK(ms >= TIMEOUT_MS - 10 && ms <= TIMEOUT_MS + LATE_MS,
		     "%s with %d ms took %lld ms", what, TIMEOUT_MS,
		     (long long)ms);
}

static bool is_nonblocking(int fd)
{
	return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

/* Sends until the peer has stopped and the socket is full. */
static bool fill(struct stalled *s)
{
	int64_t start;
	int n_eagain = 0;

	for (;;) {
		ssize_t n;

		start = vt_now();
		n = ktls_write(s->e.c, vt_data + s->e.out.pos, CALL);
		if (n > 0) {
			s->e.out.pos += (size_t)n;
			if (!CHECK(s->e.out.pos + CALL < VT_DATA, "never full"))
				return false;
			continue;
		}
		if (!s->blocking && errno == EAGAIN && ++n_eagain < 3) {
			/* again, when TCP has moved what it could */
			vt_sleep_ms(100);
			continue;
		}
		break;
	}
	if (s->blocking && s->sndtimeo)
		return CHECK(errno == EAGAIN, "errno %d", errno) &&
		       in_time(start, "SO_SNDTIMEO");
	return CHECK(errno == (s->blocking ? EINTR : EAGAIN), "errno %d", errno);
}

static int with_deadline(struct stalled *s)
{
	switch (s->role) {
	case FLUSH:
		return ktls_flush(s->e.c, TIMEOUT_MS);
	case SHUTDOWN_WRITE:
		return ktls_shutdown_write(s->e.c, TIMEOUT_MS);
	case SHUTDOWN:
		return ktls_shutdown(s->e.c, TIMEOUT_MS);
	case CLOSE:
	case ROLES:
	default:
		return ktls_close(s->e.c, TIMEOUT_MS);
	}
}

/* The caller takes his socket back, with what is in it. */
static void leave(struct stalled *s)
{
	int64_t start;

	CHECK(is_nonblocking(s->e.fd), "libktls left it blocking");
	ktls_conn_free(s->e.c);
	CHECK(is_nonblocking(s->e.fd) == !s->blocking, "it is %s now",
	      s->blocking ? "non-blocking" : "blocking");
	start = vt_now();
	CHECK(close(s->e.fd) == 0, "errno %d", errno);
	CHECK(vt_now() - start < LATE_MS, "close(2) took %lld ms",
	      (long long)(vt_now() - start));
}

/* Up to the full socket; false: see output. */
static bool open_stalled(struct stalled *s, unsigned int nth)
{
	const struct ktls_policy policy = vt_policy(KTLS_REQUIRE, KTLS_OFF);
	const struct timeval t = {.tv_usec = TIMEOUT_MS * 1000L};
	const size_t most = VT_DATA - 1;
	bool full;
	int fd[2];

	MUST(pipe2(s->hold, O_CLOEXEC) == 0);
	vt_tcp_pair_small(fd, NB_MSS, 32768);
	vt_set_sndbuf(fd[0], 30000 + (int)nth * 1777);
	if (s->sndtimeo)
		MUST(setsockopt(fd[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) ==
		     0);
	vt_peer_init(&s->p, client, fd[1], false);
	s->p.hold = s->hold[0];
	s->p.hold_at = STOP_AT;
	vt_end_init(&s->e, server, fd[0], true, s->blocking, &policy);
	vt_stream_init(&s->e.out, 0, &most, 1);
	vt_peer_start(&s->p);
	full = CHECK(vt_end_handshake(&s->e) == 0, "errno %d", errno);
	s->sending = true;
	full = full && fill(s);
	s->sending = false;
	return full;
}

static void let_read(struct stalled *s)
{
	if (s->hold[1] >= 0)
		close(s->hold[1]);
	s->hold[1] = -1;
}

/* The peer is read to its end; cut: it need not have got everything. */
static void join_stalled(struct stalled *s, bool cut)
{
	let_read(s);
	vt_peer_join(&s->p);
	close(s->hold[0]);
	EVP_MD_CTX_free(s->e.in.md);
	if (cut) {
		EVP_MD_CTX_free(s->p.in.md);
		return;
	}
	CHECK(s->p.close_notify && !s->p.error, "the peer: %s", s->p.text);
	vt_sink_check(&s->p.in, &s->e.out, s->e.out.pos, "the peer");
}

/* A full socket whose last record TCP has not got, or not whole */
static bool stall(struct stalled *s)
{
	struct ktls_info info;

	for (unsigned int i = 0; i < TRIES; i++) {
		const bool full = open_stalled(s, s->number + i * STALLED);

		/* TCP may still move some */
		vt_sleep_ms(250);
		vt_end_info(&s->e, &info);
		CHECK(info.tx.mode == KTLS_MODE_KERNEL,
		      "TX is in user space: %s", vt_reason(info.tx.reason));
		if (full && info.unsent > 0)
			return true;
		let_read(s);
		CHECK(vt_end_close(&s->e) == 0, "ktls_close: errno %d", errno);
		join_stalled(s, false);
		if (!full)
			return false;
	}
	return CHECK(false, "TCP had everything, each time");
}

static void *run(void *arg)
{
	static const char *const names[ROLES] = {"ktls_flush",
						 "ktls_shutdown_write",
						 "ktls_shutdown", "ktls_close"};
	struct stalled *s = arg;
	const char *name = names[s->role];
	struct ktls_error error = {.size = sizeof(error)};
	int64_t start;
	int r;

	s->over = !stall(s);
	if (s->over)
		return NULL;
	start = vt_now();
	r = with_deadline(s);
	CHECK(r == -1 && errno == ETIMEDOUT, "%s: %d, errno %d", name, r, errno);
	in_time(start, name);
	if (s->role != CLOSE)
		CHECK(ktls_get_error(s->e.c, &error) == 0 &&
			      error.code == ETIMEDOUT && error.unsent > 0,
		      "%s: code %d, %llu bytes unsent", name, error.code,
		      (unsigned long long)error.unsent);
	if (s->role == FLUSH) {
		leave(s);
	} else if (s->role != CLOSE) {
		/* the peer reads again, and gets all of it */
		let_read(s);
		CHECK(ktls_close(s->e.c, VT_WAIT) == 0, "ktls_close: errno %d",
		      errno);
	}
	join_stalled(s, s->role == FLUSH || s->role == CLOSE);
	s->over = true;
	return NULL;
}

static void start_stalled(struct stalled *s, unsigned int i)
{
	memset(s, 0, sizeof(*s));
	s->number = i;
	s->role = (enum role)(i % ROLES);
	s->blocking = i / ROLES < 2;
	s->sndtimeo = i / ROLES == 0;
	MUST(pthread_create(&s->thread, NULL, run, s) == 0);
}

/* Somebody else, with a peer that reads. */
static void *bystander(void *arg)
{
	static const size_t sizes[] = {100000, 16384, 5000};
	const struct ktls_policy policy = vt_policy(KTLS_REQUIRE, KTLS_OFF);
	const bool blocking = arg != NULL;

	do {
		const int64_t start = vt_now();
		struct vt_peer p;
		struct vt_end e;
		int fd[2];

		vt_tcp_pair_small(fd, NB_MSS, 0);
		vt_set_sndbuf(fd[0], 16384);
		vt_peer_init(&p, client, fd[1], false);
		vt_end_init(&e, server, fd[0], true, blocking, &policy);
		e.interrupts = 1; /* signals are sent to others only */
		vt_stream_init(&e.out, 1, sizes, 3);
		vt_peer_start(&p);
		if (CHECK(vt_end_handshake(&e) == 0, "errno %d", errno))
			vt_end_exchange(&e);
		CHECK(vt_end_close(&e) == 0, "ktls_close: errno %d", errno);
		vt_peer_join(&p);
		CHECK(p.close_notify && !p.error, "the peer: %s", p.text);
		vt_sink_check(&p.in, &e.out, e.out.pos, "the peer");
		EVP_MD_CTX_free(e.in.md);
		CHECK(vt_now() - start < BYSTANDER_MS, "it took %lld ms",
		      (long long)(vt_now() - start));
		n_bystanders++;
	} while (!over);
	return NULL;
}

/* Wakes those whose call nothing else ends, until all are through. */
static void join_all(struct stalled *s)
{
	const int64_t end = vt_now() + 3 * VT_WAIT;
	bool sending = true;

	while (sending && CHECK(vt_now() < end, "a call does not end")) {
		sending = false;
		vt_sleep_ms(200);
		for (unsigned int i = 0; i < STALLED; i++) {
			sending |= !s[i].over;
			if (s[i].sending && s[i].blocking && !s[i].sndtimeo)
				pthread_kill(s[i].thread, SIGALRM);
		}
	}
	for (unsigned int i = 0; i < STALLED; i++)
		MUST(pthread_join(s[i].thread, NULL) == 0);
	over = true;
}

int main(void)
{
	static struct stalled s[STALLED];
	struct sigaction sa = {.sa_handler = on_alarm};
	const struct vt_suite *tls13 = &vt_suites[6];
	pthread_t other[BYSTANDERS];
	const int e = vt_ulp_errno();

	vt_begin("ktls-vm-nonblock", 400);
	if (e) {
		vt_skip("all: setsockopt(TCP_ULP): %s", strerror(e));
		return vt_end();
	}
	sigaction(SIGALRM, &sa, NULL);
	/* a record is several packets, after each of which TCP can be full */
	MUST(unshare(CLONE_NEWNET) == 0);
	MUST(vt_shell("ip link set lo up gso_max_segs 1"));
	vt_data_init();
	server = vt_ctx(tls13, true, false);
	client = vt_ctx(tls13, false, false);
	MUST(ktls_ctx_enable(server) == 0);
	vt_case("peers that stop reading");
	for (unsigned int i = 0; i < STALLED; i++)
		start_stalled(&s[i], i);
	for (size_t i = 0; i < BYSTANDERS; i++)
		MUST(pthread_create(&other[i], NULL, bystander,
				    i ? &other[i] : NULL) == 0);
	join_all(s);
	for (size_t i = 0; i < BYSTANDERS; i++)
		MUST(pthread_join(other[i], NULL) == 0);
	vt_note("%d peers that stopped reading, and %u connections beside them",
		STALLED, n_bystanders);
	nb_raw();
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	return vt_end();
}
