/* SPDX-License-Identifier: MIT */
/* What there is to prepare once: the SSL_CTX and the listening socket. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include <ktls/openssl.h>

#include "httpd.h"

/* ALPN (RFC 7301): a client that offers only other protocols is refused. */
static int select_http11(SSL *ssl, const unsigned char **out,
			 unsigned char *outlen, const unsigned char *in,
			 unsigned int inlen, void *arg)
{
	static const unsigned char http11[] = "\x08http/1.1";

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto((unsigned char **)out, outlen, http11,
				  sizeof(http11) - 1, in,
				  inlen) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/* The context of all connections, or the end of the program. */
SSL_CTX *make_context(const struct config *config)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		die("OpenSSL: %s", openssl_error());
	tls_configure(ctx, &config->tls);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_alpn_select_cb(ctx, select_http11, NULL);
	if (SSL_CTX_use_certificate_chain_file(ctx, config->cert) != 1)
		die("--cert %s: %s", config->cert, openssl_error());
	if (SSL_CTX_use_PrivateKey_file(ctx, config->key, SSL_FILETYPE_PEM) != 1)
		die("--key %s: %s", config->key, openssl_error());
	if (SSL_CTX_check_private_key(ctx) != 1)
		die("the key is not that of the certificate");
	if (ktls_ctx_enable(ctx) < 0)
		die("ktls_ctx_enable: %s", strerror(errno));
	return ctx;
}

/* "listening on ADDR:PORT": where port 0 has led. */
void print_address(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char host[64];
	char port[16];
	bool v6;

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0 ||
	    getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		die("cannot find the address of the listening socket");
	v6 = addr.ss_family == AF_INET6;
	printf("listening on %s%s%s:%s\n", v6 ? "[" : "", host, v6 ? "]" : "",
	       port);
	fflush(stdout);
}

static int bind_to(const struct addrinfo *ai, int sndbuf)
{
	int on = 1;
	int fd = socket(ai->ai_family,
			ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* connections inherit it, and it is there before their first byte */
	if (sndbuf > 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, 512) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The socket of --listen, or the end of the program. */
int listen_on(const char *text, int sndbuf)
{
	struct addrinfo hints = {
		.ai_flags = AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *ai;
	char host[256];
	const char *name = host;
	char *colon;
	int error;
	int fd;

	snprintf(host, sizeof(host), "%s", text);
	colon = strrchr(host, ':');
	if (!colon) {
		warn("--listen takes ADDR:PORT, not \"%s\"", text);
		exit(2);
	}
	*colon = '\0';
	if (host[0] == '[' && colon > host + 1 && colon[-1] == ']') {
		colon[-1] = '\0';
		name++;
	}
	error = getaddrinfo(*name ? name : NULL, colon + 1, &hints, &ai);
	if (error != 0)
		die("--listen %s: %s", text, gai_strerror(error));
	fd = bind_to(ai, sndbuf);
	if (fd < 0)
		die("--listen %s: %s", text, strerror(errno));
	freeaddrinfo(ai);
	return fd;
}
