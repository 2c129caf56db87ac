/* SPDX-License-Identifier: MIT */
/* ktls-vm-cases: alerts, broken records and KeyUpdate of the other side. */
#include "cases.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

enum {
	ALERT_BAD_RECORD_MAC = 20,
	ALERT_RECORD_OVERFLOW = 22,
	ALERT_HANDSHAKE_FAILURE = 40,
	ALERT_INTERNAL_ERROR = 80,
	ALERT_NO_RENEGOTIATION = 100
};

/* The peer cannot decrypt what we sent, and says so. */
static void peer_complains(const struct vt_suite *s, struct ktls_policy policy)
{
	struct ktls_error error;
	uint8_t buf[256];
	struct vt_duo d;
	ssize_t n;
	BIO *mem;

	vt_case("TLS %s, use %u/%u: a fatal alert comes",
		vt_version_str(s->version), policy.tx, policy.rx);
	if (!vt_duo_open(&d, s, false, &policy))
		return;
	vt_duo_to_lib(&d, 3, 3000);
	MUST(ktls_write(d.lib.c, "hello", 5) == 5 && vt_poll(d.fd, POLLIN));
	n = recv(d.fd, buf, sizeof(buf), 0);
	MUST(n > 10);
	buf[n - 1] ^= 1;
	mem = BIO_new(BIO_s_mem());
	MUST(mem && BIO_write(mem, buf, (int)n) == n);
	SSL_set0_rbio(d.ssl, mem);
	MUST(SSL_read(d.ssl, buf, 1) < 0);
	n = vt_duo_lib_read(&d, buf, sizeof(buf));
	CHECK(n == -1 && errno == EPROTO, "ktls_read: %zd, errno %d", n, errno);
	vt_duo_error(&d, &error);
	CHECK(error.code == EPROTO &&
		      error.alert_received == ALERT_BAD_RECORD_MAC &&
		      error.openssl != 0,
	      "code %d, alert %d, %s", error.code, error.alert_received,
	      error.text);
	vt_duo_dead(&d, EPROTO);
	vt_duo_drop(&d);
}

enum damage { DAMAGE_TAG, DAMAGE_LENGTH, DAMAGE_VERSION };

static void record_is_damaged(const struct vt_suite *s,
			      struct ktls_policy policy, enum damage damage)
{
	const bool kernel = policy.rx == KTLS_REQUIRE;
	/* only OpenSSL could send it, and OpenSSL knows nothing of it */
	const bool silent = kernel && policy.tx == KTLS_OFF;
	const int code = damage == DAMAGE_TAG ? EBADMSG : EPROTO;
	struct ktls_error error;
	uint8_t buf[512], good[4];
	struct vt_stat before;
	struct vt_duo d;
	ssize_t n;
	size_t len;
	int alert;

	vt_case("TLS %s, use %u/%u: record with damage %d",
		vt_version_str(s->version), policy.tx, policy.rx, damage);
	vt_stat_read(&before);
	if (!vt_duo_open(&d, s, true, &policy))
		return;
	vt_duo_to_lib(&d, 3, 3000);
	vt_duo_to_peer(&d, 3, 3000);
	MUST(SSL_write(d.ssl, "good", 4) == 4);
	len = vt_duo_catch(&d, vt_data, 30, buf, sizeof(buf));
	if (damage == DAMAGE_TAG)
		buf[len - 3] ^= 4;
	else if (damage == DAMAGE_LENGTH)
		buf[3] = 0x60;
	else
		buf[1] = 7;
	MUST(send(d.fd, buf, len, 0) == (ssize_t)len);
	n = vt_duo_lib_read(&d, good, sizeof(good));
	CHECK(n == 4 && memcmp(good, "good", 4) == 0,
	      "the record before it: %zd, errno %d", n, errno);
	n = vt_duo_lib_read(&d, buf, sizeof(buf));
	CHECK(n == -1 && errno == code, "ktls_read: %zd, errno %d", n, errno);
	vt_duo_error(&d, &error);
	CHECK(error.code == code && (error.alert_sent > 0 || silent),
	      "code %d, alert sent %d, %s", error.code, error.alert_sent,
	      error.text);
	if (damage == DAMAGE_TAG && error.alert_sent > 0)
		CHECK(error.alert_sent == ALERT_BAD_RECORD_MAC, "alert %d",
		      error.alert_sent);
	if (damage == DAMAGE_LENGTH && error.alert_sent > 0)
		CHECK(error.alert_sent == ALERT_RECORD_OVERFLOW, "alert %d",
		      error.alert_sent);
	alert = vt_duo_peer_alert(&d);
	CHECK(alert == error.alert_sent, "the peer found alert %d, not %d",
	      alert, error.alert_sent);
	vt_duo_dead(&d, code);
	vt_duo_drop(&d);
	vt_stat_check(&before, policy.tx == KTLS_REQUIRE, kernel,
		      kernel && damage == DAMAGE_TAG);
}

