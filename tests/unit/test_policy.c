/* SPDX-License-Identifier: MIT */
/* struct ktls_policy: defaults, growth, and what is refused. */
#include <errno.h>

#include "ktest.h"

#include "policy.h"

struct grown {
	struct ktls_policy now;
	uint64_t later[2];
};

static void init_gives_the_defaults(void **state)
{
	struct ktls_policy p;

	(void)state;
	memset(&p, 0xff, sizeof(p));
	assert_int_equal(ktls_policy_init(&p, sizeof(p)), 0);
	assert_int_equal(p.size, sizeof(p));
	assert_int_equal(p.tx, KTLS_AUTO);
	assert_int_equal(p.rx, KTLS_AUTO);
	assert_int_equal(p.offload_after, 131072);
	assert_int_equal(p.budget, 2097152);
	assert_int_equal(p.record_size, 16384);
	assert_int_equal(p.record_ramp, 0);
	assert_int_equal(p.record_idle, 1000);
	assert_int_equal(p.stall_guard, KTLS_AUTO);
	assert_int_equal(p.expect_no_pad, KTLS_AUTO);
}

static void init_clears_what_a_newer_caller_has(void **state)
{
	struct grown g;

	(void)state;
	memset(&g, 0xff, sizeof(g));
	assert_int_equal(ktls_policy_init(&g.now, sizeof(g)), 0);
	assert_int_equal(g.now.size, sizeof(g));
	assert_int_equal(g.later[0] | g.later[1], 0);
}

static void init_refuses_no_struct_and_short_ones(void **state)
{
	struct ktls_policy p;

	(void)state;
	assert_errno(ktls_policy_init(NULL, sizeof(p)), EINVAL);
	assert_errno(ktls_policy_init(&p, 0), EINVAL);
	assert_errno(ktls_policy_init(&p, sizeof(p) - 1), EINVAL);
}

static void null_is_the_defaults(void **state)
{
	struct ktls_policy p, q;

	(void)state;
	ktls_policy_init(&q, sizeof(q));
	assert_int_equal(ktls__policy_read(NULL, &p), 0);
	assert_memory_equal(&p, &q, sizeof(p));
}

static void fields_are_read(void **state)
{
	struct ktls_policy p, q = {
				      .size = sizeof(q),
				      .tx = KTLS_REQUIRE,
				      .rx = KTLS_OFF,
				      .budget = 1,
				      .record_size = 512,
				      .record_ramp = UINT64_MAX,
				      .record_idle = 7,
				      .stall_guard = KTLS_OFF,
				      .expect_no_pad = KTLS_REQUIRE,
			      };

	(void)state;
	assert_int_equal(ktls__policy_read(&q, &p), 0);
	assert_memory_equal(&p, &q, sizeof(p));
}

static void unknown_values_are_einval(void **state)
{
	struct ktls_policy p, q;

	(void)state;
	ktls_policy_init(&q, sizeof(q));
	q.tx = 3;
	assert_int_equal(ktls__policy_read(&q, &p), -EINVAL);
	q.tx = KTLS_AUTO;
	q.rx = UINT32_MAX;
	assert_int_equal(ktls__policy_read(&q, &p), -EINVAL);
	q.rx = KTLS_AUTO;
	q.budget = 0;
	assert_int_equal(ktls__policy_read(&q, &p), -EINVAL);
	q.budget = 1;
	q.record_size = 511;
	assert_int_equal(ktls__policy_read(&q, &p), -EINVAL);
	q.record_size = 16385;
	assert_int_equal(ktls__policy_read(&q, &p), -EINVAL);
	q.record_size = 16384;
	q.stall_guard = KTLS_REQUIRE;
	assert_int_equal(ktls__policy_read(&q, &p), -EINVAL);
	q.stall_guard = KTLS_OFF;
	q.expect_no_pad = 3;
	assert_int_equal(ktls__policy_read(&q, &p), -EINVAL);
	q.expect_no_pad = KTLS_OFF;
	assert_int_equal(ktls__policy_read(&q, &p), 0);
	q.size = sizeof(q) - 1;
	assert_int_equal(ktls__policy_read(&q, &p), -EINVAL);
	q.size = 0;
	assert_int_equal(ktls__policy_read(&q, &p), -EINVAL);
}

static void newer_fields_must_be_unused(void **state)
{
	struct ktls_policy p;
	struct grown g;

	(void)state;
	ktls_policy_init(&g.now, sizeof(g));
	g.now.budget = 7;
	assert_int_equal(ktls__policy_read(&g.now, &p), 0);
	assert_int_equal(p.size, sizeof(p));
	assert_int_equal(p.budget, 7);
	g.later[1] = (uint64_t)1 << 63;
	assert_int_equal(ktls__policy_read(&g.now, &p), -E2BIG);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(init_gives_the_defaults),
	cmocka_unit_test(init_clears_what_a_newer_caller_has),
	cmocka_unit_test(init_refuses_no_struct_and_short_ones),
	cmocka_unit_test(null_is_the_defaults),
	cmocka_unit_test(fields_are_read),
	cmocka_unit_test(unknown_values_are_einval),
	cmocka_unit_test(newer_fields_must_be_unused),
};

KTEST_MAIN("policy", tests)
