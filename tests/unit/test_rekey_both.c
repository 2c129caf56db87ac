/* SPDX-License-Identifier: MIT */
/* KeyUpdates of both sides at once, hundreds of them, with records under way. */
#include "updates.h"

#include "fake_core.h"

/* A step of either side, by chance. */
static void any_step(struct pair *p)
{
	static uint8_t buf[70000];
	const size_t n = 1 + random_below(random_below(2) ? 70000 : 100);
	size_t room;
	ssize_t r;

	switch (random_below(6)) {
	case 0:
		fake_pattern(OURS, p->accepted, buf, n);
		r = ktls_write(p->conn, buf, n);
		if (r > 0)
			p->accepted += (uint64_t)r;
		else
			assert_int_equal(errno, EAGAIN);
		break;
	case 1:
		r = ktls_read(p->conn, buf, n);
		if (r < 0) {
			assert_int_equal(errno, EAGAIN);
			break;
		}
		assert_int_equal(
			fake_pattern_check(THEIRS, p->got, buf, (size_t)r), r);
		p->got += (uint64_t)r;
		break;
	case 2:
		/*
		 * OpenSSL 3.0 loses its way ("bad length") when two KeyUpdates
		 * come while a record of its own is half written.
		 */
		room = fake_room(fake_socket(p->peer_fd));
		if (p->peer_todo == 0 && room > 2000)
			p->peer_todo = n < room / 2 ? n : room / 2;
		break;
	case 3:
		pair_peer(p);
		pair_peer_ok(p);
		break;
	case 4:
		(void)updates_ask(p, random_below(2));
		break;
	case 5:
		if (random_below(2))
			assert_int_equal(
				ktls_rekey(p->conn, (int)random_below(2)), 0);
		fake_elapse(1);
		break;
	}
}

/* From both sides, with records under way in both directions. */
static void hundreds_lose_nothing(void **state)
{
	const unsigned int disturb = *(const unsigned int *)*state;

	for (unsigned int bits = 0; bits < 16; bits++) {
		const struct updates_row r = updates_row_of(bits);
		struct pair p;

		if (r.blocking)
			continue;
		random_start(disturb * 16 + bits);
		updates_open(&p, &r, NULL);
		fake_flaky(disturb == 1);
		fake_kernel.async = disturb == 2;
		fake_socket(p.fd)->lazy = disturb == 3;
		p.slow = disturb == 3;
		if (disturb == 4) {
			fake_limit(FAKE_SENDMSG, 1);
			fake_limit(FAKE_RECVMSG, 3000);
			fake_socket(p.fd)->capacity = 20000;
			fake_socket(p.peer_fd)->capacity = 20000;
		}
		for (int k = 0; k < 6000; k++)
			any_step(&p);
		fake_heal();
		pair_receive(&p, 0, 1);
		pair_receive(&p, p.peer_todo + p.peer_sent - p.got, 70000);
		pair_send(&p, 1000, 1000);
		for (int k = 0; k < 1000 && p.peer_got < p.accepted; k++) {
			fake_elapse(1);
			pair_peer(&p);
		}
		assert_true(pair_info(&p).tx.rekeys > 200);
		assert_true(pair_info(&p).rx.rekeys > 200);
		if (r.tx)
			assert_true(fake_socket(p.fd)->rekeys[0] > 200);
		if (r.rx)
			assert_true(fake_socket(p.fd)->rekeys[1] > 200);
		pair_finish(&p);
	}
}

/* Both ask at once: each answers the other, and there it ends. */
static void requests_that_cross_end(void **state)
{
	(void)state;
	for (unsigned int bits = 0; bits < 16; bits++) {
		const struct updates_row r = updates_row_of(bits);
		struct updates u;
		struct pair p;

		updates_open(&p, &r, NULL);
		updates_watch(&u, &p);
		for (unsigned int k = 1; k <= 10; k++) {
			updates_send(&p, true);
			assert_int_equal(ktls_rekey(p.conn, 1), 0);
			pair_receive(&p, 1000, 1000);
			pair_send(&p, 1000, 1000);
			pair_settle(&p);
			pair_receive(&p, 1000, 1000);
			assert_int_equal(u.n[1], k);
			assert_int_equal(u.n[0], k);
			assert_rekeys(&p, 2 * k, 2 * k);
		}
		pair_finish(&p);
	}
}

int main(void)
{
	static unsigned int disturb[] = {0, 1, 2, 3, 4};
	static const char *const words[] = {"calm", "flaky", "async", "lazy",
					    "tiny"};
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(disturb); i++)
		ktest_add(&t, hundreds_lose_nothing, &disturb[i],
			  "hundreds_lose_nothing_%s", words[i]);
	ktest_add(&t, requests_that_cross_end, NULL, "requests_that_cross_end");
	r = ktest_run_table("rekey_both", &t);
	certs_free();
	return r;
}
