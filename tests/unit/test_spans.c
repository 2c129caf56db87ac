/* SPDX-License-Identifier: MIT */
/* ktls_sendfilev(): spans and cursors at their limits, and beyond them. */
#include "plan.h"

#include <limits.h>

static void short_budget(struct ktls_policy *policy)
{
	policy->budget = 20000;
}

static void what_is_no_file_is_einval(void **state)
{
	static const enum fake_file_kind kinds[] = {FAKE_PIPE, FAKE_DIRECTORY,
						    FAKE_SOCKET};
	struct ktls_span s[2] = {{.buf = NULL}};
	struct pair p;
	int pipe[2];

	mode_tx(&p, *state, 0, NULL);
	fake_pipe(pipe, 4);
	for (size_t i = 0; i < ARRAY_SIZE(kinds) + 3; i++) {
		struct ktls_cursor c = {.span = 0};
		struct plan pl = {.n = 0};
		const int e = i == ARRAY_SIZE(kinds) + 2 ? EBADF : EINVAL;

		/* what stands before it is sent */
		plan_add(&pl, &p, -100);
		s[0] = pl.spans[0];
		s[1].len = 10;
		s[1].fd = i < ARRAY_SIZE(kinds)	   ? fake_file(kinds[i], 0, 100)
			  : i == ARRAY_SIZE(kinds) ? pipe[0]
			  : e == EBADF		   ? -1
						   : p.fd;
		assert_int_equal(ktls_sendfilev(p.conn, s, 2, &c), 100);
		p.accepted += 100;
		assert_errno(ktls_sendfilev(p.conn, s, 2, &c), e);
		assert_int_equal(c.span, 1);
		assert_int_equal(c.done, 0);
		pair_settle(&p);
		plan_free(&pl);
	}
	stream_send(&p, 10, 1, 0);
	pair_finish(&p);
}

static void empty_spans_are_nothing(void **state)
{
	struct ktls_span s[5] = {{.buf = NULL, .len = 0, .fd = -1},
				 {.buf = "", .len = 0},
				 {.buf = NULL, .len = 0, .fd = 99, .offset = -7},
				 {.buf = NULL},
				 {.buf = NULL}};
	struct ktls_cursor c = {.span = 0};
	uint8_t byte;
	struct pair p;

	mode_tx(&p, *state, 0, NULL);
	assert_int_equal(ktls_sendfilev(p.conn, NULL, 0, &c), 0);
	assert_int_equal(ktls_sendfilev(p.conn, s, 0, &c), 0);
	assert_int_equal(ktls_sendfilev(p.conn, s, 3, &c), 0);
	assert_int_equal(c.span, 3);
	assert_int_equal(c.total, 0);
	assert_no_records(&p);
	c.span = 0;
	fake_pattern(OURS, 0, &byte, 1);
	s[3] = (struct ktls_span){.buf = &byte, .len = 1};
	assert_int_equal(ktls_sendfilev(p.conn, s, 5, &c), 1);
	assert_int_equal(c.span, 5);
	assert_int_equal(c.done, 0);
	assert_int_equal(ktls_sendfilev(p.conn, s, 5, &c), 0);
	p.accepted = 1;
	pair_finish(&p);
}

static void far_offsets_are_there(void **state)
{
	struct ktls_cursor c = {.span = 0};
	struct plan pl = {.n = 0};
	struct pair p;
	int k = 0;

	mode_tx(&p, *state, 0, NULL);
	p.accepted = p.peer_got = (uint64_t)INT64_MAX - 70000;
	plan_add(&pl, &p, 70000);
	fake_file_of(pl.spans[0].fd)->size = INT64_MAX;
	while (c.total < 70000 && k++ < 10)
		assert_true(ktls_sendfilev(p.conn, pl.spans, 1, &c) > 0);
	assert_int_equal(ktls_sendfilev(p.conn, pl.spans, 1, &c), 0);
	p.accepted += 70000;
	pair_settle(&p);
	plan_free(&pl);
	pair_finish(&p);
}

