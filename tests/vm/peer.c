/* SPDX-License-Identifier: MIT */
/* The other end of a connection: OpenSSL in a thread, non-blocking. */
#include "vmtest.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/sockios.h>

#include <openssl/err.h>

enum {
	ROOMY = 65536, /* bytes that may wait while keys are changed */
	ROOM_MS = 2
};

void vt_peer_init(struct vt_peer *p, SSL_CTX *ctx, int fd, bool server)
{
	memset(p, 0, sizeof(*p));
	p->fd = fd;
	p->ssl = SSL_new(ctx);
	MUST(p->ssl != NULL);
	vt_set_nonblocking(fd, true);
	MUST(SSL_set_fd(p->ssl, fd) == 1);
	if (server)
		SSL_set_accept_state(p->ssl);
	else
		SSL_set_connect_state(p->ssl);
	vt_sink_init(&p->in);
}

static void fail(struct vt_peer *p, const char *call, int code)
{
	const unsigned long e = ERR_peek_error();

	if (p->error)
		return;
	p->error = code ? code : EPROTO;
	snprintf(p->text, sizeof(p->text), "%s: %s", call,
		 e ? ERR_reason_error_string(e) : strerror(p->error));
}

/* What to poll for, 0 when it is of no use to try again. */
static int wants(struct vt_peer *p, int r, const char *call)
{
	const int saved = errno;
	const int e = SSL_get_error(p->ssl, r);

	if (e == SSL_ERROR_WANT_READ)
		return POLLIN;
	if (e == SSL_ERROR_WANT_WRITE)
		return POLLOUT;
	if (e == SSL_ERROR_ZERO_RETURN) {
		p->close_notify =
			(SSL_get_shutdown(p->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
		return 0;
	}
	if (ERR_GET_REASON(ERR_peek_error()) ==
		    SSL_R_UNEXPECTED_EOF_WHILE_READING ||
	    (e == SSL_ERROR_SYSCALL && saved == 0))
		p->eof = true;
	else
		fail(p, call, e == SSL_ERROR_SYSCALL ? saved : 0);
	return 0;
}

static bool shake_hands(struct vt_peer *p)
{
	for (;;) {
		int events, r;

		ERR_clear_error();
		errno = 0;
		r = SSL_do_handshake(p->ssl);
		if (r == 1)
			return true;
		events = wants(p, r, "handshake");
		if (!events)
			return false;
		if (!vt_poll(p->fd, events)) {
			fail(p, "handshake", ETIMEDOUT);
			return false;
		}
	}
}

static bool reading(const struct vt_peer *p)
{
	return !p->close_notify && !p->eof && !p->error;
}

static bool sending(const struct vt_peer *p)
{
	if (p->error || p->out.pos == p->out.total)
		return false;
	return !p->after || p->in.count >= p->in_total;
}

static bool step_read(struct vt_peer *p, uint8_t *buf, int *events)
{
	const size_t len = p->read_size ? p->read_size : VT_RECORD;
	size_t n = 0;
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_read_ex(p->ssl, buf, len, &n);
	if (r != 1) {
		*events |= wants(p, r, "SSL_read");
		return !reading(p);
	}
	vt_sink_add(&p->in, buf, n);
	if (p->pause_us > 0) {
		struct timespec t = {.tv_nsec = p->pause_us * 1000L};

		nanosleep(&t, NULL);
	}
	return true;
}

static bool step_write(struct vt_peer *p, int *events)
{
	size_t number, n = 0;
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_write_ex(p->ssl, vt_data + p->out.base + p->out.pos,
			 vt_stream_next(&p->out, &number), &n);
	if (r != 1) {
		*events |= wants(p, r, "SSL_write");
		return false;
	}
	p->out.pos += n;
	return true;
}

/*
 * OpenSSL 3.0 fails ("bad length") when two KeyUpdates come while a record of
 * its own is half written: so none is begun without room for it.
 */
static bool roomy(const struct vt_peer *p)
{
	int queued = 0;

	return !p->rekey_each ||
	       (ioctl(p->fd, SIOCOUTQ, &queued) == 0 && queued < ROOMY);
}

/*
 * Asks for an answer every other time. Many without data in between would be
 * a flood: so they go by what is sent, where something is, one at a time.
 */
static void change_key(struct vt_peer *p)
{
	const size_t moved = p->out.total ? p->out.pos : p->in.count;

	if (!p->rekey_each || moved < p->rekey_at || !reading(p))
		return;
	ERR_clear_error();
	if (SSL_key_update(p->ssl, p->rekeys & 1 ? SSL_KEY_UPDATE_NOT_REQUESTED
						 : SSL_KEY_UPDATE_REQUESTED) != 1)
		return;
	p->rekeys++;
	p->rekey_at = moved + p->rekey_each;
	(void)SSL_do_handshake(p->ssl);
}

static void send_close_notify(struct vt_peer *p)
{
	int r, events;

	do {
		ERR_clear_error();
		errno = 0;
		r = SSL_shutdown(p->ssl);
		events = r < 0 ? wants(p, r, "SSL_shutdown") : 0;
	} while ((events & POLLOUT) && vt_poll(p->fd, events));
}

static void talk(struct vt_peer *p)
{
	uint8_t *buf = malloc(p->read_size ? p->read_size : VT_RECORD);
	bool closed = false;

	MUST(buf != NULL);
	while (reading(p) || sending(p)) {
		bool moved = false;
		int events = 0;
		bool room;

		/* the other end has gone: what is unsent will never be read */
		if (p->close_notify && !p->half_closes)
			break;
		if (p->hold && p->in.count >= p->hold_at) {
			(void)vt_poll(p->hold, POLLIN);
			p->hold = 0;
		}
		if (reading(p))
			moved |= step_read(p, buf, &events);
		room = roomy(p);
		if (sending(p) && room)
			moved |= step_write(p, &events);
		change_key(p);
		if (p->closes_first && !closed && !sending(p) &&
		    p->in.count >= p->in_total) {
			send_close_notify(p);
			closed = true;
		}
		if (!moved && !room) {
			struct pollfd wait = {.fd = p->fd, .events = POLLIN};

			(void)poll(&wait, 1, ROOM_MS);
			continue;
		}
		if (!moved && !vt_poll(p->fd, events)) {
			fail(p, "peer stalled", ETIMEDOUT);
			break;
		}
	}
	if (!closed && !p->error && !p->eof)
		send_close_notify(p);
	free(buf);
}

static void *run(void *arg)
{
	struct vt_peer *p = arg;

	p->handshaken = shake_hands(p);
	if (p->only_handshake)
		return NULL;
	if (p->start_ms > 0) {
		struct timespec t = {
			.tv_sec = p->start_ms / 1000,
			.tv_nsec = p->start_ms % 1000 * 1000000L,
		};

		nanosleep(&t, NULL);
	}
	if (p->handshaken)
		talk(p);
	close(p->fd);
	return NULL;
}

void vt_peer_start(struct vt_peer *p)
{
	sigset_t all, old;

	/* signals are for the end under test */
	sigfillset(&all);
	sigdelset(&all, SIGUSR2);
	MUST(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
	MUST(pthread_create(&p->thread, NULL, run, p) == 0);
	MUST(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
}

void vt_peer_join(struct vt_peer *p)
{
	MUST(pthread_join(p->thread, NULL) == 0);
	SSL_free(p->ssl);
	p->ssl = NULL;
}
