/* SPDX-License-Identifier: MIT */
/* What is special in the SSL_CTX: HTTP's names in ALPN, and --device. */
#include <errno.h>
#include <string.h>

#include <openssl/ssl.h>

#include <ktls/openssl.h>

#include "httpd.h"

/*
 * ALPN (RFC 7301): a client that offers only other protocols is refused. The
 * server's order counts, and HTTP/2 comes first if --h2 wants it at all.
 */
static int select_protocol(SSL *ssl, const unsigned char **out,
			   unsigned char *outlen, const unsigned char *in,
			   unsigned int inlen, void *arg)
{
	static const unsigned char names[] = "\x02h2\x08http/1.1";
	const struct config *config = arg;
	const unsigned int skip = config->h2 ? 0 : 3;

	(void)ssl;
	if (SSL_select_next_proto((unsigned char **)out, outlen, names + skip,
				  sizeof(names) - 1 - skip, in,
				  inlen) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/* The context of all connections, or the end of the program. */
SSL_CTX *make_context(const struct config *config)
{
	SSL_CTX *ctx = server_context(&config->tls, config->cert, config->key);

	if (config->device && ktls_ctx_narrow(ctx, KTLS_FOR_DEVICE) < 0)
		die("--device: %s",
		    errno == ENOTSUP
			    ? "no TLS 1.2 with AES-GCM is left to negotiate"
			    : strerror(errno));
	SSL_CTX_set_alpn_select_cb(ctx, select_protocol, (void *)config);
	return ctx;
}
