/* SPDX-License-Identifier: MIT */
/* What a connection says of itself, and structs that grow. */
#include "pair.h"

struct grown_info {
	struct ktls_info now;
	uint64_t later[3];
};

struct grown_error {
	struct ktls_error now;
	uint64_t later[3];
};

static void sizes_are_checked(void **state)
{
	const struct pair_options o = {.tx = KTLS_OFF};
	struct ktls_info info = {.size = sizeof(info)};
	struct ktls_error error = {.size = sizeof(error)};
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &o);
	assert_errno(ktls_get_info(NULL, &info), EINVAL);
	assert_errno(ktls_get_info(p.conn, NULL), EINVAL);
	assert_errno(ktls_get_error(NULL, &error), EINVAL);
	assert_errno(ktls_get_error(p.conn, NULL), EINVAL);
	info.size--;
	assert_errno(ktls_get_info(p.conn, &info), EINVAL);
	error.size--;
	assert_errno(ktls_get_error(p.conn, &error), EINVAL);
	info.size = 0;
	assert_errno(ktls_get_info(p.conn, &info), EINVAL);
	error.size = 0;
	assert_errno(ktls_get_error(p.conn, &error), EINVAL);
	pair_free(&p);
}

static void newer_callers_get_zeros_behind(void **state)
{
	const struct pair_options o = {.tx = KTLS_OFF};
	struct grown_error e;
	struct grown_info i;
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &o);
	memset(&i, 0xff, sizeof(i));
	memset(&e, 0xff, sizeof(e));
	i.now.size = sizeof(i);
	e.now.size = sizeof(e);
	assert_int_equal(ktls_get_info(p.conn, &i.now), 0);
	assert_int_equal(ktls_get_error(p.conn, &e.now), 0);
	/* the size says what was filled in */
	assert_int_equal(i.now.size, sizeof(i.now));
	assert_int_equal(e.now.size, sizeof(e.now));
	assert_int_equal(i.later[0] | i.later[1] | i.later[2], 0);
	assert_int_equal(e.later[0] | e.later[1] | e.later[2], 0);
	pair_free(&p);
}

static void before_the_handshake_nothing_is_known(void **state)
{
	const struct pair_options o = {.tx = KTLS_REQUIRE,
				       .rx = KTLS_OFF,
				       .offload_after = 77,
				       .budget = 99};
	struct ktls_error e;
	struct ktls_info i;
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &o);
	i = pair_info(&p);
	assert_int_equal(i.version, 0);
	assert_int_equal(i.cipher, 0);
	assert_null(i.cipher_name);
	assert_int_equal(i.tx.mode, KTLS_MODE_USER);
	assert_int_equal(i.tx.reason, KTLS_REASON_HANDSHAKE);
	assert_int_equal(i.rx.reason, KTLS_REASON_HANDSHAKE);
	assert_int_equal(i.tx.asked, KTLS_REQUIRE);
	assert_int_equal(i.rx.asked, KTLS_OFF);
	assert_int_equal(i.offload_after, 77);
	assert_int_equal(i.budget, 99);
	assert_int_equal(i.unsent, 0);
	e = pair_error(&p);
	assert_int_equal(e.code, 0);
	assert_int_equal(e.alert_sent, -1);
	assert_int_equal(e.alert_received, -1);
	assert_null(e.call);
	assert_string_equal(e.text, "");
	assert_int_equal(ktls_wants(NULL), 0);
	pair_free(&p);
}

static void suites_have_their_iana_names(void **state)
{
	static const struct {
		int version;
		const char *suite, *name;
		unsigned int number;
	} rows[] = {
		{TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256",
		 "TLS_AES_128_GCM_SHA256", 0x1301},
		{TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305",
		 "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca9},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(rows); n++) {
		const struct pair_options o = {.version = rows[n].version,
					       .suite = rows[n].suite};
		struct ktls_info i;
		struct pair p;

		fake_reset();
		pair_start(&p, &o);
		i = pair_info(&p);
		assert_int_equal(i.version, rows[n].version);
		assert_int_equal(i.cipher, rows[n].number);
		assert_string_equal(i.cipher_name, rows[n].name);
		pair_finish(&p);
	}
}

static void every_reason_has_its_words(void **state)
{
	(void)state;
	for (int i = KTLS_REASON_NONE; i <= KTLS_REASON_NO_DIAG; i++) {
		const char *s = ktls_reason_str((enum ktls_reason)i);
		const char *name = ktls_reason_name((enum ktls_reason)i);

		assert_non_null(s);
		assert_non_null(name);
		assert_string_not_equal(s, "unknown reason");
		for (int k = 0; k < i; k++) {
			assert_string_not_equal(
				s, ktls_reason_str((enum ktls_reason)k));
			assert_string_not_equal(
				name, ktls_reason_name((enum ktls_reason)k));
		}
	}
	assert_string_equal(
		ktls_reason_str((enum ktls_reason)(KTLS_REASON_NO_DIAG + 1)),
		"unknown reason");
	assert_string_equal(ktls_reason_name((enum ktls_reason)INT32_MAX),
			    "UNKNOWN");
	assert_string_equal(ktls_reason_str((enum ktls_reason)INT32_MAX),
			    "unknown reason");
	assert_string_equal(ktls_mode_str(KTLS_MODE_USER), "user");
	assert_string_equal(ktls_mode_str(KTLS_MODE_KERNEL), "kernel");
	assert_string_equal(ktls_mode_str(KTLS_MODE_DEVICE), "device");
	assert_string_equal(ktls_mode_str(KTLS_MODE_UNKNOWN), "unknown");
	assert_string_equal(ktls_mode_str((enum ktls_mode)4), "unknown");
}

static void version_is_the_headers(void **state)
{
	char want[32];

	(void)state;
	snprintf(want, sizeof(want), "%d.%d.%d", KTLS_VERSION_MAJOR,
		 KTLS_VERSION_MINOR, KTLS_VERSION_PATCH);
	assert_string_equal(ktls_version(), want);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(sizes_are_checked),
	cmocka_unit_test(newer_callers_get_zeros_behind),
	cmocka_unit_test(before_the_handshake_nothing_is_known),
	cmocka_unit_test(suites_have_their_iana_names),
	cmocka_unit_test(every_reason_has_its_words),
	cmocka_unit_test(version_is_the_headers),
};

int main(void)
{
	const int r = ktest_run("info", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
