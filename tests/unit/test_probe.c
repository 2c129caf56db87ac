/* SPDX-License-Identifier: MIT */
/* What the library tries out on the kernel, and what it makes of it. */
#include "modes.h"

#include "compat.h"
#include "probe.h"

static int setup(void **state)
{
	(void)state;
	fake_reset();
	fake_count_probes = true;
	ktls__probe_forget();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ktls__probe_forget();
	fake_reset();
	return 0;
}

static void kernel_of_today_is_right(void **state)
{
	(void)state;
	assert_int_equal(ktls__probe_no_pad(), 1);
	assert_int_equal(ktls__probe_splice(), 1);
	assert_int_equal(fake_own_fds(), 0);
	/* nothing that could raise a signal, or wait */
	assert_int_equal(fake_clock, 1000);
}

static void bugs_are_found(void **state)
{
	(void)state;
	fake_kernel.no_pad_bug = true;
	assert_int_equal(ktls__probe_no_pad(), 0);
	assert_int_equal(ktls__probe_splice(), 1);
	setup(NULL);
	fake_kernel.splice_drops = true;
	assert_int_equal(ktls__probe_splice(), 0);
	assert_int_equal(ktls__probe_no_pad(), 1);
	setup(NULL);
	fake_kernel.no_expect_no_pad = true;
	assert_int_equal(ktls__probe_no_pad(), 0);
	assert_int_equal(fake_own_fds(), 0);
}

static void answer_is_remembered(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ktls__probe_no_pad(), 1);
		assert_int_equal(ktls__probe_splice(), 1);
	}
	assert_int_equal(fake_count(FAKE_LOOPBACK), 2);
	assert_int_equal(fake_count(FAKE_NEW_PIPE), 1);
	fake_kernel.no_pad_bug = true;
	fake_kernel.splice_drops = true;
	assert_int_equal(ktls__probe_no_pad(), 1);
	assert_int_equal(ktls__probe_splice(), 1);
	ktls__probe_forget();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ktls__probe_no_pad(), 0);
		assert_int_equal(ktls__probe_splice(), 0);
	}
	assert_int_equal(fake_count(FAKE_LOOPBACK), 4);
}

/* What could not be tried is not remembered, and nothing is left open. */
static void probe_that_fails_is_tried_again(void **state)
{
	static const enum fake_call calls[] = {FAKE_LOOPBACK, FAKE_SET_ULP,
					       FAKE_SET_TLS_TX, FAKE_SET_TLS_RX,
					       FAKE_NEW_PIPE};
	static int (*const probes[])(void) = {ktls__probe_no_pad,
					      ktls__probe_splice};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		for (size_t k = 0; k < 2; k++) {
			for (unsigned int nth = 1; nth < 3; nth++) {
				int r;

				setup(NULL);
				fake_fail(calls[i], nth, EMFILE);
				r = probes[k]();
				if (fake_count(calls[i]) >= nth)
					assert_int_equal(r, -EMFILE);
				else
					assert_int_equal(r, 1);
				assert_int_equal(fake_own_fds(), 0);
				fake_heal();
				assert_int_equal(probes[k](), 1);
				assert_int_equal(fake_own_fds(), 0);
			}
		}
	}
}

/* In the middle: whatever the answer is, it is a safe one. */
static void failure_in_the_middle_is_no_yes(void **state)
{
	static const enum fake_call calls[] = {
		FAKE_SEND,   FAKE_SENDMSG, FAKE_RECVMSG, FAKE_POLL,
		FAKE_SPLICE, FAKE_READ,	   FAKE_WRITE,	 FAKE_SET_NO_PAD};
	static const int errors[] = {ENOMEM, EAGAIN, EIO};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls) * ARRAY_SIZE(errors); i++) {
		for (unsigned int nth = 1; nth < 20; nth++) {
			const enum fake_call call = calls[i / 3];
			int r;

			setup(NULL);
			fake_fail(call, nth, errors[i % 3]);
			r = ktls__probe_no_pad();
			if (fake_count(call) >= nth)
				assert_true(r <= 0);
			assert_int_equal(fake_own_fds(), 0);
			setup(NULL);
			fake_fail(call, nth, errors[i % 3]);
			r = ktls__probe_splice();
			/* the splice that ends it fails anyway */
			if (fake_count(call) >= nth && call != FAKE_SPLICE)
				assert_true(r <= 0);
			assert_int_equal(fake_own_fds(), 0);
		}
	}
}

