/* SPDX-License-Identifier: MIT */
/* The senders of ktls-vm-stall: libktls, and the kernel without it. */
#include "stall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

enum {
	TIMESTAMPS = 12,     /* bytes of each segment that carry no data */
	MAX_PAYLOAD_LEN = 5, /* TLS_TX_MAX_PAYLOAD_LEN */
	CALL = 1024 * 1024,  /* bytes of a call of libktls */
	PIPE = 65536,
	OVERHEAD_12 = 24, /* AES-GCM: nonce and tag; 1.3: type and tag */
	OVERHEAD_13 = 17,
	BASE = 4096 * 3 + 17 /* where the data begins: not at a page */
};

double st_rate(const struct st_result *r)
{
	const int64_t us = r->wire.time_us > 0 ? r->wire.time_us : 1;

	return (double)r->wire.bytes * 1e6 / (double)us;
}

const char *st_how_str(enum st_how how)
{
	static const char *const names[] = {"write", "sendfile", "splice"};

	return names[how];
}

static void set_int(int fd, int level, int name, int value)
{
	if (value > 0)
		MUST(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
}

/* Nagle's algorithm stays on: most callers have it so. */
void st_pair(const struct st_scenario *s, int fd[2])
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int mss = s->mss ? s->mss + TIMESTAMPS : 0;
	socklen_t len = sizeof(a);
	int l;

	l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(l >= 0 && fd[0] >= 0);
	set_int(l, IPPROTO_TCP, TCP_MAXSEG, mss);
	set_int(fd[0], IPPROTO_TCP, TCP_MAXSEG, mss);
	set_int(l, SOL_SOCKET, SO_RCVBUF, s->rcvbuf);
	set_int(fd[0], SOL_SOCKET, SO_SNDBUF, s->sndbuf);
	set_int(fd[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, s->lowat);
	set_int(fd[0], IPPROTO_TCP, TCP_NODELAY, s->nodelay);
	MUST(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0);
	MUST(listen(l, 1) == 0);
	MUST(getsockname(l, (struct sockaddr *)&a, &len) == 0);
	MUST(connect(fd[0], (struct sockaddr *)&a, sizeof(a)) == 0);
	fd[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	MUST(fd[1] >= 0);
	close(l);
	if (mss) {
		int got = 0;

		len = sizeof(got);
		MUST(getsockopt(fd[0], IPPROTO_TCP, TCP_MAXSEG, &got, &len) == 0);
		CHECK(got == s->mss, "the MSS is %d, not %d", got, s->mss);
	}
}

/* The end that sends, by libktls if there is c. */
struct sender {
	const struct st_scenario *s;
	struct ktls_conn *c;
	int fd;
	int pipe[2];
	size_t piped; /* bytes in the pipe */
	size_t pos;
	size_t most;
};

/* Fills the pipe when it is empty; bytes in it */
static size_t fill(struct sender *x, size_t len)
{
	loff_t at = (loff_t)(BASE + x->pos);

	if (x->piped == 0) {
		const ssize_t n = splice(vt_file, &at, x->pipe[1], NULL,
					 len < PIPE ? len : PIPE, 0);

		MUST(n > 0);
		x->piped = (size_t)n;
	}
	return x->piped;
}

static ssize_t call_lib(struct sender *x, size_t len)
{
	off_t at = (off_t)(BASE + x->pos);

	switch (x->s->how) {
	case ST_SENDFILE:
		return ktls_sendfile(x->c, vt_file, &at, len);
	case ST_SPLICE:
		len = fill(x, len);
		return ktls_splice_in(x->c, x->pipe[0], len, 0);
	case ST_WRITE:
	case ST_HOWS:
	default:
		return ktls_write(x->c, vt_data + BASE + x->pos, len);
	}
}

static ssize_t call_raw(struct sender *x, size_t len)
{
	off_t at = (off_t)(BASE + x->pos);

	switch (x->s->how) {
	case ST_SENDFILE:
		return sendfile(x->fd, vt_file, &at, len);
	case ST_SPLICE:
		len = fill(x, len);
		return splice(x->pipe[0], NULL, x->fd, NULL, len, 0);
	case ST_WRITE:
	case ST_HOWS:
	default:
		return send(x->fd, vt_data + BASE + x->pos, len, MSG_NOSIGNAL);
	}
}

static int tcp_option(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	MUST(getsockopt(fd, IPPROTO_TCP, name, &value, &len) == 0);
	return value;
}

/* After a call, whatever came of it; false: they are not as the caller's. */
static bool check_options(const struct sender *x)
{
	const int nodelay = tcp_option(x->fd, TCP_NODELAY);
	const int cork = tcp_option(x->fd, TCP_CORK);

	return CHECK(nodelay == x->s->nodelay && cork == x->s->cork,
		     "TCP_NODELAY is %d, not %d, and TCP_CORK %d, not %d",
		     nodelay, x->s->nodelay, cork, x->s->cork);
}

/* Sends until it is time, or the reader has gone; 0 or errno */
static int send_all(struct sender *x)
{
	const int64_t end = vt_now() + x->s->ms;

	while (x->pos < x->most && (x->s->ms == 0 || vt_now() < end)) {
		const size_t left = x->most - x->pos;
		struct pollfd p = {.fd = x->fd, .events = POLLOUT};
		ssize_t n;

		n = x->c ? call_lib(x, left < CALL ? left : CALL)
			 : call_raw(x, left);
		if (x->s->watch) {
			const int e = errno;

			if (!check_options(x))
				return EINVAL;
			errno = e;
		}
		if (n > 0) {
			x->pos += (size_t)n;
			if (x->s->how == ST_SPLICE)
				x->piped -= (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || errno != EAGAIN)
			return n == 0 ? ENODATA : errno;
		if (x->s->blocking && x->c)
			return EAGAIN;
		if (x->c)
			p.events = (short)ktls_wants(x->c);
		if (!p.events)
			return EAGAIN;
		if (poll(&p, 1, VT_WAIT) == 0)
			return ETIMEDOUT;
	}
	return 0;
}

static void sender_init(struct sender *x, const struct st_scenario *s, int fd)
{
	memset(x, 0, sizeof(*x));
	x->s = s;
	x->fd = fd;
	x->most = s->most ? s->most : VT_DATA - BASE;
	MUST(pipe2(x->pipe, O_CLOEXEC) == 0);
	/* not earlier: the handshake is no caller of large sends */
	set_int(fd, IPPROTO_TCP, TCP_CORK, s->cork);
}

static void sender_end(struct sender *x)
{
	close(x->pipe[0]);
	close(x->pipe[1]);
}

static const struct vt_suite *suite_of(const struct st_scenario *s)
{
	const int version = s->tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
	const struct vt_suite *v = vt_suites;

	while (v->version != version)
		v++;
	return v;
}

static SSL_CTX *context(const struct st_scenario *s, bool server)
{
	static SSL_CTX *all[2][2];
	SSL_CTX **ctx = &all[s->tls12][server];

	if (!*ctx) {
		*ctx = vt_ctx(suite_of(s), server, false);
		/* tickets would be records that no policy is for */
		MUST(SSL_CTX_set_num_tickets(*ctx, 0) == 1);
		if (server)
			MUST(ktls_ctx_enable(*ctx) == 0);
	}
	return *ctx;
}

static void check_info(const struct st_scenario *s, const struct ktls_info *i)
{
	CHECK(i->tx.mode == KTLS_MODE_KERNEL, "TX is in user space: %s",
	      vt_reason(i->tx.reason));
	CHECK(i->record_size_asked == s->record_size &&
		      i->record_size == s->record_size,
	      "records of %u asked, %u in effect, not %u", i->record_size_asked,
	      i->record_size, s->record_size);
	CHECK(i->stall_guard_asked == (s->guard_off ? KTLS_OFF : KTLS_AUTO) &&
		      i->stall_guard == !s->guard_off,
	      "the guard is %u, asked %u", i->stall_guard, i->stall_guard_asked);
	CHECK(i->guard_pushes <= i->guard_waits &&
		      (i->guard_pushes == 0 || i->stall_guard),
	      "%llu pushes in %llu waits, guard %u",
	      (unsigned long long)i->guard_pushes,
	      (unsigned long long)i->guard_waits, i->stall_guard);
	CHECK(i->record_sizing == KTLS_SIZING_KERNEL ||
		      (i->record_sizing == KTLS_SIZING_CALLS &&
		       s->record_size < VT_RECORD),
	      "records of %u come about in way %u", s->record_size,
	      i->record_sizing);
	CHECK(i->file_call >= s->record_size &&
		      (s->guard_off || i->file_call <= PIPE) &&
		      (i->record_sizing != KTLS_SIZING_CALLS ||
		       i->file_call == s->record_size),
	      "calls of %llu bytes", (unsigned long long)i->file_call);
	CHECK(i->notsent_lowat == 0 ||
		      i->notsent_lowat == (s->lowat ? PIPE : INT_MAX),
	      "TCP_NOTSENT_LOWAT was raised from %d to %u", s->lowat,
	      i->notsent_lowat);
}

static void check_wire(const struct st_scenario *s, struct st_reader *r,
		       const struct st_result *result)
{
	const size_t sizes[] = {result->sent};
	struct vt_stream stream;

	vt_stream_init(&stream, BASE, sizes, 1);
	CHECK(r->close_notify, "no close_notify");
	vt_sink_check(&r->sink, &stream, result->sent, "the reader");
	CHECK(r->wire.large == 0, "%zu records of %zu with more than %u bytes",
	      r->wire.large, r->wire.records, s->record_size);
}

void st_send_lib(const struct st_scenario *s, struct st_result *result)
{
	struct ktls_policy policy = vt_policy(KTLS_REQUIRE, KTLS_OFF);
	struct st_reader r = {.s = s};
	struct sender x;
	struct vt_peer p;
	struct vt_end e;
	int fd[2], also, code = 0;

	memset(result, 0, sizeof(*result));
	policy.record_size = s->record_size;
	policy.stall_guard = s->guard_off ? KTLS_OFF : KTLS_AUTO;
	if (s->fd)
		memcpy(fd, s->fd, sizeof(fd));
	else
		st_pair(s, fd);
	also = dup(fd[0]);
	MUST(also >= 0);
	vt_peer_init(&p, context(s, false), fd[1], false);
	p.only_handshake = true;
	vt_end_init(&e, context(s, true), fd[0], true, s->blocking, &policy);
	vt_peer_start(&p);
	if (!CHECK(vt_end_handshake(&e) == 0, "handshake: errno %d", errno))
		code = EPROTO;
	MUST(pthread_join(p.thread, NULL) == 0);
	r.ssl = p.ssl;
	r.fd = fd[1];
	r.overhead = s->tls12 ? OVERHEAD_12 : OVERHEAD_13;
	sender_init(&x, s, fd[0]);
	x.c = e.c;
	st_reader_start(&r);
	if (!code)
		code = send_all(&x);
	result->sent = x.pos;
	vt_end_info(&e, &result->info);
	if (code) {
		ktls_conn_free(e.c);
		close(fd[0]);
	} else if (vt_end_close(&e) < 0) {
		code = errno;
	}
	/* the connection is gone, and has left the socket as it was */
	CHECK(tcp_option(also, TCP_NOTSENT_LOWAT) == s->lowat,
	      "TCP_NOTSENT_LOWAT is %d, not %d",
	      tcp_option(also, TCP_NOTSENT_LOWAT), s->lowat);
	close(also);
	st_reader_join(&r);
	sender_end(&x);
	EVP_MD_CTX_free(e.in.md);
	EVP_MD_CTX_free(p.in.md);
	result->wire = r.wire;
	result->ok = CHECK(code == 0 || r.wire.gave_up,
			   "sending: errno %d (%s) after %zu bytes", code,
			   strerror(code), x.pos) &&
		     !r.wire.gave_up;
	if (result->ok) {
		check_info(s, &result->info);
		check_wire(s, &r, result);
	}
	EVP_MD_CTX_free(r.sink.md);
}

void st_send_raw(const struct st_scenario *s, struct st_result *result)
{
	struct st_reader r = {.s = s};
	struct sender x;
	const uint16_t most = (uint16_t)s->record_size;
	int fd[2];

	memset(result, 0, sizeof(*result));
	st_pair(s, fd);
	MUST(vt_raw_install(fd[0], suite_of(s), KTLS_TX) == 0);
	/* older kernels have records of 16 KiB only */
	(void)setsockopt(fd[0], SOL_TLS, MAX_PAYLOAD_LEN, &most, sizeof(most));
	vt_set_nonblocking(fd[0], !s->blocking);
	sender_init(&x, s, fd[0]);
	r.fd = fd[1];
	r.overhead = s->tls12 ? OVERHEAD_12 : OVERHEAD_13;
	st_reader_start(&r);
	(void)send_all(&x);
	shutdown(fd[0], SHUT_WR);
	st_reader_join(&r);
	close(fd[0]);
	sender_end(&x);
	result->wire = r.wire;
	result->sent = x.pos;
	result->ok = !r.wire.gave_up;
}
