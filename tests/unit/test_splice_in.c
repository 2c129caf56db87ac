/* SPDX-License-Identifier: MIT */
/* ktls_splice_in(): from a pipe to the peer, and which side is waited for. */
#include "pipes.h"

#include <limits.h>

static void all_slots_arrive(void **state)
{
	static const size_t slots[] = {1, 5, 16, 64};
	static const size_t bytes[] = {1, 100, 1024, 4000, 4096};
	const struct mode *m = *state;
	struct pair p;

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(bytes); k++) {
			struct feed f;

			mode_tx(&p, m, 0, NULL);
			feed_open(&f, &p, slots[i], 500 * bytes[k] + 7);
			f.slot = bytes[k];
			if (m->blocking)
				fake_on_poll(feed_and_peer, &f);
			feed_run(&f, 1 << 20, 0);
			fake_on_poll(pair_peer, &p);
			/* without another byte */
			pair_settle(&p);
			pair_finish(&p);
		}
	}
}

static void any_sizes_and_eagain_anywhere_lose_nothing(void **state)
{
	static const size_t capacities[] = {1, 30, 5000, 17000, 0};
	static const size_t limits[] = {1, 999, 4096, 17000, 0};
	const struct mode *m = *state;
	struct pair p;

	for (uint32_t i = 0; i < 50; i++) {
		const size_t limit = limits[i / 5 % 5];
		const bool tiny = limit == 1 || i % 5 == 0;
		struct feed f;

		random_start(i);
		mode_tx(&p, m, capacities[i % 5], NULL);
		feed_open(&f, &p, 1 + random_below(20), tiny ? 2000 : 90000);
		f.random = true;
		f.slot = 1 + random_below(FAKE_PAGE);
		fake_flaky(!m->blocking);
		fake_limit(FAKE_SEND, limit);
		fake_limit(FAKE_SPLICE, limit);
		fake_limit(FAKE_READ, limit);
		if (m->blocking)
			fake_on_poll(feed_and_peer, &f);
		feed_run(&f, 1 + random_below(40000), i & 1 ? KTLS_MORE : 0);
		fake_on_poll(pair_peer, &p);
		fake_heal();
		stream_send(&p, 10, 2, 0);
		pair_settle(&p);
		pair_finish(&p);
	}
}

static void full_pipe_makes_full_records(void **state)
{
	const struct mode *m = *state;
	struct feed f;
	struct pair p;

	mode_tx(&p, m, 0, NULL);
	feed_open(&f, &p, 16, 65536 + 100);
	feed(&f);
	assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 1 << 20, 0), 65536);
	assert_records(&p, 16384, 16384, 16384, 16384);
	feed(&f);
	assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 60, 0), 60);
	assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 60, 0), 40);
	assert_records(&p, 60, 40);
	assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 60, 0), 0);
	p.accepted = 65636;
	pair_finish(&p);
}

static void waiting_has_a_side(void **state)
{
	const struct mode *m = *state;
	struct feed f;
	struct pair p;
	int k;

	if (m->blocking)
		return;
	mode_tx(&p, m, 20000, NULL);
	p.peer_deaf = true;
	feed_open(&f, &p, 16, 1 << 20);
	for (int i = 0; i < 2; i++) {
		assert_errno(ktls_splice_in(p.conn, f.fd[0], 100, 0), EAGAIN);
		assert_int_equal(ktls_wants(p.conn), 0);
	}
	for (k = 0; k < 100; k++) {
		const ssize_t n =
			(feed(&f), ktls_splice_in(p.conn, f.fd[0], 30000, 0));

		if (n < 0)
			break;
		p.accepted += (uint64_t)n;
	}
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLOUT);
	assert_true(p.accepted > 10000 && p.accepted < 50000);
	p.peer_deaf = false;
	feed_run(&f, 100000, 0);
	pair_settle(&p);
	assert_int_equal(p.accepted, 1 << 20);
	pair_finish(&p);
}

/* A short count is what a pipe often has: something else may follow. */
static void other_data_may_follow_a_short_count(void **state)
{
	static const size_t sizes[] = {1, 2, 500, 5000, 16384, 30000};
	const struct mode *m = *state;
	struct pair p;

	if (m->blocking)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (size_t len = sizes[i]; len < 70000; len += 50000) {
			uint64_t rest;
			struct feed f;

			mode_tx(&p, m, 300, NULL);
			feed_open(&f, &p, 16, sizes[i]);
			feed(&f);
			rest = sizes[i];
			for (int k = 0; rest > 0 && k < 10000; k++) {
				const ssize_t n =
					ktls_splice_in(p.conn, f.fd[0], len, 0);

				assert_true(n != 0);
				if (n > 0) {
					p.accepted += (uint64_t)n;
					/* the pipe is empty: all is said */
					rest = fake_pipe_of(f.fd[0])->data.len;
				} else {
					stream_wait(&p, "ktls_splice_in");
				}
			}
			/* what is behind the pipe's bytes in the stream */
			p.accepted = sizes[i];
			stream_send(&p, 100, 1, 0);
			pair_settle(&p);
			pair_finish(&p);
		}
	}
}

