/* SPDX-License-Identifier: MIT */
/* ktls-vm-move: ktls_splice_out(). */
#include "move.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIPE_SIZE = 16 * 4096, LOTS = 1 << 30 };

static void make_pipe(int fd[2], bool blocking)
{
	MUST(pipe2(fd, O_CLOEXEC) == 0);
	vt_set_nonblocking(fd[0], true);
	vt_set_nonblocking(fd[1], !blocking);
}

static void close_pipe(int fd[2])
{
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

/* Reads n bytes, which must be those. */
static bool pipe_has(int fd, const uint8_t *want, size_t n)
{
	static uint8_t buf[PIPE_SIZE];
	size_t done = 0;

	while (done < n) {
		const size_t k = n - done < sizeof(buf) ? n - done : sizeof(buf);
		const ssize_t r = read(fd, buf, k);

		if (!CHECK(r > 0 && memcmp(buf, want + done, (size_t)r) == 0,
			   "the pipe has other bytes: %zd after %zu of %zu", r,
			   done, n))
			return false;
		done += (size_t)r;
	}
	return true;
}

/* What the connection says when it has nothing, or the pipe no room. */
static bool says(struct vt_duo *d, int fd, size_t len, int wants)
{
	const ssize_t r = ktls_splice_out(d->lib.c, fd, len, 0);

	return CHECK(r == -1 && errno == EAGAIN && ktls_wants(d->lib.c) == wants,
		     "%zd, errno %d, wants 0x%x, not 0x%x", r, errno,
		     (unsigned int)ktls_wants(d->lib.c), (unsigned int)wants);
}

/* Moves n bytes at p into the pipe and out of it. */
static bool moves(struct vt_duo *d, const int fd[2], const uint8_t *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		const ssize_t r = ktls_splice_out(d->lib.c, fd[1], n - done, 0);

		if (r < 0 && errno == EAGAIN && ktls_wants(d->lib.c) &&
		    CHECK(vt_poll(d->lib.fd, ktls_wants(d->lib.c)), "no event"))
			continue;
		if (!CHECK(r > 0 && r <= (ssize_t)(n - done),
			   "%zd of %zu after %zu, errno %d, wants 0x%x", r,
			   n - done, done, errno,
			   (unsigned int)ktls_wants(d->lib.c)) ||
		    !pipe_has(fd[0], p + done, (size_t)r))
			return false;
		done += (size_t)r;
	}
	return true;
}

/* The peer's bytes, which the socket's buffers must be able to hold. */
static void peer_sends(struct vt_duo *d, const uint8_t *p, size_t n)
{
	size_t k;

	for (; n > 0; p += k, n -= k)
		MUST(SSL_write_ex(d->ssl, p, n < VT_RECORD ? n : VT_RECORD,
				  &k) == 1);
}

/* Pipes with less room than a record. */
static void nearly_full(struct vt_duo *d, bool blocking, size_t room)
{
	static uint8_t filler[PIPE_SIZE];
	const size_t fill = PIPE_SIZE - room;
	uint8_t got[PIPE_SIZE];
	size_t n = 40000, done = 0;
	int fd[2];

	vt_case("%s pipe with room for %zu", blocking ? "blocking" : "other",
		room);
	make_pipe(fd, blocking);
	peer_sends(d, vt_data + 7, n);
	while (done < n) {
		ssize_t r;

		MUST(write(fd[1], filler, fill) == (ssize_t)fill);
		do
			r = ktls_splice_out(d->lib.c, fd[1], LOTS, 0);
		while (r < 0 && errno == EAGAIN && ktls_wants(d->lib.c) &&
		       vt_poll(d->lib.fd, ktls_wants(d->lib.c)));
		MUST(read(fd[0], got, fill) == (ssize_t)fill);
		/* a page that is not full has no room but for more of it */
		if (r < 0 && errno == EAGAIN && room < 4096) {
			CHECK(vt_pipe_level(fd[0]) == 0, "EAGAIN, but bytes");
			if (!moves(d, fd, vt_data + 7 + done, 1000))
				break;
			done += 1000;
			continue;
		}
		if (!CHECK(r > 0 && (size_t)r <= n - done, "%zd, errno %d, %zu",
			   r, errno, done) ||
		    !CHECK(vt_pipe_level(fd[0]) == (size_t)r,
			   "%zd bytes, but the pipe has %zu", r,
			   vt_pipe_level(fd[0])) ||
		    !pipe_has(fd[0], vt_data + 7 + done, (size_t)r))
			break;
		done += (size_t)r;
	}
	says(d, fd[1], LOTS, POLLIN);
	close_pipe(fd);
}

