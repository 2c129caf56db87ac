/* SPDX-License-Identifier: MIT */
/* ktls_sendfile() and ktls_sendfilev(): files, alone or among memory. */
#include <errno.h>
#include <limits.h>

#include "result.h"
#include "write.h"

enum { SPANS_MAX = 1024 /* as many as writev(2) takes elements */ };

static int check_range(off_t offset, size_t len)
{
	if (offset < 0)
		return -EINVAL;
	return (uintmax_t)len > (uintmax_t)(INT64_MAX - offset) ? -EOVERFLOW : 0;
}

/*
 * *count to what the file has. In the kernel it does not matter: sendfile(2)
 * refuses the same files, and closes the last record at the end of the file.
 */
static int clamp(int fd, off_t start, size_t *count)
{
	struct stat st;
	const int r = ktls__sys_fstat(fd, &st);

	if (r < 0)
		return r;
	if (S_ISDIR(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
		return -EINVAL;
	/* special files in /proc have a size of 0 */
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return 0;
	if (start >= st.st_size)
		*count = 0;
	else if ((uintmax_t)*count > (uintmax_t)(st.st_size - start))
		*count = (size_t)(st.st_size - start);
	return 0;
}

static ssize_t send_file(struct ktls_conn *c, int in_fd, off_t start, size_t count)
{
	struct ktls_span span = {.fd = in_fd, .offset = start, .len = count};
	struct ktls__source src = {.spans = &span, .count = 1};
	ssize_t r;

	r = check_range(start, count);
	if (r == 0 && (count == 0 || c->tx.mode == KTLS_MODE_USER))
		r = clamp(in_fd, start, &span.len);
	if (r < 0 || span.len == 0)
		return r;
	return ktls__transmit(c, &src, span.len, span.len);
}

static ssize_t sendfile_all(struct ktls_conn *c, int in_fd, off_t *offset,
			    size_t count)
{
	off_t start;
	ssize_t r;

	if (!c || count > SSIZE_MAX)
		return -EINVAL;
	r = ktls__ready(c, KTLS_TX);
	if (r < 0)
		return r;
	start = offset ? *offset : ktls__sys_lseek(in_fd, 0, SEEK_CUR);
	if (!offset && start < 0)
		/* pipes and sockets have no position */
		return start == -ESPIPE ? -EINVAL : start;
	r = send_file(c, in_fd, start, count);
	if (r > 0 && offset)
		*offset += r;
	else if (r > 0)
		(void)ktls__sys_lseek(in_fd, start + r, SEEK_SET);
	return r;
}

ssize_t ktls_sendfile(struct ktls_conn *c, int in_fd, off_t *offset, size_t count)
{
	ktls__enter(c);
	return ktls__leave(c, sendfile_all(c, in_fd, offset, count));
}

/* The bytes that are left, SSIZE_MAX when there are more; or -errno. */
static ssize_t check_spans(const struct ktls_span *spans, int count,
			   const struct ktls_cursor *cursor)
{
	size_t left = 0;

	if (count < 0 || count > SPANS_MAX || (!spans && count > 0) || !cursor ||
	    cursor->span < 0 || cursor->span > count || cursor->reserved)
		return -EINVAL;
	if (cursor->span == count ? cursor->done > 0
				  : cursor->done > spans[cursor->span].len)
		return -EINVAL;
	for (int i = 0; i < count; i++) {
		const struct ktls_span *s = &spans[i];
		const size_t done = i == cursor->span ? (size_t)cursor->done : 0;
		const int r = s->buf || s->len == 0
				      ? 0
				      : check_range(s->offset, s->len);

		if (r < 0 || s->reserved)
			return r < 0 ? r : -EINVAL;
		if (i >= cursor->span)
			left += s->len - done > SSIZE_MAX - left
					? SSIZE_MAX - left
					: s->len - done;
	}
	return (ssize_t)left;
}

static ssize_t sendfile_spans(struct ktls_conn *c, const struct ktls_span *spans,
			      int count, struct ktls_cursor *cursor)
{
	struct ktls__source src = {.spans = spans, .count = count}, at;
	struct ktls__piece p;
	ssize_t r, left;

	left = c ? check_spans(spans, count, cursor) : -EINVAL;
	if (left < 0)
		return left;
	r = ktls__ready(c, KTLS_TX);
	if (r < 0)
		return r;
	src.index = cursor->span;
	src.done = (size_t)cursor->done;
	at = src;
	if (left > 0)
		r = ktls__transmit(c, &src, (size_t)left, (uint64_t)left);
	if (left > 0 && r == 0)
		r = ktls__failed(c, ENODATA, "ktls_sendfilev", 0, 0,
				 "a file ends before its span does");
	if (r < 0)
		return r;
	ktls__source_skip(&at, (size_t)r);
	(void)ktls__source_piece(&at, &p); /* to the next one with bytes */
	cursor->span = at.index;
	cursor->done = at.done;
	cursor->total += (uint64_t)r;
	return r;
}

ssize_t ktls_sendfilev(struct ktls_conn *c, const struct ktls_span *spans,
		       int count, struct ktls_cursor *cursor)
{
	ktls__enter(c);
	return ktls__leave(c, sendfile_spans(c, spans, count, cursor));
}
