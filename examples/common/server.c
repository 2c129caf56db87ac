/* SPDX-License-Identifier: MIT */
/* What both servers need of TLS and of the system. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <openssl/ssl.h>

#include <ktls/openssl.h>

#include "server.h"

/* The context of all connections, or the end of the program. */
SSL_CTX *server_context(const struct tls_options *tls, const char *cert,
			const char *key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		die("OpenSSL: %s", openssl_error());
	tls_configure(ctx, tls);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
		die("--cert %s: %s", cert, openssl_error());
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		die("--key %s: %s", key, openssl_error());
	if (SSL_CTX_check_private_key(ctx) != 1)
		die("the key is not that of the certificate");
	if (ktls_ctx_enable(ctx) < 0)
		die("ktls_ctx_enable: %s", strerror(errno));
	return ctx;
}

/*
 * TLS for a socket that was accepted; NULL, with a message, on failure. The SSL
 * is there as long as the connection is.
 */
struct ktls_conn *server_accept(SSL_CTX *ctx, int fd,
				const struct ktls_policy *policy, SSL **ssl_out)
{
	struct ktls_conn *tls = NULL;
	SSL *ssl = SSL_new(ctx);

	if (ssl) {
		SSL_set_accept_state(ssl);
		tls = ktls_conn_new(ssl, fd, policy);
		SSL_free(ssl); /* tls has its own reference */
	}
	if (ssl_out)
		*ssl_out = ssl;
	if (!tls)
		warn("a connection could not be started: %s", openssl_error());
	return tls;
}

/* Bytes that were accepted, but are not in TCP yet: close() would lose them. */
uint64_t unsent_bytes(const struct ktls_conn *tls)
{
	struct ktls_info info = {.size = sizeof(info)};

	return ktls_get_info(tls, &info) == 0 ? info.unsent : 0;
}

/* As many connections as the system grants. */
void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int stop_status(unsigned int cut, const char *what)
{
	if (cut == 0)
		return 0;
	warn("%u %s%s not finished in time", cut, what,
	     cut == 1 ? " was" : "s were");
	return 1;
}

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
