/* SPDX-License-Identifier: MIT */
/* Any call after any other, both ways at once, on any kernel: by chance. */
#include "plan.h"

#include "fake_core.h"

enum { SEEDS = 40, CALLS = 150 };

static struct {
	int in[2], out[2]; /* pipes */
	uint64_t fed;	   /* of the pattern, to the pipe that is sent */
	uint64_t drained;  /* of the peer's, from the other pipe */
	struct ktls_policy policy;
} any;

static void any_policy(struct ktls_policy *policy)
{
	static const uint32_t sizes[] = {512, 1000, 4096, 16383, 16384};

	policy->record_size = sizes[random_below(5)];
	policy->record_ramp = random_below(2) ? random_below(60000) : 0;
	policy->record_idle = random_below(100);
	policy->budget = 1 + random_below(random_below(2) ? 20000 : 1000000);
	policy->expect_no_pad = random_below(3);
	any.policy = *policy;
}

/* The bytes of the pipe that is sent come first, in the stream. */
static bool pipe_is_next(void)
{
	return fake_pipe_of(any.in[0])->n > 0;
}

static void accepted(struct pair *p, ssize_t n)
{
	if (n > 0)
		p->accepted += (uint64_t)n;
}

static ssize_t any_sendfile(struct pair *p, size_t n)
{
	const int file = fake_file_of(2000) ? 2000
					    : fake_file(FAKE_REGULAR, OURS,
							(int64_t)1 << 40);
	off_t off = (off_t)p->accepted;
	const ssize_t r = ktls_sendfile(p->conn, file, &off, n);

	accepted(p, r);
	return r;
}

static ssize_t any_sendfilev(struct pair *p, size_t n)
{
	static uint8_t buf[5000];
	const size_t head = n < sizeof(buf) ? n : sizeof(buf);
	struct ktls_span s[3] = {
		{.buf = buf, .len = head / 2},
		{.fd = 2000, .offset = (off_t)(p->accepted + head / 2), .len = n},
		{.buf = "", .len = 0}};
	struct ktls_cursor c = {.span = 0};
	ssize_t r;

	if (!fake_file_of(2000))
		fake_file(FAKE_REGULAR, OURS, (int64_t)1 << 40);
	fake_pattern(OURS, p->accepted, buf, head);
	r = ktls_sendfilev(p->conn, s, 3, &c);
	assert_true(r <= 0 || c.total == (uint64_t)r);
	accepted(p, r);
	return r;
}

static ssize_t any_splice_in(struct pair *p, size_t n)
{
	uint8_t buf[FAKE_PAGE];
	ssize_t r;

	if (!pipe_is_next() && any.fed < p->accepted)
		any.fed = p->accepted;
	while (random_below(4)) {
		const size_t k = 1 + random_below(FAKE_PAGE);

		fake_pattern(OURS, any.fed, buf, k);
		any.fed += fake_pipe_fill(any.in[1], buf, k, k);
	}
	r = ktls_splice_in(p->conn, any.in[0], n, random_below(2));
	accepted(p, r);
	return r;
}

static ssize_t send_any(struct pair *p)
{
	const size_t n = 1 + random_below(random_below(4) ? 4000 : 90000);

	const unsigned int which = (unsigned int)random_below(5);

	if (pipe_is_next())
		return any_splice_in(p, n);
	/* an empty pipe has been sent, to the last byte, whatever the count */
	if (which != 2 && which != 3 && any.fed > p->accepted)
		p->accepted = any.fed;
	switch (which) {
	case 0:
		return any_sendfile(p, n);
	case 1:
		return any_sendfilev(p, n);
	case 2:
		return any_splice_in(p, n);
	case 3:
		return ktls_flush(p->conn, 0);
	default:
		return stream_writev(p, n, 1 + (int)random_below(80),
				     random_below(2));
	}
}

static void drain(void)
{
	static uint8_t buf[FAKE_SLOTS_MAX * FAKE_PAGE];
	const ssize_t n =
		fake_pipe_read(any.out[0], buf, 1 + random_below(sizeof(buf)));

	if (n <= 0)
		return;
	assert_int_equal(fake_pattern_check(THEIRS, any.drained, buf, (size_t)n),
			 n);
	any.drained += (uint64_t)n;
}

static ssize_t receive_any(struct pair *p)
{
	static uint8_t buf[60000];
	const size_t n = 1 + random_below(sizeof(buf) - 1);
	struct iovec v[2] = {{buf, n / 2}, {buf + n / 2, n - n / 2}};
	ssize_t r;

	switch (random_below(4)) {
	case 0:
		r = ktls_splice_out(p->conn, any.out[1], n, 0);
		if (r > 0)
			p->got += (uint64_t)r;
		if (random_below(2))
			drain();
		return r;
	case 1:
		r = ktls_peek(p->conn, buf, n);
		if (r > 0)
			assert_int_equal(fake_pattern_check(THEIRS, p->got, buf,
							    (size_t)r),
					 r);
		return r;
	default:
		/* what is in the pipe was before */
		while (any.drained < p->got)
			drain();
		r = ktls_readv(p->conn, v, 2);
		if (r > 0) {
			assert_int_equal(fake_pattern_check(THEIRS, p->got, buf,
							    (size_t)r),
					 r);
			p->got += (uint64_t)r;
			any.drained += (uint64_t)r;
		}
		return r;
	}
}

