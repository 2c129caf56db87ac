/* SPDX-License-Identifier: MIT */
/* Kernels that do not take a new key: when it is due, or ever. */
#include "updates.h"

static const int errors[] = {EBUSY, ENOMEM, EINVAL, ENOPROTOOPT};

/* Every call says so, from here to the end, and sends nothing. */
static void check_dead(struct pair *p)
{
	char x[] = "x";
	const struct iovec v = {x, 1};
	off_t off = 0;
	char c;
	const int file = fake_file(FAKE_REGULAR, OURS, 1000);

	assert_int_equal(pair_error(p).code, EKEYEXPIRED);
	assert_non_null(strstr(pair_error(p).text, "cannot be changed"));
	for (int i = 0; i < 2; i++) {
		assert_errno(ktls_read(p->conn, &c, 1), EKEYEXPIRED);
		assert_errno(ktls_write(p->conn, "x", 1), EKEYEXPIRED);
		assert_errno(ktls_writev(p->conn, &v, 1, KTLS_MORE), EKEYEXPIRED);
		assert_errno(ktls_sendfile(p->conn, file, &off, 10), EKEYEXPIRED);
		assert_errno(ktls_rekey(p->conn, 0), EKEYEXPIRED);
		assert_errno(ktls_flush(p->conn, 0), EKEYEXPIRED);
		assert_errno(ktls_shutdown(p->conn, 0), EKEYEXPIRED);
	}
	assert_errno(ktls_close(p->conn, 1000), EKEYEXPIRED);
	p->conn = NULL;
}

/* The peer has the new key: nothing it could read may follow. */
static void no_key_for_tx_is_the_end_without_an_alert(void **state)
{
	const enum fake_call call = *(const enum fake_call *)*state;

	for (unsigned int i = 0; i < 3 * ARRAY_SIZE(errors); i++) {
		const int e = errors[i / 3];
		struct updates u;
		struct pair p;
		char c;

		updates_start(&p, true, KTLS_REQUIRE,
			      i % 2 ? KTLS_REQUIRE : KTLS_OFF);
		updates_watch(&u, &p);
		fake_fail(call, 1, e);
		if (i % 3 == 0) {
			assert_errno(ktls_rekey(p.conn, 1), EKEYEXPIRED);
		} else if (i % 3 == 1) {
			updates_send(&p, true);
			assert_errno(ktls_read(p.conn, &c, 1), EKEYEXPIRED);
		} else {
			/* it goes out late, with a write */
			fake_fail(FAKE_SENDMSG, 1, EAGAIN);
			assert_int_equal(ktls_rekey(p.conn, 0), 0);
			fake_fail(call, 1, e);
			assert_errno(ktls_write(p.conn, "x", 1), EKEYEXPIRED);
		}
		assert_int_equal(pair_error(&p).sys_errno, e);
		assert_int_equal(pair_error(&p).alert_sent, -1);
		assert_records(&p, 5);
		check_dead(&p);
		assert_no_records(&p);
		pair_peer(&p);
		assert_int_equal(updates_seen(&u), 1);
		assert_true(p.peer_eof);
		assert_false(p.peer_closed);
		pair_free(&p);
	}
}

static void no_key_for_rx_is_the_end_with_one(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 8 * ARRAY_SIZE(errors); i++) {
		const int e = errors[i / 8];
		const bool request = i & 2, splice = i & 4;
		struct pair p;
		int pipe[2];
		char c;

		updates_start(&p, true, i & 1 ? KTLS_REQUIRE : KTLS_OFF,
			      KTLS_REQUIRE);
		fake_pipe(pipe, 16);
		updates_send(&p, request);
		p.peer_todo = 100;
		pair_peer(&p);
		fake_fail(FAKE_SET_TLS_RX, 1, e);
		if (splice)
			assert_errno(ktls_splice_out(p.conn, pipe[1], 10, 0),
				     EKEYEXPIRED);
		else
			assert_errno(ktls_peek(p.conn, &c, 1), EKEYEXPIRED);
		assert_int_equal(pair_error(&p).sys_errno, e);
		assert_string_equal(pair_error(&p).call, "setsockopt(TLS_RX)");
		assert_int_equal(pair_error(&p).alert_sent, 80);
		/* before the end, which resets: what the kernel has stays there */
		pair_peer(&p);
		assert_non_null(strstr(p.peer_text, "internal error"));
		check_dead(&p);
		pair_free(&p);
	}
}

static uint32_t use;
static uint64_t after;

static void stay(struct ktls_policy *policy)
{
	policy->tx = use;
	policy->rx = use;
	policy->offload_after = after;
	policy->rekey_unsupported = KTLS_REKEY_STAY_IN_USER_SPACE;
}