/* Short counts are no mistakes of the kernel's: a yes is a safe one still. */
static void short_counts_do_not_make_it_wrong(void **state)
{
	static const size_t limits[] = {1, 7, 100, 4095};
	static const enum fake_call calls[] = {
		FAKE_SEND, FAKE_RECVMSG, FAKE_SPLICE, FAKE_READ, FAKE_WRITE};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(limits) * ARRAY_SIZE(calls); i++) {
		for (int bug = 0; bug < 2; bug++) {
			setup(NULL);
			fake_kernel.splice_drops = bug;
			fake_kernel.no_pad_bug = bug;
			fake_limit(calls[i / 4], limits[i % 4]);
			if (calls[i / 4] != FAKE_RECVMSG)
				assert_true(ktls__probe_no_pad() <= !bug);
			if (calls[i / 4] != FAKE_SPLICE)
				assert_true(ktls__probe_splice() <= !bug);
			assert_int_equal(fake_own_fds(), 0);
		}
	}
}

static uint32_t expect;

static void use_expect(struct ktls_policy *policy)
{
	policy->expect_no_pad = expect;
}

static void begin(struct pair *p, int version, uint64_t after, uint32_t rx,
		  bool bug)
{
	const struct pair_options o = {.version = version,
				       .tx = KTLS_OFF,
				       .rx = rx,
				       .offload_after = after,
				       .policy = use_expect};

	fake_reset();
	fake_kernel.no_pad_bug = bug;
	pair_start(p, &o);
}

/* TLS 1.3: the kernel receives where that is not dearer. */
static void receiving_of_tls_1_3_goes_by_the_probe(void **state)
{
	(void)state;
	for (int i = 0; i < 12; i++) {
		static const uint32_t asks[] = {KTLS_AUTO, KTLS_OFF,
						KTLS_REQUIRE};
		const bool bug = i & 1, required = i & 2;
		bool set, kernel;
		struct pair p;

		expect = asks[i / 4];
		set = expect == KTLS_REQUIRE || (expect == KTLS_AUTO && !bug);
		kernel = required || set;
		begin(&p, TLS1_3_VERSION, 0,
		      required ? KTLS_REQUIRE : KTLS_AUTO, bug);
		assert_modes(&p, "user", kernel ? "kernel" : "user");
		assert_int_equal(pair_info(&p).rx.reason,
				 kernel ? KTLS_REASON_NONE : KTLS_REASON_COST);
		assert_int_equal(pair_info(&p).expect_no_pad, set);
		assert_int_equal(pair_info(&p).expect_no_pad_asked, expect);
		assert_int_equal(fake_socket(p.fd)->rx_no_pad, set);
		if (expect != KTLS_AUTO)
			assert_int_equal(fake_count(FAKE_LOOPBACK), 0);
		pair_receive(&p, 50000, 5000);
		pair_finish(&p);
		assert_int_equal(fake_own_fds(), 0);
	}
}

static void tls_1_2_has_no_need_of_it(void **state)
{
	struct pair p;

	(void)state;
	for (expect = KTLS_AUTO; expect <= KTLS_REQUIRE; expect++) {
		begin(&p, TLS1_2_VERSION, 0, KTLS_AUTO, false);
		assert_modes(&p, "user", "kernel");
		assert_int_equal(pair_info(&p).expect_no_pad, 0);
		assert_int_equal(fake_count(FAKE_SET_NO_PAD), 0);
		assert_int_equal(fake_count(FAKE_LOOPBACK), 0);
		pair_receive(&p, 50000, 5000);
		pair_finish(&p);
	}
	expect = KTLS_AUTO;
}

