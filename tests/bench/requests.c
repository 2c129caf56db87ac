/* SPDX-License-Identifier: MIT */
/*
 * The rows of requests: a server of the smallest kind, once with libktls and
 * once with OpenSSL alone. What it does for one request is measured.
 */
#include "bench.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	REQUEST = 16,  /* bytes */
	UNCOUNTED = 2, /* requests before the first that is measured */
	COUNTED = 9
};

struct backend {
	bool (*open)(struct bench_end *e, const struct ktls_policy *policy);
	ssize_t (*read)(struct bench_end *e, void *p, size_t n);
	bool (*respond)(struct bench_end *e, const uint8_t *head, size_t size);
	void (*close)(struct bench_end *e);
};

struct row {
	char name[96];
	const struct backend *backend;
	size_t size;
	bool keep;     /* the connection, for all requests */
	uint32_t tx;   /* of the policy */
	uint32_t rx;   /* the same */
	int64_t after; /* offload_after; -1: the default */
};

static bool lib_open(struct bench_end *e, const struct ktls_policy *policy)
{
	return bench_lib_open(e, TLS1_3_VERSION, true, policy, -1, -1);
}

static ssize_t lib_read(struct bench_end *e, void *p, size_t n)
{
	return ktls_read(e->c, p, n);
}

static bool lib_respond(struct bench_end *e, const uint8_t *head, size_t size)
{
	return bench_lib_respond(e, head, bench_file, 0, size);
}

static void lib_close(struct bench_end *e)
{
	if (ktls_close(e->c, 5000) < 0)
		bench_bad("ktls_close");
}

static bool ossl_open(struct bench_end *e, const struct ktls_policy *policy)
{
	(void)policy;
	return bench_handshake(e, TLS1_3_VERSION, true, false);
}

static ssize_t ossl_read(struct bench_end *e, void *p, size_t n)
{
	return SSL_read(e->ssl, p, (int)n);
}

static bool ossl_respond(struct bench_end *e, const uint8_t *head, size_t size)
{
	return bench_ossl_respond(e, head, bench_file, 0, size);
}

/* What OpenSSL then does for each secret is the price of TLS_TX by its API. */
static void keylog(const SSL *ssl, const char *line)
{
	(void)ssl;
	(void)line;
}

