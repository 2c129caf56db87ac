/* SPDX-License-Identifier: MIT */
/* New keys where something else is wrong, or under way, at the same moment. */
#include "updates.h"

#include <sys/socket.h>

/* A ticket of TLS 1.3, of which a part has come. */
static void half_a_message(struct pair *p)
{
	static const uint8_t half[] = {4, 0, 0, 14, 0, 0, 0};
	char c;

	pair_inject(p, 22, half, sizeof(half));
	assert_errno(ktls_read(p->conn, &c, 1), EAGAIN);
}

static void other_half(struct pair *p)
{
	static const uint8_t half[] = {9, 1, 2, 3, 4, 0, 0, 1, 'x', 0, 0};
	char c;

	p->injected = 0;
	pair_inject(p, 22, half, sizeof(half));
	assert_errno(ktls_read(p->conn, &c, 1), EAGAIN);
}

/*
 * Behind our KeyUpdate waits an alert of OpenSSL's; the kernel refuses the key
 * once. It is not asked again: the next key would be one too many.
 */
static void key_that_was_refused_is_not_followed(void **state)
{
	static const uint8_t bad[] = {24, 0, 0, 1, 2};
	struct pair p;
	char c;

	(void)state;
	for (int alert = 0; alert < 2; alert++) {
		updates_start(&p, true, KTLS_REQUIRE, KTLS_REQUIRE);
		fake_fail(FAKE_SENDMSG, 1, EAGAIN);
		assert_int_equal(ktls_rekey(p.conn, 0), 0);
		fake_fail(FAKE_SET_TLS_TX, 1, ENOMEM);
		if (alert) {
			pair_inject(&p, 22, bad, sizeof(bad));
			fake_fail(FAKE_SENDMSG, 1, EAGAIN);
			assert_errno(ktls_read(p.conn, &c, 1), EPROTO);
			assert_non_null(
				strstr(pair_error(&p).text, "SSL_read"));
		} else {
			assert_errno(ktls_write(p.conn, "x", 1), EKEYEXPIRED);
		}
		assert_int_equal(ktls_close(p.conn, 0), -1);
		p.conn = NULL;
		assert_int_equal(fake_socket_any(p.fd)->rekeys[0], 0);
		/* KeyUpdate is the last record */
		assert_records(&p, 5);
		pair_free(&p);
	}
}

/* Each costs as much as a kilobyte: a call does not work for ever. */
static void many_are_read_at_the_end_not_any_number(void **state)
{
	struct fake_socket *s;
	struct pair p;

	(void)state;
	updates_start(&p, true, KTLS_REQUIRE, KTLS_REQUIRE);
	p.peer_closes = false;
	assert_int_equal(ktls_shutdown_write(p.conn, 1000), 0);
	s = fake_socket(p.fd);
	s->capacity = 100 << 20;
	for (int k = 0; k < 100; k++) {
		for (int i = 0; i < 30; i++)
			updates_send(&p, false);
		p.peer_todo = 1;
		pair_peer(&p);
	}
	assert_int_equal(ktls_shutdown(p.conn, 0), 0);
	assert_in_range(s->rekeys[1], 500, 1200);
	pair_free(&p);
}

/* OpenSSL could make none now; with TX in the kernel nobody asks it. */
static void half_a_message_delays_none_of_ours(void **state)
{
	struct ktls_policy policy;
	struct updates u;
	struct pair p;

	(void)state;
	updates_start(&p, false, KTLS_REQUIRE, KTLS_REQUIRE);
	updates_watch(&u, &p);
	half_a_message(&p);
	assert_int_equal(ktls_rekey(p.conn, 0), 0);
	pair_send(&p, 1000, 1000);
	assert_records(&p, 5, 1000);
	ktls_policy_init(&policy, sizeof(policy));
	policy.tx = policy.rx = KTLS_REQUIRE;
	policy.rekey_after = 10;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	for (int i = 0; i < 100; i++)
		pair_send(&p, 100, 100);
	pair_settle(&p);
	assert_in_range(updates_seen(&u), 9, 12);
	assert_true(pair_info(&p).tx.key_records <= 11);
	pair_free(&p);
}

