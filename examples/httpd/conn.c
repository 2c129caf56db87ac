/* SPDX-License-Identifier: MIT */
/*
 * One connection from accept to close: every call of libktls on it is here, or
 * in h2.c.
 *
 * A turn runs until a call says EAGAIN, or until a part of a file was sent, so
 * that a fast client doesn't keep the others waiting. epoll is level-triggered
 * and each turn leaves in conn->wants what the next one has to wait for. It
 * never waits for POLLIN while plaintext lies in user space: a request is
 * looked for in what was read before, then ktls_read() is called until EAGAIN.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "httpd.h"

/* Between two requests, or within one that is not complete. */
static bool is_idle(const struct conn *conn)
{
	return conn->state == CONN_READ ||
	       (conn->state == CONN_H2 && !h2_busy(conn->h2));
}

/* In the middle of a response. */
static bool is_sending(const struct conn *conn)
{
	return conn->state == CONN_SEND ||
	       (conn->state == CONN_H2 && h2_busy(conn->h2));
}

void conn_set_state(struct conn *conn, enum conn_state state)
{
	static const int limits[] = {
		[CONN_HANDSHAKE] = LIMIT_HANDSHAKE,
		[CONN_READ] = LIMIT_REQUEST,
		[CONN_SEND] = LIMIT_SEND,
		[CONN_H2] = LIMIT_SEND,
		[CONN_CLOSE] = LIMIT_SEND, /* less once all is in TCP */
	};
	struct worker *worker = conn->worker;

	if (state == CONN_CLOSE && conn->state != CONN_CLOSE)
		conn_list_move(conn, &worker->open, &worker->closing);
	conn->state = state;
	conn->limit = now_ms() + limits[state];
	if (worker->stopping && is_idle(conn))
		conn->limit = now_ms() + LIMIT_CLOSE;
}

/* After the handshake and a response: directions move there. */
void conn_look(const struct conn *conn)
{
	if (conn->worker->config->stats)
		stats_look(conn->tls);
}

void conn_set_error(struct conn *conn, const char *text)
{
	if (!conn->error[0])
		snprintf(conn->error, sizeof(conn->error), "%s", text);
}

/* errno, or what libktls knows of it */
static void set_tls_error(struct conn *conn)
{
	if (!conn->error[0])
		tls_error(conn->error, sizeof(conn->error), conn->tls);
}

/* After a call of libktls has returned -1. */
enum step conn_blocked_or_failed(struct conn *conn)
{
	if (errno == EAGAIN) {
		conn->wants = (short)ktls_wants(conn->tls);
		return STEP_WAIT;
	}
	set_tls_error(conn);
	return STEP_GONE;
}

static enum step do_handshake(struct conn *conn)
{
	const unsigned char *protocol;
	unsigned int len;

	if (ktls_handshake(conn->tls) < 0)
		return conn_blocked_or_failed(conn);
	conn_look(conn);
	SSL_get0_alpn_selected(conn->ssl, &protocol, &len);
	if (len == 2 && memcmp(protocol, "h2", 2) == 0)
		return h2_start(conn);
	conn_set_state(conn, CONN_READ);
	return STEP_AGAIN;
}

/* Answer the request at the start of the buffer, if all of it is there. */
static bool take_request(struct conn *conn)
{
	struct request req;
	size_t head =
		request_parse(&req, conn->in, conn->in_len, sizeof(conn->in));

	if (head == 0)
		return false;
	conn->requests++;
	conn->res.keep_alive = !conn->worker->stopping;
	response_make(&conn->res, &req, conn->worker->config);
	/* req points into these bytes: only now may they go */
	conn->in_len -= head;
	memmove(conn->in, conn->in + head, conn->in_len);
	conn_set_state(conn, CONN_SEND);
	return true;
}

/* ktls_read() has returned 0, or -1 for another reason than EAGAIN. */
enum step conn_input_ended(struct conn *conn, bool failed)
{
	int error = errno;

