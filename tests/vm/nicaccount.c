/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-nic: the bytes that ktls_get_info() calls unsent are the ciphertext
 * of what was accepted without what TCP has got, to the byte, at any time.
 */
#include "nic.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	OVERHEAD = 5 + 8 + 16, /* RFC 5288: header, nonce, tag */
	LOOKS = 4000,
	CALL = 30000
};

/* What TCP was handed since the connection began: acked, or in its queue. */
static uint64_t handed(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int before, queued = 0;

	memset(&info, 0, sizeof(info));
	/* an ACK between two numbers makes their sum too small */
	do {
		MUST(ioctl(fd, SIOCOUTQ, &before) == 0);
		MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
		MUST(ioctl(fd, SIOCOUTQ, &queued) == 0);
	} while (queued != before);
	return info.tcpi_bytes_acked + (uint64_t)queued;
}

/* What was seen at one time, more or less. */
struct look {
	uint64_t before;
	uint64_t unsent;
	uint64_t after;
};

static struct look looks[LOOKS];

static void look(const struct vt_line *l, struct look *at)
{
	struct ktls_info info;

	at->before = handed(l->e.fd);
	vt_end_info(&l->e, &info);
	at->unsent = info.unsent;
	at->after = handed(l->e.fd);
}

static void fill(struct vt_line *l)
{
	size_t at = 0;
	ssize_t r;

	for (int i = 0; i < 3; i++) {
		while ((r = ktls_write(l->e.c, vt_data + at, CALL)) > 0) {
			vt_line_took(l, vt_data + at, (size_t)r, CALL);
			at += (size_t)r;
		}
		CHECK(r < 0 && errno == EAGAIN, "errno %d", errno);
		/* again, when TCP has moved what it could */
		vt_sleep_ms(20);
	}
}

/* How much waited at first */
static uint64_t account(const struct vt_suite *s, bool server, int sndbuf)
{
	const struct vt_kind k = {s, KTLS_REQUIRE, KTLS_REQUIRE, server, false};
	uint64_t start, wire;
	struct vt_line l;
	size_t n = 0;
	int fd[2], hold[2];

	vt_case("%s: unsent, SO_SNDBUF %d", vt_kind_name(&k), sndbuf);
	MUST(pipe(hold) == 0);
	vt_tcp_pair_small(fd, 0, 16384);
	vt_line_init(&l, &k, NULL, fd);
	vt_set_sndbuf(l.e.fd, sndbuf);
	l.p.hold = hold[0];
	l.p.hold_at = 1;
	l.p.pause_us = 1000;
	l.p.read_size = 1000;
	if (!vt_line_start(&l))
		return 0;
	start = handed(l.e.fd);
	fill(&l);
	vt_sleep_ms(100); /* the peer's last ACK may be 40 ms late */
	look(&l, &looks[n++]);
	close(hold[1]);
	do
		look(&l, &looks[n++]);
	while (looks[n - 1].unsent > 0 && n < LOOKS && (vt_sleep_ms(1), true));
	vt_line_close(&l);
	close(hold[0]);
	wire = start + l.w.bytes + l.w.count * OVERHEAD;
	CHECK(looks[n - 1].unsent == 0, "%llu bytes in the end",
	      (unsigned long long)looks[n - 1].unsent);
	for (size_t i = 0; i < n; i++)
		if (!CHECK(looks[i].unsent + looks[i].before <= wire &&
				   looks[i].unsent + looks[i].after >= wire,
			   "look %zu of %zu: %llu unsent, TCP has %llu to %llu "
			   "of %llu",
			   i, n, (unsigned long long)looks[i].unsent,
			   (unsigned long long)(looks[i].before - start),
			   (unsigned long long)(looks[i].after - start),
			   (unsigned long long)(wire - start)))
			break;
	/* while nobody reads, nothing moves: it is exact */
	CHECK(looks[0].unsent + looks[0].after == wire,
	      "%llu unsent, and TCP has %llu of %llu",
	      (unsigned long long)looks[0].unsent,
	      (unsigned long long)(looks[0].after - start),
	      (unsigned long long)(wire - start));
	CHECK(looks[n - 1].after == wire, "0 unsent, and TCP has %llu of %llu",
	      (unsigned long long)(looks[n - 1].after - start),
	      (unsigned long long)(wire - start));
	vt_wire_free(&l.w);
	return looks[0].unsent;
}

void nic_accounts(void)
{
	static const int sndbufs[] = {4608, 30000, 65536, 20000};
	uint64_t unsent = 0;

	for (unsigned int i = 0; i < 4; i++)
		unsent += account(i < 2 ? NIC_AES128 : NIC_AES256, i % 2,
				  sndbufs[i]);
	vt_case("what waited");
	CHECK(unsent > 0, "nothing was ever unsent");
}
