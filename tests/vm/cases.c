/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-cases: what happens around the data while the keys are in the
 * kernel: tickets, client certificates, timeouts, alerts, ends of all kinds.
 */
#include "vmtest.h"

#include "cases.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/err.h>

/* AES-128-GCM, which every kernel with TLS has */
const struct vt_suite *const vt_tls12 = &vt_suites[0];
const struct vt_suite *const vt_tls13 = &vt_suites[6];

static struct ktls_policy both_required(void)
{
	return vt_policy(KTLS_REQUIRE, KTLS_REQUIRE);
}

/* One connection of the client; resumes if there is a session. */
static void visit(SSL_CTX *lib, SSL_CTX *peer, bool resumed)
{
	struct ktls_policy policy = both_required();
	struct vt_stat before;
	struct vt_duo d;

	vt_stat_read(&before);
	vt_sessions = 0;
	if (!vt_duo_open_ctx(&d, lib, peer, false, &policy))
		return;
	CHECK(SSL_session_reused(d.ssl) == resumed, "the peer says: %d",
	      SSL_session_reused(d.ssl));
	CHECK(SSL_session_reused(d.lib.ssl) == resumed, "we say: %d",
	      SSL_session_reused(d.lib.ssl));
	vt_duo_to_peer(&d, 1, 5000);
	vt_duo_to_lib(&d, 2, 5000);
	if (SSL_version(d.ssl) == TLS1_3_VERSION)
		CHECK(vt_sessions == (resumed ? 1 : 2), "%d tickets came",
		      vt_sessions);
	else
		CHECK(vt_sessions == (resumed ? 0 : 1), "%d sessions",
		      vt_sessions);
	vt_duo_close(&d);
	vt_stat_check(&before, 1, 1, 0);
}

static void tickets(const struct vt_suite *s)
{
	SSL_CTX *lib = vt_ctx(s, false, false), *peer = vt_ctx(s, true, false);

	vt_case("tickets, TLS %s", vt_version_str(s->version));
	vt_keep_sessions(lib);
	visit(lib, peer, false);
	if (CHECK(vt_session != NULL, "no session to resume")) {
		/* TLS 1.3: the callback ran with receiving in the kernel */
		for (int i = 0; i < 2; i++) {
			vt_resume = vt_session;
			visit(lib, peer, true);
		}
	}
	vt_resume = NULL;
	SSL_SESSION_free(vt_session);
	vt_session = NULL;
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
}

static void client_certificate(const struct vt_suite *s, bool server)
{
	SSL_CTX *lib = vt_ctx(s, server, true), *peer = vt_ctx(s, !server, true);
	struct ktls_policy policy = both_required();
	struct vt_stat before;
	struct vt_duo d;

	vt_case("client certificate, TLS %s, %s", vt_version_str(s->version),
		server ? "server" : "client");
	vt_stat_read(&before);
	if (vt_duo_open_ctx(&d, lib, peer, server, &policy)) {
		CHECK(SSL_get0_peer_certificate(d.ssl) != NULL, "the peer");
		CHECK(SSL_get0_peer_certificate(d.lib.ssl) != NULL, "libktls");
		vt_duo_to_peer(&d, 10, 40000);
		vt_duo_to_lib(&d, 20, 40000);
		vt_duo_close(&d);
	}
	vt_stat_check(&before, 1, 1, 0);
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
}

/* Makes the test's own end a blocking one; it was opened non-blocking. */
static bool open_blocking(struct vt_duo *d, const struct vt_suite *s,
			  const struct ktls_policy *policy)
{
	SSL_CTX *lib = vt_ctx(s, true, false), *ctx = vt_ctx(s, false, false);
	struct vt_peer p;
	int fd[2];
	bool ok;

	memset(d, 0, sizeof(*d));
	d->fd = -1;
	vt_tcp_pair(fd);
	MUST(ktls_ctx_enable(lib) == 0);
	/* the handshake needs a thread; then the peer is ours */
	vt_peer_init(&p, ctx, fd[0], false);
	p.only_handshake = true;
	vt_end_init(&d->lib, lib, fd[1], true, true, policy);
	vt_peer_start(&p);
	ok = CHECK(vt_end_handshake(&d->lib) == 0, "errno %d", errno);
	SSL_up_ref(p.ssl);
	d->ssl = p.ssl;
	d->fd = fd[0];
	vt_peer_join(&p);
	SSL_CTX_free(lib);
	SSL_CTX_free(ctx);
	EVP_MD_CTX_free(p.in.md);
	if (!ok)
		vt_duo_drop(d);
	return ok;
}

