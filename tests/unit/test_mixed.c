/* SPDX-License-Identifier: MIT */
/* What OpenSSL has to say while the kernel has one direction or both. */
#include "pair.h"

#include <openssl/err.h>

struct row {
	uint32_t tx, rx;
};

static struct row rows[] = {
	{KTLS_OFF, KTLS_OFF},
	{KTLS_REQUIRE, KTLS_OFF},
	{KTLS_OFF, KTLS_REQUIRE},
	{KTLS_REQUIRE, KTLS_REQUIRE},
};

static void ask_for_certificates(SSL_CTX *ours, SSL_CTX *theirs)
{
	SSL_CTX_set_post_handshake_auth(ours, 1);
	SSL_CTX_set_post_handshake_auth(theirs, 1);
}

static int any(int ok, X509_STORE_CTX *ctx)
{
	(void)ok;
	(void)ctx;
	return 1;
}

/* Three handshake messages of OpenSSL's, in both directions. */
static void certificate_is_given_after_the_handshake(void **state)
{
	const struct row *row = *state;
	const struct pair_options o = {
		.tx = row->tx, .rx = row->rx, .setup_ctx = ask_for_certificates};
	struct pair p;

	fake_reset();
	pair_open(&p, &o);
	SSL_use_certificate(p.ssl, SSL_CTX_get0_certificate(p.peer_ctx));
	SSL_use_PrivateKey(p.ssl, SSL_CTX_get0_privatekey(p.peer_ctx));
	pair_handshake(&p);
	pair_send(&p, 1000, 1000);
	pair_receive(&p, 1000, 1000);
	/* the kernel may take a part of a control record, too */
	fake_limit(FAKE_SENDMSG, 37);
	fake_limit(FAKE_SEND, 1000);
	SSL_set_verify(p.peer, SSL_VERIFY_PEER, any);
	assert_int_equal(SSL_verify_client_post_handshake(p.peer), 1);
	assert_int_equal(SSL_do_handshake(p.peer), 1);
	pair_receive(&p, 1000, 1000);
	pair_send(&p, 1000, 1000);
	pair_settle(&p);
	assert_non_null(SSL_get0_peer_certificate(p.peer));
	pair_send(&p, 50000, 50000);
	pair_receive(&p, 50000, 50000);
	pair_finish(&p);
}

static void record_that_was_changed_is_ebadmsg_and_an_alert(void **state)
{
	const struct row *row = *state;

	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		const struct pair_options o = {
			.version = version, .tx = row->tx, .rx = row->rx};
		struct fake_socket *s;
		struct pair p;
		char buf[10];

		fake_reset();
		pair_start(&p, &o);
		pair_receive(&p, 10, 10);
		p.peer_todo = 1000;
		pair_peer(&p);
		s = fake_socket(p.fd);
		s->in.p[s->in.off + 500] ^= 1;
		assert_errno(ktls_read(p.conn, buf, 10), EBADMSG);
		assert_errno(ktls_read(p.conn, buf, 10), EBADMSG);
		assert_errno(ktls_write(p.conn, "x", 1), EBADMSG);
		assert_int_equal(pair_error(&p).code, EBADMSG);
		pair_peer(&p);
		/* but with TX in user space nobody knows the next nonce */
		if (row->tx == KTLS_REQUIRE || row->rx == KTLS_OFF ||
		    version == TLS1_3_VERSION) {
			assert_int_equal(pair_error(&p).alert_sent, 20);
			assert_non_null(strstr(p.peer_text, "bad record mac"));
		}
		assert_no_leak(&p);
		pair_free(&p);
	}
}

/* After an alert that OpenSSL knows nothing of, its next nonce is used up. */
static void nothing_is_sent_after_a_fatal_alert_of_our_own(void **state)
{
	const struct row *row = *state;
	const struct pair_options o = {.tx = row->tx, .rx = row->rx};
	struct fake_socket *s;
	struct pair p;
	char buf[10];
	size_t n;

	fake_reset();
	pair_start(&p, &o);
	pair_receive(&p, 10, 10);
	p.peer_todo = 1000;
	pair_peer(&p);
	s = fake_socket(p.fd);
	s->in.p[s->in.off + 500] ^= 1;
	assert_errno(ktls_read(p.conn, buf, 10), EBADMSG);
	n = s->wire.len;
	SSL_shutdown(p.ssl);
	SSL_write(p.ssl, "x", 1);
	assert_int_equal(s->wire.len, n);
	pair_free(&p);
}

