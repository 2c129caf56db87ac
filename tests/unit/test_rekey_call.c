/* SPDX-License-Identifier: MIT */
/* ktls_rekey(): its errors, and that nothing overtakes what it sends. */
#include "updates.h"

#include "fake_core.h"

static void start(struct pair *p, uint32_t tx, uint32_t rx, size_t capacity)
{
	updates_start(p, true, tx, rx);
	if (capacity)
		fake_socket(p->peer_fd)->capacity = capacity;
}

static void arguments_and_states(void **state)
{
	struct pair_options o = {.tx = KTLS_REQUIRE, .rx = KTLS_REQUIRE};
	struct pair p;

	(void)state;
	assert_errno(ktls_rekey(NULL, 0), EINVAL);
	fake_reset();
	pair_open(&p, &o);
	assert_errno(ktls_rekey(p.conn, 0), ENOTCONN);
	pair_handshake(&p);
	assert_int_equal(ktls_rekey(p.conn, 0), 0);
	assert_int_equal(ktls_rekey(p.conn, -5), 0);
	pair_send(&p, 10, 10);
	pair_settle(&p);
	assert_errno(ktls_shutdown(p.conn, 0), EAGAIN);
	assert_errno(ktls_rekey(p.conn, 0), EPIPE);
	assert_errno(ktls_rekey(p.conn, 1), EPIPE);
	pair_finish(&p);

	for (uint32_t use = KTLS_OFF; use <= KTLS_REQUIRE; use++) {
		fake_reset();
		o.version = TLS1_2_VERSION;
		o.tx = o.rx = use;
		pair_start(&p, &o);
		assert_errno(ktls_rekey(p.conn, 0), ENOTSUP);
		assert_errno(ktls_rekey(p.conn, 1), ENOTSUP);
		assert_int_equal(pair_error(&p).code, ENOTSUP);
		assert_non_null(strstr(pair_error(&p).text, "TLS 1.2"));
		pair_send(&p, 100, 100);
		pair_receive(&p, 100, 100);
		assert_rekeys(&p, 0, 0);
		pair_finish(&p);
	}
}

static void failed_connection_repeats_its_failure(void **state)
{
	struct pair p;
	char c;

	(void)state;
	start(&p, KTLS_REQUIRE, KTLS_REQUIRE, 0);
	pair_inject(&p, 99, "?", 1);
	assert_errno(ktls_read(p.conn, &c, 1), EPROTO);
	assert_errno(ktls_rekey(p.conn, 0), EPROTO);
	pair_free(&p);
}

/* Where the keys would have to change and cannot. */
static void old_kernel_is_enotsup_and_goes_on(void **state)
{
	(void)state;
	for (unsigned int bits = 0; bits < 8; bits++) {
		const bool tx = bits & 1, rx = bits & 2, request = bits & 4;
		const bool can = !tx && !(rx && request);
		const struct pair_options o = {
			.tx = tx ? KTLS_REQUIRE : KTLS_OFF,
			.rx = rx ? KTLS_REQUIRE : KTLS_OFF,
		};
		struct updates u;
		struct pair p;

		fake_reset();
		fake_kernel.no_rekey = true;
		pair_start(&p, &o);
		updates_watch(&u, &p);
		for (int k = 0; k < 3; k++) {
			errno = 0;
			assert_int_equal(ktls_rekey(p.conn, request),
					 can ? 0 : -1);
			assert_int_equal(errno, can ? 0 : ENOTSUP);
			pair_send(&p, 20000, 20000);
			pair_settle(&p);
			pair_receive(&p, 20000, 20000);
		}
		assert_int_equal(u.n[request], can ? 3 : 0);
		assert_int_equal(u.n[!request], 0);
		assert_rekeys(&p, can ? 3 : 0, can && request ? 3 : 0);
		pair_finish(&p);
	}
}

static void every_mode_sends_it_at_once(void **state)
{
	(void)state;
	for (unsigned int bits = 0; bits < 32; bits++) {
		const bool tx = bits & 1, rx = bits & 2, request = bits & 4;
		const struct pair_options o = {
			.server = bits & 8,
			.blocking = bits & 16,
			.tx = tx ? KTLS_REQUIRE : KTLS_OFF,
			.rx = rx ? KTLS_REQUIRE : KTLS_OFF,
		};
		struct updates u;
		struct pair p;

		fake_reset();
		pair_start(&p, &o);
		updates_watch(&u, &p);
		for (unsigned int k = 1; k <= 6; k++) {
			assert_int_equal(ktls_rekey(p.conn, request), 0);
			assert_int_equal(pair_info(&p).tx.key_records, 0);
			pair_peer(&p);
			pair_peer_ok(&p);
			assert_int_equal(u.n[request], k);
			assert_int_equal(u.last_at, p.accepted);
			/* now and then without data */
			if (k & 1)
				continue;
			pair_send(&p, 40000, 20000);
			pair_settle(&p);
			pair_receive(&p, 20000, 20000);
			assert_int_equal(pair_info(&p).tx.key_records, 4);
		}
		assert_rekeys(&p, 6, request ? 6 : 0);
		assert_installed(&p, tx ? 6 : 0, rx && request ? 6 : 0);
		assert_int_equal(u.n[!request], 0);
		pair_finish(&p);
	}
}

