/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-nic: what ends an open record on a NIC, by hand. Two things are
 * other than in software: a call of no bytes makes a record of no bytes when
 * none is open; and once the receiving side is in the kernel as well, an alert
 * does not end the open record but becomes the rest of it, and gives it its
 * type (net/tls/tls_sw.c, tls_set_sw_offload() sets push_pending_record).
 */
#include "nic.h"

#include <errno.h>
#include <linux/tls.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

enum { DATA = 23, ALERT = 21, BYTES = 100 };

struct raw {
	int fd[2];
	uint64_t seq; /* of the next record */
};

static uint64_t records(struct raw *r)
{
	struct tls12_crypto_info_aes_gcm_128 info;
	socklen_t len = sizeof(info);
	uint64_t seq = 0, before = r->seq;

	MUST(getsockopt(r->fd[0], SOL_TLS, TLS_TX, &info, &len) == 0);
	for (size_t i = 0; i < sizeof(info.rec_seq); i++)
		seq = seq << 8 | info.rec_seq[i];
	r->seq = seq;
	return seq - before;
}

static void start(struct raw *r, bool rx)
{
	vt_tcp_pair(r->fd);
	r->seq = 0;
	MUST(vt_raw_install(r->fd[0], NIC_AES128, KTLS_TX) == 0);
	MUST(vt_raw_install(r->fd[1], NIC_AES128, KTLS_RX) == 0);
	if (rx)
		MUST(vt_raw_install(r->fd[0], NIC_AES128, KTLS_RX) == 0);
}

static void open_record(struct raw *r)
{
	const ssize_t n = send(r->fd[0], vt_data, BYTES, MSG_MORE);

	CHECK(n == BYTES && records(r) == 0, "%zd, errno %d", n, errno);
}

static void typed(struct raw *r, uint8_t type, const void *p, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)p, n};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(1)];
	} control = {.buf = {0}};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	ssize_t sent;

	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(c) = type;
	sent = sendmsg(r->fd[0], &msg, 0);
	CHECK(sent == (ssize_t)n, "%zd, errno %d", sent, errno);
}

/* The next record that is not empty: its length. */
static ssize_t next(struct raw *r, uint8_t *type)
{
	static uint8_t buf[VT_RECORD];
	struct iovec iov = {buf, sizeof(buf)};
	char control[CMSG_SPACE(1)];
	struct msghdr msg;
	ssize_t n;

	do {
		msg = (struct msghdr){.msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control)};
		n = recvmsg(r->fd[1], &msg, 0);
	} while (n == 0 && CMSG_FIRSTHDR(&msg));
	*type = n > 0 && CMSG_FIRSTHDR(&msg) ? *CMSG_DATA(CMSG_FIRSTHDR(&msg))
					     : 0;
	return n;
}

static void finish(struct raw *r)
{
	close(r->fd[0]);
	close(r->fd[1]);
}

static void empty_calls(bool rx)
{
	uint64_t open, none, typed_open, typed_none;
	struct raw r;

	vt_case("raw: calls of no bytes, RX %s", rx ? "too" : "in user space");
	start(&r, rx);
	open_record(&r);
	MUST(send(r.fd[0], "", 0, 0) == 0);
	open = records(&r);
	MUST(send(r.fd[0], "", 0, 0) == 0);
	none = records(&r);
	open_record(&r);
	typed(&r, DATA, "", 0);
	typed_open = records(&r);
	typed(&r, DATA, "", 0);
	typed_none = records(&r);
	CHECK(open == 1, "send() has made %llu records of an open one",
	      (unsigned long long)open);
	vt_note("RX %s: send() of no bytes makes %llu records of an open one, "
		"and %llu of none; sendmsg() with a type %llu, and %llu",
		rx ? "in the kernel too" : "in user space",
		(unsigned long long)open, (unsigned long long)none,
		(unsigned long long)typed_open, (unsigned long long)typed_none);
	finish(&r);
}

static void alert(bool rx)
{
	static const uint8_t notify[] = {1, 0};
	uint8_t type = 0;
	struct raw r;
	ssize_t n;

	vt_case("raw: an alert while a record is open, RX %s",
		rx ? "too" : "in user space");
	start(&r, rx);
	open_record(&r);
	typed(&r, ALERT, notify, sizeof(notify));
	n = next(&r, &type);
	CHECK(rx ? (type == ALERT && n == BYTES + 2) ||
			      (type == DATA && n == BYTES)
		 : type == DATA && n == BYTES,
	      "type %u, %zd bytes", type, n);
	vt_note("RX %s: an open record of %d bytes, then an alert of 2: a "
		"record of type %u with %zd bytes",
		rx ? "in the kernel too" : "in user space", BYTES, type, n);
	finish(&r);
}

void nic_raw(void)
{
	for (int rx = 0; rx < 2; rx++) {
		empty_calls(rx);
		alert(rx);
	}
}
