/* SPDX-License-Identifier: MIT */
/* Certificates made when a test program runs; none is ever stored. */
#ifndef CERTS_H
#define CERTS_H

#include <openssl/ssl.h>

/* A self-signed certificate for "localhost", ECDSA P-256 or RSA 2048. */
enum cert_kind { CERT_ECDSA, CERT_RSA };

/* Gives ctx key and certificate of this kind; made once a process. */
void certs_use(SSL_CTX *ctx, enum cert_kind kind);
/* Lets ctx verify peers that use it. */
void certs_trust(SSL_CTX *ctx, enum cert_kind kind);
/* Frees what was made. */
void certs_free(void);

#endif
