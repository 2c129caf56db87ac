/* SPDX-License-Identifier: MIT */
/* ktls_set_policy(): what changes in the middle of a connection, and what not. */
#include "modes.h"

#include "fake_core.h"

static struct ktls_policy policy_of(const struct mode *m, bool tx)
{
	struct ktls_policy p;

	ktls_policy_init(&p, sizeof(p));
	p.tx = tx ? m->use : KTLS_OFF;
	p.rx = tx ? KTLS_OFF : m->use;
	p.offload_after = m->after;
	return p;
}

static void budget_changes_at_once(void **state)
{
	struct ktls_policy policy = policy_of(*state, true);
	struct pair p;

	mode_tx(&p, *state, 0, NULL);
	policy.budget = 3000;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	assert_int_equal(pair_info(&p).budget, 3000);
	assert_int_equal(stream_writev(&p, 10000, 3, 0), 3000);
	policy.budget = UINT64_MAX;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	assert_int_equal(stream_writev(&p, 90000, 3, 0), 90000);
	/* the struct is the caller's */
	memset(&policy, 0xff, sizeof(policy));
	pair_finish(&p);
}

static void threshold_moves(void **state)
{
	const struct mode *m = *state;
	struct ktls_policy policy = policy_of(m, true);
	struct pair p;

	if (m->use != KTLS_AUTO)
		return;
	mode_tx(&p, m, 0, NULL);
	stream_send(&p, 5000, 1, 0);
	policy.offload_after = 1000000;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	assert_int_equal(pair_info(&p).offload_after, 1000000);
	stream_send(&p, 100000, 1, 0);
	assert_modes(&p, "user", "user");
	/* what was sent already counts */
	policy.offload_after = 100000;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	assert_modes(&p, "user", "user");
	stream_send(&p, 1, 1, 0);
	assert_modes(&p, "kernel", "user");
	/* and it never goes back */
	policy.offload_after = UINT64_MAX;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	stream_send(&p, 100000, 1, 0);
	assert_modes(&p, "kernel", "user");
	pair_finish(&p);
}

static void record_sizes_change_between_records(void **state)
{
	const struct mode *m = *state;
	struct ktls_policy policy = policy_of(m, true);
	static const uint32_t sizes[] = {1000, 512, 16384, 4096};
	struct pair p;

	mode_tx(&p, m, 0, NULL);
	if (m->use == KTLS_AUTO)
		assert_int_equal(ktls_offload(p.conn, KTLS_TX), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const size_t size = sizes[i];

		policy.record_size = sizes[i];
		assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
		assert_int_equal(pair_info(&p).record_size, size);
		assert_int_equal(stream_writev(&p, 2 * size + 10, 1, 0),
				 2 * size + 10);
		assert_records(&p, size, size, 10);
	}
	/* a ramp begins as soon as it is asked for */
	policy.record_size = 16384;
	policy.record_ramp = 2000;
	fake_socket(p.fd)->mss = m->version == TLS1_2_VERSION ? 1029 : 1022;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	assert_int_equal(stream_writev(&p, 5000, 1, 0), 5000);
	assert_records(&p, 1000, 1000, 3000);
	policy.record_ramp = 0;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	fake_clock += 10000;
	assert_int_equal(stream_writev(&p, 5000, 1, 0), 5000);
	assert_records(&p, 5000);
	pair_finish(&p);
}

static void expecting_no_padding_is_switched(void **state)
{
	const struct mode *m = *state;
	struct ktls_policy policy = policy_of(m, false);
	static const uint32_t asks[] = {KTLS_OFF, KTLS_REQUIRE, KTLS_OFF,
					KTLS_AUTO};
	static const bool want[] = {false, true, false, true};
	struct pair p;

	mode_rx(&p, m, 0, NULL);
	pair_receive(&p, 50000, 5000);
	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		const bool on = want[i] && m->version == TLS1_3_VERSION &&
				m->use != KTLS_OFF;

		policy.expect_no_pad = asks[i];
		assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
		assert_int_equal(pair_info(&p).expect_no_pad, on);
		assert_int_equal(pair_info(&p).expect_no_pad_asked, asks[i]);
		assert_int_equal(fake_socket(p.fd)->rx_no_pad, on);
		pair_receive(&p, 5000, 700);
	}
	pair_finish(&p);
}

static void what_cannot_be_changes_nothing(void **state)
{
	const struct mode *m = *state;
	const struct ktls_policy was = policy_of(m, true);
	struct ktls_policy policy;
	struct pair p;
	struct {
		struct ktls_policy now;
		uint64_t later;
	} grown;

	mode_tx(&p, m, 0, NULL);
	assert_errno(ktls_set_policy(NULL, &was), EINVAL);
	assert_errno(ktls_set_policy(p.conn, NULL), EINVAL);
	for (int i = 0; i < 9; i++) {
		policy = was;
		policy.budget = 7;
		policy.record_size = 777;
		if (i == 0)
			policy.tx = m->use == KTLS_OFF ? KTLS_AUTO : KTLS_OFF;
		if (i == 1)
			policy.rx = KTLS_AUTO;
		if (i == 2)
			policy.size--;
		if (i == 3)
			policy.record_size = 511;
		if (i == 4)
			policy.record_size = 16385;
		if (i == 5)
			policy.stall_guard = KTLS_REQUIRE;
		if (i == 6)
			policy.expect_no_pad = 3;
		if (i == 7)
			policy.budget = 0;
		if (i == 8)
			policy.tx = 3;
		assert_errno(ktls_set_policy(p.conn, &policy), EINVAL);
		assert_int_equal(pair_info(&p).budget, was.budget);
		assert_int_equal(pair_info(&p).record_size, 16384);
	}
	memset(&grown, 0, sizeof(grown));
	grown.now = was;
	grown.now.size = sizeof(grown);
	assert_int_equal(ktls_set_policy(p.conn, &grown.now), 0);
	grown.later = 1;
	assert_errno(ktls_set_policy(p.conn, &grown.now), E2BIG);
	stream_send(&p, 40000, 1, 0);
	pair_finish(&p);
}

/* Before the handshake it is as if it had been given to ktls_conn_new(). */
static void it_may_come_at_any_time(void **state)
{
	const struct mode *m = *state;
	const struct pair_options o = {.version = m->version,
				       .server = true,
				       .blocking = m->blocking,
				       .tx = m->use,
				       .rx = KTLS_OFF,
				       .offload_after = m->after};
	struct ktls_policy policy = policy_of(m, true);
	struct pair p;

	fake_reset();
	pair_open(&p, &o);
	policy.record_size = 1000;
	policy.budget = 2500;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	pair_handshake(&p);
	wire_records(&p, NULL, 0);
	assert_int_equal(stream_writev(&p, 9000, 1, 0), 2500);
	assert_records(&p, 1000, 1000, 500);
	if (mode_kernel(m))
		assert_int_equal(fake_socket(p.fd)->tx_max, 1000);
	assert_int_equal(ktls_shutdown_write(p.conn, 1000), 0);
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	pair_finish(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
		void *mode = (void *)(uintptr_t)&modes[i];

#define ADD(f) ktest_add(&t, f, mode, #f "_%s", modes[i].name)
		ADD(budget_changes_at_once);
		ADD(threshold_moves);
		ADD(record_sizes_change_between_records);
		ADD(expecting_no_padding_is_switched);
		ADD(what_cannot_be_changes_nothing);
		ADD(it_may_come_at_any_time);
	}
	r = ktest_run_table("set_policy", &t);
	certs_free();
	return r;
}