static bool keylog_open(struct bench_end *e, const struct ktls_policy *policy)
{
	SSL_CTX_set_keylog_callback(bench_ctx(TLS1_3_VERSION, true), keylog);
	return ossl_open(e, policy);
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

static const struct backend lib = {lib_open, lib_read, lib_respond, lib_close};
static const struct backend ossl = {ossl_open, ossl_read, ossl_respond,
				    ossl_close};
static const struct backend with_keylog = {keylog_open, ossl_read, ossl_respond,
					   ossl_close};
static const struct backend careful = {keylog_open, ossl_read, ossl_respond,
				       careful_close};

static int listener = -1;
static struct sockaddr_in address;

static void listen_here(void)
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

static const uint8_t *head_of(size_t size)
{
	static char text[HEAD + 1];

	memset(text, ' ', HEAD);
	text[snprintf(text, HEAD, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n",
		      size)] = 'X';
	return (const uint8_t *)text;
}

static bool answer(const struct row *row, struct bench_end *e)
{
	char request[4096];
	ssize_t n = row->backend->read(e, request, sizeof(request));
	size_t size;

	if (n != REQUEST || sscanf(request, "GET %zu", &size) != 1)
		return bench_bad("request");
	return row->backend->respond(e, head_of(size), size);
}

static bool measured(const void *arg)
{
	const struct row *row = arg;
	static struct bench_end e;
	struct ktls_policy policy = vt_policy(row->tx, row->rx);
	const int on = 1;

	close(bench_fd[0]);
	close(bench_fd[1]);
	if (row->after >= 0)
		policy.offload_after = (uint64_t)row->after;
	for (int i = 0; i < UNCOUNTED + COUNTED; i++) {
		if (!row->keep && i >= UNCOUNTED)
			bench_start();
		if (!row->keep || i == 0) {
			e.fd = accept(listener, NULL, NULL);
			MUST(e.fd >= 0);
			MUST(setsockopt(e.fd, IPPROTO_TCP, TCP_NODELAY, &on,
					sizeof(on)) == 0);
			if (!row->backend->open(&e, &policy))
				return false;
		}
		if (row->keep && i >= UNCOUNTED)
			bench_start();
		if (!answer(row, &e))
			return false;
		if (!row->keep)
			row->backend->close(&e);
		if (i >= UNCOUNTED)
			bench_stop();
	}
	if (row->keep)
		row->backend->close(&e);
	return true;
}

static bool ask(SSL *ssl, size_t size, uint8_t *p)
{
	char request[REQUEST + 1];
	size_t at = 0, n;

	snprintf(request, sizeof(request), "GET %-12zu", size);
	if (SSL_write(ssl, request, REQUEST) != REQUEST)
		return bench_bad("SSL_write");
	for (; at < HEAD + size; at += n)
		if (SSL_read_ex(ssl, p + at, HEAD + size - at, &n) != 1)
			return bench_bad("SSL_read");
	return (memcmp(p, head_of(size), HEAD) == 0 &&
		memcmp(p + HEAD, bench_data, size) == 0) ||
	       bench_bad("other bytes");
}

static bool other(const void *arg)
{
	const struct row *row = arg;
	uint8_t *p = malloc(HEAD + row->size);
	struct bench_end e = {.fd = -1};
	bool ok = true;

	MUST(p != NULL);
	bench_eager();
	close(bench_fd[0]);
	close(bench_fd[1]);
	for (int i = 0; ok && i < UNCOUNTED + COUNTED; i++) {
		if (!row->keep || i == 0) {
			e.fd = socket(AF_INET, SOCK_STREAM, 0);
			MUST(connect(e.fd, (struct sockaddr *)&address,
				     sizeof(address)) == 0);
			if (!bench_handshake(&e, TLS1_3_VERSION, false, false))
				return false;
		}
		ok = ask(e.ssl, row->size, p);
		if (row->keep && i + 1 < UNCOUNTED + COUNTED)
			continue;
		/* the server closes, and is answered */
		ok = ok && SSL_read(e.ssl, p, 1) == 0 &&
		     (SSL_get_shutdown(e.ssl) & SSL_RECEIVED_SHUTDOWN);
		SSL_shutdown(e.ssl);
		SSL_free(e.ssl);
		close(e.fd);
	}
	free(p);
	return ok;
}

static void one(const char *section, struct row *row, const char *what)
{
	if (row->size < MIB)
		snprintf(row->name, sizeof(row->name), "%s, %zu KiB, %s",
			 row->keep ? "kept" : "closed", row->size / 1024, what);
	else
		snprintf(row->name, sizeof(row->name), "%s, %zu MiB, %s",
			 row->keep ? "kept" : "closed", row->size / MIB, what);
	if (!bench_wanted(section, row->name))
		return;
	vt_case("%s", row->name);
	bench_report(section, row->name, 1, measured, other, row);
}

void bench_requests(void)
{
	static const size_t sizes[] = {0, 4096, 65536, MIB};
	static const size_t curve[] = {0,	  4096,	     16384,
				       32768,	  65536,     2 * 65536,
				       4 * 65536, 8 * 65536, MIB};
	struct row row = {.after = -1};
	const int times = bench_times;

	listen_here();
	/* each run has many that are measured */
	bench_times = 1;
	for (int keep = 1; keep >= 0; keep--) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			row.keep = keep;
			row.size = sizes[i];
			row.backend = &ossl;
			one("request", &row, "OpenSSL");
			if (!keep) {
				row.backend = &with_keylog;
				one("request", &row, "OpenSSL, keylog");
				row.backend = &careful;
				one("request", &row,
				    "OpenSSL, keylog, careful close");
			}
			row.backend = &lib;
			one("request", &row, "libktls");
		}
	}
	/* a request is too short to move what receives */
	row.rx = KTLS_OFF;
	for (size_t i = 0; i < sizeof(curve) / sizeof(curve[0]); i++) {
		row.size = curve[i];
		row.tx = KTLS_AUTO;
		row.after = 0;
		one("curve", &row, "kernel");
		row.tx = KTLS_OFF;
		one("curve", &row, "user");
	}
	bench_times = times;
	close(listener);
}
