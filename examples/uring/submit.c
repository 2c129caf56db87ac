/* SPDX-License-Identifier: MIT */
/*
 * The submission queue entries of a connection. There is one at a time, so
 * that none is left when libktls has its turn; a timeout that is linked to it
 * ends what waits.
 */
#include <poll.h>

#include "uring.h"

static struct io_uring_sqe *begin(struct client *c, enum op op,
				  unsigned int together)
{
	c->op = op;
	return ring_entry(c->server, together);
}

static void set_time(struct client *c, int64_t ms)
{
	const int64_t left = c->limit - now_ms();

	if (ms > left)
		ms = left > 0 ? left : 0;
	c->time.tv_sec = ms / 1000;
	c->time.tv_nsec = ms % 1000 * 1000000;
}

/* Ends the entry before it with -ECANCELED; its own completion is nothing. */
static void link_timeout(struct client *c, struct io_uring_sqe *sqe, int64_t ms)
{
	struct io_uring_sqe *timeout;

	io_uring_sqe_set_data(sqe, c);
	sqe->flags |= IOSQE_IO_LINK;
	set_time(c, ms);
	timeout = ring_entry(c->server, 1);
	io_uring_prep_link_timeout(timeout, &c->time, 0);
	io_uring_sqe_set_data(timeout, NULL);
}

/* For events of the socket, or, if there are none, for time to pass. */
enum step submit_wait(struct client *c, int events, int64_t ms)
{
	struct io_uring_sqe *sqe = begin(c, OP_WAIT, events ? 2 : 1);

	if (events) {
		io_uring_prep_poll_add(sqe, c->fd, (unsigned int)events);
		link_timeout(c, sqe, ms);
		return STEP_WAIT;
	}
	set_time(c, ms);
	io_uring_prep_timeout(sqe, &c->time, 0, 0);
	io_uring_sqe_set_data(sqe, c);
	return STEP_WAIT;
}

/* A record, or a part of one, and its type in the control data. */
enum step submit_recv(struct client *c, void *buf, size_t len)
{
	struct io_uring_sqe *sqe = begin(c, OP_RECV, 2);

	c->iov = (struct iovec){buf, len};
	c->msg = (struct msghdr){
		.msg_iov = &c->iov,
		.msg_iovlen = 1,
		.msg_control = c->control,
		.msg_controllen = sizeof(c->control),
	};
	/* without MSG_DONTWAIT it waits in the ring, O_NONBLOCK or not */
	io_uring_prep_recvmsg(sqe, c->fd, &c->msg, 0);
	link_timeout(c, sqe, INT_MAX);
	return STEP_WAIT;
}

/* Of memory that has to stay. more: the record may stay open. */
enum step submit_send(struct client *c, const void *buf, size_t len, bool more)
{
	struct io_uring_sqe *sqe = begin(c, OP_SEND, 1);

	/* iovec has no const; nothing writes through it */
	c->iov = (struct iovec){(void *)(uintptr_t)buf, len};
	c->msg = (struct msghdr){.msg_iov = &c->iov, .msg_iovlen = 1};
	io_uring_prep_sendmsg(sqe, c->fd, &c->msg,
			      MSG_DONTWAIT | MSG_NOSIGNAL |
				      (more ? (unsigned int)MSG_MORE : 0));
	io_uring_sqe_set_data(sqe, c);
	return STEP_WAIT;
}

/* From the file to the empty pipe. */
enum step submit_fill(struct client *c, int file, off_t offset, size_t len)
{
	struct io_uring_sqe *sqe = begin(c, OP_FILL, 1);

	io_uring_prep_splice(sqe, file, offset, c->pipe[1], -1,
			     (unsigned int)len, 0);
	io_uring_sqe_set_data(sqe, c);
	return STEP_WAIT;
}

/* From the pipe to the socket, which is O_NONBLOCK: it takes what it can. */
enum step submit_splice(struct client *c)
{
	struct io_uring_sqe *sqe = begin(c, OP_SPLICE, 1);

	io_uring_prep_splice(sqe, c->pipe[0], -1, c->fd, -1,
			     (unsigned int)c->piped, 0);
	io_uring_sqe_set_data(sqe, c);
	return STEP_WAIT;
}

/* What has this user_data completes, with -ECANCELED if it waited. */
void submit_cancel(struct server *server, void *what)
{
	struct io_uring_sqe *sqe = ring_entry(server, 1);

	io_uring_prep_cancel(sqe, what, 0);
	io_uring_sqe_set_data(sqe, NULL);
}
