/* SPDX-License-Identifier: MIT */
/* The end of a connection that libktls is, driven by its public calls. */
#include "vmnet.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

SSL_SESSION *vt_resume, *vt_session;
int vt_sessions;

static int new_session(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	SSL_SESSION_free(vt_session);
	vt_session = s;
	vt_sessions++;
	return 1;
}

void vt_keep_sessions(SSL_CTX *ctx)
{
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
						    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, new_session);
}

struct ktls_policy vt_policy(uint32_t tx, uint32_t rx)
{
	struct ktls_policy p;

	MUST(ktls_policy_init(&p, sizeof(p)) == 0);
	p.tx = tx;
	p.rx = rx;
	return p;
}

void vt_end_init(struct vt_end *e, SSL_CTX *ctx, int fd, bool server,
		 bool blocking, const struct ktls_policy *policy)
{
	SSL *ssl = SSL_new(ctx);

	memset(e, 0, sizeof(*e));
	e->fd = fd;
	e->blocking = blocking;
	MUST(ssl != NULL);
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	if (!server && vt_resume)
		MUST(SSL_set_session(ssl, vt_resume) == 1);
	vt_set_nonblocking(fd, !blocking);
	e->c = ktls_conn_new(ssl, fd, policy);
	MUST(e->c != NULL);
	e->ssl = ssl;
	SSL_free(ssl);
	vt_sink_init(&e->in);
}

/* After EAGAIN; false: nothing came, which is a failure. */
static bool wait_for(struct vt_end *e, int events, const char *what)
{
	if (!CHECK(!e->blocking, "%s: EAGAIN on a blocking socket", what))
		return false;
	if (!CHECK(events != 0, "%s: EAGAIN, but nothing to wait for", what))
		return false;
	return CHECK(vt_poll(e->fd, events), "%s: no event 0x%x for %d ms",
		     what, (unsigned int)events, VT_WAIT);
}

int vt_end_handshake(struct vt_end *e)
{
	struct ktls_info info;

	while (ktls_handshake(e->c) < 0) {
		if (errno == EINTR) {
			e->interrupts++;
			continue;
		}
		if (errno != EAGAIN)
			return -1;
		if (!wait_for(e, ktls_wants(e->c), "ktls_handshake")) {
			errno = EAGAIN;
			return -1;
		}
	}
	/* elsewhere the library asks by itself, in the namespace it is in */
	if (vt_nic_used)
		vt_end_info(e, &info);
	return 0;
}

ssize_t vt_end_send(struct vt_end *e)
{
	size_t number, len = vt_stream_next(&e->out, &number);
	const size_t at = e->out.base + e->out.pos;
	ssize_t n;

	if (number % 2 == 0 || e->only_write) {
		n = ktls_write(e->c, vt_data + at, len);
	} else {
		off_t offset = (off_t)at;

		n = ktls_sendfile(e->c, vt_file, &offset, len);
		if (len > 2 * 1024 * 1024)
			len = 2 * 1024 * 1024; /* the default budget */
		CHECK(offset == (off_t)at + (n > 0 ? n : 0),
		      "ktls_sendfile returned %zd and moved the offset by %lld",
		      n, (long long)offset - (long long)at);
	}
	CHECK(n != 0 && n <= (ssize_t)len, "%zd bytes of %zu sent", n, len);
	if (n > 0) {
		/* a signal may end a call early, nothing else */
		CHECK(!e->blocking || (size_t)n == len || e->interrupts > 0,
		      "blocking: %zd bytes of %zu sent", n, len);
		e->out.pos += (size_t)n;
	}
	return n;
}

ssize_t vt_end_recv(struct vt_end *e)
{
	static const size_t sizes[] = {1, 100, 16384, 262144};
	static uint8_t buf[262144];
	const size_t len = sizes[e->in.count / 7 % 4];
	ssize_t n = ktls_read(e->c, buf, len);

	CHECK(n <= (ssize_t)len, "%zd bytes read into %zu", n, len);
	if (n > 0)
		vt_sink_add(&e->in, buf, (size_t)n);
	return n;
}

/* 1: moved; 0: has to wait, *events grew; -1: failed */
static int outcome(struct vt_end *e, ssize_t n, const char *call, int *events)
{
	struct ktls_error error = {.size = sizeof(error)};

	if (n > 0)
		return 1;
	if (n < 0 && errno == EINTR) {
		e->interrupts++;
		return 1;
	}
	if (n < 0 && errno == EAGAIN) {
		*events |= ktls_wants(e->c);
		return 0;
	}
	ktls_get_error(e->c, &error);
	CHECK(false, "%s: %zd, errno %d (%s); sent %zu of %zu, got %zu of %zu",
	      call, n, n < 0 ? errno : 0, error.text, e->out.pos, e->out.total,
	      e->in.count, e->in_total);
	return -1;
}

bool vt_end_exchange(struct vt_end *e)
{
	for (;;) {
		const bool out = e->out.pos < e->out.total;
		const bool in = e->in.count < e->in_total && (!out || e->duplex);
		int events = 0, tx = 0, rx = 0;

		if (!out && e->in.count >= e->in_total)
			return true;
		if (out)
			tx = outcome(e, vt_end_send(e), "send", &events);
		/* a blocking end must not wait for data while it has some */
		if (in && tx >= 0 && (!out || !e->blocking))
			rx = outcome(e, vt_end_recv(e), "ktls_read", &events);
		if (tx < 0 || rx < 0)
			return false;
		if (tx == 0 && rx == 0 && !wait_for(e, events, "exchange"))
			return false;
	}
}

bool vt_end_finished(struct vt_end *e)
{
	char buf[16];
	ssize_t n;

	for (;;) {
		n = ktls_read(e->c, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n >= 0 || errno != EAGAIN ||
		    !wait_for(e, ktls_wants(e->c), "close_notify"))
			break;
	}
	return CHECK(n == 0, "instead of close_notify: %zd, errno %d", n,
		     n < 0 ? errno : 0);
}

int vt_end_close(struct vt_end *e)
{
	const int64_t end = vt_now() + VT_WAIT;
	int r;

	if (e->blocking) {
		while ((r = ktls_shutdown(e->c, VT_WAIT)) < 0 && errno == EINTR)
			e->interrupts++;
		/* again: it must know that all is done */
		if (r == 0)
			r = ktls_close(e->c, 0);
		else
			(void)ktls_close(e->c, VT_WAIT);
	} else {
		while ((r = ktls_close(e->c, 0)) < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = e->fd};

			p.events = (short)ktls_wants(e->c);
			CHECK(p.events != 0, "EAGAIN, nothing to wait for");
			if (!CHECK(vt_now() < end, "ktls_close: still EAGAIN"))
				return ktls_close(e->c, 1);
			(void)poll(&p, 1, 10);
		}
	}
	e->c = NULL;
	return r;
}

void vt_end_info(const struct vt_end *e, struct ktls_info *info)
{
	int here = -1;

	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	/* the kernel answers questions about sockets in their own namespace */
	if (vt_nic_used)
		here = vt_nic_enter(e->fd);
	MUST(ktls_get_info(e->c, info) == 0);
	if (vt_nic_used)
		vt_far_leave(here);
}
