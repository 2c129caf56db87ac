/* SPDX-License-Identifier: MIT */
/* ktls_shutdown() and ktls_close(): nothing that was accepted is lost. */
#include "pair.h"

#include <fcntl.h>

struct row {
	uint32_t tx, rx;
	int version;
};

static struct row rows[] = {
	{KTLS_OFF, KTLS_OFF, TLS1_3_VERSION},
	{KTLS_REQUIRE, KTLS_OFF, TLS1_3_VERSION},
	{KTLS_OFF, KTLS_REQUIRE, TLS1_3_VERSION},
	{KTLS_REQUIRE, KTLS_REQUIRE, TLS1_3_VERSION},
	{KTLS_REQUIRE, KTLS_REQUIRE, TLS1_2_VERSION},
};

static void start(struct pair *p, const struct row *row, size_t capacity)
{
	const struct pair_options o = {.version = row->version,
				       .tx = row->tx,
				       .rx = row->rx,
				       .capacity = capacity};

	fake_reset();
	pair_start(p, &o);
}

/* More is accepted than TCP has room for, and the caller closes at once. */
static void close_waits_for_what_the_kernel_holds(void **state)
{
	static const size_t capacities[] = {1, 100, 16000, 20000};

	for (size_t i = 0; i < ARRAY_SIZE(capacities); i++) {
		for (int lazy = 0; lazy < 2; lazy++) {
			struct pair p;

			start(&p, *state, 100000);
			fake_socket(p.peer_fd)->capacity = capacities[i];
			fake_socket(p.fd)->lazy = lazy;
			p.slow = true;
			fake_flaky(true);
			pair_send(&p, capacities[i] > 100 ? 90000 : 300, 30000);
			pair_finish(&p);
		}
	}
}

static void blocking_close_does_it_in_one_call(void **state)
{
	static const int timeouts[] = {-1, 100000};

	for (size_t i = 0; i < 2; i++) {
		struct pair p;

		start(&p, *state, 100000);
		fake_socket(p.peer_fd)->capacity = 100;
		fake_socket(p.fd)->lazy = true;
		p.slow = true;
		pair_send(&p, 1000, 1000);
		assert_int_equal(ktls_close(p.conn, timeouts[i]), 0);
		p.conn = NULL;
		pair_peer(&p);
		assert_int_equal(p.peer_got, p.accepted);
		assert_true(p.peer_closed);
		assert_int_equal(fake_socket_any(p.fd)->lost, 0);
		assert_false(fake_socket_any(p.fd)->reset_at_close);
		pair_free(&p);
	}
}

/* The account is exact at every moment, open records included. */
static void unsent_is_what_tcp_has_not_got(void **state)
{
	const struct row *row = *state;
	struct fake_socket *s;
	struct pair p;
	off_t off = 0;
	int file;

	if (row->tx == KTLS_OFF)
		return;
	start(&p, row, 40000);
	s = fake_socket(p.fd);
	p.peer_deaf = true;
	file = fake_file(FAKE_REGULAR, OURS, 1 << 20);
	assert_int_equal(pair_info(&p).unsent, 0);
	for (int i = 0; i < 30; i++) {
		fake_limit(FAKE_SENDFILE, i % 5 == 4 ? 5000 : 0);
		if (ktls_sendfile(p.conn, file, &off, 16384) < 0)
			p.peer_deaf = false;
		p.accepted = (uint64_t)off;
		assert_int_equal(pair_info(&p).unsent,
				 s->tx_list.len + s->open_record.len);
		if (!p.peer_deaf)
			pair_peer(&p);
		assert_int_equal(pair_info(&p).unsent,
				 s->tx_list.len + s->open_record.len);
	}
	fake_heal();
	pair_finish(&p);
}

static void deaf_peer_is_etimedout_with_the_rest_counted(void **state)
{
	const struct row *row = *state;
	struct ktls_error e;
	struct pair p;
	uint8_t buf[30000];
	ssize_t n;

	start(&p, row, 100000);
	fake_socket(p.peer_fd)->capacity = 20000;
	p.peer_deaf = true;
	fake_pattern(OURS, 0, buf, sizeof(buf));
	n = ktls_write(p.conn, buf, sizeof(buf));
	assert_true(n > 16384);
	p.accepted = (uint64_t)n;
	assert_errno(ktls_shutdown(p.conn, 0), EAGAIN);
	assert_true(ktls_wants(p.conn) & POLLOUT);
	assert_errno(ktls_shutdown(p.conn, 300), ETIMEDOUT);
	assert_in_range(fake_clock, 1300, 1310);
	e = pair_error(&p);
	assert_int_equal(e.code, ETIMEDOUT);
	assert_true(e.unsent > 10000 && e.unsent < 13000);
	assert_int_equal(e.unsent, pair_info(&p).unsent);
	/* the alert waits, too */
	if (row->tx == KTLS_REQUIRE)
		assert_true(e.unsent > fake_socket(p.fd)->tx_list.len);
	/* and it can be tried again */
	p.peer_deaf = false;
	if (row->tx == KTLS_OFF)
		/* the held-back byte was sent, and nobody says so any more */
		p.accepted = sizeof(buf);
	pair_finish(&p);
}

