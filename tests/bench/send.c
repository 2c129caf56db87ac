/* SPDX-License-Identifier: MIT */
/*
 * The rows that send: a file, memory or a pipe, and heads with files, as TCP
 * and as TLS 1.3.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/bio.h>

struct row {
	const char *name;
	size_t size; /* of a call, which ends at a multiple of it */
	enum bench_wire wire;
	bool (*open)(struct bench_end *e);
	/* One call, of n bytes at most: bytes, or -1 with errno. */
	ssize_t (*send)(struct bench_end *e, off_t at, size_t n);
	bool (*close)(struct bench_end *e); /* NULL: as wire wants it */
	const char *(*absent)(void);
	bool slow; /* the reader; the socket is non-blocking, and often full */
};

enum { K16 = 16384, K64 = 65536 };

/* For responses: the same bytes, but that the file has no heads. */
static int bodies = -1;

static bool plain_open(struct bench_end *e)
{
	return bench_handshake(e, TLS1_3_VERSION, true, false);
}

static bool raw_open(struct bench_end *e)
{
	if (!plain_open(e))
		return false;
	errno = vt_raw_install(e->fd, bench_suite(TLS1_3_VERSION), KTLS_TX);
	return errno == 0 || bench_bad("TLS_TX");
}

static bool plain_close(struct bench_end *e)
{
	char c;

	/* what raw kernel TLS still has to send would be lost: no matter here */
	if (e->nonblocking) {
		vt_set_nonblocking(e->fd, false);
		vt_poll(e->fd, POLLOUT);
		usleep(50000);
	}
	return (shutdown(e->fd, SHUT_WR) == 0 && read(e->fd, &c, 1) == 0) ||
	       bench_bad("close");
}

static ssize_t plain_sendfile(struct bench_end *e, off_t at, size_t n)
{
	return sendfile(e->fd, bench_file, &at, n);
}

static ssize_t plain_write(struct bench_end *e, off_t at, size_t n)
{
	return write(e->fd, bench_data + at, n);
}

/* What is in the pipe; filling it costs the same for all. */
static ssize_t fill(struct bench_end *e, off_t at)
{
	ssize_t r;

	if (e->in_pipe > 0)
		return e->in_pipe;
	if (!e->pipe[1])
		MUST(pipe(e->pipe) == 0);
	r = splice(bench_file, &at, e->pipe[1], NULL, K64, 0);
	e->in_pipe = (int)r;
	return r;
}

static ssize_t plain_splice(struct bench_end *e, off_t at, size_t n)
{
	ssize_t r = fill(e, at);

	if (r > 0)
		r = splice(e->pipe[0], NULL, e->fd, NULL,
			   (size_t)r < n ? (size_t)r : n, 0);
	if (r > 0)
		e->in_pipe -= (int)r;
	return r;
}

static bool cut(size_t n, size_t *size, off_t *file, off_t at)
{
	*size = n - HEAD;
	*file = at / (off_t)n * (off_t)*size;
	return at % (off_t)n == 0;
}

/* A head and a file's part of n bytes together. */
static ssize_t plain_respond(struct bench_end *e, off_t at, size_t n)
{
	off_t file;
	size_t size;

	if (!cut(n, &size, &file, at) ||
	    send(e->fd, bench_data + at, HEAD, MSG_MORE) != HEAD)
		return -1;
	while (size > 0) {
		const ssize_t r = sendfile(e->fd, bodies, &file, size);

		if (r <= 0)
			return -1;
		size -= (size_t)r;
	}
	return (ssize_t)n;
}

static bool ossl_open(struct bench_end *e)
{
	return bench_handshake(e, TLS1_3_VERSION, true, false);
}

static bool ossl_ktls_open(struct bench_end *e)
{
	errno = 0;
	return bench_handshake(e, TLS1_3_VERSION, true, true) &&
	       (BIO_get_ktls_send(SSL_get_wbio(e->ssl)) ||
		bench_bad("OpenSSL's kernel TLS"));
}

static bool ossl_close(struct bench_end *e)
{
	SSL_shutdown(e->ssl);
	return plain_close(e);
}

