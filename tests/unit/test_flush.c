/* SPDX-License-Identifier: MIT */
/* ktls_flush() and ktls_shutdown_write(): all is with TCP, or how much not. */
#include "modes.h"

#include <limits.h>

#include "fake_core.h"

static void nothing_to_flush_is_0(void **state)
{
	static const int timeouts[] = {0, 1, 1000, INT_MAX, -1, INT_MIN};
	struct pair p;

	mode_tx(&p, *state, 0, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(timeouts); i++)
		assert_int_equal(ktls_flush(p.conn, timeouts[i]), 0);
	assert_no_records(&p);
	stream_send(&p, 1000, 1, 0);
	for (size_t i = 0; i < ARRAY_SIZE(timeouts); i++)
		assert_int_equal(ktls_flush(p.conn, timeouts[i]), 0);
	assert_records(&p, 1000);
	assert_int_equal(fake_clock, 1000);
	pair_finish(&p);
}

/* In TCP's queue: the socket may be closed by brute force now. */
static void what_was_flushed_cannot_be_lost(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	for (int i = 0; i < 4; i++) {
		mode_tx(&p, m, 60000, NULL);
		fake_socket(p.fd)->lazy = i & 1;
		p.slow = true;
		stream_send(&p, 50000, 7, i & 2 ? KTLS_MORE : 0);
		if (m->blocking) {
			assert_int_equal(ktls_flush(p.conn, 1000), 0);
		} else {
			for (int k = 0; ktls_flush(p.conn, 0) < 0; k++) {
				stream_wait(&p, "ktls_flush");
				assert_true(k < 1000);
			}
		}
		assert_int_equal(fake_socket(p.fd)->open_record.len, 0);
		assert_int_equal(fake_socket(p.fd)->tx_list.len, 0);
		assert_int_equal(pair_info(&p).unsent, 0);
		fake_close(fake_socket(p.fd));
		assert_int_equal(fake_socket_any(p.fd)->lost, 0);
		pair_peer(&p);
		assert_int_equal(p.peer_got, p.accepted);
		pair_free(&p);
	}
}

/* As ktls_flush(3) has it: EAGAIN may be taken for success. */
static void once_without_waiting_is_enough(void **state)
{
	static const size_t capacities[] = {1, 500, 10000, 17000, 30000};
	const struct mode *m = *state;
	uint8_t buf[10];

	for (size_t i = 0; i < ARRAY_SIZE(capacities); i++) {
		struct pair p;

		if (m->blocking)
			return;
		mode_tx(&p, m, 0, NULL);
		fake_socket(p.peer_fd)->capacity = capacities[i];
		p.peer_deaf = true;
		for (int k = 0; k < 10; k++)
			if (stream_writev(&p, 5000, 3, KTLS_MORE) < 0)
				break;
		if (ktls_flush(p.conn, 0) < 0)
			assert_int_equal(errno, EAGAIN);
		p.peer_deaf = false;
		/* an event loop that only reads from now on */
		for (int k = 0; k < 50000 && p.peer_got < p.accepted; k++) {
			pair_peer(&p);
			if (ktls_wants(p.conn) & POLLOUT)
				assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
		}
		assert_true(p.peer_got >= p.accepted);
		assert_int_equal(pair_info(&p).unsent, 0);
		if (p.peer_got > p.accepted)
			stream_send(&p, 1, 1, 0);
		pair_finish(&p);
	}
}

/* The same with a record of OpenSSL's own on its way. */
static void answer_of_openssl_may_be_in_the_way(void **state)
{
	const struct mode *m = *state;
	uint8_t buf[10];
	struct pair p;

	if (m->version != TLS1_3_VERSION || m->blocking || mode_kernel(m) ||
	    m->door >= DOOR_KEYS_SECRET)
		return;
	mode_tx(&p, m, 0, NULL);
	pair_peer(&p);
	assert_int_equal(stream_writev(&p, 100, 1, KTLS_MORE), 100);
	assert_int_equal(SSL_key_update(p.peer, SSL_KEY_UPDATE_REQUESTED), 1);
	p.peer_todo = 10;
	pair_peer(&p);
	fake_socket(p.peer_fd)->capacity = 5;
	p.peer_deaf = true;
	assert_int_equal(ktls_read(p.conn, buf, 10), 10);
	assert_errno(ktls_flush(p.conn, 0), EAGAIN);
	p.peer_deaf = false;
	for (int k = 0; k < 50000 && p.peer_got < p.accepted; k++) {
		pair_peer(&p);
		if (ktls_wants(p.conn) & POLLOUT)
			assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
	}
	assert_int_equal(p.peer_got, p.accepted);
	pair_finish(&p);
}

