/* SPDX-License-Identifier: MIT */
/*
 * One connection from accept to close. Each completion is a turn, which ends
 * when another entry is in the ring. Before the kernel has the keys, and where
 * it never gets them, a turn calls ktls_read() or ktls_sendfilev(), and the
 * entry is a poll; then it is the transfer itself (raw.c).
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "uring.h"

static void set_state(struct client *c, enum conn_state state)
{
	static const int limits[] = {
		[CONN_HANDSHAKE] = LIMIT_HANDSHAKE,
		[CONN_READ] = LIMIT_REQUEST,
		[CONN_SEND] = LIMIT_SEND,
		[CONN_CLOSE] = LIMIT_SEND, /* less once all is in TCP */
	};

	c->state = state;
	c->limit = now_ms() + limits[state];
	c->unacked = UINT64_MAX;
	c->tick = 1;
}

static void look(const struct client *c)
{
	if (c->server->options->http.stats)
		stats_look(c->tls);
}

void client_error(struct client *c, const char *text)
{
	if (!c->error[0])
		snprintf(c->error, sizeof(c->error), "%s", text);
}

/* After a call of libktls has returned -1. */
static enum step blocked_or_failed(struct client *c)
{
	int wants;

	if (errno != EAGAIN) {
		if (!c->error[0])
			tls_error(c->error, sizeof(c->error), c->tls);
		return STEP_GONE;
	}
	wants = ktls_wants(c->tls);
	return submit_wait(c, wants, wants ? INT_MAX : TICK);
}

static enum step do_handshake(struct client *c)
{
	if (ktls_handshake(c->tls) < 0)
		return blocked_or_failed(c);
	look(c);
	set_state(c, CONN_READ);
	return STEP_AGAIN;
}

/* Answer the request at the start of the buffer, if all of it is there. */
static bool take_request(struct client *c)
{
	struct request req;
	size_t head = request_parse(&req, c->in, c->in_len, sizeof(c->in));

	if (head == 0)
		return false;
	c->requests++;
	c->res.keep_alive = !c->server->stopping;
	response_make(&c->res, &req, &c->server->options->http);
	/* req points into these bytes: only now may they go */
	c->in_len -= head;
	memmove(c->in, c->in + head, c->in_len);
	set_state(c, CONN_SEND);
	return true;
}

/* Nothing more comes: 0 of a close_notify, or -1 with errno. */
enum step client_closed(struct client *c, ssize_t n)
{
	if (n < 0 && !c->error[0])
		tls_error(c->error, sizeof(c->error), c->tls);
	/* a peer that has stopped sending may still be reading */
	if (n < 0 && errno != ECONNABORTED)
		return STEP_GONE;
	if (c->in_len > 0)
		client_error(c, "the peer closed within a request");
	set_state(c, CONN_CLOSE);
	return STEP_AGAIN;
}

static enum step do_read(struct client *c)
{
	char *to = c->in + c->in_len;
	ssize_t n;

	if (take_request(c))
		return STEP_AGAIN;
	/* what a stop has to end is nothing that was begun */
	if (c->server->stopping && c->in_len == 0 && c->requests > 0) {
		set_state(c, CONN_CLOSE);
		return STEP_AGAIN;
	}
	if (!c->ask && (ktls_raw_io(c->tls) & KTLS_RX))
		return submit_recv(c, to, sizeof(c->in) - c->in_len);
	c->ask = false;
	n = ktls_read(c->tls, to, sizeof(c->in) - c->in_len);
	if (n > 0) {
		c->in_len += (size_t)n;
		return STEP_AGAIN;
	}
	if (n < 0 && errno == EAGAIN)
		return submit_wait(c, ktls_wants(c->tls) | POLLIN, INT_MAX);
	return client_closed(c, n);
}

/*
 * As the known reproducer of lost bytes does: when the last byte was spliced
 * the descriptor is closed, and the kernel drops what TCP has not got.
 */
static enum step close_naively(struct client *c)
{
	struct server *server = c->server;
	const int fd = c->fd;
	struct io_uring_sqe *sqe;

	c->fd = -1;
	(void)ktls_detach(c->tls);
	client_free(c);
	sqe = ring_entry(server, 1);
	io_uring_prep_close(sqe, fd);
	io_uring_sqe_set_data(sqe, NULL);
	return STEP_WAIT;
}

static enum step finish_response(struct client *c)
{
	response_drop(&c->res);
	look(c);
	if (c->res.keep_alive) {
		set_state(c, CONN_READ);
		return STEP_AGAIN;
	}
	if (c->server->options->naive)
		return close_naively(c);
	set_state(c, CONN_CLOSE);
	return STEP_AGAIN;
}

/* That n bytes more are sent, of which some were in the pipe. */
void client_count(struct client *c, size_t n)
{
	struct ktls_cursor *cursor = &c->res.cursor;

	c->limit = now_ms() + LIMIT_SEND;
	c->unacked = UINT64_MAX;
	c->piped -= c->piped < n ? c->piped : n;
	cursor->total += n;
	cursor->done += n;
}

static bool is_sent(struct response *res)
{
	struct ktls_cursor *cursor = &res->cursor;

	while (cursor->span < res->span_count &&
	       cursor->done == res->spans[cursor->span].len) {
		cursor->span++;
		cursor->done = 0;
	}
	return cursor->span == res->span_count;
}

static enum step do_send(struct client *c)
{
	struct response *res = &c->res;
	ssize_t n;

