/* SPDX-License-Identifier: MIT */
/* The policy's release_ssl: when the SSL goes, when it stays, what goes on. */
#include "doors.h"

#include <openssl/err.h>

#include "state.h"

static unsigned int freed, sessions, asked;
static struct pair *asking;

/* Of the SSL, when its last reference goes. */
static void count_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx,
		       long argl, void *argp)
{
	(void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
	freed += ptr != NULL;
}

static void watch(struct pair *p)
{
	static int index = -1;

	if (index < 0)
		index = SSL_get_ex_new_index(0, NULL, NULL, NULL, count_free);
	assert_int_equal(SSL_set_ex_data(p->ssl, index, &freed), 1);
	freed = 0;
	sessions = 0;
	asked = 0;
}

static bool released(struct pair *p)
{
	return pair_info(p).release_ssl == 1;
}

static void start(struct pair *p, struct pair_options o)
{
	o.door = DOOR_RELEASED;
	o.setup_ssl = o.setup_ssl ? o.setup_ssl : watch;
	fake_reset();
	pair_start(p, &o);
}

static void goes_when_the_kernel_has_both(void **state)
{
	(void)state;
	for (int i = 0; i < 16; i++) {
		const struct pair_options o = {
			.server = i & 1,
			.version = i & 2 ? TLS1_2_VERSION : TLS1_3_VERSION,
			.tx = i & 4 ? KTLS_REQUIRE : KTLS_OFF,
			.rx = i & 8 ? KTLS_REQUIRE : KTLS_OFF};
		struct pair p;

		start(&p, o);
		assert_int_equal(freed, (i & 12) == 12);
		assert_int_equal(released(&p), (i & 12) == 12);
		assert_int_equal(pair_info(&p).release_ssl_asked, 1);
		doors_talk(&p);
		assert_int_equal(freed, (i & 12) == 12);
		pair_finish(&p);
		assert_int_equal(freed, 1);
	}
}

/* The caller's own reference keeps it, and it reaches nothing. */
static void callers_reference_keeps_it(void **state)
{
	struct pair_options o = {.tx = KTLS_REQUIRE, .rx = KTLS_REQUIRE};
	struct pair p;
	char buf[10];
	size_t sent;
	SSL *ssl;

	(void)state;
	o.door = DOOR_RELEASED;
	o.setup_ssl = watch;
	fake_reset();
	pair_open(&p, &o);
	ssl = p.ssl;
	SSL_up_ref(ssl);
	pair_handshake(&p);
	assert_true(released(&p));
	assert_int_equal(freed, 0);
	sent = fake_socket(p.fd)->wire.len;
	assert_null(SSL_get_ex_data(ssl, ktls__ssl_index()));
	assert_null(SSL_get_info_callback(ssl));
	assert_true(SSL_write(ssl, "x", 1) <= 0);
	assert_true(SSL_read(ssl, buf, 10) <= 0);
	(void)SSL_shutdown(ssl);
	assert_int_equal(fake_socket(p.fd)->wire.len, sent);
	ERR_clear_error();
	SSL_free(ssl);
	assert_int_equal(freed, 1);
	doors_talk(&p);
	pair_finish(&p);
}

/* What OpenSSL has decrypted is delivered before, and only then it goes. */
static void plaintext_is_waited_for(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct pair_options o = {.tx = KTLS_REQUIRE,
					       .rx = KTLS_AUTO,
					       .offload_after = UINT64_MAX,
					       .version = i ? TLS1_2_VERSION
							    : TLS1_3_VERSION};
		struct pair p;

		start(&p, o);
		p.peer_todo = 1000;
		pair_peer(&p);
		pair_receive(&p, 100, 100);
		assert_int_equal(ktls_offload(p.conn, KTLS_RX), 0);
		assert_modes(&p, "kernel", "kernel");
		assert_false(released(&p));
		assert_int_equal(ktls_pending(p.conn), 900);
		/* another record is the kernel's already */
		p.peer_todo = 500;
		pair_peer(&p);
		pair_receive(&p, 899, 899);
		assert_false(released(&p));
		pair_receive(&p, 1, 100);
		assert_true(released(&p));
		assert_int_equal(freed, 1);
		pair_receive(&p, 500, 100);
		doors_talk(&p);
		pair_finish(&p);
	}
}

static void ask(const SSL *ssl, int where, int ret)
{
	(void)ssl, (void)where, (void)ret;
	if (!asking || !asking->conn)
		return;
	assert_int_equal(pair_info(asking).release_ssl, 0);
	assert_int_equal(ktls_fd(asking->conn), asking->fd);
	(void)ktls_wants(asking->conn);
	asked++;
}

static void watch_and_ask(struct pair *p)
{
	watch(p);
	asking = p;
	SSL_set_info_callback(p->ssl, ask);
}

/* Its caller is OpenSSL, which goes on with the SSL behind it. */
static int new_session(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl, (void)s;
	sessions++;
	if (asking && asking->conn) {
		(void)ktls_offload(asking->conn, KTLS_RX);
		(void)ktls_offload(asking->conn, KTLS_TX);
		ask(NULL, 0, 0);
	}
	return 0;
}

