/* SPDX-License-Identifier: MIT */
/* The record ramp: small records at the beginning, and after a pause. */
#include "plan.h"

#include "fake_core.h"

static struct ktls_policy asked;

static void use_asked(struct ktls_policy *policy)
{
	policy->record_ramp = asked.record_ramp;
	policy->record_idle = asked.record_idle;
}

static void ask(uint64_t ramp, uint32_t idle)
{
	ktls_policy_init(&asked, sizeof(asked));
	asked.record_ramp = ramp;
	asked.record_idle = idle;
}

/* No record is longer, and those of one source are as long as can be. */
static void longest(struct pair *p, size_t size, uint64_t total)
{
	static size_t got[8192];
	const size_t n = wire_records(p, got, ARRAY_SIZE(got));
	uint64_t sum = 0;

	assert_true(n > 0 && n <= ARRAY_SIZE(got));
	for (size_t i = 0; i < n; i++) {
		assert_true(got[i] <= size);
		sum += got[i];
	}
	assert_int_equal(sum, total);
	assert_true(n <= total / size + 6);
}

/* A record fits one segment, as long as the ramp goes. */
static void ramp_is_one_segment_a_record(void **state)
{
	static const int mss[] = {1448, 1428, 9000, 100, 530, 65483, 16384};
	const struct mode *m = *state;
	const size_t overhead = m->version == TLS1_2_VERSION ? 29 : 22;

	for (size_t i = 0; i < ARRAY_SIZE(mss); i++) {
		size_t got[200], n, k, sum = 0;
		size_t small = (size_t)mss[i] - overhead;
		struct pair p;

		if (mss[i] < 512 + (int)overhead)
			small = 512;
		if (small > 16384)
			small = 16384;
		ask(40000, 1000);
		mode_tx(&p, m, 0, use_asked);
		fake_socket(p.fd)->mss = mss[i];
		if (m->use == KTLS_AUTO)
			assert_int_equal(ktls_offload(p.conn, KTLS_TX), 0);
		assert_int_equal(pair_info(&p).record_ramp, 40000);
		stream_send(&p, 100000, 3, 0);
		n = wire_records(&p, got, 200);
		assert_true(n <= 200);
		for (k = 0; k < n && sum < 40000; k++) {
			assert_int_equal(got[k], small);
			sum += got[k];
		}
		assert_true(sum < 40000 + small);
		assert_int_equal(pair_info(&p).record_size, 16384);
		/* then large ones, and no more small ones */
		for (; k + 1 < n; k++) {
			assert_int_equal(got[k], 16384);
			sum += got[k];
		}
		assert_int_equal(sum + got[n - 1], 100000);
		pair_settle(&p);
		pair_finish(&p);
	}
}

static void ramp_begins_anew_after_a_pause(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	ask(2000, 50);
	mode_tx(&p, m, 0, use_asked);
	fake_socket(p.fd)->mss = m->version == TLS1_2_VERSION ? 1029 : 1022;
	if (m->use == KTLS_AUTO)
		assert_int_equal(ktls_offload(p.conn, KTLS_TX), 0);
	stream_send(&p, 4000, 1, 0);
	assert_records(&p, 1000, 1000, 2000);
	fake_clock += 49;
	stream_send(&p, 4000, 1, 0);
	assert_records(&p, 4000);
	/* since the last one, not since the first */
	fake_clock += 49;
	stream_send(&p, 4000, 3, 0);
	assert_records(&p, 4000);
	fake_clock += 50;
	/* the path has changed meanwhile */
	fake_socket(p.fd)->mss += 100;
	stream_send(&p, 4000, 3, 0);
	assert_records(&p, 1100, 1100, 1800);
	/* it is bytes that count, of several calls */
	fake_clock += 50;
	stream_send(&p, 600, 1, 0);
	stream_send(&p, 600, 1, 0);
	stream_send(&p, 2000, 1, 0);
	assert_records(&p, 600, 600, 1100, 900);
	/* reading is no sending */
	for (int i = 0; i < 10; i++) {
		fake_clock += 10;
		p.peer_todo += 10;
		pair_receive(&p, 10, 10);
	}
	stream_send(&p, 1500, 1, 0);
	assert_records(&p, 1100, 400);
	pair_finish(&p);
}

static void ramp_of_every_call(void **state)
{
	const struct mode *m = *state;
	struct plan pl = {.n = 0};
	uint8_t buf[FAKE_PAGE];
	struct pair p;
	int fd[2];

	ask(UINT64_MAX, UINT32_MAX);
	mode_tx(&p, m, 0, use_asked);
	fake_socket(p.fd)->mss = 1448;
	if (m->use == KTLS_AUTO)
		assert_int_equal(ktls_offload(p.conn, KTLS_TX), 0);
	plan_add(&pl, &p, -1000);
	plan_add(&pl, &p, 50000);
	plan_add(&pl, &p, -1000);
	plan_run(&p, &pl);
	longest(&p, 1426, pl.total);
	plan_free(&pl);
	fake_pipe(fd, 16);
	fake_pattern(OURS, p.accepted, buf, sizeof(buf));
	fake_pipe_fill(fd[1], buf, sizeof(buf), 1000);
	assert_int_equal(ktls_splice_in(p.conn, fd[0], 100000, 0), sizeof(buf));
	p.accepted += sizeof(buf);
	longest(&p, 1426, sizeof(buf));
	stream_send(&p, 20000, 30, KTLS_MORE);
	stream_send(&p, 20000, 30, 0);
	longest(&p, 1426, 40000);
	pair_finish(&p);
}

/* MSS is not to be had: no ramp, and no failure. */
static void ramp_without_a_segment_is_none(void **state)
{
	struct pair p;

	ask(100000, 1000);
	mode_tx(&p, *state, 0, use_asked);
	fake_fail(FAKE_GET_MAXSEG, 0, ENOPROTOOPT);
	if (((const struct mode *)*state)->use == KTLS_AUTO)
		assert_int_equal(ktls_offload(p.conn, KTLS_TX), 0);
	stream_send(&p, 40000, 1, 0);
	assert_records(&p, 16384, 16384, 7232);
	pair_finish(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
		void *mode = (void *)(uintptr_t)&modes[i];

		/* the ramp of these has begun */
		if (mode_adopted(&modes[i]))
			continue;
#define ADD(f) ktest_add(&t, f, mode, #f "_%s", modes[i].name)
		ADD(ramp_is_one_segment_a_record);
		ADD(ramp_begins_anew_after_a_pause);
		ADD(ramp_of_every_call);
		ADD(ramp_without_a_segment_is_none);
	}
	r = ktest_run_table("ramp", &t);
	certs_free();
	return r;
}
