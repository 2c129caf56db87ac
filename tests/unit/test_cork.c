/* SPDX-License-Identifier: MIT */
/* Options of TCP that sending sets: when, and that they are put back. */
#include "plan.h"

#include <limits.h>

#include "fake_seam.h"

static uint32_t guard;
static uint64_t budget;

static void use_guard(struct ktls_policy *policy)
{
	policy->stall_guard = guard;
	policy->budget = budget;
}

static void start(struct pair *p, const struct mode *m, size_t capacity)
{
	mode_tx(p, m, capacity, use_guard);
	if (m->use == KTLS_AUTO)
		assert_int_equal(ktls_offload(p->conn, KTLS_TX), 0);
}

static bool in_kernel(const struct mode *m)
{
	return m->use != KTLS_OFF;
}

/* Everything by one kind of call or another; what is open is flushed. */
static void send_all(struct pair *p, size_t n)
{
	const uint64_t end = p->accepted + n;
	const int file = fake_file(FAKE_REGULAR, OURS, (int64_t)1 << 40);
	uint8_t buf[FAKE_SLOTS * FAKE_PAGE];
	uint64_t fed = 0;
	int fd[2];

	fake_pipe(fd, FAKE_SLOTS);
	for (uint32_t i = 0; p->accepted < end; i++) {
		struct ktls_span s[2] = {{.buf = buf, .len = 999},
					 {.fd = file, .len = 99999}};
		struct ktls_cursor c = {.span = 0};
		off_t off = (off_t)p->accepted;
		ssize_t r;

		assert_true(i < 10000);
		/* what is in the pipe comes first */
		switch (fake_pipe_of(fd[0])->n > 0 ? 3 : i % 4) {
		case 0:
			r = stream_writev(p, 70000, 5, 0);
			break;
		case 1:
			r = ktls_sendfile(p->conn, file, &off, 200001);
			p->accepted += r > 0 ? (uint64_t)r : 0;
			break;
		case 2:
			fake_pattern(OURS, p->accepted, buf, 999);
			s[1].offset = off + 999;
			r = ktls_sendfilev(p->conn, s, 2, &c);
			p->accepted += r > 0 ? (uint64_t)r : 0;
			break;
		default:
			if (fake_pipe_of(fd[0])->n == 0)
				fed = p->accepted;
			fake_pattern(OURS, fed, buf, sizeof(buf));
			fed += fake_pipe_fill(fd[1], buf, sizeof(buf), FAKE_PAGE);
			r = ktls_splice_in(p->conn, fd[0], 100000, 0);
			p->accepted += r > 0 ? (uint64_t)r : 0;
		}
		/* nothing is held back, and no option is left behind */
		assert_int_equal(fake_socket(p->fd)->cork, 0);
		if (r < 0)
			stream_wait(p, "a call");
	}
	while (fake_pipe_of(fd[0])->n > 0) {
		const ssize_t r = ktls_splice_in(p->conn, fd[0], 100000, 0);

		if (r < 0)
			stream_wait(p, "ktls_splice_in");
		p->accepted += r > 0 ? (uint64_t)r : 0;
	}
	/* of a byte that was held back */
	pair_peer(p);
	fake_pipe_close(fd[1]);
	while (ktls_splice_in(p->conn, fd[0], 1, 0) == 1)
		p->accepted++;
}

/* Records of one call are joined, where the send buffer has room for that. */
static void large_calls_are_corked(void **state)
{
	static const size_t sizes[] = {16384, 16385, 81920, 81921, 200000};
	const struct mode *m = *state;

	guard = KTLS_AUTO;
	budget = 1 << 20;
	for (size_t i = 0; i < 4 * ARRAY_SIZE(sizes); i++) {
		const size_t n = sizes[i / 4];
		const bool file = i & 1, roomy = i & 2;
		const size_t few = 16384;
		unsigned int sets;
		struct pair p;
		off_t off;

		/* in the kernel it is looked at when the keys go there */
		if (!roomy && in_kernel(m))
			continue;
		start(&p, m, 0);
		fake_socket(p.fd)->sndbuf = roomy ? 65536 : 65535;
		sets = fake_count(FAKE_SET_CORK);
		off = (off_t)p.accepted;
		if (file)
			assert_int_equal(ktls_sendfile(p.conn,
						       fake_file(FAKE_REGULAR,
								 OURS, 1 << 30),
						       &off, n),
					 n);
		else
			assert_int_equal(stream_writev(&p, n, 1, 0), n);
		p.accepted += file ? n : 0;
		assert_int_equal(fake_count(FAKE_SET_CORK) - sets,
				 n > few && roomy ? 2 : 0);
		assert_int_equal(fake_socket(p.fd)->cork, 0);
		assert_int_equal(fake_socket(p.fd)->held.len, 0);
		pair_settle(&p);
		pair_finish(&p);
	}
}

