/* SPDX-License-Identifier: MIT */
/* ktls_read(): every size in every mode, in pieces, and waiting. */
#include "pair.h"

#include <limits.h>

struct row {
	uint32_t rx;
	bool blocking;
	int version;
};

static const struct row rows[] = {
	{KTLS_OFF, false, TLS1_3_VERSION},
	{KTLS_REQUIRE, false, TLS1_3_VERSION},
	{KTLS_OFF, true, TLS1_3_VERSION},
	{KTLS_REQUIRE, true, TLS1_3_VERSION},
	{KTLS_OFF, false, TLS1_2_VERSION},
	{KTLS_REQUIRE, false, TLS1_2_VERSION},
};

static void start(struct pair *p, const struct row *row, size_t capacity)
{
	const struct pair_options o = {.version = row->version,
				       .blocking = row->blocking,
				       .tx = KTLS_OFF,
				       .rx = row->rx,
				       .capacity = capacity};

	fake_reset();
	pair_start(p, &o);
}

static void all_sizes_are_delivered(void **state)
{
	static const size_t sizes[] = {1, 16383, 16384, 16385, 65537, 1 << 20};
	static const size_t buffers[] = {100, 16383, 16384, 16385, 1 << 18};
	struct pair p;

	start(&p, *state, 100000);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (size_t k = sizes[i] > 100000; k < ARRAY_SIZE(buffers); k++)
			pair_receive(&p, sizes[i], buffers[k]);
	pair_receive(&p, 2000, 1);
	assert_int_equal(pair_info(&p).rx.bytes, p.got);
	pair_finish(&p);
}

static void pieces_and_eagain_anywhere_lose_nothing(void **state)
{
	static const size_t limits[] = {1, 7, 5000, 0};
	static const size_t capacities[] = {20000, 33000};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(capacities); k++) {
			struct pair p;

			start(&p, *state, capacities[k]);
			fake_flaky(true);
			fake_limit(FAKE_RECV, limits[i]);
			fake_limit(FAKE_RECVMSG, limits[i]);
			p.peer_max = limits[i] == 1 ? 100 : 16384;
			pair_receive(&p, limits[i] == 1 ? 500 : 40000, 9000);
			pair_finish(&p);
		}
	}
}

static void one_call_returns_many_records(void **state)
{
	const struct row *row = *state;
	uint8_t buf[20000];
	struct pair p;

	start(&p, row, 0);
	/* tickets first, so that data stands alone */
	pair_receive(&p, 1, 1);
	p.peer_max = 1000;
	p.peer_todo = 10000;
	pair_peer(&p);
	assert_int_equal(ktls_read(p.conn, buf, sizeof(buf)),
			 row->rx == KTLS_OFF ? 1000 : 10000);
	pair_free(&p);
}

static void nothing_there_is_eagain_and_pollin(void **state)
{
	const struct row *row = *state;
	uint8_t buf[10];
	struct pair p;

	if (row->blocking)
		return;
	start(&p, row, 0);
	assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLIN);
	assert_int_equal(ktls_pending(p.conn), 0);
	assert_int_equal(pair_error(&p).code, 0);
	pair_finish(&p);
}

static void blocking_read_ends_with_the_timeout_or_a_signal(void **state)
{
	const struct row *row = *state;
	uint8_t buf[10];
	struct pair p;

	if (!row->blocking)
		return;
	start(&p, row, 0);
	fake_socket(p.fd)->rcvtimeo_ms = 70;
	assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
	assert_int_equal(fake_clock, 1070);
	assert_int_equal(fake_poll_events, POLLIN);
	fake_socket(p.fd)->rcvtimeo_ms = 0;
	fake_fail(FAKE_POLL, 1, EINTR);
	assert_errno(ktls_read(p.conn, buf, 10), EINTR);
	assert_int_equal(pair_error(&p).code, 0);
	/* the peer writes while the call waits */
	p.peer_todo = 10;
	assert_int_equal(ktls_read(p.conn, buf, 10), 10);
	assert_int_equal(fake_poll_timeout, -1);
	pair_finish(&p);
}

