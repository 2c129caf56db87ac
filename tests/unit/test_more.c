/* SPDX-License-Identifier: MIT */
/* KTLS_MORE: how long a record stays open, and what closes it. */
#include "modes.h"

#include "fake_core.h"

static void more_keeps_the_last_record_open(void **state)
{
	struct pair p;

	mode_tx(&p, *state, 0, NULL);
	for (int parts = 1; parts < 40; parts += 13) {
		assert_int_equal(stream_writev(&p, 100, parts, KTLS_MORE), 100);
		assert_int_equal(stream_writev(&p, 150, parts, KTLS_MORE), 150);
		assert_no_records(&p);
		assert_true(pair_info(&p).unsent >= 250);
		/* nothing is nothing, with and without the flag */
		assert_int_equal(stream_writev(&p, 0, 1, KTLS_MORE), 0);
		assert_int_equal(stream_writev(&p, 0, 1, 0), 0);
		assert_int_equal(ktls_write(p.conn, "", 0), 0);
		assert_no_records(&p);
		assert_int_equal(stream_writev(&p, 50, parts, 0), 50);
		assert_records(&p, 300);
		/* a full one goes out, the rest of it waits */
		assert_int_equal(stream_writev(&p, 20000, parts, KTLS_MORE),
				 20000);
		assert_records(&p, 16384);
		assert_int_equal(stream_writev(&p, 12768, parts, KTLS_MORE),
				 12768);
		assert_records(&p, 16384);
		assert_int_equal(pair_info(&p).unsent, 0);
		assert_int_equal(stream_writev(&p, 16383, parts, KTLS_MORE),
				 16383);
		assert_int_equal(stream_writev(&p, 1, 1, KTLS_MORE), 1);
		assert_records(&p, 16384);
		assert_int_equal(stream_writev(&p, 1, 1, KTLS_MORE), 1);
		assert_int_equal(stream_writev(&p, 40000, parts, 0), 40000);
		assert_records(&p, 16384, 16384, 7233);
		pair_settle(&p);
	}
	pair_finish(&p);
}

static int by_write(struct pair *p)
{
	return stream_writev(p, 7, 1, 0) == 7 ? 0 : -1;
}

static int by_flush(struct pair *p)
{
	return ktls_flush(p->conn, 0);
}

static int by_sendfile(struct pair *p)
{
	off_t off = (off_t)p->accepted;
	const int file = fake_file(FAKE_REGULAR, OURS, 1 << 20);
	const ssize_t n = ktls_sendfile(p->conn, file, &off, 9);

	p->accepted += n > 0 ? (uint64_t)n : 0;
	return n == 9 ? 0 : -1;
}

static int by_sendfilev(struct pair *p)
{
	uint8_t buf[11];
	const struct ktls_span span = {.buf = buf, .len = sizeof(buf)};
	struct ktls_cursor cursor = {.span = 0};
	ssize_t n;

	fake_pattern(OURS, p->accepted, buf, sizeof(buf));
	n = ktls_sendfilev(p->conn, &span, 1, &cursor);
	p->accepted += n > 0 ? (uint64_t)n : 0;
	return n == sizeof(buf) ? 0 : -1;
}

static int by_splice(struct pair *p)
{
	uint8_t buf[13];
	ssize_t n;
	int fd[2];

	fake_pipe(fd, FAKE_SLOTS);
	fake_pattern(OURS, p->accepted, buf, sizeof(buf));
	fake_pipe_fill(fd[1], buf, sizeof(buf), sizeof(buf));
	n = ktls_splice_in(p->conn, fd[0], 1000, 0);
	p->accepted += n > 0 ? (uint64_t)n : 0;
	return n == sizeof(buf) ? 0 : -1;
}

static int by_shutdown_write(struct pair *p)
{
	return ktls_shutdown_write(p->conn, 1000);
}

static int by_shutdown(struct pair *p)
{
	return ktls_shutdown(p->conn, 1000);
}

