/* SPDX-License-Identifier: MIT */
/*
 * One connection from accept to close: every call of libktls on it is here.
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

enum step {
	STEP_AGAIN, /* go on at once, maybe in another state */
	STEP_WAIT,  /* go on when conn->wants comes true */
	STEP_GONE   /* the connection is over */
};

static void set_state(struct conn *conn, enum conn_state state)
{
	static const int limits[] = {
		[CONN_HANDSHAKE] = LIMIT_HANDSHAKE,
		[CONN_READ] = LIMIT_REQUEST,
		[CONN_SEND] = LIMIT_SEND,
		[CONN_CLOSE] = LIMIT_SEND, /* less once all is in TCP */
	};
	struct worker *worker = conn->worker;

	if (state == CONN_CLOSE && conn->state != CONN_CLOSE)
		conn_list_move(conn, &worker->open, &worker->closing);
	conn->state = state;
	conn->limit = now_ms() + limits[state];
	if (worker->stopping && state == CONN_READ)
		conn->limit = now_ms() + LIMIT_CLOSE;
}

/* After the handshake and a response: directions move there. */
static void look(const struct conn *conn)
{
	if (conn->worker->config->stats)
		stats_look(conn->tls);
}

static void set_error(struct conn *conn, const char *text)
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
static enum step blocked_or_failed(struct conn *conn)
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
	if (ktls_handshake(conn->tls) < 0)
		return blocked_or_failed(conn);
	look(conn);
	set_state(conn, CONN_READ);
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
	set_state(conn, CONN_SEND);
	return true;
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
	} else if (n < 0) {
		set_tls_error(conn);
		/* a peer that has stopped sending may still be reading */
		if (errno != ECONNABORTED)
			return STEP_GONE;
	} else if (!idle) {
		set_error(conn, "the peer closed within a request");
	}
	set_state(conn, CONN_CLOSE);
	return STEP_AGAIN;
}

static enum step finish_response(struct conn *conn)
{
	response_drop(&conn->res);
	look(conn);
	if (!conn->res.keep_alive) {
		set_state(conn, CONN_CLOSE);
		return STEP_AGAIN;
	}
	set_state(conn, CONN_READ);
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
		set_error(conn, "the file became shorter while it was sent");
		return STEP_GONE;
	}
	if (n < 0)
		return blocked_or_failed(conn);
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
	if (errno == EAGAIN && conn->limit > limit && unsent_bytes(conn->tls) == 0)
		conn->limit = limit;
	step = blocked_or_failed(conn);
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
		set_error(conn, strerror(errno));
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
	bool sending = conn->state == CONN_SEND;
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
		set_state(conn, CONN_CLOSE);
		conn_turn(conn);
		return;
	}
	if (conn->state != CONN_CLOSE || unsent_bytes(conn->tls) > 0)
		set_error(conn, "timed out");
	conn_free(conn);
}

/* The server stops: close what is idle, finish the rest. May free it. */
void conn_stop(struct conn *conn)
{
	int64_t limit = now_ms() + LIMIT_CLOSE;

	if (conn->state != CONN_HANDSHAKE && conn->state != CONN_READ)
		return;
	if (conn->limit > limit)
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
	conn->tls =
		server_accept(worker->config->ctx, fd, &worker->config->policy);
	if (!conn->tls)
		goto fail;
	conn->worker = worker;
	conn->fd = fd;
	conn->res.file = -1;
	conn_list_move(conn, NULL, &worker->open);
	set_state(conn, CONN_HANDSHAKE);
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
	char requests[32];

	if (worker->stopping &&
	    (conn->state == CONN_SEND || unsent_bytes(conn->tls) > 0)) {
		set_error(conn, "the server stopped");
		worker->cut++;
	}
	if (worker->config->stats) {
		snprintf(requests, sizeof(requests), "\"requests\":%u",
			 conn->requests);
		stats_print(conn->tls, requests, conn->error);
	}
	conn_list_move(conn, closing ? &worker->closing : &worker->open, NULL);
	response_drop(&conn->res);
	ktls_conn_free(conn->tls);
	close(conn->fd); /* which takes it out of the epoll set */
	free(conn);
}
