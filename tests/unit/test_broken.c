/* SPDX-License-Identifier: MIT */
/* Connections that end badly: truncated, reset, refused in the handshake. */
#include "pair.h"

struct row {
	uint32_t tx, rx;
	bool blocking;
};

static struct row rows[] = {
	{KTLS_OFF, KTLS_OFF, false},	 {KTLS_REQUIRE, KTLS_OFF, false},
	{KTLS_OFF, KTLS_REQUIRE, false}, {KTLS_REQUIRE, KTLS_REQUIRE, false},
	{KTLS_OFF, KTLS_OFF, true},	 {KTLS_REQUIRE, KTLS_REQUIRE, true},
};

static void start(struct pair *p, const struct row *row)
{
	const struct pair_options o = {
		.tx = row->tx, .rx = row->rx, .blocking = row->blocking};

	fake_reset();
	pair_start(p, &o);
	pair_receive(p, 10, 10);
}

/* RFC 8446 section 6.1: without close_notify the end is not the end. */
static void fin_without_close_notify_is_econnaborted(void **state)
{
	char buf[2000];
	struct pair p;

	start(&p, *state);
	p.peer_todo = 1000;
	pair_peer(&p);
	fake_raw_fin(p.peer_fd);
	/* what came whole is delivered */
	assert_int_equal(ktls_read(p.conn, buf, sizeof(buf)), 1000);
	for (int i = 0; i < 3; i++) {
		assert_errno(ktls_read(p.conn, buf, 10), ECONNABORTED);
		assert_int_equal(pair_error(&p).code, ECONNABORTED);
	}
	assert_non_null(strstr(pair_error(&p).text, "close_notify"));
	/* a peer that only shut down its side still listens */
	pair_send(&p, 5000, 5000);
	pair_settle(&p);
	p.peer_closes = false;
	pair_finish(&p);
}

static void fin_inside_a_record_is_econnaborted(void **state)
{
	static const size_t left[] = {1, 4, 5, 500, 1000};

	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		struct fake_socket *s;
		char buf[2000];
		struct pair p;

		start(&p, *state);
		p.peer_todo = 1000;
		pair_peer(&p);
		s = fake_socket(p.fd);
		assert_true(left[i] < s->in.len);
		s->in.len = left[i];
		fake_raw_fin(p.peer_fd);
		assert_errno(ktls_read(p.conn, buf, sizeof(buf)), ECONNABORTED);
		pair_send(&p, 500, 500);
		pair_free(&p);
	}
}

static void reset_is_econnreset_for_good(void **state)
{
	const struct row *row = *state;
	struct ktls_error e;
	char buf[10];
	struct pair p;

	start(&p, row);
	fake_raw_reset(p.peer_fd);
	assert_errno(ktls_read(p.conn, buf, 10), ECONNRESET);
	e = pair_error(&p);
	assert_int_equal(e.code, ECONNRESET);
	assert_int_equal(e.sys_errno, ECONNRESET);
	assert_string_equal(e.call, row->rx == KTLS_OFF ? "recv" : "recvmsg");
	/* Linux says it once */
	fake_socket(p.fd)->error = 0;
	assert_errno(ktls_read(p.conn, buf, 10), ECONNRESET);
	assert_errno(ktls_write(p.conn, buf, 10), ECONNRESET);
	assert_errno(ktls_sendfile(p.conn, 2000, NULL, 10), ECONNRESET);
	assert_errno(ktls_offload(p.conn, KTLS_TX), ECONNRESET);
	assert_errno(ktls_close(p.conn, 100), ECONNRESET);
	p.conn = NULL;
	assert_null(fake_socket(p.fd));
	pair_free(&p);
}

static void epipe_leaves_what_was_received(void **state)
{
	const struct row *row = *state;
	char buf[10000];
	struct pair p;

	start(&p, row);
	p.peer_todo = 5000;
	pair_peer(&p);
	fake_fail(FAKE_SEND, 0, EPIPE);
	fake_fail(FAKE_SENDMSG, 0, EPIPE);
	assert_errno(ktls_write(p.conn, buf, 100), EPIPE);
	assert_int_equal(pair_error(&p).sys_errno, EPIPE);
	assert_string_equal(pair_error(&p).call, "send");
	fake_heal();
	assert_errno(ktls_write(p.conn, buf, 100), EPIPE);
	assert_errno(ktls_sendfile(p.conn, 2000, NULL, 10), EPIPE);
	assert_int_equal(ktls_wants(p.conn) & POLLOUT, 0);
	pair_receive(&p, 5000, 10000);
	if (!row->blocking)
		assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
	assert_errno(ktls_shutdown(p.conn, 100), EPIPE);
	/* what is on its way is not overtaken by a reset */
	p.peer_todo = 5000;
	pair_peer(&p);
	assert_errno(ktls_close(p.conn, 100), EPIPE);
	p.conn = NULL;
	assert_false(fake_socket_any(p.fd)->reset_at_close);
	assert_no_leak(&p);
	pair_free(&p);
}