/* Asked for in time, and then there was something more important. */
static void nothing_comes_behind_close_notify(void **state)
{
	struct pair p;

	(void)state;
	updates_start(&p, false, KTLS_REQUIRE, KTLS_REQUIRE);
	half_a_message(&p);
	fake_fail(FAKE_SENDMSG, 1, EAGAIN);
	assert_int_equal(ktls_rekey(p.conn, 0), 0);
	fake_fail(FAKE_SENDMSG, 2, EAGAIN);
	assert_errno(ktls_shutdown(p.conn, 0), EAGAIN);
	assert_errno(ktls_rekey(p.conn, 0), EPIPE);
	other_half(&p);
	assert_errno(ktls_shutdown(p.conn, 0), EAGAIN);
	assert_records(&p, 5, 2);
	pair_free(&p);
}

/* The kernel says what it found in a header to the first call that comes. */
static void broken_header_met_by_an_answer_is_eproto(void **state)
{
	static const int errors[] = {EMSGSIZE, EINVAL};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct pair p;
		char c;

		updates_start(&p, true, KTLS_REQUIRE, KTLS_REQUIRE);
		fake_fail(FAKE_SENDMSG, 1, EAGAIN);
		assert_int_equal(ktls_rekey(p.conn, 0), 0);
		fake_socket(p.fd)->so_error = errors[i];
		assert_errno(ktls_read(p.conn, &c, 1), EPROTO);
		assert_int_equal(pair_error(&p).sys_errno, errors[i]);
		assert_errno(ktls_write(p.conn, "x", 1), EPROTO);
		pair_free(&p);
	}
}

/* No descriptors for a probe: that is no answer, and may be one later. */
static void probe_that_cannot_be_made_says_so(void **state)
{
	struct ktls_policy policy;
	struct pair p;
	char c;

	(void)state;
	for (int later = 0; later < 2; later++) {
		const struct pair_options o = {
			.server = true, .tx = KTLS_REQUIRE, .rx = KTLS_REQUIRE};

		fake_reset();
		fake_count_probes = true;
		fake_fail(FAKE_LOOPBACK, 0, EMFILE);
		pair_start(&p, &o);
		pair_receive(&p, 10, 10);
		ktls_policy_init(&policy, sizeof(policy));
		policy.tx = policy.rx = KTLS_REQUIRE;
		policy.rekey_after = 3;
		assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
		assert_int_equal(pair_info(&p).rekey_after, 3);
		for (int i = 0; i < 10; i++)
			pair_send(&p, 100, 100);
		assert_installed(&p, 0, 0);
		assert_errno(ktls_rekey(p.conn, 0), ENOTSUP);
		assert_int_equal(pair_error(&p).sys_errno, EMFILE);
		if (later)
			fake_heal();
		updates_send(&p, true);
		assert_errno(ktls_read(p.conn, &c, 1),
			     later ? EAGAIN : EKEYEXPIRED);
		assert_int_equal(pair_error(&p).sys_errno, EMFILE);
		assert_installed(&p, later, 1);
		pair_free(&p);
	}
	fake_count_probes = false;
}

/* What is due is not forgotten because there was no memory for it. */
static void answer_without_memory_is_sent_later(void **state)
{
	struct updates u;
	struct pair p;
	char c;

	(void)state;
	updates_start(&p, true, KTLS_REQUIRE, KTLS_REQUIRE);
	updates_watch(&u, &p);
	fake_fail(FAKE_SENDMSG, 0, ENOBUFS);
	updates_send(&p, true);
	assert_errno(ktls_read(p.conn, &c, 1), EAGAIN);
	assert_installed(&p, 0, 1);
	assert_errno(ktls_write(p.conn, &c, 1), ENOBUFS);
	fake_heal();
	pair_send(&p, 100, 100);
	pair_settle(&p);
	assert_int_equal(u.n[0], 1);
	assert_int_equal(u.last_at, 100);
	pair_finish(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

#define ADD(f) ktest_add(&t, f, NULL, #f)
	ADD(key_that_was_refused_is_not_followed);
	ADD(many_are_read_at_the_end_not_any_number);
	ADD(half_a_message_delays_none_of_ours);
	ADD(nothing_comes_behind_close_notify);
	ADD(broken_header_met_by_an_answer_is_eproto);
	ADD(probe_that_cannot_be_made_says_so);
	ADD(answer_without_memory_is_sent_later);
	r = ktest_run_table("rekey_corner", &t);
	certs_free();
	return r;
}
