/* SPDX-License-Identifier: MIT */
/*
 * ktls_write(), ktls_writev() and the loop behind them, ktls_sendfile() and
 * ktls_splice_in(). Its rule: what a call reports as accepted is sent once, in
 * order, without another call.
 */
#include "write.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "offload.h"
#include "open.h"
#include "rekey.h"
#include "result.h"
#include "send.h"
#include "size.h"

static bool is_pipe(const struct ktls__source *src)
{
	return !src->iov && !src->spans;
}

/* What waits goes to the socket, and with it the open record, unless more. */
static ssize_t settle(struct ktls_conn *c, bool more)
{
	ssize_t r;

	do {
		r = ktls__flush(c);
		if (r == 0 && !more)
			r = ktls__open_close(c);
	} while (ktls__retry(c, &r));
	return r;
}

/*
 * Makes sure of the last record's tail, which may wait in c->out: a caller
 * that was told of all its bytes has no reason to come back. So it is told of
 * one byte less, and the next call finds that byte sent. A single byte can
 * not be told less of; writable() has made its tail next to impossible.
 */
static ssize_t settle_tail(struct ktls_conn *c, const struct ktls__source *src,
			   size_t done)
{
	const ssize_t r = settle(c, src->more);

	if (r == 0 || c->tx_dead || done == 1)
		return (ssize_t)done;
	c->credit = 1;
	c->credit_gone = is_pipe(src);
	return (ssize_t)done - 1;
}

/* poll(2) says so when a third of the buffer is free: room for any record */
static ssize_t writable(struct ktls_conn *c)
{
	int r = ktls__sys_poll(c->fd, POLLOUT, 0);

	return r == 0 ? ktls__again(c, POLLOUT) : 0;
}

/* Before anything is sent: the bytes of earlier calls, and the policy. */
static ssize_t clear_way(struct ktls_conn *c, uint64_t ahead, bool decide)
{
	ssize_t r;

	ktls__rekey_check(c);
	r = c->out.len > 0 || c->rekey ? ktls__flush(c) : 0;
	return r == 0 && decide ? ktls__offload_auto(c, KTLS_TX, ahead) : r;
}

static ssize_t start(struct ktls_conn *c, const struct ktls__source *src,
		     size_t n, uint64_t ahead)
{
	ssize_t r;

	do {
		/* while this thread waited, another one may have ended it */
		r = ktls__ready(c, KTLS_TX);
		if (r == 0)
			r = clear_way(c, ahead, true);
		if (r == 0 && n == 1 && !c->credit &&
		    c->tx.mode == KTLS_MODE_USER &&
		    (!src->more || c->open.len + 1 >= ktls__size_record(c)))
			r = writable(c);
	} while (r == -EAGAIN && ktls__retry(c, &r));
	return r;
}

static ssize_t step(struct ktls_conn *c, struct ktls__source *src, size_t left,
		    uint64_t ahead, struct ktls__sigpipe *sigpipe)
{
	ssize_t r;

	do {
		r = ktls__ready(c, KTLS_TX);
		if (r == 0)
			r = clear_way(c, ahead, c->tx.wanted);
		if (r < 0)
			return r;
		r = c->tx.mode == KTLS_MODE_KERNEL
			    ? ktls__send_kernel(c, src, left, sigpipe)
			    : ktls__send_user(c, src, left);
		/* a record was closed first */
	} while (r == -EINTR);
	return r;
}

/* The number of bytes to report, when done of n were accepted. */
static ssize_t report(struct ktls_conn *c, const struct ktls__source *src,
		      size_t done, size_t n, ssize_t r)
{
	/* only KTLS_MORE leaves a record open for longer than a call */
	const bool left_open = !src->more && ktls__open_length(c) > 0;

	/* progress beats error, which the next call will meet again */
	if (done == 0 && n > 0 && r != -EAGAIN && left_open &&
	    settle(c, false) == -EAGAIN)
		return -EAGAIN;
	if (done == 0)
		return n == 0 ? 0 : r;
	c->wants = 0;
	if ((c->out.len > 0 || left_open) && (done == n || r == 0 || is_pipe(src)))
		r = settle_tail(c, src, done);
	else
		r = (ssize_t)done;
	if (r > 0)
		c->tx.bytes += (uint64_t)r;
	return r;
}

