/* SPDX-License-Identifier: MIT */
/* The cipher table and its packing, byte by byte against linux/tls.h. */
#include <linux/tls.h>

#include "ktest.h"

#include "cipher.h"
#include "compat.h"

static const struct ktls__keys keys = {
	.key = {1,  2,	3,  4,	5,  6,	7,  8,	9,  10, 11, 12, 13, 14, 15, 16,
		17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32},
	.iv = {201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212},
};
static const uint64_t seq = 0x0102030405060708;
static const uint8_t seq_bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};

static void check(const char *name, unsigned int id, const void *want, size_t n)
{
	uint8_t got[KTLS__CRYPTO_INFO_MAX + 1];
	const struct ktls__cipher *c = ktls__cipher_find(name);

	assert_non_null(c);
	assert_int_equal(c->id, id);
	memset(got, 0xee, sizeof(got));
	assert_int_equal(ktls__cipher_pack(c, 0x0303, &keys, seq, got), n);
	assert_int_equal(c->info_size, n);
	assert_memory_equal(got, want, n);
	assert_int_equal(got[n], 0xee);
	assert_int_equal(ktls__cipher_unpack_seq(c, got), seq);
}

#define CHECK(name, struct_, id_)                                              \
	do {                                                                   \
		struct struct_ w = {.info = {0x0303, id_}};                    \
		const size_t salt = sizeof(w.iv) == 12 ? 0 : 4;                \
		memcpy(w.iv, keys.iv + salt, sizeof(w.iv));                    \
		memcpy(w.key, keys.key, sizeof(w.key));                        \
		memcpy((uint8_t *)&w + sizeof(w) - 8 - salt, keys.iv, salt);   \
		memcpy(w.rec_seq, seq_bytes, sizeof(w.rec_seq));               \
		check(name, id_, &w, sizeof(w));                               \
	} while (0)

static void every_row_is_packed_as_the_kernel_reads_it(void **state)
{
	(void)state;
	CHECK("AES-128-GCM", tls12_crypto_info_aes_gcm_128,
	      TLS_CIPHER_AES_GCM_128);
	CHECK("AES-256-GCM", tls12_crypto_info_aes_gcm_256,
	      TLS_CIPHER_AES_GCM_256);
	CHECK("AES-128-CCM", tls12_crypto_info_aes_ccm_128,
	      TLS_CIPHER_AES_CCM_128);
	CHECK("ChaCha20-Poly1305", tls12_crypto_info_chacha20_poly1305,
	      TLS_CIPHER_CHACHA20_POLY1305);
#ifdef TLS_CIPHER_SM4_CCM
	CHECK("SM4-GCM", tls12_crypto_info_sm4_gcm, TLS_CIPHER_SM4_GCM);
	CHECK("SM4-CCM", tls12_crypto_info_sm4_ccm, TLS_CIPHER_SM4_CCM);
#endif
#ifdef TLS_CIPHER_ARIA_GCM_256
	CHECK("ARIA-128-GCM", tls12_crypto_info_aria_gcm_128,
	      TLS_CIPHER_ARIA_GCM_128);
	CHECK("ARIA-256-GCM", tls12_crypto_info_aria_gcm_256,
	      TLS_CIPHER_ARIA_GCM_256);
#endif
}

static void version_goes_into_the_head(void **state)
{
	uint8_t got[KTLS__CRYPTO_INFO_MAX];
	uint16_t head[2];

	(void)state;
	ktls__cipher_pack(ktls__cipher_at(0), 0x0304, &keys, 0, got);
	memcpy(head, got, sizeof(head));
	assert_int_equal(head[0], 0x0304);
	assert_int_equal(ktls__cipher_unpack_seq(ktls__cipher_at(0), got), 0);
	ktls__cipher_pack(ktls__cipher_at(0), 0x0304, &keys, UINT64_MAX, got);
	assert_true(ktls__cipher_unpack_seq(ktls__cipher_at(0), got) ==
		    UINT64_MAX);
}

static void names_are_found_in_any_case(void **state)
{
	(void)state;
	assert_ptr_equal(ktls__cipher_find("aes-128-gcm"), ktls__cipher_at(0));
	assert_ptr_equal(ktls__cipher_find("chacha20-poly1305"),
			 ktls__cipher_find("ChaCha20-Poly1305"));
	assert_null(ktls__cipher_find("AES-128-CBC"));
	assert_null(ktls__cipher_find("AES-256-CCM"));
	assert_null(ktls__cipher_find(""));
	assert_null(ktls__cipher_find(NULL));
}

static void table_ends_behind_its_eight_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(ktls__cipher_at(i)->id, 51 + i);
	assert_null(ktls__cipher_at(8));
	assert_null(ktls__cipher_at(SIZE_MAX));
}

static void overheads_are_those_on_the_wire(void **state)
{
	(void)state;
	for (size_t i = 0; i < 8; i++) {
		const struct ktls__cipher *c = ktls__cipher_at(i);
		const bool chacha = c->id == TLS_CIPHER_CHACHA20_POLY1305;

		assert_int_equal(ktls__cipher_overhead(c, 0x0304), 22);
		assert_int_equal(ktls__cipher_overhead(c, 0x0303),
				 chacha ? 21 : 29);
		assert_false(ktls__cipher_explicit_nonce(c, 0x0304));
		assert_int_equal(ktls__cipher_explicit_nonce(c, 0x0303), !chacha);
		assert_int_equal(c->tls12_only, c->id >= 57);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_row_is_packed_as_the_kernel_reads_it),
	cmocka_unit_test(version_goes_into_the_head),
	cmocka_unit_test(names_are_found_in_any_case),
	cmocka_unit_test(table_ends_behind_its_eight_rows),
	cmocka_unit_test(overheads_are_those_on_the_wire),
};

KTEST_MAIN("cipher", tests)
