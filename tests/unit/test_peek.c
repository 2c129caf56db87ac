/* SPDX-License-Identifier: MIT */
/* ktls_peek() among reads: what it shows is still there, and is the next. */
#include "modes.h"

/* One call for k bytes in parts, checked; its result. */
static ssize_t read_parts(struct pair *p, size_t k, int parts)
{
	static uint8_t buf[1 << 18];
	static struct iovec iov[1024];
	size_t done = 0, seen = 0;
	ssize_t r;

	assert_true(k <= sizeof(buf) && parts > 0 && parts <= 1024);
	memset(buf, 0xcc, k);
	for (int i = 0; i < parts; i++) {
		const size_t n = i < parts - 1 ? k / (size_t)parts : k - done;

		iov[i].iov_base = n > 0 ? buf + done : NULL;
		iov[i].iov_len = n;
		done += n;
	}
	r = ktls_readv(p->conn, iov, parts);
	assert_true(r <= (ssize_t)k);
	if (r <= 0)
		return r;
	assert_int_equal(fake_pattern_check(THEIRS, p->got, buf, (size_t)r), r);
	/* nothing behind them was written */
	for (seen = (size_t)r; seen < k && buf[seen] == 0xcc; seen++)
		;
	assert_int_equal(seen, k);
	p->got += (uint64_t)r;
	return r;
}

static ssize_t peek(struct pair *p, size_t k)
{
	static uint8_t buf[1 << 18];
	const ssize_t r = ktls_peek(p->conn, buf, k);

	if (r > 0)
		assert_int_equal(
			fake_pattern_check(THEIRS, p->got, buf, (size_t)r), r);
	return r;
}

static void peeking_takes_nothing(void **state)
{
	static const size_t sizes[] = {1, 99, 100, 101, 70000};
	const struct mode *m = *state;
	struct pair p;

	mode_rx(&p, m, 0, NULL);
	p.peer_todo = 100;
	pair_peer(&p);
	for (int round = 0; round < 3; round++) {
		const uint64_t bytes = pair_info(&p).rx.bytes;

		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			assert_int_equal(peek(&p, sizes[i]),
					 sizes[i] < 100 ? sizes[i] : 100);
		/* taken from the socket once, however often they are shown */
		assert_int_equal(pair_info(&p).rx.bytes, bytes + 100);
		assert_int_equal(ktls_pending(p.conn), 100);
		assert_int_equal(read_parts(&p, 60, 3), 60);
		assert_int_equal(peek(&p, 1000), 40);
		assert_int_equal(read_parts(&p, 1000, 3), 40);
		p.peer_todo = 100;
		pair_peer(&p);
	}
	/* and is seen when it comes */
	pair_receive(&p, 40000, 5000);
	if (mode_kernel(m))
		assert_int_equal(pair_info(&p).rx.kernel_bytes, p.got);
	pair_finish(&p);
}

static void peek_of_any_sizes_among_reads(void **state)
{
	static const size_t limits[] = {1, 7, 999, 17000, 0};
	const struct mode *m = *state;

	for (uint32_t i = 0; i < 30; i++) {
		const size_t limit = limits[i % 5];
		const uint64_t n = limit == 1 ? 500 : 50000;
		struct pair p;

		random_start(i);
		mode_rx(&p, m, 20000 + random_below(30000), NULL);
		fake_flaky(!m->blocking);
		fake_limit(FAKE_RECV, limit);
		fake_limit(FAKE_RECVMSG, limit);
		p.peer_max = 1 + random_below(16384);
		p.peer_todo = n;
		while (p.got < n) {
			const size_t k = 1 + random_below(20000);
			ssize_t r = 1;

			if (random_below(2))
				r = peek(&p, k);
			if (r < 0)
				stream_wait(&p, "ktls_peek");
			r = read_parts(&p, k, 1 + (int)random_below(5));
			if (r < 0)
				stream_wait(&p, "ktls_readv");
		}
		fake_heal();
		pair_finish(&p);
	}
}

static void close_notify_is_0_behind_the_data(void **state)
{
	const struct mode *m = *state;

	for (int clean = 0; clean < 2; clean++) {
		struct pair p;

		mode_rx(&p, m, 0, NULL);
		p.peer_todo = 100;
		pair_peer(&p);
		if (clean)
			SSL_shutdown(p.peer);
		fake_raw_fin(p.peer_fd);
		for (int i = 0; i < 3; i++)
			assert_int_equal(peek(&p, 1000), 100);
		assert_int_equal(read_parts(&p, 50, 2), 50);
		assert_int_equal(peek(&p, 1000), 50);
		assert_int_equal(read_parts(&p, 1000, 2), 50);
		for (int i = 0; i < 3 && clean; i++) {
			assert_int_equal(peek(&p, 1000), 0);
			assert_int_equal(read_parts(&p, 50, 2), 0);
		}
		for (int i = 0; i < 3 && !clean; i++) {
			assert_errno(peek(&p, 1000), ECONNABORTED);
			assert_errno(read_parts(&p, 50, 2), ECONNABORTED);
		}
		pair_free(&p);
	}
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
		void *mode = (void *)(uintptr_t)&modes[i];

#define ADD(f) ktest_add(&t, f, mode, #f "_%s", modes[i].name)
		ADD(peeking_takes_nothing);
		ADD(peek_of_any_sizes_among_reads);
		ADD(close_notify_is_0_behind_the_data);
	}
	r = ktest_run_table("peek", &t);
	certs_free();
	return r;
}
