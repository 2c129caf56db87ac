/* SPDX-License-Identifier: MIT */
/* The other ends of pipes, as an event loop has them. */
#include "pipes.h"

void feed_open(struct feed *f, struct pair *p, size_t slots, uint64_t todo)
{
	memset(f, 0, sizeof(*f));
	f->p = p;
	fake_pipe(f->fd, slots);
	f->fed = p->accepted;
	f->todo = todo;
	f->slot = FAKE_PAGE;
}

void feed(struct feed *f)
{
	uint8_t buf[FAKE_PAGE];

	while (f->todo > 0) {
		size_t n = f->random ? 1 + random_below((uint32_t)f->slot)
				     : f->slot;

		if (n > f->todo)
			n = (size_t)f->todo;
		fake_pattern(OURS, f->fed, buf, n);
		n = fake_pipe_fill(f->fd[1], buf, n, n);
		if (n == 0)
			return;
		f->fed += n;
		f->todo -= n;
		if (f->random && random_below(4) == 0)
			return;
	}
	if (fake_pipe_of(f->fd[1]))
		fake_pipe_close(f->fd[1]);
}

void feed_and_peer(void *arg)
{
	struct feed *f = arg;

	feed(f);
	pair_peer(f->p);
}

void feed_run(struct feed *f, size_t len, int flags)
{
	struct pair *p = f->p;

	for (int i = 0; i < 1000000; i++) {
		const ssize_t n = ktls_splice_in(p->conn, f->fd[0], len, flags);

		if (n == 0)
			return;
		if (n < 0) {
			if (errno != EAGAIN)
				stream_wait(p, "ktls_splice_in");
			if (ktls_wants(p->conn) & POLLOUT)
				pair_peer(p);
			else
				feed(f);
			continue;
		}
		assert_true((size_t)n <= len);
		p->accepted += (uint64_t)n;
	}
	fail_msg("no end");
}

void drain_open(struct drain *d, struct pair *p, size_t slots, bool nonblock)
{
	d->p = p;
	d->slow = false;
	fake_pipe(d->fd, slots);
	fake_pipe_of(d->fd[0])->nonblock = nonblock;
}

void drain(struct drain *d)
{
	uint8_t buf[FAKE_SLOTS_MAX * FAKE_PAGE];
	const ssize_t n = fake_pipe_read(
		d->fd[0], buf, d->slow ? 1 + random_below(5000) : sizeof(buf));

	if (n < 0)
		return;
	assert_int_equal(fake_pattern_check(THEIRS, d->p->got, buf, (size_t)n),
			 n);
	d->p->got += (uint64_t)n;
}

void drain_and_peer(void *arg)
{
	struct drain *d = arg;

	drain(d);
	pair_peer(d->p);
}

void drain_run(struct drain *d, uint64_t n, size_t len)
{
	struct pair *p = d->p;
	uint64_t moved = 0;

	p->peer_todo += n;
	for (int i = 0; moved < n; i++) {
		const size_t k = n - moved < len ? (size_t)(n - moved) : len;
		const ssize_t r = ktls_splice_out(p->conn, d->fd[1], k, 0);

		assert_true(i < 1000000 && r != 0);
		if (r > 0) {
			assert_true((size_t)r <= k);
			moved += (uint64_t)r;
			continue;
		}
		if (errno != EAGAIN)
			stream_wait(p, "ktls_splice_out");
		if (ktls_wants(p->conn) & POLLIN)
			pair_peer(p);
		else
			drain(d);
	}
	while (fake_pipe_of(d->fd[0])->n > 0)
		drain(d);
}
