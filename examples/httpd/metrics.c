/* SPDX-License-Identifier: MIT */
/*
 * What ktls_metrics() has, for Prometheus: plain HTTP/1.1 on a port of its own.
 *
 * An epoll set in the worker's epoll set, so that nothing else knows of these
 * connections. They are few, each has one request and five seconds: clients
 * that are slow or many wait for each other, and TLS connections for none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "httpd.h"

#define CLIENTS 8

struct client {
	int fd;
	bool used;
	bool answered;
	int64_t limit; /* give up at this time */
	char *body;
	struct response res; /* its cursor counts what was sent */
	size_t in_len;
	char in[2048];
};

struct metrics {
	int epoll;
	int listen_fd;
	bool listening; /* listen_fd is in the epoll set */
	bool stopped;
	struct client clients[CLIENTS];
};

static bool watch(const struct metrics *m, int op, int fd, uint32_t events,
		  void *what)
{
	struct epoll_event event = {.events = events, .data.ptr = what};

	return epoll_ctl(m->epoll, op, fd, &event) == 0;
}

static void listen_to(struct metrics *m, bool listening)
{
	if (m->stopped || m->listening == listening)
		return;
	if (watch(m, listening ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, m->listen_fd,
		  EPOLLIN, m))
		m->listening = listening;
}

static void drop(struct metrics *m, struct client *c)
{
	close(c->fd); /* which takes it out of the epoll set */
	free(c->body);
	c->body = NULL;
	c->used = false;
	listen_to(m, true);
}

static struct client *free_client(struct metrics *m)
{
	for (size_t i = 0; i < CLIENTS; i++)
		if (!m->clients[i].used)
			return &m->clients[i];
	return NULL;
}

static void accept_some(struct metrics *m)
{
	struct client *c;

	while ((c = free_client(m)) != NULL) {
		int fd = accept4(m->listen_fd, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && errno == EAGAIN)
			return;
		if (fd < 0)
			break;
		if (!watch(m, EPOLL_CTL_ADD, fd, EPOLLIN, c)) {
			close(fd);
			break;
		}
		c->fd = fd;
		c->used = true;
		c->answered = false;
		c->in_len = 0;
		c->limit = now_ms() + LIMIT_METRICS;
	}
	/* until one has gone, or the next second */
	listen_to(m, false);
}

/* All of the text, or NULL; other threads may make it longer meanwhile. */
static char *read_metrics(size_t *len_out)
{
	ssize_t len = ktls_metrics(NULL, 0);

	while (len >= 0) {
		size_t size = (size_t)len + 256;
		char *text = malloc(size);

		if (!text)
			return NULL;
		len = ktls_metrics(text, size);
		if (len >= 0 && (size_t)len < size) {
			*len_out = (size_t)len;
			return text;
		}
		free(text);
	}
	return NULL;
}

static void answer(struct client *c, const struct request *req)
{
	static const char type[] = "text/plain; version=0.0.4; charset=utf-8";
	int status = 200;
	size_t len = 0;

	if (req->error)
		status = req->error;
	else if (req->method == METHOD_UNKNOWN)
		status = 501;
	else if (req->method == METHOD_OTHER)
		status = 405;
	else if (strcmp(req->path, "/metrics") != 0)
		status = 404;
	else if ((c->body = read_metrics(&len)) == NULL)
		status = 503;
	if (status == 200)
		response_make_memory(&c->res, req, type, c->body, len);
	else
		response_make_status(&c->res, req, status);
	c->answered = true;
}

/* False: the connection is over. */
static bool do_read(struct metrics *m, struct client *c)
{
	struct request req;

	for (;;) {
		ssize_t n = recv(c->fd, c->in + c->in_len,
				 sizeof(c->in) - c->in_len, 0);

		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		c->in_len += (size_t)n;
		if (request_parse(&req, c->in, c->in_len, sizeof(c->in)) > 0)
			break;
	}
	answer(c, &req);
	return watch(m, EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
}

static bool do_send(struct metrics *m, struct client *c)
{
	struct ktls_cursor *at = &c->res.cursor;

	while (at->span < c->res.span_count) {
		const struct ktls_span *span = &c->res.spans[at->span];
		const char *from = (const char *)span->buf + at->done;
		ssize_t n = send(c->fd, from, span->len - at->done, 0);

		if (n < 0)
			return errno == EAGAIN;
		at->done += (size_t)n;
		if (at->done == span->len) {
			at->span++;
			at->done = 0;
		}
	}
	/* close() with something unread would reset, and lose the response */
	return shutdown(c->fd, SHUT_WR) == 0 &&
	       watch(m, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
}

static bool wait_for_end(struct client *c)
{
	ssize_t n = recv(c->fd, c->in, sizeof(c->in), 0);

	return n > 0 || (n < 0 && errno == EAGAIN);
}

static void turn(struct metrics *m, struct client *c)
{
	bool good;

	if (!c->answered)
		good = do_read(m, c);
	else if (c->res.cursor.span < c->res.span_count)
		good = do_send(m, c);
	else
		good = wait_for_end(c);
	if (!good)
		drop(m, c);
}

/* Something has happened in the set: at most one step for each client. */
void metrics_turn(struct metrics *m)
{
	struct epoll_event events[CLIENTS + 1];
	int n = epoll_wait(m->epoll, events, ARRAY_SIZE(events), 0);
	bool knocked = false;

	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == m)
			knocked = true;
		else
			turn(m, events[i].data.ptr);
	}
	/* last, for an event may be about what a new client would replace */
	if (knocked && !m->stopped)
		accept_some(m);
}

/* Called every second. */
void metrics_check_limits(struct metrics *m, int64_t now)
{
	if (!m)
		return;
	for (size_t i = 0; i < CLIENTS; i++)
		if (m->clients[i].used && now >= m->clients[i].limit)
			drop(m, &m->clients[i]);
	if (free_client(m))
		listen_to(m, true);
}

/* No new clients: the port is free for the server that comes next. */
void metrics_stop(struct metrics *m)
{
	if (!m || m->stopped)
		return;
	listen_to(m, false);
	m->stopped = true;
	close(m->listen_fd);
}

/* Serve listen_fd in the given epoll set, which tells of it with the result. */
struct metrics *metrics_start(int listen_fd, int epoll)
{
	struct metrics *m = calloc(1, sizeof(*m));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = m};

	if (!m)
		die("out of memory");
	m->listen_fd = listen_fd;
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, m->epoll, &event) < 0)
		die("epoll: %s", strerror(errno));
	listen_to(m, true);
	return m;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	metrics_stop(m);
	for (size_t i = 0; i < CLIENTS; i++)
		if (m->clients[i].used)
			drop(m, &m->clients[i]);
	close(m->epoll);
	free(m);
}
