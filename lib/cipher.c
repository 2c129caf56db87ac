/* SPDX-License-Identifier: MIT */
/*
 * The ciphers that kernel TLS has, one row each, and the only function that
 * lays out keys for setsockopt(TLS_TX). No system calls, no OpenSSL.
 */
#include "cipher.h"

#include <assert.h>
#include <linux/tls.h>
#include <string.h>
#include <strings.h>

#include "compat.h"
#include <ktls/ktls.h>

/*
 * include/uapi/linux/tls.h: version and cipher, 2 bytes each in host order,
 * then iv, key, salt and the record sequence number, big-endian, unpadded.
 */
enum { INFO_HEAD = 4, SEQ = 8 };

#define SIZE(key, salt) (INFO_HEAD + (KTLS__IV - (salt)) + (key) + (salt) + SEQ)
#define ROW(name_, kernel_, id_, key_, salt_)                                  \
	.name = (name_), .kernel = (kernel_), .id = (id_), .key = (key_),      \
	.salt = (salt_), .info_size = SIZE(key_, salt_)

/* RFC 8446 appendix B.4, RFC 8998 section 2 */
#define SUITE(number, name, digest_)                                           \
	.suite = (number), .suite_name = (name), .digest = (digest_)

/*
 * RFC 8446 section 5.5 gives 2^24.5 records of AES-GCM, RFC 9147 section 4.5.3
 * 2^23 of AES-CCM; SM4 has blocks of the same size. ChaCha20 comes to the end
 * of its record numbers first.
 */
enum { GCM_RECORDS = 1 << 24, CCM_RECORDS = 1 << 23 };

/* in the order of enum ktls_cipher */
static const struct ktls__cipher table[] = {
	{ROW("AES-128-GCM", "gcm(aes)", 51, 16, 4), .records = GCM_RECORDS,
	 SUITE(0x1301, "TLS_AES_128_GCM_SHA256", "SHA256")},
	{ROW("AES-256-GCM", "gcm(aes)", 52, 32, 4), .records = GCM_RECORDS,
	 SUITE(0x1302, "TLS_AES_256_GCM_SHA384", "SHA384")},
	{ROW("AES-128-CCM", "ccm(aes)", 53, 16, 4), .records = CCM_RECORDS,
	 .ccm = true, SUITE(0x1304, "TLS_AES_128_CCM_SHA256", "SHA256")},
	{ROW("ChaCha20-Poly1305", "rfc7539(chacha20,poly1305)", 54, 32, 0),
	 SUITE(0x1303, "TLS_CHACHA20_POLY1305_SHA256", "SHA256")},
	{ROW("SM4-GCM", "gcm(sm4)", 55, 16, 4), .records = GCM_RECORDS,
	 SUITE(0x00c6, "TLS_SM4_GCM_SM3", "SM3")},
	{ROW("SM4-CCM", "ccm(sm4)", 56, 16, 4), .records = CCM_RECORDS,
	 .ccm = true, SUITE(0x00c7, "TLS_SM4_CCM_SM3", "SM3")},
	/* tls_main.c, validate_crypto_info(): "ARIA only with TLS 1.2" */
	{ROW("ARIA-128-GCM", "gcm(aria)", 57, 16, 4), .tls12_only = true},
	{ROW("ARIA-256-GCM", "gcm(aria)", 58, 32, 4), .tls12_only = true},
};

static_assert(SIZE(32, 0) == KTLS__CRYPTO_INFO_MAX, "largest crypto_info");
static_assert(SIZE(32, 4) == KTLS__CRYPTO_INFO_MAX, "largest crypto_info");
static_assert(TLS_TX == KTLS__TLS_TX && TLS_RX == KTLS__TLS_RX, "options");
static_assert(TLS_SET_RECORD_TYPE == KTLS__SET_RECORD_TYPE, "cmsg type");
static_assert(TLS_GET_RECORD_TYPE == KTLS__GET_RECORD_TYPE, "cmsg type");
static_assert(TLS_1_2_VERSION == KTLS__TLS12, "version");
static_assert(TLS_1_3_VERSION == KTLS__TLS13, "version");
static_assert(TLS_CIPHER_AES_GCM_128 == 51 && TLS_CIPHER_AES_GCM_256 == 52 &&
		      TLS_CIPHER_AES_CCM_128 == 53 &&
		      TLS_CIPHER_CHACHA20_POLY1305 == 54,
	      "cipher numbers");