/* A client of TLS 1.2 asks for a new handshake. */
static void renegotiation(struct ktls_policy policy)
{
	const bool allowed = policy.tx == KTLS_OFF && policy.rx == KTLS_OFF;
	SSL_CTX *lib = vt_ctx(vt_tls12, true, false);
	SSL_CTX *peer = vt_ctx(vt_tls12, false, false);
	const int64_t end = vt_now() + VT_WAIT;
	struct ktls_error error;
	struct vt_duo d;
	ssize_t n = 0;
	char buf[64];
	bool open;
	int r;

	vt_case("use %u/%u: renegotiation", policy.tx, policy.rx);
	SSL_CTX_set_options(lib, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
	open = vt_duo_open_ctx(&d, lib, peer, true, &policy);
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
	if (!open)
		return;
	vt_duo_to_lib(&d, 3, 3000);
	vt_duo_to_peer(&d, 3, 3000);
	MUST(SSL_renegotiate(d.ssl) == 1);
	do {
		ERR_clear_error();
		r = SSL_do_handshake(d.ssl);
		n = ktls_read(d.lib.c, buf, sizeof(buf));
		if (n < 0 && errno == EAGAIN && r != 1)
			(void)poll(NULL, 0, 5);
	} while (n < 0 && errno == EAGAIN && r != 1 && vt_now() < end);
	if (allowed) {
		CHECK(r == 1, "not done: %s",
		      ERR_reason_error_string(ERR_peek_error()));
		vt_duo_to_lib(&d, 4, 30000);
		vt_duo_to_peer(&d, 4, 30000);
		vt_duo_close(&d);
		return;
	}
	/* OpenSSL's client takes our warning for the end */
	CHECK(n == -1 && errno == EPROTO, "ktls_read: %zd, errno %d", n, errno);
	vt_duo_error(&d, &error);
	CHECK(error.alert_sent == ALERT_NO_RENEGOTIATION &&
		      error.alert_received == ALERT_HANDSHAKE_FAILURE,
	      "sent %d, received %d", error.alert_sent, error.alert_received);
	vt_duo_dead(&d, EPROTO);
	vt_duo_drop(&d);
}

void vt_alert_cases(const struct vt_suite *s, uint32_t use)
{
	/* with the kernel, both mixed modes too */
	const unsigned int modes = use == KTLS_OFF ? 1 : 3;

	for (unsigned int i = 0; i < modes; i++) {
		struct ktls_policy policy = vt_policy(i == 1 ? KTLS_OFF : use,
						      i == 2 ? KTLS_OFF : use);

		peer_complains(s, policy);
		record_is_damaged(s, policy, DAMAGE_TAG);
		record_is_damaged(s, policy, DAMAGE_LENGTH);
		record_is_damaged(s, policy, DAMAGE_VERSION);
		if (s == vt_tls12)
			renegotiation(policy);
	}
}

static void key_update(struct ktls_policy policy, int type, bool keys_stay)
{
	/* the kernel's keys would have to change, and cannot */
	const bool fatal = keys_stay && (policy.rx == KTLS_REQUIRE ||
					 (policy.tx == KTLS_REQUIRE &&
					  type == SSL_KEY_UPDATE_REQUESTED));
	struct ktls_error error;
	struct vt_duo d;
	char buf[64];
	ssize_t n;

	vt_case("use %u/%u: KeyUpdate, %s", policy.tx, policy.rx,
		type == SSL_KEY_UPDATE_REQUESTED ? "answer requested"
						 : "no answer requested");
	if (!vt_duo_open(&d, vt_tls13, true, &policy))
		return;
	vt_duo_to_lib(&d, 3, 3000);
	vt_duo_to_peer(&d, 3, 3000);
	for (int i = 0; i < 3 && !fatal; i++) {
		MUST(SSL_key_update(d.ssl, type) == 1);
		MUST(SSL_do_handshake(d.ssl) == 1);
		vt_duo_to_lib(&d, 4, 20000);
		vt_duo_to_peer(&d, 4, 20000);
	}
	if (!fatal) {
		vt_duo_close(&d);
		return;
	}
	MUST(SSL_key_update(d.ssl, type) == 1);
	MUST(SSL_do_handshake(d.ssl) == 1);
	n = vt_duo_lib_read(&d, buf, sizeof(buf));
	CHECK(n == -1 && errno == EKEYEXPIRED, "ktls_read: %zd, errno %d", n,
	      errno);
	vt_duo_error(&d, &error);
	CHECK(error.code == EKEYEXPIRED &&
		      error.alert_sent == ALERT_INTERNAL_ERROR,
	      "code %d, alert %d", error.code, error.alert_sent);
	CHECK(vt_duo_peer_alert(&d) == ALERT_INTERNAL_ERROR,
	      "the peer has no alert");
	vt_duo_dead(&d, EKEYEXPIRED);
	vt_duo_drop(&d);
}

void vt_key_update_cases(uint32_t use)
{
	const unsigned int modes = use == KTLS_OFF ? 1 : 3;
	const bool keys_stay = use != KTLS_OFF && vt_rekey_errno() != 0;

	for (unsigned int i = 0; i < modes; i++) {
		struct ktls_policy policy = vt_policy(i == 1 ? KTLS_OFF : use,
						      i == 2 ? KTLS_OFF : use);

		key_update(policy, SSL_KEY_UPDATE_NOT_REQUESTED, keys_stay);
		key_update(policy, SSL_KEY_UPDATE_REQUESTED, keys_stay);
	}
}
