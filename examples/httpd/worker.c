/* SPDX-License-Identifier: MIT */
/*
 * One process's epoll loop: accepts connections, gives them their turns, ends
 * those whose time is over, and stops gracefully on SIGTERM or SIGINT.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "httpd.h"

/* From one list, if not NULL, to the front of another, if not NULL. */
void conn_list_move(struct conn *conn, struct conn_list *from,
		    struct conn_list *to)
{
	if (from) {
		if (conn->prev)
			conn->prev->next = conn->next;
		else
			from->first = conn->next;
		if (conn->next)
			conn->next->prev = conn->prev;
	}
	if (to) {
		conn->prev = NULL;
		conn->next = to->first;
		if (conn->next)
			conn->next->prev = conn;
		to->first = conn;
	}
}

/* Have epoll tell of new connections, or not. */
static void listen_to(struct worker *worker, bool listening)
{
	struct epoll_event event = {
		/* of the workers that share the socket, wake one */
		.events = EPOLLIN | EPOLLEXCLUSIVE,
		.data.ptr = &worker->listening,
	};
	int op = listening ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;

	if (worker->listening == listening)
		return;
	if (epoll_ctl(worker->epoll, op, worker->config->listen_fd, &event) < 0)
		warn("epoll_ctl: %s", strerror(errno));
	else
		worker->listening = listening;
}

/* Accept what is there, but no more than max; returns whether any was. */
static bool accept_some(struct worker *worker, int max)
{
	bool any = false;

	for (int i = 0; i < max; i++) {
		struct conn *conn;
		int fd = accept4(worker->config->listen_fd, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			any = true;
			conn = conn_open(worker, fd);
			if (conn)
				conn_turn(conn);
			continue;
		}
		if (errno == EAGAIN)
			break;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			/* trying again at once would be all that we do */
			warn("accept: %s", strerror(errno));
			listen_to(worker, false);
			worker->listen_again = now_ms() + 500;
			break;
		}
		/* others are about one connection that is no more */
	}
	return any;
}

static void stop(struct worker *worker)
{
	struct conn *conn;

	worker->stopping = true;
	worker->stop_limit = now_ms() + LIMIT_STOP;
	/* Clients in the backlog think they are connected: serve them. */
	while (accept_some(worker, 64))
		continue;
	listen_to(worker, false);
	close(worker->config->listen_fd);
	metrics_stop(worker->metrics);

	conn = worker->open.first;
	while (conn) {
		struct conn *next = conn->next;

		conn_stop(conn);
		conn = next;
	}
}

static void handle(struct worker *worker, const struct epoll_event *event)
{
	void *what = event->data.ptr;

	if (what == &worker->listening) {
		accept_some(worker, 16);
	} else if (what == &worker->signals) {
		struct signalfd_siginfo info;

		if (read(worker->signals, &info, sizeof(info)) > 0)
			worker->signalled = true;
	} else if (what == worker->metrics) {
		metrics_turn(worker->metrics);
	} else {
		conn_turn(what);
	}
}

/* Look again at closing connections for which poll has no word. */
static void tick(struct worker *worker)
{
	struct conn *conn = worker->closing.first;

	worker->tick = false; /* until a turn finds out otherwise */
	while (conn) {
		struct conn *next = conn->next;

		if (conn->wants != EPOLLIN)
			conn_turn(conn);
		conn = next;
	}
}

static void check_limits(struct conn_list *list, int64_t now)
{
	struct conn *conn = list->first;

	while (conn) {
		struct conn *next = conn->next;

		conn_check_limit(conn, now);
		conn = next;
	}
}

static void free_all(struct conn_list *list)
{
	while (list->first)
		conn_free(list->first);
}

static bool is_done(const struct worker *worker, int64_t now)
{
	if (!worker->stopping)
		return false;
	if (!worker->open.first && !worker->closing.first)
		return true;
	return now >= worker->stop_limit;
}

static void run(struct worker *worker)
{
	int64_t next_tick = 0;
	int64_t next_check = 0;
	int64_t now = now_ms();

	while (!is_done(worker, now)) {
		struct epoll_event events[64];
		int n;

		if (worker->tick && now >= next_tick) {
			tick(worker);
			next_tick = now + TICK;
		}
		if (now >= next_check) {
			check_limits(&worker->open, now);
			check_limits(&worker->closing, now);
			metrics_check_limits(worker->metrics, now);
			next_check = now + 1000;
		}
		if (!worker->stopping && now >= worker->listen_again)
			listen_to(worker, true);

		n = epoll_wait(worker->epoll, events, ARRAY_SIZE(events),
			       worker->tick ? TICK : 500);
		/* Each turn frees its own connection at most, no later one. */
		for (int i = 0; i < n; i++)
			handle(worker, &events[i]);
		if (worker->signalled && !worker->stopping)
			stop(worker);
		now = now_ms();
	}
}

/* Serve until a signal; returns the exit status of the process. */
int worker_run(const struct config *config, int signals, int metrics_fd)
{
	struct worker worker = {
		.config = config,
		.epoll = epoll_create1(EPOLL_CLOEXEC),
		.signals = signals,
	};
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.ptr = &worker.signals,
	};

	if (worker.epoll < 0 ||
	    epoll_ctl(worker.epoll, EPOLL_CTL_ADD, signals, &event) < 0)
		die("epoll: %s", strerror(errno));
	if (metrics_fd >= 0)
		worker.metrics = metrics_start(metrics_fd, worker.epoll);
	run(&worker);
	free_all(&worker.open);
	free_all(&worker.closing);
	metrics_free(worker.metrics);
	close(worker.epoll);
	return stop_status(worker.cut, "response");
}
