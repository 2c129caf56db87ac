/* SPDX-License-Identifier: MIT */
/* The keylog callback: chained, in front, replaced, with SNI. */
#include "pair.h"

#include "keys.h"

static unsigned int lines;
static char last_secret[2][256];

static void callers(const SSL *ssl, const char *line)
{
	(void)ssl;
	lines++;
	if (strncmp(line, "CLIENT_TRAFFIC", 14) == 0)
		snprintf(last_secret[0], sizeof(last_secret[0]), "%s",
			 strrchr(line, ' ') + 1);
	if (strncmp(line, "SERVER_TRAFFIC", 14) == 0)
		snprintf(last_secret[1], sizeof(last_secret[1]), "%s",
			 strrchr(line, ' ') + 1);
}

static void set_callback(SSL_CTX *ours, SSL_CTX *theirs)
{
	(void)theirs;
	SSL_CTX_set_keylog_callback(ours, callers);
}

static const struct pair_options required = {.tx = KTLS_REQUIRE,
					     .rx = KTLS_REQUIRE};

static void callers_callback_is_called_too(void **state)
{
	struct pair_options o = required;
	struct pair p;

	(void)state;
	fake_reset();
	lines = 0;
	o.setup_ctx = set_callback;
	pair_start(&p, &o);
	/* handshake and application secrets of both sides, and exporter */
	assert_int_equal(lines, 5);
	assert_modes(&p, "kernel", "kernel");
	pair_finish(&p);
}

static void enabling_twice_is_enabling_once(void **state)
{
	struct pair p;

	(void)state;
	fake_reset();
	lines = 0;
	pair_open(&p, &required);
	assert_int_equal(ktls_ctx_enable(p.ctx), 0);
	pair_handshake(&p);
	pair_finish(&p);
	assert_errno(ktls_ctx_enable(NULL), EINVAL);
}

static SSL_CTX_keylog_cb_func in_front;

static void wrapper(const SSL *ssl, const char *line)
{
	lines++;
	in_front(ssl, line);
}

/* A tool that puts itself in front of what it finds, ours included. */
static void callback_in_front_of_ours_works(void **state)
{
	(void)state;
	for (int again = 0; again < 2; again++) {
		struct pair p;

		fake_reset();
		lines = 0;
		pair_open(&p, &required);
		in_front = SSL_CTX_get_keylog_callback(p.ctx);
		assert_non_null(in_front);
		SSL_CTX_set_keylog_callback(p.ctx, wrapper);
		if (again)
			assert_int_equal(ktls_ctx_enable(p.ctx), 0);
		pair_handshake(&p);
		assert_int_equal(lines, 5);
		assert_modes(&p, "kernel", "kernel");
		pair_finish(&p);
	}
}

static void replaced_callback_is_reason_keys(void **state)
{
	const struct pair_options o = {.tx = KTLS_AUTO, .rx = KTLS_OFF};
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &o);
	SSL_CTX_set_keylog_callback(p.ctx, callers);
	pair_handshake(&p);
	pair_send(&p, 100000, 100000);
	assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_KEYS);
	assert_errno(ktls_offload(p.conn, KTLS_TX), ENOTSUP);
	assert_modes(&p, "user", "user");
	pair_finish(&p);
}

static void context_not_enabled_is_reason_keys_in_tls13_only(void **state)
{
	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		const struct pair_options o = {.version = version,
					       .plain_ctx = true,
					       .tx = KTLS_AUTO,
					       .rx = KTLS_OFF};
		struct pair p;

		fake_reset();
		pair_start(&p, &o);
		/* TLS 1.2 has its master secret in the session */
		assert_int_equal(pair_info(&p).tx.reason,
				 version == TLS1_3_VERSION ? KTLS_REASON_KEYS
							   : KTLS_REASON_NONE);
		pair_send(&p, 1000, 1000);
		pair_finish(&p);
	}
}

static SSL_CTX *other;