/* Nobody opens sockets for a connection that stays below the threshold. */
static void short_connections_do_not_probe(void **state)
{
	struct pair p;

	(void)state;
	expect = KTLS_AUTO;
	begin(&p, TLS1_3_VERSION, 10000, KTLS_AUTO, false);
	pair_receive(&p, 9000, 9000);
	assert_int_equal(fake_count(FAKE_LOOPBACK), 0);
	assert_int_equal(pair_info(&p).rx.reason, KTLS_REASON_DEFERRED);
	pair_receive(&p, 9000, 9000);
	assert_int_equal(fake_count(FAKE_LOOPBACK), 1);
	pair_receive(&p, 90000, 9000);
	assert_modes(&p, "user", "kernel");
	assert_int_equal(fake_count(FAKE_LOOPBACK), 1);
	pair_finish(&p);
	begin(&p, TLS1_3_VERSION, 10000, KTLS_AUTO, true);
	pair_receive(&p, 90000, 9000);
	assert_modes(&p, "user", "user");
	assert_int_equal(pair_info(&p).rx.reason, KTLS_REASON_COST);
	assert_int_equal(fake_count(FAKE_LOOPBACK), 1);
	pair_finish(&p);
}

/* The option fails although the probe was right: received all the same. */
static void option_that_fails_is_not_set(void **state)
{
	struct pair p;

	(void)state;
	expect = KTLS_AUTO;
	{
		const struct pair_options o = {.tx = KTLS_OFF,
					       .rx = KTLS_REQUIRE};

		fake_reset();
		pair_open(&p, &o);
		fake_fail(FAKE_SET_NO_PAD, 0, EINVAL);
		pair_handshake(&p);
	}
	assert_modes(&p, "user", "kernel");
	assert_int_equal(pair_info(&p).expect_no_pad, 0);
	pair_receive(&p, 50000, 5000);
	pair_finish(&p);
}

/* Where the module is missing, that is the reason, not the cost. */
static void missing_module_is_its_own_reason(void **state)
{
	struct pair p;

	(void)state;
	expect = KTLS_AUTO;
	{
		const struct pair_options o = {.tx = KTLS_OFF, .rx = KTLS_AUTO};

		fake_reset();
		fake_count_probes = true;
		pair_open(&p, &o);
		fake_fail(FAKE_SET_ULP, 0, ENOENT);
		pair_handshake(&p);
	}
	assert_int_equal(pair_info(&p).rx.reason, KTLS_REASON_NO_ULP);
	assert_int_equal(fake_own_fds(), 0);
	pair_receive(&p, 50000, 5000);
	pair_finish(&p);
}

static void probe_that_cannot_be_made_is_cost(void **state)
{
	static const int errors[] = {EMFILE, EPERM, EADDRNOTAVAIL};
	struct pair p;

	(void)state;
	expect = KTLS_AUTO;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		const struct pair_options o = {.tx = KTLS_REQUIRE,
					       .rx = KTLS_AUTO};

		fake_reset();
		pair_open(&p, &o);
		fake_fail(FAKE_LOOPBACK, 0, errors[i]);
		pair_handshake(&p);
		assert_int_equal(pair_info(&p).rx.reason, KTLS_REASON_COST);
		pair_receive(&p, 50000, 5000);
		pair_finish(&p);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(kernel_of_today_is_right),
	T(bugs_are_found),
	T(answer_is_remembered),
	T(probe_that_fails_is_tried_again),
	T(failure_in_the_middle_is_no_yes),
	T(short_counts_do_not_make_it_wrong),
	T(receiving_of_tls_1_3_goes_by_the_probe),
	T(tls_1_2_has_no_need_of_it),
	T(short_connections_do_not_probe),
	T(option_that_fails_is_not_set),
	T(missing_module_is_its_own_reason),
	T(probe_that_cannot_be_made_is_cost),
};

int main(void)
{
	const int r = ktest_run("probe", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
