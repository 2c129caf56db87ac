/* SPDX-License-Identifier: MIT */
/* ktls_probe(): what a host can do, each answer both ways. */
#include "hosts.h"

#include <pthread.h>

#include "probe.h"

enum {
	ALL = 255,
	ALL13 = 63,		  /* without ARIA */
	LOOPBACKS = 8 + 6 + 3 + 1 /* a cipher each, no_pad, splice, rekey */
};

static void kernel_of_today_can_do_all(void **state)
{
	const struct ktls_caps c = host_caps(1);

	(void)state;
	assert_int_equal(c.reason, KTLS_REASON_NONE);
	assert_int_equal(c.sys_errno, 0);
	assert_null(c.call);
	assert_int_equal(c.tls12_tx, ALL);
	assert_int_equal(c.tls12_rx, ALL);
	assert_int_equal(c.tls13_tx, ALL13);
	assert_int_equal(c.tls13_rx, ALL13);
	assert_int_equal(c.async, 0);
	assert_int_equal(c.disabled, 0);
	assert_int_equal(c.rekey, 1);
	assert_int_equal(c.no_pad, 1);
	assert_int_equal(c.splice, 1);
	assert_int_equal(c.zerocopy, 1);
	assert_int_equal(c.max_payload, 1);
	assert_int_equal(c.diag, 1);
	assert_string_equal(c.async_drivers, "");
	/* nothing of it may take time */
	assert_int_equal(fake_clock, 1000);
}

static void each_lack_is_seen(void **state)
{
	(void)state;
	fake_kernel.no_rekey = true;
	assert_int_equal(host_caps(1).rekey, 0);
	assert_int_equal(host_caps(1).no_pad, 1);
	host_setup(NULL);
	fake_kernel.no_pad_bug = true;
	assert_int_equal(host_caps(1).no_pad, 0);
	host_setup(NULL);
	fake_kernel.no_expect_no_pad = true;
	assert_int_equal(host_caps(1).no_pad, 0);
	host_setup(NULL);
	fake_kernel.splice_drops = true;
	assert_int_equal(host_caps(1).splice, 0);
	assert_int_equal(host_caps(1).no_pad, 1);
	host_setup(NULL);
	fake_kernel.no_zerocopy = true;
	assert_int_equal(host_caps(1).zerocopy, 0);
	assert_int_equal(host_caps(1).max_payload, 1);
	host_setup(NULL);
	fake_kernel.no_payload_len = true;
	assert_int_equal(host_caps(1).max_payload, 0);
	assert_int_equal(host_caps(1).zerocopy, 1);
	host_setup(NULL);
	fake_net.not_admin = true;
	assert_int_equal(host_caps(1).diag, 0);
	assert_int_equal(host_caps(1).zerocopy, 1);
	host_setup(NULL);
	setenv("KTLS_DISABLE", "1", 1);
	assert_int_equal(host_caps(1).disabled, 1);
	/* that is of connections: the host can do it all the same */
	assert_int_equal(host_caps(1).tls12_tx, ALL);
	setenv("KTLS_DISABLE", "0", 1);
	assert_int_equal(host_caps(1).disabled, 0);
}

/* The errno of what says whether a NIC is at work. */
static void diag_has_its_errno(void **state)
{
	(void)state;
	fake_fail(FAKE_NETLINK, 0, EPROTONOSUPPORT);
	assert_int_equal(host_caps(1).diag, -EPROTONOSUPPORT);
	assert_int_equal(host_caps(1).reason, KTLS_REASON_NONE);
	fake_heal();
	fake_net.diag_errno = ENOENT;
	assert_int_equal(host_caps(1).diag, -ENOENT);
	fake_net.diag_errno = 0;
	assert_int_equal(host_caps(1).diag, 1);
}

static void refusal_of_the_module_is_the_reason(void **state)
{
	static const struct {
		int e;
		uint32_t reason;
	} rows[] = {
		{ENOENT, KTLS_REASON_NO_ULP},
		{ENOPROTOOPT, KTLS_REASON_NO_KERNEL},
		{ENOTCONN, KTLS_REASON_NOT_ESTABLISHED},
		{EPERM, KTLS_REASON_SYSTEM},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ktls_caps c;

		host_setup(NULL);
		fake_fail(FAKE_SET_ULP, 0, rows[i].e);
		c = host_caps(1);
		assert_int_equal(c.reason, rows[i].reason);
		assert_int_equal(c.sys_errno, rows[i].e);
		assert_string_equal(c.call, "setsockopt(TCP_ULP)");
		assert_int_equal(
			c.tls12_tx | c.tls12_rx | c.tls13_tx | c.tls13_rx, 0);
		assert_int_equal(c.rekey, -rows[i].e);
		assert_int_equal(c.no_pad, -rows[i].e);
		assert_int_equal(c.splice, -rows[i].e);
		assert_int_equal(c.zerocopy, -rows[i].e);
		assert_int_equal(c.max_payload, -rows[i].e);
		assert_int_equal(c.diag, -rows[i].e);
		assert_int_equal(c.async, 0);
	}
}

