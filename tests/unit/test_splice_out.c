/* SPDX-License-Identifier: MIT */
/* ktls_splice_out(): from the peer to a pipe, and which side is waited for. */
#include "pipes.h"

#include <limits.h>

#include "fake_core.h"

static void all_sizes_get_to_the_pipe(void **state)
{
	static const size_t sizes[] = {1, 4096, 16384, 16385, 300000};
	static const size_t slots[] = {1, 2, 5, 16, 64};
	const struct mode *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		struct drain d;
		struct pair p;

		mode_rx(&p, m, 0, NULL);
		drain_open(&d, &p, slots[i], i & 1);
		if (m->blocking)
			fake_on_poll(drain_and_peer, &d);
		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++)
			drain_run(&d, sizes[k], 1 << 20);
		drain_run(&d, 3000, 1);
		assert_int_equal(pair_info(&p).rx.bytes - p.before_rx, p.got);
		if (mode_kernel(m))
			assert_int_equal(pair_info(&p).rx.kernel_bytes, p.got);
		fake_on_poll(pair_peer, &p);
		pair_finish(&p);
	}
}

/* Where the kernel would lose bytes, they are copied. */
static void kernel_that_drops_bytes_is_not_asked(void **state)
{
	const struct mode *m = *state;
	struct drain d;
	struct pair p;

	for (int drops = 0; drops < 2; drops++) {
		mode_rx(&p, m, 0, NULL);
		fake_kernel.splice_drops = drops;
		drain_open(&d, &p, 3, false);
		if (m->blocking)
			fake_on_poll(drain_and_peer, &d);
		drain_run(&d, 200000, 1 << 20);
		if (mode_kernel(m))
			assert_int_equal(fake_count(FAKE_SPLICE) == 0, drops);
		fake_on_poll(pair_peer, &p);
		pair_finish(&p);
		assert_int_equal(fake_own_fds(), 0);
	}
}

static void any_sizes_and_short_counts_lose_nothing(void **state)
{
	static const size_t limits[] = {1, 7, 999, 5000, 0};
	const struct mode *m = *state;

	for (uint32_t i = 0; i < 40; i++) {
		const size_t limit = limits[i % 5];
		struct drain d;
		struct pair p;

		random_start(i);
		mode_rx(&p, m, 20000 + random_below(30000), NULL);
		fake_kernel.splice_drops = i % 3 == 0;
		drain_open(&d, &p, 1 + random_below(20), i & 1);
		d.slow = true;
		fake_limit(FAKE_RECV, limit);
		fake_limit(FAKE_RECVMSG, limit == 1 ? 7 : limit);
		fake_limit(FAKE_SPLICE, limit);
		fake_limit(FAKE_WRITE, limit);
		if (m->blocking)
			fake_on_poll(drain_and_peer, &d);
		p.peer_max = 1 + random_below(16384);
		drain_run(&d, limit == 1 ? 700 : 60000, 1 + random_below(40000));
		fake_on_poll(pair_peer, &p);
		fake_heal();
		pair_receive(&p, 100, 30);
		pair_finish(&p);
	}
}

static void waiting_has_a_side(void **state)
{
	const struct mode *m = *state;
	struct drain d;
	struct pair p;

	if (m->blocking)
		return;
	mode_rx(&p, m, 0, NULL);
	drain_open(&d, &p, 2, false);
	for (int i = 0; i < 2; i++) {
		assert_errno(ktls_splice_out(p.conn, d.fd[1], 100, 0), EAGAIN);
		assert_int_equal(ktls_wants(p.conn), POLLIN);
	}
	p.peer_todo = 100000;
	pair_peer(&p);
	while (ktls_splice_out(p.conn, d.fd[1], 100000, 0) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(ktls_wants(p.conn), 0);
	assert_int_equal(fake_pipe_free(fake_pipe_of(d.fd[1])), 0);
	p.peer_todo = 0;
	drain_run(&d, 0, 1);
	while (p.got < 100000) {
		while (ktls_splice_out(p.conn, d.fd[1], 100000, 0) > 0)
			drain(&d);
		drain(&d);
	}
	/* both: the pipe comes first */
	fake_pipe_fill(d.fd[1], "0123456789", 10, 5);
	assert_errno(ktls_splice_out(p.conn, d.fd[1], 100, 0), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), 0);
	pair_finish(&p);
}