static void timeouts(uint32_t use)
{
	const struct timeval tv = {.tv_usec = 300000};
	struct ktls_policy policy = vt_policy(use, use);
	struct ktls_info info;
	struct vt_duo d;
	int64_t t;
	ssize_t n;
	char c;

	vt_case("SO_RCVTIMEO and SO_SNDTIMEO, use %u", use);
	if (!open_blocking(&d, vt_tls13, &policy))
		return;
	vt_set_sndbuf(d.lib.fd, 16384);
	MUST(setsockopt(d.lib.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	t = vt_now();
	n = ktls_read(d.lib.c, &c, 1);
	t = vt_now() - t;
	CHECK(n == -1 && errno == EAGAIN, "ktls_read: %zd, errno %d", n, errno);
	CHECK(t >= 290 && t < 5000, "ktls_read took %lld ms", (long long)t);
	vt_duo_to_lib(&d, 5, 100);
	MUST(setsockopt(d.lib.fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
	t = vt_now();
	n = ktls_write(d.lib.c, vt_data, VT_DATA);
	t = vt_now() - t;
	/* progress beats the timeout, which the next call meets */
	CHECK(n > 0 && n < VT_DATA, "ktls_write: %zd, errno %d", n, errno);
	CHECK(t >= 290 && t < 15000, "ktls_write took %lld ms", (long long)t);
	if (n > 0) {
		ssize_t more = ktls_write(d.lib.c, vt_data + n, 1);

		/* some room may have come; then it is one byte */
		CHECK(more == 1 || (more == -1 && errno == EAGAIN),
		      "ktls_write: %zd, errno %d", more, errno);
		n += more > 0 ? more : 0;
	}
	vt_end_info(&d.lib, &info);
	CHECK(info.tx.bytes == (uint64_t)n, "%llu bytes, not %zd",
	      (unsigned long long)info.tx.bytes, n);
	vt_duo_drop(&d);
}

static void blocking_restored(uint32_t use)
{
	struct ktls_policy policy = vt_policy(use, use);
	struct vt_duo d;
	int fd;

	vt_case("O_NONBLOCK restored, use %u", use);
	if (!open_blocking(&d, vt_tls12, &policy))
		return;
	fd = dup(d.lib.fd);
	MUST(fd >= 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK, "not set during its life");
	ktls_conn_free(d.lib.c);
	d.lib.c = NULL;
	CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK), "not cleared at its end");
	close(fd);
	close(d.lib.fd);
	vt_duo_drop(&d);
	/* one that was non-blocking stays so */
	if (!vt_duo_open(&d, vt_tls12, true, &policy))
		return;
	ktls_conn_free(d.lib.c);
	d.lib.c = NULL;
	CHECK(fcntl(d.lib.fd, F_GETFL) & O_NONBLOCK, "cleared");
	close(d.lib.fd);
	vt_duo_drop(&d);
}

static void peer_half_closes(const struct vt_suite *s, bool server,
			     uint32_t use, bool notify)
{
	struct ktls_policy policy = vt_policy(use, use);
	struct vt_duo d;
	char buf[64];
	ssize_t n;

	vt_case("TLS %s %s, use %u: the peer half-closes %s close_notify",
		vt_version_str(s->version), server ? "server" : "client", use,
		notify ? "with" : "without");
	if (!vt_duo_open(&d, s, server, &policy))
		return;
	vt_duo_to_lib(&d, 7, 20000);
	vt_duo_to_peer(&d, 7, 20000);
	MUST(SSL_write(d.ssl, "last", 4) == 4);
	if (notify)
		SSL_shutdown(d.ssl);
	shutdown(d.fd, SHUT_WR);
	n = vt_duo_lib_read(&d, buf, sizeof(buf));
	CHECK(n == 4 && memcmp(buf, "last", 4) == 0, "%zd, errno %d", n, errno);
	for (int i = 0; i < 2; i++) {
		n = vt_duo_lib_read(&d, buf, sizeof(buf));
		if (notify)
			CHECK(n == 0, "%zd, errno %d", n, errno);
		else
			CHECK(n == -1 && errno == ECONNABORTED, "%zd, errno %d",
			      n, errno);
	}
	/* the other direction is as it was */
	vt_duo_to_peer(&d, 9, 100000);
	CHECK(ktls_close(d.lib.c, VT_WAIT) == 0, "ktls_close: errno %d", errno);
	d.lib.c = NULL;
	CHECK(vt_duo_peer_read(&d, buf, 1) == 0 &&
		      (SSL_get_shutdown(d.ssl) & SSL_RECEIVED_SHUTDOWN),
	      "the peer saw no close_notify");
	vt_duo_drop(&d);
}

static void peer_resets(const struct vt_suite *s, uint32_t use)
{
	const struct linger linger = {.l_onoff = 1};
	struct ktls_policy policy = vt_policy(use, use);
	struct vt_duo d;
	char c = 0;
	ssize_t n;

	vt_case("TLS %s, use %u: RST", vt_version_str(s->version), use);
	if (!vt_duo_open(&d, s, true, &policy))
		return;
	vt_duo_to_lib(&d, 3, 3000);
	setsockopt(d.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(d.fd);
	d.fd = -1;
	n = vt_duo_lib_read(&d, &c, 1);
	CHECK(n == -1 && errno == ECONNRESET, "ktls_read: %zd, errno %d", n,
	      errno);
	n = ktls_write(d.lib.c, &c, 1);
	CHECK(n == -1 && (errno == ECONNRESET || errno == EPIPE),
	      "ktls_write: %zd, errno %d", n, errno);
	CHECK(ktls_close(d.lib.c, 1000) == -1, "ktls_close");
	d.lib.c = NULL;
	vt_duo_drop(&d);
	/* the same seen by a sender first */
	if (!vt_duo_open(&d, s, true, &policy))
		return;
	setsockopt(d.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(d.fd);
	d.fd = -1;
	vt_poll(d.lib.fd, POLLIN);
	n = ktls_write(d.lib.c, vt_data, 1000);
	CHECK(n == -1 && (errno == ECONNRESET || errno == EPIPE),
	      "ktls_write: %zd, errno %d", n, errno);
	CHECK(ktls_close(d.lib.c, 1000) == -1, "ktls_close");
	d.lib.c = NULL;
	vt_duo_drop(&d);
}

/*
 * The client's data come together with the end of its handshake, and OpenSSL
 * likes to read ahead: they are the kernel's to decrypt.
 */
static void data_with_finished(uint32_t use)
{
	SSL_CTX *lib = vt_ctx(vt_tls13, true, false);
	SSL_CTX *peer = vt_ctx(vt_tls13, false, false);
	struct ktls_policy policy = vt_policy(use, use);
	struct ktls_info info;
	struct vt_duo d;
	int fd[2], n = 0;

	vt_case("use %u: data with Finished", use);
	MUST(ktls_ctx_enable(lib) == 0);
	SSL_CTX_set_read_ahead(lib, 1);
	vt_tcp_pair(fd);
	vt_duo_init(&d, lib, peer, fd, true, &policy);
	MUST(SSL_do_handshake(d.ssl) < 0);
	MUST(vt_poll(d.lib.fd, POLLIN));
	CHECK(ktls_handshake(d.lib.c) == -1 && errno == EAGAIN, "errno %d",
	      errno);
	while (SSL_do_handshake(d.ssl) != 1)
		MUST(vt_poll(d.fd, POLLIN));
	MUST(SSL_write(d.ssl, vt_data + 77, 3000) == 3000);
	MUST(SSL_write(d.ssl, vt_data + 77 + 3000, 3000) == 3000);
	MUST(vt_poll(d.lib.fd, POLLIN));
	CHECK(ktls_handshake(d.lib.c) == 0, "errno %d", errno);
	while (n < 6000) {
		uint8_t buf[1000];
		ssize_t r = vt_duo_lib_read(&d, buf, sizeof(buf));

		if (!CHECK(r > 0 && memcmp(buf, vt_data + 77 + n, (size_t)r) == 0,
			   "%zd, errno %d, after %d bytes", r, errno, n))
			break;
		n += (int)r;
	}
	vt_duo_to_lib(&d, 5, 50000);
	vt_duo_to_peer(&d, 6, 50000);
	vt_end_info(&d.lib, &info);
	CHECK(info.rx.kernel_bytes == (use == KTLS_OFF ? 0 : 56000),
	      "the kernel had %llu bytes",
	      (unsigned long long)info.rx.kernel_bytes);
	vt_duo_close(&d);
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
}

/* The same for each use of the kernel, where there is a kernel for it. */
static void each_use(uint32_t use)
{
	const struct vt_suite *const suites[] = {vt_tls12, vt_tls13};

	timeouts(use);
	blocking_restored(use);
	data_with_finished(use);
	for (size_t i = 0; i < 2; i++) {
		for (int server = 0; server < 2; server++) {
			peer_half_closes(suites[i], server, use, true);
			peer_half_closes(suites[i], server, use, false);
		}
		peer_resets(suites[i], use);
		vt_alert_cases(suites[i], use);
	}
	vt_key_update_cases(use);
	vt_file_cases(vt_policy(use, use));
}

int main(void)
{
	const int e = vt_ulp_errno();

	vt_begin("ktls-vm-cases", 400);
	vt_data_init();
	vt_probed();
	each_use(KTLS_OFF);
	if (e) {
		vt_skip("the kernel's part: setsockopt(TCP_ULP): %s",
			strerror(e));
		return vt_end();
	}
	each_use(KTLS_REQUIRE);
	tickets(vt_tls12);
	tickets(vt_tls13);
	for (int server = 0; server < 2; server++) {
		client_certificate(vt_tls12, server);
		client_certificate(vt_tls13, server);
	}
	return vt_end();
}
