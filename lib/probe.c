/* SPDX-License-Identifier: MIT */
/*
 * Tries what some kernels do wrong, or not at all. Version numbers would not tell:
 * distributions carry corrections under numbers of their own.
 */
#include "probe.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

#include "compat.h"
#include "record.h"
#include "sys.h"
#include <ktls/ktls.h>

enum {
	PAGE = 4096,
	FILLED = 12, /* of a pipe's 16 pages: fs/splice.c, PIPE_DEF_BUFFERS */
	WAIT_MS = 100
};

/* The kernel's errnos: net/ipv4/tcp_ulp.c, net/tls/tls_main.c */
uint32_t ktls__probe_ulp_reason(int e)
{
	switch (e) {
	case ENOENT:
		return KTLS_REASON_NO_ULP;
	case EEXIST:
		return KTLS_REASON_ULP_BUSY;
	case ENOTCONN:
		return KTLS_REASON_NOT_ESTABLISHED;
	case ENOPROTOOPT:
		return KTLS_REASON_NO_KERNEL;
	}
	return KTLS_REASON_SYSTEM;
}

/* tls_sw.c: ENOENT is a missing crypto module */
uint32_t ktls__probe_key_reason(int e)
{
	switch (e) {
	case EINVAL:
	case ENOENT:
		return KTLS_REASON_CIPHER_KERNEL;
	case ENOPROTOOPT:
		return KTLS_REASON_NO_KERNEL;
	}
	return KTLS_REASON_SYSTEM;
}

int ktls__probe_attach(int fd)
{
	const int r =
		ktls__sys_setsockopt(fd, IPPROTO_TCP, KTLS__TCP_ULP, "tls", 3);

	return r == -EEXIST ? 0 : r;
}

int ktls__probe_keys(int fd, const struct ktls__cipher *cipher,
		     unsigned int version, int direction)
{
	static const struct ktls__keys keys = {.key = {0}};
	uint8_t info[KTLS__CRYPTO_INFO_MAX];
	const size_t size = ktls__cipher_pack(cipher, version, &keys, 0, info);

	return ktls__sys_setsockopt(fd, KTLS__SOL_TLS, direction, info,
				    (socklen_t)size);
}

static int set_keys(int fd, int direction)
{
	const int r = ktls__probe_attach(fd);

	return r < 0 ? r
		     : ktls__probe_keys(fd, ktls__cipher_at(0), KTLS__TLS13,
					direction);
}

/* True when so many bytes of application data come, and fit. */
static bool receive(int fd, uint8_t *to, size_t size, size_t bytes)
{
	size_t n = 0;

	while (n < bytes) {
		const struct iovec iov = {to + n, size - n};
		struct ktls__record_in in;
		ssize_t r;

		if (ktls__sys_poll(fd, POLLIN, WAIT_MS) <= 0)
			return false;
		r = ktls__record_recv(fd, &iov, 1, &in);
		if (r <= 0 || in.type != KTLS__APPLICATION_DATA)
			return false;
		n += (size_t)r;
	}
	return n == bytes;
}

/*
 * CVE-2026-74611: the kernel decrypts into the caller's buffer, finds padding,
 * does it again elsewhere, and puts the record behind that one at a wrong
 * place. Two records of those keys, "padded" with a byte of padding, "plain".
 */
static int try_no_pad(const int fd[2], void *unused)
{
	static const uint8_t records[] = {
		0x17, 0x03, 0x03, 0x00, 0x18, 0x73, 0xe9, 0xbe, 0xaa, 0x05,
		0xd2, 0xb4, 0x92, 0x8b, 0xa9, 0x8f, 0xec, 0x5c, 0x8a, 0x31,
		0x38, 0x31, 0x50, 0xd8, 0x95, 0xcd, 0x5b, 0x3f, 0x5d, 0x17,
		0x03, 0x03, 0x00, 0x16, 0x1e, 0x6d, 0xb8, 0x59, 0x69, 0x9f,
		0xd5, 0xea, 0xa2, 0xde, 0x32, 0x34, 0xcd, 0x9b, 0x33, 0x5d,
		0x2c, 0xe3, 0xf3, 0x31, 0x61, 0xa1};
	static const char text[] = "paddedplain";
	uint8_t got[64];
	const int on = 1;
	int r;

	(void)unused;
	r = set_keys(fd[1], KTLS__TLS_RX);
	if (r < 0)
		return r;
	if (ktls__sys_setsockopt(fd[1], KTLS__SOL_TLS,
				 KTLS__TLS_RX_EXPECT_NO_PAD, &on, sizeof(on)) < 0)
		return 0;
	if (ktls__sys_send(fd[0], records, sizeof(records)) != sizeof(records))
		return 0;
	return receive(fd[1], got, sizeof(got), strlen(text)) &&
	       memcmp(got, text, strlen(text)) == 0;
}