/* A server that only reads still gets its last record out. */
static void reading_sends_what_waits(void **state)
{
	const struct row *row = *state;
	uint8_t buf[30000];
	struct pair p;
	ssize_t n;

	if (row->blocking)
		return;
	start(&p, row, 0);
	fake_socket(p.peer_fd)->capacity = 10000;
	fake_pattern(OURS, 0, buf, sizeof(buf));
	n = ktls_write(p.conn, buf, 16384);
	assert_int_equal(n, 16383);
	assert_true(ktls_wants(p.conn) & POLLOUT);
	assert_true(pair_info(&p).unsent > 0);
	assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLIN | POLLOUT);
	for (int i = 0; i < 5; i++) {
		pair_peer(&p);
		assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
	}
	assert_int_equal(ktls_wants(p.conn), POLLIN);
	assert_int_equal(pair_info(&p).unsent, 0);
	assert_int_equal(p.peer_got, 16384);
	p.accepted = 16383;
	pair_send(&p, 1, 1);
	pair_finish(&p);
}

static void transient_errors_pass(void **state)
{
	static const int errors[] = {ENOMEM, ENOBUFS};
	const struct row *row = *state;
	uint8_t buf[10];

	if (row->blocking)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct pair p;

		start(&p, row, 0);
		fake_fail(row->rx == KTLS_OFF ? FAKE_RECV : FAKE_RECVMSG, 1,
			  errors[i]);
		assert_errno(ktls_read(p.conn, buf, 10), errors[i]);
		assert_int_equal(pair_error(&p).sys_errno, errors[i]);
		assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
		pair_receive(&p, 20000, 20000);
		pair_finish(&p);
	}
}

/* OpenSSL sends none: they are made with the kernel's own key. */
static void empty_records_are_nothing(void **state)
{
	const struct row *row = *state;
	uint8_t buf[10];
	struct pair p;

	if (row->rx == KTLS_OFF || row->blocking)
		return;
	start(&p, row, 0);
	pair_receive(&p, 10, 10);
	for (int i = 0; i < 3; i++)
		pair_inject(&p, 23, "", 0);
	assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLIN);
	p.injected = 0;
	pair_inject(&p, 23, "", 0);
	fake_raw_fin(p.peer_fd);
	/* no end without close_notify, and no record of its own */
	assert_errno(ktls_read(p.conn, buf, 10), ECONNABORTED);
	pair_free(&p);
}

static void arguments_are_checked(void **state)
{
	const struct pair_options o = {.tx = KTLS_AUTO};
	uint8_t buf[10];
	struct pair p;

	start(&p, *state, 0);
	assert_errno(ktls_read(NULL, buf, 1), EINVAL);
	assert_errno(ktls_read(p.conn, NULL, 1), EINVAL);
	assert_errno(ktls_read(p.conn, buf, (size_t)SSIZE_MAX + 1), EINVAL);
	assert_int_equal(ktls_read(p.conn, NULL, 0), 0);
	assert_int_equal(ktls_pending(NULL), 0);
	pair_finish(&p);
	pair_open(&p, &o);
	assert_errno(ktls_read(p.conn, buf, 1), ENOTCONN);
	pair_free(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		void *row = (void *)(uintptr_t)&rows[i];

#define ADD(f)                                                                 \
	ktest_add(&t, f, row, #f "_%s_%s_1_%d",                                \
		  rows[i].rx == KTLS_OFF ? "user" : "kernel",                  \
		  rows[i].blocking ? "blocking" : "nonblocking",               \
		  rows[i].version - TLS1_VERSION)
		ADD(all_sizes_are_delivered);
		ADD(pieces_and_eagain_anywhere_lose_nothing);
		ADD(one_call_returns_many_records);
		ADD(nothing_there_is_eagain_and_pollin);
		ADD(blocking_read_ends_with_the_timeout_or_a_signal);
		ADD(reading_sends_what_waits);
		ADD(transient_errors_pass);
		ADD(empty_records_are_nothing);
		ADD(arguments_are_checked);
	}
	r = ktest_run_table("read", &t);
	certs_free();
	return r;
}
