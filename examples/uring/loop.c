/* SPDX-License-Identifier: MIT */
/*
 * The ring: accepts connections, gives each completion to the connection that
 * it is of, and stops gracefully on SIGTERM or SIGINT.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "uring.h"

#define ENTRIES	    256	 /* of the submission queue */
#define COMPLETIONS 4096 /* more than that wait in the kernel */
#define PAUSE	    500	 /* ms without accepting, when descriptors are short */

/*
 * The next entry. together: so many have to be submitted in one go, as those
 * that are linked.
 */
struct io_uring_sqe *ring_entry(struct server *server, unsigned int together)
{
	struct io_uring_sqe *sqe;

	if (io_uring_sq_space_left(&server->ring) < together)
		io_uring_submit(&server->ring);
	sqe = io_uring_get_sqe(&server->ring);
	if (!sqe)
		die("io_uring: the submission queue is stuck");
	return sqe;
}

/* One entry for all connections to come. */
static void accept_all(struct server *server)
{
	struct io_uring_sqe *sqe = ring_entry(server, 1);

	io_uring_prep_multishot_accept(sqe, server->listen_fd, NULL, NULL,
				       SOCK_NONBLOCK | SOCK_CLOEXEC);
	io_uring_sqe_set_data(sqe, &server->accepting);
	server->accepting = true;
}

static void start_timer(struct server *server, struct __kernel_timespec *timer,
			int ms)
{
	struct io_uring_sqe *sqe = ring_entry(server, 1);

	timer->tv_sec = ms / 1000;
	timer->tv_nsec = ms % 1000 * 1000000;
	io_uring_prep_timeout(sqe, timer, 0, 0);
	io_uring_sqe_set_data(sqe, timer);
}

static void wait_for_signal(struct server *server)
{
	struct io_uring_sqe *sqe = ring_entry(server, 1);

	io_uring_prep_poll_add(sqe, server->signals, POLLIN);
	io_uring_sqe_set_data(sqe, &server->signals);
}

/*
 * Once nothing in the ring accepts any more: who connects now is refused, and
 * another server may have the address.
 */
static void stop_listening(struct server *server)
{
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	server->listen_fd = -1;
}

static void accepted(struct server *server, int res, bool more)
{
	server->accepting = more;
	if (res >= 0 && server->stopping)
		close(res);
	else if (res >= 0)
		client_open(server, res);
	if (more)
		return;
	if (server->stopping) {
		stop_listening(server);
		return;
	}
	if (res == -EMFILE || res == -ENFILE || res == -ENOBUFS ||
	    res == -ENOMEM) {
		/* trying again at once would be all that we do */
		warn("accept: %s", strerror(-res));
		start_timer(server, &server->pause, PAUSE);
		return;
	}
	if (res == -EINVAL)
		die("io_uring: this kernel cannot accept many at once");
	/* others are about one connection that is no more */
	accept_all(server);
}

static void stop(struct server *server)
{
	struct signalfd_siginfo info;

	if (read(server->signals, &info, sizeof(info)) < 0)
		return;
	server->stopping = true;
	if (server->accepting)
		submit_cancel(server, &server->accepting);
	else
		stop_listening(server);
	start_timer(server, &server->stop, LIMIT_STOP);
	for (struct client *c = server->first; c; c = c->next)
		if (c->state == CONN_HANDSHAKE || c->state == CONN_READ)
			submit_cancel(server, c);
}

static void handle(struct server *server, const struct io_uring_cqe *cqe)
{
	void *what = io_uring_cqe_get_data(cqe);

	if (!what)
		return; /* a linked timeout, a cancellation, a close */
	if (what == &server->accepting)
		accepted(server, cqe->res, cqe->flags & IORING_CQE_F_MORE);
	else if (what == &server->signals)
		stop(server);
	else if (what == &server->stop)
		server->stopped = true;
	else if (what != &server->pause)
		client_turn(what, cqe->res);
	else if (!server->stopping)
		accept_all(server);
}

static void run(struct server *server)
{
	while (!server->stopped &&
	       !(server->stopping && !server->accepting && !server->first)) {
		struct io_uring_cqe *cqe;
		unsigned int head;
		unsigned int n = 0;
		int r = io_uring_submit_and_wait(&server->ring, 1);

		if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY)
			die("io_uring_enter: %s", strerror(-r));
		io_uring_for_each_cqe(&server->ring, head, cqe)
		{
			handle(server, cqe);
			n++;
		}
		io_uring_cq_advance(&server->ring, n);
	}
}

static void make_ring(struct server *server)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = COMPLETIONS,
	};
	int r;

	if (server->options->defer)
		params.flags |=
			IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	r = io_uring_queue_init_params(ENTRIES, &server->ring, &params);
	if (r == -EINVAL && server->options->defer)
		die("--mode defer needs Linux 6.1");
	if (r == -EPERM)
		die("io_uring is not allowed here: see the sysctl "
		    "kernel.io_uring_disabled");
	if (r < 0)
		die("io_uring_setup: %s", strerror(-r));
}

/* Serve until a signal, and close listen_fd; returns the exit status. */
int server_run(const struct options *options, int signals)
{
	const int listen_fd = options->http.listen_fd;
	struct server server = {
		.options = options,
		.signals = signals,
		.listen_fd = listen_fd,
	};

	make_ring(&server);
	/* on an O_NONBLOCK one it would not wait */
	fcntl(listen_fd, F_SETFL, fcntl(listen_fd, F_GETFL) & ~O_NONBLOCK);
	accept_all(&server);
	wait_for_signal(&server);
	run(&server);
	/* what is in the ring points to what is freed then */
	io_uring_queue_exit(&server.ring);
	stop_listening(&server);
	while (server.first)
		client_free(server.first);
	return stop_status(server.cut, "connection");
}