static void close_notify_is_0_and_truncation_is_not(void **state)
{
	const struct mode *m = *state;

	for (int clean = 0; clean < 2; clean++) {
		struct drain d;
		struct pair p;
		uint64_t moved = 0;

		mode_rx(&p, m, 0, NULL);
		drain_open(&d, &p, 16, false);
		p.peer_todo = 40000;
		pair_peer(&p);
		if (clean)
			SSL_shutdown(p.peer);
		fake_raw_fin(p.peer_fd);
		while (moved < 40000) {
			const ssize_t n =
				ktls_splice_out(p.conn, d.fd[1], 100000, 0);

			assert_true(n > 0);
			moved += (uint64_t)n;
			drain(&d);
		}
		for (int i = 0; i < 3 && clean; i++)
			assert_int_equal(ktls_splice_out(p.conn, d.fd[1], 9, 0),
					 0);
		for (int i = 0; i < 3 && !clean; i++)
			assert_errno(ktls_splice_out(p.conn, d.fd[1], 9, 0),
				     ECONNABORTED);
		pair_free(&p);
	}
}

/* Tickets are digested, whatever the size of them and where they are. */
static void control_records_are_digested(void **state)
{
	const struct mode *m = *state;
	struct drain d;
	struct pair p;

	if (m->version != TLS1_3_VERSION)
		return;
	mode_rx(&p, m, 0, NULL);
	drain_open(&d, &p, 16, false);
	if (m->blocking)
		fake_on_poll(drain_and_peer, &d);
	drain_run(&d, 10000, 50000);
	for (int i = 0; i < 5; i++) {
		fake_limit(FAKE_RECVMSG, i == 3 ? 3 : 0);
		assert_int_equal(SSL_new_session_ticket(p.peer), 1);
		SSL_do_handshake(p.peer);
		drain_run(&d, 10000, 50000);
	}
	fake_heal();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			SSL_key_update(p.peer, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		drain_run(&d, 10000, 50000);
	}
	fake_on_poll(pair_peer, &p);
	pair_finish(&p);
}

/* OpenSSL sends none: they are made with the kernel's own key. */
static void empty_records_are_nothing(void **state)
{
	const struct mode *m = *state;
	uint8_t byte;
	struct drain d;
	struct pair p;

	if (!mode_kernel(m))
		return;
	for (int drops = 0; drops < 2; drops++) {
		mode_rx(&p, m, 0, NULL);
		fake_kernel.splice_drops = drops;
		drain_open(&d, &p, 16, false);
		drain_run(&d, 10, 10);
		pair_inject(&p, 23, "", 0);
		pair_inject(&p, 23, "", 0);
		fake_pattern(THEIRS, p.got, &byte, 1);
		pair_inject(&p, 23, &byte, 1);
		assert_int_equal(ktls_splice_out(p.conn, d.fd[1], 10, 0), 1);
		drain(&d);
		assert_int_equal(p.got, 11);
		p.injected = 0;
		if (!m->blocking) {
			pair_inject(&p, 23, "", 0);
			assert_errno(ktls_splice_out(p.conn, d.fd[1], 10, 0),
				     EAGAIN);
			assert_int_equal(ktls_wants(p.conn), POLLIN);
			p.injected = 0;
		}
		pair_free(&p);
	}
}

static void calls_may_be_mixed(void **state)
{
	const struct mode *m = *state;
	uint8_t buf[3000];
	struct drain d;
	struct pair p;

	mode_rx(&p, m, 0, NULL);
	drain_open(&d, &p, 16, true);
	if (m->blocking)
		fake_on_poll(drain_and_peer, &d);
	p.peer_todo = 60000;
	pair_peer(&p);
	for (int i = 0; i < 10; i++) {
		ssize_t n = ktls_peek(p.conn, buf, sizeof(buf));

		assert_true(n > 0);
		assert_int_equal(
			fake_pattern_check(THEIRS, p.got, buf, (size_t)n), n);
		n = ktls_splice_out(p.conn, d.fd[1], 777, 0);
		assert_int_equal(n, 777);
		drain(&d);
		pair_receive(&p, 3000, 3000);
	}
	p.peer_todo = 0;
	fake_on_poll(pair_peer, &p);
	pair_receive(&p, 60000 - p.got, 5000);
	pair_finish(&p);
}

