/* SPDX-License-Identifier: MIT */
/* The beginning and the end of a connection, and what stays behind. */
#include "pair.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <openssl/err.h>
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
#include <openssl/quic.h>
#endif

#include "alloc.h"
#include "state.h"

static SSL_CTX *ctx;
static int fd[2];

static int setup(void **state)
{
	(void)state;
	fake_reset();
	fake_tcp_pair(fd, 1 << 20);
	ctx = SSL_CTX_new(TLS_client_method());
	assert_int_equal(ktls_ctx_enable(ctx), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	SSL_CTX_free(ctx);
	fake_reset();
	return 0;
}

static void refused(SSL *ssl, int s, const struct ktls_policy *policy, int e)
{
	const long live = alloc_live();

	errno = 0;
	assert_null(ktls_conn_new(ssl, s, policy));
	assert_int_equal(errno, e);
	assert_int_equal(alloc_live(), live);
	if (ssl) {
		assert_null(SSL_get_rbio(ssl));
		assert_null(SSL_get_ex_data(ssl, ktls__ssl_index()));
		assert_null(SSL_get_info_callback(ssl));
	}
}

static void bad_arguments_are_refused_and_leave_the_ssl(void **state)
{
	struct fake_socket *s = fake_socket(fd[0]);
	struct ktls_policy policy;
	SSL *ssl = SSL_new(ctx);

	(void)state;
	ktls_policy_init(&policy, sizeof(policy));
	refused(NULL, fd[0], NULL, EINVAL);
	refused(ssl, -1, NULL, EBADF);
	policy.tx = 3;
	refused(ssl, fd[0], &policy, EINVAL);
	s->type = SOCK_DGRAM;
	refused(ssl, fd[0], NULL, EPROTOTYPE);
	s->type = SOCK_STREAM;
	for (int i = 0; i < 2; i++) {
		fake_fail(i ? FAKE_SETFL : FAKE_GETFL, 1, EIO);
		s->fl &= ~O_NONBLOCK;
		refused(ssl, fd[0], NULL, EIO);
		assert_false(s->fl & O_NONBLOCK);
	}
	fake_fail(FAKE_GET_TYPE, 1, ENOTSOCK);
	refused(ssl, fd[0], NULL, ENOTSOCK);
	SSL_free(ssl);
}

static void dtls_is_refused(void **state)
{
	SSL_CTX *dtls = SSL_CTX_new(DTLS_client_method());
	SSL *ssl = SSL_new(dtls);

	(void)state;
	refused(ssl, fd[0], NULL, EPROTONOSUPPORT);
	SSL_free(ssl);
	SSL_CTX_free(dtls);
}

#if OPENSSL_VERSION_NUMBER >= 0x30200000L
static void quic_is_refused(void **state)
{
	SSL_CTX *quic = SSL_CTX_new(OSSL_QUIC_client_method());
	SSL *ssl = SSL_new(quic);

	(void)state;
	assert_non_null(ssl);
	assert_null(ktls_conn_new(ssl, fd[0], NULL));
	assert_int_equal(errno, EPROTONOSUPPORT);
	SSL_free(ssl);
	SSL_CTX_free(quic);
}
#endif

static void ssl_in_use_is_ealready(void **state)
{
	SSL *ssl = SSL_new(ctx);
	struct ktls_conn *c;

	(void)state;
	SSL_set_connect_state(ssl);
	c = ktls_conn_new(ssl, fd[0], NULL);
	assert_non_null(c);
	assert_null(ktls_conn_new(ssl, fd[0], NULL));
	assert_int_equal(errno, EALREADY);
	ktls_conn_free(c);
	/* its handshake has begun */
	pair_bio(ssl, fd[0]);
	assert_true(SSL_do_handshake(ssl) != 1);
	assert_null(ktls_conn_new(ssl, fd[0], NULL));
	assert_int_equal(errno, EINPROGRESS);
	SSL_free(ssl);
}

static void ssl_is_prepared(void **state)
{
	SSL *ssl = SSL_new(ctx);
	struct ktls_conn *c;

	(void)state;
	SSL_set_options(ssl, SSL_OP_ENABLE_KTLS);
	c = ktls_conn_new(ssl, fd[0], NULL);
	assert_non_null(c);
	assert_false(SSL_get_options(ssl) & SSL_OP_ENABLE_KTLS);
	assert_true(SSL_get_options(ssl) & SSL_OP_NO_RENEGOTIATION);
	assert_int_equal(BIO_get_fd(SSL_get_rbio(ssl), NULL), fd[0]);
	assert_false(BIO_get_ktls_send(SSL_get_wbio(ssl)));
	ktls_conn_free(c);
	SSL_free(ssl);
}

static void clobber(bool enter)
{
	errno = enter ? EDOM : ERANGE;
}

static void flags_of_the_fd_are_restored(void **state)
{
	struct fake_socket *s = fake_socket(fd[0]);

	(void)state;
	for (int blocking = 0; blocking < 2; blocking++) {
		SSL *ssl = SSL_new(ctx);
		struct ktls_conn *c;

		s->fl = O_RDWR | O_APPEND | (blocking ? 0 : O_NONBLOCK);
		c = ktls_conn_new(ssl, fd[0], NULL);
		assert_int_equal(s->fl, O_RDWR | O_APPEND | O_NONBLOCK);
		/* system calls may leave anything in errno */
		fake_around = clobber;
		errno = 4711;
		ktls_conn_free(c);
		fake_around = NULL;
		assert_int_equal(errno, 4711);
		assert_int_equal(s->fl, O_RDWR | O_APPEND |
						(blocking ? 0 : O_NONBLOCK));
		SSL_free(ssl);
	}
	ktls_conn_free(NULL);
}

static void ssl_outlives_the_connection_and_reaches_nothing(void **state)
{
	const struct pair_options o = {.tx = KTLS_REQUIRE, .rx = KTLS_OFF};
	const unsigned int calls[] = {FAKE_SEND, FAKE_RECV, FAKE_SENDMSG,
				      FAKE_RECVMSG};
	unsigned int before[4];
	struct pair p;
	char buf[10];

	(void)state;
	pair_start(&p, &o);
	ktls_conn_free(p.conn);
	p.conn = NULL;
	for (size_t i = 0; i < 4; i++)
		before[i] = fake_count((enum fake_call)calls[i]);
	assert_null(SSL_get_ex_data(p.ssl, ktls__ssl_index()));
	assert_null(SSL_get_info_callback(p.ssl));
	assert_true(SSL_read(p.ssl, buf, sizeof(buf)) <= 0);
	assert_true(SSL_write(p.ssl, "secret", 6) <= 0);
	assert_true(SSL_shutdown(p.ssl) <= 0);
	assert_int_equal(BIO_get_fd(SSL_get_rbio(p.ssl), NULL), -1);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(fake_count((enum fake_call)calls[i]), before[i]);
	/* still good for questions */
	assert_string_equal(SSL_get_version(p.ssl), "TLSv1.3");
	pair_free(&p);
}

static void connection_outlives_the_callers_ssl(void **state)
{
	const struct pair_options o = {.tx = KTLS_REQUIRE, .rx = KTLS_OFF};
	struct pair p;

	(void)state;
	pair_open(&p, &o);
	SSL_free(p.ssl);
	p.ssl = NULL;
	pair_handshake(&p);
	pair_send(&p, 1000, 1000);
	pair_receive(&p, 1000, 1000);
	pair_finish(&p);
}

static unsigned int infos;

static void count_info(const SSL *ssl, int where, int ret)
{
	(void)ssl;
	(void)where;
	(void)ret;
	infos++;
}

static void info_on_ssl(struct pair *p)
{
	SSL_set_info_callback(p->ssl, count_info);
}

static void info_on_ctx(SSL_CTX *ours, SSL_CTX *theirs)
{
	(void)theirs;
	SSL_CTX_set_info_callback(ours, count_info);
}

static void info_callback_of_the_caller_is_called(void **state)
{
	(void)state;
	for (int way = 0; way < 2; way++) {
		const struct pair_options o = {
			.setup_ssl = way ? NULL : info_on_ssl,
			.setup_ctx = way ? info_on_ctx : NULL};
		struct pair p;

		infos = 0;
		pair_start(&p, &o);
		assert_true(infos > 5);
		ktls_conn_free(p.conn);
		p.conn = NULL;
		assert_true((void (*)(void))SSL_get_info_callback(p.ssl) ==
			    (way ? NULL : (void (*)(void))count_info));
		pair_free(&p);
	}
}

static int not_yet(SSL *ssl, void *arg)
{
	(void)ssl;
	return (*(int *)arg)-- > 0 ? -1 : 1;
}

/* Nothing on the socket will wake it, whatever kind of socket it is. */
static void callback_that_suspends_is_eagain_without_wants(void **state)
{
	const struct pair_options o = {.server = true, .blocking = true};
	struct pair p;
	int times = 1;

	(void)state;
	pair_open(&p, &o);
	SSL_set_cert_cb(p.ssl, not_yet, &times);
	assert_errno(ktls_handshake(p.conn), EAGAIN);
	assert_int_equal(times, 0);
	assert_int_equal(ktls_wants(p.conn), 0);
	pair_handshake(&p);
	pair_finish(&p);
}

/* The secrets, and all that was derived of them, in what we give back. */
static void freed_memory_holds_no_secrets(void **state)
{
	(void)state;
	for (int m = 0; m < 4; m++) {
		const struct pair_options o = {
			.version = m & 1 ? TLS1_2_VERSION : TLS1_3_VERSION,
			.tx = m & 2 ? KTLS_REQUIRE : KTLS_OFF,
			.rx = KTLS_REQUIRE};
		uint8_t master[48];
		struct pair p;
		long live = alloc_live();

		pair_start(&p, &o);
		if (o.version == TLS1_2_VERSION) {
			SSL_SESSION_get_master_key(SSL_get_session(p.ssl),
						   master, sizeof(master));
			alloc_watch(master, sizeof(master));
		} else {
			alloc_watch(p.conn->tx.secret, p.conn->tx.secret_len);
			alloc_watch(p.conn->rx.secret, p.conn->rx.secret_len);
		}
		/* the keys themselves, as the kernel got them */
		alloc_watch(fake_socket(p.fd)->rx.key, 32);
		if (m & 2)
			alloc_watch(fake_socket(p.fd)->tx.key, 32);
		/* and a ticket's control record on its way to OpenSSL */
		pair_receive(&p, 10, 10);
		pair_send(&p, 10, 10);
		pair_finish(&p);
		assert_int_equal(alloc_unwatch(), 0);
		assert_int_equal(alloc_live(), live);
	}
}

/* Control records are no data of the caller's: tickets, alerts. */
static void freed_memory_holds_no_control_records(void **state)
{
	static const uint8_t alert[] = {2, 49, 'n', 'o', 't', 'f', 'o', 'r'};
	const struct pair_options o = {.tx = KTLS_REQUIRE, .rx = KTLS_REQUIRE};
	struct pair p;
	char buf[100];

	(void)state;
	pair_start(&p, &o);
	pair_receive(&p, 10, 10);
	alloc_watch(alert, sizeof(alert));
	pair_inject(&p, 22, alert, sizeof(alert));
	assert_errno(ktls_read(p.conn, buf, 3), EPROTO);
	ktls_conn_free(p.conn);
	p.conn = NULL;
	assert_int_equal(alloc_unwatch(), 0);
	pair_free(&p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
/* Of a program that is newer than the library. */
static void unknown_field_of_keys_is_e2big(void **state)
{
	struct {
		struct ktls_keys now;
		uint64_t later[2];
	} keys[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		memset(keys, 0, sizeof(keys));
		keys[0].now.size = keys[1].now.size = sizeof(keys[0]);
		keys[i].later[1] = 1;
		errno = 0;
		assert_null(ktls_conn_from_keys(-1, &keys[0].now, &keys[1].now,
						NULL));
		assert_int_equal(errno, E2BIG);
		keys[i].later[1] = 0;
		assert_null(ktls_conn_from_keys(-1, &keys[0].now, &keys[1].now,
						NULL));
		assert_int_equal(errno, EPROTONOSUPPORT);
	}
}

static const struct CMUnitTest tests[] = {
	T(bad_arguments_are_refused_and_leave_the_ssl),
	T(dtls_is_refused),
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
	T(quic_is_refused),
#endif
	T(ssl_in_use_is_ealready),
	T(ssl_is_prepared),
	T(flags_of_the_fd_are_restored),
	T(ssl_outlives_the_connection_and_reaches_nothing),
	T(connection_outlives_the_callers_ssl),
	T(info_callback_of_the_caller_is_called),
	T(callback_that_suspends_is_eagain_without_wants),
	T(freed_memory_holds_no_secrets),
	T(freed_memory_holds_no_control_records),
	T(unknown_field_of_keys_is_e2big),
};

int main(void)
{
	const int r = ktest_run("conn", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