/* Of KTLS_AUTO: the reason is there, and keys change as often as they like. */
static void old_kernel_keeps_tls13_in_user_space(void **state)
{
	static const uint64_t afters[] = {0, 30000};

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		const struct pair_options o = {.server = i & 1, .policy = stay};
		struct ktls_info info;
		struct updates u;
		struct pair p;

		use = KTLS_AUTO;
		after = afters[i / 2];
		fake_reset();
		fake_kernel.no_rekey = true;
		pair_start(&p, &o);
		updates_watch(&u, &p);
		pair_send(&p, 50000, 5000);
		pair_receive(&p, 50000, 5000);
		pair_settle(&p);
		info = pair_info(&p);
		assert_int_equal(info.rekey_unsupported,
				 KTLS_REKEY_STAY_IN_USER_SPACE);
		assert_int_equal(info.tx.reason, KTLS_REASON_REKEY);
		assert_int_equal(info.rx.reason, KTLS_REASON_REKEY);
		assert_modes(&p, "user", "user");
		/* the caller may not insist, either */
		assert_errno(ktls_offload(p.conn, KTLS_TX), ENOTSUP);
		for (int k = 0; k < 50; k++) {
			updates_send(&p, k & 1);
			assert_int_equal(ktls_rekey(p.conn, k & 2), 0);
			pair_send(&p, 1000, 1000);
			pair_receive(&p, 1000, 1000);
			pair_settle(&p);
		}
		assert_in_range(updates_seen(&u), 50, 75);
		assert_modes(&p, "user", "user");
		assert_null(fake_socket(p.fd)->tx.on ? &p : NULL);
		pair_finish(&p);
	}
}

static void requiring_it_there_is_enotsup(void **state)
{
	const struct pair_options o = {.policy = stay};
	struct ktls_info info;
	struct pair p;
	int r;

	(void)state;
	use = KTLS_REQUIRE;
	after = 0;
	fake_reset();
	fake_kernel.no_rekey = true;
	pair_open(&p, &o);
	for (int i = 0; i < 100; i++) {
		r = ktls_handshake(p.conn);
		if (r == 0 || errno != EAGAIN)
			break;
		pair_peer(&p);
	}
	assert_int_equal(r, -1);
	assert_int_equal(errno, ENOTSUP);
	info = pair_info(&p);
	assert_int_equal(info.tx.reason, KTLS_REASON_REKEY);
	assert_int_equal(info.rx.reason, KTLS_REASON_REKEY);
	assert_non_null(strstr(pair_error(&p).text,
			       ktls_reason_str(KTLS_REASON_REKEY)));
	assert_errno(ktls_write(p.conn, "x", 1), ENOTSUP);
	assert_errno(ktls_rekey(p.conn, 0), ENOTSUP);
	pair_free(&p);
}

static void policy_is_of_no_effect_elsewhere(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		const bool old = i & 1;
		/* TLS 1.2 has no KeyUpdate; a new kernel can do them */
		const struct pair_options o = {.version = old ? TLS1_2_VERSION
							      : TLS1_3_VERSION,
					       .policy = stay};
		struct pair p;

		use = i & 2 ? KTLS_REQUIRE : KTLS_AUTO;
		after = 0;
		fake_reset();
		fake_kernel.no_rekey = old;
		pair_start(&p, &o);
		assert_modes(&p, "kernel", "kernel");
		for (int k = 0; k < 5 && !old; k++) {
			updates_send(&p, true);
			pair_receive(&p, 1000, 1000);
			pair_send(&p, 1000, 1000);
		}
		pair_send(&p, 1000, 1000);
		pair_settle(&p);
		assert_installed(&p, old ? 0 : 5, old ? 0 : 5);
		pair_finish(&p);
	}
}

/* An answer that the kernel cannot follow is not even begun. */
static void old_kernel_sends_no_keyupdate(void **state)
{
	(void)state;
	for (int both = 0; both < 2; both++) {
		struct updates u;
		struct pair p;
		char c;

		fake_reset();
		fake_kernel.no_rekey = true;
		pair_start(&p, &(struct pair_options){.tx = KTLS_REQUIRE,
						      .rx = both ? KTLS_REQUIRE
								 : KTLS_OFF});
		pair_receive(&p, 10, 10);
		updates_watch(&u, &p);
		/* OpenSSL would answer the first by itself, at the second */
		updates_send(&p, true);
		if (!both)
			updates_send(&p, true);
		assert_errno(ktls_read(p.conn, &c, 1), EKEYEXPIRED);
		check_dead(&p);
		pair_peer(&p);
		assert_non_null(strstr(p.peer_text, "internal error"));
		assert_int_equal(updates_seen(&u), 0);
		pair_free(&p);
	}
}

int main(void)
{
	static enum fake_call calls[] = {FAKE_SET_TLS_TX, FAKE_GET_TLS_TX};
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		ktest_add(&t, no_key_for_tx_is_the_end_without_an_alert,
			  &calls[i], "no_key_for_tx_is_the_end_%s",
			  i ? "get" : "set");
#define ADD(f) ktest_add(&t, f, NULL, #f)
	ADD(no_key_for_rx_is_the_end_with_one);
	ADD(old_kernel_keeps_tls13_in_user_space);
	ADD(requiring_it_there_is_enotsup);
	ADD(policy_is_of_no_effect_elsewhere);
	ADD(old_kernel_sends_no_keyupdate);
	r = ktest_run_table("rekey_fail", &t);
	certs_free();
	return r;
}
