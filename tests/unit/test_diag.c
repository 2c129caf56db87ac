/* SPDX-License-Identifier: MIT */
/* Whether a NIC has the keys: what sock_diag says, and what is made of it. */
#include "hosts.h"
#include "modes.h"

#include <netinet/in.h>

#include "diag.h"
#include "rawtls.h"

static int teardown(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

/* Both directions in the kernel, as far as uses allow, with a NIC or not. */
static void start(struct pair *p, int version, bool tx, bool rx, bool device_tx,
		  bool device_rx)
{
	const struct pair_options o = {
		.version = version,
		.server = true,
		.tx = tx ? KTLS_REQUIRE : KTLS_OFF,
		.rx = rx ? KTLS_REQUIRE : KTLS_OFF,
	};

	fake_reset();
	host_later();
	fake_kernel.device_tx = device_tx;
	fake_kernel.device_rx = device_rx;
	pair_start(p, &o);
}

static void mode_is_what_the_kernel_says(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 32; i++) {
		const bool tx = i & 1, rx = i & 2, tls12 = i & 16;
		const char *of_tx = !tx		       ? "user"
				    : tls12 && (i & 4) ? "device"
						       : "kernel";
		const char *of_rx = !rx		       ? "user"
				    : tls12 && (i & 8) ? "device"
						       : "kernel";
		struct pair p;

		start(&p, tls12 ? TLS1_2_VERSION : TLS1_3_VERSION, tx, rx,
		      i & 4, i & 8);
		assert_modes(&p, of_tx, of_rx);
		pair_send(&p, 50000, 9000);
		pair_receive(&p, 50000, 9000);
		assert_modes(&p, of_tx, of_rx);
		assert_int_equal(pair_info(&p).tx.kernel_bytes, tx ? 50000 : 0);
		assert_int_equal(pair_info(&p).rx.kernel_bytes, rx ? 50000 : 0);
		assert_int_equal(fake_own_fds(), 0);
		pair_finish(&p);
	}
}

/* Who never asks how it is pays for no question; who does, for one. */
static void kernel_is_asked_once_for_a_key(void **state)
{
	struct pair p;

	(void)state;
	start(&p, TLS1_2_VERSION, true, true, true, true);
	pair_send(&p, 50000, 9000);
	assert_int_equal(fake_count(FAKE_NETLINK), 0);
	for (int i = 0; i < 5; i++)
		assert_modes(&p, "device", "device");
	assert_int_equal(fake_count(FAKE_NETLINK), 1);
	assert_int_equal(fake_count(FAKE_NETLINK_CLOSE), 1);
	pair_finish(&p);
	start(&p, TLS1_3_VERSION, false, false, true, true);
	pair_send(&p, 50000, 9000);
	assert_modes(&p, "user", "user");
	assert_int_equal(fake_count(FAKE_NETLINK), 0);
	pair_finish(&p);
}

/* RX goes to the kernel later than TX: what was said of it then is old. */
static void each_direction_is_asked_for(void **state)
{
	struct pair p;

	(void)state;
	for (int first = KTLS_TX; first <= KTLS_RX; first++) {
		const struct pair_options o = {.version = TLS1_2_VERSION,
					       .offload_after = 1 << 30};

		fake_reset();
		host_later();
		fake_kernel.device_tx = fake_kernel.device_rx = true;
		pair_start(&p, &o);
		assert_modes(&p, "user", "user");
		assert_int_equal(ktls_offload(p.conn, first), 0);
		assert_modes(&p, first == KTLS_TX ? "device" : "user",
			     first == KTLS_RX ? "device" : "user");
		assert_int_equal(ktls_offload(p.conn, KTLS_TX + KTLS_RX - first),
				 0);
		assert_modes(&p, "device", "device");
		pair_send(&p, 50000, 9000);
		pair_receive(&p, 50000, 9000);
		pair_finish(&p);
	}
}