static void deaf_peer_is_eagain_or_etimedout(void **state)
{
	const struct mode *m = *state;
	struct ktls_error e;
	struct pair p;

	mode_tx(&p, m, 0, NULL);
	if (m->use == KTLS_AUTO)
		stream_send(&p, 40000, 1, 0);
	pair_peer(&p);
	fake_socket(p.peer_fd)->capacity = 10000;
	fake_socket(p.fd)->sndtimeo_ms = 50;
	p.peer_deaf = true;
	assert_true(stream_writev(&p, 30000, 3, KTLS_MORE) > 0);
	assert_errno(ktls_flush(p.conn, 0), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLOUT);
	fake_clock = 1000;
	assert_errno(ktls_flush(p.conn, 300), ETIMEDOUT);
	assert_in_range(fake_clock, 1300, 1310);
	e = pair_error(&p);
	assert_int_equal(e.code, ETIMEDOUT);
	assert_int_equal(e.sys_errno, 0);
	assert_string_equal(e.call, "ktls_flush");
	assert_true(e.unsent > 6000);
	assert_int_equal(e.unsent, pair_info(&p).unsent);
	/* the connection is unharmed */
	p.peer_deaf = false;
	fake_socket(p.fd)->sndtimeo_ms = 0;
	assert_int_equal(ktls_flush(p.conn, -1), 0);
	pair_peer(&p);
	if (p.peer_got > p.accepted)
		stream_send(&p, (size_t)(p.peer_got - p.accepted), 1, 0);
	stream_send(&p, 100, 1, 0);
	pair_finish(&p);
}

/* Crypto that is not done makes no event: time does it. */
static void time_does_it(void **state)
{
	struct pair p;

	mode_tx(&p, *state, 0, NULL);
	fake_kernel.async = true;
	fake_socket(p.fd)->lazy = true;
	stream_send(&p, 30000, 3, KTLS_MORE);
	assert_int_equal(ktls_flush(p.conn, 1000), 0);
	assert_true(fake_clock < 1100);
	pair_peer(&p);
	assert_int_equal(p.peer_got, p.accepted);
	stream_send(&p, 30000, 3, KTLS_MORE);
	assert_int_equal(ktls_flush(p.conn, -1), 0);
	fake_kernel.async = false;
	pair_finish(&p);
}

static void failures_are_the_sockets(void **state)
{
	static const int errors[] = {EPIPE, ECONNRESET};
	const struct mode *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct pair p;

		mode_tx(&p, m, 0, NULL);
		assert_int_equal(stream_writev(&p, 100, 1, KTLS_MORE), 100);
		fake_socket(p.fd)->error = errors[i];
		assert_errno(ktls_flush(p.conn, 0), errors[i]);
		assert_errno(ktls_flush(p.conn, 1000), errors[i]);
		assert_errno(ktls_write(p.conn, "x", 1), errors[i]);
		pair_free(&p);
	}
	{
		struct pair p;

		mode_tx(&p, m, 0, NULL);
		if (mode_kernel(m)) {
			fake_fail(FAKE_GET_TLS_TX, 1, EIO);
			stream_send(&p, 10, 1, 0);
			assert_errno(ktls_flush(p.conn, 0), EIO);
		}
		pair_free(&p);
	}
}

static void arguments_and_states_are_checked(void **state)
{
	const struct pair_options o = {.tx = KTLS_AUTO};
	struct pair p;

	mode_tx(&p, *state, 0, NULL);
	assert_errno(ktls_flush(NULL, 0), EINVAL);
	assert_errno(ktls_shutdown_write(NULL, 0), EINVAL);
	assert_int_equal(ktls_shutdown_write(p.conn, 1000), 0);
	assert_errno(ktls_flush(p.conn, 0), EPIPE);
	pair_finish(&p);
	pair_open(&p, &o);
	assert_errno(ktls_flush(p.conn, 0), ENOTCONN);
	pair_free(&p);
}

