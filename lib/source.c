/* SPDX-License-Identifier: MIT */
/* Goes through the pieces of memory and files that a call sends. */
#include "source.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "result.h"

/* Linux has no more in one call, include/uapi/linux/uio.h UIO_MAXIOV */
enum { IOVECS_MAX = 1024 };

bool ktls__source_piece(struct ktls__source *src, struct ktls__piece *p)
{
	*p = (struct ktls__piece){.kind = KTLS__PIPE, .fd = src->pipe};
	for (; src->index < src->count; src->index++, src->done = 0) {
		if (src->iov) {
			const struct iovec *v = &src->iov[src->index];

			p->kind = KTLS__MEMORY;
			p->mem = v->iov_base;
			p->len = v->iov_len;
		} else if (src->spans) {
			const struct ktls_span *s = &src->spans[src->index];

			p->kind = s->buf ? KTLS__MEMORY : KTLS__FILE;
			p->mem = s->buf;
			p->fd = s->fd;
			p->offset = s->offset + (off_t)src->done;
			p->len = s->len;
		} else {
			p->len = SIZE_MAX;
			return true;
		}
		if (src->done < p->len)
			break;
	}
	if (src->index >= src->count)
		return false;
	if (p->kind == KTLS__MEMORY)
		p->mem += src->done;
	p->len -= src->done;
	return true;
}

static size_t length_at(const struct ktls__source *src)
{
	return src->iov ? src->iov[src->index].iov_len
			: src->spans[src->index].len;
}

void ktls__source_skip(struct ktls__source *src, size_t n)
{
	if (!src->iov && !src->spans)
		return;
	while (n > 0 && src->index < src->count) {
		const size_t left = length_at(src) - src->done;
		const size_t k = n < left ? n : left;

		src->done += k;
		n -= k;
		if (n == 0)
			break;
		src->index++;
		src->done = 0;
	}
}

ssize_t ktls__iov_length(const struct iovec *iov, int count)
{
	size_t sum = 0;

	if (count < 0 || count > IOVECS_MAX || (!iov && count > 0))
		return -EINVAL;
	for (int i = 0; i < count; i++) {
		if ((!iov[i].iov_base && iov[i].iov_len > 0) ||
		    iov[i].iov_len > SSIZE_MAX - sum)
			return -EINVAL;
		sum += iov[i].iov_len;
	}
	return (ssize_t)sum;
}

ssize_t ktls__file_failed(struct ktls_conn *c, int code, const char *call)
{
	/* what cannot be read at an offset: sendfile(2) says EINVAL */
	if (code == ESPIPE || code == EISDIR)
		code = EINVAL;
	return ktls__failed(c, code, call, code, 0, NULL);
}

/* A blocking pipe must not be read when it is empty. */
static ssize_t read_pipe(struct ktls_conn *c, int fd, void *buf, size_t n)
{
	ssize_t r = ktls__sys_poll(fd, POLLIN, 0);

	if (r == 0)
		return ktls__again_pipe(c, fd, POLLIN);
	if (r > 0)
		r = ktls__sys_read(fd, buf, n);
	if (r == -EAGAIN)
		return ktls__again_pipe(c, fd, POLLIN);
	return r < 0 ? ktls__file_failed(c, (int)-r, "read") : r;
}

ssize_t ktls__source_copy(struct ktls_conn *c, const struct ktls__source *src,
			  uint8_t *buf, size_t max)
{
	struct ktls__source at = *src;
	struct ktls__piece p;
	size_t got = 0;
	ssize_t r = 0;

	while (got < max && ktls__source_piece(&at, &p)) {
		const size_t n = p.len < max - got ? p.len : max - got;

		switch (p.kind) {
		case KTLS__MEMORY:
			memcpy(buf + got, p.mem, n);
			r = (ssize_t)n;
			break;
		case KTLS__FILE:
			r = ktls__sys_pread(p.fd, buf + got, n, p.offset);
			if (r < 0)
				r = ktls__file_failed(c, (int)-r, "pread");
			break;
		case KTLS__PIPE:
			r = read_pipe(c, p.fd, buf + got, n);
			break;
		}
		if (r <= 0)
			break;
		got += (size_t)r;
		ktls__source_skip(&at, (size_t)r);
		if ((size_t)r < n)
			break;
	}
	return got > 0 ? (ssize_t)got : r;
}