static void waits_for_room_and_nothing_overtakes(void **state)
{
	static uint8_t buf[200000];

	(void)state;
	for (unsigned int bits = 0; bits < 4; bits++) {
		const bool tx = bits & 1;
		struct updates u;
		struct pair p;
		ssize_t r;

		start(&p, tx ? KTLS_REQUIRE : KTLS_OFF,
		      bits & 2 ? KTLS_REQUIRE : KTLS_OFF, 17000);
		updates_watch(&u, &p);
		p.peer_deaf = true;
		for (;;) {
			fake_pattern(OURS, p.accepted, buf, sizeof(buf));
			r = ktls_write(p.conn, buf, sizeof(buf));
			if (r < 0)
				break;
			p.accepted += (uint64_t)r;
		}
		assert_int_equal(errno, EAGAIN);
		assert_int_equal(ktls_rekey(p.conn, 0), 0);
		assert_true(ktls_wants(p.conn) & POLLOUT);
		assert_errno(ktls_write(p.conn, buf, 1), EAGAIN);
		assert_errno(ktls_flush(p.conn, 0), EAGAIN);
		for (int k = 0; k < 20; k++) {
			updates_send(&p, true);
			pair_receive(&p, 50, 50);
			assert_true(ktls_wants(p.conn) & POLLOUT);
		}
		assert_installed(&p, 0, bits & 2 ? 20 : 0);
		/* the same request again changes nothing */
		assert_int_equal(ktls_rekey(p.conn, 0), 0);
		p.peer_deaf = false;
		pair_send(&p, 50000, 50000);
		pair_settle(&p);
		/* one was made already; all others are one */
		assert_int_equal(u.n[1], 0);
		if (tx)
			assert_int_equal(u.n[0], 2);
		else
			assert_in_range(u.n[0], 1, 21);
		assert_int_equal(pair_info(&p).tx.rekeys, u.n[0]);
		assert_int_equal(ktls_wants(p.conn) & POLLOUT, 0);
		pair_receive(&p, 5000, 5000);
		pair_finish(&p);
	}
}

static void is_taken_in_parts(void **state)
{
	(void)state;
	for (unsigned int part = 1; part <= 5; part++) {
		struct updates u;
		struct pair p;
		char c;

		start(&p, KTLS_REQUIRE, KTLS_REQUIRE, 0);
		updates_watch(&u, &p);
		fake_limit(FAKE_SENDMSG, 1);
		fake_fail(FAKE_SENDMSG, part, EAGAIN);
		assert_int_equal(ktls_rekey(p.conn, 1), 0);
		assert_int_equal(ktls_wants(p.conn) & POLLOUT, POLLOUT);
		assert_installed(&p, 0, 0);
		/* the peer asks meanwhile */
		updates_send(&p, true);
		fake_fail(FAKE_SENDMSG, 0, EAGAIN);
		assert_errno(ktls_read(p.conn, &c, 1), EAGAIN);
		assert_installed(&p, 0, 1);
		fake_heal();
		fake_limit(FAKE_SENDMSG, 1);
		pair_send(&p, 10, 10);
		assert_records(&p, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 10);
		fake_heal();
		pair_settle(&p);
		assert_int_equal(u.n[0] + u.n[1], 2);
		pair_receive(&p, 10, 10);
		assert_installed(&p, 2, 2);
		pair_finish(&p);
	}
}

/* An alert goes behind it, under the new key. */
static void failure_meanwhile_is_told(void **state)
{
	struct pair p;
	char c;

	(void)state;
	start(&p, KTLS_REQUIRE, KTLS_REQUIRE, 0);
	fake_limit(FAKE_SENDMSG, 1);
	fake_fail(FAKE_SENDMSG, 3, EAGAIN);
	assert_int_equal(ktls_rekey(p.conn, 0), 0);
	fake_heal();
	pair_inject(&p, 99, "?", 1);
	fake_fail(FAKE_SENDMSG, 1, EAGAIN);
	assert_errno(ktls_read(p.conn, &c, 1), EPROTO);
	assert_errno(ktls_close(p.conn, 1000), EPROTO);
	p.conn = NULL;
	assert_int_equal(fake_socket_any(p.fd)->rekeys[0], 1);
	pair_peer(&p);
	assert_int_equal(p.peer_error, SSL_ERROR_SSL);
	assert_non_null(strstr(p.peer_text, "alert"));
	pair_free(&p);
}