static void silence_of_the_kernel_is_unknown(void **state)
{
	unsigned int asked;
	struct pair p;

	(void)state;
	for (int i = 0; i < 4; i++) {
		const char *then = i & 2 ? "device" : "kernel";

		start(&p, TLS1_2_VERSION, true, i & 1, i & 2, i & 2);
		fake_net.not_admin = true;
		assert_modes(&p, "unknown", i & 1 ? "unknown" : "user");
		assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_NONE);
		pair_send(&p, 50000, 9000);
		/* that is how it stays, for a while */
		asked = fake_count(FAKE_NETLINK_SEND);
		fake_net.not_admin = false;
		assert_modes(&p, "unknown", i & 1 ? "unknown" : "user");
		assert_int_equal(fake_count(FAKE_NETLINK_SEND), asked);
		host_later();
		assert_modes(&p, then, i & 1 ? then : "user");
		assert_int_equal(fake_count(FAKE_NETLINK_SEND), asked + 1);
		/* an answer is for good */
		fake_net.not_admin = true;
		assert_modes(&p, then, i & 1 ? then : "user");
		assert_int_equal(fake_count(FAKE_NETLINK_SEND), asked + 1);
		pair_finish(&p);
	}
}

/* The refusal is not asked for by every connection. */
static void refusal_is_remembered_for_a_while(void **state)
{
	static const int errors[] = {0, EPERM, ENOENT};
	int64_t then;
	struct pair p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		start(&p, TLS1_2_VERSION, true, true, true, true);
		fake_net.not_admin = errors[i] == 0;
		fake_net.diag_errno = errors[i];
		assert_modes(&p, "unknown", "unknown");
		then = fake_clock;
		pair_finish(&p);
		start(&p, TLS1_2_VERSION, true, true, true, true);
		fake_clock = then + 9999;
		assert_modes(&p, "unknown", "unknown");
		assert_int_equal(fake_count(FAKE_NETLINK_SEND), 0);
		pair_finish(&p);
		start(&p, TLS1_2_VERSION, true, true, true, true);
		fake_clock = then + 10001;
		assert_modes(&p, "device", "device");
		pair_finish(&p);
	}
}

/* No connection of the host has ever gone to a NIC: then this has not. */
static void counters_of_zero_are_an_answer(void **state)
{
	static const struct {
		const char *text;
		bool elsewhere;
		const char *tx, *rx;
	} rows[] = {
		{"TlsCurrTxDevice 0\nTlsTxDevice \t0\nTlsRxDevice \t0\n"
		 "TlsRxDeviceResync 0\n",
		 false, "kernel", "kernel"},
		{"TlsCurrTxDevice 0\nTlsTxDevice \t4\nTlsRxDevice \t0\n"
		 "TlsRxDeviceResync 0\n",
		 false, "unknown", "kernel"},
		{"TlsCurrTxDevice 0\nTlsTxDevice \t0\nTlsRxDevice \t1\n"
		 "TlsRxDeviceResync 0\n",
		 false, "kernel", "unknown"},
		{"TlsTxDevice \t0\nTlsRxDevice \t0\n", true, "unknown", "unknown"},
		{"TlsCurrTxDevice 0\nTlsCurrRxDevice 0\nTlsTxSw 0\n"
		 "TlsRxDeviceResync 0\n",
		 false, "unknown", "unknown"},
		{"", false, "unknown", "unknown"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pair p;

		start(&p, TLS1_2_VERSION, true, true, false, false);
		fake_net.not_admin = true;
		fake_net.texts[0].path = "/proc/thread-self/net/tls_stat";
		fake_net.texts[0].text = rows[i].text;
		fake_socket(p.fd)->netns += rows[i].elsewhere;
		assert_modes(&p, rows[i].tx, rows[i].rx);
		assert_int_equal(fake_own_fds(), 0);
		pair_finish(&p);
	}
}

/* Whatever fails on the way, and is asked for again later. */
static void failures_are_unknown(void **state)
{
	static const enum fake_call calls[] = {FAKE_NETLINK, FAKE_NETLINK_SEND,
					       FAKE_NETLINK_RECV, FAKE_NAMES,
					       FAKE_GET_COOKIE};
	static const int errors[] = {EPERM,  EPROTONOSUPPORT, ENOENT, EMFILE,
				     ENFILE, EAFNOSUPPORT,    ENOMEM, ENOBUFS};
	struct pair p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls) * ARRAY_SIZE(errors); i++) {
		const int e = errors[i % ARRAY_SIZE(errors)];

		start(&p, TLS1_2_VERSION, true, true, true, true);
		fake_fail(calls[i / ARRAY_SIZE(errors)], 0, e);
		assert_modes(&p, "unknown", "unknown");
		assert_int_equal(fake_own_fds(), 0);
		fake_heal();
		host_later();
		assert_modes(&p, "device", "device");
		pair_send(&p, 20000, 9000);
		pair_finish(&p);
		start(&p, TLS1_2_VERSION, true, true, true, true);
		fake_net.diag_errno = e;
		assert_modes(&p, "unknown", "unknown");
		assert_int_equal(fake_own_fds(), 0);
		pair_finish(&p);
	}
	start(&p, TLS1_2_VERSION, true, true, true, true);
	fake_net.silent = true;
	assert_modes(&p, "unknown", "unknown");
	assert_int_equal(fake_own_fds(), 0);
	pair_finish(&p);
}

