/* SPDX-License-Identifier: MIT */
/* ktls_readv() and ktls_peek(): scattered, and without taking anything. */
#include "modes.h"

#include <limits.h>

#include "fake_core.h"

/* One call for k bytes in parts, checked; its result. */
static ssize_t read_parts(struct pair *p, size_t k, int parts)
{
	static uint8_t buf[1 << 18];
	static struct iovec iov[1024];
	size_t done = 0, seen = 0;
	ssize_t r;

	assert_true(k <= sizeof(buf) && parts > 0 && parts <= 1024);
	memset(buf, 0xcc, k);
	for (int i = 0; i < parts; i++) {
		const size_t n = i < parts - 1 ? k / (size_t)parts : k - done;

		iov[i].iov_base = n > 0 ? buf + done : NULL;
		iov[i].iov_len = n;
		done += n;
	}
	r = ktls_readv(p->conn, iov, parts);
	assert_true(r <= (ssize_t)k);
	if (r <= 0)
		return r;
	assert_int_equal(fake_pattern_check(THEIRS, p->got, buf, (size_t)r), r);
	/* nothing behind them was written */
	for (seen = (size_t)r; seen < k && buf[seen] == 0xcc; seen++)
		;
	assert_int_equal(seen, k);
	p->got += (uint64_t)r;
	return r;
}

static ssize_t peek(struct pair *p, size_t k)
{
	static uint8_t buf[1 << 18];
	const ssize_t r = ktls_peek(p->conn, buf, k);

	if (r > 0)
		assert_int_equal(
			fake_pattern_check(THEIRS, p->got, buf, (size_t)r), r);
	return r;
}

static void shapes_of_all_kinds_are_filled(void **state)
{
	static const size_t sizes[] = {1, 7, 1000, 16384, 16385, 200000};
	static const int parts[] = {1, 2, 3, 64, 1024};
	struct pair p;

	mode_rx(&p, *state, 100000, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(parts); k++) {
			const uint64_t all = sizes[i] < 100 ? 700 : 100000;
			const uint64_t end = p.got + all;

			p.peer_todo += all;
			p.peer_max = 300 + 3000 * k;
			while (p.got < end) {
				const size_t n = end - p.got < sizes[i]
							 ? (size_t)(end - p.got)
							 : sizes[i];

				if (read_parts(&p, n, parts[k]) < 0)
					stream_wait(&p, "ktls_readv");
			}
		}
	}
	assert_int_equal(pair_info(&p).rx.bytes - p.before_rx, p.got);
	pair_finish(&p);
}

/* As readv(2) of a socket: what is there, in every part that it reaches. */
static void one_record_fills_all_parts(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	mode_rx(&p, m, 0, NULL);
	/* tickets first, so that data stand alone */
	pair_receive(&p, 100, 100);
	p.peer_todo = 10000;
	pair_peer(&p);
	assert_int_equal(read_parts(&p, 10000, 7), 10000);
	p.peer_todo = 10000;
	pair_peer(&p);
	assert_int_equal(read_parts(&p, 9000, 100), 9000);
	assert_int_equal(read_parts(&p, 9000, 2), 1000);
	/* empty parts are nothing */
	{
		uint8_t buf[10];
		const struct iovec v[] = {
			{NULL, 0}, {buf, 3}, {NULL, 0}, {buf + 3, 7}, {NULL, 0}};

		p.peer_todo = 10;
		pair_peer(&p);
		assert_int_equal(ktls_readv(p.conn, v, 5), 10);
		assert_int_equal(fake_pattern_check(THEIRS, p.got, buf, 10), 10);
		p.got += 10;
	}
	pair_finish(&p);
}

static void nothing_there_is_eagain_and_pollin(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	if (m->blocking)
		return;
	mode_rx(&p, m, 0, NULL);
	for (int i = 0; i < 2; i++) {
		assert_errno(peek(&p, 10), EAGAIN);
		assert_int_equal(ktls_wants(p.conn), POLLIN);
		assert_errno(read_parts(&p, 10, 2), EAGAIN);
		assert_int_equal(ktls_wants(p.conn), POLLIN);
	}
	assert_int_equal(pair_error(&p).code, 0);
	pair_finish(&p);
}

