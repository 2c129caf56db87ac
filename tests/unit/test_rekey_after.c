/* SPDX-License-Identifier: MIT */
/* rekey_after: new keys after so many records, whatever sends them. */
#include "pipes.h"
#include "plan.h"
#include "updates.h"

enum { TOTAL = 150000, CALL = 10000 };

enum method { WRITE, WRITEV_MORE, SENDFILE, SENDFILEV, SPLICE_IN, METHODS };
static const char *const method_names[] = {"write", "writev_more", "sendfile",
					   "sendfilev", "splice_in"};

static uint64_t limit;

static void limited(struct ktls_policy *policy)
{
	policy->rekey_after = limit;
}

static void by_file(struct pair *p)
{
	const int file = fake_file(FAKE_REGULAR, OURS, 1 << 30);
	const uint64_t end = p->accepted + TOTAL;

	while (p->accepted < end) {
		off_t off = (off_t)p->accepted;
		const ssize_t n = ktls_sendfile(
			p->conn, file, &off,
			end - p->accepted < CALL ? end - p->accepted : CALL);

		if (n < 0)
			stream_wait(p, "ktls_sendfile");
		else
			p->accepted += (uint64_t)n;
	}
}

static void by_spans(struct pair *p)
{
	for (int i = 0; i < TOTAL / 10000; i++) {
		struct plan pl = {.n = 0};

		plan_add(&pl, p, -2000);
		plan_add(&pl, p, 5000);
		plan_add(&pl, p, -3000);
		plan_run(p, &pl);
		plan_free(&pl);
	}
}

static void send_by(struct pair *p, enum method how)
{
	struct feed f;

	switch (how) {
	case WRITE:
		pair_send(p, TOTAL, CALL);
		break;
	case WRITEV_MORE:
		for (int i = 0; i < TOTAL / CALL; i++) {
			stream_send(p, 100, 3, KTLS_MORE);
			stream_send(p, CALL - 100, 3, i & 1 ? KTLS_MORE : 0);
		}
		break;
	case SENDFILE:
		by_file(p);
		break;
	case SENDFILEV:
		by_spans(p);
		break;
	case SPLICE_IN:
		feed_open(&f, p, 16, TOTAL);
		feed_run(&f, CALL, 0);
		break;
	case METHODS:
		break;
	}
	while (ktls_flush(p->conn, 0) < 0)
		stream_wait(p, "ktls_flush");
}

struct row {
	enum method how;
	const struct mode *mode;
};

static void keys_change_in_time(void **state)
{
	static const uint64_t limits[] = {1, 4};
	const struct row *r = *state;

	for (unsigned int i = 0; i < 6; i++) {
		struct updates u;
		uint64_t before;
		struct pair p;

		limit = limits[i & 1];
		mode_tx(&p, r->mode, i & 2 ? 20000 : 0, limited);
		fake_flaky(i >= 4);
		assert_int_equal(pair_info(&p).rekey_after, limit);
		/* tickets count as well */
		before = pair_info(&p).tx.rekeys;
		updates_watch(&u, &p);
		send_by(&p, r->how);
		fake_heal();
		pair_settle(&p);
		/* a call's worth is one record here, or two with what was open */
		assert_in_range(u.most, 2, limit + 3);
		if (r->how == WRITE && i < 2)
			assert_in_range(u.n[0], TOTAL / CALL / limit - 1,
					TOTAL / CALL / limit + 1);
		assert_true(u.n[0] >= TOTAL / 16384 / (limit + 2));
		assert_int_equal(u.n[1], 0);
		/* none without a record to protect */
		assert_int_equal(u.largest, 1);
		assert_int_equal(pair_info(&p).tx.rekeys - before, u.n[0]);
		assert_true(pair_info(&p).tx.key_records <= limit + 1);
		if (mode_kernel(r->mode))
			assert_int_equal(fake_socket(p.fd)->rekeys[0], u.n[0]);
		pair_finish(&p);
	}
}

/* As many as a step sends are not cut, and the next step sees them. */
static void one_call_may_be_more(void **state)
{
	struct updates u;
	struct pair p;

	(void)state;
	limit = 1;
	mode_tx(&p, &modes[1], 0, limited);
	updates_watch(&u, &p);
	assert_int_equal(stream_writev(&p, 200000, 1, 0), 200000);
	assert_int_equal(stream_writev(&p, 10, 1, 0), 10);
	assert_records(&p, 16384, 16384, 16384, 16384, 16384, 16384, 16384,
		       16384, 16384, 16384, 16384, 16384, 3392, 5, 10);
	pair_settle(&p);
	assert_int_equal(u.n[0], 1);
	pair_finish(&p);
}