static_assert(sizeof(struct tls12_crypto_info_aes_gcm_128) == SIZE(16, 4) &&
		      sizeof(struct tls12_crypto_info_aes_gcm_256) == SIZE(32, 4) &&
		      sizeof(struct tls12_crypto_info_aes_ccm_128) == SIZE(16, 4) &&
		      sizeof(struct tls12_crypto_info_chacha20_poly1305) ==
			      SIZE(32, 0),
	      "crypto_info sizes");
#ifdef TLS_CIPHER_SM4_CCM
static_assert(TLS_CIPHER_SM4_GCM == 55 && TLS_CIPHER_SM4_CCM == 56 &&
		      sizeof(struct tls12_crypto_info_sm4_gcm) == SIZE(16, 4) &&
		      sizeof(struct tls12_crypto_info_sm4_ccm) == SIZE(16, 4),
	      "SM4");
#endif
#ifdef TLS_CIPHER_ARIA_GCM_256
static_assert(TLS_CIPHER_ARIA_GCM_128 == 57 && TLS_CIPHER_ARIA_GCM_256 == 58 &&
		      sizeof(struct tls12_crypto_info_aria_gcm_128) ==
			      SIZE(16, 4) &&
		      sizeof(struct tls12_crypto_info_aria_gcm_256) == SIZE(32, 4),
	      "ARIA");
#endif

const struct ktls__cipher *ktls__cipher_at(size_t i)
{
	return i < sizeof(table) / sizeof(table[0]) ? &table[i] : NULL;
}

const char *ktls_cipher_str(enum ktls_cipher cipher)
{
	const struct ktls__cipher *c = ktls__cipher_of(cipher);

	return c ? c->name : "unknown cipher";
}

const struct ktls__cipher *ktls__cipher_of(uint32_t bit)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (bit == 1U << i)
			return &table[i];
	return NULL;
}

uint32_t ktls__cipher_bit(const struct ktls__cipher *c)
{
	return c ? 1U << (c - table) : 0;
}

const struct ktls__cipher *ktls__cipher_find(const char *name)
{
	const struct ktls__cipher *c;

	for (size_t i = 0; name && (c = ktls__cipher_at(i)); i++)
		if (strcasecmp(c->name, name) == 0)
			return c;
	return NULL;
}

bool ktls__cipher_explicit_nonce(const struct ktls__cipher *c,
				 unsigned int version)
{
	return version == KTLS__TLS12 && c->salt != 0;
}

size_t ktls__cipher_secret(const struct ktls__cipher *c)
{
	if (!c->digest)
		return 0;
	return strcmp(c->digest, "SHA384") == 0 ? 48 : 32;
}

size_t ktls__cipher_overhead(const struct ktls__cipher *c, unsigned int version)
{
	size_t n = KTLS__HEADER + KTLS__TAG;

	if (version == KTLS__TLS13)
		n += 1; /* the inner content type */
	if (ktls__cipher_explicit_nonce(c, version))
		n += KTLS__IV - c->salt;
	return n;
}

size_t ktls__cipher_pack(const struct ktls__cipher *c, unsigned int version,
			 const struct ktls__keys *keys, uint64_t seq,
			 uint8_t out[KTLS__CRYPTO_INFO_MAX])
{
	const uint16_t head[2] = {(uint16_t)version, c->id};
	const size_t iv = (size_t)KTLS__IV - c->salt;
	uint8_t *p = out;

	memcpy(p, head, sizeof(head));
	p += sizeof(head);
	memcpy(p, keys->iv + c->salt, iv);
	p += iv;
	memcpy(p, keys->key, c->key);
	p += c->key;
	memcpy(p, keys->iv, c->salt);
	p += c->salt;
	for (int i = SEQ - 1; i >= 0; i--, seq >>= 8)
		p[i] = (uint8_t)seq;
	return c->info_size;
}

uint64_t ktls__cipher_unpack_seq(const struct ktls__cipher *c, const uint8_t *info)
{
	const uint8_t *p = info + c->info_size - SEQ;
	uint64_t seq = 0;

	for (int i = 0; i < SEQ; i++)
		seq = seq << 8 | p[i];
	return seq;
}