/* One step, with the waits of a blocking socket; of a pipe for the first. */
static ssize_t steps(struct ktls_conn *c, struct ktls__source *src, size_t left,
		     uint64_t ahead, bool progress, struct ktls__sigpipe *sigpipe)
{
	ssize_t r;

	do {
		if (left > ktls__size_record(c))
			ktls__cork(c, left, progress && !src->iov);
		r = step(c, src, left, ahead, sigpipe);
		if (r != -EAGAIN)
			return r;
		if (c->pipe_wanted < 0)
			ktls__push(c);
		else if (c->corked || c->nagle)
			ktls__uncork(c); /* that may take its time */
	} while ((!progress || c->pipe_wanted < 0) && ktls__retry(c, &r));
	return r;
}

/*
 * The byte that was sent and not reported comes again: 1, or 0 when there is
 * none, or when a pipe that should have it has ended. A pipe that it came from
 * does not have it any more.
 */
static ssize_t claim_credit(struct ktls_conn *c, const struct ktls__source *src)
{
	uint8_t again;
	ssize_t r = 1;

	if (!c->credit)
		return 0;
	if (is_pipe(src) && !c->credit_gone)
		do {
			r = ktls__ready(c, KTLS_TX);
			if (r == 0)
				r = ktls__source_copy(c, src, &again, 1);
		} while (r == -EAGAIN && ktls__retry(c, &r));
	if (r > 0)
		c->credit = 0;
	return r;
}

ssize_t ktls__transmit(struct ktls_conn *c, struct ktls__source *src, size_t n,
		       uint64_t ahead)
{
	struct ktls__sigpipe sigpipe;
	size_t done;
	ssize_t r;

	if (n > c->policy.budget)
		n = (size_t)c->policy.budget;
	sigpipe.blocked = false;
	sigpipe.raised = false;
	c->hold = false;
	c->wants = 0;
	c->pipe_wanted = -1;
	/* what is sent instead of more of that pipe has no part in it */
	if (c->credit_gone && !is_pipe(src))
		c->credit = 0;
	r = start(c, src, n, ahead);
	if (r < 0)
		return r;
	r = claim_credit(c, src);
	if (r < 0)
		return r;
	if (c->policy.record_ramp > 0)
		ktls__size_begin(c);
	done = (size_t)r;
	for (ktls__source_skip(src, done); done < n; done += (size_t)r) {
		r = steps(c, src, n - done, ahead, done > 0, &sigpipe);
		if (r <= 0)
			break;
		c->ramp_sent += (uint64_t)r;
		ktls__rekey_sent(c, (size_t)r);
		if ((size_t)r < n - done)
			ktls__source_skip(src, (size_t)r);
	}
	if (done > 0 && c->policy.record_ramp > 0)
		ktls__size_sent(c);
	if (!src->more && done > 0 && ktls__open_length(c) > 0)
		(void)ktls__open_close(c);
	if (c->corked || c->nagle)
		ktls__uncork(c);
	if (sigpipe.blocked)
		ktls__sys_sigpipe_restore(&sigpipe);
	return report(c, src, done, n, r);
}

static ssize_t write_all(struct ktls_conn *c, const struct iovec *iov,
			 int count, int flags)
{
	struct ktls__source src = {
		.iov = iov, .count = count, .more = (flags & KTLS_MORE) != 0};
	ssize_t n, r;

	n = c && !(flags & ~KTLS_MORE) ? ktls__iov_length(iov, count) : -EINVAL;
	if (n < 0)
		return n;
	r = ktls__ready(c, KTLS_TX);
	if (r == 0 && n > 0)
		r = ktls__transmit(c, &src, (size_t)n, (uint64_t)n);
	return r;
}

ssize_t ktls_write(struct ktls_conn *c, const void *buf, size_t len)
{
	/* iovec has no const; nothing writes through it */
	const struct iovec iov = {(void *)(uintptr_t)buf, len};

	ktls__enter(c);
	return ktls__leave(c, write_all(c, &iov, 1, 0));
}

ssize_t ktls_writev(struct ktls_conn *c, const struct iovec *iov, int count,
		    int flags)
{
	ktls__enter(c);
	return ktls__leave(c, write_all(c, iov, count, flags));
}