static void close_at_the_deadline_closes_all_the_same(void **state)
{
	struct pair p;

	start(&p, *state, 100000);
	p.peer_closes = false;
	p.peer_deaf = true;
	assert_errno(ktls_close(p.conn, 50), ETIMEDOUT);
	p.conn = NULL;
	assert_null(fake_socket(p.fd));
	p.peer_deaf = false;
	pair_peer(&p);
	assert_true(p.peer_closed);
	pair_free(&p);
}

static void close_reads_the_peer_to_its_end(void **state)
{
	struct pair p;

	start(&p, *state, 0);
	p.peer_todo = 300000;
	pair_peer(&p);
	assert_true(fake_socket(p.fd)->in.len > 200000);
	pair_send(&p, 1000, 1000);
	pair_finish(&p);
}

static void flood(void *arg)
{
	struct pair *p = arg;

	p->peer_todo = 1000000;
	pair_peer(p);
}

static void peer_that_never_stops_is_left(void **state)
{
	struct pair p;

	start(&p, *state, 0);
	p.peer_closes = false;
	fake_on_poll(flood, &p);
	flood(&p);
	assert_int_equal(ktls_close(p.conn, 100000), 0);
	p.conn = NULL;
	assert_true(fake_clock < 50000);
	pair_free(&p);
}

static void peer_that_closed_first_is_answered(void **state)
{
	char buf[10];
	struct pair p;

	start(&p, *state, 0);
	pair_receive(&p, 10, 10);
	SSL_shutdown(p.peer);
	fake_raw_fin(p.peer_fd);
	assert_int_equal(ktls_read(p.conn, buf, 10), 0);
	pair_send(&p, 500, 500);
	assert_int_equal(ktls_shutdown(p.conn, 0), 0);
	assert_int_equal(ktls_shutdown(p.conn, 0), 0);
	pair_finish(&p);
}

/* Its close_notify says it all: TCP's end need not be waited for. */
static void answer_without_fin_is_enough(void **state)
{
	struct pair p;

	start(&p, *state, 0);
	p.peer_closes = false;
	p.peer_todo = 3000;
	assert_errno(ktls_shutdown(p.conn, 0), EAGAIN);
	pair_peer(&p);
	assert_true(p.peer_closed);
	assert_errno(ktls_shutdown(p.conn, 0), EAGAIN);
	SSL_shutdown(p.peer);
	assert_int_equal(ktls_shutdown(p.conn, 0), 0);
	pair_free(&p);
}

/* It had all of our data: that our close_notify is reset is no failure. */
static void peer_that_is_gone_is_no_failure(void **state)
{
	static const uint8_t some[16384];
	char buf[10];

	for (int lost = 0; lost < 2; lost++) {
		struct pair p;

		start(&p, *state, 100000);
		pair_receive(&p, 10, 10);
		pair_send(&p, 1000, 1000);
		pair_settle(&p);
		SSL_shutdown(p.peer);
		assert_int_equal(ktls_read(p.conn, buf, 10), 0);
		if (lost) {
			fake_socket(p.peer_fd)->capacity = 10000;
			p.peer_deaf = true;
			assert_true(ktls_write(p.conn, some, sizeof(some)) >
				    16000);
		}
		fake_on_poll(NULL, NULL);
		fake_socket(p.peer_fd)->open = false;
		if (lost)
			/* what it never got is */
			assert_errno(ktls_close(p.conn, 100), ECONNRESET);
		else
			assert_int_equal(ktls_close(p.conn, 100), 0);
		p.conn = NULL;
		pair_free(&p);
	}
}

static void nothing_is_sent_after_shutdown_began(void **state)
{
	struct pair p;
	off_t off = 0;
	int file;

	start(&p, *state, 0);
	file = fake_file(FAKE_REGULAR, OURS, 100);
	p.peer_closes = false;
	assert_errno(ktls_shutdown(p.conn, 0), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLIN);
	assert_errno(ktls_write(p.conn, "x", 1), EPIPE);
	assert_errno(ktls_sendfile(p.conn, file, &off, 10), EPIPE);
	p.peer_closes = true;
	pair_finish(&p);
}

