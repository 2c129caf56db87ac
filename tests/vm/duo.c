/* SPDX-License-Identifier: MIT */
/*
 * Both ends of a connection in one thread, for scenarios that go step by
 * step. Everything sent at once is small enough for the sockets' buffers.
 */
#include "vmtest.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

bool vt_duo_handshake(struct vt_duo *d)
{
	const int64_t end = vt_now() + VT_WAIT;
	bool lib = false, peer = false;

	for (;;) {
		struct pollfd p[2] = {{.fd = d->lib.fd}, {.fd = d->fd}};
		int r;

		if (!lib) {
			r = ktls_handshake(d->lib.c);
			lib = r == 0;
			if (r < 0 && errno == d->handshake_errno) {
				lib = true;
			} else if (r == 0 && d->handshake_errno) {
				CHECK(false, "ktls_handshake succeeded");
				return false;
			}
			if (!lib && !CHECK(errno == EAGAIN,
					   "ktls_handshake: errno %d", errno))
				return false;
		}
		if (!peer) {
			ERR_clear_error();
			r = SSL_do_handshake(d->ssl);
			peer = r == 1;
			if (!peer &&
			    !CHECK(SSL_get_error(d->ssl, r) == SSL_ERROR_WANT_READ,
				   "the peer's handshake: %s",
				   ERR_reason_error_string(ERR_peek_error())))
				return false;
		}
		if (lib && peer)
			return true; /* however long the probe took */
		p[0].events = lib ? 0 : (short)ktls_wants(d->lib.c);
		p[1].events = peer ? 0 : POLLIN;
		if (!CHECK(vt_now() < end, "the handshake takes too long"))
			return false;
		(void)poll(p, 2, 1000);
	}
}

void vt_duo_init(struct vt_duo *d, SSL_CTX *lib, SSL_CTX *peer, const int fd[2],
		 bool lib_server, const struct ktls_policy *policy)
{
	memset(d, 0, sizeof(*d));
	vt_end_init(&d->lib, lib, fd[lib_server], lib_server, false, policy);
	d->fd = fd[!lib_server];
	vt_set_nonblocking(d->fd, true);
	d->ssl = SSL_new(peer);
	MUST(d->ssl && SSL_set_fd(d->ssl, d->fd) == 1);
	if (lib_server)
		SSL_set_connect_state(d->ssl);
	else
		SSL_set_accept_state(d->ssl);
}

bool vt_duo_open_ctx(struct vt_duo *d, SSL_CTX *lib, SSL_CTX *peer,
		     bool lib_server, const struct ktls_policy *policy)
{
	int fd[2];

	vt_tcp_pair(fd);
	MUST(ktls_ctx_enable(lib) == 0);
	vt_duo_init(d, lib, peer, fd, lib_server, policy);
	if (vt_duo_handshake(d))
		return true;
	vt_duo_drop(d);
	return false;
}

bool vt_duo_open(struct vt_duo *d, const struct vt_suite *s, bool lib_server,
		 const struct ktls_policy *policy)
{
	SSL_CTX *lib = vt_ctx(s, lib_server, false);
	SSL_CTX *peer = vt_ctx(s, !lib_server, false);
	bool ok = vt_duo_open_ctx(d, lib, peer, lib_server, policy);

	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
	return ok;
}

int vt_duo_peer_read(struct vt_duo *d, void *buf, int len)
{
	for (;;) {
		int r, e;

		ERR_clear_error();
		r = SSL_read(d->ssl, buf, len);
		if (r > 0)
			return r;
		e = SSL_get_error(d->ssl, r);
		if (e == SSL_ERROR_ZERO_RETURN)
			return 0;
		if (e != SSL_ERROR_WANT_READ || !vt_poll(d->fd, POLLIN))
			return -1;
	}
}

ssize_t vt_duo_lib_read(struct vt_duo *d, void *buf, size_t len)
{
	ssize_t n;

	while ((n = ktls_read(d->lib.c, buf, len)) < 0 && errno == EAGAIN)
		if (!vt_poll(d->lib.fd, ktls_wants(d->lib.c))) {
			errno = ETIMEDOUT;
			return -1;
		}
	return n;
}

bool vt_duo_to_peer(struct vt_duo *d, size_t base, size_t n)
{
	const size_t sizes[] = {n};
	struct vt_stream s;
	struct vt_sink sink;
	uint8_t buf[VT_RECORD];
	size_t sent = 0;
	int r;

	vt_stream_init(&s, base, sizes, 1);
	vt_sink_init(&sink);
	while (sink.count < n) {
		while (sent < n) {
			ssize_t w = ktls_write(d->lib.c, vt_data + base + sent,
					       n - sent);

			if (w < 0 && errno == EAGAIN)
				break;
			if (!CHECK(w > 0, "ktls_write: errno %d", errno))
				break;
			sent += (size_t)w;
		}
		r = vt_duo_peer_read(d, buf, sizeof(buf));
		if (!CHECK(r > 0, "the peer got %zu bytes of %zu, then %d",
			   sink.count, n, r))
			break;
		vt_sink_add(&sink, buf, (size_t)r);
	}
	return vt_sink_check(&sink, &s, n, "the peer");
}

bool vt_duo_to_lib(struct vt_duo *d, size_t base, size_t n)
{
	const size_t sizes[] = {n};
	struct vt_stream s;
	struct vt_sink sink;
	uint8_t buf[VT_RECORD];
	size_t sent = 0, k;

	vt_stream_init(&s, base, sizes, 1);
	vt_sink_init(&sink);
	while (sink.count < n) {
		ssize_t r;

		ERR_clear_error();
		while (sent < n && SSL_write_ex(d->ssl, vt_data + base + sent,
						n - sent, &k) == 1)
			sent += k;
		r = vt_duo_lib_read(d, buf, sizeof(buf));
		if (!CHECK(r > 0, "libktls got %zu bytes of %zu, then errno %d",
			   sink.count, n, r < 0 ? errno : 0))
			break;
		vt_sink_add(&sink, buf, (size_t)r);
	}
	return vt_sink_check(&sink, &s, n, "libktls");
}

void vt_duo_close(struct vt_duo *d)
{
	char c;
	int r;

	SSL_shutdown(d->ssl);
	CHECK(vt_duo_lib_read(d, &c, 1) == 0, "no close_notify: errno %d", errno);
	r = ktls_close(d->lib.c, 0);
	if (r < 0 && errno == EAGAIN) {
		/* it waits for the peer to close TCP */
		CHECK(vt_duo_peer_read(d, &c, 1) == 0,
		      "the peer has no close_notify");
		shutdown(d->fd, SHUT_WR);
		r = ktls_close(d->lib.c, VT_WAIT);
	} else {
		CHECK(vt_duo_peer_read(d, &c, 1) == 0,
		      "the peer has no close_notify");
	}
	CHECK(r == 0, "ktls_close: errno %d", errno);
	d->lib.c = NULL;
	vt_duo_drop(d);
}

void vt_duo_drop(struct vt_duo *d)
{
	if (d->lib.c) {
		ktls_conn_free(d->lib.c);
		close(d->lib.fd);
	}
	EVP_MD_CTX_free(d->lib.in.md);
	SSL_free(d->ssl);
	if (d->fd >= 0)
		close(d->fd);
	memset(d, 0, sizeof(*d));
	d->fd = -1;
}

void vt_probed(void)
{
	struct ktls_policy policy = vt_policy(KTLS_AUTO, KTLS_AUTO);
	struct vt_duo d;

	policy.offload_after = 0;
	if (vt_duo_open(&d, &vt_suites[6], true, &policy))
		vt_duo_drop(&d);
}
