/* SPDX-License-Identifier: MIT */
/* ktls_writev(): parts of all shapes, with and without KTLS_MORE. */
#include "modes.h"

#include <limits.h>

static void shapes_of_all_kinds_arrive(void **state)
{
	static const size_t sizes[] = {1,     5,      1000,   16384,
				       16385, 100000, 1 << 20};
	static const int parts[] = {1, 2, 3, 63, 64, 65, 128, 1024};
	struct pair p;

	mode_tx(&p, *state, 100000, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (size_t k = 0; k < ARRAY_SIZE(parts); k++)
			stream_send(&p, sizes[i], parts[k], 0);
	pair_settle(&p);
	assert_int_equal(pair_info(&p).tx.bytes - p.before_tx, p.accepted);
	pair_finish(&p);
}

static void records_are_filled_from_many_parts(void **state)
{
	static const int parts[] = {1, 2, 7, 64, 65, 500};
	struct pair p;

	mode_tx(&p, *state, 0, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		assert_int_equal(stream_writev(&p, 40000, parts[i], 0), 40000);
		assert_records(&p, 16384, 16384, 7232);
	}
	/* empty parts are nothing, wherever they are */
	for (int at = 0; at < 3; at++) {
		struct iovec v[3];
		uint8_t buf[20];

		fake_pattern(OURS, p.accepted, buf, 20);
		for (int i = 0, k = 0; i < 3; i++) {
			v[i] = (struct iovec){i == at ? NULL : buf + 10 * k,
					      i == at ? 0 : 10};
			k += i != at;
		}
		assert_int_equal(ktls_writev(p.conn, v, 3, 0), 20);
		p.accepted += 20;
		assert_records(&p, 20);
	}
	pair_settle(&p);
	pair_finish(&p);
}

static void any_chunks_with_any_flags_arrive(void **state)
{
	static const size_t capacities[] = {1, 30, 5000, 17000, 200000};
	static const size_t limits[] = {1, 23, 1000, 17000, 0};
	const struct mode *m = *state;
	struct pair p;

	for (uint32_t i = 0; i < 25; i++) {
		const size_t limit = limits[i / 5];
		const size_t n =
			limit == 1 || capacities[i % 5] == 1 ? 3000 : 100000;

		random_start(i + 1);
		mode_tx(&p, m, capacities[i % 5], NULL);
		fake_flaky(!m->blocking);
		fake_limit(FAKE_SEND, limit);
		fake_limit(FAKE_SENDMSG, limit);
		while (p.accepted < n) {
			const size_t k =
				1 + random_below(random_below(5) ? 3000 : 40000);
			const int parts = 1 + (int)random_below(70);
			const int flags = random_below(3) ? KTLS_MORE : 0;

			if (stream_writev(&p, k, parts, flags) < 0)
				stream_wait(&p, "ktls_writev");
			if (random_below(20) == 0 && ktls_flush(p.conn, 0) < 0)
				stream_wait(&p, "ktls_flush");
		}
		/* what was accepted arrives without another byte */
		for (int k = 0; k < 100000 && ktls_flush(p.conn, 0) < 0; k++)
			stream_wait(&p, "ktls_flush");
		fake_heal();
		pair_peer(&p);
		assert_true(p.peer_got >= p.accepted);
		/* of a byte that was held back, the caller is told now */
		if (p.peer_got > p.accepted)
			stream_send(&p, 1, 1, 0);
		pair_settle(&p);
		pair_finish(&p);
	}
}

/* Also one of the call that closes a record: the next one has to do it. */
static void transient_errors_lose_nothing(void **state)
{
	static const int errors[] = {ENOBUFS, ENOMEM};
	static const enum fake_call calls[] = {FAKE_SEND, FAKE_SENDMSG};
	const struct mode *m = *state;
	struct pair p;

	for (unsigned int i = 0; i < 80; i++) {
		const int e = errors[i % 2];
		int k;

		mode_tx(&p, m, i % 8 > 3 ? 20000 : 0, NULL);
		random_start(i);
		fake_fail(calls[i / 2 % 2], 1 + i / 8, e);
		if (i % 8 > 5)
			fake_limit(calls[1 - i / 2 % 2], 777);
		while (p.accepted < 70000) {
			if (stream_writev(&p, 1 + random_below(9000), 3,
					  random_below(4) ? KTLS_MORE : 0) > 0 ||
			    errno == e)
				continue;
			stream_wait(&p, "ktls_writev");
		}
		for (k = 0; k < 1000 && ktls_flush(p.conn, 0) < 0; k++)
			if (errno != e)
				stream_wait(&p, "ktls_flush");
		assert_true(k < 1000);
		fake_heal();
		pair_peer(&p);
		assert_true(p.peer_got >= p.accepted);
		if (p.peer_got > p.accepted)
			stream_send(&p, 1, 1, 0);
		pair_finish(&p);
	}
}

static void short_budget(struct ktls_policy *policy)
{
	policy->budget = 20000;
}

static void budget_ends_a_call(void **state)
{
	struct pair p;

	mode_tx(&p, *state, 0, short_budget);
	assert_int_equal(stream_writev(&p, 50000, 3, 0), 20000);
	assert_records(&p, 16384, 3616);
	assert_int_equal(stream_writev(&p, 50000, 100, KTLS_MORE), 20000);
	assert_records(&p, 16384);
	assert_int_equal(stream_writev(&p, 50000, 5, KTLS_MORE), 20000);
	assert_records(&p, 16384);
	assert_int_equal(ktls_flush(p.conn, 0), 0);
	pair_settle(&p);
	pair_finish(&p);
}

static void blocking_call_takes_all(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	if (!m->blocking)
		return;
	mode_tx(&p, m, 5000, NULL);
	assert_int_equal(stream_writev(&p, 300000, 700, 0), 300000);
	assert_int_equal(stream_writev(&p, 300001, 10, KTLS_MORE), 300001);
	assert_int_equal(ktls_flush(p.conn, -1), 0);
	pair_settle(&p);
	/* and ends where the peer does not read */
	p.peer_deaf = true;
	fake_socket(p.fd)->sndtimeo_ms = 100;
	assert_true(stream_writev(&p, 100000, 10, 0) < 40000);
	assert_errno(stream_writev(&p, 10, 1, 0), EAGAIN);
	p.peer_deaf = false;
	fake_socket(p.fd)->sndtimeo_ms = 0;
	stream_send(&p, 10, 1, 0);
	pair_settle(&p);
	pair_finish(&p);
}

static void arguments_are_checked(void **state)
{
	static struct iovec v[1025];
	struct pair p;

	memset(v, 0, sizeof(v));
	mode_tx(&p, *state, 0, NULL);
	assert_errno(ktls_writev(NULL, v, 1, 0), EINVAL);
	assert_errno(ktls_writev(p.conn, v, -1, 0), EINVAL);
	assert_errno(ktls_writev(p.conn, v, INT_MIN, 0), EINVAL);
	assert_errno(ktls_writev(p.conn, v, 1025, 0), EINVAL);
	assert_errno(ktls_writev(p.conn, v, INT_MAX, 0), EINVAL);
	assert_errno(ktls_writev(p.conn, NULL, 1, 0), EINVAL);
	assert_errno(ktls_writev(p.conn, v, 1, 2), EINVAL);
	assert_errno(ktls_writev(p.conn, v, 1, -1), EINVAL);
	assert_errno(ktls_writev(p.conn, v, 1, KTLS_MORE | 4), EINVAL);
	assert_int_equal(ktls_writev(p.conn, NULL, 0, 0), 0);
	assert_int_equal(ktls_writev(p.conn, v, 0, KTLS_MORE), 0);
	assert_int_equal(ktls_writev(p.conn, v, 1024, 0), 0);
	v[1023].iov_len = 1;
	assert_errno(ktls_writev(p.conn, v, 1024, 0), EINVAL);
	v[1023] = (struct iovec){v, (size_t)SSIZE_MAX + 1};
	assert_errno(ktls_writev(p.conn, v, 1024, 0), EINVAL);
	v[1023].iov_len = SSIZE_MAX;
	v[0] = (struct iovec){v, 1};
	assert_errno(ktls_writev(p.conn, v, 1024, 0), EINVAL);
	v[0].iov_len = SIZE_MAX;
	assert_errno(ktls_writev(p.conn, v, 1024, 0), EINVAL);
	assert_no_records(&p);
	stream_send(&p, 10, 1, 0);
	pair_finish(&p);
	{
		const struct pair_options o = {.tx = KTLS_AUTO};

		pair_open(&p, &o);
		v[0].iov_len = 1;
		assert_errno(ktls_writev(p.conn, v, 1, 0), ENOTCONN);
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
		ADD(shapes_of_all_kinds_arrive);
		ADD(records_are_filled_from_many_parts);
		ADD(any_chunks_with_any_flags_arrive);
		ADD(transient_errors_lose_nothing);
		ADD(budget_ends_a_call);
		ADD(blocking_call_takes_all);
		ADD(arguments_are_checked);
	}
	r = ktest_run_table("writev", &t);
	certs_free();
	return r;
}