static int choose(SSL *ssl, int *alert, void *arg)
{
	(void)alert;
	(void)arg;
	SSL_set_SSL_CTX(ssl, other);
	return SSL_TLSEXT_ERR_OK;
}

static void use_sni(struct pair *p)
{
	SSL_CTX_set_tlsext_servername_callback(p->ctx, choose);
	SSL_set_tlsext_host_name(p->peer, "localhost");
}

static void context_switched_by_sni_needs_enabling_too(void **state)
{
	(void)state;
	for (int enabled = 0; enabled < 2; enabled++) {
		const struct pair_options o = {.server = true,
					       .tx = KTLS_AUTO,
					       .rx = KTLS_OFF,
					       .setup_ssl = use_sni};
		struct pair p;

		fake_reset();
		lines = 0;
		other = pair_ctx(&o, true);
		SSL_CTX_set_keylog_callback(other, callers);
		if (enabled)
			assert_int_equal(ktls_ctx_enable(other), 0);
		pair_start(&p, &o);
		assert_ptr_equal(SSL_get_SSL_CTX(p.ssl), other);
		assert_true(lines > 0);
		assert_int_equal(pair_info(&p).tx.reason,
				 enabled ? KTLS_REASON_NONE : KTLS_REASON_KEYS);
		pair_send(&p, 1000, 1000);
		pair_finish(&p);
		SSL_CTX_free(other);
	}
}

static void secrets_go_to_their_direction(void **state)
{
	(void)state;
	for (int server = 0; server < 2; server++) {
		const struct pair_options o = {.server = server,
					       .tx = KTLS_OFF,
					       .rx = KTLS_OFF,
					       .setup_ctx = set_callback};
		struct ktls__protection tx, rx;
		struct pair p;
		char hex[2][129] = {"", ""};

		fake_reset();
		pair_start(&p, &o);
		for (size_t i = 0; i < p.conn->tx.secret_len; i++)
			sprintf(hex[server] + 2 * i, "%02x",
				p.conn->tx.secret[i]);
		for (size_t i = 0; i < p.conn->rx.secret_len; i++)
			sprintf(hex[!server] + 2 * i, "%02x",
				p.conn->rx.secret[i]);
		assert_string_equal(hex[0], last_secret[0]);
		assert_string_equal(hex[1], last_secret[1]);
		assert_int_equal(ktls__keys_derive(p.conn, KTLS_TX, &tx), 0);
		assert_int_equal(ktls__keys_derive(p.conn, KTLS_RX, &rx), 0);
		assert_memory_not_equal(tx.keys.key, rx.keys.key, 16);
		pair_finish(&p);
	}
}

/* Another SSL of an enabled context is nobody's. */
static void other_ssls_of_the_context_are_left_alone(void **state)
{
	struct pair p;
	SSL *stranger;
	int fd[2];

	(void)state;
	fake_reset();
	pair_start(&p, &required);
	fake_tcp_pair(fd, 1 << 20);
	stranger = SSL_new(p.ctx);
	SSL_set_connect_state(stranger);
	pair_bio(stranger, fd[0]);
	SSL_free(p.peer);
	p.peer = SSL_new(p.peer_ctx);
	SSL_set_accept_state(p.peer);
	pair_bio(p.peer, fd[1]);
	for (int i = 0; i < 10; i++) {
		SSL_do_handshake(stranger);
		SSL_do_handshake(p.peer);
	}
	assert_true(SSL_is_init_finished(stranger));
	SSL_free(stranger);
	pair_free(&p);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(callers_callback_is_called_too),
	cmocka_unit_test(enabling_twice_is_enabling_once),
	cmocka_unit_test(callback_in_front_of_ours_works),
	cmocka_unit_test(replaced_callback_is_reason_keys),
	cmocka_unit_test(context_not_enabled_is_reason_keys_in_tls13_only),
	cmocka_unit_test(context_switched_by_sni_needs_enabling_too),
	cmocka_unit_test(secrets_go_to_their_direction),
	cmocka_unit_test(other_ssls_of_the_context_are_left_alone),
};

int main(void)
{
	const int r = ktest_run("keys", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