static ssize_t ossl_result(const struct bench_end *e, ssize_t n)
{
	if (n <= 0 && SSL_get_error(e->ssl, (int)n) == SSL_ERROR_WANT_WRITE)
		errno = EAGAIN;
	return n > 0 ? n : -1;
}

static ssize_t ossl_sendfile(struct bench_end *e, off_t at, size_t n)
{
	return ossl_result(e, SSL_sendfile(e->ssl, bench_file, at, n, 0));
}

static ssize_t ossl_write(struct bench_end *e, off_t at, size_t n)
{
	return ossl_result(e, SSL_write(e->ssl, bench_data + at, (int)n));
}

static ssize_t ossl_pread(struct bench_end *e, off_t at, size_t n)
{
	const ssize_t got = pread(bench_file, e->buf, n, at);

	if (got <= 0)
		return -1;
	return ossl_result(e, SSL_write(e->ssl, e->buf, (int)got));
}

static ssize_t ossl_respond(struct bench_end *e, off_t at, size_t n)
{
	off_t file;
	size_t size;

	return cut(n, &size, &file, at) && bench_ossl_respond(e, bench_data + at,
							      bodies, file, size)
		       ? (ssize_t)n
		       : -1;
}

static ssize_t ossl_ktls_respond(struct bench_end *e, off_t at, size_t n)
{
	off_t file;
	size_t size;

	if (!cut(n, &size, &file, at) ||
	    SSL_write(e->ssl, bench_data + at, HEAD) != HEAD)
		return -1;
	while (size > 0) {
		const ssize_t r = SSL_sendfile(e->ssl, bodies, file, size, 0);

		if (r <= 0)
			return -1;
		file += r;
		size -= (size_t)r;
	}
	return (ssize_t)n;
}

static bool lib_open(struct bench_end *e, uint32_t tx, uint32_t guard)
{
	struct ktls_policy p = vt_policy(tx, KTLS_OFF);

	p.stall_guard = guard;

	/* which it is, the library wants to know from the beginning */
	vt_set_nonblocking(e->fd, e->nonblocking);
	return bench_lib_open(e, TLS1_3_VERSION, true, &p,
			      tx == KTLS_OFF ? KTLS_MODE_USER : KTLS_MODE_KERNEL,
			      KTLS_MODE_USER);
}

static bool lib_user(struct bench_end *e)
{
	return lib_open(e, KTLS_OFF, KTLS_AUTO);
}

static bool lib_kernel(struct bench_end *e)
{
	return lib_open(e, KTLS_REQUIRE, KTLS_AUTO);
}

static bool lib_unguarded(struct bench_end *e)
{
	return lib_open(e, KTLS_REQUIRE, KTLS_OFF);
}

static bool lib_close(struct bench_end *e)
{
	while (ktls_close(e->c, 20000) < 0)
		if (errno != EAGAIN || !bench_wait(e->fd, ktls_wants(e->c)))
			return bench_bad("ktls_close");
	return true;
}

static ssize_t lib_write(struct bench_end *e, off_t at, size_t n)
{
	return ktls_write(e->c, bench_data + at, n);
}

static ssize_t lib_sendfile(struct bench_end *e, off_t at, size_t n)
{
	return ktls_sendfile(e->c, bench_file, &at, n);
}

static ssize_t lib_splice(struct bench_end *e, off_t at, size_t n)
{
	ssize_t r = fill(e, at);

	if (r > 0)
		r = ktls_splice_in(e->c, e->pipe[0],
				   (size_t)r < n ? (size_t)r : n, 0);
	if (r > 0)
		e->in_pipe -= (int)r;
	return r;
}

static ssize_t lib_respond(struct bench_end *e, off_t at, size_t n)
{
	off_t file;
	size_t size;

	return cut(n, &size, &file, at) && bench_lib_respond(e, bench_data + at,
							     bodies, file, size)
		       ? (ssize_t)n
		       : -1;
}

