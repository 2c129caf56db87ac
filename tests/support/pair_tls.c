/* SPDX-License-Identifier: MIT */
/* Contexts for the library and its peer, and the peer's way to its socket. */
#include "pair.h"

#include <openssl/err.h>

const struct suite suites[] = {
	{TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", 51},
	{TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", 52},
	{TLS1_3_VERSION, "TLS_AES_128_CCM_SHA256", 53},
	{TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", 54},
	{TLS1_3_VERSION, "TLS_SM4_GCM_SM3", 55},
	{TLS1_3_VERSION, "TLS_SM4_CCM_SM3", 56},
	{TLS1_3_VERSION, "TLS_AES_128_CCM_8_SHA256", 0},
	{TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", 51},
	{TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", 52},
	{TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM", 53},
	{TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", 54},
	{TLS1_2_VERSION, "ECDHE-ECDSA-ARIA128-GCM-SHA256", 57},
	{TLS1_2_VERSION, "ECDHE-ECDSA-ARIA256-GCM-SHA384", 58},
	{TLS1_2_VERSION, "ECDHE-ECDSA-AES256-CCM", 0},
	{TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM8", 0},
	{TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256", 0},
};
const size_t n_suites = ARRAY_SIZE(suites);

static bool set_suite(SSL_CTX *ctx, int version, const char *suite)
{
	if (version == TLS1_3_VERSION)
		return SSL_CTX_set_ciphersuites(ctx, suite) == 1;
	return SSL_CTX_set_cipher_list(ctx, suite) == 1;
}

bool suite_usable(const struct suite *s)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	bool ok;

	assert_non_null(ctx);
	/* libcrypto may have the AEAD where libssl has no such suite */
	ok = set_suite(ctx, s->version, s->name);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

SSL_CTX *pair_ctx(const struct pair_options *o, bool server)
{
	SSL_CTX *ctx =
		SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	const int version = o->version ? o->version : TLS1_3_VERSION;

	assert_non_null(ctx);
	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	/* CCM_8 has a short tag */
	SSL_CTX_set_security_level(ctx, 0);
	if (o->suite)
		assert_true(set_suite(ctx, version, o->suite));
	if (server)
		certs_use(ctx, o->rsa ? CERT_RSA : CERT_ECDSA);
	else
		certs_trust(ctx, o->rsa ? CERT_RSA : CERT_ECDSA);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return ctx;
}

static int bio_fd(BIO *bio)
{
	return (int)(intptr_t)BIO_get_data(bio);
}

static int raw_write(BIO *bio, const char *p, int n)
{
	const ssize_t r = fake_raw_write(bio_fd(bio), p, (size_t)n);

	BIO_clear_retry_flags(bio);
	if (r == -EAGAIN)
		BIO_set_retry_write(bio);
	if (r < 0)
		errno = (int)-r;
	return r < 0 ? -1 : (int)r;
}

static int raw_read(BIO *bio, char *p, int n)
{
	const ssize_t r = fake_raw_read(bio_fd(bio), p, (size_t)n);

	BIO_clear_retry_flags(bio);
	if (r == -EAGAIN)
		BIO_set_retry_read(bio);
	if (r == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	if (r < 0)
		errno = (int)-r;
	return r < 0 ? -1 : (int)r;
}

static long raw_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)num;
	(void)ptr;
	if (cmd == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return cmd == BIO_CTRL_FLUSH;
}

void pair_bio(SSL *ssl, int fd)
{
	static BIO_METHOD *method;
	BIO *bio;

	if (!method) {
		method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 99, "raw");
		BIO_meth_set_write(method, raw_write);
		BIO_meth_set_read(method, raw_read);
		BIO_meth_set_ctrl(method, raw_ctrl);
	}
	bio = BIO_new(method);
	assert_non_null(bio);
	BIO_set_data(bio, (void *)(intptr_t)fd);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
}
