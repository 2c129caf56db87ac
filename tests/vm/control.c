/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-control: tickets, alerts and unknown records among the data, in any
 * split and any number. The kernel and user space say the same of them.
 */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	WIRE = 1024 * 1024,
	UNEXPECTED_MESSAGE = 10,
	FEW = 4 /* warnings that OpenSSL bears on end */
};

int vt_control_sessions;

static int new_session(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	(void)s;
	vt_control_sessions++;
	return 0;
}

bool vt_control_open(struct vt_control *c, const char *what)
{
	SSL_CTX *lib = vt_ctx(c->suite, c->server, false);
	SSL_CTX *peer = vt_ctx(c->suite, !c->server, false);
	const struct ktls_policy policy = vt_policy(c->tx, c->rx);
	bool ok;

	vt_case("TLS %s %s, use %u/%u: %s", vt_version_str(c->suite->version),
		c->server ? "server" : "client", c->tx, c->rx, what);
	SSL_CTX_set_session_cache_mode(lib, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(lib, new_session);
	SSL_CTX_set_num_tickets(lib, 0);
	vt_forge_ctx(peer);
	ok = vt_duo_open_ctx(&c->d, lib, peer, c->server, &policy);
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
	if (!ok)
		return false;
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c->forge) == 0);
	vt_forge_init(&c->f, c->d.ssl, c->forge[1]);
	c->wire = malloc(WIRE);
	MUST(c->wire != NULL);
	c->len = 0;
	c->at = 0;
	c->closed = false;
	vt_sink_init(&c->got);
	vt_sink_init(&c->want);
	vt_control_sessions = 0;
	return true;
}

void vt_control_free(struct vt_control *c)
{
	vt_duo_drop(&c->d);
	close(c->forge[0]);
	close(c->forge[1]);
	EVP_MD_CTX_free(c->got.md);
	EVP_MD_CTX_free(c->want.md);
	free(c->wire);
}

void vt_control_add(struct vt_control *c, uint8_t type, const void *p, size_t n)
{
	ssize_t r;

	vt_forge_send(&c->f, type, p, n, 0);
	r = recv(c->forge[0], c->wire + c->len, WIRE - c->len, 0);
	MUST(r > 0 && c->len + (size_t)r < WIRE);
	c->len += (size_t)r;
}

void vt_control_data(struct vt_control *c, size_t n)
{
	vt_control_add(c, VT_APPLICATION, vt_data + c->at, n);
	vt_sink_add(&c->want, vt_data + c->at, n);
	c->at += n;
}

void vt_control_warning(struct vt_control *c)
{
	/* user_canceled: of no consequence, RFC 8446 section 6.1 */
	static const uint8_t alert[] = {1, 90};

	vt_control_add(c, VT_ALERT, alert, 2);
}

bool vt_control_tickets(const struct vt_control *c)
{
	return c->suite->version == TLS1_3_VERSION && !c->server;
}

void vt_control_ticket(struct vt_control *c)
{
	/* RFC 8446 section 4.6.1 */
	static const uint8_t ticket[] = {
		4, 0,  0,   24,				 /* NewSessionTicket */
		0, 0,  100, 0,				 /* lifetime */
		1, 2,  3,   4,				 /* age_add */
		1, 7,					 /* nonce */
		0, 10,					 /* ticket */
		1, 2,  3,   4,	5, 6, 7, 8, 9, 10, 0, 0, /* extensions */
	};

	vt_control_add(c, VT_HANDSHAKE, ticket, sizeof(ticket));
}

void vt_control_send(struct vt_control *c, size_t from, size_t end)
{
	while (from < end) {
		const ssize_t n = send(c->d.fd, c->wire + from, end - from,
				       MSG_NOSIGNAL | MSG_DONTWAIT);

		/* a flood may be more than the socket takes at once */
		if (n < 0 && errno == EAGAIN && vt_control_read(c) == 0)
			continue;
		if (n < 0)
			return;
		from += (size_t)n;
	}
}

int vt_control_read(struct vt_control *c)
{
	static uint8_t buf[65536];
	ssize_t n;

	while ((n = ktls_read(c->d.lib.c, buf, sizeof(buf))) > 0)
		vt_sink_add(&c->got, buf, (size_t)n);
	c->closed |= n == 0;
	return n == 0 || errno == EAGAIN ? 0 : errno;
}

int vt_control_wait(struct vt_control *c)
{
	const int64_t end = vt_now() + VT_WAIT;
	int e;

	while ((e = vt_control_read(c)) == 0 && !c->closed &&
	       (c->got.count < c->want.count || c->want.count == 0) &&
	       CHECK(vt_now() < end, "%zu bytes of %zu", c->got.count,
		     c->want.count)) {
		struct pollfd p = {.fd = c->d.lib.fd, .events = POLLIN};

		(void)poll(&p, 1, 100);
	}
	return e;
}

/* Some of everything, up to close_notify; how many tickets it has. */
static int everything(struct vt_control *c)
{
	static const uint8_t close_notify[] = {1, 0};
	int tickets = 0;

	for (size_t i = 0; i < 6; i++) {
		vt_control_data(c, 1 + i * 97);
		if (i % 2)
			vt_control_warning(c);
		for (size_t k = 0; k < i % 3 && vt_control_tickets(c); k++) {
			vt_control_ticket(c);
			tickets++;
		}
		if (i == 3)
			vt_control_add(c, VT_APPLICATION, NULL, 0);
	}
	vt_control_data(c, 5000);
	vt_control_add(c, VT_ALERT, close_notify, 2);
	return tickets;
}

