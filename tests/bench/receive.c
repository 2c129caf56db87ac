/* SPDX-License-Identifier: MIT */
/* The rows that receive. The other end is the same kernel TLS for all. */
#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/tls.h>

#include <openssl/bio.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TLS_RX_EXPECT_NO_PAD
#define TLS_RX_EXPECT_NO_PAD 4
#endif

struct row {
	const char *name;
	int version;
	size_t size; /* of a buffer */
	enum bench_wire wire;
	bool (*open)(struct bench_end *e, const struct row *row);
	ssize_t (*recv)(struct bench_end *e, uint8_t *p, size_t n);
	uint32_t rx;	 /* of the policy */
	uint32_t no_pad; /* the same */
};

enum { K16 = 16384, K256 = 262144 };

static bool plain_open(struct bench_end *e, const struct row *row)
{
	return bench_handshake(e, row->version, false, false);
}

static bool raw_open(struct bench_end *e, const struct row *row)
{
	const int on = 1;

	if (!bench_handshake(e, row->version, false, false))
		return false;
	errno = vt_raw_install(e->fd, bench_suite(row->version), KTLS_RX);
	if (errno)
		return bench_bad("TLS_RX");
	return row->no_pad == KTLS_OFF || row->version == TLS1_2_VERSION ||
	       setsockopt(e->fd, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &on,
			  sizeof(on)) == 0 ||
	       bench_bad("TLS_RX_EXPECT_NO_PAD");
}

static ssize_t plain_recv(struct bench_end *e, uint8_t *p, size_t n)
{
	return read(e->fd, p, n);
}

static ssize_t raw_recvmsg(struct bench_end *e, struct iovec *v, size_t count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(1)];
	struct msghdr m = {
		.msg_iov = v,
		.msg_iovlen = count,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};

	return recvmsg(e->fd, &m, 0);
}

static ssize_t raw_recv(struct bench_end *e, uint8_t *p, size_t n)
{
	struct iovec v = {.iov_base = p, .iov_len = n};

	return raw_recvmsg(e, &v, 1);
}

/* In elements of 16 KiB, up to 256 KiB. */
static int elements(struct iovec v[K256 / K16], uint8_t *p, size_t n)
{
	int count = 0;

	for (; n > 0; count++) {
		v[count].iov_base = p;
		v[count].iov_len = n < K16 ? n : K16;
		p += v[count].iov_len;
		n -= v[count].iov_len;
	}
	return count;
}

static ssize_t raw_recvv(struct bench_end *e, uint8_t *p, size_t n)
{
	struct iovec v[K256 / K16];

	return raw_recvmsg(e, v, (size_t)elements(v, p, n));
}

static bool ossl_open(struct bench_end *e, const struct row *row)
{
	return bench_handshake(e, row->version, false, false);
}

static bool ossl_ktls_open(struct bench_end *e, const struct row *row)
{
	errno = 0;
	return bench_handshake(e, row->version, false, true) &&
	       (BIO_get_ktls_recv(SSL_get_rbio(e->ssl)) ||
		bench_bad("OpenSSL's kernel TLS"));
}

static ssize_t ossl_recv(struct bench_end *e, uint8_t *p, size_t n)
{
	return SSL_read(e->ssl, p, (int)n);
}

static bool lib_open(struct bench_end *e, const struct row *row)
{
	struct ktls_policy p = vt_policy(KTLS_OFF, row->rx);

	p.expect_no_pad = row->no_pad;
	return bench_lib_open(e, row->version, false, &p, -1,
			      row->rx == KTLS_REQUIRE ? KTLS_MODE_KERNEL
						      : KTLS_MODE_USER);
}

static ssize_t lib_recv(struct bench_end *e, uint8_t *p, size_t n)
{
	return ktls_read(e->c, p, n);
}

static ssize_t lib_recvv(struct bench_end *e, uint8_t *p, size_t n)
{
	struct iovec v[K256 / K16];

	return ktls_readv(e->c, v, elements(v, p, n));
}

static const char *lib_where(const struct bench_end *e)
{
	struct ktls_info info = {.size = sizeof(info)};

	MUST(ktls_get_info(e->c, &info) == 0);
	if (info.rx.mode == KTLS_MODE_USER)
		return "user space";
	return info.expect_no_pad ? "kernel, no pad" : "kernel";
}

