/* SPDX-License-Identifier: MIT */
/* One TLS record encrypted or decrypted in memory. */
#ifndef KTLS_AEAD_H
#define KTLS_AEAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cipher.h"

/* What protects the records of one direction. */
struct ktls__protection {
	const struct ktls__cipher *cipher;
	unsigned int version;
	struct ktls__keys keys;
};

/*
 * Decrypts the whole record rec of len bytes, header included, to out, which
 * has room for len bytes. Returns the length of the plaintext without its
 * padding and sets *type, *padding (bytes; TLS 1.3 only); -EBADMSG when it
 * does not authenticate, -EIO when libcrypto failed.
 */
ssize_t ktls__aead_open(const struct ktls__protection *p, uint64_t seq,
			const uint8_t *rec, size_t len, uint8_t *out,
			uint8_t *type, size_t *padding);

/* Of the next record, where it has one in front: RFC 5288 section 3. */
void ktls__aead_nonce(struct ktls__protection *p, uint64_t nonce);

/*
 * Makes one record of in to out, which has room for len plus
 * ktls__cipher_overhead(). Returns the record's length, or -EIO.
 */
ssize_t ktls__aead_seal(const struct ktls__protection *p, uint64_t seq,
			uint8_t type, const uint8_t *in, size_t len,
			uint8_t *out);

#endif