/* One direction ends, the other goes on. */
static void half_close_leaves_the_peers_data(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	for (int i = 0; i < 2; i++) {
		mode_tx(&p, m, 50000, NULL);
		p.peer_closes = false;
		stream_send(&p, 40000, 3, KTLS_MORE);
		for (int k = 0; ktls_shutdown_write(p.conn, i ? 1000 : 0) < 0;
		     k++) {
			stream_wait(&p, "ktls_shutdown_write");
			assert_true(k < 1000);
		}
		pair_peer(&p);
		assert_true(p.peer_closed);
		assert_int_equal(p.peer_got, p.accepted);
		assert_true(fake_socket(p.fd)->fin_sent);
		/* again, it is done already */
		assert_int_equal(ktls_shutdown_write(p.conn, 0), 0);
		assert_errno(stream_writev(&p, 10, 1, 0), EPIPE);
		/* the peer has more to say, and is heard */
		p.peer_todo = 30000;
		pair_peer(&p);
		while (p.got < 30000) {
			uint8_t buf[5000];
			const ssize_t n = ktls_read(p.conn, buf, sizeof(buf));

			if (n < 0) {
				stream_wait(&p, "ktls_read");
				continue;
			}
			assert_int_equal(fake_pattern_check(THEIRS, p.got, buf,
							    (size_t)n),
					 n);
			p.got += (uint64_t)n;
		}
		p.peer_closes = true;
		pair_peer(&p);
		if (i)
			assert_int_equal(ktls_read(p.conn, (char[1]){0}, 1), 0);
		/* the rest of it */
		if (!m->blocking)
			assert_int_equal(ktls_shutdown(p.conn, 0), 0);
		pair_finish(&p);
	}
}

static void half_close_that_cannot_is_continued(void **state)
{
	const struct mode *m = *state;
	struct pair p;

	mode_tx(&p, m, 0, NULL);
	fake_socket(p.peer_fd)->capacity = 10000;
	fake_socket(p.fd)->sndtimeo_ms = 50;
	p.peer_deaf = true;
	assert_true(stream_writev(&p, 30000, 3, 0) > 0);
	assert_errno(ktls_shutdown_write(p.conn, 0), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLOUT);
	assert_errno(ktls_shutdown_write(p.conn, 100), ETIMEDOUT);
	assert_true(pair_error(&p).unsent > 0);
	p.peer_deaf = false;
	assert_int_equal(ktls_shutdown_write(p.conn, -1), 0);
	pair_peer(&p);
	assert_true(p.peer_closed && p.peer_got >= p.accepted);
	p.accepted = p.peer_got;
	pair_finish(&p);
}

/* Its end is the end of TCP: no close_notify where the caller wants none. */
static void quiet(struct pair *p)
{
	SSL_set_quiet_shutdown(p->ssl, 1);
}

static void half_close_may_be_quiet(void **state)
{
	const struct mode *m = *state;
	const struct pair_options o = {.version = m->version,
				       .blocking = m->blocking,
				       .tx = m->use,
				       .rx = KTLS_OFF,
				       .setup_ssl = quiet};
	struct pair p;

	fake_reset();
	pair_start(&p, &o);
	wire_records(&p, NULL, 0);
	stream_send(&p, 100, 1, KTLS_MORE);
	assert_int_equal(ktls_shutdown_write(p.conn, 1000), 0);
	assert_records(&p, 100);
	pair_peer(&p);
	assert_int_equal(p.peer_got, 100);
	assert_true(p.peer_eof && !p.peer_closed);
	pair_free(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
		void *mode = (void *)(uintptr_t)&modes[i];

#define ADD(f) ktest_add(&t, f, mode, #f "_%s", modes[i].name)
		ADD(nothing_to_flush_is_0);
		ADD(what_was_flushed_cannot_be_lost);
		ADD(once_without_waiting_is_enough);
		ADD(answer_of_openssl_may_be_in_the_way);
		ADD(deaf_peer_is_eagain_or_etimedout);
		ADD(time_does_it);
		ADD(failures_are_the_sockets);
		ADD(arguments_and_states_are_checked);
		ADD(half_close_leaves_the_peers_data);
		ADD(half_close_that_cannot_is_continued);
		ADD(half_close_may_be_quiet);
	}
	r = ktest_run_table("flush", &t);
	certs_free();
	return r;
}
