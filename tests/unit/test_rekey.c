/* SPDX-License-Identifier: MIT */
/* KeyUpdates of the peer: followed, answered, in any number and any parts. */
#include "updates.h"

static void every_one_is_followed_and_answered(void **state)
{
	for (unsigned int bits = 0; bits < 32; bits++) {
		const struct updates_row r = updates_row_of(bits);
		const bool request = bits & 16;
		struct updates u;
		struct pair p;

		updates_open(&p, &r, *state);
		updates_watch(&u, &p);
		for (unsigned int k = 1; k <= 5; k++) {
			const unsigned int answers = request ? k : 0;
			struct ktls_info i;

			updates_send(&p, request);
			pair_receive(&p, 3000, 700);
			pair_send(&p, 3000, 700);
			pair_settle(&p);
			assert_int_equal(u.n[0], answers);
			assert_int_equal(u.n[1], 0);
			/* ahead of what was sent after it */
			if (request)
				assert_int_equal(u.last_at, p.peer_got - 3000);
			assert_rekeys(&p, answers, k);
			assert_installed(&p, r.tx ? answers : 0, r.rx ? k : 0);
			i = pair_info(&p);
			assert_int_equal(i.rx.key_records, 1);
			if (request)
				assert_int_equal(i.tx.key_records, 5);
			else
				assert_true(i.tx.key_records >= 5 * k + 1);
		}
		assert_modes(&p, r.tx ? "kernel" : "user",
			     r.rx ? "kernel" : "user");
		pair_finish(&p);
	}
}

static void answer_does_not_wait_for_data_in_the_kernel(void **state)
{
	const struct updates_row r = {.server = true, .tx = true, .rx = true};
	struct updates u;
	struct pair p;
	char c;

	(void)state;
	updates_open(&p, &r, NULL);
	updates_watch(&u, &p);
	updates_send(&p, true);
	assert_errno(ktls_read(p.conn, &c, 1), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLIN);
	pair_peer(&p);
	pair_peer_ok(&p);
	assert_int_equal(u.n[0], 1);
	pair_finish(&p);
}

/* Whatever reads meets it. */
static void any_call_that_receives_follows(void **state)
{
	static uint8_t want[2000], buf[2000];
	const struct updates_row r = {.rx = true, .tx = true};

	(void)state;
	for (int how = 0; how < 4; how++) {
		struct iovec v[2] = {{buf, 1000}, {buf + 1000, 1000}};
		struct pair p;
		int pipe[2];

		updates_open(&p, &r, NULL);
		fake_pipe(pipe, 16);
		fake_pipe_of(pipe[0])->nonblock = true;
		for (int k = 0; k < 3; k++) {
			ssize_t n = -1;

			updates_send(&p, true);
			p.peer_todo = 2000;
			pair_peer(&p);
			fake_pattern(THEIRS, p.got, want, 2000);
			memset(buf, 0, sizeof(buf));
			if (how == 0)
				n = ktls_read(p.conn, buf, 2000);
			else if (how == 1)
				n = ktls_readv(p.conn, v, 2);
			else if (how == 2)
				n = ktls_peek(p.conn, buf, 2000);
			else if (how == 3)
				n = ktls_splice_out(p.conn, pipe[1], 2000, 0);
			assert_int_equal(n, 2000);
			if (how == 2)
				n = ktls_read(p.conn, buf, 2000);
			if (how == 3)
				n = fake_pipe_read(pipe[0], buf, 2000);
			assert_int_equal(n, 2000);
			assert_memory_equal(buf, want, 2000);
			p.got += 2000;
		}
		assert_installed(&p, 3, 3);
		pair_finish(&p);
	}
}

/*
 * The kernel stops at the first byte of any handshake record that is 24: with
 * a part of a KeyUpdate, or of something else.
 */
static void one_in_parts_is_followed(void **state)
{
	static const uint8_t update[] = {24, 0, 0, 1, 0};

	(void)state;
	for (size_t cut = 1; cut < sizeof(update); cut++) {
		const struct updates_row r = {.tx = true, .rx = true};
		struct pair p;
		char text[8];

		updates_open(&p, &r, NULL);
		pair_inject(&p, 22, update, cut);
		pair_inject(&p, 22, update + cut, sizeof(update) - cut);
		assert_errno(ktls_read(p.conn, text, 1), EAGAIN);
		assert_rekeys(&p, 0, 1);
		p.injected = 0;
		pair_inject(&p, 23, "new key", 8);
		assert_int_equal(ktls_read(p.conn, text, 8), 8);
		assert_string_equal(text, "new key");
		pair_free(&p);
	}
}

