/* SPDX-License-Identifier: MIT */
/*
 * Keys of a connection, by public OpenSSL API alone: the keylog callback for
 * TLS 1.3, the session's master secret for TLS 1.2. Never OpenSSL's own kTLS.
 */
#include "keys.h"

#include <errno.h>

#include <openssl/evp.h>
#include <openssl/objects.h>

#include "bio.h"
#include "event.h"
#include <ktls/openssl.h>

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static int ssl_index = -1;
static int secrets_index = -1;
static int ctx_index = -1;

/* Of an SSL that no connection has yet, by whether they are the server's. */
struct secrets {
	uint8_t secret[2][KTLS__SECRET_MAX];
	size_t len[2];
};

static void free_context(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx,
			 long argl, void *argp)
{
	(void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
	free(ptr);
}

static void free_secrets(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx,
			 long argl, void *argp)
{
	(void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
	if (ptr)
		explicit_bzero(ptr, sizeof(struct secrets));
	free(ptr);
}

/* SSL_dup() makes an SSL of its own, which is not ours. */
static int dup_ssl(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from,
		   void **from_d, int idx, long argl, void *argp)
{
	(void)to, (void)from, (void)idx, (void)argl, (void)argp;
	*from_d = NULL;
	return 1;
}

static void make_indices(void)
{
	ssl_index = SSL_get_ex_new_index(0, NULL, NULL, dup_ssl, NULL);
	secrets_index =
		SSL_get_ex_new_index(0, NULL, NULL, dup_ssl, free_secrets);
	ctx_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_context);
}

struct ktls__context *ktls__keys_context(const struct ktls_conn *c)
{
	static struct ktls__context none;

	if (!c->ssl)
		return &none;
	return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(c->ssl), ctx_index);
}

