/* SPDX-License-Identifier: MIT */
/*
 * The acceptor: it alone has the private key. It shakes hands with many
 * clients at a time, reads nothing of what they ask, and passes each
 * connection to whichever worker takes it: ktls_export(), the socket, and
 * from then on it is not ours any more.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ktls/raw.h>

#include "prefork.h"

enum {
	CLIENTS = 512, /* that have a handshake before them, or wait */
	SIGNALS = 0,
	LISTEN,
	PAIR,
	FIXED /* the clients' entries are behind these */
};

struct client {
	struct ktls_conn *tls;
	int fd;
	bool shaken; /* hands: it waits for room in the pair */
	short wants;
	int64_t limit;
};

struct acceptor {
	const struct config *config;
	int pair;
	int signals;
	int listen_fd; /* -1: no more */
	int64_t stop;  /* when to give up, 0: not stopping */
	int64_t pause; /* no accept before */
	unsigned int count;
	struct client clients[CLIENTS];
	uint8_t image[IMAGE_MAX];
};

static void drop(struct client *c, const struct config *config, const char *error)
{
	char text[160];

	if (!error)
		tls_error(text, sizeof(text), c->tls);
	serve_failed(c->tls, config, "", error ? error : text);
	ktls_conn_free(c->tls);
	close(c->fd);
	c->tls = NULL;
}

/* From here on the connection is in the image, and c->tls an empty shell. */
static void hand_over(struct acceptor *a, struct client *c)
{
	ssize_t n = ktls_export(c->tls, a->image, sizeof(a->image));

	if (n < 0 && errno == EAGAIN) {
		/* half a record of the peer, or a ticket that is not in TCP */
		c->wants = (short)ktls_wants(c->tls) & POLLIN;
		if (c->wants == 0)
			(void)ktls_flush(c->tls, TICK);
		return;
	}
	if (n < 0) {
		drop(c, a->config, NULL);
		return;
	}
	if (pass_send(a->pair, c->fd, a->image, (size_t)n) < 0)
		warn("a connection was lost: %s", strerror(errno));
	explicit_bzero(a->image, (size_t)n);
	(void)ktls_close(c->tls, 0); /* the descriptor here; nothing is sent */
	c->tls = NULL;
}

static void turn(struct acceptor *a, struct client *c)
{
	struct pollfd pair = {.fd = a->pair, .events = POLLOUT};

	if (!c->shaken && ktls_handshake(c->tls) < 0) {
		if (errno != EAGAIN) {
			drop(c, a->config, NULL);
			return;
		}
		c->wants = (short)ktls_wants(c->tls);
		return;
	}
	c->shaken = true;
	c->wants = 0;
	/* each message takes room, and an image cannot be given back */
	if (poll(&pair, 1, 0) > 0 && pair.revents == POLLOUT)
		hand_over(a, c);
}

static void start(struct acceptor *a, int fd)
{
	struct client *c = &a->clients[a->count];
	int on = 1;

	/* Without this the end of a small response waits for an ACK. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	*c = (struct client){
		.fd = fd,
		.wants = POLLIN,
		.limit = now_ms() + LIMIT_HANDSHAKE,
		.tls = server_accept(a->config->ctx, fd, &a->config->policy, NULL),
	};
	if (c->tls)
		a->count++;
	else
		close(fd);
}

static void accept_some(struct acceptor *a)
{
	while (a->count < CLIENTS) {
		int fd = accept4(a->listen_fd, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			start(a, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			warn("accept: %s", strerror(errno));
			a->pause = now_ms() + 500;
			return;
		}
		if (errno == EAGAIN)
			return;
		/* others are about one connection that is no more */
	}
}

static void take_signals(struct acceptor *a)
{
	struct signalfd_siginfo info;

	while (read(a->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD || a->stop)
			continue;
		a->stop = now_ms() + LIMIT_CLOSE;
		/* clients in the backlog think that they are connected */
		accept_some(a);
		close(a->listen_fd);
		a->listen_fd = -1;
	}
}

static void turn_all(struct acceptor *a, const struct pollfd *fds,
		     unsigned int polled)
{
	int64_t now = now_ms();
	unsigned int left = 0;

	for (unsigned int i = 0; i < a->count; i++) {
		struct client *c = &a->clients[i];

		if (i >= polled || c->wants == 0 || fds[FIXED + i].revents != 0)
			turn(a, c);
		if (c->tls && now > c->limit)
			drop(c, a->config, "timed out");
		if (c->tls)
			a->clients[left++] = *c;
	}
	a->count = left;
}

static bool is_done(const struct acceptor *a)
{
	if (workers_reap(a->stop != 0) == 0)
		return true;
	return a->stop && (a->count == 0 || now_ms() > a->stop);
}

static void run(struct acceptor *a)
{
	struct pollfd fds[FIXED + CLIENTS];

	fds[SIGNALS] = (struct pollfd){.fd = a->signals, .events = POLLIN};
	while (!is_done(a)) {
		bool accepts = a->count < CLIENTS && now_ms() >= a->pause;
		unsigned int polled = a->count;

		fds[LISTEN] = (struct pollfd){.fd = accepts ? a->listen_fd : -1,
					      .events = POLLIN};
		fds[PAIR] = (struct pollfd){.fd = a->pair};
		for (unsigned int i = 0; i < polled; i++) {
			const struct client *c = &a->clients[i];

			/* 0: it waits for the pair alone */
			fds[FIXED + i] = (struct pollfd){
				.fd = c->wants ? c->fd : -1,
				.events = c->wants,
			};
			if (!c->wants)
				fds[PAIR].events = POLLOUT;
		}
		if (poll(fds, FIXED + polled, 500) < 0)
			continue;
		if (fds[LISTEN].revents)
			accept_some(a);
		if (fds[SIGNALS].revents)
			take_signals(a);
		turn_all(a, fds, polled);
	}
}

int accept_run(const struct config *config, int pair, int signals)
{
	struct acceptor *a = calloc(1, sizeof(*a));
	bool stopped;

	if (!a)
		die("%s", strerror(errno));
	a->config = config;
	a->pair = pair;
	a->signals = signals;
	a->listen_fd = config->listen_fd;
	run(a);
	for (unsigned int i = 0; i < a->count; i++)
		drop(&a->clients[i], config, "the server stopped");
	stopped = a->stop != 0;
	free(a);
	return stopped ? 0 : 1;
}
