/* SPDX-License-Identifier: MIT */
/*
 * One step of sending. A record is filled from as many pieces as it takes;
 * MSG_MORE is only ever said of a record that is not full (see size.c).
 */
#include "send.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "open.h"
#include "result.h"
#include "size.h"

enum { BATCH = 64 /* elements of one sendmsg() */ };

/* What the kernel said to n bytes; more: MSG_MORE was set. */
static ssize_t taken(struct ktls_conn *c, ssize_t r, size_t n, bool more,
		     const char *call)
{
	if (r > 0)
		ktls__kernel_took(c, (size_t)r, n, more);
	if (r == -EAGAIN)
		return ktls__again(c, POLLOUT);
	return r < 0 ? ktls__fail_tx(c, (int)-r, call) : r;
}

/*
 * With more to follow, n bytes behind the open ones must not end a record:
 * whole records go without MSG_MORE, the rest of them with it.
 */
static size_t split(size_t record, size_t open, size_t n, bool *more)
{
	if (!*more || open + n < record)
		return n;
	*more = false;
	return (open + n) / record * record - open;
}

static ssize_t send_iov(struct ktls_conn *c, struct iovec *v, size_t count,
			size_t n, bool more)
{
	struct msghdr msg = {.msg_iov = v, .msg_iovlen = count};

	if (count == 1 && !more)
		return taken(c, ktls__sys_send(c->fd, v->iov_base, n), n, more,
			     "send");
	return taken(c, ktls__sys_sendmsg(c->fd, &msg, more ? MSG_MORE : 0), n,
		     more, "sendmsg");
}

static ssize_t send_memory(struct ktls_conn *c, const struct ktls__source *src,
			   struct ktls__piece p, size_t left)
{
	const size_t record = ktls__size_record(c), open = c->open_kernel;
	const size_t max =
		ktls__size_cut(c) && record - open < left ? record - open : left;
	struct ktls__source at = *src;
	struct iovec v[BATCH];
	size_t count = 0, sum = 0, n;
	bool more;

	/* the common case */
	if (p.len >= left && max == left && !src->more)
		return taken(c, ktls__sys_send(c->fd, p.mem, left), left, false,
			     "send");
	while (count < BATCH && sum < max && ktls__source_piece(&at, &p) &&
	       p.kind == KTLS__MEMORY) {
		n = p.len < max - sum ? p.len : max - sum;
		/* msghdr has no const; sendmsg() does not write through it */
		v[count].iov_base = (void *)(uintptr_t)p.mem;
		v[count++].iov_len = n;
		ktls__source_skip(&at, n);
		sum += n;
	}
	more = src->more || sum < left;
	n = split(record, open, sum, &more);
	for (; sum - n >= v[count - 1].iov_len; count--)
		sum -= v[count - 1].iov_len;
	v[count - 1].iov_len -= sum - n;
	return send_iov(c, v, count, n, more);
}

/* A record's worth of pieces, read and sent as memory. */
static ssize_t send_copy(struct ktls_conn *c, const struct ktls__source *src,
			 size_t left)
{
	const size_t room = ktls__size_record(c) - c->open_kernel;
	const size_t max = room < left ? room : left;
	uint8_t buf[KTLS__RECORD_MAX];
	const ssize_t n = ktls__source_copy(c, src, buf, max);
	struct iovec v = {buf, (size_t)n};

	if (n <= 0)
		return n;
	return send_iov(c, &v, 1, (size_t)n,
			(size_t)n < room && (src->more || (size_t)n < left));
}

static ssize_t send_file(struct ktls_conn *c, const struct ktls__source *src,
			 const struct ktls__piece *p, size_t left,
			 struct ktls__sigpipe *sigpipe)
{
	const size_t open = c->open_kernel;
	const size_t whole = p->len < left ? p->len : left;
	bool more = whole < left || src->more;
	size_t n = ktls__size_file(c, p->offset, open, whole);
	off_t at = p->offset;
	ssize_t r;