#define V12		 TLS1_2_VERSION
#define V13		 TLS1_3_VERSION
#define RAW_PAD		 RAW, .open = raw_open, .recv = raw_recv, .no_pad = KTLS_OFF
#define RAW_NO_PAD	 RAW, .open = raw_open, .recv = raw_recv
#define OSSL_USER	 TLS, .open = ossl_open, .recv = ossl_recv
#define OSSL_KTLS	 TLS, .open = ossl_ktls_open, .recv = ossl_recv
#define USER		 TLS, .open = lib_open, .recv = lib_recv, .rx = KTLS_OFF
#define AUTO		 TLS, .open = lib_open, .recv = lib_recv, .rx = KTLS_AUTO
#define KERNEL(call)	 TLS, .open = lib_open, .recv = call, .rx = KTLS_REQUIRE
#define KERNEL_PAD(call) KERNEL(call), .no_pad = KTLS_OFF
static const struct row rows[] = {
	{"plain read, 256 KiB", V13, K256, PLAIN, .open = plain_open,
	 .recv = plain_recv},
	{"1.3 raw recvmsg, 16 KiB, no pad", V13, K16, RAW_NO_PAD},
	{"1.3 libktls kernel ktls_read, 16 KiB, no pad", V13, K16,
	 KERNEL(lib_recv)},
	{"1.3 raw recvmsg, 256 KiB, no pad", V13, K256, RAW_NO_PAD},
	{"1.3 libktls kernel ktls_read, 256 KiB, no pad", V13, K256,
	 KERNEL(lib_recv)},
	{"1.3 libktls kernel ktls_read, 1 MiB, no pad", V13, MIB,
	 KERNEL(lib_recv)},
	{"1.3 raw recvmsg, 16 x 16 KiB, no pad", V13, K256, RAW,
	 .open = raw_open, .recv = raw_recvv},
	{"1.3 libktls kernel ktls_readv, 16 x 16 KiB, no pad", V13, K256,
	 KERNEL(lib_recvv)},
	{"1.3 raw recvmsg, 16 KiB", V13, K16, RAW_PAD},
	{"1.3 libktls kernel ktls_read, 16 KiB", V13, K16, KERNEL_PAD(lib_recv)},
	{"1.3 raw recvmsg, 256 KiB", V13, K256, RAW_PAD},
	{"1.3 libktls kernel ktls_read, 256 KiB", V13, K256, KERNEL_PAD(lib_recv)},
	{"1.3 OpenSSL user SSL_read, 16 KiB", V13, K16, OSSL_USER},
	{"1.3 OpenSSL kTLS SSL_read, 16 KiB", V13, K16, OSSL_KTLS},
	{"1.3 OpenSSL user SSL_read, 256 KiB", V13, K256, OSSL_USER},
	{"1.3 OpenSSL kTLS SSL_read, 256 KiB", V13, K256, OSSL_KTLS},
	{"1.3 libktls user ktls_read, 16 KiB", V13, K16, USER},
	{"1.3 libktls user ktls_read, 256 KiB", V13, K256, USER},
	{"1.3 libktls user ktls_readv, 16 x 16 KiB", V13, K256, TLS,
	 .open = lib_open, .recv = lib_recvv, .rx = KTLS_OFF},
	{"1.3 libktls AUTO ktls_read, 256 KiB", V13, K256, AUTO},
	{"1.2 raw recvmsg, 16 KiB", V12, K16, RAW_PAD},
	{"1.2 libktls kernel ktls_read, 16 KiB", V12, K16, KERNEL(lib_recv)},
	{"1.2 raw recvmsg, 256 KiB", V12, K256, RAW_PAD},
	{"1.2 libktls kernel ktls_read, 256 KiB", V12, K256, KERNEL(lib_recv)},
	{"1.2 libktls kernel ktls_readv, 16 x 16 KiB", V12, K256,
	 KERNEL(lib_recvv)},
	{"1.2 libktls kernel ktls_read, 1 MiB", V12, MIB, KERNEL(lib_recv)},
	{"1.2 OpenSSL user SSL_read, 16 KiB", V12, K16, OSSL_USER},
	{"1.2 OpenSSL kTLS SSL_read, 16 KiB", V12, K16, OSSL_KTLS},
	{"1.2 OpenSSL user SSL_read, 256 KiB", V12, K256, OSSL_USER},
	{"1.2 OpenSSL kTLS SSL_read, 256 KiB", V12, K256, OSSL_KTLS},
	{"1.2 libktls user ktls_read, 16 KiB", V12, K16, USER},
	{"1.2 libktls user ktls_read, 256 KiB", V12, K256, USER},
	{"1.2 libktls AUTO ktls_read, 256 KiB", V12, K256, AUTO},
};

