/* SPDX-License-Identifier: MIT */
/*
 * Key derivation, all of it by libcrypto's KDFs: TLS13-KDF (RFC 8446 section
 * 7.3) and TLS1-PRF (RFC 5246 section 6.3).
 */
#include "kdf.h"

#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

/* The caller's error queue is left as it was. */
static int derive(const char *name, const OSSL_PARAM *params, uint8_t *out,
		  size_t len)
{
	const int marked = ERR_set_mark();
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int ok = ctx && EVP_KDF_derive(ctx, out, len, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	if (marked)
		ERR_pop_to_mark();
	return ok ? 0 : -EIO;
}

/* OSSL_PARAM has no const; libcrypto does not write to input parameters. */
static OSSL_PARAM octets(const char *key, const void *p, size_t len)
{
	return OSSL_PARAM_construct_octet_string(key, (void *)(uintptr_t)p, len);
}

static OSSL_PARAM text(const char *key, const char *s)
{
	return OSSL_PARAM_construct_utf8_string(key, (char *)(uintptr_t)s, 0);
}

/* HKDF-Expand-Label(secret, label, "", len) */
static int expand_label(const char *digest, const uint8_t *secret, size_t len,
			const char *label, uint8_t *out, size_t out_len)
{
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	const OSSL_PARAM params[] = {
		text(OSSL_KDF_PARAM_DIGEST, digest),
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		octets(OSSL_KDF_PARAM_KEY, secret, len),
		octets(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6),
		octets(OSSL_KDF_PARAM_LABEL, label, strlen(label)),
		OSSL_PARAM_construct_end(),
	};

	return derive(OSSL_KDF_NAME_TLS1_3_KDF, params, out, out_len);
}

int ktls__kdf_tls13(const struct ktls__cipher *c, const char *digest,
		    const uint8_t *secret, size_t len, struct ktls__keys *out)
{
	int r = expand_label(digest, secret, len, "key", out->key, c->key);

	if (r == 0)
		r = expand_label(digest, secret, len, "iv", out->iv,
				 sizeof(out->iv));
	if (r < 0)
		explicit_bzero(out, sizeof(*out));
	return r;
}

int ktls__kdf_update(const char *digest, uint8_t *secret, size_t len)
{
	uint8_t next[KTLS__SECRET_MAX];
	const int r = expand_label(digest, secret, len, "traffic upd", next, len);

	if (r == 0)
		memcpy(secret, next, len);
	explicit_bzero(next, sizeof(next));
	return r;
}

int ktls__kdf_tls12(const struct ktls__cipher *c, const char *digest,
		    const struct ktls__tls12_secret *s,
		    struct ktls__keys *client, struct ktls__keys *server)
{
	const OSSL_PARAM params[] = {
		text(OSSL_KDF_PARAM_DIGEST, digest),
		octets(OSSL_KDF_PARAM_SECRET, s->master, sizeof(s->master)),
		octets(OSSL_KDF_PARAM_SEED, "key expansion", 13),
		octets(OSSL_KDF_PARAM_SEED, s->server_random, KTLS__RANDOM),
		octets(OSSL_KDF_PARAM_SEED, s->client_random, KTLS__RANDOM),
		OSSL_PARAM_construct_end(),
	};
	/* AEAD ciphers have no MAC keys: two keys, then two implicit IVs */
	const size_t iv = c->salt ? c->salt : KTLS__IV;
	uint8_t block[2 * (KTLS__KEY_MAX + KTLS__IV)], *p = block;
	int r = derive(OSSL_KDF_NAME_TLS1_PRF, params, block, 2 * (c->key + iv));

	memset(client, 0, sizeof(*client));
	memset(server, 0, sizeof(*server));
	if (r == 0) {
		memcpy(client->key, p, c->key);
		p += c->key;
		memcpy(server->key, p, c->key);
		p += c->key;
		memcpy(client->iv, p, iv);
		p += iv;
		memcpy(server->iv, p, iv);
	}
	explicit_bzero(block, sizeof(block));
	return r;
}
