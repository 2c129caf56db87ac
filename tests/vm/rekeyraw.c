/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-rekey: the same without libktls. A program that gives the kernel
 * the keys and reads loses what is behind the first KeyUpdate.
 */
#include "rekey.h"

#include <errno.h>
#include <linux/tls.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

/* One recvmsg() with room for the type: bytes, or -errno. */
static ssize_t receive(int fd, void *buf, size_t len, uint8_t *type)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(1)];
	} control;
	struct iovec iov = {buf, len};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c;
	const ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

	*type = 0;
	if (n < 0)
		return -errno;
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_TLS &&
		    c->cmsg_type == TLS_GET_RECORD_TYPE)
			*type = *CMSG_DATA(c);
	return n;
}

void rekey_raw(bool keys_stay)
{
	static const uint8_t update[] = {24, 0, 0, 1, 0};
	const int want = keys_stay ? EBADMSG : EKEYEXPIRED;
	struct vt_forge f = {.version = TLS1_3_VERSION};
	struct pollfd p = {.events = POLLIN};
	uint8_t buf[100], type;
	ssize_t n;
	int fd[2];

	vt_case("KeyUpdate without libktls");
	vt_tcp_pair(fd);
	MUST(vt_raw_install(fd[1], &vt_suites[6], KTLS_RX) == 0);
	/* what vt_raw_install() has */
	memset(f.key, 0x5a, sizeof(f.key));
	memset(f.iv, 0x5a, sizeof(f.iv));
	f.fd = fd[0];
	vt_forge_send(&f, 23, "before", 6, 0);
	vt_forge_send(&f, 22, update, sizeof(update), 0);
	memset(f.key, 0xa5, sizeof(f.key));
	f.seq = 0;
	vt_forge_send(&f, 23, "behind", 6, 0);
	MUST(vt_poll(fd[1], POLLIN));
	n = receive(fd[1], buf, sizeof(buf), &type);
	CHECK(n == 6 && type == 23 && memcmp(buf, "before", 6) == 0,
	      "before it: %zd, type %u", n, type);
	n = receive(fd[1], buf, sizeof(buf), &type);
	CHECK(n == 5 && type == 22, "KeyUpdate: %zd, type %u", n, type);
	p.fd = fd[1];
	MUST(poll(&p, 1, 0) >= 0);
	for (int i = 0; i < 2; i++) {
		n = receive(fd[1], buf, sizeof(buf), &type);
		CHECK(n == -want, "behind it: %zd, not %d", n, -want);
	}
	vt_note("raw: behind a KeyUpdate recvmsg() fails with %s, poll() says "
		"0x%x",
		keys_stay ? "EBADMSG" : "EKEYEXPIRED", (unsigned int)p.revents);
	close(fd[0]);
	close(fd[1]);
}