/* OpenSSL's, when the kernel takes over, is the first. */
static void plaintext_in_openssl_comes_first(void **state)
{
	const struct mode *m = *state;
	struct drain d;
	struct pair p;

	if (!mode_user(m) || m->version != TLS1_2_VERSION)
		return;
	{
		const struct pair_options o = {.version = TLS1_2_VERSION,
					       .offload_after = UINT64_MAX};

		fake_reset();
		pair_start(&p, &o);
	}
	drain_open(&d, &p, 16, false);
	p.peer_todo = 3000;
	pair_receive(&p, 1000, 100);
	assert_int_equal(ktls_pending(p.conn), 2000);
	assert_int_equal(ktls_offload(p.conn, KTLS_RX), 0);
	drain_run(&d, 0, 1);
	assert_int_equal(ktls_splice_out(p.conn, d.fd[1], 10000, 0), 2000);
	drain(&d);
	drain_run(&d, 30000, 30000);
	assert_int_equal(pair_info(&p).rx.kernel_bytes, 30000);
	pair_finish(&p);
}

static void short_budget(struct ktls_policy *policy)
{
	policy->budget = 20000;
}

static void budget_ends_a_call(void **state)
{
	struct drain d;
	struct pair p;

	mode_rx(&p, *state, 0, short_budget);
	drain_open(&d, &p, 64, true);
	p.peer_todo = 60000;
	pair_peer(&p);
	assert_int_equal(ktls_splice_out(p.conn, d.fd[1], SSIZE_MAX, 0), 20000);
	drain(&d);
	assert_int_equal(ktls_splice_out(p.conn, d.fd[1], 30000, 0), 20000);
	drain(&d);
	assert_int_equal(ktls_splice_out(p.conn, d.fd[1], 10, 0), 10);
	drain(&d);
	drain_run(&d, 0, 1);
	p.peer_todo = 0;
	pair_receive(&p, 60000 - 40010, 9999);
	pair_finish(&p);
}

static void blocking_call_waits_for_both_sides(void **state)
{
	const struct mode *m = *state;
	struct drain d;
	struct pair p;

	if (!m->blocking)
		return;
	mode_rx(&p, m, 0, NULL);
	drain_open(&d, &p, 1, false);
	fake_socket(p.fd)->rcvtimeo_ms = 70;
	fake_clock = 1000;
	assert_errno(ktls_splice_out(p.conn, d.fd[1], 10, 0), EAGAIN);
	assert_int_equal(fake_clock, 1070);
	assert_int_equal(fake_poll_events, POLLIN);
	fake_pipe_fill(d.fd[1], "x", 1, 1);
	assert_errno(ktls_splice_out(p.conn, d.fd[1], 10, 0), EAGAIN);
	assert_int_equal(fake_clock, 1140);
	assert_int_equal(fake_poll_events, POLLOUT);
	fake_pipe_read(d.fd[0], (char[1]){0}, 1);
	fake_socket(p.fd)->rcvtimeo_ms = 0;
	fake_on_poll(drain_and_peer, &d);
	drain_run(&d, 30000, 100000);
	fake_on_poll(pair_peer, &p);
	pair_finish(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
		void *mode = (void *)(uintptr_t)&modes[i];

#define ADD(f) ktest_add(&t, f, mode, #f "_%s", modes[i].name)
		ADD(all_sizes_get_to_the_pipe);
		ADD(kernel_that_drops_bytes_is_not_asked);
		ADD(any_sizes_and_short_counts_lose_nothing);
		ADD(waiting_has_a_side);
		ADD(close_notify_is_0_and_truncation_is_not);
		ADD(control_records_are_digested);
		ADD(empty_records_are_nothing);
		ADD(calls_may_be_mixed);
		ADD(plaintext_in_openssl_comes_first);
		ADD(budget_ends_a_call);
		ADD(blocking_call_waits_for_both_sides);
	}
	r = ktest_run_table("splice_out", &t);
	certs_free();
	return r;
}