int ktls__ssl_index(void)
{
	if (!CRYPTO_THREAD_run_once(&once, make_indices) || ctx_index < 0 ||
	    secrets_index < 0)
		return -1;
	return ssl_index;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* bytes decoded, 0 when hex is not clean hexadecimal of at most max bytes */
static size_t unhex(const char *hex, uint8_t *out, size_t max)
{
	size_t n = strlen(hex);

	if (n % 2 != 0 || n / 2 > max)
		return 0;
	for (size_t i = 0; i < n / 2; i++) {
		int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return 0;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return n / 2;
}

/*
 * OpenSSL calls this between the last record under the old key and the first
 * under the new one, in both directions, KeyUpdate included.
 */
static void new_secret(struct ktls_conn *c, bool of_server, const char *hex)
{
	const bool ours = of_server == (SSL_is_server(c->ssl) != 0);
	struct ktls__half *h = ours ? &c->tx : &c->rx;

	explicit_bzero(h->secret, sizeof(h->secret));
	h->secret_len = (uint8_t)unhex(hex, h->secret, sizeof(h->secret));
	if (h->mode == KTLS_MODE_USER && c->handshaken)
		h->records += h->track.seq;
	ktls__track_rekey(&h->track);
	/* of its own, OpenSSL: the kernel's key is c->tx_secret's */
	if (ours && h->mode == KTLS_MODE_KERNEL)
		return;
	h->generation++;
	h->rekeys += c->handshaken;
	if (h->mode == KTLS_MODE_USER && c->handshaken)
		ktls__event_rekey(c, ours ? KTLS_TX : KTLS_RX);
}

/* For a connection that is made when the handshake is over. */
static void keep_secret(const SSL *ssl, bool of_server, const char *hex)
{
	struct secrets *s = SSL_get_ex_data(ssl, secrets_index);

	if (!s) {
		s = calloc(1, sizeof(*s));
		/* the callback's SSL is const, what hangs on it is not */
		if (s &&
		    !SSL_set_ex_data((SSL *)(uintptr_t)ssl, secrets_index, s)) {
			free(s);
			s = NULL;
		}
	}
	if (s)
		s->len[of_server] = unhex(hex, s->secret[of_server],
					  sizeof(s->secret[of_server]));
}

void ktls__keys_adopt(struct ktls_conn *c)
{
	struct secrets *s = SSL_get_ex_data(c->ssl, secrets_index);
	const bool server = SSL_is_server(c->ssl) != 0;

	if (s) {
		memcpy(c->tx.secret, s->secret[server], sizeof(c->tx.secret));
		memcpy(c->rx.secret, s->secret[!server], sizeof(c->rx.secret));
		/* else they are of a handshake before SSL_clear() */
		if (SSL_version(c->ssl) == TLS1_3_VERSION) {
			c->tx.secret_len = (uint8_t)s->len[server];
			c->rx.secret_len = (uint8_t)s->len[!server];
		}
		SSL_set_ex_data(c->ssl, secrets_index, NULL);
		explicit_bzero(s, sizeof(*s));
		free(s);
	}
	c->tx.generation = 1;
	c->rx.generation = 1;
}

static void of_secret(const SSL *ssl, bool of_server, const char *hex)
{
	struct ktls_conn *c = SSL_get_ex_data(ssl, ssl_index);

	if (c)
		new_secret(c, of_server, hex);
	else
		keep_secret(ssl, of_server, hex);
}

/* "LABEL client_random secret", both in hexadecimal */
static void keylog(const SSL *ssl, const char *line)
{
	static const char client[] = "CLIENT_TRAFFIC_SECRET_";
	static const char server[] = "SERVER_TRAFFIC_SECRET_";
	const struct ktls__context *ctx =
		SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ctx_index);
	const char *secret = strrchr(line, ' ');
	/* a callback that was put in front of ours may be behind it as well */
	static _Thread_local const SSL *inside;

	if (inside == ssl)
		return;
	if (secret && strncmp(line, client, sizeof(client) - 1) == 0)
		of_secret(ssl, false, secret + 1);
	else if (secret && strncmp(line, server, sizeof(server) - 1) == 0)
		of_secret(ssl, true, secret + 1);
	if (ctx && ctx->next) {
		inside = ssl;
		ctx->next(ssl, line);
		inside = NULL;
	}
}

int ktls_ctx_enable(SSL_CTX *ctx)
{
	SSL_CTX_keylog_cb_func cb;
	struct ktls__context *own;

	if (!ctx) {
		errno = EINVAL;
		return -1;
	}
	cb = SSL_CTX_get_keylog_callback(ctx);
	if (cb == keylog)
		return 0;
	own = ktls__ssl_index() < 0 ? NULL : SSL_CTX_get_ex_data(ctx, ctx_index);
	if (!own && ktls__ssl_index() >= 0) {
		own = calloc(1, sizeof(*own));
		if (own && !SSL_CTX_set_ex_data(ctx, ctx_index, own)) {
			free(own);
			own = NULL;
		}
	}
	if (!own) {
		errno = ENOMEM;
		return -1;
	}
	own->next = cb;
	SSL_CTX_set_keylog_callback(ctx, keylog);
	return 0;
}

const struct ktls__cipher *ktls__keys_suite(const SSL_CIPHER *suite)
{
	const char *name = SSL_CIPHER_get_name(suite);

	/* the 8-byte tag of CCM_8 suites: same AEAD, unknown to the kernel */
	if (strstr(name, "CCM8") || strstr(name, "CCM_8"))
		return NULL;
	return ktls__cipher_find(OBJ_nid2ln(SSL_CIPHER_get_cipher_nid(suite)));
}

void ktls__keys_note(struct ktls_conn *c)
{
	const SSL_CIPHER *suite = SSL_get_current_cipher(c->ssl);

	if (!suite)
		return;
	c->version = (uint16_t)SSL_version(c->ssl);
	c->cipher = ktls__keys_suite(suite);
	c->suite = SSL_CIPHER_get_protocol_id(suite);
	c->suite_name = SSL_CIPHER_standard_name(suite);
}

uint32_t ktls__keys_reason(const struct ktls_conn *c)
{
	if (c->version != KTLS__TLS12 && c->version != KTLS__TLS13)
		return KTLS_REASON_VERSION;
	if (!c->cipher || (c->cipher->tls12_only && c->version != KTLS__TLS12))
		return KTLS_REASON_CIPHER;
	return KTLS_REASON_NONE;
}

static uint32_t derive_tls12(struct ktls_conn *c, int dir,
			     struct ktls__protection *out)
{
	const SSL_CIPHER *suite = SSL_get_current_cipher(c->ssl);
	const EVP_MD *md = suite ? SSL_CIPHER_get_handshake_digest(suite) : NULL;
	SSL_SESSION *session = SSL_get_session(c->ssl);
	struct ktls__tls12_secret s;
	struct ktls__keys client, server;
	const bool of_server = (dir == KTLS_TX) == (SSL_is_server(c->ssl) != 0);
	uint32_t reason = KTLS_REASON_KEYS;

	if (md && session &&
	    SSL_SESSION_get_master_key(session, s.master, sizeof(s.master)) ==
		    sizeof(s.master)) {
		SSL_get_client_random(c->ssl, s.client_random, KTLS__RANDOM);
		SSL_get_server_random(c->ssl, s.server_random, KTLS__RANDOM);
		reason = KTLS_REASON_OPENSSL;
		if (ktls__kdf_tls12(out->cipher, EVP_MD_get0_name(md), &s,
				    &client, &server) == 0) {
			out->keys = of_server ? server : client;
			reason = KTLS_REASON_NONE;
		}
		explicit_bzero(&client, sizeof(client));
		explicit_bzero(&server, sizeof(server));
	}
	explicit_bzero(&s, sizeof(s));
	return reason;
}

static uint32_t derive(struct ktls_conn *c, int dir, bool next,
		       struct ktls__protection *out)
{
	const struct ktls__half *h = ktls__half(c, dir);
	const uint8_t *secret = next ? c->tx_secret : h->secret;
	const char *digest = c->cipher->digest;

	if (h->own && !next) {
		out->keys = *h->own;
		return KTLS_REASON_NONE;
	}
	if (c->version == KTLS__TLS12 && c->ssl)
		return derive_tls12(c, dir, out);
	if (c->version == KTLS__TLS12 || h->secret_len == 0)
		return KTLS_REASON_KEYS;
	if ((next && ktls__kdf_update(digest, c->tx_secret, h->secret_len) < 0) ||
	    ktls__kdf_tls13(c->cipher, digest, secret, h->secret_len,
			    &out->keys) < 0)
		return KTLS_REASON_OPENSSL;
	return KTLS_REASON_NONE;
}

static uint32_t keys_derive(struct ktls_conn *c, int dir, bool next,
			    struct ktls__protection *out)
{
	uint32_t reason = ktls__keys_reason(c);

	memset(out, 0, sizeof(*out));
	if (reason != KTLS_REASON_NONE)
		return reason;
	out->cipher = c->cipher;
	out->version = c->version;
	reason = derive(c, dir, next, out);
	if (reason != KTLS_REASON_NONE)
		explicit_bzero(out, sizeof(*out));
	return reason;
}

uint32_t ktls__keys_derive(struct ktls_conn *c, int dir,
			   struct ktls__protection *out)
{
	return keys_derive(c, dir, false, out);
}

uint32_t ktls__keys_next(struct ktls_conn *c, struct ktls__protection *out)
{
	return keys_derive(c, KTLS_TX, true, out);
}