/* What OpenSSL says of such headers, and the kernel in other words. */
static void record_with_a_bad_header_is_eproto(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		int alert;
	} bad[] = {{3, 0x60, 22}, {1, 9, 50}};
	const struct row *row = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fake_socket *s;
		struct pair p;
		char buf[10];

		start(&p, row);
		p.peer_todo = 1000;
		pair_peer(&p);
		s = fake_socket(p.fd);
		s->in.p[s->in.off + bad[i].at] = bad[i].value;
		assert_errno(ktls_read(p.conn, buf, 10), EPROTO);
		assert_errno(ktls_read(p.conn, buf, 10), EPROTO);
		if (row->rx == KTLS_REQUIRE && row->tx == KTLS_REQUIRE)
			assert_int_equal(pair_error(&p).alert_sent, bad[i].alert);
		pair_peer(&p);
		if (row->rx == KTLS_OFF || row->tx == KTLS_REQUIRE)
			assert_non_null(strstr(p.peer_text, "alert"));
		pair_free(&p);
	}
}

/* A write that fails after progress reports the progress. */
static void progress_beats_error(void **state)
{
	const struct row *row = *state;
	static uint8_t buf[100000];
	struct pair p;
	ssize_t n;

	start(&p, row);
	fake_pattern(OURS, 0, buf, sizeof(buf));
	if (row->tx == KTLS_REQUIRE)
		fake_limit(FAKE_SEND, 20000);
	fake_fail(FAKE_SEND, 3, ECONNRESET);
	n = ktls_write(p.conn, buf, sizeof(buf));
	assert_int_equal(n, row->tx == KTLS_REQUIRE ? 40000 : 32768);
	assert_errno(ktls_write(p.conn, buf, 1), ECONNRESET);
	pair_free(&p);
}

static void handshake(struct pair *p, int e)
{
	for (int i = 0; i < 1000; i++) {
		if (ktls_handshake(p->conn) != 0 && errno != EAGAIN)
			break;
		pair_peer(p);
	}
	assert_int_equal(errno, e);
	assert_errno(ktls_handshake(p->conn), e);
	assert_int_equal(pair_error(p).code, e);
}

static const struct pair_options client = {.rx = KTLS_OFF};
static const struct pair_options server = {.server = true, .rx = KTLS_OFF};

static void end_inside_the_handshake_is_econnaborted(void **state)
{
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &client);
	assert_errno(ktls_handshake(p.conn), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLIN);
	fake_raw_fin(p.peer_fd);
	p.peer_error = 1;
	handshake(&p, ECONNABORTED);
	pair_free(&p);
}

static void close_notify_inside_the_handshake_is_econnaborted(void **state)
{
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &client);
	assert_errno(ktls_handshake(p.conn), EAGAIN);
	p.peer_error = 1;
	fake_raw_write(p.peer_fd, "\x15\3\3\0\2\1\0", 7);
	handshake(&p, ECONNABORTED);
	pair_free(&p);
}

static void reset_inside_the_handshake_is_econnreset(void **state)
{
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &client);
	assert_errno(ktls_handshake(p.conn), EAGAIN);
	fake_raw_reset(p.peer_fd);
	p.peer_error = 1;
	handshake(&p, ECONNRESET);
	pair_free(&p);
}

static void what_is_not_tls_is_eproto(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\n\r\n";
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &server);
	p.peer_error = 1;
	fake_raw_write(p.peer_fd, http, sizeof(http) - 1);
	handshake(&p, EPROTO);
	assert_true(pair_error(&p).openssl != 0);
	assert_errno(ktls_close(p.conn, 0), EPROTO);
	p.conn = NULL;
	pair_free(&p);
}

static void distrust(struct pair *p)
{
	SSL_set_verify(p->ssl, SSL_VERIFY_PEER, NULL);
	SSL_set1_host(p->ssl, "example.org");
}

static void our_refusal_is_told_to_the_peer(void **state)
{
	struct pair_options o = client;
	struct pair p;

	(void)state;
	fake_reset();
	o.setup_ssl = distrust;
	pair_open(&p, &o);
	handshake(&p, EPROTO);
	assert_true(pair_error(&p).alert_sent > 0);
	assert_int_equal(pair_error(&p).alert_received, -1);
	pair_peer(&p);
	assert_non_null(strstr(p.peer_text, "alert"));
	pair_free(&p);
}