/* Who corked the socket pulls the cork. */
static void cork_of_the_caller_stays(void **state)
{
	const struct mode *m = *state;
	const int off = 0;
	struct pair p;

	guard = KTLS_AUTO;
	budget = 1 << 20;
	start(&p, m, 1 << 20);
	fake_socket(p.fd)->cork = 1;
	stream_send(&p, 200000, 3, 0);
	assert_int_equal(fake_socket(p.fd)->cork, 1);
	assert_true(fake_socket(p.fd)->held.len > 0);
	pair_peer(&p);
	assert_true(p.peer_got < p.accepted);
	assert_int_equal(ktls__sys_setsockopt(p.fd, 6, 3, &off, sizeof(off)), 0);
	pair_settle(&p);
	pair_finish(&p);
}

static void small_calls_touch_no_option(void **state)
{
	const struct mode *m = *state;
	unsigned int sum = 0;
	struct pair p;
	off_t off;

	guard = KTLS_AUTO;
	budget = 1 << 20;
	start(&p, m, 0);
	for (int i = 0; i < FAKE_CALLS; i++)
		sum += fake_count((enum fake_call)i);
	stream_send(&p, 1000, 1, 0);
	stream_send(&p, 16384, 3, 0);
	off = (off_t)p.accepted;
	assert_int_equal(ktls_sendfile(p.conn,
				       fake_file(FAKE_REGULAR, OURS, 1 << 30),
				       &off, 16384),
			 16384);
	p.accepted += 16384;
	for (int i = 0; i < FAKE_CALLS; i++)
		sum -= fake_count((enum fake_call)i);
	/* two writes, and a file, which needs more */
	assert_true(-sum <= 2 + 4);
	assert_int_equal(fake_count(FAKE_GET_CORK), 0);
	assert_int_equal(fake_count(FAKE_SET_NODELAY), 0);
	pair_finish(&p);
}

static void options_that_fail_do_no_harm(void **state)
{
	static const enum fake_call calls[] = {
		FAKE_GET_CORK,	  FAKE_SET_CORK,  FAKE_GET_NODELAY,
		FAKE_SET_NODELAY, FAKE_GET_LOWAT, FAKE_SET_LOWAT,
		FAKE_GET_SNDBUF};
	const struct mode *m = *state;
	struct pair p;

	guard = KTLS_AUTO;
	budget = 1 << 20;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(calls); i++) {
		start(&p, m, 30000);
		fake_socket(p.fd)->sndbuf = 1 << 20;
		fake_fail(calls[i / 2], i % 2 ? 3 : 0, ENOPROTOOPT);
		/* one that was set and cannot be cleared would hold for ever */
		if (calls[i / 2] == FAKE_SET_CORK && i % 2)
			fake_heal();
		send_all(&p, 300000);
		fake_heal();
		pair_settle(&p);
		pair_finish(&p);
	}
}

static void notsent_lowat_is_raised_and_put_back(void **state)
{
	static const struct {
		int lowat, sndbuf, want;
	} rows[] = {
		{16384, 1 << 20, 65536}, {65535, 1 << 20, 65536},
		{65536, 1 << 20, 0},	 {1 << 20, 1 << 20, 0},
		{0, 1 << 20, INT_MAX},	 {16384, 87040, 0},
	};
	const struct mode *m = *state;

	guard = KTLS_AUTO;
	budget = 1 << 20;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		const int want = in_kernel(m) ? rows[i / 2].want : 0;
		struct fake_socket *s;
		struct pair p;
		int fd;

		start(&p, m, 0);
		s = fake_socket(p.fd);
		fd = p.fd;
		s->lowat = rows[i / 2].lowat;
		s->sndbuf = rows[i / 2].sndbuf;
		/* the kernel refuses, and has next to nothing in its queue */
		fake_flaky(true);
		send_all(&p, 200000);
		fake_heal();
		pair_settle(&p);
		assert_int_equal(pair_info(&p).notsent_lowat, want);
		assert_int_equal(s->lowat, want ? want : rows[i / 2].lowat);
		if (i % 2) {
			pair_finish(&p);
			continue;
		}
		ktls_conn_free(p.conn);
		p.conn = NULL;
		assert_int_equal(fake_socket(fd)->lowat, rows[i / 2].lowat);
		pair_free(&p);
	}
}

/* Whose data wait for the network, the option is for. */
static void notsent_lowat_of_a_full_queue_stays(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	guard = KTLS_AUTO;
	budget = 1 << 20;
	start(&p, m, 100000);
	fake_socket(p.fd)->lowat = 16384;
	fake_socket(p.fd)->sndbuf = 1 << 20;
	send_all(&p, 1 << 20);
	pair_settle(&p);
	assert_int_equal(pair_info(&p).notsent_lowat, 0);
	assert_int_equal(fake_socket(p.fd)->lowat, 16384);
	assert_int_equal(fake_count(FAKE_SET_LOWAT), 0);
	pair_finish(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
		void *mode = (void *)(uintptr_t)&modes[i];

#define ADD(f) ktest_add(&t, f, mode, #f "_%s", modes[i].name)
		ADD(large_calls_are_corked);
		ADD(cork_of_the_caller_stays);
		ADD(small_calls_touch_no_option);
		ADD(options_that_fail_do_no_harm);
		ADD(notsent_lowat_is_raised_and_put_back);
		ADD(notsent_lowat_of_a_full_queue_stays);
	}
	r = ktest_run_table("cork", &t);
	certs_free();
	return r;
}
