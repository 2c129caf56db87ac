/* SPDX-License-Identifier: MIT */
/* ktls_sendfilev(): memory and files in one stream, and its cursor. */
#include "plan.h"

static void header_file_and_trailer_share_records(void **state)
{
	static const long plans[][6] = {
		{-100, 1000, -50},
		{-100, 16284},
		{-100, 16284, -1},
		{-100, 50000, -30000},
		{70000, -1},
		{70000, 70000, -20},
		{-1, 1, -1, 1, -1},
		{10, 20, 30, 40, 50},
		{-16384, 16384, -16384},
		{-16383, 2, 16383, -2},
		{-5, 65536, -5, 65536, -5},
		{65536, -16384, 65536},
		{-20000, -20000, 5, -20000},
	};
	struct pair p;

	for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
		struct plan pl = {.n = 0};
		size_t got[64], n, sum = 0;

		mode_tx(&p, *state, 0, NULL);
		for (size_t k = 0; k < 6 && plans[i][k]; k++)
			plan_add(&pl, &p, plans[i][k]);
		plan_run(&p, &pl);
		n = wire_records(&p, got, 64);
		for (size_t k = 0; k < n; k++)
			sum += got[k];
		assert_int_equal(sum, pl.total);
		/* nearly all are full: a file's last one may not be */
		if (mode_user(*state))
			assert_int_equal(n, (pl.total + 16383) / 16384);
		else
			assert_true(n <= (pl.total + 16383) / 16384 + 2);
		if (pl.total < 16384)
			assert_int_equal(n, 1);
		plan_free(&pl);
		pair_settle(&p);
		pair_finish(&p);
	}
}

static void many_spans_of_any_size_arrive(void **state)
{
	static const size_t capacities[] = {1, 5000, 17000, 70000, 0};
	static const size_t limits[] = {1, 999, 4096, 17000, 0};
	const struct mode *m = *state;
	struct pair p;

	for (uint32_t i = 0; i < 50; i++) {
		const bool tiny = limits[i / 5 % 5] == 1 || i % 5 == 0;
		struct plan pl = {.n = 0};

		random_start(i);
		mode_tx(&p, m, capacities[i % 5], NULL);
		fake_flaky(!m->blocking);
		fake_limit(FAKE_SEND, limits[i / 5 % 5]);
		fake_limit(FAKE_SENDMSG, limits[i / 5 % 5]);
		fake_limit(FAKE_SENDFILE, limits[i / 5 % 5]);
		for (uint32_t k = 1 + random_below(20); k > 0; k--) {
			long len = (long)random_below(tiny		? 300
						      : random_below(3) ? 5000
									: 80000);

			if (pl.n == 15)
				break;
			plan_add(&pl, &p, random_below(2) ? len : -len);
		}
		plan_run(&p, &pl);
		fake_heal();
		stream_send(&p, 10, 2, 0);
		plan_free(&pl);
		pair_settle(&p);
		pair_finish(&p);
	}
}

static void short_budget(struct ktls_policy *policy)
{
	policy->budget = 20000;
}

static void budget_ends_a_call_and_its_record(void **state)
{
	struct ktls_cursor c = {.span = 0};
	struct plan pl = {.n = 0};
	struct pair p;

	mode_tx(&p, *state, 0, short_budget);
	plan_add(&pl, &p, -15000);
	plan_add(&pl, &p, 30000);
	assert_int_equal(ktls_sendfilev(p.conn, pl.spans, 2, &c), 20000);
	assert_int_equal(c.span, 1);
	assert_int_equal(c.done, 5000);
	assert_records(&p, 16384, 3616);
	assert_int_equal(ktls_sendfilev(p.conn, pl.spans, 2, &c), 20000);
	assert_int_equal(ktls_sendfilev(p.conn, pl.spans, 2, &c), 5000);
	assert_int_equal(c.span, 2);
	assert_int_equal(c.done, 0);
	assert_int_equal(ktls_sendfilev(p.conn, pl.spans, 2, &c), 0);
	p.accepted = pl.total;
	plan_free(&pl);
	pair_finish(&p);
}

static void file_that_ends_early_is_enodata(void **state)
{
	const struct mode *m = *state;
	/* ends before the span, in it, and at a record's end; none at all */
	static const int64_t sizes[] = {50, 1000, 16384 - 100, 40000, 0};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct ktls_cursor c = {.span = 0};
		struct plan pl = {.n = 0};
		struct pair p;
		uint64_t n = 100;

		mode_tx(&p, m, 0, NULL);
		plan_add(&pl, &p, -100);
		plan_add(&pl, &p, 60000);
		plan_add(&pl, &p, -100);
		pl.spans[1].offset = 0;
		fake_file_of(pl.spans[1].fd)->size = sizes[i];
		fake_file_of(pl.spans[1].fd)->shift = 100;
		/* what there is has been accepted, and reported */
		for (p.accepted = 0; p.accepted < n + (uint64_t)sizes[i];) {
			const ssize_t r = ktls_sendfilev(p.conn, pl.spans, 3, &c);

			assert_true(r > 0);
			p.accepted += (uint64_t)r;
		}
		for (int k = 0; k < 3; k++) {
			assert_errno(ktls_sendfilev(p.conn, pl.spans, 3, &c),
				     ENODATA);
			assert_int_equal(pair_error(&p).code, ENODATA);
			assert_int_equal(c.total, p.accepted);
			assert_int_equal(c.span, 1);
			assert_int_equal(c.done, sizes[i]);
		}
		/* it went out, and the connection goes on */
		pair_settle(&p);
		stream_send(&p, 10, 2, 0);
		pair_settle(&p);
		/* the file has grown meanwhile */
		plan_free(&pl);
		pair_finish(&p);
	}
}