static void each_call_closes_the_open_record(void **state)
{
	static int (*const calls[])(struct pair *) = {
		by_write,  by_flush,	      by_sendfile, by_sendfilev,
		by_splice, by_shutdown_write, by_shutdown};
	static const size_t added[] = {7, 0, 9, 11, 13, 0, 0};
	struct pair p;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		size_t lengths[2] = {0};

		mode_tx(&p, *state, 0, NULL);
		assert_int_equal(stream_writev(&p, 100, 3, KTLS_MORE), 100);
		assert_no_records(&p);
		assert_int_equal(calls[i](&p), 0);
		assert_true(wire_records(&p, lengths, 2) >= 1);
		assert_int_equal(lengths[0], 100 + added[i]);
		pair_settle(&p);
		pair_finish(&p);
	}
	/* and closing the connection */
	mode_tx(&p, *state, 0, NULL);
	assert_int_equal(stream_writev(&p, 100, 3, KTLS_MORE), 100);
	pair_finish(&p);
}

static void reading_leaves_it_open(void **state)
{
	const struct mode *m = *state;
	uint8_t buf[10];
	struct pair p;

	if (m->blocking)
		return;
	mode_tx(&p, m, 0, NULL);
	assert_int_equal(stream_writev(&p, 100, 3, KTLS_MORE), 100);
	assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLIN);
	p.peer_todo = 10;
	pair_receive(&p, 10, 10);
	assert_no_records(&p);
	assert_int_equal(stream_writev(&p, 1, 1, 0), 1);
	assert_records(&p, 101);
	pair_finish(&p);
}

/* The first bytes of the kernel's come behind the open record. */
static void open_record_is_made_before_the_kernel_takes_over(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	if (m->use != KTLS_AUTO)
		return;
	mode_tx(&p, m, 0, NULL);
	assert_int_equal(stream_writev(&p, 29000, 3, KTLS_MORE), 29000);
	assert_records(&p, 16384);
	assert_modes(&p, "user", "user");
	assert_int_equal(stream_writev(&p, 2000, 3, KTLS_MORE), 2000);
	assert_modes(&p, "kernel", "user");
	assert_records(&p, 12616);
	assert_int_equal(stream_writev(&p, 1, 1, 0), 1);
	assert_records(&p, 2001);
	assert_int_equal(pair_info(&p).tx.kernel_bytes, 2001);
	pair_finish(&p);
	/* and when the caller says so, with no room for it */
	mode_tx(&p, m, 6000, NULL);
	assert_int_equal(stream_writev(&p, 8000, 3, KTLS_MORE), 8000);
	assert_errno(ktls_offload(p.conn, KTLS_TX), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLOUT);
	assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_PENDING);
	pair_peer(&p);
	assert_int_equal(ktls_offload(p.conn, KTLS_TX), 0);
	assert_modes(&p, "kernel", "user");
	stream_send(&p, 20000, 3, 0);
	pair_settle(&p);
	pair_finish(&p);
}

