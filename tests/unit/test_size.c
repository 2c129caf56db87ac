/* SPDX-License-Identifier: MIT */
/* Sizes of records: the policy's, the peer's, and who cuts them. */
#include "plan.h"

#include <limits.h>

#include "fake_core.h"

static struct ktls_policy asked;

static void use_asked(struct ktls_policy *policy)
{
	policy->record_size = asked.record_size;
	policy->record_ramp = asked.record_ramp;
	policy->record_idle = asked.record_idle;
	policy->stall_guard = asked.stall_guard;
}

static void ask(uint32_t size, uint64_t ramp, uint32_t idle)
{
	ktls_policy_init(&asked, sizeof(asked));
	asked.record_size = size;
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

static void each_call_keeps_to_the_size(void **state)
{
	static const uint32_t sizes[] = {512, 513, 1000, 4096, 16383, 16384};
	const struct mode *m = *state;

	for (size_t i = 0; i < 3 * ARRAY_SIZE(sizes); i++) {
		const uint32_t size = sizes[i / 3];
		struct plan pl = {.n = 0};
		uint8_t buf[FAKE_PAGE];
		struct pair p;
		off_t off;
		int fd[2];

		ask(size, 0, 1000);
		mode_tx(&p, m, 0, use_asked);
		fake_kernel.no_payload_len = i % 3 == 1;
		if (i % 3 == 2) {
			/* later, and in the middle of all */
			pair_free(&p);
			ask(16384, 0, 1000);
			mode_tx(&p, m, 0, use_asked);
			asked.record_size = size;
			assert_int_equal(ktls_set_policy(p.conn, &asked), -1);
			asked.tx = m->use;
			asked.rx = KTLS_OFF;
			asked.offload_after = m->after;
			assert_int_equal(ktls_set_policy(p.conn, &asked), 0);
		}
		if (m->use == KTLS_AUTO)
			assert_int_equal(ktls_offload(p.conn, KTLS_TX), 0);
		assert_int_equal(pair_info(&p).record_size_asked, size);
		assert_int_equal(pair_info(&p).record_size, size);
		assert_int_equal(stream_writev(&p, 50000, 3, 0), 50000);
		longest(&p, size, 50000);
		assert_int_equal(stream_writev(&p, 50001, 100, KTLS_MORE), 50001);
		assert_int_equal(stream_writev(&p, 50001, 100, 0), 50001);
		longest(&p, size, 100002);
		off = (off_t)p.accepted;
		while (off < (off_t)p.accepted + 70000)
			assert_true(
				ktls_sendfile(
					p.conn,
					fake_file(FAKE_REGULAR, OURS, 1 << 30),
					&off,
					p.accepted + 70000 - (uint64_t)off) > 0);
		p.accepted += 70000;
		longest(&p, size, 70000);
		plan_add(&pl, &p, -777);
		plan_add(&pl, &p, 30000);
		plan_add(&pl, &p, -30001);
		plan_add(&pl, &p, 70001);
		plan_run(&p, &pl);
		longest(&p, size, pl.total);
		plan_free(&pl);
		fake_pipe(fd, 1);
		for (int k = 0; k < 5; k++) {
			size_t sum = 0;

			fake_pattern(OURS, p.accepted, buf, sizeof(buf));
			fake_pipe_fill(fd[1], buf, sizeof(buf), sizeof(buf));
			while (sum < sizeof(buf)) {
				const ssize_t n = ktls_splice_in(p.conn, fd[0],
								 sizeof(buf), 0);

				assert_true(n > 0);
				sum += (size_t)n;
			}
			p.accepted += sizeof(buf);
			longest(&p, size, sizeof(buf));
		}
		pair_settle(&p);
		pair_finish(&p);
	}
}

static void info_says_who_cuts(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	if (m->use == KTLS_AUTO)
		return;
	for (int i = 0; i < 3; i++) {
		ask(i == 0 ? 16384 : 1000, 0, 1000);
		fake_reset();
		{
			const struct pair_options o = {.version = m->version,
						       .tx = m->use,
						       .rx = KTLS_OFF,
						       .policy = use_asked};

			fake_kernel.no_payload_len = i == 2;
			pair_start(&p, &o);
		}
		assert_int_equal(pair_info(&p).record_sizing,
				 mode_user(m) ? KTLS_SIZING_OPENSSL
				 : i == 2     ? KTLS_SIZING_CALLS
					      : KTLS_SIZING_KERNEL);
		assert_int_equal(fake_count(FAKE_SET_PAYLOAD),
				 !mode_user(m) && i > 0);
		assert_int_equal(fake_socket(p.fd)->tx_max,
				 !mode_user(m) && i == 1 ? 1000 : 16384);
		assert_int_equal(pair_info(&p).record_limit, 16384);
		/* the kernel's call takes what it can */
		if (mode_kernel(m) && i == 1) {
			const unsigned int calls = fake_count(FAKE_SEND);

			wire_records(&p, NULL, 0);
			stream_send(&p, 50000, 1, 0);
			assert_int_equal(fake_count(FAKE_SEND), calls + 1);
			longest(&p, 1000, 50000);
		}
		pair_finish(&p);
	}
}

static void fragments(struct pair *p)
{
	SSL_set_tlsext_max_fragment_length(p->peer,
					   TLSEXT_max_fragment_length_1024);
}

/* RFC 6066: what a peer cannot take it does not get, whatever is asked for. */
static void limit_of_the_peer_is_kept(void **state)
{
	static const uint32_t sizes[] = {512, 1024, 5000, 16384};
	const struct mode *m = *state;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		const uint32_t size = sizes[i / 2],
			       want = size < 1024 ? size : 1024;
		const struct pair_options o = {.version = m->version,
					       .server = true,
					       .blocking = m->blocking,
					       .tx = m->use,
					       .rx = KTLS_OFF,
					       .policy = use_asked,
					       .setup_ssl = fragments};
		struct plan pl = {.n = 0};
		struct pair p;

		ask(size, 0, 1000);
		fake_reset();
		fake_kernel.no_payload_len = i % 2;
		pair_start(&p, &o);
		wire_records(&p, NULL, 0);
		assert_int_equal(pair_info(&p).record_limit, 1024);
		assert_int_equal(pair_info(&p).record_size, want);
		assert_int_equal(pair_info(&p).record_size_asked, size);
		assert_int_equal(stream_writev(&p, 20000, 3, KTLS_MORE), 20000);
		assert_int_equal(ktls_flush(p.conn, 0), 0);
		longest(&p, want, 20000);
		plan_add(&pl, &p, -500);
		plan_add(&pl, &p, 20000);
		plan_run(&p, &pl);
		longest(&p, want, 20500);
		plan_free(&pl);
		pair_settle(&p);
		pair_finish(&p);
	}
}

