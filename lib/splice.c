/* SPDX-License-Identifier: MIT */
/*
 * ktls_splice_in() and ktls_splice_out(): between a connection and a pipe,
 * without a copy in user space where the kernel has the keys.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>

#include "message.h"
#include "offload.h"
#include "probe.h"
#include "read.h"
#include "result.h"
#include "write.h"

enum {
	/* a pipe that says POLLOUT takes so many without waiting: pipe(7) */
	ATOMIC = 4096
};

static int check_pipe(int fd, int wrong)
{
	struct stat st;
	int r = ktls__sys_fstat(fd, &st);

	if (r < 0)
		return r;
	if (!S_ISFIFO(st.st_mode))
		return -EINVAL;
	r = ktls__sys_getfl(fd);
	return r < 0 ? r : (r & O_ACCMODE) == wrong ? -EBADF : 0;
}

static ssize_t splice_in(struct ktls_conn *c, int pipe_fd, size_t len, int flags)
{
	struct ktls__source src = {
		.pipe = pipe_fd, .count = 1, .more = (flags & KTLS_MORE) != 0};
	ssize_t r;

	if (!c || len > SSIZE_MAX || (flags & ~KTLS_MORE))
		return -EINVAL;
	r = ktls__ready(c, KTLS_TX);
	if (r == 0)
		r = check_pipe(pipe_fd, O_WRONLY);
	/* len is no promise: only bytes that were sent count for the threshold */
	if (r == 0 && len > 0)
		r = ktls__transmit(c, &src, len, 0);
	return r;
}

ssize_t ktls_splice_in(struct ktls_conn *c, int pipe_fd, size_t len, int flags)
{
	ktls__enter(c);
	return ktls__leave(c, splice_in(c, pipe_fd, len, flags));
}

/* -EAGAIN, after a look at which side it was. */
static ssize_t not_now(struct ktls_conn *c, int pipe_fd)
{
	const int ready = ktls__sys_poll(pipe_fd, POLLOUT, 0);

	if (ready == 0)
		return ktls__again_pipe(c, pipe_fd, POLLOUT);
	return ktls__again(c, POLLIN);
}

/* By reading: what the pipe does not take waits in c->ahead. */
static ssize_t out_copy(struct ktls_conn *c, int pipe_fd, size_t len)
{
	ssize_t n;

	if (ktls__sys_poll(pipe_fd, POLLOUT, 0) == 0)
		return ktls__again_pipe(c, pipe_fd, POLLOUT);
	n = ktls__receive_ahead(c);
	if (n <= 0)
		return n;
	if (len > (size_t)n)
		len = (size_t)n;
	if (len > ATOMIC && !(ktls__sys_getfl(pipe_fd) & O_NONBLOCK))
		len = ATOMIC;
	n = ktls__sys_write(pipe_fd, ktls__buf_data(&c->ahead), len);
	if (n == -EAGAIN)
		return ktls__again_pipe(c, pipe_fd, POLLOUT);
	if (n < 0)
		return ktls__file_failed(c, (int)-n, "write");
	ktls__buf_drop(&c->ahead, (size_t)n);
	return n;
}

static ssize_t out_kernel(struct ktls_conn *c, int pipe_fd, size_t len)
{
	const ssize_t n = ktls__sys_splice(c->fd, pipe_fd, len);
	const uint64_t controls = c->controls;
	ssize_t r;

	if (n > 0) {
		c->rx.bytes += (uint64_t)n;
		c->rx.kernel_bytes += (uint64_t)n;
		return n;
	}
	if (n == -EAGAIN)
		return not_now(c, pipe_fd);
	/* of the pipe, or of a socket that was reset behind its end */
	if (n == -EPIPE && (ktls__sys_poll(pipe_fd, POLLOUT, 0) & POLLERR))
		return ktls__file_failed(c, EPIPE, "splice");
	if (n < 0 && n != -EINVAL && n != -EOPNOTSUPP && n != -ENOSYS)
		return ktls__fail_rx(c, (int)-n, "splice");
	/*
	 * An empty record, or the end; a control record is next; or splice(2)
	 * does not work here. Reading tells, and puts what comes in c->ahead.
	 */
	r = ktls__receive_ahead(c);
	if (r > 0)
		return out_copy(c, pipe_fd, len);
	/* a header was broken, which the kernel says once and stops */
	if (r == -EAGAIN && n == -EINVAL && c->controls == controls)
		return ktls__fail_rx(c, EINVAL, "splice");
	return r;
}

/* Asked once for a connection, should there be no answer. */
static bool may_splice(struct ktls_conn *c)
{
	if (!c->splice_known)
		c->may_splice = ktls__probe_splice() > 0;
	c->splice_known = true;
	return c->may_splice;
}

static ssize_t step(struct ktls_conn *c, int pipe_fd, size_t len)
{
	if (c->rx.mode == KTLS_MODE_KERNEL && c->ahead.len == 0 && !c->closed &&
	    !(c->ssl && SSL_pending(c->ssl) > 0) && !ktls__message_open(c) &&
	    may_splice(c))
		return out_kernel(c, pipe_fd, len);
	return out_copy(c, pipe_fd, len);
}

static ssize_t move_out(struct ktls_conn *c, int pipe_fd, size_t len)
{
	struct ktls__sigpipe sigpipe = {.blocked = false};
	size_t done = 0;
	ssize_t r;

	ktls__sys_sigpipe_block(&sigpipe);
	do {
		do {
			r = ktls__ready(c, KTLS_RX);
			if (r < 0)
				break;
			if (c->out.len > 0 && !c->tx_dead)
				(void)ktls__flush(c);
			c->wants = 0;
			c->pipe_wanted = -1;
			r = c->dead ? -c->dead : step(c, pipe_fd, len - done);
		} while (done == 0 && ktls__retry(c, &r));
		if (r <= 0)
			break;
		done += (size_t)r;
		(void)ktls__offload_auto(c, KTLS_RX, 0);
	} while (done < len);
	sigpipe.raised = r == -EPIPE;
	ktls__sys_sigpipe_restore(&sigpipe);
	if (done > 0)
		c->wants = 0;
	return done > 0 ? (ssize_t)done : r;
}

static ssize_t splice_out(struct ktls_conn *c, int pipe_fd, size_t len, int flags)
{
	ssize_t r;

	if (!c || len > SSIZE_MAX || flags)
		return -EINVAL;
	r = ktls__ready(c, KTLS_RX);
	if (r == 0)
		r = check_pipe(pipe_fd, O_RDONLY);
	if (r == 0 && len > 0)
		r = move_out(c, pipe_fd,
			     len < c->policy.budget ? len
						    : (size_t)c->policy.budget);
	return r;
}

ssize_t ktls_splice_out(struct ktls_conn *c, int pipe_fd, size_t len, int flags)
{
	ktls__enter(c);
	return ktls__leave(c, splice_out(c, pipe_fd, len, flags));
}
