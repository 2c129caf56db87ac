/* SPDX-License-Identifier: MIT */
/* Records that OpenSSL never sends, under the keys of a connection. */
#include "vmtest.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

enum { KEY = 16, IV = 12, SALT = 4, TAG = 16, HEADER = 5, SECRET = 32 };

/* of the last handshake, by who writes with it: 0 is the client */
static uint8_t secrets[2][SECRET];

static void keylog(const SSL *ssl, const char *line)
{
	static const char *const labels[] = {"CLIENT_TRAFFIC_SECRET_0 ",
					     "SERVER_TRAFFIC_SECRET_0 "};
	unsigned int byte;

	(void)ssl;
	for (int i = 0; i < 2; i++) {
		if (strncmp(line, labels[i], strlen(labels[i])) != 0)
			continue;
		line = strrchr(line, ' ') + 1;
		for (int j = 0; j < SECRET; j++) {
			MUST(sscanf(line + 2 * j, "%2x", &byte) == 1);
			secrets[i][j] = (uint8_t)byte;
		}
		break;
	}
}

void vt_forge_ctx(SSL_CTX *ctx)
{
	SSL_CTX_set_keylog_callback(ctx, keylog);
	/* so that the first record of data is number 0 */
	SSL_CTX_set_num_tickets(ctx, 0);
}

static void derive(const char *kdf, OSSL_PARAM *params, uint8_t *out, size_t n)
{
	EVP_KDF *k = EVP_KDF_fetch(NULL, kdf, NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(k);

	MUST(ctx && EVP_KDF_derive(ctx, out, n, params) == 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(k);
}

/* RFC 8446 section 7.1, HKDF-Expand-Label with an empty context */
static void expand(uint8_t *secret, const char *label, uint8_t *out, size_t n)
{
	char info[32] = {0, (char)n};
	char digest[] = "SHA256";
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	const size_t len = strlen(label);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("digest", digest, 0),
		OSSL_PARAM_construct_int("mode", &mode),
		OSSL_PARAM_construct_octet_string("key", secret, SECRET),
		OSSL_PARAM_construct_octet_string("info", info, len + 10),
		OSSL_PARAM_construct_end(),
	};

	info[2] = (char)(6 + len);
	memcpy(info + 3, "tls13 ", 6);
	memcpy(info + 9, label, len);
	derive("HKDF", params, out, n);
}

/* RFC 5246 section 6.3, for AES-128-GCM with SHA-256 */
static void tls12(struct vt_forge *f, const SSL *ssl)
{
	uint8_t master[48], seed[13 + 64] = "key expansion";
	uint8_t block[2 * (KEY + SALT)];
	const bool server = SSL_is_server(ssl);
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("digest", digest, 0),
		OSSL_PARAM_construct_octet_string("secret", master, 48),
		OSSL_PARAM_construct_octet_string("seed", seed, sizeof(seed)),
		OSSL_PARAM_construct_end(),
	};

	MUST(SSL_SESSION_get_master_key(SSL_get_session(ssl), master, 48) == 48);
	MUST(SSL_get_server_random(ssl, seed + 13, 32) == 32);
	MUST(SSL_get_client_random(ssl, seed + 45, 32) == 32);
	derive("TLS1-PRF", params, block, sizeof(block));
	memcpy(f->key, block + (server ? KEY : 0), KEY);
	memcpy(f->iv, block + 2 * KEY + (server ? SALT : 0), SALT);
	f->seq = 1; /* after Finished */
}

static void tls13_keys(struct vt_forge *f)
{
	expand(f->secret, "key", f->key, KEY);
	expand(f->secret, "iv", f->iv, IV);
	f->seq = 0;
}

void vt_forge_init(struct vt_forge *f, SSL *ssl, int fd)
{
	memset(f, 0, sizeof(*f));
	f->fd = fd;
	f->version = SSL_version(ssl);
	if (f->version == TLS1_3_VERSION) {
		memcpy(f->secret, secrets[SSL_is_server(ssl)], SECRET);
		tls13_keys(f);
	} else {
		tls12(f, ssl);
	}
}

void vt_forge_rekey(struct vt_forge *f)
{
	uint8_t next[SECRET];

	expand(f->secret, "traffic upd", next, SECRET);
	memcpy(f->secret, next, SECRET);
	tls13_keys(f);
}

void vt_forge_send(struct vt_forge *f, uint8_t type, const void *p, size_t n,
		   size_t padding)
{
	const bool tls13 = f->version == TLS1_3_VERSION;
	const size_t inner = tls13 ? n + 1 + padding : n;
	const size_t head = HEADER + (tls13 ? 0 : 8);
	static uint8_t rec[HEADER + 8 + VT_RECORD + 1 + TAG];
	static uint8_t text[VT_RECORD + 1];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nonce[IV], aad[13], seq[8];
	const size_t body = head - HEADER + inner + TAG;
	int len;

	MUST(ctx && inner <= sizeof(text));
	for (int i = 0; i < 8; i++)
		seq[i] = (uint8_t)(f->seq >> (56 - 8 * i));
	f->seq++;
	memset(text, 0, inner);
	if (n)
		memcpy(text, p, n);
	if (tls13)
		text[n] = type;
	rec[0] = tls13 ? 23 : type;
	rec[1] = rec[2] = 3;
	rec[3] = (uint8_t)(body >> 8);
	rec[4] = (uint8_t)body;
	memcpy(nonce, f->iv, IV);
	if (tls13) {
		for (int i = 0; i < 8; i++)
			nonce[4 + i] ^= seq[i];
		memcpy(aad, rec, HEADER);
	} else {
		/* any that OpenSSL has not used */
		memset(rec + HEADER, 0xf0, 8);
		memcpy(rec + HEADER + 4, seq + 4, 4);
		memcpy(nonce + SALT, rec + HEADER, 8);
		memcpy(aad, seq, 8);
		memcpy(aad + 8, rec, 3);
		aad[11] = (uint8_t)(n >> 8);
		aad[12] = (uint8_t)n;
	}
	MUST(EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, f->key, nonce) == 1);
	MUST(EVP_EncryptUpdate(ctx, NULL, &len, aad, tls13 ? 5 : 13) == 1);
	if (inner)
		MUST(EVP_EncryptUpdate(ctx, rec + head, &len, text,
				       (int)inner) == 1);
	MUST(EVP_EncryptFinal_ex(ctx, NULL, &len) == 1);
	MUST(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG,
				 rec + head + inner) == 1);
	EVP_CIPHER_CTX_free(ctx);
	MUST(send(f->fd, rec, HEADER + body, MSG_NOSIGNAL) ==
	     (ssize_t)(HEADER + body));
}
