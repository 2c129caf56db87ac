/* SPDX-License-Identifier: MIT */
/*
 * The same exchange with libktls and with OpenSSL alone: what the rows of
 * requests and of HTTP call, and the socket they meet at.
 */
#include "bench.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener = -1;
static struct sockaddr_in address;

void bench_listen(void)
{
	socklen_t len = sizeof(address);

	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(listener >= 0);
	MUST(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	MUST(listen(listener, 8) == 0);
	MUST(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
}

int bench_accept(void)
{
	const int fd = accept(listener, NULL, NULL), on = 1;

	MUST(fd >= 0);
	MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
	return fd;
}

int bench_connect(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	MUST(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static bool lib_open(struct bench_end *e, bool server,
		     const struct ktls_policy *policy)
{
	return bench_lib_open(e, TLS1_3_VERSION, server, policy, -1, -1);
}

static ssize_t lib_read(struct bench_end *e, void *p, size_t n)
{
	return ktls_read(e->c, p, n);
}

static bool lib_write(struct bench_end *e, const struct iovec *v, int count)
{
	size_t len = 0;

	for (int i = 0; i < count; i++)
		len += v[i].iov_len;
	return ktls_writev(e->c, v, count, 0) == (ssize_t)len ||
	       bench_bad("ktls_writev");
}

static void lib_close(struct bench_end *e)
{
	if (ktls_close(e->c, 5000) < 0)
		bench_bad("ktls_close");
}

static bool ossl_open(struct bench_end *e, bool server,
		      const struct ktls_policy *policy)
{
	(void)policy;
	return bench_handshake(e, TLS1_3_VERSION, server, false);
}

static ssize_t ossl_read(struct bench_end *e, void *p, size_t n)
{
	return SSL_read(e->ssl, p, (int)n);
}

/* The contexts are for partial writes: a record is written by each call. */
static bool ossl_write(struct bench_end *e, const struct iovec *v, int count)
{
	for (int i = 0; i < count; i++) {
		const uint8_t *p = v[i].iov_base;

		for (size_t at = 0, n; at < v[i].iov_len; at += n)
			if (SSL_write_ex(e->ssl, p + at, v[i].iov_len - at,
					 &n) != 1)
				return bench_bad("SSL_write");
	}
	return true;
}

/* What OpenSSL then does for each secret is the price of TLS_TX by its API. */
static void keylog(const SSL *ssl, const char *line)
{
	(void)ssl;
	(void)line;
}

static bool keylog_open(struct bench_end *e, bool server,
			const struct ktls_policy *policy)
{
	SSL_CTX_set_keylog_callback(bench_ctx(TLS1_3_VERSION, server), keylog);
	return ossl_open(e, server, policy);
}

static void ossl_close(struct bench_end *e)
{
	SSL_shutdown(e->ssl);
	SSL_free(e->ssl);
	close(e->fd);
}

/* As ktls_close() does: nothing sent is lost, whatever the peer does. */
static void careful_close(struct bench_end *e)
{
	char c[CHUNK];

	SSL_shutdown(e->ssl);
	if (shutdown(e->fd, SHUT_WR) < 0)
		bench_bad("shutdown");
	while (SSL_read(e->ssl, c, sizeof(c)) > 0)
		;
	SSL_free(e->ssl);
	close(e->fd);
}

const struct bench_backend bench_lib = {lib_open, lib_read, lib_write,
					bench_lib_respond, lib_close};
const struct bench_backend bench_ossl = {ossl_open, ossl_read, ossl_write,
					 bench_ossl_respond, ossl_close};
const struct bench_backend bench_ossl_keylog = {
	keylog_open, ossl_read, ossl_write, bench_ossl_respond, ossl_close};
const struct bench_backend bench_ossl_careful = {
	keylog_open, ossl_read, ossl_write, bench_ossl_respond, careful_close};