static void full(struct vt_duo *d)
{
	static uint8_t filler[PIPE_SIZE];
	uint8_t got[PIPE_SIZE];
	int fd[2];

	vt_case("a full pipe");
	make_pipe(fd, false);
	MUST(write(fd[1], filler, PIPE_SIZE) == PIPE_SIZE);
	says(d, fd[1], LOTS, 0);
	peer_sends(d, vt_data, 100);
	MUST(vt_poll(d->lib.fd, POLLIN));
	says(d, fd[1], LOTS, 0);
	MUST(read(fd[0], got, PIPE_SIZE) == PIPE_SIZE);
	moves(d, fd, vt_data, 100);
	close_pipe(fd);
}

/* Nothing is lost when there is nobody to read the pipe. */
static void no_reader(struct vt_duo *d)
{
	uint8_t got[3000];
	size_t n = 0;
	int fd[2];

	vt_case("a pipe without a reader");
	make_pipe(fd, false);
	close(fd[0]);
	fd[0] = -1;
	peer_sends(d, vt_data + 3, 3000);
	MUST(vt_poll(d->lib.fd, POLLIN));
	for (int i = 0; i < 2; i++)
		CHECK(ktls_splice_out(d->lib.c, fd[1], LOTS, 0) == -1 &&
			      errno == EPIPE,
		      "errno %d", errno);
	while (n < 3000) {
		ssize_t r = vt_duo_lib_read(d, got + n, 3000 - n);

		if (!CHECK(r > 0, "after EPIPE: %zd, errno %d", r, errno))
			break;
		n += (size_t)r;
	}
	CHECK(memcmp(got, vt_data + 3, 3000) == 0, "other bytes");
	close_pipe(fd);
}

static void ticket(struct vt_duo *d)
{
	if (SSL_version(d->ssl) != TLS1_3_VERSION || !SSL_is_server(d->ssl))
		return;
	MUST(SSL_new_session_ticket(d->ssl) == 1);
	MUST(SSL_do_handshake(d->ssl) == 1);
}

static void arguments(struct vt_duo *d)
{
	int fd[2], u[2];

	vt_case("arguments");
	make_pipe(fd, false);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, u) == 0);
	CHECK(ktls_splice_out(d->lib.c, fd[1], 1, 1) == -1 && errno == EINVAL,
	      "flags: errno %d", errno);
	CHECK(ktls_splice_out(d->lib.c, u[0], 1, 0) == -1 && errno == EINVAL,
	      "socket: errno %d", errno);
	CHECK(ktls_splice_out(d->lib.c, vt_file, 1, 0) == -1 && errno == EINVAL,
	      "file: errno %d", errno);
	CHECK(ktls_splice_out(d->lib.c, -1, 1, 0) == -1 && errno == EBADF,
	      "-1: errno %d", errno);
	CHECK(ktls_splice_out(d->lib.c, fd[1], (size_t)SSIZE_MAX + 1, 0) == -1 &&
		      errno == EINVAL,
	      "length: errno %d", errno);
	CHECK(ktls_splice_out(d->lib.c, fd[1], 0, 0) == 0, "errno %d", errno);
	close_pipe(fd);
	close_pipe(u);
}