/* What OpenSSL has to say comes behind it, not into it. */
static void control_records_close_it(void **state)
{
	const struct mode *m = *state;
	uint8_t buf[10];
	struct pair p;

	if (m->version != TLS1_3_VERSION || m->blocking)
		return;
	mode_tx(&p, m, 0, NULL);
	assert_int_equal(stream_writev(&p, 100, 3, KTLS_MORE), 100);
	assert_int_equal(SSL_key_update(p.peer, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
	p.peer_todo = 10;
	pair_peer(&p);
	assert_int_equal(ktls_read(p.conn, buf, 10), 10);
	assert_int_equal(stream_writev(&p, 100, 3, 0), 100);
	pair_settle(&p);
	pair_finish(&p);
}

/* The call that closes it fails: a later one has to do it. */
static void failure_to_close_is_made_good(void **state)
{
	static const int errors[] = {ENOBUFS, ENOMEM};
	const struct mode *m = *state;
	struct pair p;

	for (size_t i = 0; i < 6; i++) {
		const int e = errors[i % 2];
		int k;

		mode_tx(&p, m, 0, NULL);
		assert_int_equal(stream_writev(&p, 100, 3, KTLS_MORE), 100);
		fake_fail(mode_user(m) ? FAKE_SEND : FAKE_SENDMSG, 1, e);
		if (i / 2 == 0) {
			if (ktls_flush(p.conn, 0) < 0)
				assert_true(errno == e || errno == EAGAIN);
		} else if (i / 2 == 1) {
			/* a short count, whose record is closed in vain */
			fake_limit(FAKE_SEND, 50);
			if (stream_writev(&p, 100, 1, 0) < 0)
				assert_true(errno == e || errno == EAGAIN);
		} else {
			if (ktls_shutdown(p.conn, 0) < 0)
				assert_true(errno == e || errno == EAGAIN);
		}
		fake_heal();
		for (k = 0; i / 2 < 2 && k < 100; k++) {
			if (ktls_flush(p.conn, 0) == 0)
				break;
			stream_wait(&p, "ktls_flush");
		}
		assert_true(k < 100);
		pair_peer(&p);
		if (i / 2 < 2)
			assert_true(p.peer_got >= p.accepted);
		if (p.peer_got > p.accepted)
			stream_send(&p, 1, 1, 0);
		pair_finish(&p);
	}
}

/* A single byte cannot be held back: what it fills must leave no tail. */
static void byte_that_fills_a_record_waits_for_room(void **state)
{
	static const size_t sizes[] = {16381, 16382, 16383};
	const struct mode *m = *state;

	if (!mode_user(m) || m->blocking)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct pair p;

		mode_tx(&p, m, 0, NULL);
		pair_peer(&p);
		fake_socket(p.peer_fd)->capacity = 300;
		p.peer_deaf = true;
		assert_int_equal(stream_writev(&p, 250, 1, 0), 250);
		assert_int_equal(pair_info(&p).unsent, 0);
		assert_int_equal(stream_writev(&p, sizes[i], 1, KTLS_MORE),
				 sizes[i]);
		/* those before it need no room */
		for (size_t k = sizes[i] + 1; k < 16384; k++)
			assert_int_equal(stream_writev(&p, 1, 1, KTLS_MORE), 1);
		for (int k = 0; k < 2; k++) {
			assert_errno(stream_writev(&p, 1, 1, KTLS_MORE), EAGAIN);
			assert_int_equal(ktls_wants(p.conn), POLLOUT);
			assert_errno(stream_writev(&p, 1, 1, 0), EAGAIN);
		}
		fake_socket(p.peer_fd)->capacity = 1 << 20;
		assert_int_equal(stream_writev(&p, 1, 1, KTLS_MORE), 1);
		assert_int_equal(pair_info(&p).unsent, 0);
		p.peer_deaf = false;
		pair_settle(&p);
		pair_finish(&p);
	}
}

static void short_fragments(struct pair *p)
{
	SSL_set_max_send_fragment(p->ssl, 600);
}

/* OpenSSL makes smaller records than the policy asks for. */
static void fragments_of_the_caller_lose_nothing(void **state)
{
	static const size_t capacities[] = {100, 700, 5000, 100000};
	const struct mode *m = *state;

	for (size_t i = 0; i < 4 * ARRAY_SIZE(capacities); i++) {
		const struct pair_options o = {.version = m->version,
					       .server = true,
					       .blocking = m->blocking,
					       .tx = m->use,
					       .rx = KTLS_OFF,
					       .offload_after = m->after,
					       .setup_ssl = short_fragments};
		struct pair p;
		int k;

		fake_reset();
		random_start((uint32_t)i);
		pair_start(&p, &o);
		fake_socket(p.peer_fd)->capacity = capacities[i / 4];
		fake_flaky(i & 1 && !m->blocking);
		while (p.accepted < 30000)
			if (stream_writev(&p, 1 + random_below(5000), 3,
					  random_below(3) ? KTLS_MORE : 0) < 0)
				stream_wait(&p, "ktls_writev");
		for (k = 0; k < 10000 && ktls_flush(p.conn, 0) < 0; k++)
			stream_wait(&p, "ktls_flush");
		assert_true(k < 10000);
		fake_heal();
		pair_peer(&p);
		assert_in_range(p.peer_got, p.accepted, p.accepted + 1);
		stream_send(&p, 2000, 3, i & 2 ? KTLS_MORE : 0);
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
		if (modes[i].use != KTLS_AUTO)
			ADD(more_keeps_the_last_record_open);
		ADD(each_call_closes_the_open_record);
		ADD(reading_leaves_it_open);
		ADD(open_record_is_made_before_the_kernel_takes_over);
		ADD(control_records_close_it);
		ADD(failure_to_close_is_made_good);
		ADD(byte_that_fills_a_record_waits_for_room);
		ADD(fragments_of_the_caller_lose_nothing);
	}
	r = ktest_run_table("more", &t);
	certs_free();
	return r;
}