static void keep_sessions(SSL_CTX *ours, SSL_CTX *theirs)
{
	(void)theirs;
	SSL_CTX_set_session_cache_mode(ours, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(ours, new_session);
}

static void callbacks_find_the_ssl(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		const struct pair_options o = {.tx = KTLS_AUTO,
					       .rx = KTLS_AUTO,
					       .offload_after = i & 1	? 50
								: i & 2 ? 0
									: 5000,
					       .version = i & 4 ? TLS1_2_VERSION
								: TLS1_3_VERSION,
					       .setup_ctx = keep_sessions,
					       .setup_ssl = watch_and_ask};
		struct pair p;

		start(&p, o);
		assert_true(asked > 3);
		doors_talk(&p);
		assert_int_equal(ktls_offload(p.conn, KTLS_TX | KTLS_RX), 0);
		doors_talk(&p);
		assert_true(released(&p));
		assert_int_equal(freed, 1);
		pair_finish(&p);
		asking = NULL;
	}
}

static void ask_for_it(const SSL *ssl, int where, int ret)
{
	(void)ssl, (void)ret;
	if (where != SSL_CB_READ_ALERT)
		return;
	asking->policy.release_ssl = 1;
	assert_int_equal(ktls_set_policy(asking->conn, &asking->policy), 0);
	assert_false(released(asking));
	asked++;
}

static void callback_may_ask_for_it(void **state)
{
	const struct pair_options o = {.version = TLS1_2_VERSION,
				       .tx = KTLS_REQUIRE,
				       .rx = KTLS_REQUIRE,
				       .setup_ssl = watch};
	uint8_t buf[10];
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &o);
	SSL_CTX_set_info_callback(p.ctx, ask_for_it);
	pair_handshake(&p);
	asking = &p;
	SSL_free(p.ssl);
	p.ssl = NULL;
	pair_inject(&p, 21, "\1\x29", 2);
	assert_int_equal(freed, 0);
	assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
	assert_int_equal(asked, 1);
	assert_true(released(&p));
	assert_int_equal(freed, 1);
	asking = NULL;
	pair_free(&p);
}

/* Tickets that come behind it are nobody's. */
static void tickets_are_dropped(void **state)
{
	const struct pair_options o = {.tx = KTLS_REQUIRE,
				       .rx = KTLS_REQUIRE,
				       .setup_ctx = keep_sessions};
	struct pair p;

	(void)state;
	start(&p, o);
	assert_true(released(&p));
	doors_talk(&p);
	assert_int_equal(sessions, 0);
	assert_int_equal(pair_info(&p).rx.handshakes, 2);
	pair_finish(&p);
}

static void be_quiet(struct pair *p)
{
	watch(p);
	SSL_set_quiet_shutdown(p->ssl, 1);
}

static void quiet_shutdown_stays_quiet(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct pair_options o = {.tx = KTLS_REQUIRE,
					       .rx = KTLS_REQUIRE,
					       .setup_ssl = i ? be_quiet : watch};
		struct pair p;

		start(&p, o);
		doors_talk(&p);
		/* the same from an importer */
		if (i) {
			door_import(&p);
			doors_talk(&p);
		}
		assert_int_equal(ktls_shutdown_write(p.conn, 1000), 0);
		pair_peer(&p);
		assert_int_equal(p.peer_closed, !i);
		assert_int_equal(p.peer_eof, i);
		pair_free(&p);
	}
}

/* It may be asked for at any time. */
static void policy_may_ask_later(void **state)
{
	const struct pair_options o = {.tx = KTLS_REQUIRE, .rx = KTLS_REQUIRE};
	struct pair p;

	(void)state;
	fake_reset();
	pair_start(&p, &o);
	doors_talk(&p);
	assert_false(released(&p));
	p.policy.release_ssl = 1;
	assert_int_equal(ktls_set_policy(p.conn, &p.policy), 0);
	assert_true(released(&p));
	doors_talk(&p);
	pair_finish(&p);
}

/* With a KeyUpdate of either side on its way, and a full socket. */
static void new_keys_in_the_middle(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		const struct pair_options o = {
			.server = i & 1, .tx = KTLS_REQUIRE, .rx = KTLS_REQUIRE};
		uint8_t buf[10];
		struct pair p;

		fake_reset();
		pair_start(&p, &o);
		doors_talk(&p);
		fake_socket(p.peer_fd)->capacity = 3;
		p.peer_deaf = true;
		if (i & 2)
			assert_int_equal(ktls_rekey(p.conn, 1), 0);
		if (i & 4) {
			assert_int_equal(SSL_key_update(p.peer, 1), 1);
			assert_int_equal(SSL_do_handshake(p.peer), 1);
			assert_errno(ktls_read(p.conn, buf, 10), EAGAIN);
		}
		p.policy.release_ssl = 1;
		assert_int_equal(ktls_set_policy(p.conn, &p.policy), 0);
		SSL_free(p.ssl);
		p.ssl = NULL;
		p.peer_deaf = false;
		fake_socket(p.peer_fd)->capacity = 100000;
		doors_talk(&p);
		assert_true(released(&p));
		assert_int_equal(ktls_rekey(p.conn, 1), 0);
		doors_talk(&p);
		pair_finish(&p);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(goes_when_the_kernel_has_both),
	cmocka_unit_test(callers_reference_keeps_it),
	cmocka_unit_test(plaintext_is_waited_for),
	cmocka_unit_test(callbacks_find_the_ssl),
	cmocka_unit_test(callback_may_ask_for_it),
	cmocka_unit_test(tickets_are_dropped),
	cmocka_unit_test(quiet_shutdown_stays_quiet),
	cmocka_unit_test(policy_may_ask_later),
	cmocka_unit_test(new_keys_in_the_middle),
};

int main(void)
{
	const int r = ktest_run("release", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
