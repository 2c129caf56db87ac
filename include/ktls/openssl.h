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

KTLS_API KTLS_MUST_CHECK struct ktls_conn *
ktls_conn_new(SSL *ssl, int fd, const struct ktls_policy *policy);

#ifdef __cplusplus
}
#endif

#endif
