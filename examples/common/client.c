/* SPDX-License-Identifier: MIT */
/* What clients need: a connection to a host, and an SSL that expects it. */
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "client.h"

static int try_address(const struct addrinfo *ai, const struct timeval *limit)
{
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -1;
	/* libktls keeps to these limits, and so does connect() */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, limit, sizeof(*limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, limit, sizeof(*limit));
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int client_connect(const char *host, const char *port, int seconds, char *why,
		   size_t size)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const struct timeval limit = {.tv_sec = seconds};
	struct addrinfo *first;
	int fd = -1;
	int error = getaddrinfo(host, port, &hints, &first);

	if (error != 0) {
		snprintf(why, size, "%s", gai_strerror(error));
		return -1;
	}
	for (struct addrinfo *ai = first; ai && fd < 0; ai = ai->ai_next)
		fd = try_address(ai, &limit);
	if (fd < 0)
		snprintf(why, size, "cannot connect: %s", strerror(errno));
	freeaddrinfo(first);
	return fd;
}

static bool is_address(const char *host)
{
	struct in_addr v4;

	return strchr(host, ':') || inet_pton(AF_INET, host, &v4) == 1;
}

SSL *client_ssl(SSL_CTX *ctx, const char *host)
{
	SSL *ssl = SSL_new(ctx);
	int ok;

	if (!ssl)
		return NULL;
	SSL_set_connect_state(ssl);
	if (is_address(host))
		ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	else
		ok = SSL_set1_host(ssl, host) == 1 &&
		     SSL_set_tlsext_host_name(ssl, host) == 1;
	if (ok == 1)
		return ssl;
	SSL_free(ssl);
	return NULL;
}