static void end_of_the_pipe_is_0(void **state)
{
	const struct mode *m = *state;
	struct feed f;
	struct pair p;

	mode_tx(&p, m, 0, NULL);
	feed_open(&f, &p, 16, 100);
	assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 0, 0), 0);
	feed(&f);
	assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 0, 0), 0);
	assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 1000, 0), 100);
	p.accepted = 100;
	for (int i = 0; i < 3; i++)
		assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 1000, 0), 0);
	assert_records(&p, 100);
	stream_send(&p, 10, 1, 0);
	pair_finish(&p);
}

/* The writer goes between the call and the look at why there was nothing. */
static void writer_that_vanishes_is_the_end(void **state)
{
	const struct mode *m = *state;
	struct feed f;
	struct pair p;

	if (m->blocking)
		return;
	mode_tx(&p, m, 0, NULL);
	feed_open(&f, &p, 16, 0);
	fake_fail(FAKE_SPLICE, 1, EAGAIN);
	fake_fail(FAKE_READ, 1, EAGAIN);
	feed(&f);
	if (ktls_splice_in(p.conn, f.fd[0], 1000, 0) < 0)
		assert_int_equal(errno, EAGAIN);
	assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 1000, 0), 0);
	pair_finish(&p);
}

static void blocking_call_waits_for_both_sides(void **state)
{
	const struct mode *m = *state;
	struct feed f;
	struct pair p;

	if (!m->blocking)
		return;
	mode_tx(&p, m, 5000, NULL);
	feed_open(&f, &p, 4, 50000);
	fake_on_poll(feed_and_peer, &f);
	/* the pipe is empty, then the socket is full */
	while (p.accepted < 50000) {
		const ssize_t n = ktls_splice_in(p.conn, f.fd[0], 100000, 0);

		assert_true(n > 0);
		p.accepted += (uint64_t)n;
	}
	assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 100000, 0), 0);
	/* as long as SO_SNDTIMEO says, and until a signal */
	fake_on_poll(pair_peer, &p);
	fake_pipe(f.fd, 4);
	fake_socket(p.fd)->sndtimeo_ms = 70;
	fake_clock = 1000;
	assert_errno(ktls_splice_in(p.conn, f.fd[0], 10, 0), EAGAIN);
	assert_int_equal(fake_clock, 1070);
	assert_int_equal(fake_poll_events, POLLIN);
	fake_socket(p.fd)->sndtimeo_ms = 0;
	fake_fail(FAKE_POLL, 2, EINTR);
	assert_errno(ktls_splice_in(p.conn, f.fd[0], 10, 0), EINTR);
	pair_finish(&p);
}

static void short_budget(struct ktls_policy *policy)
{
	policy->budget = 20000;
}

static void budget_ends_a_call(void **state)
{
	struct feed f;
	struct pair p;

	mode_tx(&p, *state, 0, short_budget);
	feed_open(&f, &p, 16, 65536);
	feed(&f);
	assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 65536, 0), 20000);
	assert_records(&p, 16384, 3616);
	p.accepted = 20000;
	feed_run(&f, SSIZE_MAX, 0);
	assert_int_equal(p.accepted, 65536);
	pair_finish(&p);
}

/* Only bytes count: a len of everything is no promise. */
static void threshold_counts_bytes(void **state)
{
	const struct mode *m = *state;
	struct feed f;
	struct pair p;

	if (m->use != KTLS_AUTO)
		return;
	mode_tx(&p, m, 0, NULL);
	feed_open(&f, &p, 4, 80000);
	feed(&f);
	p.accepted += 16384;
	assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 1 << 30, 0), 16384);
	assert_modes(&p, "user", "user");
	feed_run(&f, 1 << 30, 0);
	assert_modes(&p, "kernel", "user");
	assert_true(pair_info(&p).tx.kernel_bytes >= 80000 - 2 * 16384);
	pair_finish(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
		void *mode = (void *)(uintptr_t)&modes[i];

#define ADD(f) ktest_add(&t, f, mode, #f "_%s", modes[i].name)
		ADD(all_slots_arrive);
		ADD(any_sizes_and_eagain_anywhere_lose_nothing);
		ADD(full_pipe_makes_full_records);
		ADD(waiting_has_a_side);
		ADD(other_data_may_follow_a_short_count);
		ADD(end_of_the_pipe_is_0);
		ADD(writer_that_vanishes_is_the_end);
		ADD(blocking_call_waits_for_both_sides);
		ADD(budget_ends_a_call);
		ADD(threshold_counts_bytes);
	}
	r = ktest_run_table("splice_in", &t);
	certs_free();
	return r;
}