#define RAW_FILE	RAW, .open = raw_open, .send = plain_sendfile
#define RAW_WRITE	RAW, .open = raw_open, .send = plain_write
#define RAW_SPLICE	RAW, .open = raw_open, .send = plain_splice
#define OSSL_KTLS(call) TLS, .open = ossl_ktls_open, .send = ossl_##call
#define OSSL_USER(call) TLS, .open = ossl_open, .send = ossl_##call
#define USER(call)	TLS, .open = lib_user, .send = lib_##call
#define KERNEL(call)	TLS, .open = lib_kernel, .send = lib_##call
#define UNGUARDED(call) TLS, .open = lib_unguarded, .send = lib_##call
#define SLOW		.slow = true
static const struct row rows[] = {
	{"plain sendfile, one call", WHOLE, PLAIN, .open = plain_open,
	 .send = plain_sendfile},
	{"raw sendfile, one call", WHOLE, RAW_FILE},
	{"raw sendfile, 16 KiB calls", K16, RAW_FILE},
	{"raw sendfile, 64 KiB calls", K64, RAW_FILE},
	{"OpenSSL kTLS SSL_sendfile, one call", WHOLE, OSSL_KTLS(sendfile)},
	{"GnuTLS record_send_file, one call", WHOLE, TLS,
	 .open = bench_gnutls_open, .send = bench_gnutls_sendfile,
	 .close = bench_gnutls_close, .absent = bench_gnutls_absent},
	{"libktls kernel ktls_sendfile", WHOLE, KERNEL(sendfile)},
	{"libktls kernel ktls_sendfile, no guard", WHOLE, UNGUARDED(sendfile)},
	{"OpenSSL kTLS SSL_write from pread", K16, OSSL_KTLS(pread)},
	{"OpenSSL user SSL_write from pread", K16, OSSL_USER(pread)},
	{"libktls user ktls_sendfile", WHOLE, USER(sendfile)},
	{"raw sendfile, one call, slow reader", WHOLE, RAW_FILE, SLOW},
	{"raw sendfile, 16 KiB calls, slow reader", K16, RAW_FILE, SLOW},
	{"raw sendfile, 64 KiB calls, slow reader", K64, RAW_FILE, SLOW},
	{"libktls kernel ktls_sendfile, slow reader", WHOLE, KERNEL(sendfile),
	 SLOW},
	{"libktls kernel ktls_sendfile, no guard, slow reader", WHOLE,
	 UNGUARDED(sendfile), SLOW},
	{"raw write, 16 KiB", K16, RAW_WRITE},
	{"OpenSSL kTLS SSL_write, 16 KiB", K16, OSSL_KTLS(write)},
	{"libktls kernel ktls_write, 16 KiB", K16, KERNEL(write)},
	{"raw write, 64 KiB", K64, RAW_WRITE},
	{"OpenSSL kTLS SSL_write, 64 KiB", K64, OSSL_KTLS(write)},
	{"libktls kernel ktls_write, 64 KiB", K64, KERNEL(write)},
	{"raw write, 1 MiB", MIB, RAW_WRITE},
	{"OpenSSL kTLS SSL_write, 1 MiB", MIB, OSSL_KTLS(write)},
	{"libktls kernel ktls_write, 1 MiB", MIB, KERNEL(write)},
	{"OpenSSL user SSL_write, 16 KiB", K16, OSSL_USER(write)},
	{"libktls user ktls_write, 16 KiB", K16, USER(write)},
	{"OpenSSL user SSL_write, 64 KiB", K64, OSSL_USER(write)},
	{"libktls user ktls_write, 64 KiB", K64, USER(write)},
	{"OpenSSL user SSL_write, 1 MiB", MIB, OSSL_USER(write)},
	{"libktls user ktls_write, 1 MiB", MIB, USER(write)},
	{"raw write, 16 KiB, slow reader", K16, RAW_WRITE, SLOW},
	{"libktls kernel ktls_write, 16 KiB, slow reader", K16, KERNEL(write),
	 SLOW},
	{"OpenSSL user SSL_write, 16 KiB, slow reader", K16, OSSL_USER(write),
	 SLOW},
	{"libktls user ktls_write, 16 KiB, slow reader", K16, USER(write), SLOW},
	{"raw splice, 16 KiB calls", K16, RAW_SPLICE},
	{"raw splice, 64 KiB calls", K64, RAW_SPLICE},
	{"libktls kernel ktls_splice_in, 64 KiB", K64, KERNEL(splice)},
};

