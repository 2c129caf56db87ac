/* SPDX-License-Identifier: MIT */
/*
 * The epoll loop: accepts connections, gives sessions their turns, ends those
 * whose time is over, and stops gracefully on SIGTERM or SIGINT.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy.h"

/* Descriptors: two sockets and two pipes; what the program has besides. */
#define FDS_SESSION 6
#define FDS_PROGRAM 32

static unsigned int max_sessions(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
		return INT_MAX / FDS_SESSION;
	if (limit.rlim_cur < FDS_PROGRAM + FDS_SESSION)
		return 1;
	return (unsigned int)(limit.rlim_cur - FDS_PROGRAM) / FDS_SESSION;
}

/* Have epoll tell of new connections, or not: then they wait in the backlog. */
static void listen_to(struct loop *loop, bool listening)
{
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.ptr = &loop->listening,
	};
	int op = listening ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;

	if (loop->listening == listening)
		return;
	if (epoll_ctl(loop->epoll, op, loop->config->listen_fd, &event) < 0)
		warn("epoll_ctl: %s", strerror(errno));
	else
		loop->listening = listening;
}

/* Trying again at once would be all that we do. */
static void pause_listening(struct loop *loop)
{
	loop->listen_again = now_ms() + 500;
}

/* Accept what is there, but no more than max; returns whether any was. */
static bool accept_some(struct loop *loop, int max)
{
	bool any = false;

	for (int i = 0; i < max && loop->count < loop->max; i++) {
		int fd = accept4(loop->config->listen_fd, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			any = true;
			if (session_open(loop, fd))
				continue;
			pause_listening(loop);
			break;
		}
		if (errno == EAGAIN)
			break;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			warn("accept: %s", strerror(errno));
			pause_listening(loop);
			break;
		}
		/* others are about one connection that is no more */
	}
	return any;
}

/* A second signal ends the wait for what the first one let go on. */
static void take_signal(struct loop *loop)
{
	struct signalfd_siginfo info;

	if (read(loop->signals, &info, sizeof(info)) <= 0)
		return;
	if (loop->stopping) {
		loop->stop_limit = now_ms();
		return;
	}
	loop->stopping = true;
	loop->stop_limit = now_ms() + LIMIT_STOP;
	/* Clients in the backlog think they are connected: serve them. */
	while (accept_some(loop, 64))
		continue;
	listen_to(loop, false);
	close(loop->config->listen_fd);
}

/* Both ends of a session may have an event; it gets one turn. */
static void note(struct loop *loop, const struct epoll_event *event)
{
	struct session *s = event->data.ptr;

	if (s->events == 0) {
		s->ready_next = loop->ready;
		loop->ready = s;
	}
	s->events |= event->events;
}

static void handle(struct loop *loop, const struct epoll_event *events, int n)
{
	bool accepting = false;
	bool signalled = false;

	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == &loop->listening)
			accepting = true;
		else if (events[i].data.ptr == &loop->signals)
			signalled = true;
		else
			note(loop, &events[i]);
	}
	while (loop->ready) {
		struct session *s = loop->ready;

		loop->ready = s->ready_next;
		session_turn(s);
	}
	if (accepting)
		accept_some(loop, 16);
	if (signalled)
		take_signal(loop);
}

/* Look again at sessions for which poll has no word. */
static void tick(struct loop *loop)
{
	struct session *s = loop->first;

	loop->tick = false; /* until a turn finds out otherwise */
	while (s) {
		struct session *next = s->next;

		if (s->tick)
			session_turn(s);
		s = next;
	}
}

static void check_limits(struct loop *loop, int64_t now)
{
	struct session *s = loop->first;

	while (s) {
		struct session *next = s->next;

		session_check_limit(s, now);
		s = next;
	}
}

static bool is_done(const struct loop *loop, int64_t now)
{
	return loop->stopping && (!loop->first || now >= loop->stop_limit);
}

static void run(struct loop *loop)
{
	int64_t next_tick = 0;
	int64_t next_check = 0;
	int64_t now = now_ms();

	while (!is_done(loop, now)) {
		struct epoll_event events[64];
		int n;

		if (loop->tick && now >= next_tick) {
			tick(loop);
			next_tick = now + TICK;
		}
		if (now >= next_check) {
			check_limits(loop, now);
			next_check = now + 1000;
		}
		if (!loop->stopping)
			listen_to(loop, loop->count < loop->max &&
						now >= loop->listen_again);
		n = epoll_wait(loop->epoll, events, ARRAY_SIZE(events),
			       loop->tick ? TICK : 500);
		handle(loop, events, n);
		now = now_ms();
	}
}

/* Serve until a signal; returns the exit status of the process. */
int loop_run(const struct config *config, int signals)
{
	struct loop loop = {
		.config = config,
		.epoll = epoll_create1(EPOLL_CLOEXEC),
		.signals = signals,
		.max = max_sessions(),
	};
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.ptr = &loop.signals,
	};

	if (loop.epoll < 0 ||
	    epoll_ctl(loop.epoll, EPOLL_CTL_ADD, signals, &event) < 0)
		die("epoll: %s", strerror(errno));
	run(&loop);
	while (loop.first)
		if (session_cut(loop.first))
			loop.cut++;
	close(loop.epoll);
	return stop_status(loop.cut, "connection");
}
