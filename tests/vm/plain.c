/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-plain: a man in the middle keeps every byte of both directions. No
 * text that was sent may be among them, all of it must be TLS records, and no
 * nonce of TLS 1.2 may be there twice, wherever the switch to the kernel is.
 */
#include "vmtest.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char text[] = "This line must never be seen on the wire. ";

enum {
	HEADER = 5,
	PLAIN_MAX = 16384,
	WIRE_MAX = 4 * 1024 * 1024,
	DAMAGE_NEVER = -1
};

/* Everything that went in one direction. */
struct wire {
	uint8_t *p;
	size_t len;
};

struct relay {
	int lib; /* towards libktls */
	int peer;
	struct wire from_lib;
	struct wire from_peer;
	/* of the bytes from the peer, the one to be damaged; or never */
	_Atomic long damage;
	pthread_t thread;
};

/* One piece from here to there, and to the record; false: the end */
static bool forward(struct relay *r, int from, int to, struct wire *w)
{
	uint8_t *p = w->p + w->len;
	ssize_t n = recv(from, p, 20000, 0), done = 0;
	const long damage = r->damage;

	if (n <= 0) {
		shutdown(to, SHUT_WR);
		return false;
	}
	MUST(w->len + (size_t)n + 20000 < WIRE_MAX);
	if (w == &r->from_peer && damage >= 0 &&
	    (size_t)damage < w->len + (size_t)n) {
		p[n - 1] ^= 0x10;
		r->damage = DAMAGE_NEVER;
	}
	w->len += (size_t)n;
	while (done < n) {
		ssize_t k = send(to, p + done, (size_t)(n - done), MSG_NOSIGNAL);

		if (k <= 0)
			return true; /* what it would have got is kept */
		done += k;
	}
	return true;
}

static void *relay(void *arg)
{
	struct relay *r = arg;
	struct pollfd p[2] = {{r->lib, POLLIN, 0}, {r->peer, POLLIN, 0}};

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		if (poll(p, 2, VT_WAIT) <= 0)
			break;
		if (p[0].revents && !forward(r, r->lib, r->peer, &r->from_lib))
			p[0].fd = -1;
		if (p[1].revents && !forward(r, r->peer, r->lib, &r->from_peer))
			p[1].fd = -1;
	}
	close(r->lib);
	close(r->peer);
	return NULL;
}

/* fd[0] the peer's end, fd[1] ours, the relay in between */
static void relay_start(struct relay *r, int fd[2])
{
	int a[2], b[2];

	memset(r, 0, sizeof(*r));
	r->damage = DAMAGE_NEVER;
	r->from_lib.p = malloc(WIRE_MAX);
	r->from_peer.p = malloc(WIRE_MAX);
	MUST(r->from_lib.p && r->from_peer.p);
	vt_tcp_pair(a);
	vt_tcp_pair(b);
	fd[0] = a[0];
	r->peer = a[1];
	fd[1] = b[0];
	r->lib = b[1];
	MUST(pthread_create(&r->thread, NULL, relay, r) == 0);
}

