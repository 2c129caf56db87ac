/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-nic: alerts of ours while a record is open. The kernel alone would
 * make them the rest of that record; see nicraw.c.
 */
#include "nic.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>

enum { BYTES = 300, BAD_RECORD_MAC = 20 };

/* The peer sends what nobody can decrypt: we say so, behind our data. */
static void fatal(const struct vt_suite *s, bool server, uint32_t rx)
{
	static const uint8_t garbage[5 + 40] = {23, 3, 3, 0, 40};
	const struct ktls_policy policy = vt_policy(KTLS_REQUIRE, rx);
	const struct iovec iov = {(void *)(uintptr_t)vt_data, BYTES};
	uint8_t buf[BYTES + 100];
	struct vt_duo d;
	ssize_t n;
	int alert;
	char c;

	vt_case("%s %s, RX in %s: a fatal alert while a record is open",
		s->label, server ? "server" : "client",
		rx == KTLS_OFF ? "user space" : "the kernel");
	if (!vt_duo_open(&d, s, server, &policy))
		return;
	n = ktls_writev(d.lib.c, &iov, 1, KTLS_MORE);
	CHECK(n == BYTES, "ktls_writev: %zd, errno %d", n, errno);
	MUST(send(d.fd, garbage, sizeof(garbage), 0) == sizeof(garbage));
	n = vt_duo_lib_read(&d, &c, 1);
	CHECK(n == -1 && errno == EBADMSG, "ktls_read: %zd, errno %d", n, errno);
	CHECK(ktls_close(d.lib.c, VT_WAIT) == -1, "ktls_close");
	d.lib.c = NULL;
	n = vt_duo_peer_read(&d, buf, sizeof(buf));
	CHECK(n == BYTES && memcmp(buf, vt_data, BYTES) == 0,
	      "the peer got %zd bytes, or others: %s", n,
	      n < 0 ? ERR_reason_error_string(ERR_peek_error()) : "");
	alert = vt_duo_peer_alert(&d);
	CHECK(n < 0 || alert == BAD_RECORD_MAC, "the peer found alert %d", alert);
	vt_duo_drop(&d);
}

void nic_alerts(void)
{
	for (int server = 0; server < 2; server++) {
		fatal(NIC_AES128, server, KTLS_OFF);
		fatal(NIC_AES128, server, KTLS_REQUIRE);
		/* in software, to compare with */
		fatal(NIC_TLS13, server, KTLS_REQUIRE);
	}
}