	if (failed) {
		set_tls_error(conn);
		/* a peer that has stopped sending may still be reading */
		if (error != ECONNABORTED)
			return STEP_GONE;
	} else if (conn->in_len > 0 || h2_busy(conn->h2)) {
		conn_set_error(conn, "the peer closed within a request");
	}
	conn_set_state(conn, CONN_CLOSE);
	return STEP_AGAIN;
}

static enum step do_read(struct conn *conn)
{
	bool idle;
	ssize_t n;

	if (take_request(conn))
		return STEP_AGAIN;
	n = ktls_read(conn->tls, conn->in + conn->in_len,
		      sizeof(conn->in) - conn->in_len);
	if (n > 0) {
		conn->in_len += (size_t)n;
		return STEP_AGAIN;
	}

	idle = conn->in_len == 0;
	if (n < 0 && errno == EAGAIN) {
		conn->wants = (short)(ktls_wants(conn->tls) | POLLIN);
		if (!(idle && conn->requests > 0 && conn->worker->stopping))
			return STEP_WAIT;
		conn_set_state(conn, CONN_CLOSE);
		return STEP_AGAIN;
	}
	return conn_input_ended(conn, n < 0);
}

static enum step finish_response(struct conn *conn)
{
	response_drop(&conn->res);
	conn_look(conn);
	if (!conn->res.keep_alive) {
		conn_set_state(conn, CONN_CLOSE);
		return STEP_AGAIN;
	}
	conn_set_state(conn, CONN_READ);
	if (conn->in_len == 0)
		return STEP_AGAIN;
	/* pipelined: let the other connections have their turn first */
	conn->wants = POLLOUT;
	return STEP_WAIT;
}

static enum step do_send(struct conn *conn)
{
	struct response *res = &conn->res;
	ssize_t n = ktls_sendfilev(conn->tls, res->spans, res->span_count,
				   &res->cursor);

	if (n < 0 && errno == ENODATA) {
		/* no close_notify: the response must not look complete */
		conn_set_error(conn, "the file became shorter while it was sent");
		return STEP_GONE;
	}
	if (n < 0)
		return conn_blocked_or_failed(conn);
	conn->limit = now_ms() + LIMIT_SEND;
	if (res->cursor.span == res->span_count)
		return finish_response(conn);
	conn->wants = POLLOUT;
	return STEP_WAIT;
}

static enum step do_close(struct conn *conn)
{
	int64_t limit = now_ms() + LIMIT_CLOSE;
	enum step step;

	if (ktls_shutdown(conn->tls, 0) == 0)
		return STEP_GONE;
	step = conn_blocked_or_failed(conn);
	if (step == STEP_WAIT && conn->limit > limit &&
	    unsent_bytes(conn->tls) == 0)
		conn->limit = limit;
	/*
	 * What has not reached TCP may wait for crypto while the socket is
	 * writable: epoll would return at once. A tick looks again.
	 */
	conn->wants &= POLLIN;
	return step;
}

/* Tell epoll what the connection waits for; false if it cannot. */
static bool watch(struct conn *conn)
{
	struct epoll_event event = {.data.ptr = conn};
	int op = EPOLL_CTL_MOD;

	if (conn->state == CONN_CLOSE && conn->wants != POLLIN)
		conn->worker->tick = true;
	if (conn->wants == conn->polled)
		return true;
	if (conn->polled == 0)
		op = EPOLL_CTL_ADD;
	else if (conn->wants == 0) /* not even hang-ups, which would spin */
		op = EPOLL_CTL_DEL;
	/* POLLIN and EPOLLIN are the same number, and so is POLLOUT */
	event.events = (uint32_t)conn->wants;
	if (epoll_ctl(conn->worker->epoll, op, conn->fd, &event) < 0) {
		conn_set_error(conn, strerror(errno));
		return false;
	}
	conn->polled = conn->wants;
	return true;
}