/* Tickets before the data are OpenSSL's, however they come. */
static void control_records_are_digested(void **state)
{
	static const size_t limits[] = {0, 3, 100};
	const struct mode *m = *state;

	if (m->version != TLS1_3_VERSION)
		return;
	for (size_t i = 0; i < 6; i++) {
		struct pair p;

		mode_rx(&p, m, 0, NULL);
		pair_receive(&p, 10, 10);
		for (int k = 0; k < 4; k++) {
			assert_int_equal(SSL_new_session_ticket(p.peer), 1);
			SSL_do_handshake(p.peer);
			fake_limit(FAKE_RECVMSG, limits[i % 3]);
			p.peer_todo = 10;
			pair_peer(&p);
			if (i < 3)
				assert_true(peek(&p, 10) > 0);
			else
				while (read_parts(&p, 1, 1) < 1)
					stream_wait(&p, "ktls_readv");
			fake_heal();
			pair_receive(&p, i < 3 ? 10 : 9, 10);
		}
		/* into parts that are shorter than the record */
		assert_int_equal(SSL_new_session_ticket(p.peer), 1);
		SSL_do_handshake(p.peer);
		p.peer_todo = 10;
		pair_peer(&p);
		assert_int_equal(read_parts(&p, 10, 10), 10);
		assert_int_equal(
			SSL_key_update(p.peer, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		p.peer_todo = 10;
		pair_peer(&p);
		assert_int_equal(i < 3 ? peek(&p, 10) : read_parts(&p, 10, 2),
				 10);
		pair_finish(&p);
	}
}

/* OpenSSL sends none: they are made with the kernel's own key. */
static void empty_records_are_nothing(void **state)
{
	const struct mode *m = *state;
	uint8_t byte;
	struct pair p;

	if (!mode_kernel(m) || m->blocking)
		return;
	mode_rx(&p, m, 0, NULL);
	pair_receive(&p, 10, 10);
	pair_inject(&p, 23, "", 0);
	assert_errno(peek(&p, 10), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLIN);
	fake_pattern(THEIRS, p.got, &byte, 1);
	p.injected = 0;
	pair_inject(&p, 23, &byte, 1);
	assert_int_equal(peek(&p, 10), 1);
	assert_int_equal(read_parts(&p, 10, 2), 1);
	p.injected = 0;
	/* who only looks must see the end behind it, too */
	pair_inject(&p, 23, "", 0);
	fake_raw_fin(p.peer_fd);
	for (int i = 0; i < 5; i++) {
		errno = 0;
		assert_int_equal(peek(&p, 10), -1);
		if (errno == ECONNABORTED)
			break;
	}
	assert_int_equal(errno, ECONNABORTED);
	pair_free(&p);
}

static void padded(SSL_CTX *ours, SSL_CTX *theirs)
{
	(void)ours;
	SSL_CTX_set_block_padding(theirs, 100);
}

static void pad_required(struct ktls_policy *policy)
{
	policy->expect_no_pad = KTLS_REQUIRE;
}

/* In the kernel, whether it expects padding or not. */
static void padding_is_nothing(void **state)
{
	const struct mode *m = *state;

	if (m->version != TLS1_3_VERSION)
		return;
	for (int i = 0; i < 2; i++) {
		const struct pair_options o = {.tx = KTLS_OFF,
					       .rx = m->use,
					       .offload_after = m->after,
					       .blocking = m->blocking,
					       .setup_ctx = padded,
					       .policy = i ? pad_required : NULL};
		struct pair p;

		fake_reset();
		pair_start(&p, &o);
		p.peer_max = 1010;
		pair_receive(&p, 40000, 17);
		pair_receive(&p, 40000, 50000);
		p.peer_todo = 10000;
		while (p.got < 90000) {
			if (read_parts(&p, (size_t)(90000 - p.got), 5) < 0)
				stream_wait(&p, "ktls_readv");
			if (p.got < 90000)
				peek(&p, 3000);
		}
		pair_finish(&p);
	}
}

static void blocking_call_waits(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	if (!m->blocking)
		return;
	mode_rx(&p, m, 0, NULL);
	fake_clock = 1000;
	fake_socket(p.fd)->rcvtimeo_ms = 70;
	assert_errno(peek(&p, 10), EAGAIN);
	assert_int_equal(fake_clock, 1070);
	assert_errno(read_parts(&p, 10, 2), EAGAIN);
	assert_int_equal(fake_clock, 1140);
	fake_socket(p.fd)->rcvtimeo_ms = 0;
	fake_fail(FAKE_POLL, 1, EINTR);
	assert_errno(peek(&p, 10), EINTR);
	p.peer_todo = 10;
	assert_int_equal(peek(&p, 10), 10);
	assert_int_equal(read_parts(&p, 10, 3), 10);
	pair_finish(&p);
}

static void arguments_are_checked(void **state)
{
	static struct iovec v[1025];
	uint8_t buf[10];
	struct pair p;

	memset(v, 0, sizeof(v));
	mode_rx(&p, *state, 0, NULL);
	assert_errno(ktls_readv(NULL, v, 1), EINVAL);
	assert_errno(ktls_readv(p.conn, NULL, 1), EINVAL);
	assert_errno(ktls_readv(p.conn, v, -1), EINVAL);
	assert_errno(ktls_readv(p.conn, v, 1025), EINVAL);
	assert_errno(ktls_readv(p.conn, v, INT_MAX), EINVAL);
	assert_int_equal(ktls_readv(p.conn, NULL, 0), 0);
	assert_int_equal(ktls_readv(p.conn, v, 1024), 0);
	v[1023].iov_len = 1;
	assert_errno(ktls_readv(p.conn, v, 1024), EINVAL);
	v[1023] = (struct iovec){buf, SSIZE_MAX};
	v[0] = (struct iovec){buf, 1};
	assert_errno(ktls_readv(p.conn, v, 1024), EINVAL);
	assert_errno(ktls_peek(NULL, buf, 1), EINVAL);
	assert_errno(ktls_peek(p.conn, NULL, 1), EINVAL);
	assert_errno(ktls_peek(p.conn, buf, (size_t)SSIZE_MAX + 1), EINVAL);
	assert_int_equal(ktls_peek(p.conn, NULL, 0), 0);
	pair_receive(&p, 10, 10);
	pair_finish(&p);
	{
		const struct pair_options o = {.tx = KTLS_AUTO};

		pair_open(&p, &o);
		assert_errno(ktls_readv(p.conn, v, 1), ENOTCONN);
		assert_errno(ktls_peek(p.conn, buf, 1), ENOTCONN);
		pair_free(&p);
	}
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
		void *mode = (void *)(uintptr_t)&modes[i];

#define ADD(f) ktest_add(&t, f, mode, #f "_%s", modes[i].name)
		ADD(shapes_of_all_kinds_are_filled);
		ADD(one_record_fills_all_parts);
		ADD(nothing_there_is_eagain_and_pollin);
		ADD(control_records_are_digested);
		ADD(empty_records_are_nothing);
		ADD(padding_is_nothing);
		ADD(blocking_call_waits);
		ADD(arguments_are_checked);
	}
	r = ktest_run_table("readv", &t);
	certs_free();
	return r;
}
