/* SPDX-License-Identifier: MIT */
/* The senders of ktls-vm-lossless: libktls, and the kernel without it. */
#include "lossless.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	TIMESTAMPS = 12, /* bytes of each segment that carry no data */
	PIPE = 65536,
	STORM_US = 3000,
	RAW_MS = 250, /* the kernel alone may stop for ever: net/tls/tls_sw.c */
};

static void on_alarm(int sig)
{
	(void)sig;
}

static void set_alarm(int us)
{
	const struct itimerval t = {
		.it_interval.tv_usec = us,
		.it_value.tv_usec = us,
	};
	struct sigaction sa = {.sa_handler = on_alarm};

	sigaction(SIGALRM, &sa, NULL);
	MUST(setitimer(ITIMER_REAL, &t, NULL) == 0);
}

const struct vt_suite *ll_suite(bool tls12)
{
	const int version = tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
	const struct vt_suite *v = vt_suites;

	while (v->version != version)
		v++;
	return v;
}

SSL_CTX *ll_server(bool tls12)
{
	static SSL_CTX *all[2];

	if (!all[tls12]) {
		all[tls12] = vt_ctx(ll_suite(tls12), true, false);
		MUST(ktls_ctx_enable(all[tls12]) == 0);
	}
	return all[tls12];
}

/* What the first connection of a version leaves for the others to resume. */
static SSL_SESSION *sessions[2];

static int new_session(SSL *ssl, SSL_SESSION *session)
{
	const bool tls12 = SSL_version(ssl) == TLS1_2_VERSION;

	if (sessions[tls12])
		return 0;
	sessions[tls12] = session;
	return 1;
}

/* A copy: OpenSSL uses a session of TLS 1.3 once, and then no more. */
static void resume(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION *copy = session ? SSL_SESSION_dup(session) : NULL;

	if (!session)
		return;
	MUST(copy != NULL && SSL_set_session(ssl, copy) == 1);
	SSL_SESSION_free(copy);
}

