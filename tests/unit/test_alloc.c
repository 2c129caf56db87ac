/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of a connection's life fails once: no crash, no leak, no
 * wrong byte, no plaintext; the caller sees ENOMEM, EPROTO or a refusal.
 */
#include "pair.h"

#include <openssl/err.h>

#include "alloc.h"

enum {
	SENT = 40000,
	STEP = 10000,
	BORING = 40 /* of the allocations inside OpenSSL's handshake */
};

static struct row {
	uint32_t tx, rx;
	bool server;
	int version;
} rows[] = {
	{KTLS_OFF, KTLS_OFF, true, TLS1_3_VERSION},
	{KTLS_AUTO, KTLS_REQUIRE, false, TLS1_3_VERSION},
	{KTLS_REQUIRE, KTLS_OFF, true, TLS1_3_VERSION},
	{KTLS_REQUIRE, KTLS_REQUIRE, true, TLS1_2_VERSION},
	{KTLS_AUTO, KTLS_AUTO, false, TLS1_2_VERSION},
};

static unsigned long after_new, after_handshake;

/* A failure that running out of memory may have; false: not now. */
static bool failed(struct pair *p, bool require)
{
	const int e = errno;

	alloc_pause();
	if (e == EAGAIN) {
		pair_peer(p);
		alloc_resume();
		return false;
	}
	/* OpenSSL 3.5 says "bad record mac" when its cipher had no memory */
	if (e != ENOMEM && e != EPROTO && e != EBADMSG &&
	    !(e == ENOTSUP && require))
		fail_msg("%s: %s", strerror(e), pair_error(p).text);
	alloc_resume();
	return true;
}

static bool send_some(struct pair *p)
{
	static uint8_t buf[STEP];

	for (int i = 0; i < 1000 && p->accepted < SENT; i++) {
		ssize_t n;

		alloc_pause();
		fake_pattern(OURS, p->accepted, buf, sizeof(buf));
		alloc_resume();
		n = ktls_write(p->conn, buf, sizeof(buf));
		if (n > 0)
			p->accepted += (uint64_t)n;
		else if (failed(p, false))
			return false;
	}
	return p->accepted >= SENT;
}

static bool receive_some(struct pair *p)
{
	uint8_t buf[STEP];

	p->peer_todo = SENT;
	for (int i = 0; i < 1000 && p->got < SENT; i++) {
		ssize_t n;

		n = ktls_read(p->conn, buf, sizeof(buf));
		if (n > 0) {
			assert_int_equal(fake_pattern_check(THEIRS, p->got, buf,
							    (size_t)n),
					 n);
			p->got += (uint64_t)n;
		} else if (n == 0) {
			fail_msg("an end that is none");
		} else if (failed(p, false)) {
			return false;
		}
	}
	return p->got >= SENT;
}

/* With the library's own calls counted; true when all of it succeeded. */
static bool live_through(struct pair *p, const struct row *row, unsigned long nth)
{
	const bool require = row->tx == KTLS_REQUIRE || row->rx == KTLS_REQUIRE;
	struct ktls_policy policy;
	bool ok;

	ktls_policy_init(&policy, sizeof(policy));
	policy.tx = row->tx;
	policy.rx = row->rx;
	policy.offload_after = 20000;
	ktls_conn_free(p->conn);
	SSL_free(p->ssl);
	p->ssl = SSL_new(p->ctx);
	(row->server ? SSL_set_accept_state : SSL_set_connect_state)(p->ssl);
	alloc_start(nth);
	p->conn = ktls_conn_new(p->ssl, p->fd, &policy);
	after_new = nth ? after_new : alloc_stop();
	if (!nth)
		alloc_start(0);
	if (!p->conn) {
		assert_int_equal(errno, ENOMEM);
		alloc_stop();
		return false;
	}
	while (ktls_handshake(p->conn) != 0)
		if (failed(p, require)) {
			alloc_stop();
			return false;
		}
	/* what is required is there as soon as it is said to be */
	alloc_pause();
	if (row->tx == KTLS_REQUIRE)
		assert_int_equal(pair_info(p).tx.mode, KTLS_MODE_KERNEL);
	if (row->rx == KTLS_REQUIRE)
		assert_int_equal(pair_info(p).rx.mode, KTLS_MODE_KERNEL);
	alloc_resume();
	after_handshake = nth ? after_handshake : alloc_stop();
	if (!nth)
		alloc_start(0);
	ok = send_some(p);
	ok = receive_some(p) && ok;
	for (int i = 0; i < 1000 && ktls_shutdown(p->conn, 0) != 0; i++)
		if (failed(p, false) && (ok = false, i > 3))
			break;
	alloc_stop();
	return ok && nth != 0;
}

static unsigned long run(const struct row *row, unsigned long nth, bool *ok)
{
	const struct pair_options o = {.version = row->version,
				       .server = row->server,
				       .capacity = 30000};
	const long live = (fake_reset(), alloc_live());
	struct pair p;
	unsigned long n;

	pair_open(&p, &o);
	*ok = live_through(&p, row, nth);
	n = alloc_stop();
	ERR_clear_error();
	/* what was reported accepted arrives, unless TLS itself has ended */
	if (*ok) {
		pair_settle(&p);
		assert_true(p.peer_closed);
	}
	pair_peer(&p);
	assert_no_leak(&p);
	pair_free(&p);
	assert_int_equal(alloc_live(), live);
	return n;
}

/* Those of the library itself are few: each of them. */
static void every_own_allocation_may_fail(void **state)
{
	const struct row *row = *state;
	unsigned long total, failed_at = 0;
	bool ok = true;

	alloc_count_openssl(false);
	run(row, 0, &ok);
	total = run(row, 0, &ok);
	total += after_new + after_handshake;
	assert_true(total > 5);
	for (unsigned long nth = 1; nth < total + 20; nth++) {
		run(row, nth, &ok);
		failed_at = ok ? failed_at : nth;
	}
	assert_true(failed_at > 0 && ok);
	alloc_count_openssl(true);
}

static void every_allocation_may_fail(void **state)
{
	const struct row *row = *state;
	unsigned long total, nth = 1;
	bool ok;

	/* caches of the process are filled, then it is counted */
	run(row, 0, &ok);
	total = run(row, 0, &ok);
	total += after_new + after_handshake;
	assert_true(after_new > 0 && after_handshake > 0);
	while (nth < total + 200) {
		run(row, nth, &ok);
		/* OpenSSL's own handshake by samples, the rest one by one */
		if (nth > after_new + 5 &&
		    nth + BORING < after_new + after_handshake * 9 / 10)
			nth += BORING;
		else
			nth++;
		if (ok && nth > total)
			break;
	}
	assert_true(ok);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	alloc_use_for_openssl();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ktest_add(&t, every_own_allocation_may_fail, &rows[i],
			  "every_own_allocation_may_fail_%zu", i);
		ktest_add(&t, every_allocation_may_fail, &rows[i],
			  "every_allocation_may_fail_%zu", i);
	}
	r = ktest_run_table("alloc", &t);
	certs_free();
	return r;
}