static int by_nonce(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t big_endian(const uint8_t *p)
{
	uint64_t n = 0;

	for (int i = 0; i < 8; i++)
		n = n << 8 | p[i];
	return n;
}

/* One direction's bytes, when the connection is over, or was cut. */
static void check_wire(const struct wire *w, const char *whose, bool gcm12,
		       bool cut)
{
	uint64_t *nonces = malloc(w->len / HEADER * sizeof(*nonces) + 8);
	size_t at = 0, records = 0, n_nonces = 0, repeated = 0;
	bool encrypted = false;

	MUST(nonces != NULL);
	/* a part of it, so that no boundary of records hides it */
	CHECK(!memmem(w->p, w->len, text, 16) &&
		      !memmem(w->p, w->len, text + 16, 16),
	      "%s: plaintext on the wire", whose);
	while (at + HEADER <= w->len) {
		const uint8_t *h = w->p + at;
		const size_t len = (size_t)h[3] << 8 | h[4];

		if (!CHECK(h[0] >= 20 && h[0] <= 23 && h[1] == 3 &&
				   (h[2] == 3 || (h[2] == 1 && records == 0)) &&
				   len > 0 && len <= PLAIN_MAX + 256,
			   "%s: record %zu at %zu of %zu: %02x %02x%02x %zu",
			   whose, records, at, w->len, h[0], h[1], h[2], len))
			break;
		if (gcm12 && encrypted && len >= 8)
			nonces[n_nonces++] = big_endian(h + HEADER);
		/* TLS 1.2: all that follows is under the key */
		if (h[0] == 20)
			encrypted = true;
		at += HEADER + len;
		records++;
	}
	CHECK(at == w->len || (cut && at > w->len),
	      "%s: the last record ends at %zu, of %zu bytes", whose, at, w->len);
	/* OpenSSL and the kernel both count; nobody starts anew */
	for (size_t i = 1; i < n_nonces; i++)
		CHECK(nonces[i] == nonces[i - 1] + 1,
		      "%s: nonce %zu is %llx after %llx", whose, i,
		      (unsigned long long)nonces[i],
		      (unsigned long long)nonces[i - 1]);
	qsort(nonces, n_nonces, sizeof(*nonces), by_nonce);
	for (size_t i = 1; i < n_nonces; i++)
		repeated += nonces[i] == nonces[i - 1];
	CHECK(repeated == 0, "%s: %zu of %zu nonces are there twice", whose,
	      repeated, n_nonces);
	CHECK(!gcm12 || n_nonces > 2, "%s: %zu nonces", whose, n_nonces);
	free(nonces);
}

/* The switch of each direction, in bytes that went before. */
struct plan {
	const struct vt_suite *suite;
	bool server;
	bool blocking;
	uint32_t tx;
	uint32_t rx;
	uint64_t offload_after;
	size_t tx_at; /* ktls_offload() then; 0: left to the policy */
	size_t rx_at;
	bool damage; /* a record of the peer's, late */
};

/* Sends and receives, and switches on the way; false: it ended with errno */
static bool carry(const struct plan *p, struct vt_end *e)
{
	while (e->out.pos < e->out.total || e->in.count < e->in_total) {
		int events = 0;
		ssize_t n;

		if (p->tx_at && e->out.pos >= p->tx_at)
			CHECK(ktls_offload(e->c, KTLS_TX) == 0 || errno == EAGAIN,
			      "ktls_offload(TX): errno %d", errno);
		if (p->rx_at && e->in.count >= p->rx_at)
			CHECK(ktls_offload(e->c, KTLS_RX) == 0 || errno == EAGAIN,
			      "ktls_offload(RX): errno %d", errno);
		n = e->out.pos < e->out.total ? vt_end_send(e) : 0;
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			events |= ktls_wants(e->c);
		if (n > 0 || e->in.count >= e->in_total)
			continue;
		n = vt_end_recv(e);
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0 && !CHECK(vt_poll(e->fd, events | ktls_wants(e->c)),
				    "stalled: sent %zu, got %zu", e->out.pos,
				    e->in.count)) {
			errno = ETIMEDOUT;
			return false;
		}
	}
	return true;
}

/* Damage has to be found, and to be told by an alert that nobody can read. */
static void check_damage(struct vt_end *e)
{
	struct ktls_error error = {.size = sizeof(error)};
	const int code = errno;

	CHECK(code == EBADMSG, "errno %d", code);
	CHECK(ktls_get_error(e->c, &error) == 0 && error.code == EBADMSG,
	      "code %d", error.code);
	CHECK(ktls_close(e->c, 1000) == -1 && errno == EBADMSG, "errno %d",
	      errno);
	e->c = NULL;
}