static void quiet_shutdown_sends_no_close_notify(void **state)
{
	struct pair p;

	start(&p, *state, 0);
	pair_receive(&p, 10, 10);
	SSL_set_quiet_shutdown(p.ssl, 1);
	pair_send(&p, 1000, 1000);
	p.peer_closes = false;
	while (ktls_shutdown(p.conn, 0) != 0) {
		assert_int_equal(errno, EAGAIN);
		pair_peer(&p);
		if (p.peer_error)
			fake_raw_fin(p.peer_fd);
	}
	assert_false(p.peer_closed);
	assert_true(p.peer_eof);
	assert_int_equal(p.peer_got, 1000);
	pair_free(&p);
}

static void errors_of_the_end_are_told(void **state)
{
	struct pair p;

	start(&p, *state, 0);
	p.peer_closes = false;
	fake_fail(FAKE_SHUTDOWN, 1, EIO);
	assert_errno(ktls_shutdown(p.conn, 100), EIO);
	assert_string_equal(pair_error(&p).call, "shutdown");
	pair_free(&p);
	/* a peer that is gone needs no FIN */
	start(&p, *state, 0);
	fake_fail(FAKE_SHUTDOWN, 1, ENOTCONN);
	pair_peer(&p);
	SSL_shutdown(p.peer);
	fake_raw_fin(p.peer_fd);
	assert_int_equal(ktls_shutdown(p.conn, 100), 0);
	pair_free(&p);
	start(&p, *state, 0);
	fake_fail(FAKE_CLOSE, 1, EIO);
	assert_errno(ktls_close(p.conn, 100), EIO);
	p.conn = NULL;
	pair_free(&p);
}

static void account_that_fails_is_no_success(void **state)
{
	static const enum fake_call calls[] = {FAKE_GET_TLS_TX,
					       FAKE_GET_TCP_INFO};
	const struct row *row = *state;

	if (row->tx == KTLS_OFF)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		struct pair p;

		start(&p, row, 0);
		fake_fail(calls[i], 0, ENOBUFS);
		assert_errno(ktls_shutdown(p.conn, 100), ENOBUFS);
		assert_int_equal(pair_info(&p).unsent, 0);
		fake_heal();
		pair_finish(&p);
	}
}

/* The connection died while something waited: the kernel will not send it. */
static void reset_while_waiting_is_econnreset(void **state)
{
	const struct row *row = *state;
	struct pair p;

	if (row->tx == KTLS_OFF)
		return;
	start(&p, row, 100000);
	p.peer_deaf = true;
	fake_socket(p.peer_fd)->capacity = 16384 + 31;
	pair_send(&p, 16384, 16384);
	/* the alert is with the kernel, and with TCP in part */
	assert_errno(ktls_shutdown(p.conn, 0), EAGAIN);
	assert_true(fake_socket(p.fd)->tx_list.len > 0);
	fake_socket(p.fd)->tcpi_state = 7;
	assert_errno(ktls_shutdown(p.conn, 1000), ECONNRESET);
	pair_free(&p);
}

static void before_the_handshake_there_is_only_tcp(void **state)
{
	const struct pair_options o = {.tx = KTLS_AUTO};
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &o);
	fake_raw_fin(p.peer_fd);
	assert_int_equal(ktls_close(p.conn, 0), 0);
	p.conn = NULL;
	assert_int_equal(fake_socket_any(p.fd)->wire.len, 0);
	pair_free(&p);
	assert_errno(ktls_shutdown(NULL, 0), EINVAL);
	assert_errno(ktls_close(NULL, 0), EINVAL);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
#define ADD(f)                                                                 \
	ktest_add(&t, f, &rows[i], #f "_tx_%s_rx_%s_1_%d",                     \
		  rows[i].tx == KTLS_OFF ? "user" : "kernel",                  \
		  rows[i].rx == KTLS_OFF ? "user" : "kernel",                  \
		  rows[i].version - TLS1_VERSION)
		ADD(close_waits_for_what_the_kernel_holds);
		ADD(blocking_close_does_it_in_one_call);
		ADD(unsent_is_what_tcp_has_not_got);
		ADD(deaf_peer_is_etimedout_with_the_rest_counted);
		ADD(close_at_the_deadline_closes_all_the_same);
		ADD(close_reads_the_peer_to_its_end);
		ADD(peer_that_never_stops_is_left);
		ADD(peer_that_closed_first_is_answered);
		ADD(answer_without_fin_is_enough);
		ADD(peer_that_is_gone_is_no_failure);
		ADD(nothing_is_sent_after_shutdown_began);
		ADD(quiet_shutdown_sends_no_close_notify);
		ADD(errors_of_the_end_are_told);
		ADD(account_that_fails_is_no_success);
		ADD(reset_while_waiting_is_econnreset);
	}
	ktest_add(&t, before_the_handshake_there_is_only_tcp, NULL,
		  "before_the_handshake_there_is_only_tcp");
	r = ktest_run_table("close", &t);
	certs_free();
	return r;
}
