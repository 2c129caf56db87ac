/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-nic: a file that changes after ktls_sendfile() has returned. What
 * arrives is what was in it, unless the NIC reads the file's own pages: then
 * the record that has something of both does not authenticate.
 */
#include "nic.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

enum {
	ZEROCOPY_RO = 3, /* TLS_TX_ZEROCOPY_RO */
	FILE_BYTES = 300000,
	HEAD = 20000,  /* bytes that arrive before the file is sent */
	RCVBUF = 8192, /* less than a record */
	STILL_MS = 60,
	EACH = 9
};

/* A file of its own, with what vt_data has at HEAD. */
static int make_file(void)
{
	const int fd = memfd_create("ktls-vm-zero", MFD_CLOEXEC);

	MUST(fd >= 0);
	MUST(pwrite(fd, vt_data + HEAD, FILE_BYTES, 0) == FILE_BYTES);
	return fd;
}

static void overwrite(int fd)
{
	static uint8_t other[FILE_BYTES];

	memset(other, 0x55, sizeof(other));
	MUST(pwrite(fd, other, sizeof(other), 0) == FILE_BYTES);
}

/* Until nothing more is sent: the peer's window is full. */
static void until_still(int fd)
{
	int left = -1, before;

	do {
		before = left;
		vt_sleep_ms(STILL_MS);
		MUST(ioctl(fd, SIOCOUTQ, &left) == 0);
	} while (left != before);
	CHECK(left > 0, "all of it is sent already");
}

/* Reads; compares with what was sent; bytes, and the errno that ended it. */
static size_t receive(struct nic_both *b, size_t at, size_t most, int *e)
{
	static uint8_t buf[VT_RECORD];
	size_t done = 0;
	ssize_t n;

	*e = 0;
	while (done < most) {
		n = ktls_read(b->e[1].c, buf, sizeof(buf));
		if (n < 0 && errno == EAGAIN && vt_poll(b->e[1].fd, POLLIN))
			continue;
		if (n <= 0) {
			*e = n < 0 ? errno : ENODATA;
			break;
		}
		if (!CHECK(memcmp(buf, vt_data + at + done, (size_t)n) == 0,
			   "other bytes behind the first %zu", at + done))
			break;
		done += (size_t)n;
	}
	return done;
}

static void finish(struct nic_both *b)
{
	for (int i = 0; i < 2; i++) {
		if (!b->e[i].c)
			continue;
		ktls_conn_free(b->e[i].c);
		close(b->e[i].fd);
		EVP_MD_CTX_free(b->e[i].in.md);
	}
}

static void changes(struct nic_both *b, bool zerocopy)
{
	const int file = make_file();
	off_t offset = 0;
	size_t got;
	ssize_t n;
	int e;

	n = ktls_write(b->e[0].c, vt_data, HEAD);
	CHECK(n == HEAD, "ktls_write: %zd, errno %d", n, errno);
	got = receive(b, 0, HEAD, &e);
	CHECK(got == HEAD, "%zu bytes of %d, errno %d", got, HEAD, e);
	n = ktls_sendfile(b->e[0].c, file, &offset, FILE_BYTES);
	CHECK(n > 4 * VT_RECORD, "ktls_sendfile: %zd, errno %d", n, errno);
	until_still(b->e[0].fd);
	overwrite(file);
	got = receive(b, HEAD, n > 0 ? (size_t)n : 0, &e);
	if (zerocopy)
		CHECK(e == EBADMSG && got < (size_t)n,
		      "%zu bytes of %zd, errno %d", got, n, e);
	else
		CHECK(e == 0 && got == (size_t)n, "%zu bytes of %zd, errno %d",
		      got, n, e);
	close(file);
}

static void zerocopy(const struct vt_suite *s, int on, bool lossy)
{
	struct ktls_policy policy[2] = {
		vt_policy(KTLS_REQUIRE, KTLS_OFF),
		vt_policy(KTLS_OFF, KTLS_REQUIRE),
	};
	struct nic_count c;
	struct nic_both b;
	int fd[2];

	vt_case("TLS %s %s: a file changes, zero-copy %s%s",
		vt_version_str(s->version), s->label, on ? "on" : "off",
		lossy ? ", packets are lost" : "");
	policy[0].zerocopy = (uint32_t)on;
	nic_count(&c);
	vt_tcp_pair_small(fd, 0, RCVBUF);
	vt_set_sndbuf(fd[0], 2 * FILE_BYTES);
	if (nic_both_open(&b, s, policy, fd)) {
		struct ktls_info info;

		vt_end_info(&b.e[0], &info);
		CHECK(info.zerocopy == (on && vt_nic_offloads(s)) &&
			      info.zerocopy_asked == (uint32_t)on,
		      "zerocopy is %u, asked %u, reason %s", info.zerocopy,
		      info.zerocopy_asked, vt_reason(info.zerocopy_reason));
		if (lossy)
			vt_nic_set("loss", EACH);
		changes(&b, on && vt_nic_offloads(s));
		vt_nic_set("loss", 0);
	}
	finish(&b);
	nic_removed();
	nic_since(&c);
	CHECK(c.nic[0].tx_added == vt_nic_offloads(s) &&
		      c.nic[1].rx_added == vt_nic_offloads(s),
	      "on the NIC: %ld, %ld", c.nic[0].tx_added, c.nic[1].rx_added);
	CHECK((c.stat[1].decrypt_error > 0) == (on && vt_nic_offloads(s)),
	      "%ld bad records", c.stat[1].decrypt_error);
	CHECK(!lossy || c.nic[0].dropped > 0, "nothing was lost");
}

void nic_zerocopy(void)
{
	for (int i = 0; i < 4; i++) {
		zerocopy(NIC_AES128, i & 1, i & 2);
		zerocopy(NIC_AES256, i & 1, i & 2);
	}
	/* there is no such thing without a NIC that encrypts */
	zerocopy(NIC_TLS13, 1, false);
}