static void the_cipher_has_the_last_word(void **state)
{
	static const struct {
		const char *suite;
		uint64_t most;
	} rows[] = {
		{"TLS_AES_128_GCM_SHA256", 1 << 24},
		{"TLS_AES_256_GCM_SHA384", 1 << 24},
		{"TLS_AES_128_CCM_SHA256", 1 << 23},
		{"TLS_CHACHA20_POLY1305_SHA256", UINT64_MAX},
	};
	static const uint64_t asked[] = {0,	    1,	     (1 << 23) - 1,
					 1 << 23,   1 << 24, (1 << 24) + 1,
					 UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t k = 0; k < 2 * ARRAY_SIZE(asked); k++) {
			const struct pair_options o = {
				.suite = rows[i].suite,
				.tx = k & 1 ? KTLS_REQUIRE : KTLS_OFF,
				.rx = KTLS_OFF,
				.policy = limited,
			};
			struct ktls_info info;
			struct pair p;

			limit = asked[k / 2];
			fake_reset();
			pair_open(&p, &o);
			assert_int_equal(pair_info(&p).rekey_after, 0);
			pair_handshake(&p);
			info = pair_info(&p);
			assert_int_equal(info.rekey_after_asked, limit);
			assert_int_equal(info.rekey_after,
					 limit < rows[i].most ? limit
							      : rows[i].most);
			pair_finish(&p);
		}
	}
}

static void default_is_that_of_gcm(void **state)
{
	struct ktls_policy policy;

	(void)state;
	assert_int_equal(ktls_policy_init(&policy, sizeof(policy)), 0);
	assert_int_equal(policy.rekey_after, 1 << 24);
	assert_int_equal(policy.rekey_unsupported, KTLS_REKEY_FAIL);
}

static void none_where_there_can_be_none(void **state)
{
	(void)state;
	limit = 1;
	for (size_t i = 0; i < n_modes; i++) {
		struct updates u;
		struct pair p;

		/* a kernel that cannot; TLS 1.2 anywhere */
		mode_tx(&p, &modes[i], 0, limited);
		if (modes[i].version == TLS1_3_VERSION && mode_user(&modes[i])) {
			pair_finish(&p);
			continue;
		}
		pair_free(&p);
		fake_reset();
		fake_kernel.no_rekey = true;
		pair_start(&p,
			   &(struct pair_options){.version = modes[i].version,
						  .tx = modes[i].use,
						  .rx = KTLS_OFF,
						  .offload_after = modes[i].after,
						  .blocking = modes[i].blocking,
						  .policy = limited});
		updates_watch(&u, &p);
		pair_send(&p, 100000, 9000);
		assert_int_equal(pair_info(&p).rekey_after, 0);
		assert_int_equal(pair_info(&p).rekey_after_asked, 1);
		pair_settle(&p);
		/* before it moved, there were */
		assert_int_equal(updates_seen(&u) > 0, modes[i].after > 0);
		pair_finish(&p);
	}
}

static void policy_changes_it(void **state)
{
	const struct mode *m = *state;
	struct ktls_policy policy;
	struct updates u;
	struct pair p;

	limit = 0;
	mode_tx(&p, m, 0, limited);
	assert_int_equal(ktls_policy_init(&policy, sizeof(policy)), 0);
	policy.tx = m->use;
	policy.rx = KTLS_OFF;
	policy.offload_after = m->after;
	updates_watch(&u, &p);
	pair_send(&p, 50000, 5000);
	pair_settle(&p);
	assert_int_equal(updates_seen(&u), 0);
	/* what went under this key counts */
	policy.rekey_after = 10;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	assert_int_equal(pair_info(&p).rekey_after, 10);
	pair_send(&p, 100, 100);
	pair_settle(&p);
	assert_int_equal(updates_seen(&u), 1);
	assert_int_equal(u.last_at, 50000);
	pair_send(&p, 1000, 100);
	pair_settle(&p);
	assert_int_equal(updates_seen(&u), 2);
	assert_int_equal(u.last_at, 51000);
	policy.rekey_after = 2;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	pair_send(&p, 1000, 100);
	pair_settle(&p);
	assert_in_range(updates_seen(&u), 6, 7);
	policy.rekey_after = 0;
	assert_int_equal(ktls_set_policy(p.conn, &policy), 0);
	assert_int_equal(pair_info(&p).rekey_after, 0);
	memset(&u.n, 0, sizeof(u.n));
	pair_send(&p, 10000, 100);
	pair_settle(&p);
	assert_in_range(updates_seen(&u), 0, 1);
	pair_finish(&p);
}

int main(void)
{
	static struct row rows[METHODS * 16];
	static struct ktest_table t;
	size_t n = 0;
	int r;

	for (int how = 0; how < METHODS; how++) {
		for (size_t i = 0; i < n_modes; i++) {
			if (modes[i].version != TLS1_3_VERSION ||
			    (modes[i].blocking && how == SPLICE_IN))
				continue;
			rows[n].how = (enum method)how;
			rows[n].mode = &modes[i];
			ktest_add(&t, keys_change_in_time, &rows[n],
				  "keys_change_in_time_%s_%s",
				  method_names[how], modes[i].name);
			n++;
		}
	}
	for (size_t i = 0; i < 2; i++)
		ktest_add(&t, policy_changes_it, (void *)(uintptr_t)&modes[i],
			  "policy_changes_it_%s", modes[i].name);
#define ADD(f) ktest_add(&t, f, NULL, #f)
	ADD(one_call_may_be_more);
	ADD(the_cipher_has_the_last_word);
	ADD(default_is_that_of_gcm);
	ADD(none_where_there_can_be_none);
	r = ktest_run_table("rekey_after", &t);
	certs_free();
	return r;
}
