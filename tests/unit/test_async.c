/* SPDX-License-Identifier: MIT */
/* Asynchronous drivers, as ktls_probe() finds them in /proc/crypto. */
#include "hosts.h"

static void crypto(const char *text)
{
	fake_net.texts[0].path = "/proc/crypto";
	fake_net.texts[0].text = text;
}

/* Of several drivers, the one that a socket gets. */
static void asynchronous_drivers_are_named(void **state)
{
	static const char text[] = "name         : gcm(aes)\n"
				   "driver       : pcrypt(gcm-aes)\n"
				   "priority     : 500\n"
				   "type         : aead\n"
				   "async        : yes\n"
				   "\n"
				   "name         : gcm(aes)\n"
				   "driver       : generic-gcm\n"
				   "priority     : 400\n"
				   "async        : no\n"
				   "\n"
				   "name         : ccm(aes)\n"
				   "driver       : ccm-cryptd\n"
				   "priority     : 10\n"
				   "async        : yes\n"
				   "\n"
				   "name         : ccm(aes)\n"
				   "driver       : ccm-base\n"
				   "priority     : 20\n"
				   "async        : no\n"
				   "\n"
				   "name         : rfc7539(chacha20,poly1305)\n"
				   "driver       : cryptd(gcm-aes)\n"
				   "priority     : 1\n"
				   "async        : yes\n\n";
	struct ktls_caps c;

	(void)state;
	crypto(text);
	c = host_caps(1);
	assert_int_equal(c.async, KTLS_AES_128_GCM | KTLS_AES_256_GCM |
					  KTLS_CHACHA20_POLY1305);
	assert_string_equal(c.async_drivers, "pcrypt(gcm-aes) cryptd(gcm-aes)");
	/* of ciphers that sockets take */
	host_setup(NULL);
	crypto(text);
	fake_fail(FAKE_SET_TLS_TX, 0, EINVAL);
	fake_fail(FAKE_SET_TLS_RX, 0, EINVAL);
	assert_int_equal(host_caps(1).async, 0);
	fake_heal();
	fake_fail(FAKE_LOAD, 0, EACCES);
	assert_int_equal(host_caps(1).async, 0);
	assert_int_equal(host_caps(1).tls12_tx, 255);
}

/* A driver whose name is a part of another's is another driver. */
static void names_of_drivers_are_whole(void **state)
{
	(void)state;
	crypto("name : gcm(aes)\ndriver : pcrypt(x)\npriority : 1\n"
	       "async : yes\n\n"
	       "name : ccm(aes)\ndriver : x\npriority : 1\nasync : yes\n\n");
	assert_string_equal(host_caps(1).async_drivers, "pcrypt(x) x");
}

static void broken_tables_do_no_harm(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"\n\n\n",
		"name",
		"name :",
		"name : gcm(aes)",
		"name : gcm(aes)\npriority : 5",
		": : :\n:\n\n:",
		"name : gcm(aes)\npriority : 5\nasync : yes\n\n",
		"name : gcm(aes)\npriority : x\ndriver :\nasync : yes\n",
		"name : gcm(aes)\r\npriority : 5\r\nasync : yes\r\n",
	};
	char big[4000] =
		"name : gcm(aes)\npriority : 1\nasync : yes\ndriver : ";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		host_setup(NULL);
		crypto(texts[i]);
		assert_string_equal(host_caps(1).async_drivers, "");
	}
	memset(big + strlen(big), 'x', sizeof(big) - strlen(big) - 1);
	crypto(big);
	assert_int_equal(host_caps(1).async, KTLS_AES_128_GCM | KTLS_AES_256_GCM);
	assert_in_range(strlen(host_caps(1).async_drivers), 1, 255);
}

#define T(f) cmocka_unit_test_setup_teardown(f, host_setup, host_teardown)
static const struct CMUnitTest tests[] = {
	T(asynchronous_drivers_are_named),
	T(names_of_drivers_are_whole),
	T(broken_tables_do_no_harm),
};

KTEST_MAIN("async", tests)
