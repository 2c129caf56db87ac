/* SPDX-License-Identifier: MIT */
/* Control records with RX in the kernel: tickets, alerts, new keys, floods. */
#include "pair.h"

#include <sys/socket.h>

static SSL_SESSION *session;
static unsigned int n_sessions;

static int new_session(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	SSL_SESSION_free(session);
	session = s;
	n_sessions++;
	return 1;
}

static void keep_sessions(SSL_CTX *ours, SSL_CTX *theirs)
{
	(void)theirs;
	SSL_CTX_set_session_cache_mode(ours, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(ours, new_session);
}

static void resume(struct pair *p)
{
	assert_int_equal(SSL_set_session(p->ssl, session), 1);
}

static void drop_session(void)
{
	SSL_SESSION_free(session);
	session = NULL;
	n_sessions = 0;
}

static const struct pair_options client = {.tx = KTLS_REQUIRE,
					   .rx = KTLS_REQUIRE};

/* A second connection with the first one's contexts and session. */
static void check_resumption(const struct pair *first)
{
	struct pair_options o = client;
	struct pair p;

	o.ctx = first->ctx;
	o.peer_ctx = first->peer_ctx;
	o.setup_ssl = resume;
	pair_start(&p, &o);
	assert_int_equal(SSL_session_reused(p.ssl), 1);
	assert_modes(&p, "kernel", "kernel");
	pair_send(&p, 1000, 1000);
	pair_receive(&p, 1000, 1000);
	pair_finish(&p);
}

static void tickets_reach_the_callback_and_resume(void **state)
{
	const size_t chunk = *(const size_t *)*state;
	struct pair_options o = client;
	struct pair p;

	drop_session();
	fake_reset();
	o.setup_ctx = keep_sessions;
	pair_start(&p, &o);
	assert_int_equal(n_sessions, 0);
	if (chunk == 2)
		fake_limit(FAKE_RECVMSG, 1);
	if (chunk == 3)
		fake_flaky(true);
	pair_receive(&p, 100, chunk);
	assert_int_equal(n_sessions, 2);
	fake_heal();
	/* without a reset: the contexts are needed */
	assert_int_equal(ktls_close(p.conn, 1000), 0);
	p.conn = NULL;
	SSL_shutdown(p.ssl);
	check_resumption(&p);
	pair_free(&p);
	drop_session();
}

static void ticket_alone_is_eagain(void **state)
{
	struct pair p;
	char buf[10];

	(void)state;
	fake_reset();
	pair_start(&p, &client);
	assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLIN);
	assert_int_equal(fake_socket(p.fd)->in.len, 0);
	pair_finish(&p);
}

static void flood_of_control_records_is_eproto(void **state)
{
	(void)state;
	for (int n = 100; n <= 200; n += 100) {
		struct pair p;
		char buf[10];

		fake_reset();
		pair_start(&p, &client);
		for (int i = 0; i < n; i++) {
			assert_int_equal(SSL_new_session_ticket(p.peer), 1);
			assert_int_equal(SSL_do_handshake(p.peer), 1);
		}
		if (n == 100) {
			pair_receive(&p, 10, 10);
			pair_finish(&p);
			continue;
		}
		assert_errno(ktls_read(p.conn, buf, 10), EPROTO);
		assert_errno(ktls_read(p.conn, buf, 10), EPROTO);
		assert_errno(ktls_write(p.conn, buf, 10), EPROTO);
		/* the peer is told */
		p.peer_todo = 0;
		pair_peer(&p);
		assert_non_null(strstr(p.peer_text, "decode error"));
		pair_free(&p);
	}
}

static void close_notify_is_0_and_stays_so(void **state)
{
	struct pair p;
	char buf[10];

	(void)state;
	fake_reset();
	pair_start(&p, &client);
	pair_receive(&p, 5000, 5000);
	SSL_shutdown(p.peer);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ktls_read(p.conn, buf, 10), 0);
	assert_int_equal(pair_error(&p).alert_received, 0);
	/* the other direction is open */
	pair_send(&p, 5000, 5000);
	pair_settle(&p);
	pair_finish(&p);
}

static void fatal_alert_is_eproto_with_its_number(void **state)
{
	static const uint8_t alert[] = {2, 40};
	struct ktls_error e;
	struct pair p;
	char buf[10];

	(void)state;
	fake_reset();
	pair_start(&p, &client);
	pair_receive(&p, 10, 10);
	pair_inject(&p, 23, "data", 4);
	pair_inject(&p, 21, alert, sizeof(alert));
	/* what came before it is delivered */
	assert_int_equal(ktls_read(p.conn, buf, 10), 4);
	assert_errno(ktls_read(p.conn, buf, 10), EPROTO);
	e = pair_error(&p);
	assert_int_equal(e.code, EPROTO);
	assert_int_equal(e.alert_received, 40);
	assert_int_equal(e.alert_sent, -1);
	assert_true(e.openssl != 0);
	assert_non_null(strstr(e.text, "handshake failure"));
	assert_errno(ktls_write(p.conn, "x", 1), EPROTO);
	pair_free(&p);
}

