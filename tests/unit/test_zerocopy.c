/* SPDX-License-Identifier: MIT */
/* policy.zerocopy: asked for, in effect by the kernel's own word, or why not. */
#include "hosts.h"
#include "pair.h"

#include "fake_core.h"

static uint32_t wish;

static void ask(struct ktls_policy *policy)
{
	policy->zerocopy = wish;
}

static int setup(void **state)
{
	(void)state;
	wish = 1;
	fake_reset();
	host_later();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

/* On a kernel that is prepared already. */
static void start(struct pair *p, int version, uint32_t tx, uint32_t rx)
{
	const struct pair_options o = {.version = version,
				       .server = true,
				       .tx = tx,
				       .rx = rx,
				       .policy = ask};

	pair_start(p, &o);
}

static void check(struct pair *p, uint32_t in_effect, uint32_t reason)
{
	const struct ktls_info i = pair_info(p);

	assert_int_equal(i.zerocopy_asked, wish);
	assert_int_equal(i.zerocopy, in_effect);
	if (i.zerocopy_reason != reason)
		fail_msg("%s in the place of %s",
			 ktls_reason_name((enum ktls_reason)i.zerocopy_reason),
			 ktls_reason_name((enum ktls_reason)reason));
	assert_int_equal(fake_socket(p->fd)->zerocopy, in_effect);
}

static void change(struct pair *p, uint32_t on)
{
	struct ktls_policy policy;

	wish = on;
	assert_int_equal(ktls_policy_init(&policy, sizeof(policy)), 0);
	policy.tx = p->o.tx;
	policy.rx = p->o.rx;
	policy.offload_after = p->o.offload_after;
	policy.zerocopy = on;
	assert_int_equal(ktls_set_policy(p->conn, &policy), 0);
}

static void send_file(struct pair *p)
{
	const int file = fake_file(FAKE_REGULAR, OURS, 1 << 20);
	off_t off = (off_t)p->accepted;
	const ssize_t n = ktls_sendfile(p->conn, file, &off, 40000);

	assert_true(n > 0);
	p->accepted += (uint64_t)n;
	pair_settle(p);
}

static void device_has_it_as_asked(void **state)
{
	struct pair p;

	(void)state;
	for (int i = 0; i < 4; i++) {
		setup(NULL);
		wish = i & 1;
		fake_kernel.device_tx = true;
		start(&p, TLS1_2_VERSION, KTLS_REQUIRE,
		      i & 2 ? KTLS_REQUIRE : KTLS_OFF);
		assert_modes(&p, "device", i & 2 ? "kernel" : "user");
		check(&p, wish, wish ? KTLS_REASON_NONE : KTLS_REASON_POLICY);
		assert_int_equal(fake_count(FAKE_SET_ZEROCOPY), wish);
		send_file(&p);
		pair_finish(&p);
	}
}

static void cpu_has_no_use_for_it(void **state)
{
	struct pair p;

	(void)state;
	for (int i = 0; i < 4; i++) {
		setup(NULL);
		/* a NIC that receives is none that sends */
		fake_kernel.device_rx = i & 1;
		/* and none takes TLS 1.3 */
		fake_kernel.device_tx = i & 2;
		start(&p, i & 2 ? TLS1_3_VERSION : TLS1_2_VERSION, KTLS_REQUIRE,
		      KTLS_REQUIRE);
		check(&p, 0, KTLS_REASON_NO_DEVICE);
		assert_int_equal(fake_count(FAKE_SET_ZEROCOPY), 0);
		send_file(&p);
		check(&p, 0, KTLS_REASON_NO_DEVICE);
		pair_finish(&p);
	}
}

/* In user space the reason is that of TX. */
static void user_space_has_its_own_reasons(void **state)
{
	struct pair p;

	(void)state;
	fake_kernel.device_tx = fake_kernel.device_rx = true;
	start(&p, TLS1_2_VERSION, KTLS_OFF, KTLS_REQUIRE);
	check(&p, 0, KTLS_REASON_POLICY);
	pair_finish(&p);
	setup(NULL);
	fake_kernel.device_tx = true;
	fake_fail(FAKE_SET_ULP, 0, EEXIST);
	start(&p, TLS1_2_VERSION, KTLS_AUTO, KTLS_OFF);
	check(&p, 0, KTLS_REASON_ULP_BUSY);
	pair_finish(&p);
}

static void it_begins_with_the_kernel(void **state)
{
	const struct pair_options o = {.version = TLS1_2_VERSION,
				       .server = true,
				       .offload_after = 100000,
				       .rx = KTLS_OFF,
				       .policy = ask};
	struct pair p;

	(void)state;
	fake_kernel.device_tx = true;
	pair_open(&p, &o);
	assert_int_equal(pair_info(&p).zerocopy_reason, KTLS_REASON_HANDSHAKE);
	pair_handshake(&p);
	check(&p, 0, KTLS_REASON_DEFERRED);
	/* it may change until then, and nobody is asked */
	change(&p, 0);
	check(&p, 0, KTLS_REASON_POLICY);
	change(&p, 1);
	check(&p, 0, KTLS_REASON_DEFERRED);
	assert_int_equal(fake_count(FAKE_NETLINK), 0);
	assert_int_equal(fake_count(FAKE_SET_ZEROCOPY), 0);
	pair_send(&p, 200000, 9000);
	check(&p, 1, KTLS_REASON_NONE);
	send_file(&p);
	pair_finish(&p);
}

static void kernel_that_does_not_say_gets_none(void **state)
{
	struct pair p;

	(void)state;
	for (int i = 0; i < 4; i++) {
		setup(NULL);
		fake_kernel.device_tx = true;
		if (i == 0)
			fake_net.not_admin = true;
		if (i == 1)
			fake_net.diag_errno = ENOENT;
		if (i >= 2)
			fake_fail(FAKE_NETLINK, 0,
				  i == 2 ? EPROTONOSUPPORT : EMFILE);
		start(&p, TLS1_2_VERSION, KTLS_REQUIRE, KTLS_OFF);
		check(&p, 0, KTLS_REASON_NO_DIAG);
		assert_int_equal(fake_count(FAKE_SET_ZEROCOPY), 0);
		send_file(&p);
		/* asked for again, but not at once after a refusal */
		fake_net.not_admin = false;
		fake_net.diag_errno = 0;
		fake_heal();
		change(&p, 1);
		check(&p, i >= 2,
		      i >= 2 ? KTLS_REASON_NONE : KTLS_REASON_NO_DIAG);
		send_file(&p);
		host_later();
		change(&p, 1);
		check(&p, 1, KTLS_REASON_NONE);
		send_file(&p);
		pair_finish(&p);
	}
}

/* The kernel takes the option, and then does not confirm it. */
static void what_is_not_confirmed_is_taken_back(void **state)
{
	struct pair p;

	(void)state;
	fake_kernel.device_tx = true;
	fake_fail(FAKE_NETLINK, 2, EMFILE);
	start(&p, TLS1_2_VERSION, KTLS_REQUIRE, KTLS_OFF);
	check(&p, 0, KTLS_REASON_NO_DIAG);
	assert_int_equal(fake_count(FAKE_SET_ZEROCOPY), 2);
	send_file(&p);
	pair_finish(&p);
}

static void old_kernel_does_not_know_it(void **state)
{
	struct pair p;

	(void)state;
	fake_kernel.device_tx = true;
	fake_kernel.no_zerocopy = true;
	start(&p, TLS1_2_VERSION, KTLS_REQUIRE, KTLS_OFF);
	check(&p, 0, KTLS_REASON_NO_KERNEL);
	assert_modes(&p, "device", "user");
	send_file(&p);
	pair_finish(&p);
	setup(NULL);
	fake_kernel.device_tx = true;
	fake_fail(FAKE_SET_ZEROCOPY, 0, ENOMEM);
	start(&p, TLS1_2_VERSION, KTLS_REQUIRE, KTLS_OFF);
	check(&p, 0, KTLS_REASON_SYSTEM);
	fake_heal();
	change(&p, 1);
	check(&p, 1, KTLS_REASON_NONE);
	pair_finish(&p);
}

static void it_goes_on_and_off(void **state)
{
	struct pair p;

	(void)state;
	fake_kernel.device_tx = true;
	wish = 0;
	start(&p, TLS1_2_VERSION, KTLS_REQUIRE, KTLS_REQUIRE);
	for (unsigned int i = 0; i < 6; i++) {
		check(&p, wish, wish ? KTLS_REASON_NONE : KTLS_REASON_POLICY);
		send_file(&p);
		assert_int_equal(fake_count(FAKE_SET_ZEROCOPY), i);
		/* what is so already costs nothing */
		change(&p, wish);
		assert_int_equal(fake_count(FAKE_SET_ZEROCOPY), i);
		change(&p, !wish);
	}
	pair_finish(&p);
}

/* The kernel refuses to take it back: it is in effect still, and says so. */
static void off_that_fails_is_not_off(void **state)
{
	struct pair p;
	struct ktls_info i;

	(void)state;
	fake_kernel.device_tx = true;
	start(&p, TLS1_2_VERSION, KTLS_REQUIRE, KTLS_OFF);
	fake_fail(FAKE_SET_ZEROCOPY, 1, ENOMEM);
	change(&p, 0);
	i = pair_info(&p);
	assert_true(fake_socket(p.fd)->zerocopy);
	assert_int_equal(i.zerocopy_asked, 0);
	assert_int_equal(i.zerocopy, 1);
	change(&p, 0);
	check(&p, 0, KTLS_REASON_POLICY);
	pair_finish(&p);
}

static void only_0_and_1_are_wishes(void **state)
{
	struct ktls_policy policy;
	struct pair p;

	(void)state;
	start(&p, TLS1_2_VERSION, KTLS_REQUIRE, KTLS_OFF);
	assert_int_equal(ktls_policy_init(&policy, sizeof(policy)), 0);
	assert_int_equal(policy.zerocopy, 0);
	policy.tx = KTLS_REQUIRE;
	policy.rx = KTLS_OFF;
	policy.zerocopy = 2;
	assert_errno(ktls_set_policy(p.conn, &policy), EINVAL);
	assert_int_equal(pair_info(&p).zerocopy_asked, 1);
	pair_finish(&p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(device_has_it_as_asked),
	T(cpu_has_no_use_for_it),
	T(user_space_has_its_own_reasons),
	T(it_begins_with_the_kernel),
	T(kernel_that_does_not_say_gets_none),
	T(what_is_not_confirmed_is_taken_back),
	T(old_kernel_does_not_know_it),
	T(it_goes_on_and_off),
	T(off_that_fails_is_not_off),
	T(only_0_and_1_are_wishes),
};

int main(void)
{
	const int r = ktest_run("zerocopy", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