static void file_that_shrinks_in_the_middle_is_enodata(void **state)
{
	struct ktls_cursor c = {.span = 0};
	struct plan pl = {.n = 0};
	struct pair p;
	ssize_t n;

	mode_tx(&p, *state, 50000, NULL);
	plan_add(&pl, &p, 90000);
	fake_file_of(pl.spans[0].fd)->size = 90000;
	fake_file_of(pl.spans[0].fd)->cut_at = 40000;
	for (int i = 0; i < 1000; i++) {
		n = ktls_sendfilev(p.conn, pl.spans, 1, &c);
		if (n < 0 && errno == ENODATA)
			break;
		if (n < 0)
			stream_wait(&p, "ktls_sendfilev");
		assert_true(n != 0);
		p.accepted += n > 0 ? (uint64_t)n : 0;
	}
	assert_true(p.accepted >= 40000 && p.accepted < 70000);
	assert_int_equal(c.done, p.accepted);
	plan_free(&pl);
	stream_send(&p, 10, 1, 0);
	pair_finish(&p);
}

static void errors_of_a_file_stop_there(void **state)
{
	const struct mode *m = *state;
	const enum fake_call calls[] = {FAKE_PREAD, FAKE_SENDFILE};
	static const int errors[] = {EIO, ENOMEM, EACCES};
	struct pair p;

	for (size_t i = 0; i < 6; i++) {
		struct ktls_cursor c = {.span = 0};
		struct plan pl = {.n = 0};
		ssize_t n;

		mode_tx(&p, m, 0, NULL);
		plan_add(&pl, &p, -5000);
		plan_add(&pl, &p, 70000);
		plan_add(&pl, &p, -5000);
		fake_fail(calls[i % 2], 0, errors[i / 2]);
		while ((n = ktls_sendfilev(p.conn, pl.spans, 3, &c)) > 0) {
			p.accepted += (uint64_t)n;
			pair_settle(&p);
		}
		if (n < 0) {
			assert_int_equal(errno, errors[i / 2]);
			assert_true(c.span == 1 && c.done < 70000);
			assert_int_equal(pair_error(&p).sys_errno, errors[i / 2]);
		} else {
			assert_int_equal(c.span, 3);
		}
		/* it can be made good: the same spans, the same cursor */
		fake_heal();
		while ((n = ktls_sendfilev(p.conn, pl.spans, 3, &c)) > 0)
			p.accepted += (uint64_t)n;
		assert_int_equal(n, 0);
		assert_int_equal(p.accepted, 80000);
		plan_free(&pl);
		pair_finish(&p);
	}
}

static void file_without_splice_is_read(void **state)
{
	static const int errors[] = {EINVAL, ENOSYS, EOPNOTSUPP};
	struct pair p;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct plan pl = {.n = 0};

		mode_tx(&p, *state, 30000, NULL);
		plan_add(&pl, &p, -77);
		plan_add(&pl, &p, 70000);
		plan_add(&pl, &p, -88);
		plan_add(&pl, &p, 5);
		fake_file_of(pl.spans[1].fd)->splice_errno = errors[i];
		fake_file_of(pl.spans[3].fd)->splice_errno = errors[i];
		plan_run(&p, &pl);
		pair_settle(&p);
		plan_free(&pl);
		pair_finish(&p);
	}
}

static void sigpipe_is_not_raised(void **state)
{
	const struct mode *m = *state;

	for (int i = 0; i < 4; i++) {
		struct ktls_cursor c = {.span = 0};
		struct plan pl = {.n = 0};
		struct pair p;

		mode_tx(&p, m, 0, NULL);
		plan_add(&pl, &p, i % 2 ? 40000 : -10);
		plan_add(&pl, &p, i % 2 ? -10 : 40000);
		/* the file's call, or the memory's behind it */
		fake_fail(i < 2 ? FAKE_SENDFILE : FAKE_SEND, 0, EPIPE);
		while (ktls_sendfilev(p.conn, pl.spans, 2, &c) > 0)
			;
		if (c.span < 2)
			assert_int_equal(errno, EPIPE);
		plan_free(&pl);
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
		ADD(header_file_and_trailer_share_records);
		ADD(many_spans_of_any_size_arrive);
		ADD(budget_ends_a_call_and_its_record);
		ADD(file_that_ends_early_is_enodata);
		ADD(file_that_shrinks_in_the_middle_is_enodata);
		ADD(errors_of_a_file_stop_there);
		ADD(file_without_splice_is_read);
		ADD(sigpipe_is_not_raised);
	}
	r = ktest_run_table("sendfilev", &t);
	certs_free();
	return r;
}
