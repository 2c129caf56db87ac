/* SPDX-License-Identifier: MIT */
/*
 * ktls_conn_new() on an SSL whose handshake is over: what it refuses, what
 * fails on the way, and that nothing of the caller's has changed then.
 */
#include "doors.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "alloc.h"
#include "rawtls.h"

static const struct pair_options adopted = {.door = DOOR_ADOPTED};
static struct ktls_policy policy;

static void refused(struct pair *p, int fd, int e)
{
	const struct untouched u = untouched(p);
	const long live = alloc_live();

	errno = 0;
	assert_null(ktls_conn_new(p->ssl, fd, &policy));
	assert_int_equal(errno, e);
	assert_int_equal(alloc_live(), live);
	assert_untouched(&u);
}

/* The SSL goes on through its own BIO as if nothing had been tried. */
static void goes_on(struct pair *p)
{
	uint8_t buf[100];

	p->peer_todo = 100;
	pair_peer(p);
	assert_int_equal(SSL_read(p->ssl, buf, 100), 100);
	assert_int_equal(fake_pattern_check(THEIRS, 0, buf, 100), 100);
	fake_pattern(OURS, 0, buf, 100);
	assert_int_equal(SSL_write(p->ssl, buf, 100), 100);
	pair_peer(p);
	assert_int_equal(p->peer_got, 100);
	pair_free(p);
}

static void shaken(struct pair *p)
{
	doors_shaken(p, &adopted);
	ktls_policy_init(&policy, sizeof(policy));
}

static void bad_arguments_are_refused(void **state)
{
	struct {
		struct ktls_policy policy;
		uint64_t more;
	} newer;
	struct fake_socket *s;
	struct pair p;

	(void)state;
	shaken(&p);
	s = fake_socket(p.fd);
	errno = 0;
	assert_null(ktls_conn_new(NULL, p.fd, NULL));
	assert_int_equal(errno, EINVAL);
	policy.rx = 7;
	refused(&p, p.fd, EINVAL);
	ktls_policy_init(&policy, sizeof(policy));
	policy.release_ssl = 2;
	refused(&p, p.fd, EINVAL);
	policy.release_ssl = 0;
	refused(&p, -1, EBADF);
	fake_fail(FAKE_GET_TYPE, 1, ENOTSOCK);
	refused(&p, p.fd, ENOTSOCK);
	s->type = SOCK_DGRAM;
	refused(&p, p.fd, EPROTOTYPE);
	s->type = SOCK_STREAM;
	memset(&newer, 0, sizeof(newer));
	newer.policy = policy;
	newer.policy.size = sizeof(newer);
	newer.more = 1;
	errno = 0;
	assert_null(ktls_conn_new(p.ssl, p.fd, &newer.policy));
	assert_int_equal(errno, E2BIG);
	goes_on(&p);
}

/* Either direction's; a ULP alone is none. */
static void socket_with_keys_is_eexist(void **state)
{
	static const int names[] = {TLS_TX, TLS_RX};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct pair p;
		int other[2];

		shaken(&p);
		fake_tcp_pair(other, 1000);
		assert_int_equal(rawtls_ulp(other[0]), 0);
		assert_int_equal(rawtls_keys(other[0], names[i], 0x0304), 0);
		refused(&p, other[0], EEXIST);
		goes_on(&p);
	}
}

static void ssl_of_another_socket_is_enxio(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct pair p;
		BIO *there, *kept[2];

		shaken(&p);
		kept[0] = SSL_get_rbio(p.ssl);
		kept[1] = SSL_get_wbio(p.ssl);
		there = BIO_new_socket(p.peer_fd, BIO_NOCLOSE);
		BIO_up_ref(kept[0]);
		if (i)
			SSL_set0_wbio(p.ssl, there);
		else
			SSL_set0_rbio(p.ssl, there);
		refused(&p, p.fd, ENXIO);
		if (i)
			SSL_set0_wbio(p.ssl, kept[0]);
		else
			SSL_set0_rbio(p.ssl, kept[0]);
		goes_on(&p);
	}
}

static void ssl_in_mid_handshake_is_einprogress(void **state)
{
	struct pair p;

	(void)state;
	ktls_policy_init(&policy, sizeof(policy));
	fake_reset();
	pair_open(&p, &adopted);
	assert_true(SSL_do_handshake(p.ssl) != 1);
	refused(&p, p.fd, EINPROGRESS);
	door_shake(&p);
	pair_peer(&p);
	goes_on(&p);
}

static void unfinished_write_is_ebusy(void **state)
{
	uint8_t buf[1000];
	struct pair p;

	(void)state;
	shaken(&p);
	fake_pattern(OURS, 0, buf, sizeof(buf));
	fake_socket(p.peer_fd)->capacity = fake_socket(p.peer_fd)->in.len + 50;
	assert_true(SSL_write(p.ssl, buf, 1000) < 0);
	refused(&p, p.fd, EBUSY);
	fake_socket(p.peer_fd)->capacity = 100000;
	assert_int_equal(SSL_write(p.ssl, buf, 1000), 1000);
	pair_peer(&p);
	assert_int_equal(p.peer_got, 1000);
	pair_free(&p);
}