static const struct row responses[] = {
	{"64 KiB, raw send MSG_MORE, sendfile", HEAD + K64, RAW,
	 .open = raw_open, .send = plain_respond},
	{"64 KiB, OpenSSL kTLS SSL_write, SSL_sendfile", HEAD + K64,
	 OSSL_KTLS(ktls_respond)},
	{"64 KiB, libktls kernel ktls_sendfilev", HEAD + K64, KERNEL(respond)},
	{"64 KiB, OpenSSL user SSL_write", HEAD + K64, OSSL_USER(respond)},
	{"64 KiB, libktls user ktls_sendfilev", HEAD + K64, USER(respond)},
	{"1 MiB, raw send MSG_MORE, sendfile", HEAD + MIB, RAW,
	 .open = raw_open, .send = plain_respond},
	{"1 MiB, OpenSSL kTLS SSL_write, SSL_sendfile", HEAD + MIB,
	 OSSL_KTLS(ktls_respond)},
	{"1 MiB, libktls kernel ktls_sendfilev", HEAD + MIB, KERNEL(respond)},
	{"1 MiB, OpenSSL user SSL_write", HEAD + MIB, OSSL_USER(respond)},
	{"1 MiB, libktls user ktls_sendfilev", HEAD + MIB, USER(respond)},
};

/* Responses are sent whole, at least one. */
static size_t bytes(const struct row *row, size_t n)
{
	if (row->size % K16 == 0)
		return n;
	return n < row->size ? row->size : n / row->size * row->size;
}

static bool send_all(const struct row *row, struct bench_end *e, size_t total)
{
	size_t at = 0;

	while (at < total) {
		size_t n = row->size - at % row->size;
		ssize_t r;

		if (n > total - at)
			n = total - at;
		r = row->send(e, (off_t)at, n);
		if (r > 0)
			at += (size_t)r;
		else if (r == 0 || errno != EAGAIN || !row->slow)
			return bench_bad("send");
		else if (!bench_wait(e->fd, POLLOUT))
			return false;
	}
	return true;
}

static bool close_end(const struct row *row, struct bench_end *e)
{
	if (row->close)
		return row->close(e);
	return e->c		  ? lib_close(e)
	       : row->wire == TLS ? ossl_close(e)
				  : plain_close(e);
}

static bool measured(const void *arg)
{
	const struct row *row = arg;
	struct bench_end e = {
		.fd = bench_fd[1],
		.nonblocking = row->slow,
	};
	const int sndbuf = 256 * 1024;
	bool ok;

	close(bench_fd[0]);
	if (row->slow)
		vt_set_sndbuf(e.fd, sndbuf);
	/* shaking hands is the same for all of them */
	if (!row->open(&e))
		return false;
	if (e.where)
		bench_where("send", row->name, e.where);
	if (!e.c)
		vt_set_nonblocking(e.fd, row->slow);
	if (!send_all(row, &e, bytes(row, WARM)))
		return false;
	bench_start();
	ok = send_all(row, &e, bytes(row, bench_total));
	bench_stop();
	return close_end(row, &e) && ok;
}

static bool other(const void *arg)
{
	const struct row *row = arg;

	if (row->slow)
		bench_lazy();
	else
		bench_eager();
	return bench_receive(row->wire, bytes(row, WARM),
			     bytes(row, bench_total));
}

/* The bodies one after the other, each at the beginning of a page. */
static void make_bodies(size_t size)
{
	if (bodies >= 0)
		close(bodies);
	bodies = memfd_create("bodies", MFD_CLOEXEC);
	MUST(bodies >= 0);
	for (size_t at = 0; at + size <= bench_total || at == 0; at += size) {
		const uint8_t *p = bench_data + at + HEAD;

		MUST(write(bodies, p, size - HEAD) == (ssize_t)(size - HEAD));
	}
}

static void each(const char *section, const struct row *row, double units)
{
	const char *why = row->absent ? row->absent() : NULL;

	vt_case("%s", row->name);
	if (why)
		bench_skip(section, row->name, why);
	else
		bench_report(section, row->name, units, measured, other, row);
}

void bench_send(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (bench_wanted("send", rows[i].name))
			each("send", &rows[i], (double)bench_total / MIB);
	for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
		const struct row *row = &responses[i];

		if (!bench_wanted("response", row->name))
			continue;
		make_bodies(row->size);
		each("response", row,
		     (double)(bytes(row, bench_total) / row->size));
	}
}