static void arguments_are_checked(void **state)
{
	static struct ktls_span s[1025];
	struct ktls_cursor c = {.span = 0};
	uint8_t buf[10];
	struct pair p;

	memset(s, 0, sizeof(s));
	mode_tx(&p, *state, 0, NULL);
	s[0] = (struct ktls_span){.buf = buf, .len = 10};
	s[1].fd = fake_file(FAKE_REGULAR, OURS, 100);
	s[1].len = 10;
	assert_errno(ktls_sendfilev(NULL, s, 1, &c), EINVAL);
	assert_errno(ktls_sendfilev(p.conn, NULL, 1, &c), EINVAL);
	assert_errno(ktls_sendfilev(p.conn, s, 1, NULL), EINVAL);
	assert_errno(ktls_sendfilev(p.conn, s, -1, &c), EINVAL);
	assert_errno(ktls_sendfilev(p.conn, s, INT_MIN, &c), EINVAL);
	assert_errno(ktls_sendfilev(p.conn, s, 1025, &c), EINVAL);
	assert_errno(ktls_sendfilev(p.conn, s, INT_MAX, &c), EINVAL);
	c.span = 3;
	assert_errno(ktls_sendfilev(p.conn, s, 2, &c), EINVAL);
	c.span = -1;
	assert_errno(ktls_sendfilev(p.conn, s, 2, &c), EINVAL);
	c = (struct ktls_cursor){.done = 11};
	assert_errno(ktls_sendfilev(p.conn, s, 2, &c), EINVAL);
	c = (struct ktls_cursor){.done = UINT64_MAX};
	assert_errno(ktls_sendfilev(p.conn, s, 2, &c), EINVAL);
	c = (struct ktls_cursor){.span = 2, .done = 1};
	assert_errno(ktls_sendfilev(p.conn, s, 2, &c), EINVAL);
	c = (struct ktls_cursor){.reserved = 1};
	assert_errno(ktls_sendfilev(p.conn, s, 2, &c), EINVAL);
	c = (struct ktls_cursor){.span = 0};
	for (int i = 0; i < 2; i++) {
		s[i].reserved = 1;
		assert_errno(ktls_sendfilev(p.conn, s, 2, &c), EINVAL);
		s[i].reserved = 0;
	}
	s[1].offset = -1;
	assert_errno(ktls_sendfilev(p.conn, s, 2, &c), EINVAL);
	s[1].offset = INT64_MIN;
	assert_errno(ktls_sendfilev(p.conn, s, 2, &c), EINVAL);
	s[1].offset = INT64_MAX - 9;
	assert_errno(ktls_sendfilev(p.conn, s, 2, &c), EOVERFLOW);
	s[1].offset = 1;
	s[1].len = INT64_MAX;
	assert_errno(ktls_sendfilev(p.conn, s, 2, &c), EOVERFLOW);
	s[1].len = SIZE_MAX;
	assert_errno(ktls_sendfilev(p.conn, s, 2, &c), EOVERFLOW);
	/* nothing was sent of what stands before it */
	assert_no_records(&p);
	assert_int_equal(c.total, 0);
	stream_send(&p, 10, 1, 0);
	pair_finish(&p);
	{
		const struct pair_options o = {.tx = KTLS_AUTO};

		pair_open(&p, &o);
		assert_errno(ktls_sendfilev(p.conn, s, 1, &c), ENOTCONN);
		pair_free(&p);
	}
}

/* More than fits in a count: the budget is what counts. */
static void huge_spans_are_sent_by_and_by(void **state)
{
	struct ktls_cursor c = {.span = 0};
	struct ktls_span s[3];
	struct pair p;

	mode_tx(&p, *state, 0, short_budget);
	for (int i = 0; i < 3; i++)
		s[i] = (struct ktls_span){
			.fd = fake_file(FAKE_REGULAR, OURS, INT64_MAX),
			.len = INT64_MAX};
	assert_int_equal(ktls_sendfilev(p.conn, s, 3, &c), 20000);
	assert_int_equal(c.done, 20000);
	p.accepted = 20000;
	pair_finish(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
		void *mode = (void *)(uintptr_t)&modes[i];

#define ADD(f) ktest_add(&t, f, mode, #f "_%s", modes[i].name)
		ADD(what_is_no_file_is_einval);
		ADD(empty_spans_are_nothing);
		ADD(far_offsets_are_there);
		ADD(arguments_are_checked);
		ADD(huge_spans_are_sent_by_and_by);
	}
	r = ktest_run_table("spans", &t);
	certs_free();
	return r;
}