	/* the file's end shares its record with what follows: only by reading */
	if (n == whole)
		n = split(ktls__size_record(c), open, n, &more);
	else
		more = false;
	if (more)
		return send_copy(c, src, left);
	if (!c->sigpipe_ignored)
		ktls__sys_sigpipe_block(sigpipe);
	r = ktls__sys_sendfile(c->fd, p->fd, &at, n);
	sigpipe->raised |= r == -EPIPE;
	/* the file's system has no splice; nothing was taken */
	if (r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP)
		return send_copy(c, src, left);
	if (r < 0 && r != -EAGAIN && !ktls__error_is_of_socket((int)-r))
		return ktls__file_failed(c, (int)-r, "sendfile");
	return taken(c, r, n, false, "sendfile");
}

static ssize_t send_pipe(struct ktls_conn *c, int fd, size_t left,
			 struct ktls__sigpipe *sigpipe)
{
	const size_t room = ktls__size_record(c) - c->open_kernel;
	const size_t n = left < room ? left : room;
	ssize_t r, ready;

	if (!c->sigpipe_ignored)
		ktls__sys_sigpipe_block(sigpipe);
	r = ktls__sys_splice(fd, c->fd, n);
	sigpipe->raised |= r == -EPIPE;
	if (r == -EAGAIN) {
		ready = ktls__sys_poll(fd, POLLIN, 0);
		if (ready == 0)
			return ktls__again_pipe(c, fd, POLLIN);
		if (ready > 0 && !(ready & POLLIN))
			return 0; /* its last writer has gone */
	}
	if (r < 0 && r != -EAGAIN && !ktls__error_is_of_socket((int)-r))
		return ktls__file_failed(c, (int)-r, "splice");
	return taken(c, r, n, false, "splice");
}

ssize_t ktls__send_kernel(struct ktls_conn *c, struct ktls__source *src,
			  size_t left, struct ktls__sigpipe *sigpipe)
{
	struct ktls__piece p;
	ssize_t r;

	/* records may have become smaller meanwhile */
	if (c->open_kernel >= ktls__size_record(c)) {
		r = ktls__open_close(c);
		if (r < 0)
			return r;
	}
	if (!ktls__source_piece(src, &p))
		return 0;
	switch (p.kind) {
	case KTLS__MEMORY:
		return send_memory(c, src, p, left);
	case KTLS__FILE:
		return send_file(c, src, &p, left, sigpipe);
	case KTLS__PIPE:
		break;
	}
	return send_pipe(c, p.fd, left, sigpipe);
}

/* The BIO takes the record whole, since c->out is empty. */
ssize_t ktls__send_user(struct ktls_conn *c, struct ktls__source *src, size_t left)
{
	const size_t record = ktls__size_record(c), open = c->open.len;
	const size_t room = record > open ? record - open : 0;
	const size_t max = room < left ? room : left;
	uint8_t buf[KTLS__RECORD_MAX];
	const uint8_t *from = buf;
	struct ktls__piece p;
	ssize_t n = (ssize_t)max, r;
	bool kept;

	if (room == 0) {
		r = ktls__open_close(c);
		return r < 0 ? r : -EINTR;
	}
	if (!ktls__source_piece(src, &p))
		return 0;
	/* what is taken from a pipe, or with KTLS_MORE, must have a place */
	kept = open > 0 || src->more || p.kind == KTLS__PIPE;
	if (kept && !ktls__buf_room(&c->open, max))
		return ktls__fail(c, ENOMEM, "malloc", 0);
	if (p.kind == KTLS__MEMORY && p.len >= max)
		from = p.mem;
	else
		n = ktls__source_copy(c, src, buf, max);
	if (n <= 0) {
		if (open == 0)
			ktls__buf_free(&c->open);
		return n;
	}
	if (!kept)
		return ktls__seal(c, from, (size_t)n);
	(void)ktls__buf_append(&c->open, from, (size_t)n);
	/* accepted now, whatever becomes of the record */
	if ((size_t)n == room || !src->more)
		(void)ktls__open_close(c);
	return n;
}