static void part_of_a_ticket_may_look_like_one(void **state)
{
	static const uint8_t ticket[] = {4, 0, 0,  18, 0, 0, 0, 60, 1, 2, 3,
					 4, 1, 24, 0,  4, 1, 2, 3,  4, 0, 0};
	const struct updates_row r = {.tx = true, .rx = true};
	struct pair p;
	char text[9];

	(void)state;
	updates_open(&p, &r, NULL);
	pair_inject(&p, 22, ticket, 13);
	pair_inject(&p, 22, ticket + 13, sizeof(ticket) - 13);
	pair_inject(&p, 23, "same key", 9);
	assert_int_equal(ktls_read(p.conn, text, 9), 9);
	assert_string_equal(text, "same key");
	assert_rekeys(&p, 0, 0);
	assert_installed(&p, 0, 1);
	pair_free(&p);
}

/* It must go on where it was; if it cannot, that is the end. */
static void failure_to_go_on_is_ekeyexpired(void **state)
{
	static const uint8_t part[] = {24, 0};

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		const struct updates_row r = {.tx = true, .rx = true};
		struct pair p;
		char c;

		updates_open(&p, &r, NULL);
		pair_inject(&p, 22, part, sizeof(part));
		fake_fail(i ? FAKE_SET_TLS_RX : FAKE_GET_TLS_RX, 1, ENOMEM);
		assert_errno(ktls_read(p.conn, &c, 1), EKEYEXPIRED);
		assert_errno(ktls_write(p.conn, &c, 1), EKEYEXPIRED);
		assert_int_equal(pair_error(&p).sys_errno, ENOMEM);
		assert_int_equal(pair_error(&p).alert_sent, 80);
		pair_peer(&p);
		assert_non_null(strstr(p.peer_text, "internal error"));
		pair_free(&p);
	}
}

/* RFC 8446 section 5.1: nothing behind it in its record, and one value of two */
static void wrong_ones_are_eproto(void **state)
{
	static const struct {
		uint8_t m[12];
		size_t n;
	} rows[] = {
		{{24, 0, 0, 1, 2}, 5},
		{{24, 0, 0, 2, 0, 0}, 6},
		{{24, 0, 0, 0}, 4},
		{{24, 0, 0, 1, 0, 24, 0, 0, 1, 0}, 10},
		{{24, 0, 0, 1, 0, 4}, 6},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct updates_row r = {.tx = true, .rx = true};
		struct pair p;
		char c;

		updates_open(&p, &r, NULL);
		pair_inject(&p, 22, rows[i].m, rows[i].n);
		assert_errno(ktls_read(p.conn, &c, 1), EPROTO);
		assert_true(pair_error(&p).alert_sent > 0);
		pair_peer(&p);
		assert_int_equal(p.peer_error, SSL_ERROR_SSL);
		pair_free(&p);
	}
}

static void flood_is_bounded(void **state)
{
	const struct updates_row r = {.tx = true, .rx = true};
	struct pair p;
	char c;

	(void)state;
	updates_open(&p, &r, NULL);
	/* a call's worth, twice */
	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < 127; i++)
			updates_send(&p, i & 1);
		assert_errno(ktls_read(p.conn, &c, 1), EAGAIN);
		pair_receive(&p, 10, 10);
	}
	/* many, with data in between */
	for (int i = 0; i < 1000; i++) {
		updates_send(&p, i & 1);
		p.peer_todo = 1;
		pair_peer(&p);
		if (i % 300 == 299)
			pair_receive(&p, 300, 300);
	}
	pair_receive(&p, 100, 300);
	for (int i = 0; i < 128; i++)
		updates_send(&p, i & 1);
	p.peer_todo = 10;
	assert_errno(ktls_read(p.conn, &c, 1), EPROTO);
	assert_errno(ktls_read(p.conn, &c, 1), EPROTO);
	pair_peer(&p);
	assert_non_null(strstr(p.peer_text, "decode error"));
	pair_free(&p);
}