/* The same stream in pieces of so many bytes, each read before the next. */
static void pieces(struct vt_control *c, size_t piece)
{
	const int64_t end = vt_now() + VT_WAIT;
	char what[64];
	int e = 0, tickets;

	snprintf(what, sizeof(what), "pieces of %zu bytes", piece);
	if (!vt_control_open(c, what))
		return;
	tickets = everything(c);
	/* byte by byte where it matters: around control records */
	if (piece == 1)
		c->len -= 5000;
	for (size_t at = 0; at < c->len && e == 0; at += piece) {
		vt_control_send(c, at, at + piece < c->len ? at + piece : c->len);
		e = vt_control_read(c);
	}
	if (piece == 1) {
		vt_control_send(c, c->len, c->len + 5000);
		c->len += 5000;
	}
	if (e == 0)
		e = vt_control_wait(c);
	while (e == 0 && !c->closed && vt_now() < end) {
		vt_sleep_ms(1);
		e = vt_control_read(c);
	}
	CHECK(e == 0 && c->closed, "errno %d, closed %d", e, c->closed);
	CHECK(vt_control_sessions == tickets, "%d tickets of %d",
	      vt_control_sessions, tickets);
	vt_sink_same(&c->got, &c->want, "libktls");
	vt_control_free(c);
}

/*
 * A record and data behind it, in two segments at this place and the next
 * ones; a few of them on one connection. Returns the place after the last.
 */
static size_t two_segments(struct vt_control *c, bool ticket, size_t split)
{
	size_t from, n = SIZE_MAX;
	int e = 0;

	if (!vt_control_open(c, ticket ? "a ticket in two segments"
				       : "an alert in two segments"))
		return 0;
	for (int i = 0; i < FEW && split < n && e == 0; i++, split++) {
		from = c->len;
		if (ticket)
			vt_control_ticket(c);
		else
			vt_control_warning(c);
		vt_control_data(c, 3);
		n = c->len - from;
		vt_control_send(c, from, from + split);
		e = vt_control_read(c);
		vt_control_send(c, from + split, c->len);
		if (e == 0)
			e = vt_control_wait(c);
	}
	CHECK(e == 0, "errno %d", e);
	CHECK(!ticket || vt_control_sessions > 0, "no ticket");
	vt_sink_same(&c->got, &c->want, "libktls");
	vt_control_free(c);
	return split < n ? split : 0;
}

/* Warnings among data: any number of them, they only must not be on end. */
static void apart(struct vt_control *c)
{
	int e = 0;

	if (!vt_control_open(c, "warnings with data in between"))
		return;
	for (int i = 0; i < 20 && e == 0; i++) {
		const size_t from = c->len;

		vt_control_warning(c);
		vt_control_data(c, 50);
		vt_control_send(c, from, c->len);
		e = vt_control_wait(c);
	}
	CHECK(e == 0, "errno %d", e);
	vt_sink_same(&c->got, &c->want, "libktls");
	vt_control_free(c);
}

/* RFC 8446 section 5: unexpected_message */
static void unknown(struct vt_control *c, uint8_t type, size_t piece)
{
	const int64_t end = vt_now() + VT_WAIT;
	struct ktls_error error;
	char what[64];
	int e = 0;

	snprintf(what, sizeof(what), "a record of type %u, pieces of %zu", type,
		 piece);
	if (!vt_control_open(c, what))
		return;
	vt_control_data(c, 200);
	vt_control_add(c, type, vt_data, 40);
	vt_control_add(c, VT_APPLICATION, vt_data + 9000, 100);
	for (size_t at = 0; at < c->len && e == 0; at += piece) {
		vt_control_send(c, at, at + piece < c->len ? at + piece : c->len);
		e = vt_control_read(c);
	}
	/* small segments may take some time, and POLLIN means little on 6.1 */
	while (e == 0 && vt_now() < end) {
		vt_sleep_ms(1);
		e = vt_control_read(c);
	}
	CHECK(e == EPROTO, "errno %d", e);
	vt_sink_same(&c->got, &c->want, "libktls");
	vt_duo_error(&c->d, &error);
	CHECK(error.code == EPROTO && error.alert_sent == UNEXPECTED_MESSAGE,
	      "code %d, alert %d, %s", error.code, error.alert_sent, error.text);
	CHECK(vt_duo_peer_alert(&c->d) == UNEXPECTED_MESSAGE,
	      "the peer's alert");
	vt_duo_dead(&c->d, EPROTO);
	vt_control_free(c);
}

static void run(struct vt_control *c)
{
	static const uint8_t types[] = {1, 20, 24, 25, 99, 255};
	size_t split = 1;

	for (size_t piece = 1; piece < 30000; piece = piece * 7 + 4)
		pieces(c, piece);
	do
		split = two_segments(c, false, split);
	while (split > 0);
	split = 1;
	while (vt_control_tickets(c) && split > 0)
		split = two_segments(c, true, split);
	for (size_t t = 0; t < sizeof(types); t++) {
		unknown(c, types[t], 10000);
		if (types[t] == 25)
			unknown(c, types[t], 1);
	}
	vt_flood_cases(c);
}

int main(void)
{
	const int e = vt_ulp_errno();

	vt_begin("ktls-vm-control", 600);
	vt_data_init();
	vt_probed();
	for (unsigned int i = 0; i < 16; i++) {
		struct vt_control c = {
			.suite = &vt_suites[i & 1 ? 6 : 0],
			.tx = i & 2 ? KTLS_REQUIRE : KTLS_OFF,
			.rx = i & 4 ? KTLS_REQUIRE : KTLS_OFF,
			.server = i & 8,
		};

		if (e && (c.tx == KTLS_REQUIRE || c.rx == KTLS_REQUIRE))
			continue;
		apart(&c);
		run(&c);
	}
	if (e)
		vt_skip("the kernel's part: setsockopt(TCP_ULP): %s",
			strerror(e));
	return vt_end();
}
