/* SPDX-License-Identifier: MIT */
/* The stall guard: calls of a safe size, pushes, and options put back. */
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

static void calls_are_as_long_as_is_safe(void **state)
{
	const struct mode *m = *state;
	size_t files;
	struct pair p;
	off_t off = 0;

	guard = KTLS_AUTO;
	budget = 1 << 20;
	start(&p, m, 1 << 21);
	files = fake_count(FAKE_SENDFILE);
	assert_int_equal(pair_info(&p).stall_guard_asked, KTLS_AUTO);
	assert_int_equal(pair_info(&p).stall_guard, in_kernel(m));
	assert_int_equal(pair_info(&p).file_call, !in_kernel(m) ? 0
						  : m->old	? 16384
								: 65536);
	assert_int_equal(ktls_sendfile(p.conn,
				       fake_file(FAKE_REGULAR, OURS, 1 << 30),
				       &off, 1 << 19),
			 1 << 19);
	p.accepted = 1 << 19;
	/* the model has looked at each */
	if (in_kernel(m))
		assert_int_equal(fake_count(FAKE_SENDFILE) - files,
				 m->old ? 32 : 8);
	pair_finish(&p);
	/* where it begins inside of a page, that is made good at once */
	start(&p, m, 1 << 21);
	files = fake_count(FAKE_SENDFILE);
	p.accepted = p.peer_got = 4095;
	off = 4095;
	assert_int_equal(ktls_sendfile(p.conn,
				       fake_file(FAKE_REGULAR, OURS, 1 << 30),
				       &off, 1 << 19),
			 1 << 19);
	p.accepted += 1 << 19;
	if (in_kernel(m) && !m->old)
		assert_int_equal(fake_count(FAKE_SENDFILE) - files, 9);
	pair_finish(&p);
}

/* An old kernel with a send buffer that does not get in its way. */
static void room_makes_calls_longer(void **state)
{
	const struct mode *m = *state;
	const struct pair_options o = {.version = m->version,
				       .server = true,
				       .blocking = m->blocking,
				       .tx = m->use,
				       .rx = KTLS_OFF};
	struct pair p;

	if (!m->old)
		return;
	for (int i = 0; i < 2; i++) {
		fake_reset();
		fake_kernel.old = true;
		pair_open(&p, &o);
		fake_socket(p.fd)->sndbuf = i ? 262144 : 262143;
		pair_handshake(&p);
		assert_int_equal(pair_info(&p).file_call, i ? 65536 : 16384);
		/* what the kernel holds back then is pushed */
		fake_socket(p.peer_fd)->capacity = 30000;
		fake_socket(p.fd)->capacity = 30000;
		send_all(&p, 500000);
		pair_settle(&p);
		pair_finish(&p);
	}
}

static void without_guard_it_is_one_call(void **state)
{
	const struct mode *m = *state;
	unsigned int files, gets, sets;
	struct pair p;
	off_t off = 777;

	guard = KTLS_OFF;
	budget = 300000;
	start(&p, m, 1 << 21);
	fake_kernel.may_stall = true;
	p.accepted = p.peer_got = 777;
	files = fake_count(FAKE_SENDFILE);
	gets = fake_count(FAKE_GET_NODELAY) + fake_count(FAKE_GET_CORK) +
	       fake_count(FAKE_GET_LOWAT);
	sets = fake_count(FAKE_SET_NODELAY) + fake_count(FAKE_SET_CORK) +
	       fake_count(FAKE_SET_LOWAT);
	assert_int_equal(pair_info(&p).stall_guard_asked, KTLS_OFF);
	assert_int_equal(pair_info(&p).stall_guard, 0);
	assert_int_equal(pair_info(&p).file_call, in_kernel(m) ? 300000 : 0);
	assert_int_equal(ktls_sendfile(p.conn,
				       fake_file(FAKE_REGULAR, OURS, 1 << 30),
				       &off, 1 << 19),
			 300000);
	p.accepted += 300000;
	if (in_kernel(m))
		assert_int_equal(fake_count(FAKE_SENDFILE) - files, 1);
	send_all(&p, 1 << 20);
	pair_settle(&p);
	assert_int_equal(fake_count(FAKE_GET_NODELAY) + fake_count(FAKE_GET_CORK) +
				 fake_count(FAKE_GET_LOWAT),
			 gets);
	assert_int_equal(fake_count(FAKE_SET_NODELAY) + fake_count(FAKE_SET_CORK) +
				 fake_count(FAKE_SET_LOWAT),
			 sets);
	assert_int_equal(pair_info(&p).guard_pushes, 0);
	pair_finish(&p);
}

/* TCP keeps what it was given when the socket took no more. */
static void stall_is_ended_by_a_push(void **state)
{
	static const size_t capacities[] = {17000, 30000, 90000};
	const struct mode *m = *state;
	struct pair p;

	guard = KTLS_AUTO;
	budget = 1 << 20;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(capacities); i++) {
		struct ktls_info info;

		start(&p, m, capacities[i / 2]);
		fake_socket(p.fd)->corks = in_kernel(m);
		fake_socket(p.fd)->nodelay = i % 2;
		send_all(&p, 1 << 20);
		pair_settle(&p);
		/* the options are the caller's again */
		assert_int_equal(fake_socket(p.fd)->nodelay, i % 2);
		assert_int_equal(fake_socket(p.fd)->cork, 0);
		info = pair_info(&p);
		assert_true(info.guard_waits > 0);
		assert_true(info.guard_pushes <= info.guard_waits);
		if (in_kernel(m))
			assert_true(info.guard_pushes > 0);
		fake_socket(p.fd)->corks = false;
		pair_finish(&p);
	}
}

/* A pipe without bytes is not a socket without room. */
static void empty_pipe_is_no_wait(void **state)
{
	const struct mode *m = *state;
	struct ktls_info before, after;
	struct pair p;
	int fd[2];

	if (m->blocking)
		return;
	guard = KTLS_AUTO;
	budget = 1 << 20;
	start(&p, m, 0);
	fake_pipe(fd, 16);
	before = pair_info(&p);
	assert_errno(ktls_splice_in(p.conn, fd[0], 10, 0), EAGAIN);
	after = pair_info(&p);
	assert_int_equal(after.guard_waits, before.guard_waits);
	assert_int_equal(after.guard_pushes, before.guard_pushes);
	assert_int_equal(fake_count(FAKE_SET_NODELAY), 0);
	pair_finish(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
		void *mode = (void *)(uintptr_t)&modes[i];

#define ADD(f) ktest_add(&t, f, mode, #f "_%s", modes[i].name)
		ADD(calls_are_as_long_as_is_safe);
		ADD(room_makes_calls_longer);
		ADD(without_guard_it_is_one_call);
		ADD(stall_is_ended_by_a_push);
		ADD(empty_pipe_is_no_wait);
	}
	r = ktest_run_table("guard", &t);
	certs_free();
	return r;
}