static SSL_CTX *client(bool tls12)
{
	static SSL_CTX *all[2];

	if (!all[tls12]) {
		all[tls12] = vt_ctx(ll_suite(tls12), false, false);
		SSL_CTX_set_session_cache_mode(
			all[tls12],
			SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(all[tls12], new_session);
	}
	return all[tls12];
}

struct sender {
	const struct ll_scenario *s;
	struct ktls_conn *c; /* NULL: the kernel alone */
	int fd;
	int pipe[2];
	size_t piped; /* bytes in the pipe */
	size_t pos;
};

/* Fills the pipe when it is empty; bytes to take from it */
static size_t fill(struct sender *x, size_t len)
{
	loff_t at = (loff_t)(x->s->base + x->pos);
	ssize_t n;

	if (x->piped == 0) {
		do
			n = splice(vt_file, &at, x->pipe[1], NULL,
				   len < PIPE ? len : PIPE, 0);
		while (n < 0 && errno == EINTR);
		MUST(n > 0);
		x->piped = (size_t)n;
	}
	return x->piped;
}

static ssize_t call(struct sender *x, size_t len)
{
	off_t at = (off_t)(x->s->base + x->pos);
	ssize_t n;

	switch (x->s->how) {
	case LL_SENDFILE:
		return x->c ? ktls_sendfile(x->c, vt_file, &at, len)
			    : sendfile(x->fd, vt_file, &at, len);
	case LL_SPLICE:
		len = fill(x, len);
		n = x->c ? ktls_splice_in(x->c, x->pipe[0], len, 0)
			 : splice(x->pipe[0], NULL, x->fd, NULL, len, 0);
		if (n > 0)
			x->piped -= (size_t)n;
		return n;
	case LL_WRITE:
	case LL_HOWS:
	default:
		return x->c ? ktls_write(x->c, vt_data + at, len)
			    : send(x->fd, vt_data + at, len, MSG_NOSIGNAL);
	}
}

/* Sends until it is enough, or the socket is full; 0 or errno */
static int send_all(struct sender *x)
{
	const int64_t end = vt_now() + RAW_MS;
	const struct ll_scenario *s = x->s;
	unsigned int rides = s->rides;

	while (x->pos < s->most && (x->c || vt_now() < end)) {
		const size_t left = s->most - x->pos;
		struct pollfd p = {.fd = x->fd, .events = POLLOUT};
		const ssize_t n = call(x, left < s->size ? left : s->size);

		if (n > 0) {
			x->pos += (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || errno != EAGAIN || s->blocking)
			return n == 0 ? ENODATA : errno;
		if (rides == 0)
			return 0;
		rides--;
		if (x->c)
			p.events = (short)ktls_wants(x->c);
		if (!x->c)
			(void)poll(&p, 1, RAW_MS / 2);
		else if (!p.events || !vt_poll(x->fd, p.events))
			return ETIMEDOUT;
	}
	return 0;
}

static void sender_init(struct sender *x, const struct ll_scenario *s,
			struct ktls_conn *c, int fd)
{
	memset(x, 0, sizeof(*x));
	x->s = s;
	x->c = c;
	x->fd = fd;
	MUST(pipe2(x->pipe, O_CLOEXEC) == 0);
}

static void sender_end(struct sender *x)
{
	close(x->pipe[0]);
	close(x->pipe[1]);
}

bool ll_send(const struct ll_scenario *s, struct ktls_conn *c, int fd,
	     size_t *accepted)
{
	struct sender x;
	int code;

	sender_init(&x, s, c, fd);
	code = send_all(&x);
	sender_end(&x);
	*accepted = x.pos;
	return CHECK(code == 0, "sending: errno %d (%s) after %zu bytes", code,
		     strerror(code), x.pos) &&
	       CHECK(x.pos == s->most || !s->blocking, "%zu bytes of %zu",
		     x.pos, s->most);
}

static void pair(const struct ll_scenario *s, int fd[2])
{
	if (s->fd) {
		memcpy(fd, s->fd, 2 * sizeof(*fd));
		return;
	}
	vt_tcp_pair_small(fd, s->mss ? s->mss + TIMESTAMPS : 0, 0);
	vt_set_sndbuf(fd[0], s->sndbuf);
	if (s->mss) {
		int got = 0;
		socklen_t len = sizeof(got);

		MUST(getsockopt(fd[0], IPPROTO_TCP, TCP_MAXSEG, &got, &len) == 0);
		CHECK(got == s->mss, "the MSS is %d, not %d", got, s->mss);
	}
}

static int close_lib(const struct ll_scenario *s, struct vt_end *e)
{
	/* ktls_close() frees it, whatever else it says, unless that is EAGAIN */
	return s->one_call ? ktls_close(e->c, VT_WAIT) : vt_end_close(e);
}

void ll_run_lib(const struct ll_scenario *s, struct ll_result *r)
{
	struct ktls_policy policy = vt_policy(KTLS_REQUIRE, KTLS_OFF);
	struct vt_stream stream;
	struct ktls_info info;
	struct vt_peer p;
	struct vt_end e;
	int64_t start;
	int fd[2];

	policy.offload_after = 0;
	memset(r, 0, sizeof(*r));
	pair(s, fd);
	vt_peer_init(&p, client(s->tls12), fd[1], false);
	resume(p.ssl, sessions[s->tls12]);
	p.start_ms = s->end == LL_ASLEEP ? s->nap_ms : 0;
	vt_end_init(&e, ll_server(s->tls12), fd[0], true, s->blocking, &policy);
	/* tickets would be records of their own in front of the data */
	MUST(SSL_set_num_tickets(e.ssl, sessions[s->tls12] ? 0 : 1) == 1);
	start = vt_now();
	vt_peer_start(&p);
	if (CHECK(vt_end_handshake(&e) == 0, "handshake: errno %d", errno)) {
		r->handshake_ms = vt_now() - start;
		r->resumed = SSL_session_reused(e.ssl);
		vt_end_info(&e, &info);
		CHECK(info.tx.mode == KTLS_MODE_KERNEL,
		      "TX is in user space: %s", vt_reason(info.tx.reason));
		if (s->end == LL_SIGNALS)
			set_alarm(STORM_US);
		(void)ll_send(s, e.c, fd[0], &r->accepted);
	}
	CHECK(close_lib(s, &e) == 0, "closing: errno %d", errno);
	set_alarm(0);
	vt_peer_join(&p);
	CHECK(p.close_notify && !p.eof && !p.error, "the peer: %s", p.text);
	r->received = p.in.count;
	vt_stream_init(&stream, s->base, &s->most, 1);
	vt_sink_check(&p.in, &stream, r->accepted, "the peer");
	EVP_MD_CTX_free(e.in.md);
}

struct raw_reader {
	const struct ll_scenario *s;
	int fd;
	struct vt_sink sink;
	pthread_t thread;
};

static void *read_raw(void *arg)
{
	struct raw_reader *r = arg;
	static uint8_t buf[65536];
	ssize_t n;

	if (r->s->end == LL_ASLEEP)
		vt_sleep_ms(r->s->nap_ms);
	while ((n = recv(r->fd, buf, sizeof(buf), 0)) > 0)
		vt_sink_add(&r->sink, buf, (size_t)n);
	return NULL;
}

static void start_raw(struct raw_reader *r)
{
	sigset_t all, old;

	vt_sink_init(&r->sink);
	/* signals are for the sender */
	sigfillset(&all);
	sigdelset(&all, SIGUSR2);
	MUST(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
	MUST(pthread_create(&r->thread, NULL, read_raw, r) == 0);
	MUST(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
}

/*
 * Its reader always reads to the end: a record that a blocking call leaves
 * half sent makes close(2) wait for that, out of reach of any signal.
 */
void ll_run_raw(const struct ll_scenario *s, struct ll_result *r)
{
	const struct vt_suite *suite = ll_suite(s->tls12);
	struct raw_reader reader = {.s = s};
	struct vt_stream stream;
	struct sender x;
	int fd[2];

	memset(r, 0, sizeof(*r));
	pair(s, fd);
	MUST(vt_raw_install(fd[0], suite, KTLS_TX) == 0);
	MUST(vt_raw_install(fd[1], suite, KTLS_RX) == 0);
	vt_set_nonblocking(fd[0], !s->blocking);
	reader.fd = fd[1];
	start_raw(&reader);
	sender_init(&x, s, NULL, fd[0]);
	/* else only to end a call that has stopped for ever */
	set_alarm(s->end == LL_SIGNALS ? STORM_US
		  : s->blocking	       ? RAW_MS * 1000
				       : 0);
	(void)send_all(&x);
	if (s->end != LL_SIGNALS)
		set_alarm(0);
	close(fd[0]);
	set_alarm(0);
	MUST(pthread_join(reader.thread, NULL) == 0);
	close(fd[1]);
	sender_end(&x);
	r->accepted = x.pos;
	r->received = reader.sink.count;
	/* what has come is a beginning of it, and nothing else */
	CHECK(r->received <= r->accepted, "%zu bytes of %zu", r->received,
	      r->accepted);
	vt_stream_init(&stream, s->base, &s->most, 1);
	vt_sink_check(&reader.sink, &stream, r->received, "the raw reader");
}