/* Nobody but the one who has its other end can send them. */
static void bytes_in_a_bio_pair_are_ebusy(void **state)
{
	uint8_t buf[1000];
	BIO *ours, *callers;
	struct pair p;
	int n;

	(void)state;
	shaken(&p);
	assert_int_equal(BIO_new_bio_pair(&ours, 40000, &callers, 40000), 1);
	SSL_set_bio(p.ssl, ours, ours);
	fake_pattern(OURS, 0, buf, 100);
	assert_int_equal(SSL_write(p.ssl, buf, 100), 100);
	refused(&p, p.fd, EBUSY);
	n = BIO_read(callers, buf, sizeof(buf));
	assert_int_equal(fake_raw_write(p.fd, buf, (size_t)n), n);
	p.accepted = 100;
	p.conn = ktls_conn_new(p.ssl, p.fd, &policy);
	assert_non_null(p.conn);
	BIO_free(callers);
	doors_talk(&p);
	pair_finish(&p);
}

static void closed_or_taken_ssl_is_refused(void **state)
{
	struct ktls_conn *c;
	struct pair p;

	(void)state;
	shaken(&p);
	c = ktls_conn_new(p.ssl, p.fd, &policy);
	assert_non_null(c);
	errno = 0;
	assert_null(ktls_conn_new(p.ssl, p.fd, &policy));
	assert_int_equal(errno, EALREADY);
	ktls_conn_free(c);
	pair_bio(p.ssl, p.fd);
	assert_int_equal(SSL_shutdown(p.ssl), 0);
	refused(&p, p.fd, EPIPE);
	pair_free(&p);
}

/* Each system call, with errors that nothing here means. */
static void every_system_call_may_fail(void **state)
{
	unsigned int failures = 0;

	(void)state;
	for (int call = 0; call < FAKE_CALLS; call++) {
		struct untouched u;
		struct pair p;
		long live;

		shaken(&p);
		if (call == FAKE_SETFL)
			fake_socket(p.fd)->fl &= ~O_NONBLOCK;
		u = untouched(&p);
		live = alloc_live();
		fake_fail((enum fake_call)call, 1, EDOM);
		errno = 0;
		p.conn = ktls_conn_new(p.ssl, p.fd, &policy);
		fake_heal();
		if (p.conn) {
			doors_talk(&p);
			pair_finish(&p);
			continue;
		}
		failures++;
		assert_int_equal(errno, EDOM);
		assert_int_equal(alloc_live(), live);
		assert_untouched(&u);
		goes_on(&p);
	}
	/* SO_TYPE, F_GETFL and F_SETFL */
	assert_int_equal(failures, 3);
}

static void every_allocation_may_fail(void **state)
{
	unsigned int failures = 0;

	(void)state;
	for (unsigned long nth = 1; nth < 200; nth++) {
		const struct pair_options o = {.door = DOOR_ADOPTED_MEM,
					       .server = nth & 1};
		struct untouched u;
		struct pair p;
		long live;

		doors_shaken(&p, &o);
		ktls_policy_init(&policy, sizeof(policy));
		u = untouched(&p);
		live = alloc_live();
		alloc_start(nth);
		errno = 0;
		p.conn = ktls_conn_new(p.ssl, p.fd, &policy);
		if (alloc_stop() < nth) {
			pair_free(&p);
			break;
		}
		if (!p.conn) {
			failures++;
			assert_int_equal(errno, ENOMEM);
			assert_int_equal(alloc_live(), live);
			assert_untouched(&u);
			p.conn = ktls_conn_new(p.ssl, p.fd, &policy);
			assert_non_null(p.conn);
		}
		doors_talk(&p);
		pair_finish(&p);
		ERR_clear_error();
	}
	assert_true(failures >= 3);
}

/* Nothing of the library's that is freed has them. */
static void secrets_are_wiped(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		const struct pair_options o = {
			.door = i & 1 ? DOOR_ADOPTED : DOOR_ADOPTED_MEM,
			.server = i & 2,
			.tx = i & 4 ? KTLS_REQUIRE : KTLS_OFF,
			.rx = i & 4 ? KTLS_REQUIRE : KTLS_OFF};
		struct pair p;

		doors_shaken(&p, &o);
		assert_int_equal(p.secrets.len[0], 48);
		alloc_watch(p.secrets.secret[0], 48);
		alloc_watch(p.secrets.secret[1], 48);
		p.conn = ktls_conn_new(p.ssl, p.fd, &p.policy);
		assert_non_null(p.conn);
		doors_talk(&p);
		pair_finish(&p);
		assert_int_equal(alloc_unwatch(), 0);
		/* of one that no connection came for */
		doors_shaken(&p, &o);
		alloc_watch(p.secrets.secret[0], 48);
		alloc_watch(p.secrets.secret[1], 48);
		pair_free(&p);
		assert_int_equal(alloc_unwatch(), 0);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(bad_arguments_are_refused),
	cmocka_unit_test(socket_with_keys_is_eexist),
	cmocka_unit_test(ssl_of_another_socket_is_enxio),
	cmocka_unit_test(ssl_in_mid_handshake_is_einprogress),
	cmocka_unit_test(unfinished_write_is_ebusy),
	cmocka_unit_test(bytes_in_a_bio_pair_are_ebusy),
	cmocka_unit_test(closed_or_taken_ssl_is_refused),
	cmocka_unit_test(every_system_call_may_fail),
	cmocka_unit_test(every_allocation_may_fail),
	cmocka_unit_test(secrets_are_wiped),
};

int main(void)
{
	int r;

	alloc_use_for_openssl();
	r = ktest_run("adopt", tests, ARRAY_SIZE(tests));
	certs_free();
	return r;
}
