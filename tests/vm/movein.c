/* SPDX-License-Identifier: MIT */
/* ktls-vm-move: ktls_splice_in(). */
#include "move.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIPE_SIZE = 16 * 4096, LOTS = 1 << 30, PIECES = 200 };

static void make_pipe(int fd[2], bool blocking)
{
	MUST(pipe2(fd, O_CLOEXEC) == 0);
	vt_set_nonblocking(fd[0], !blocking);
	vt_set_nonblocking(fd[1], true);
}

static void close_pipe(int fd[2])
{
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

/* EAGAIN of an empty pipe, which is not the socket's. */
static bool pipe_empty(struct vt_line *l, ssize_t r)
{
	return r == -1 && errno == EAGAIN && ktls_wants(l->e.c) == 0;
}

/*
 * Everything that is in the pipe, whose bytes are those of vt_data at at. In
 * user space a call may keep its last byte for the next one.
 */
static bool drain(struct vt_line *l, int fd, size_t *at, size_t n, int flags)
{
	const size_t end = *at + n;

	while (*at < end) {
		const ssize_t r = ktls_splice_in(l->e.c, fd, LOTS, flags);

		if (!CHECK(r != 0 && r <= (ssize_t)(end - *at), "%zd of %zu", r,
			   end - *at))
			return false;
		if (pipe_empty(l, r))
			return CHECK(false, "empty, %zu bytes too early",
				     end - *at);
		if (r < 0 && !vt_line_again(l, "ktls_splice_in"))
			return false;
		if (r > 0) {
			vt_line_took(l, vt_data + *at, (size_t)r, end - *at);
			*at += (size_t)r;
		}
	}
	return true;
}

/* What a non-blocking end sees of a pipe that is filled, empty, closed. */
static void steps(const struct vt_kind *k)
{
	static const size_t pieces[] = {100, 1, 4096, 5000, 16384, 65536, 300};
	struct vt_line l;
	size_t at = 0;
	bool ok = true;
	int fd[2];
	ssize_t r;

	vt_case("%s: ktls_splice_in, a pipe step by step", vt_kind_name(k));
	/* even if the pipe would block */
	make_pipe(fd, true);
	if (!vt_line_open(&l, k))
		return;
	for (size_t i = 0; ok && i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		size_t in = 0;

		r = ktls_splice_in(l.e.c, fd[0], LOTS, 0);
		CHECK(pipe_empty(&l, r), "empty: %zd, errno %d, wants %d", r,
		      errno, ktls_wants(l.e.c));
		/* a page of the pipe may hold a piece each */
		while (in < PIPE_SIZE - 2 * 4096) {
			r = write(fd[1], vt_data + at + in, pieces[i]);
			if (r < 0)
				break;
			in += (size_t)r;
		}
		l.least += vt_wire_least(in, VT_RECORD);
		ok = drain(&l, fd[0], &at, in, 0);
		CHECK(vt_pipe_level(fd[0]) == 0, "something is left");
	}
	/* not more than len; and 0 bytes are no question */
	MUST(write(fd[1], vt_data + at, 5000) == 5000);
	CHECK(ktls_splice_in(l.e.c, fd[0], 0, 0) == 0, "len 0: errno %d", errno);
	for (size_t n = 1; ok && n < 4000; n = n * 3 + 1) {
		r = ktls_splice_in(l.e.c, fd[0], n, 0);
		ok = CHECK(r == (ssize_t)n, "%zd of %zu, errno %d", r, n, errno);
		if (ok)
			vt_line_took(&l, vt_data + at, n, n);
		at += n;
		l.least++;
	}
	ok = ok && drain(&l, fd[0], &at, vt_pipe_level(fd[0]), 0);
	l.least++;
	/* the writer goes, and leaves something */
	MUST(write(fd[1], vt_data + at, 777) == 777);
	close(fd[1]);
	fd[1] = -1;
	ok = ok && drain(&l, fd[0], &at, 777, 0);
	l.least++;
	for (int i = 0; ok && i < 2; i++) {
		r = ktls_splice_in(l.e.c, fd[0], LOTS, 0);
		CHECK(r == 0, "the writer has gone: %zd, errno %d", r, errno);
	}
	vt_line_close(&l);
	if (ok)
		vt_records_full(&l);
	vt_wire_free(&l.w);
	close_pipe(fd);
}

struct feeder {
	int fd;
	size_t at;
	size_t total;
	unsigned int pause_us;
};

/* Odd pieces into a pipe; a thread, so that both ends may block. */
static void *feed(void *arg)
{
	struct feeder *f = arg;
	size_t done = 0;

	while (done < f->total) {
		size_t n = (f->at + done) * 40503U % 9000 + 1;
		ssize_t r;

		if (n > f->total - done)
			n = f->total - done;
		r = write(f->fd, vt_data + f->at + done, n);
		if (r < 0)
			break;
		done += (size_t)r;
		if (f->pause_us && done % 7 == 0)
			usleep(f->pause_us);
	}
	close(f->fd);
	return NULL;
}

/* After EAGAIN: for the socket or the pipe, whichever it was. */
static bool wait_either(struct vt_line *l, int fd)
{
	const int events = ktls_wants(l->e.c);

	if (events)
		return vt_line_again(l, "ktls_splice_in");
	return CHECK(errno == EAGAIN, "errno %d", errno) &&
	       CHECK(!l->kind->blocking, "EAGAIN on a blocking socket") &&
	       CHECK(vt_poll(fd, POLLIN), "the pipe stays empty");
}

static void stream(const struct vt_kind *k, bool slow_peer, bool pipe_blocks)
{
	struct feeder f = {.at = 4321, .total = 200000};
	struct vt_line l;
	pthread_t thread;
	bool ok = true;
	int fd[2];
	ssize_t r = 1;

	vt_case("%s: ktls_splice_in, a stream%s, pipe %s", vt_kind_name(k),
		slow_peer ? " to a slow peer" : "",
		pipe_blocks ? "blocking" : "non-blocking");
	make_pipe(fd, pipe_blocks);
	vt_set_nonblocking(fd[1], false);
	f.fd = fd[1];
	f.pause_us = slow_peer ? 0 : 200;
	if (slow_peer)
		vt_line_init_slow(&l, k);
	else
		vt_line_init(&l, k, NULL, NULL);
	if (!vt_line_start(&l))
		return;
	MUST(pthread_create(&thread, NULL, feed, &f) == 0);
	while (ok && r != 0) {
		r = ktls_splice_in(l.e.c, fd[0], LOTS, 0);
		if (r > 0)
			vt_sink_add(&l.want, vt_data + f.at + l.want.count,
				    (size_t)r);
		if (r < 0)
			ok = wait_either(&l, fd[0]);
	}
	CHECK(l.want.count == f.total, "%zu bytes of %zu", l.want.count, f.total);
	close(fd[0]);
	MUST(pthread_join(thread, NULL) == 0);
	vt_line_close(&l);
	vt_wire_free(&l.w);
}

/*
 * Small pieces with KTLS_MORE: in user space they share a record; in the
 * kernel each splice(2) ends its own.
 */
static void more(const struct vt_kind *k)
{
	struct vt_line l;
	size_t at = 99;
	bool ok = true;
	int fd[2];

	vt_case("%s: ktls_splice_in, KTLS_MORE", vt_kind_name(k));
	make_pipe(fd, false);
	if (!vt_line_open(&l, k))
		return;
	for (int i = 0; ok && i < PIECES; i++) {
		MUST(write(fd[1], vt_data + at, 100) == 100);
		ok = drain(&l, fd[0], &at, 100, KTLS_MORE);
	}
	l.least = k->tx == KTLS_OFF ? vt_wire_least(PIECES * 100, VT_RECORD)
				    : PIECES;
	vt_line_close(&l);
	if (ok)
		vt_records_full(&l);
	vt_wire_free(&l.w);
	close_pipe(fd);
}

static void arguments(const struct vt_kind *k)
{
	struct vt_line l;
	int fd[2], u[2];

	vt_case("%s: ktls_splice_in, arguments", vt_kind_name(k));
	make_pipe(fd, false);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, u) == 0);
	MUST(write(u[1], "x", 1) == 1 && write(fd[1], "x", 1) == 1);
	if (!vt_line_open(&l, k))
		return;
	const struct {
		int fd;
		size_t len;
		int flags;
		int code;
	} bad[] = {
		{u[0], 1, 0, EINVAL},
		{vt_file, 1, 0, EINVAL},
		{-1, 1, 0, EBADF},
		{fd[0], 1, 2, EINVAL},
		{fd[0], 1, -1, EINVAL},
		{fd[0], (size_t)SSIZE_MAX + 1, 0, EINVAL},
		{fd[1], 1, 0, EBADF},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ssize_t r;

		errno = 0;
		r = ktls_splice_in(l.e.c, bad[i].fd, bad[i].len, bad[i].flags);
		CHECK(r == -1 && errno == bad[i].code, "%zu: %zd, errno %d", i,
		      r, errno);
	}
	CHECK(ktls_splice_in(l.e.c, fd[0], 1, 0) == 1, "errno %d", errno);
	vt_sink_add(&l.want, "x", 1);
	vt_line_close(&l);
	vt_wire_free(&l.w);
	close_pipe(fd);
	close_pipe(u);
}

void vt_splice_in_cases(const struct vt_kind *k)
{
	arguments(k);
	if (!k->blocking)
		steps(k);
	stream(k, false, k->server);
	stream(k, true, !k->server);
	if (!k->blocking)
		more(k);
}