static void steps(const struct vt_kind *k)
{
	static const size_t sizes[] = {1, 100, 4096, 5000, 16384, 16385, 60000};
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	struct vt_duo d;
	bool ok = true;
	int fd[2];

	vt_case("%s: ktls_splice_out, step by step", vt_kind_name(k));
	if (!vt_duo_open(&d, k->suite, k->server, &policy))
		return;
	make_pipe(fd, k->server);
	arguments(&d);
	says(&d, fd[1], LOTS, POLLIN);
	for (size_t i = 0; ok && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		vt_case("%s: ktls_splice_out, %zu bytes", vt_kind_name(k),
			sizes[i]);
		ticket(&d);
		peer_sends(&d, vt_data + i, sizes[i]);
		ticket(&d);
		ok = moves(&d, fd, vt_data + i, sizes[i]);
		if (ok)
			says(&d, fd[1], LOTS, POLLIN);
	}
	/* tickets between pieces that one call could take */
	for (size_t i = 0; ok && i < 3; i++) {
		peer_sends(&d, vt_data + 700 * i, 700);
		ticket(&d);
	}
	ok = ok && moves(&d, fd, vt_data, 2100);
	full(&d);
	no_reader(&d);
	for (int blocking = 0; blocking < 2; blocking++)
		for (size_t room = 1; room < 3 * VT_RECORD; room = room * 5 + 3)
			nearly_full(&d, blocking, room);
	vt_case("%s: ktls_splice_out, close_notify", vt_kind_name(k));
	peer_sends(&d, vt_data, 300);
	ticket(&d);
	SSL_shutdown(d.ssl);
	ok = ok && moves(&d, fd, vt_data, 300);
	for (int i = 0; ok && i < 2; i++) {
		ssize_t r = ktls_splice_out(d.lib.c, fd[1], LOTS, 0);

		CHECK(r == 0, "close_notify: %zd, errno %d", r, errno);
	}
	close_pipe(fd);
	vt_duo_close(&d);
}

static void truncated(const struct vt_kind *k)
{
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	struct vt_duo d;
	int fd[2];

	vt_case("%s: ktls_splice_out, FIN", vt_kind_name(k));
	if (!vt_duo_open(&d, k->suite, k->server, &policy))
		return;
	make_pipe(fd, false);
	peer_sends(&d, vt_data, 5000);
	shutdown(d.fd, SHUT_WR);
	moves(&d, fd, vt_data, 5000);
	for (int i = 0; i < 2; i++) {
		ssize_t r = ktls_splice_out(d.lib.c, fd[1], LOTS, 0);

		CHECK(r == -1 && errno == ECONNABORTED, "%zd, errno %d", r,
		      errno);
	}
	vt_duo_to_peer(&d, 1, 30000);
	close_pipe(fd);
	vt_duo_drop(&d);
}

/* A peer that sends while we receive, through a pipe of either kind. */
static void stream(const struct vt_kind *k, bool pipe_blocks, size_t budget)
{
	static const size_t sizes[] = {1, 70000, 300, 16384, 16385, 200000};
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	static uint8_t buf[PIPE_SIZE];
	struct vt_line l;
	int fd[2], seen;
	ssize_t r;

	vt_case("%s: ktls_splice_out, a stream, pipe %s, budget %zu",
		vt_kind_name(k), pipe_blocks ? "blocking" : "non-blocking",
		budget);
	make_pipe(fd, pipe_blocks);
	policy.budget = budget;
	vt_line_init(&l, k, &policy, NULL);
	vt_stream_init(&l.p.out, 555, sizes, 6);
	l.e.in_total = l.p.out.total;
	l.p.closes_first = true;
	if (!vt_line_start(&l))
		return;
	for (;;) {
		/* a blocking end would wait for a pipe that only we read */
		r = ktls_splice_out(l.e.c, fd[1], LOTS, 0);
		if (r == 0)
			break;
		if (r < 0 && errno == EAGAIN && ktls_wants(l.e.c) == 0) {
			CHECK(false, "the pipe is full, it says");
			break;
		}
		if (r < 0 && !vt_line_again(&l, "ktls_splice_out"))
			break;
		CHECK(r < 0 || (size_t)r <= budget, "%zd of %zu", r, budget);
		while ((seen = (int)read(fd[0], buf, sizeof(buf))) > 0)
			vt_sink_add(&l.e.in, buf, (size_t)seen);
	}
	vt_sink_check(&l.e.in, &l.p.out, l.p.out.total, "the pipe");
	vt_line_close(&l);
	vt_wire_free(&l.w);
	close_pipe(fd);
}

void vt_splice_out_cases(const struct vt_kind *k)
{
	stream(k, false, 1 << 21);
	stream(k, true, 12345);
	if (k->blocking)
		return;
	steps(k);
	truncated(k);
}
