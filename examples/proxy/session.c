/* SPDX-License-Identifier: MIT */
/*
 * One client and its back-end, from accept to close.
 *
 * The back-end is connected to when the client's handshake is done. Each of
 * the two may end its sending while the other goes on; when both have, the
 * client's connection is closed without losing a byte. Whatever else happens
 * to one of them must not look like a clean end to the other: it is reset.
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

#include "proxy.h"

enum step {
	STEP_AGAIN, /* go on at once, in another state */
	STEP_WAIT,  /* go on when what the ends want comes true */
	STEP_GONE   /* the session is over */
};

/* The first error of a session is the one that counts. */
void session_error(struct session *s, const char *who, const char *text)
{
	if (!s->error[0])
		snprintf(s->error, sizeof(s->error), "%s: %s", who, text);
}

static void set_state(struct session *s, enum session_state state)
{
	const int64_t limits[] = {
		[SESSION_HANDSHAKE] = LIMIT_HANDSHAKE,
		[SESSION_CONNECT] = LIMIT_CONNECT,
		[SESSION_FLOW] = s->loop->config->idle,
		[SESSION_CLOSE] = LIMIT_CLOSE,
	};

	s->state = state;
	s->limit = now_ms() + limits[state];
}

/* After a call of libktls has returned -1. */
static enum step blocked_or_failed(struct session *s)
{
	char text[160];

	if (errno == EAGAIN) {
		s->client.wants = (short)ktls_wants(s->tls);
		return STEP_WAIT;
	}
	tls_error(text, sizeof(text), s->tls);
	session_error(s, "client", text);
	return STEP_GONE;
}

/* After the handshake, and before an end: directions move in between. */
void session_look(const struct session *s)
{
	if (s->loop->config->stats)
		stats_look(s->tls);
}

static enum step do_handshake(struct session *s)
{
	if (ktls_handshake(s->tls) < 0)
		return blocked_or_failed(s);
	session_look(s);
	s->address = s->loop->config->backend;
	set_state(s, SESSION_CONNECT);
	return STEP_AGAIN;
}

static enum step do_connect(struct session *s)
{
	switch (backend_connect(s)) {
	case 1:
		set_state(s, SESSION_FLOW);
		return STEP_AGAIN;
	case 0:
		return STEP_WAIT;
	}
	return STEP_GONE;
}

static int socket_error(const struct end *end)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return errno;
	return error;
}

/* A reset on a socket that neither flow has anything to do with now. */
static int check_ends(struct session *s)
{
	int error = socket_error(&s->client);

	if (error != 0) {
		session_error(s, "client", strerror(error));
		s->backend.reset = true;
		return -1;
	}
	error = socket_error(&s->backend);
	return error ? flow_backend_failed(s, error) : 0;
}

static void close_end(struct end *end)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	if (end->fd < 0)
		return;
	if (end->reset)
		setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &at_once,
			   sizeof(at_once));
	close(end->fd); /* which takes it out of the epoll set */
	end->fd = -1;
}

static enum step do_flow(struct session *s)
{
	uint64_t before = s->up.bytes + s->down.bytes;

	if (flow_up(s) < 0 || flow_down(s) < 0)
		return STEP_GONE;
	if ((s->events & EPOLLERR) && check_ends(s) < 0)
		return STEP_GONE;
	if (s->up.bytes + s->down.bytes != before)
		s->limit = now_ms() + s->loop->config->idle;
	if (s->up.state != FLOW_DONE || s->down.state != FLOW_DONE)
		return STEP_WAIT;
	/* TCP goes on with what it has for the back-end */
	close_end(&s->backend);
	set_state(s, SESSION_CLOSE);
	return STEP_AGAIN;
}

/* All is sent. Wait for the client's end, lest a reset overtakes the rest. */
static enum step do_close(struct session *s)
{
	enum step step;

	if (ktls_shutdown(s->tls, 0) == 0)
		return STEP_GONE;
	step = blocked_or_failed(s);
	if (step == STEP_WAIT && s->client.wants != POLLIN)
		s->tick = true;
	s->client.wants &= POLLIN;
	return step;
}

static void print_stats(const struct session *s)
{
	char text[96];

	snprintf(text, sizeof(text), "\"to_backend\":%llu,\"from_backend\":%llu",
		 (unsigned long long)s->up.bytes,
		 (unsigned long long)s->down.bytes);
	stats_print(s->tls, text, s->error);
}