/* What else may happen. */
static void something(struct pair *p)
{
	static const enum fake_call calls[] = {
		FAKE_SEND,     FAKE_SENDMSG, FAKE_RECVMSG, FAKE_RECV,
		FAKE_SENDFILE, FAKE_SPLICE,  FAKE_READ,	   FAKE_WRITE};
	const enum fake_call call = calls[random_below(8)];

	switch (random_below(9)) {
	case 0:
		any_policy(&any.policy);
		assert_int_equal(ktls_set_policy(p->conn, &any.policy), 0);
		break;
	case 1:
		fake_limit(call, call == FAKE_RECVMSG || random_below(2)
					 ? 0
					 : 1 + random_below(30000));
		break;
	case 2:
		fake_socket(p->peer_fd)->capacity = 1000 + random_below(200000);
		break;
	case 3:
		fake_socket(p->fd)->mss = 500 + (int)random_below(70000);
		fake_socket(p->fd)->lowat = (int)random_below(100000);
		break;
	case 4:
		if (ktls_offload(p->conn, 1 + (int)random_below(3)) < 0)
			assert_true(errno == EAGAIN || errno == ENOTSUP);
		break;
	case 5:
		if (SSL_version(p->peer) == TLS1_3_VERSION && !p->o.server) {
			SSL_new_session_ticket(p->peer);
			SSL_do_handshake(p->peer);
		}
		break;
	case 6:
		fake_socket(p->fd)->corks = random_below(2);
		break;
	default:
		fake_elapse((int)random_below(60));
	}
}

static void check(ssize_t r)
{
	if (r < 0)
		assert_int_equal(errno, EAGAIN);
}

static void chance(const struct mode *m, uint32_t seed)
{
	struct pair_options o = {.version = m->version, .policy = any_policy};
	struct pair p;

	fake_reset();
	random_start(seed);
	o.server = random_below(2);
	o.tx = random_below(2) ? m->use : random_below(2);
	o.rx = random_below(2) ? m->use : random_below(2);
	o.offload_after = random_below(100000);
	fake_kernel.old = m->old;
	fake_kernel.no_payload_len = random_below(2);
	fake_kernel.splice_drops = random_below(3) == 0;
	fake_kernel.no_expect_no_pad = random_below(3) == 0;
	pair_open(&p, &o);
	fake_socket(p.fd)->sndbuf = (int)random_below(600000);
	pair_handshake(&p);
	p.peer_max = 1 + random_below(16384);
	any.fed = 0;
	any.drained = 0;
	fake_pipe(any.in, 1 + random_below(FAKE_SLOTS));
	fake_pipe(any.out, 1 + random_below(FAKE_SLOTS));
	fake_pipe_of(any.out[0])->nonblock = random_below(2);
	for (int i = 0; i < CALLS; i++) {
		if (random_below(3) == 0)
			something(&p);
		if (random_below(2)) {
			p.peer_todo += random_below(40000);
			pair_peer(&p);
		}
		check(send_any(&p));
		check(receive_any(&p));
		assert_no_leak(&p);
	}
	fake_heal();
	fake_socket(p.fd)->corks = false;
	while (pipe_is_next()) {
		const ssize_t n = ktls_splice_in(p.conn, any.in[0], 1 << 20, 0);

		check(n);
		accepted(&p, n);
		/* the peer may have to write before it can read */
		check(receive_any(&p));
		pair_peer(&p);
	}
	while (any.drained < p.got)
		drain();
	p.peer_todo += 10;
	pair_receive(&p, p.peer_sent + p.peer_todo - p.got, 60000);
	stream_send(&p, 2, 1, 0);
	pair_settle(&p);
	pair_finish(&p);
	assert_int_equal(fake_own_fds(), 0);
}

static void anything_may_follow_anything(void **state)
{
	const struct mode *m = *state;
	const char *one = getenv("KTEST_SEED");

	if (one) {
		chance(m, (uint32_t)strtoul(one, NULL, 10));
		return;
	}
	for (uint32_t seed = 0; seed < SEEDS; seed++) {
		print_message("seed %u\n", seed);
		chance(m, seed);
	}
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++)
		if (!modes[i].blocking)
			ktest_add(&t, anything_may_follow_anything,
				  (void *)(uintptr_t)&modes[i],
				  "anything_may_follow_anything_%s",
				  modes[i].name);
	r = ktest_run_table("any", &t);
	certs_free();
	return r;
}