/*
 * A pipe with less room than a record has pages: what did not fit used to be
 * dropped, the last page of it at least.
 */
static int try_splice(const int fd[2], const int pipe[2])
{
	uint8_t sent[KTLS__RECORD_MAX], got[KTLS__RECORD_MAX];
	size_t n = 0;
	ssize_t r;

	r = set_keys(fd[0], KTLS__TLS_TX);
	if (r == 0)
		r = set_keys(fd[1], KTLS__TLS_RX);
	if (r < 0)
		return (int)r;
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i >> 8 ^ i);
	for (int i = 0; i < FILLED; i++)
		if (ktls__sys_write(pipe[1], sent, PAGE) != PAGE)
			return 0;
	if (ktls__sys_send(fd[0], sent, sizeof(sent)) != sizeof(sent) ||
	    ktls__sys_poll(fd[1], POLLIN, WAIT_MS) <= 0)
		return 0;
	while ((r = ktls__sys_splice(fd[1], pipe[1], PAGE)) > 0)
		n += (size_t)r;
	for (int i = 0; i < FILLED; i++)
		if (ktls__sys_read(pipe[0], got, PAGE) != PAGE)
			return 0;
	return n > 0 && n <= sizeof(got) &&
	       ktls__sys_read(pipe[0], got, n) == (ssize_t)n &&
	       receive(fd[1], got + n, sizeof(got) - n, sizeof(got) - n) &&
	       memcmp(got, sent, sizeof(got)) == 0;
}

/* A second key for the same direction is EBUSY where it cannot be. */
static int try_rekey(const int fd[2], void *unused)
{
	int r = set_keys(fd[0], KTLS__TLS_TX);

	(void)unused;
	if (r < 0)
		return r;
	return set_keys(fd[0], KTLS__TLS_TX) == 0;
}

static int with_pipe(const int fd[2], void *unused)
{
	int pipe[2], r = ktls__sys_pipe(pipe);

	(void)unused;
	if (r < 0)
		return r;
	r = try_splice(fd, pipe);
	ktls__sys_close(pipe[0]);
	ktls__sys_close(pipe[1]);
	return r;
}

int ktls__probe_try(int (*attempt)(const int fd[2], void *arg), void *arg)
{
	int fd[2], r = ktls__sys_loopback(fd);

	if (r < 0)
		return r;
	r = attempt(fd, arg);
	ktls__sys_close(fd[0]);
	ktls__sys_close(fd[1]);
	return r;
}

/* 0: not known; else 1 + the answer */
static atomic_int no_pad, rekey, splice;

typedef int attempt_fn(const int fd[2], void *unused);

/*
 * Two threads may both try: the answer is the same. What could not be tried
 * now may be possible later, and is no reason to forget what is known.
 */
static int answer(atomic_int *known, attempt_fn *attempt, bool again)
{
	int r = atomic_load_explicit(known, memory_order_relaxed) - 1;

	if (r >= 0 && !again)
		return r;
	r = ktls__probe_try(attempt, NULL);
	if (r >= 0)
		atomic_store_explicit(known, r + 1, memory_order_relaxed);
	return r;
}

int ktls__probe_no_pad(void)
{
	return answer(&no_pad, try_no_pad, false);
}

int ktls__probe_rekey(void)
{
	return answer(&rekey, try_rekey, false);
}

int ktls__probe_splice(void)
{
	return answer(&splice, with_pipe, false);
}

void ktls__probe_again(void)
{
	(void)answer(&no_pad, try_no_pad, true);
	(void)answer(&rekey, try_rekey, true);
	(void)answer(&splice, with_pipe, true);
}

void ktls__probe_forget(void)
{
	atomic_store(&no_pad, 0);
	atomic_store(&rekey, 0);
	atomic_store(&splice, 0);
}