static void session_free(struct session *s)
{
	struct loop *loop = s->loop;

	if (loop->config->stats)
		print_stats(s);
	if (s->prev)
		s->prev->next = s->next;
	else
		loop->first = s->next;
	if (s->next)
		s->next->prev = s->prev;
	loop->count--;

	ktls_conn_free(s->tls);
	close_end(&s->client);
	close_end(&s->backend);
	flow_close(&s->up);
	flow_close(&s->down);
	free(s);
}

/* Tell epoll what is waited for; false if it cannot. */
static bool watch(struct session *s, struct end *end)
{
	struct epoll_event event = {.data.ptr = s};
	int op = end->polled == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	if (end->fd < 0)
		return true;
	/*
	 * POLLIN and EPOLLIN are the same number, and so is POLLOUT. A reset
	 * is told of in any case; where nothing else is waited for, just once.
	 */
	event.events = end->wants ? (uint32_t)end->wants : (uint32_t)EPOLLET;
	if (event.events == end->polled)
		return true;
	if (epoll_ctl(s->loop->epoll, op, end->fd, &event) < 0) {
		session_error(s, "epoll_ctl", strerror(errno));
		return false;
	}
	end->polled = event.events;
	return true;
}

/* Go on with a session as far as possible. May free it. */
void session_turn(struct session *s)
{
	enum step step = STEP_AGAIN;

	s->tick = false;
	while (step == STEP_AGAIN) {
		s->client.wants = 0;
		s->backend.wants = 0;
		switch (s->state) {
		case SESSION_HANDSHAKE:
			step = do_handshake(s);
			break;
		case SESSION_CONNECT:
			step = do_connect(s);
			break;
		case SESSION_FLOW:
			step = do_flow(s);
			break;
		case SESSION_CLOSE:
			step = do_close(s);
			break;
		}
	}
	s->events = 0;
	if (step == STEP_GONE || !watch(s, &s->client) || !watch(s, &s->backend))
		session_free(s);
	else if (s->tick)
		s->loop->tick = true;
}

static bool acknowledges(struct end *end)
{
	int unacked = 0;
	bool less;

	if (end->fd < 0 || ioctl(end->fd, SIOCOUTQ, &unacked) < 0)
		return false;
	less = unacked < end->unacked;
	end->unacked = unacked;
	return less;
}

static void give_up(struct session *s, const char *who, const char *text)
{
	session_error(s, who, text);
	s->client.reset = true;
	s->backend.reset = true;
	session_free(s);
}

/* Called every second: give up on peers that do nothing. May free it. */
void session_check_limit(struct session *s, int64_t now)
{
	/* A slow peer is not a dead one. Both are asked in any case. */
	bool client_lives = acknowledges(&s->client);
	bool lives = acknowledges(&s->backend) || client_lives;

	if (lives && s->state == SESSION_FLOW)
		s->limit = now + s->loop->config->idle;
	if (now < s->limit)
		return;

	switch (s->state) {
	case SESSION_HANDSHAKE:
		session_error(s, "client", "no handshake in time");
		session_free(s);
		break;
	case SESSION_CONNECT:
		backend_next_address(s, ETIMEDOUT);
		session_turn(s);
		break;
	case SESSION_FLOW:
		give_up(s, "both", "idle for too long");
		break;
	case SESSION_CLOSE:
		session_free(s); /* it has everything, we need not wait */
		break;
	}
}

/* The proxy stops: true if there was something left to do. Frees it. */
bool session_cut(struct session *s)
{
	bool unfinished = s->state != SESSION_CLOSE;

	if (unfinished)
		give_up(s, "proxy", "stopped");
	else
		session_free(s);
	return unfinished;
}

/* Take over a socket that was accepted; false: it had to be closed. */
bool session_open(struct loop *loop, int fd)
{
	const struct config *config = loop->config;
	struct session *s = calloc(1, sizeof(*s));
	int on = 1;

	if (!s) {
		close(fd);
		return false;
	}
	s->loop = loop;
	s->client.fd = fd;
	s->backend.fd = -1;
	s->up.out = -1;
	s->down.out = -1;
	if (flow_open(&s->up) < 0 || flow_open(&s->down) < 0) {
		warn("pipe2: %s", strerror(errno));
		goto fail;
	}
	/* Without this the end of what is sent waits for an ACK. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->tls = server_accept(config->ctx, fd, &config->policy, NULL);
	if (!s->tls)
		goto fail;
	set_state(s, SESSION_HANDSHAKE);

	s->next = loop->first;
	if (s->next)
		s->next->prev = s;
	loop->first = s;
	loop->count++;
	session_turn(s);
	return true;
fail:
	flow_close(&s->up);
	flow_close(&s->down);
	close_end(&s->client);
	free(s);
	return false;
}