/* Before 5.10 there is no SO_BINDTOIFINDEX to read. */
static void old_kernel_has_no_index_of_the_interface(void **state)
{
	struct pair p;

	(void)state;
	start(&p, TLS1_2_VERSION, true, false, true, true);
	fake_fail(FAKE_GET_BOUND, 0, ENOPROTOOPT);
	assert_modes(&p, "device", "user");
	pair_finish(&p);
}

static void ipv6_is_asked_for_as_such(void **state)
{
	struct pair p;

	(void)state;
	for (int i = 0; i < 4; i++) {
		start(&p, TLS1_2_VERSION, true, true, true, false);
		fake_socket(p.fd)->domain = i < 3 ? AF_INET6 : AF_INET;
		fake_socket(p.fd)->mapped = i == 1;
		fake_socket(p.fd)->bound_if = i >= 2 ? 7 : 0;
		assert_modes(&p, "device", "kernel");
		pair_finish(&p);
	}
}

static void nests_may_say_so(void **state)
{
	struct pair p;

	(void)state;
	start(&p, TLS1_2_VERSION, true, true, false, true);
	fake_net.nested = true;
	assert_modes(&p, "kernel", "device");
	pair_finish(&p);
}

/* What is not kernel TLS has no such words. */
static void other_sockets_are_an_error(void **state)
{
	struct ktls__diag d;
	int fd[2], pipe[2];

	(void)state;
	fake_reset();
	fake_tcp_pair(fd, 1000);
	fake_pipe(pipe, FAKE_SLOTS);
	assert_true(ktls__diag(fd[0], &d) < 0);
	assert_true(ktls__diag(-1, &d) == -EBADF);
	assert_true(ktls__diag(pipe[0], &d) == -ENOTSOCK);
	fake_socket(fd[0])->ulp_other = true;
	assert_true(ktls__diag(fd[0], &d) < 0);
	fake_socket(fd[0])->ulp_other = false;
	assert_int_equal(rawtls_ulp(fd[0]), 0);
	assert_int_equal(ktls__diag(fd[0], &d), 0);
	assert_false(d.tx_device || d.rx_device || d.zerocopy);
	fake_socket(fd[0])->domain = AF_UNIX;
	assert_true(ktls__diag(fd[0], &d) < 0);
	assert_int_equal(fake_own_fds(), 0);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)
static const struct CMUnitTest tests[] = {
	T(mode_is_what_the_kernel_says),
	T(kernel_is_asked_once_for_a_key),
	T(each_direction_is_asked_for),
	T(silence_of_the_kernel_is_unknown),
	T(refusal_is_remembered_for_a_while),
	T(counters_of_zero_are_an_answer),
	T(failures_are_unknown),
	T(old_kernel_has_no_index_of_the_interface),
	T(ipv6_is_asked_for_as_such),
	T(nests_may_say_so),
	T(other_sockets_are_an_error),
};

int main(void)
{
	const int r = ktest_run("diag", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
