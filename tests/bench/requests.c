/* SPDX-License-Identifier: MIT */
/*
 * The rows of requests: a server of the smallest kind, once with libktls and
 * once with OpenSSL alone. What it does for one request is measured.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	REQUEST = 16,  /* bytes */
	UNCOUNTED = 2, /* requests before the first that is measured */
	COUNTED = 9
};

struct row {
	char name[96];
	const struct bench_backend *backend;
	size_t size;
	bool keep;     /* the connection, for all requests */
	uint32_t tx;   /* of the policy */
	uint32_t rx;   /* the same */
	int64_t after; /* offload_after; -1: the default */
};

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
	return row->backend->respond(e, head_of(size), bench_file, 0, size);
}

static bool measured(const void *arg)
{
	const struct row *row = arg;
	static struct bench_end e;
	struct ktls_policy policy = vt_policy(row->tx, row->rx);

	close(bench_fd[0]);
	close(bench_fd[1]);
	if (row->after >= 0)
		policy.offload_after = (uint64_t)row->after;
	for (int i = 0; i < UNCOUNTED + COUNTED; i++) {
		if (!row->keep && i >= UNCOUNTED)
			bench_start();
		if (!row->keep || i == 0) {
			e.fd = bench_accept();
			if (!row->backend->open(&e, true, &policy))
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
			e.fd = bench_connect();
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

	/* each run has many that are measured */
	bench_times = 1;
	for (int keep = 1; keep >= 0; keep--) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			row.keep = keep;
			row.size = sizes[i];
			row.backend = &bench_ossl;
			one("request", &row, "OpenSSL");
			if (!keep) {
				row.backend = &bench_ossl_keylog;
				one("request", &row, "OpenSSL, keylog");
				row.backend = &bench_ossl_careful;
				one("request", &row,
				    "OpenSSL, keylog, careful close");
			}
			row.backend = &bench_lib;
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
}