static void run(const struct plan *p)
{
	static const size_t sizes[] = {1,     50000, 100, 16384, 16385,
				       70000, 3,     5,	  30000};
	SSL_CTX *lib = vt_ctx(p->suite, p->server, false);
	SSL_CTX *other = vt_ctx(p->suite, !p->server, false);
	struct ktls_policy policy = vt_policy(p->tx, p->rx);
	const bool gcm12 = p->suite->version == TLS1_2_VERSION &&
			   strstr(p->suite->name, "GCM");
	struct relay r;
	struct vt_peer peer;
	struct vt_end e;
	bool ok = false;
	int fd[2];

	vt_case("TLS %s %s %s, tx %u rx %u after %llu, offload at %zu %zu%s%s",
		vt_version_str(p->suite->version), p->suite->label,
		p->server ? "server" : "client", p->tx, p->rx,
		(unsigned long long)p->offload_after, p->tx_at, p->rx_at,
		p->blocking ? ", blocking" : "", p->damage ? ", damage" : "");
	policy.offload_after = p->offload_after;
	MUST(ktls_ctx_enable(lib) == 0);
	relay_start(&r, fd);
	vt_peer_init(&peer, other, fd[0], !p->server);
	vt_stream_init(&peer.out, 0, sizes, 9);
	vt_end_init(&e, lib, fd[1], p->server, p->blocking, &policy);
	vt_stream_init(&e.out, 0, sizes, 9);
	e.in_total = peer.out.total;
	/* a blocking end sends first */
	peer.after = p->blocking;
	peer.in_total = e.out.total;
	if (p->damage)
		r.damage = 100000;
	vt_peer_start(&peer);
	if (CHECK(vt_end_handshake(&e) == 0, "errno %d", errno))
		ok = carry(p, &e);
	if (p->damage) {
		if (CHECK(!ok, "the damage was not found"))
			check_damage(&e);
	} else {
		CHECK(ok, "it ended with errno %d", errno);
	}
	if (e.c)
		CHECK(vt_end_close(&e) == 0, "ktls_close: errno %d", errno);
	vt_peer_join(&peer);
	MUST(pthread_join(r.thread, NULL) == 0);
	if (ok && !p->damage) {
		CHECK(peer.close_notify, "the peer: %s", peer.text);
		vt_sink_check(&peer.in, &e.out, e.out.total, "the peer");
		vt_sink_check(&e.in, &peer.out, e.in_total, "libktls");
		check_wire(&r.from_lib, "from libktls", gcm12, false);
	} else {
		EVP_MD_CTX_free(peer.in.md);
		EVP_MD_CTX_free(e.in.md);
		check_wire(&r.from_lib, "from libktls", gcm12, true);
	}
	free(r.from_lib.p);
	free(r.from_peer.p);
	SSL_CTX_free(lib);
	SSL_CTX_free(other);
}

/* The data of all tests, made readable. */
static void make_text(void)
{
	uint8_t *p = malloc(VT_DATA);

	vt_data_init();
	MUST(p != NULL);
	for (size_t i = 0; i < VT_DATA; i += sizeof(text) - 1)
		memcpy(p + i, text,
		       VT_DATA - i < sizeof(text) - 1 ? VT_DATA - i
						      : sizeof(text) - 1);
	MUST(pwrite(vt_file, p, VT_DATA, 0) == VT_DATA);
	free(p);
}

int main(void)
{
	static const size_t points[] = {1, 40000, 66000, 150000};
	static const uint64_t after[] = {0, 1, 65536, 120000};
	const int e = vt_ulp_errno();
	struct plan p = {.suite = &vt_suites[0],
			 .tx = KTLS_OFF,
			 .rx = KTLS_OFF,
			 .offload_after = 65536};

	vt_begin("ktls-vm-plain", 400);
	make_text();
	run(&p);
	p.damage = true;
	run(&p);
	if (e) {
		vt_skip("the kernel's part: setsockopt(TCP_ULP): %s",
			strerror(e));
		return vt_end();
	}
	for (size_t i = 0; i < vt_n_suites; i++) {
		const struct vt_suite *s = &vt_suites[i];

		if (!vt_suite_known(s) || vt_kernel_errno(s, KTLS_TX))
			continue;
		for (size_t k = 0; k < 4; k++) {
			const bool odd = (i + k) % 2;

			/* all of them for the first ciphers only */
			if (i % 6 > 1 && k % 2)
				continue;
			p = (struct plan){.suite = s,
					  .server = odd,
					  .tx = KTLS_AUTO,
					  .rx = KTLS_AUTO,
					  .offload_after = after[k],
					  .blocking = k == 2};
			run(&p);
			p.offload_after = UINT64_MAX;
			p.server = !odd;
			p.blocking = k == 3;
			p.tx_at = points[k];
			p.rx_at = points[3 - k];
			run(&p);
			p.damage = true;
			p.tx_at = k % 2 ? points[0] : 0;
			p.rx_at = k / 2 ? points[0] : 0;
			run(&p);
		}
	}
	return vt_end();
}