static void what_is_no_known_record_is_eproto(void **state)
{
	static const uint8_t types[] = {20, 24, 99, 255};
	char buf[10];

	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
			struct pair_options o = client;
			struct pair p;

			fake_reset();
			o.version = version;
			pair_start(&p, &o);
			pair_receive(&p, 10, 10);
			pair_inject(&p, types[i], "\1", 1);
			assert_errno(ktls_read(p.conn, buf, 10), EPROTO);
			assert_errno(ktls_read(p.conn, buf, 10), EPROTO);
			assert_true(pair_error(&p).alert_sent > 0);
			/* and the alert has left through the kernel */
			pair_peer(&p);
			assert_int_equal(p.peer_error, SSL_ERROR_SSL);
			assert_non_null(strstr(p.peer_text, "alert"));
			pair_free(&p);
		}
	}
}

/* What the kernel must not do: a record that changes on the way. */
static void control_record_that_changes_its_type_is_eproto(void **state)
{
	struct fake_reply half = {.result = 1,
				  .cmsg = true,
				  .level = 282,
				  .type = 2,
				  .cmsg_data = 1,
				  .value = 22};
	struct pair p;
	char buf[10];

	(void)state;
	fake_reset();
	pair_start(&p, &client);
	pair_receive(&p, 10, 10);
	fake_script_recvmsg(&half);
	assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
	p.peer_todo = 10;
	pair_peer(&p);
	assert_errno(ktls_read(p.conn, buf, 10), EPROTO);
	pair_free(&p);
}

/* The kernels this is for cannot change keys: say so, and tell the peer. */
static void keyupdate_is_ekeyexpired_where_keys_stay(void **state)
{
	static const struct {
		uint32_t tx, rx;
		int type;
	} rows[] = {
		{KTLS_REQUIRE, KTLS_REQUIRE, SSL_KEY_UPDATE_NOT_REQUESTED},
		{KTLS_REQUIRE, KTLS_REQUIRE, SSL_KEY_UPDATE_REQUESTED},
		{KTLS_OFF, KTLS_REQUIRE, SSL_KEY_UPDATE_NOT_REQUESTED},
		{KTLS_REQUIRE, KTLS_OFF, SSL_KEY_UPDATE_REQUESTED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct pair_options o = {.tx = rows[i].tx,
					       .rx = rows[i].rx};
		char buf[100];
		struct pair p;
		int r;

		fake_reset();
		fake_kernel.no_rekey = true;
		pair_start(&p, &o);
		pair_receive(&p, 10, 10);
		pair_send(&p, 10, 10);
		pair_settle(&p);
		assert_int_equal(SSL_key_update(p.peer, rows[i].type), 1);
		p.peer_todo = 10;
		pair_peer(&p);
		/* data that is there is delivered before */
		do
			r = (int)ktls_read(p.conn, buf, sizeof(buf));
		while (r > 0);
		assert_int_equal(errno, EKEYEXPIRED);
		assert_int_equal(pair_error(&p).code, EKEYEXPIRED);
		assert_errno(ktls_read(p.conn, buf, 10), EKEYEXPIRED);
		assert_errno(ktls_write(p.conn, buf, 10), EKEYEXPIRED);
		pair_peer(&p);
		assert_int_equal(pair_error(&p).alert_sent, 80);
		assert_non_null(strstr(p.peer_text, "internal error"));
		assert_no_leak(&p);
		pair_free(&p);
	}
}

/* In user space OpenSSL does all of it. */
static void keyupdate_in_user_space_goes_on(void **state)
{
	static const uint32_t tx[] = {KTLS_OFF, KTLS_REQUIRE};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tx); i++) {
		const struct pair_options o = {.tx = tx[i], .rx = KTLS_OFF};
		struct pair p;

		fake_reset();
		pair_start(&p, &o);
		for (int k = 0; k < 3; k++) {
			SSL_key_update(p.peer,
				       tx[i] == KTLS_OFF
					       ? SSL_KEY_UPDATE_REQUESTED
					       : SSL_KEY_UPDATE_NOT_REQUESTED);
			pair_receive(&p, 1000, 100);
			pair_send(&p, 1000, 100);
		}
		pair_settle(&p);
		pair_finish(&p);
	}
}

int main(void)
{
	static struct ktest_table t;
	static size_t chunks[] = {1, 2, 3, 100};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++)
		ktest_add(&t, tickets_reach_the_callback_and_resume, &chunks[i],
			  "tickets_read_by_%zu_bytes_reach_the_callback",
			  chunks[i]);
#define ADD(f) ktest_add(&t, f, NULL, #f)
	ADD(ticket_alone_is_eagain);
	ADD(flood_of_control_records_is_eproto);
	ADD(close_notify_is_0_and_stays_so);
	ADD(fatal_alert_is_eproto_with_its_number);
	ADD(what_is_no_known_record_is_eproto);
	ADD(control_record_that_changes_its_type_is_eproto);
	ADD(keyupdate_is_ekeyexpired_where_keys_stay);
	ADD(keyupdate_in_user_space_goes_on);
	r = ktest_run_table("control", &t);
	certs_free();
	return r;
}
