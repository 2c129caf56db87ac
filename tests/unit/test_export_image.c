/* SPDX-License-Identifier: MIT */
/* What ktls_export() asks of the socket, and what is in the image. */
#include "doors.h"

#include "state.h"

static uint8_t image[4096];

static void start(struct pair *p, enum pair_door door, uint32_t use)
{
	const struct pair_options o = {
		.door = door, .server = true, .tx = use, .rx = use};

	fake_reset();
	pair_start(p, &o);
	doors_talk(p);
}

/* An option that this kernel does not have: it goes on as before. */
static void refused_question_harms_nothing(void **state)
{
	static const enum fake_call calls[] = {FAKE_GET_COOKIE,
					       FAKE_GET_TCP_INFO};
	static const uint32_t uses[] = {KTLS_OFF, KTLS_REQUIRE};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct pair p;

		start(&p, DOOR_NEW, uses[i / 2]);
		/* of TCP_INFO flushing asks once, in the kernel */
		fake_fail(calls[i % 2], i == 3 ? 2 : 1, ENOPROTOOPT);
		assert_errno(ktls_export(p.conn, image, sizeof(image)),
			     ENOPROTOOPT);
		fake_heal();
		assert_int_equal(pair_error(&p).sys_errno, ENOPROTOOPT);
		doors_talk(&p);
		door_import(&p);
		doors_talk(&p);
		pair_finish(&p);
	}
}

/* Of keys without secrets only the one that receives is needed again. */
static void sending_key_stays_in_the_kernel(void **state)
{
	static const enum pair_door doors[] = {DOOR_KEYS_KEY, DOOR_KEYS_SECRET,
					       DOOR_NEW};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(doors); i++) {
		struct fake_socket *s;
		struct pair p;
		ssize_t n;

		start(&p, doors[i], KTLS_REQUIRE);
		s = fake_socket(p.fd);
		n = ktls_export(p.conn, image, sizeof(image));
		assert_true(n > 0);
		assert_null(memmem(image, (size_t)n, s->tx.key, 16));
		assert_int_equal(memmem(image, (size_t)n, s->rx.key, 16) != NULL,
				 doors[i] == DOOR_KEYS_KEY);
		ktls_conn_free(p.conn);
		p.conn = ktls_import(p.fd, image, (size_t)n, &p.policy);
		assert_non_null(p.conn);
		doors_talk(&p);
		pair_finish(&p);
	}
}

/* SSL_clear() leaves what hangs on an SSL, and TLS 1.2 has no such secrets. */
static void secrets_of_an_earlier_handshake_are_not_taken(void **state)
{
	static const char line[] = "SERVER_TRAFFIC_SECRET_0 "
				   "0000000000000000000000000000000000000000000"
				   "000000000000000000000 "
				   "1111111111111111111111111111111111111111111"
				   "111111111111111111111";
	const struct pair_options o = {.door = DOOR_ADOPTED,
				       .version = TLS1_2_VERSION,
				       .server = true,
				       .tx = KTLS_OFF,
				       .rx = KTLS_OFF};
	struct pair p;

	(void)state;
	doors_shaken(&p, &o);
	SSL_CTX_get_keylog_callback(p.ctx)(p.ssl, line);
	p.conn = ktls_conn_new(p.ssl, p.fd, &p.policy);
	assert_non_null(p.conn);
	assert_int_equal(p.conn->tx.secret_len, 0);
	doors_talk(&p);
	door_import(&p);
	doors_talk(&p);
	pair_finish(&p);
}

/* What was refused for good needs no record to be kept. */
static void refused_one_keeps_no_records(void **state)
{
	const struct pair_options o = {.door = DOOR_ADOPTED,
				       .version = TLS1_2_VERSION,
				       .suite = "ECDHE-ECDSA-AES128-SHA256",
				       .server = true,
				       .offload_after = 1};
	struct pair p;

	(void)state;
	doors_shaken(&p, &o);
	p.conn = ktls_conn_new(p.ssl, p.fd, &p.policy);
	assert_non_null(p.conn);
	doors_talk(&p);
	assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_CIPHER);
	doors_talk(&p);
	assert_true(p.conn->tx.track.last.cap < 4096);
	assert_true(p.conn->rx.track.last.cap < 4096);
	pair_finish(&p);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(refused_question_harms_nothing),
	cmocka_unit_test(sending_key_stays_in_the_kernel),
	cmocka_unit_test(secrets_of_an_earlier_handshake_are_not_taken),
	cmocka_unit_test(refused_one_keeps_no_records),
};

int main(void)
{
	const int r = ktest_run("export_image", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
