/* SPDX-License-Identifier: MIT */
/* Key derivation against RFC 8448, and against the PRF written out by hand. */
#include <errno.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "ktest.h"

#include "kdf.h"

static size_t hex(const char *text, uint8_t *out)
{
	size_t n = 0;
	unsigned int v;

	for (; sscanf(text, "%2x", &v) == 1; text += 2)
		out[n++] = (uint8_t)v;
	return n;
}

struct vector {
	const char *secret, *key, *iv;
};

/* RFC 8448 section 3, application traffic of client, server */
static const struct vector rfc8448[] = {
	{"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
	 "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9"},
	{"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
	 "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984"},
};

static void tls13_keys_are_those_of_rfc_8448(void **state)
{
	const struct ktls__cipher *c = ktls__cipher_find("AES-128-GCM");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rfc8448); i++) {
		uint8_t secret[64], key[32], iv[12];
		struct ktls__keys out;
		const size_t n = hex(rfc8448[i].secret, secret);

		hex(rfc8448[i].key, key);
		hex(rfc8448[i].iv, iv);
		assert_int_equal(ktls__kdf_tls13(c, "SHA256", secret, n, &out),
				 0);
		assert_memory_equal(out.key, key, 16);
		assert_memory_equal(out.iv, iv, 12);
	}
}

static void failure_leaves_no_key_behind(void **state)
{
	const struct ktls__cipher *c = ktls__cipher_find("AES-256-GCM");
	static const struct ktls__keys none;
	struct ktls__tls12_secret s = {.master = {1}};
	uint8_t secret[48] = {7};
	struct ktls__keys a, b;

	(void)state;
	memset(&a, 0xaa, sizeof(a));
	assert_int_equal(ktls__kdf_tls13(c, "no such", secret, 48, &a), -EIO);
	assert_memory_equal(&a, &none, sizeof(a));
	memset(&a, 0xaa, sizeof(a));
	memset(&b, 0xaa, sizeof(b));
	assert_int_equal(ktls__kdf_tls12(c, "no such", &s, &a, &b), -EIO);
	assert_memory_equal(&a, &none, sizeof(a));
	assert_memory_equal(&b, &none, sizeof(b));
}

/* RFC 5246 section 5: P_hash(secret, seed) */
static void p_hash(const char *digest, const uint8_t *seed, size_t seed_len,
		   const uint8_t *secret, size_t len, uint8_t *out, size_t n)
{
	const EVP_MD *md = EVP_get_digestbyname(digest);
	uint8_t a[64 + 128], block[64];
	unsigned int size;

	HMAC(md, secret, (int)len, seed, seed_len, a, &size);
	while (n > 0) {
		const size_t k = n < size ? n : size;

		memcpy(a + size, seed, seed_len);
		HMAC(md, secret, (int)len, a, size + seed_len, block, &size);
		memcpy(out, block, k);
		out += k;
		n -= k;
		HMAC(md, secret, (int)len, a, size, block, &size);
		memcpy(a, block, size);
	}
}

static void tls12_keys_are_the_prf(void **state)
{
	static const char *const digests[] = {"SHA256", "SHA384"};
	struct ktls__tls12_secret s;
	uint8_t seed[13 + 64], block[128];

	(void)state;
	for (size_t i = 0; i < sizeof(s); i++)
		((uint8_t *)&s)[i] = (uint8_t)(i * 7 + 3);
	memcpy(seed, "key expansion", 13);
	memcpy(seed + 13, s.server_random, 32);
	memcpy(seed + 45, s.client_random, 32);
	for (size_t i = 0; i < 2 * 8; i++) {
		const struct ktls__cipher *c = ktls__cipher_at(i / 2);
		const char *digest = digests[i % 2];
		const size_t iv = c->salt ? c->salt : 12;
		struct ktls__keys client, server;
		const uint8_t *p = block;

		p_hash(digest, seed, sizeof(seed), s.master, 48, block,
		       sizeof(block));
		assert_int_equal(
			ktls__kdf_tls12(c, digest, &s, &client, &server), 0);
		assert_memory_equal(client.key, p, c->key);
		p += c->key;
		assert_memory_equal(server.key, p, c->key);
		p += c->key;
		assert_memory_equal(client.iv, p, iv);
		p += iv;
		assert_memory_equal(server.iv, p, iv);
		/* the explicit part is the record's */
		for (size_t k = iv; k < 12; k++)
			assert_int_equal(client.iv[k] | server.iv[k], 0);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(tls13_keys_are_those_of_rfc_8448),
	cmocka_unit_test(failure_leaves_no_key_behind),
	cmocka_unit_test(tls12_keys_are_the_prf),
};

KTEST_MAIN("kdf", tests)