/* Go on with a connection as far as possible. May free it. */
void conn_turn(struct conn *conn)
{
	enum step step = STEP_AGAIN;

	while (step == STEP_AGAIN) {
		switch (conn->state) {
		case CONN_HANDSHAKE:
			step = do_handshake(conn);
			break;
		case CONN_READ:
			step = do_read(conn);
			break;
		case CONN_SEND:
			step = do_send(conn);
			break;
		case CONN_H2:
			step = h2_turn(conn);
			break;
		case CONN_CLOSE:
			step = do_close(conn);
			break;
		}
	}
	if (step == STEP_GONE || !watch(conn))
		conn_free(conn);
}

/* Called every second: give up on a peer that does nothing. May free it. */
void conn_check_limit(struct conn *conn, int64_t now)
{
	bool sending = is_sending(conn);
	int64_t longer = now + (sending ? LIMIT_SEND : LIMIT_CLOSE);
	int unacked = 0;

	/* A slow peer is not a dead one: it acknowledges bytes. */
	if (sending || conn->state == CONN_CLOSE) {
		if (ioctl(conn->fd, SIOCOUTQ, &unacked) == 0 &&
		    unacked < conn->unacked && longer > conn->limit)
			conn->limit = longer;
		conn->unacked = unacked;
	}
	if (now < conn->limit)
		return;

	if (conn->state == CONN_READ) {
		conn_set_state(conn, CONN_CLOSE);
		conn_turn(conn);
		return;
	}
	if (is_idle(conn) && h2_stop(conn->h2)) {
		conn->limit = now + LIMIT_CLOSE;
		conn_turn(conn);
		return;
	}
	if (conn->state != CONN_CLOSE || unsent_bytes(conn->tls) > 0)
		conn_set_error(conn, "timed out");
	conn_free(conn);
}

/* The server stops: close what is idle, finish the rest. May free it. */
void conn_stop(struct conn *conn)
{
	int64_t limit = now_ms() + LIMIT_CLOSE;

	if (conn->state == CONN_SEND || conn->state == CONN_CLOSE)
		return;
	if (!is_sending(conn) && conn->limit > limit)
		conn->limit = limit;
	/* what was sent before the peer could know is still answered */
	conn_turn(conn);
}

/* Take over a socket that was just accepted; NULL: it has been closed. */
struct conn *conn_open(struct worker *worker, int fd)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	int on = 1;

	if (!conn)
		goto fail;
	/* Without this the end of a small response waits for an ACK. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn->tls = server_accept(worker->config->ctx, fd,
				  &worker->config->policy, &conn->ssl);
	if (!conn->tls)
		goto fail;
	conn->worker = worker;
	conn->fd = fd;
	conn->res.file = -1;
	conn_list_move(conn, NULL, &worker->open);
	conn_set_state(conn, CONN_HANDSHAKE);
	return conn;
fail:
	free(conn);
	close(fd);
	return NULL;
}

void conn_free(struct conn *conn)
{
	struct worker *worker = conn->worker;
	bool closing = conn->state == CONN_CLOSE;
	char more[64];

	if (worker->stopping && (is_sending(conn) || unsent_bytes(conn->tls) > 0)) {
		conn_set_error(conn, "the server stopped");
		worker->cut++;
	}
	if (worker->config->stats) {
		snprintf(more, sizeof(more),
			 "\"protocol\":\"%s\",\"requests\":%u",
			 conn->h2 ? "h2" : "http/1.1", conn->requests);
		stats_print(conn->tls, more, conn->error);
	}
	conn_list_move(conn, closing ? &worker->closing : &worker->open, NULL);
	response_drop(&conn->res);
	h2_free(conn->h2);
	ktls_conn_free(conn->tls);
	close(conn->fd); /* which takes it out of the epoll set */
	free(conn);
}