/* TLS 1.2: OpenSSL says no_renegotiation, and data goes on. */
static void renegotiation_is_refused(void **state)
{
	const struct row *row = *state;
	const struct pair_options o = {.version = TLS1_2_VERSION,
				       .server = true,
				       .tx = row->tx,
				       .rx = row->rx};
	struct pair p;
	char buf[10];

	fake_reset();
	pair_start(&p, &o);
	pair_send(&p, 1000, 1000);
	pair_receive(&p, 1000, 1000);
	/* both OFF leaves it to the caller */
	if (row->tx == KTLS_OFF && row->rx == KTLS_OFF) {
		pair_finish(&p);
		return;
	}
	assert_int_equal(SSL_renegotiate(p.peer), 1);
	SSL_do_handshake(p.peer);
	assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
	assert_int_equal(pair_error(&p).alert_sent, 100);
	assert_int_equal(ktls_write(p.conn, "xy", 2), 2);
	ERR_clear_error();
	assert_true(SSL_do_handshake(p.peer) != 1);
	assert_int_equal(ERR_GET_REASON(ERR_peek_error()),
			 SSL_R_NO_RENEGOTIATION);
	assert_no_leak(&p);
	pair_free(&p);
}

/* A caller that writes behind our back must not get plaintext out. */
static void ssl_write_by_the_caller_sends_nothing_in_clear(void **state)
{
	const struct row *row = *state;
	const struct pair_options o = {.tx = row->tx, .rx = row->rx};
	uint8_t buf[1000];
	struct pair p;
	size_t n;

	fake_reset();
	pair_start(&p, &o);
	pair_send(&p, 100, 100);
	fake_pattern(OURS, 100, buf, sizeof(buf));
	if (row->tx == KTLS_OFF) {
		assert_int_equal(SSL_write(p.ssl, buf, sizeof(buf)), 1000);
		p.accepted += 1000;
	} else {
		n = fake_socket(p.fd)->wire.len;
		assert_true(SSL_write(p.ssl, buf, sizeof(buf)) <= 0);
		assert_int_equal(fake_socket(p.fd)->wire.len, n);
	}
	pair_settle(&p);
	assert_no_leak(&p);
	pair_free(&p);
}

/* OpenSSL's alert waits behind data that TCP has no room for. */
static void alert_waits_its_turn(void **state)
{
	const struct row *row = *state;
	const struct pair_options o = {
		.tx = row->tx, .rx = row->rx, .capacity = 60000};
	struct fake_socket *s;
	char buf[10];
	struct pair p;

	fake_reset();
	pair_start(&p, &o);
	pair_receive(&p, 10, 10);
	p.peer_deaf = true;
	pair_send(&p, 50000, 50000);
	p.peer_todo = 100;
	pair_peer(&p);
	s = fake_socket(p.fd);
	fake_socket(p.peer_fd)->capacity = 0;
	s->in.p[s->in.off + 50] ^= 1;
	assert_errno(ktls_read(p.conn, buf, 10), EBADMSG);
	fake_socket(p.peer_fd)->capacity = 100000;
	p.peer_deaf = false;
	assert_errno(ktls_close(p.conn, 0), EBADMSG);
	p.conn = NULL;
	pair_peer(&p);
	/* in the kernel the bad record stays unread, which resets TCP */
	if (row->rx == KTLS_OFF) {
		assert_int_equal(p.peer_got, p.accepted);
		assert_non_null(strstr(p.peer_text, "bad record mac"));
	}
	assert_no_leak(&p);
	pair_free(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
#define ADD(f)                                                                 \
	ktest_add(&t, f, &rows[i], #f "_tx_%s_rx_%s",                          \
		  rows[i].tx == KTLS_OFF ? "user" : "kernel",                  \
		  rows[i].rx == KTLS_OFF ? "user" : "kernel")
		ADD(certificate_is_given_after_the_handshake);
		ADD(record_that_was_changed_is_ebadmsg_and_an_alert);
		ADD(nothing_is_sent_after_a_fatal_alert_of_our_own);
		ADD(renegotiation_is_refused);
		ADD(alert_waits_its_turn);
		ADD(ssl_write_by_the_caller_sends_nothing_in_clear);
	}
	r = ktest_run_table("mixed", &t);
	certs_free();
	return r;
}
