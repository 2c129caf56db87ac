/* SPDX-License-Identifier: MIT */
/* Traffic secrets and master secrets to keys and IVs. */
#ifndef KTLS_KDF_H
#define KTLS_KDF_H

#include <stddef.h>
#include <stdint.h>

#include "cipher.h"

enum {
	KTLS__SECRET_MAX = 48, /* the largest digest of TLS 1.3, SHA-384 */
	KTLS__RANDOM = 32,
	KTLS__MASTER = 48
};

/* 0, or -EIO when libcrypto failed; out is then wiped */
int ktls__kdf_tls13(const struct ktls__cipher *c, const char *digest,
		    const uint8_t *secret, size_t len, struct ktls__keys *out);

/* RFC 8446 section 7.2: the secret after this one, in its place; 0, -EIO */
int ktls__kdf_update(const char *digest, uint8_t *secret, size_t len);

/* What TLS 1.2 derives the keys of both directions from. */
struct ktls__tls12_secret {
	uint8_t master[KTLS__MASTER];
	uint8_t client_random[KTLS__RANDOM];
	uint8_t server_random[KTLS__RANDOM];
};

int ktls__kdf_tls12(const struct ktls__cipher *c, const char *digest,
		    const struct ktls__tls12_secret *s,
		    struct ktls__keys *client, struct ktls__keys *server);

#endif
