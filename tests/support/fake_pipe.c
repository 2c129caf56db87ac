/* SPDX-License-Identifier: MIT */
/* Pipes of the model: slots of at most a page, as fs/pipe.c has them. */
#include "fake_seam.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum { PIPES = 64, FIRST_FD = 3000 };
static struct fake_pipe pipes[PIPES];
static size_t used;

void fake_pipes_reset(void)
{
	for (size_t i = 0; i < used; i++)
		fake_drop_all(&pipes[i].data);
	memset(pipes, 0, sizeof(pipes));
	used = 0;
}

void fake_pipe(int fd[2], size_t slots)
{
	struct fake_pipe *p = &pipes[used];

	if (used == PIPES || slots > FAKE_SLOTS_MAX)
		fake_broken("too many pipes, or too large a one");
	memset(p, 0, sizeof(*p));
	p->slots = slots;
	for (int i = 0; i < 2; i++) {
		p->fd[i] = FIRST_FD + 2 * (int)used + i;
		p->open[i] = true;
		fd[i] = p->fd[i];
	}
	used++;
}

struct fake_pipe *fake_pipe_of(int fd)
{
	const size_t i = (size_t)(fd - FIRST_FD);

	return fd >= FIRST_FD && i / 2 < used && pipes[i / 2].open[i % 2]
		       ? &pipes[i / 2]
		       : NULL;
}

int fake_pipe_end(int fd)
{
	return fake_pipe_of(fd) ? (fd - FIRST_FD) % 2 : -1;
}

void fake_pipe_close(int fd)
{
	fake_pipe_of(fd)->open[fake_pipe_end(fd)] = false;
}

size_t fake_own_pipes(void)
{
	size_t n = 0;

	for (size_t i = 0; i < used; i++)
		if (pipes[i].own)
			n += (size_t)pipes[i].open[0] + pipes[i].open[1];
	return n;
}

size_t fake_pipe_free(const struct fake_pipe *p)
{
	return p->slots - p->n;
}

void fake_pipe_add(struct fake_pipe *p, const void *buf, size_t n, bool merges)
{
	if (n == 0 || p->n == p->slots)
		fake_broken("a slot of %zu bytes, number %zu", n, p->n);
	p->slot[p->n].len = n;
	p->slot[p->n].end = n;
	p->slot[p->n].merges = merges;
	p->n++;
	fake_put(&p->data, buf, n);
}

void fake_pipe_take(struct fake_pipe *p, void *buf, size_t n)
{
	fake_take(&p->data, buf, n);
	while (n > 0) {
		const size_t k = n < p->slot[0].len ? n : p->slot[0].len;

		p->slot[0].len -= k;
		n -= k;
		if (p->slot[0].len > 0)
			break;
		p->n--;
		memmove(&p->slot[0], &p->slot[1], p->n * sizeof(p->slot[0]));
	}
}

/* fs/pipe.c, pipe_write(): what is no whole page may join the last slot */
static size_t put(struct fake_pipe *p, const uint8_t *buf, size_t n)
{
	const size_t chars = n % FAKE_PAGE;
	size_t done = 0;

	if (chars > 0 && p->n > 0 && p->slot[p->n - 1].merges &&
	    p->slot[p->n - 1].end + chars <= FAKE_PAGE) {
		p->slot[p->n - 1].len += chars;
		p->slot[p->n - 1].end += chars;
		fake_put(&p->data, buf, chars);
		done = chars;
	}
	while (done < n && p->n < p->slots) {
		const size_t k = n - done < FAKE_PAGE ? n - done : FAKE_PAGE;

		fake_pipe_add(p, buf + done, k, true);
		done += k;
	}
	return done;
}

short fake_pipe_ready(int fd, short events)
{
	const struct fake_pipe *p = fake_pipe_of(fd);
	int ready = 0;

	if (fake_pipe_end(fd) == 0) {
		if (p->n > 0)
			ready |= POLLIN;
		if (!p->open[1])
			ready |= POLLHUP;
	} else {
		if (p->n < p->slots)
			ready |= POLLOUT;
		if (!p->open[0])
			ready |= POLLERR;
	}
	return (short)(ready & (events | POLLERR | POLLHUP));
}

ssize_t fake_pipe_read(int fd, void *buf, size_t n)
{
	struct fake_pipe *p = fake_pipe_of(fd);

	if (fake_pipe_end(fd) != 0)
		return -EBADF;
	if (p->n == 0)
		return p->open[1] ? -EAGAIN : 0;
	if (n > p->data.len)
		n = p->data.len;
	fake_pipe_take(p, buf, n);
	return (ssize_t)n;
}

size_t fake_pipe_fill(int fd, const void *buf, size_t n, size_t each)
{
	struct fake_pipe *p = fake_pipe_of(fd);
	const uint8_t *from = buf;
	size_t done = 0;

	while (done < n && p->n < p->slots) {
		const size_t k = n - done < each ? n - done : each;

		fake_pipe_add(p, from + done, k, false);
		done += k;
	}
	return done;
}

int ktls__sys_pipe(int fd[2])
{
	const int r = fake_enter(FAKE_NEW_PIPE);

	if (r == 0) {
		fake_pipe(fd, FAKE_SLOTS);
		fake_pipe_of(fd[0])->nonblock = true;
		fake_pipe_of(fd[0])->own = true;
	}
	return (int)fake_leave(r);
}

ssize_t ktls__sys_read(int fd, void *buf, size_t len)
{
	ssize_t r = fake_enter_pipe(FAKE_READ, &len);

	if (r == 0 && fake_pipe_end(fd) < 0)
		fake_broken("read() of what is no pipe");
	if (r == 0) {
		r = fake_pipe_read(fd, buf, len);
		if (r == -EAGAIN && !fake_pipe_of(fd)->nonblock)
			fake_broken("read() would block");
	}
	return fake_leave(r);
}

/* whole is what was asked for, len what fake_limit() lets pass of it */
static ssize_t write_pipe(int fd, const void *buf, size_t whole, size_t len)
{
	struct fake_pipe *p = fake_pipe_of(fd);
	size_t n;

	if (fake_pipe_end(fd) == 0)
		return -EBADF;
	if (!p->open[0])
		return -EPIPE;
	/* one page has room where poll() says so; any more may wait */
	if (!p->nonblock && (whole > FAKE_PAGE || p->n == p->slots))
		fake_broken("write() of %zu bytes would block", whole);
	n = put(p, buf, len);
	return n == 0 && len > 0 ? -EAGAIN : (ssize_t)n;
}

ssize_t ktls__sys_write(int fd, const void *buf, size_t len)
{
	const size_t whole = len;
	ssize_t r = fake_enter_pipe(FAKE_WRITE, &len);

	if (r == 0 && fake_pipe_end(fd) < 0)
		fake_broken("write() to what is no pipe");
	if (!fake_pipe_of(fd) || !fake_pipe_of(fd)->own)
		fake_sigpipe_check("write()");
	if (r == 0)
		r = write_pipe(fd, buf, whole, len);
	if (r == -EPIPE)
		fake_raise_sigpipe();
	return fake_leave(r);
}