	if (is_sent(res))
		return finish_response(c);
	if (ktls_raw_io(c->tls) & KTLS_TX)
		return raw_send(c);
	if (c->piped > 0) {
		/* libktls has to send something of its own first: new keys */
		n = ktls_splice_in(c->tls, c->pipe[0], c->piped, 0);
		if (n > 0)
			client_count(c, (size_t)n);
	} else {
		n = ktls_sendfilev(c->tls, res->spans, res->span_count,
				   &res->cursor);
	}
	if (n < 0 && errno == ENODATA) {
		client_error(c, "the file became shorter while it was sent");
		return STEP_GONE;
	}
	if (n < 0)
		return blocked_or_failed(c);
	c->limit = now_ms() + LIMIT_SEND;
	/* the other connections have their turn first */
	return is_sent(res) ? STEP_AGAIN : submit_wait(c, POLLOUT, INT_MAX);
}

/*
 * ktls_close() does all of this, too, but leaves nothing that --stats could
 * look at. Crypto that ends makes no event, and the socket may well be
 * writable before: where it is not the peer that is waited for, time has to.
 */
static enum step do_close(struct client *c)
{
	const int64_t limit = now_ms() + LIMIT_CLOSE;
	int wants;

	c->closed = ktls_shutdown(c->tls, 0) == 0;
	if (c->closed)
		return STEP_GONE;
	if (errno != EAGAIN)
		return blocked_or_failed(c);
	wants = ktls_wants(c->tls);
	if (wants == POLLIN) {
		if (c->limit > limit)
			c->limit = limit;
		return submit_wait(c, POLLIN, LIMIT_CLOSE);
	}
	c->tick = c->tick < TICK / 2 ? 2 * c->tick : TICK;
	return submit_wait(c, wants & POLLIN, c->tick);
}

/* A slow peer is not a dead one: it acknowledges bytes. */
static bool acknowledges(struct client *c)
{
	struct ktls_info info = {.size = sizeof(info)};

	if ((c->state != CONN_SEND && c->state != CONN_CLOSE) ||
	    ktls_get_info(c->tls, &info) < 0 || info.unacked >= c->unacked)
		return false;
	c->unacked = info.unacked;
	c->limit = now_ms() + (c->state == CONN_SEND ? LIMIT_SEND : LIMIT_CLOSE);
	return info.unacked > 0;
}

/* The entry was cancelled: its time is over, or the server stops. */
static enum step cancelled(struct client *c)
{
	if (now_ms() < c->limit && !c->server->stopping)
		return STEP_AGAIN;
	if (c->state == CONN_READ) {
		set_state(c, CONN_CLOSE);
		return STEP_AGAIN;
	}
	if (now_ms() < c->limit && c->state != CONN_HANDSHAKE)
		return STEP_AGAIN;
	if (acknowledges(c))
		return STEP_AGAIN;
	if (c->state != CONN_CLOSE || unsent_bytes(c->tls) > 0)
		client_error(c, "timed out");
	return STEP_GONE;
}

/* What the entry that was in the ring has brought. */
static enum step completed(struct client *c, int res)
{
	const enum op op = c->op;

	c->op = OP_NONE;
	switch (op) {
	case OP_WAIT:
	case OP_RECV:
		if (res == -ECANCELED || res == -ETIME)
			return cancelled(c);
		return op == OP_RECV ? raw_received(c, res) : STEP_AGAIN;
	case OP_FILL:
		return raw_filled(c, res);
	case OP_SEND:
	case OP_SPLICE:
		return raw_sent(c, res);
	case OP_NONE:
		break;
	}
	return STEP_AGAIN;
}

/* Go on with a connection as far as possible. May free it. */
void client_turn(struct client *c, int res)
{
	enum step step = completed(c, res);

	while (step == STEP_AGAIN) {
		switch (c->state) {
		case CONN_HANDSHAKE:
			step = do_handshake(c);
			break;
		case CONN_READ:
			step = do_read(c);
			break;
		case CONN_SEND:
			step = do_send(c);
			break;
		case CONN_H2: /* never: it is not offered */
		case CONN_CLOSE:
			step = do_close(c);
			break;
		}
	}
	if (step == STEP_GONE)
		client_free(c);
}

/* Take over a socket that was just accepted. */
void client_open(struct server *server, int fd)
{
	const struct config *config = &server->options->http;
	struct client *c = calloc(1, sizeof(*c));
	int on = 1;

	/* Without this the end of a small response waits for an ACK. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (c)
		c->tls = server_accept(config->ctx, fd, &config->policy, NULL);
	if (!c || !c->tls) {
		free(c);
		close(fd);
		return;
	}
	c->server = server;
	c->fd = fd;
	c->pipe[0] = -1;
	c->pipe[1] = -1;
	c->res.file = -1;
	c->next = server->first;
	if (c->next)
		c->next->prev = c;
	server->first = c;
	set_state(c, CONN_HANDSHAKE);
	client_turn(c, 0);
}

static void print_stats(const struct client *c)
{
	char more[160];

	snprintf(more, sizeof(more),
		 "\"requests\":%u,\"raw_tx\":%llu,\"raw_rx\":%llu", c->requests,
		 (unsigned long long)c->raw_tx, (unsigned long long)c->raw_rx);
	stats_print(c->tls, more, c->error);
}

/* It has nothing in the ring any more. */
void client_free(struct client *c)
{
	struct server *server = c->server;

	if (server->stopped) {
		client_error(c, "the server stopped");
		server->cut++;
	}
	if (server->options->http.stats)
		print_stats(c);
	if (c->prev)
		c->prev->next = c->next;
	else
		server->first = c->next;
	if (c->next)
		c->next->prev = c->prev;
	response_drop(&c->res);
	if (c->pipe[0] >= 0) {
		close(c->pipe[0]);
		close(c->pipe[1]);
	}
	if (c->closed) {
		(void)ktls_close(c->tls, 0);
	} else {
		ktls_conn_free(c->tls);
		if (c->fd >= 0)
			close(c->fd);
	}
	free(c);
}