static bool recv_all(const struct row *row, struct bench_end *e, uint8_t *p,
		     size_t total)
{
	for (size_t at = 0; at < total;) {
		const size_t left = total - at;
		const ssize_t n = row->recv(e, p + at,
					    left < row->size ? left : row->size);

		if (n <= 0)
			return bench_bad("receive");
		at += (size_t)n;
	}
	return memcmp(p, bench_data, total) == 0 || bench_bad("other bytes");
}

static bool measured(const void *arg)
{
	const struct row *row = arg;
	struct bench_end e = {.fd = bench_fd[0]};
	uint8_t *p = malloc(bench_total);
	bool ok;

	MUST(p != NULL);
	/* lest page faults are counted */
	memset(p, 1, bench_total);
	close(bench_fd[1]);
	if (!row->open(&e, row) || !recv_all(row, &e, p, WARM))
		return false;
	if (e.c && row->rx == KTLS_AUTO)
		bench_where("receive", row->name, lib_where(&e));
	bench_start();
	for (size_t at = 0; at < bench_total;) {
		const size_t left = bench_total - at;
		const ssize_t n = row->recv(&e, p + at,
					    left < row->size ? left : row->size);

		if (n <= 0)
			return bench_bad("receive");
		at += (size_t)n;
	}
	bench_stop();
	ok = memcmp(p, bench_data, bench_total) == 0 ||
	     bench_bad("other bytes");
	close(e.fd);
	return ok;
}

static bool other(const void *arg)
{
	const struct row *row = arg;
	struct bench_end e = {.fd = bench_fd[1]};
	char c;

	close(bench_fd[0]);
	bench_eager();
	if (!bench_handshake(&e, row->version, true, row->wire == TLS))
		return false;
	if (row->wire == RAW) {
		errno = vt_raw_install(e.fd, bench_suite(row->version), KTLS_TX);
		if (errno)
			return bench_bad("TLS_TX");
	}
	for (int part = 0; part < 2; part++) {
		const size_t total = part == 0 ? WARM : bench_total;

		for (size_t at = 0; at < total; at += K16) {
			const ssize_t n =
				row->wire == TLS
					? SSL_write(e.ssl, bench_data + at, K16)
					: write(e.fd, bench_data + at, K16);

			if (n != K16)
				return bench_bad("write");
		}
	}
	return read(e.fd, &c, 1) <= 0;
}

/* Does the library tell the kernel to expect no padding? */
static bool expects(const void *arg)
{
	struct bench_end e = {.fd = bench_fd[0]};
	static uint8_t buf[K16];
	size_t left = WARM + bench_total;
	bool ok;

	close(bench_fd[1]);
	bench_start();
	bench_stop();
	ok = lib_open(&e, arg) && strcmp(lib_where(&e), "kernel") != 0;
	/* the other end is to end well */
	while (left > 0) {
		const ssize_t n = ktls_read(e.c, buf, sizeof(buf));

		if (n <= 0)
			return false;
		left -= (size_t)n;
	}
	return ok;
}

static const char *why_not(const struct row *row)
{
	if (row->open == ossl_ktls_open && row->version == V13 &&
	    OpenSSL_version_num() < 0x30200000L)
		return "OpenSSL before 3.2 has not got it";
	if (row->open == lib_open && row->version == V13 &&
	    row->rx == KTLS_REQUIRE && row->no_pad == KTLS_AUTO &&
	    !bench_pair(expects, other, row, false).ok)
		return "libktls expects padding on this kernel";
	return NULL;
}

void bench_recv(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		const char *why;

		if (!bench_wanted("receive", row->name))
			continue;
		vt_case("%s", row->name);
		why = why_not(row);
		if (why)
			bench_skip("receive", row->name, why);
		else
			bench_report("receive", row->name,
				     (double)bench_total / MIB, measured, other,
				     row);
	}
}