static void refusal_of_every_key_is_the_reason(void **state)
{
	static const struct {
		int e;
		uint32_t reason;
	} rows[] = {
		{ENOENT, KTLS_REASON_CIPHER_KERNEL},
		{EINVAL, KTLS_REASON_CIPHER_KERNEL},
		{ENOPROTOOPT, KTLS_REASON_NO_KERNEL},
		{ENOMEM, KTLS_REASON_SYSTEM},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ktls_caps c;

		host_setup(NULL);
		fake_fail(FAKE_SET_TLS_TX, 0, rows[i].e);
		c = host_caps(1);
		assert_int_equal(c.reason, rows[i].reason);
		assert_int_equal(c.sys_errno, rows[i].e);
		assert_string_equal(c.call, "setsockopt(TLS_TX)");
		assert_int_equal(c.tls12_tx | c.tls13_tx, 0);
		/* what no module is there for is not asked for again */
		assert_int_equal(c.tls12_rx, rows[i].e == ENOENT ? 0 : ALL);
		assert_int_equal(c.tls13_rx, rows[i].e == ENOENT ? 0 : ALL13);
		assert_int_equal(c.rekey, -rows[i].e);
	}
	host_setup(NULL);
	fake_fail(FAKE_SET_TLS_RX, 0, EINVAL);
	assert_int_equal(host_caps(1).tls12_rx | host_caps(1).tls13_rx, 0);
	assert_int_equal(host_caps(1).tls12_tx, ALL);
	assert_int_equal(host_caps(1).reason, KTLS_REASON_NONE);
}

/* One cipher less: its bit, in its version and direction, and no other. */
static void one_missing_cipher_is_one_bit(void **state)
{
	static const struct {
		uint32_t bit;
		bool tls13;
	} order[] = {
		{1, false},  {1, true},	 {2, false},  {2, true},    {4, false},
		{4, true},   {8, false}, {8, true},   {16, false},  {16, true},
		{32, false}, {32, true}, {64, false}, {128, false},
	};

	(void)state;
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(order); i++) {
		const uint32_t bit = order[i / 2].bit;
		const bool tls13 = order[i / 2].tls13, tx = i & 1;
		struct ktls_caps c;

		host_setup(NULL);
		fake_fail(tx ? FAKE_SET_TLS_TX : FAKE_SET_TLS_RX, i / 2 + 1,
			  EINVAL);
		c = host_caps(1);
		assert_int_equal(c.tls12_tx, tx && !tls13 ? ALL & ~bit : ALL);
		assert_int_equal(c.tls12_rx, !tx && !tls13 ? ALL & ~bit : ALL);
		assert_int_equal(c.tls13_tx, tx && tls13 ? ALL13 & ~bit : ALL13);
		assert_int_equal(c.tls13_rx, !tx && tls13 ? ALL13 & ~bit : ALL13);
		assert_int_equal(c.reason, KTLS_REASON_NONE);
		assert_null(c.call);
	}
}

/* Each question for a module that is missing starts modprobe. */
static void missing_module_is_asked_for_once(void **state)
{
	(void)state;
	for (uint32_t bit = 1; bit < 256; bit *= 2) {
		unsigned int tx, rx;
		struct ktls_caps c;

		host_setup(NULL);
		host_caps(1);
		tx = fake_count(FAKE_SET_TLS_TX);
		rx = fake_count(FAKE_SET_TLS_RX);
		host_setup(NULL);
		fake_kernel.lacks = bit;
		c = host_caps(1);
		assert_int_equal(c.tls12_tx, ALL & ~bit);
		assert_int_equal(c.tls12_rx, ALL & ~bit);
		assert_int_equal(c.tls13_tx, ALL13 & ~bit);
		assert_int_equal(c.tls13_rx, ALL13 & ~bit);
		assert_int_equal(c.reason, KTLS_REASON_NONE);
		/* the other probes have the first cipher for their own */
		if (bit == 1)
			continue;
		assert_int_equal(fake_count(FAKE_SET_TLS_TX),
				 bit & ALL13 ? tx - 1 : tx);
		assert_int_equal(fake_count(FAKE_SET_TLS_RX),
				 bit & ALL13 ? rx - 2 : rx - 1);
	}
}

static void answers_are_kept_until_asked_again(void **state)
{
	unsigned int calls;

	(void)state;
	host_caps(1);
	calls = fake_count(FAKE_LOOPBACK);
	assert_in_range(calls, 1, LOOPBACKS);
	fake_kernel.no_rekey = fake_kernel.no_zerocopy = true;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(host_caps(0).rekey, 1);
		assert_int_equal(host_caps(0).zerocopy, 1);
	}
	assert_int_equal(fake_count(FAKE_LOOPBACK), calls);
	assert_int_equal(host_caps(1).rekey, 0);
	assert_int_equal(host_caps(0).rekey, 0);
	assert_int_equal(host_caps(0).zerocopy, 0);
	assert_int_equal(fake_count(FAKE_LOOPBACK), 2 * calls);
	/* and what connections go by is as new */
	assert_int_equal(ktls__probe_rekey(), 0);
}