static void ones_behind_our_end_are_read(void **state)
{
	(void)state;
	for (unsigned int bits = 0; bits < 16; bits++) {
		const struct updates_row r = updates_row_of(bits);
		struct pair p;

		updates_open(&p, &r, NULL);
		p.peer_closes = false;
		assert_int_equal(ktls_shutdown_write(p.conn, 1000), 0);
		assert_errno(ktls_rekey(p.conn, 0), EPIPE);
		for (int k = 0; k < 20; k++) {
			updates_send(&p, k & 1);
			p.peer_todo = 3000;
			pair_peer(&p);
		}
		assert_true(p.peer_closed);
		/* some of it is asked for, the rest is thrown away */
		pair_receive(&p, 9000, 1000);
		p.peer_closes = true;
		pair_finish(&p);
	}
}

/* Neither behind close_notify, nor while it waits for room. */
static void none_is_answered_while_we_end(void **state)
{
	static uint8_t buf[60000];

	(void)state;
	for (unsigned int bits = 0; bits < 16; bits++) {
		const struct updates_row r = updates_row_of(bits);
		struct updates u;
		struct pair p;
		char c;

		if (r.blocking)
			continue;
		updates_open(&p, &r, NULL);
		updates_watch(&u, &p);
		fake_socket(p.peer_fd)->capacity = 17000;
		p.peer_deaf = true;
		fake_pattern(OURS, p.accepted, buf, sizeof(buf));
		p.accepted += (uint64_t)ktls_write(p.conn, buf, sizeof(buf));
		assert_errno(ktls_shutdown(p.conn, 0), EAGAIN);
		for (int k = 0; k < 4; k++) {
			updates_send(&p, true);
			assert_errno(ktls_read(p.conn, &c, 1), EAGAIN);
		}
		p.peer_deaf = false;
		pair_receive(&p, 100, 100);
		assert_installed(&p, 0, r.rx ? 4 : 0);
		for (int k = 0; k < 9 && ktls_shutdown(p.conn, 0) < 0; k++)
			pair_peer(&p);
		if (r.tx)
			assert_int_equal(updates_seen(&u), 0);
		assert_installed(&p, 0, r.rx ? 4 : 0);
		pair_finish(&p);
	}
}

static void no_padding_is_still_expected(void **state)
{
	const struct updates_row r = {.rx = true};
	struct ktls_policy policy;
	struct pair p;

	(void)state;
	updates_open(&p, &r, NULL);
	ktls_policy_init(&policy, sizeof(policy));
	policy.tx = KTLS_OFF;
	policy.rx = KTLS_REQUIRE;
	policy.expect_no_pad = KTLS_REQUIRE;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	for (int k = 0; k < 3; k++) {
		updates_send(&p, false);
		pair_receive(&p, 50000, 20000);
		assert_int_equal(pair_info(&p).expect_no_pad, 1);
		assert_true(fake_socket(p.fd)->rx_no_pad);
	}
	/* and can be changed */
	policy.expect_no_pad = KTLS_OFF;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	assert_false(fake_socket(p.fd)->rx_no_pad);
	pair_finish(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_suites; i++)
		if (suites[i].version == TLS1_3_VERSION && suites[i].kernel &&
		    suite_usable(&suites[i]))
			ktest_add(&t, every_one_is_followed_and_answered,
				  (void *)(uintptr_t)suites[i].name,
				  "every_one_is_followed_and_answered_%s",
				  suites[i].name);
#define ADD(f) ktest_add(&t, f, NULL, #f)
	ADD(answer_does_not_wait_for_data_in_the_kernel);
	ADD(any_call_that_receives_follows);
	ADD(one_in_parts_is_followed);
	ADD(part_of_a_ticket_may_look_like_one);
	ADD(failure_to_go_on_is_ekeyexpired);
	ADD(wrong_ones_are_eproto);
	ADD(flood_is_bounded);
	ADD(ones_behind_our_end_are_read);
	ADD(none_is_answered_while_we_end);
	ADD(no_padding_is_still_expected);
	r = ktest_run_table("rekey", &t);
	certs_free();
	return r;
}