/* The kernel was told less than what is asked for now. */
static void kernels_limit_stays(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	if (!mode_kernel(m))
		return;
	for (int i = 0; i < 2; i++) {
		ask(512, 0, 1000);
		mode_tx(&p, m, 0, use_asked);
		assert_int_equal(fake_socket(p.fd)->tx_max, 512);
		ask(16384, i ? 1 << 20 : 0, 1000);
		asked.tx = m->use;
		asked.rx = KTLS_OFF;
		assert_int_equal(ktls_set_policy(p.conn, &asked), 0);
		fake_socket(p.fd)->mss = 1448;
		assert_int_equal(pair_info(&p).record_size, 512);
		for (int k = 0; k < 20; k++)
			assert_int_equal(stream_writev(&p, 333, 3, KTLS_MORE),
					 333);
		assert_int_equal(stream_writev(&p, 5000, 3, KTLS_MORE), 5000);
		assert_int_equal(stream_writev(&p, 5000, 3, 0), 5000);
		longest(&p, 512, 20 * 333 + 10000);
		pair_finish(&p);
	}
}

/* Smaller than what is open already: that one goes out first. */
static void smaller_records_behind_an_open_one(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	for (int i = 0; i < 3; i++) {
		ask(16384, 0, 1000);
		mode_tx(&p, m, 0, use_asked);
		if (m->use == KTLS_AUTO)
			assert_int_equal(ktls_offload(p.conn, KTLS_TX), 0);
		assert_int_equal(stream_writev(&p, 2000, 3, KTLS_MORE), 2000);
		ask(1000, 0, 1000);
		asked.tx = m->use;
		asked.rx = KTLS_OFF;
		asked.offload_after = m->after;
		assert_int_equal(ktls_set_policy(p.conn, &asked), 0);
		assert_int_equal(stream_writev(&p, i == 2 ? 900 : 2500, 3,
					       i ? KTLS_MORE : 0),
				 i == 2 ? 900 : 2500);
		if (i == 0)
			assert_records(&p, 2000, 1000, 1000, 500);
		if (i == 1)
			assert_records(&p, 2000, 1000, 1000);
		if (i == 2)
			assert_records(&p, 2000);
		pair_finish(&p);
	}
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
		void *mode = (void *)(uintptr_t)&modes[i];

#define ADD(f) ktest_add(&t, f, mode, #f "_%s", modes[i].name)
		ADD(each_call_keeps_to_the_size);
		ADD(info_says_who_cuts);
		ADD(limit_of_the_peer_is_kept);
		ADD(kernels_limit_stays);
		ADD(smaller_records_behind_an_open_one);
	}
	r = ktest_run_table("size", &t);
	certs_free();
	return r;
}