static void no_sockets_now_is_no_answer_for_later(void **state)
{
	struct ktls_caps c = {.size = sizeof(c), .tls12_tx = 77};

	(void)state;
	host_caps(1);
	fake_fail(FAKE_LOOPBACK, 0, EMFILE);
	for (int again = 0; again < 2; again++) {
		assert_errno(ktls_probe(&c, 1), EMFILE);
		/* nothing is written */
		assert_int_equal(c.size, sizeof(c));
		assert_int_equal(c.tls12_tx, 77);
	}
	fake_heal();
	c = host_caps(0);
	assert_int_equal(c.reason, KTLS_REASON_NONE);
	assert_int_equal(c.tls12_tx, ALL);
	assert_int_equal(c.rekey, 1);
}

/* The same where only one of all the sockets could not be had. */
static void one_socket_less_is_no_answer_either(void **state)
{
	unsigned int calls;

	(void)state;
	host_caps(1);
	calls = fake_count(FAKE_LOOPBACK);
	for (unsigned int nth = 1; nth <= calls; nth++) {
		struct ktls_caps c = {.size = sizeof(c)};

		host_setup(NULL);
		fake_fail(FAKE_LOOPBACK, nth, EMFILE);
		/* no word of it, or no answer */
		(void)ktls_probe(&c, 1);
		fake_heal();
		c = host_caps(0);
		assert_int_equal(c.tls12_tx, ALL);
		assert_int_equal(c.tls12_rx, ALL);
		assert_int_equal(c.tls13_tx, ALL13);
		assert_int_equal(c.tls13_rx, ALL13);
		assert_int_equal(c.rekey, 1);
		assert_int_equal(c.no_pad, 1);
		assert_int_equal(c.splice, 1);
		assert_int_equal(c.zerocopy, 1);
		assert_int_equal(c.max_payload, 1);
		assert_int_equal(c.diag, 1);
	}
}

static void sizes_are_checked(void **state)
{
	struct ktls_caps c = {.size = sizeof(c) - 1};
	struct {
		struct ktls_caps now;
		uint64_t later[3];
	} grown;

	(void)state;
	assert_errno(ktls_probe(NULL, 0), EINVAL);
	assert_errno(ktls_probe(&c, 0), EINVAL);
	c.size = 0;
	assert_errno(ktls_probe(&c, 1), EINVAL);
	assert_int_equal(fake_count(FAKE_LOOPBACK), 0);
	memset(&grown, 0xff, sizeof(grown));
	grown.now.size = sizeof(grown);
	assert_int_equal(ktls_probe(&grown.now, 1), 0);
	assert_int_equal(grown.now.size, sizeof(c));
	assert_int_equal(grown.later[0] | grown.later[1] | grown.later[2], 0);
}

static pthread_mutex_t kernel = PTHREAD_MUTEX_INITIALIZER;

/* The model is for one thread at a time, as the kernel's lock has it. */
static void locked(bool enter)
{
	if (enter)
		pthread_mutex_lock(&kernel);
	else
		pthread_mutex_unlock(&kernel);
}

static void *ask(void *arg)
{
	const int again = *(int *)arg;

	for (int i = 0; i < 20; i++) {
		struct ktls_caps c = {.size = sizeof(c)};

		if (ktls_probe(&c, again) != 0 || c.tls12_tx != ALL ||
		    c.tls13_rx != ALL13 || c.diag != 1)
			return arg;
	}
	return NULL;
}

static void threads_may_ask_at_the_same_time(void **state)
{
	/* and one of them tries anew each time */
	static int again[4] = {0, 0, 0, 1};
	pthread_t t[4];

	(void)state;
	fake_around = locked;
	host_caps(0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, ask, &again[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		void *failed = NULL;

		assert_int_equal(pthread_join(t[i], &failed), 0);
		assert_null(failed);
	}
	fake_around = NULL;
	assert_int_equal(fake_own_fds(), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, host_setup, host_teardown)
static const struct CMUnitTest tests[] = {
	T(kernel_of_today_can_do_all),
	T(each_lack_is_seen),
	T(diag_has_its_errno),
	T(refusal_of_the_module_is_the_reason),
	T(refusal_of_every_key_is_the_reason),
	T(one_missing_cipher_is_one_bit),
	T(missing_module_is_asked_for_once),
	T(answers_are_kept_until_asked_again),
	T(no_sockets_now_is_no_answer_for_later),
	T(one_socket_less_is_no_answer_either),
	T(sizes_are_checked),
	T(threads_may_ask_at_the_same_time),
};

KTEST_MAIN("caps", tests)