static void other_suites(SSL_CTX *ours, SSL_CTX *theirs)
{
	SSL_CTX_set_ciphersuites(ours, "TLS_AES_128_GCM_SHA256");
	SSL_CTX_set_ciphersuites(theirs, "TLS_AES_256_GCM_SHA384");
}

static void refusal_of_the_peer_is_eproto_with_its_alert(void **state)
{
	struct pair_options o = client;
	struct pair p;

	(void)state;
	fake_reset();
	o.setup_ctx = other_suites;
	pair_open(&p, &o);
	handshake(&p, EPROTO);
	assert_int_equal(pair_error(&p).alert_received, 40);
	assert_non_null(strstr(pair_error(&p).text, "handshake failure"));
	pair_free(&p);
}

/* Every call of the handshake fails once for a moment, or for good. */
static void failing_calls_end_the_handshake_or_delay_it(void **state)
{
	static const enum fake_call calls[] = {FAKE_SEND, FAKE_RECV};
	static const int errors[] = {ENOBUFS, ENOMEM, ECONNRESET, EPIPE};

	(void)state;
	for (unsigned int m = 0; m < 2 * 4 * 2 * 8; m++) {
		const int e = errors[m / 2 % 4];
		struct pair_options o = m & 32 ? client : server;
		bool failed = false;
		struct pair p;

		o.blocking = m & 8;
		fake_reset();
		pair_open(&p, &o);
		fake_fail(calls[m & 1], 1 + m / 16 % 8, e);
		for (int i = 0; i < 100; i++) {
			if (ktls_handshake(p.conn) == 0)
				break;
			if (errno != EAGAIN) {
				assert_int_equal(errno, e);
				failed = e != ENOBUFS && e != ENOMEM;
				if (failed)
					break;
			}
			pair_peer(&p);
		}
		if (failed || ktls_handshake(p.conn) != 0) {
			assert_errno(ktls_handshake(p.conn), e);
			pair_free(&p);
			continue;
		}
		pair_peer(&p);
		fake_heal();
		pair_send(&p, 100, 100);
		pair_receive(&p, 100, 100);
		pair_finish(&p);
	}
}

/* The kernel tells a broken header once, to whoever comes: a sender as well. */
static void broken_header_met_by_sending_is_eproto(void **state)
{
	static const int errors[] = {EMSGSIZE, EINVAL};
	const struct row *row = *state;

	if (row->tx != KTLS_REQUIRE || row->rx != KTLS_REQUIRE)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct pair p;
		char buf[10];

		start(&p, row);
		fake_socket(p.fd)->so_error = errors[i];
		assert_errno(ktls_write(p.conn, buf, 10), EPROTO);
		assert_int_equal(pair_error(&p).sys_errno, errors[i]);
		assert_int_equal(pair_error(&p).alert_sent, i == 0 ? 22 : 50);
		assert_errno(ktls_read(p.conn, buf, 10), EPROTO);
		assert_errno(ktls_write(p.conn, buf, 10), EPROTO);
		pair_free(&p);
	}
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
#define ADD(f)                                                                 \
	ktest_add(&t, f, &rows[i], #f "_tx_%s_rx_%s_%s",                       \
		  rows[i].tx == KTLS_OFF ? "user" : "kernel",                  \
		  rows[i].rx == KTLS_OFF ? "user" : "kernel",                  \
		  rows[i].blocking ? "blocking" : "nonblocking")
		ADD(fin_without_close_notify_is_econnaborted);
		ADD(fin_inside_a_record_is_econnaborted);
		ADD(reset_is_econnreset_for_good);
		ADD(epipe_leaves_what_was_received);
		ADD(record_with_a_bad_header_is_eproto);
		ADD(progress_beats_error);
		ADD(broken_header_met_by_sending_is_eproto);
	}
#undef ADD
#define ADD(f) ktest_add(&t, f, NULL, #f)
	ADD(end_inside_the_handshake_is_econnaborted);
	ADD(close_notify_inside_the_handshake_is_econnaborted);
	ADD(reset_inside_the_handshake_is_econnreset);
	ADD(what_is_not_tls_is_eproto);
	ADD(our_refusal_is_told_to_the_peer);
	ADD(refusal_of_the_peer_is_eproto_with_its_alert);
	ADD(failing_calls_end_the_handshake_or_delay_it);
	r = ktest_run_table("broken", &t);
	certs_free();
	return r;
}
