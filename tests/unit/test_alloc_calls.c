/* SPDX-License-Identifier: MIT */
/*
 * Every allocation fails once, in the calls that gather, splice, peek and
 * flush: no crash, no leak, no wrong byte, and what was accepted arrives.
 */
#include "plan.h"

#include <openssl/err.h>

#include "alloc.h"
#include "fake_core.h"

enum { ROUNDS = 6, CHUNK = 21000 };

static const struct mode *mode;
static bool tx_side;

/* False: the connection has ended, as running out of memory may end it. */
static bool goes_on(struct pair *p, const char *call)
{
	const int e = errno;

	alloc_pause();
	if (e == EAGAIN)
		pair_peer(p);
	/* OpenSSL 3.5 says "bad record mac" when its cipher had no memory */
	else if (e != ENOMEM && e != EPROTO && e != EBADMSG && e != EIO)
		fail_msg("%s: %s: %s", call, strerror(e), pair_error(p).text);
	alloc_resume();
	/* ENOMEM is one call's trouble where nothing was lost by it */
	return e == EAGAIN || (e == ENOMEM && ktls_flush(p->conn, 0) >= 0) ||
	       (e == ENOMEM && errno == EAGAIN);
}

/* One call that sends, of another kind in each round. */
static ssize_t send_once(struct pair *p, int round, int pipe[2])
{
	static uint8_t buf[CHUNK];
	struct ktls_span s[2] = {{.buf = buf, .len = 500}, {.len = 9000}};
	struct ktls_cursor c = {.span = 0};
	struct iovec v[2] = {{buf, 1000}, {buf + 1000, CHUNK - 1000}};
	ssize_t n = 0;

	alloc_pause();
	fake_pattern(OURS, p->accepted, buf, sizeof(buf));
	s[1].fd = fake_file(FAKE_REGULAR, OURS, (int64_t)1 << 40);
	s[1].offset = (off_t)p->accepted + 500;
	if (round % 3 == 2 && fake_pipe_of(pipe[0])->n == 0)
		fake_pipe_fill(pipe[1], buf, 3000, 700);
	alloc_resume();
	if (fake_pipe_of(pipe[0])->n > 0)
		n = ktls_splice_in(p->conn, pipe[0], 1 << 20,
				   round & 1 ? KTLS_MORE : 0);
	else if (round % 3 == 0)
		n = ktls_writev(p->conn, v, 2, round & 1 ? KTLS_MORE : 0);
	else
		n = ktls_sendfilev(p->conn, s, 2, &c);
	return n;
}

static bool send_some(struct pair *p)
{
	int pipe[2];

	alloc_pause();
	fake_pipe(pipe, FAKE_SLOTS);
	alloc_resume();
	for (int round = 0, i = 0; round < ROUNDS && i < 1000; i++) {
		const ssize_t n = send_once(p, round, pipe);

		if (n > 0) {
			p->accepted += (uint64_t)n;
			round += fake_pipe_of(pipe[0])->n == 0;
		} else if (!goes_on(p, "sending")) {
			return false;
		}
	}
	for (int i = 0; i < 1000; i++) {
		if (ktls_flush(p->conn, 0) == 0)
			return true;
		if (!goes_on(p, "ktls_flush"))
			return false;
	}
	return false;
}

static ssize_t receive_once(struct pair *p, int round, int pipe[2])
{
	static uint8_t buf[CHUNK];
	struct iovec v[2] = {{buf, 700}, {buf + 700, 3000}};
	ssize_t n, k;

	if (round % 3 == 0) {
		n = ktls_splice_out(p->conn, pipe[1], 5000, 0);
		if (n <= 0)
			return n;
		k = fake_pipe_read(pipe[0], buf, sizeof(buf));
		assert_int_equal(k, n);
	} else {
		k = round % 3 == 1 ? ktls_peek(p->conn, buf, 600) : 0;
		if (k < 0)
			return k;
		assert_int_equal(
			fake_pattern_check(THEIRS, p->got, buf, (size_t)k), k);
		n = ktls_readv(p->conn, v, 2);
	}
	if (n > 0)
		assert_int_equal(
			fake_pattern_check(THEIRS, p->got, buf, (size_t)n), n);
	return n;
}

static bool receive_some(struct pair *p)
{
	const uint64_t all = ROUNDS * 9000;
	int pipe[2];

	alloc_pause();
	fake_pipe(pipe, FAKE_SLOTS);
	p->peer_todo = all;
	pair_peer(p);
	alloc_resume();
	for (int round = 0, i = 0; p->got < all && i < 1000; i++) {
		const ssize_t n = receive_once(p, round, pipe);

		if (n > 0) {
			p->got += (uint64_t)n;
			round++;
		} else if (n == 0) {
			fail_msg("an end that is none");
		} else if (!goes_on(p, "receiving")) {
			return false;
		}
	}
	return p->got == all;
}

/* How many allocations there were; *ok: nothing ended the connection. */
static unsigned long run(unsigned long nth, bool *ok)
{
	const long live = (fake_reset(), alloc_live());
	struct ktls_policy policy;
	struct pair p;
	unsigned long n;

	(tx_side ? mode_tx : mode_rx)(&p, mode, 40000, NULL);
	ktls_policy_init(&policy, sizeof(policy));
	policy.tx = tx_side ? mode->use : KTLS_OFF;
	policy.rx = tx_side ? KTLS_OFF : mode->use;
	policy.record_size = 5000;
	policy.offload_after = mode->after;
	alloc_start(nth);
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	*ok = tx_side ? send_some(&p) : receive_some(&p);
	n = alloc_stop();
	ERR_clear_error();
	if (*ok) {
		pair_peer(&p);
		/* with a byte that was held back */
		assert_in_range(p.peer_got, p.accepted, p.accepted + 1);
	}
	assert_no_leak(&p);
	pair_free(&p);
	assert_int_equal(alloc_live(), live);
	return n;
}

static void every_allocation_may_fail(void **state)
{
	unsigned long total;
	bool ok;

	mode = *state;
	for (int i = 0; i < 4; i++) {
		tx_side = i & 1;
		alloc_count_openssl(i & 2);
		/* caches of the process are filled, then it is counted */
		run(0, &ok);
		total = run(0, &ok);
		assert_true(ok);
		for (unsigned long nth = 1; nth <= total + 5; nth++) {
			run(nth, &ok);
		}
		assert_true(ok);
	}
	alloc_count_openssl(true);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	alloc_use_for_openssl();
	for (size_t i = 0; i < n_modes; i++)
		if (!modes[i].blocking)
			ktest_add(&t, every_allocation_may_fail,
				  (void *)(uintptr_t)&modes[i],
				  "every_allocation_may_fail_%s", modes[i].name);
	r = ktest_run_table("alloc_calls", &t);
	certs_free();
	return r;
}
