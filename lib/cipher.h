/* SPDX-License-Identifier: MIT */
/* The one table of kernel ciphers, and the packing of keys for the kernel. */
#ifndef KTLS_CIPHER_H
#define KTLS_CIPHER_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

enum { KTLS__KEY_MAX = 32, KTLS__IV = 12, KTLS__CRYPTO_INFO_MAX = 56 };

struct ktls__cipher {
	const char *name;   /* libcrypto's name of the AEAD */
	const char *kernel; /* the kernel's, net/tls/tls_main.c */
	uint16_t id;	    /* TLS_CIPHER_* of linux/tls.h */
	uint16_t info_size; /* sizeof(struct tls12_crypto_info_*) */
	uint8_t key;	    /* bytes of the key */
	uint8_t salt;	    /* bytes of the 12-byte IV the kernel calls salt */
	uint32_t records;   /* safe under one key of TLS 1.3; 0: any number */
	bool ccm;	    /* the AEAD wants lengths before data */
	bool tls12_only;    /* the kernel refuses it with TLS 1.3 */
	/* the one cipher suite of TLS 1.3 that has it, by its IANA number */
	uint16_t suite;
	const char *suite_name;
	const char *digest; /* of that suite, libcrypto's name */
};

/*
 * The key and IV of one direction. iv is the whole static IV of TLS 1.3 and
 * of ChaCha20-Poly1305; with the other ciphers of TLS 1.2 it is the 4-byte
 * salt and then the 8-byte explicit nonce to be used next.
 */
struct ktls__keys {
	uint8_t key[KTLS__KEY_MAX];
	uint8_t iv[KTLS__IV];
};

/* NULL when kernel TLS has no such cipher; case does not matter */
const struct ktls__cipher *ktls__cipher_find(const char *name);
/* row number i, NULL past the end: for tests and probes */
const struct ktls__cipher *ktls__cipher_at(size_t i);
/* that of one enum ktls_cipher, or NULL */
const struct ktls__cipher *ktls__cipher_of(uint32_t bit);
/* enum ktls_cipher; 0 of NULL */
uint32_t ktls__cipher_bit(const struct ktls__cipher *c);

/* True when the nonce of each record stands in front of its ciphertext. */
bool ktls__cipher_explicit_nonce(const struct ktls__cipher *c,
				 unsigned int version);
/* Bytes of a traffic secret, RFC 8446 section 7.1; 0 without TLS 1.3. */
size_t ktls__cipher_secret(const struct ktls__cipher *c);
/* Bytes that a record is longer on the wire than its plaintext. */
size_t ktls__cipher_overhead(const struct ktls__cipher *c, unsigned int version);

/*
 * Writes struct tls12_crypto_info_* of this cipher to out; returns its size.
 * The caller wipes out.
 */
size_t ktls__cipher_pack(const struct ktls__cipher *c, unsigned int version,
			 const struct ktls__keys *keys, uint64_t seq,
			 uint8_t out[KTLS__CRYPTO_INFO_MAX]);
/* The sequence number in what getsockopt(TLS_TX) gave for this cipher. */
uint64_t ktls__cipher_unpack_seq(const struct ktls__cipher *c,
				 const uint8_t *info);

#endif
