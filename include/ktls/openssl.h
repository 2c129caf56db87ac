/* SPDX-License-Identifier: MIT */
/* The calls of libktls that take OpenSSL's objects; no other header does. */
#ifndef KTLS_OPENSSL_H
#define KTLS_OPENSSL_H

#include <openssl/ssl.h>

#include <ktls/ktls.h>

#ifdef __cplusplus
extern "C" {
#endif

KTLS_API int ktls_ctx_enable(SSL_CTX *ctx);

/* Who is to be able to encrypt what the context negotiates. */
enum ktls_for {
	KTLS_FOR_KERNEL = 1, /* what this host's kernel takes, by trying */
	KTLS_FOR_DEVICE = 2  /* what Linux gives to a NIC: TLS 1.2, AES-GCM */
};
KTLS_API int ktls_ctx_narrow(SSL_CTX *ctx, enum ktls_for whom);

KTLS_API KTLS_MUST_CHECK struct ktls_conn *
ktls_conn_new(SSL *ssl, int fd, const struct ktls_policy *policy);

#ifdef __cplusplus
}
#endif

#endif