/*
 * Half a ticket has come: OpenSSL sends nothing before it has all of it. With
 * TX in the kernel it is not asked.
 */
static void waits_for_the_end_of_a_message(void **state)
{
	static const uint8_t ticket[] = {4,   0,   0,	18,  0, 0, 0, 60,
					 1,   2,   3,	4,   1, 0, 0, 4,
					 't', 'i', 'c', 'k', 0, 0};

	(void)state;
	for (unsigned int tx = 0; tx < 2; tx++) {
		const struct pair_options o = {
			.tx = tx ? KTLS_REQUIRE : KTLS_OFF, .rx = KTLS_REQUIRE};
		struct updates u;
		struct pair p;
		char c;

		fake_reset();
		pair_start(&p, &o);
		pair_receive(&p, 10, 10);
		updates_watch(&u, &p);
		pair_inject(&p, 22, ticket, 10);
		assert_errno(ktls_read(p.conn, &c, 1), EAGAIN);
		assert_int_equal(ktls_rekey(p.conn, 0), 0);
		if (tx)
			pair_send(&p, 10, 10);
		pair_settle(&p);
		assert_int_equal(u.n[0], tx);
		p.injected = 0;
		pair_inject(&p, 22, ticket + 10, sizeof(ticket) - 10);
		assert_errno(ktls_read(p.conn, &c, 1), EAGAIN);
		pair_send(&p, 100, 100);
		pair_settle(&p);
		assert_int_equal(u.n[0], 1);
		assert_int_equal(u.last_at, 0);
		/* OpenSSL knows nothing of the ticket, and counts no record */
		pair_free(&p);
	}
}

static void numbers_are_exact(void **state)
{
	const bool lazy = *(const int *)*state;
	struct fake_socket *s;
	struct pair p;

	start(&p, KTLS_REQUIRE, KTLS_REQUIRE, 0);
	s = fake_socket(p.fd);
	s->lazy = lazy;
	s->peer->capacity = 30000;
	p.peer_deaf = true;
	for (unsigned int k = 0; k < 300; k++) {
		const size_t n = k % 7 * 111 + 1;
		struct ktls_info i;

		if (k % 3 == 0)
			assert_int_equal(ktls_rekey(p.conn, k & 1), 0);
		if (fake_room(s) == 0) {
			i = pair_info(&p);
			assert_true(i.unsent >= s->tx_list.len);
			assert_errno(ktls_flush(p.conn, 0), EAGAIN);
			p.peer_deaf = false;
			for (int t = 0; t < 9; t++) {
				pair_peer(&p);
				fake_elapse(1);
			}
			pair_settle(&p);
			p.peer_deaf = true;
		}
		pair_send(&p, n, n);
		i = pair_info(&p);
		assert_int_equal(i.unsent, s->tx_list.len);
		assert_int_equal(i.unacked, fake_queued(s));
	}
	p.peer_deaf = false;
	for (int k = 0; k < 100 && ktls_flush(p.conn, 0) < 0; k++) {
		assert_int_equal(errno, EAGAIN);
		fake_elapse(1);
		pair_peer(&p);
	}
	assert_int_equal(ktls_flush(p.conn, 0), 0);
	assert_int_equal(pair_info(&p).unsent, 0);
	assert_int_equal(s->rekeys[0], 100);
	s->lazy = false;
	pair_settle(&p);
	pair_finish(&p);
}

int main(void)
{
	static int lazy[] = {0, 1};
	static struct ktest_table t;
	int r;

#define ADD(f) ktest_add(&t, f, NULL, #f)
	ADD(arguments_and_states);
	ADD(failed_connection_repeats_its_failure);
	ADD(old_kernel_is_enotsup_and_goes_on);
	ADD(every_mode_sends_it_at_once);
	ADD(waits_for_room_and_nothing_overtakes);
	ADD(is_taken_in_parts);
	ADD(failure_meanwhile_is_told);
	ADD(waits_for_the_end_of_a_message);
	for (size_t i = 0; i < 2; i++)
		ktest_add(&t, numbers_are_exact, &lazy[i],
			  "numbers_are_exact%s", lazy[i] ? "_lazy" : "");
	r = ktest_run_table("rekey_call", &t);
	certs_free();
	return r;
}
