/* SPDX-License-Identifier: MIT */
/* Makes keys and self-signed certificates for the tests. */
#include "certs.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "ktest.h"

static struct {
	EVP_PKEY *key;
	X509 *cert;
} made[2];

static void name_it(X509 *x)
{
	X509_NAME *name = X509_get_subject_name(x);
	X509_EXTENSION *alt = X509V3_EXT_conf_nid(
		NULL, NULL, NID_subject_alt_name, "DNS:localhost");
	static const unsigned char host[] = "localhost";

	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
						    host, -1, -1, 0),
			 1);
	assert_int_equal(X509_set_issuer_name(x, name), 1);
	assert_non_null(alt);
	assert_int_equal(X509_add_ext(x, alt, -1), 1);
	X509_EXTENSION_free(alt);
}

static void make(enum cert_kind kind)
{
	EVP_PKEY *key =
		kind == CERT_RSA ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	X509 *x = X509_new();

	assert_non_null(key);
	assert_non_null(x);
	assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	name_it(x);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	made[kind].key = key;
	made[kind].cert = x;
}

void certs_use(SSL_CTX *ctx, enum cert_kind kind)
{
	if (!made[kind].key)
		make(kind);
	assert_int_equal(SSL_CTX_use_certificate(ctx, made[kind].cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, made[kind].key), 1);
}

void certs_trust(SSL_CTX *ctx, enum cert_kind kind)
{
	if (!made[kind].key)
		make(kind);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), made[kind].cert);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
}

void certs_free(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		EVP_PKEY_free(made[i].key);
		X509_free(made[i].cert);
		made[i].key = NULL;
		made[i].cert = NULL;
	}
}
