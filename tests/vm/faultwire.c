/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-faults: records that are damaged, repeated, swapped or lost, and
 * connections that end within one.
 */
#include "faults.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECORDS = 3, BYTES = 600, HEADER = 5 };

/* What the peer sends, caught: RECORDS of BYTES bytes. */
struct caught {
	uint8_t p[RECORDS][BYTES + 256];
	size_t len[RECORDS];
};

static bool open_and_catch(struct vt_duo *d, const struct vt_mode *m,
			   struct caught *c)
{
	if (!vt_mode_open(d, m))
		return false;
	/* a client has its tickets then */
	vt_duo_to_peer(d, 3, 3000);
	vt_duo_to_lib(d, 3, 3000);
	for (int i = 0; i < RECORDS; i++)
		c->len[i] = vt_duo_catch(d, vt_data + i * BYTES, BYTES, c->p[i],
					 sizeof(c->p[i]));
	return true;
}

static void deliver(struct vt_duo *d, const uint8_t *p, size_t n)
{
	MUST(send(d->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n);
}

/* The beginning of the data, n bytes of it, then a failure: its errno. */
static int reads(struct vt_duo *d, size_t n)
{
	uint8_t buf[RECORDS * BYTES];
	size_t done = 0;
	ssize_t r;

	while ((r = vt_duo_lib_read(d, buf, sizeof(buf))) > 0) {
		if (!CHECK((size_t)r <= n - done &&
				   memcmp(buf, vt_data + done, (size_t)r) == 0,
			   "%zd after %zu of %zu, or other bytes", r, done, n))
			return 0;
		done += (size_t)r;
	}
	r = r < 0 ? errno : 0;
	/* asynchronous crypto of TLS 1.2 may lose them to the failure */
	CHECK(done == n || r == EBADMSG, "%zu of %zu bytes", done, n);
	return (int)r;
}

/* Whole records in another order: every one of them counts. */
static void orders(const struct vt_mode *m)
{
	static const struct {
		const char *what;
		int records[4]; /* -1: no more */
		size_t good;
	} order[] = {
		{"repeated", {0, 0, 1, -1}, BYTES},
		{"repeated later", {0, 1, 0, -1}, 2 * BYTES},
		{"swapped", {1, 0, 2, -1}, 0},
		{"swapped later", {0, 2, 1, -1}, BYTES},
		{"lost", {1, 2, -1, 0}, 0},
		{"lost in between", {0, 2, -1, 0}, BYTES},
	};
	struct caught c;
	struct vt_duo d;
	int e;

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		vt_case("%s: a record is %s", vt_mode_name(m), order[i].what);
		if (!open_and_catch(&d, m, &c))
			return;
		for (const int *r = order[i].records; *r >= 0; r++)
			deliver(&d, c.p[*r], c.len[*r]);
		e = reads(&d, order[i].good);
		CHECK(e == EBADMSG, "errno %d", e);
		vt_bad_mac(&d, m);
		vt_duo_drop(&d);
	}
}

/* One byte, anywhere; TCP ends behind the records. */
static void damages(const struct vt_mode *m)
{
	static const size_t places[] = {0, 1, 2, 3, 4, 5, 9, 13, 21, 300};
	const bool tls13 = m->suite->version == TLS1_3_VERSION;
	struct caught c;
	struct vt_duo d;

	for (size_t i = 0; i < 2 * sizeof(places) / sizeof(places[0]); i++) {
		const bool from_end = i % 2;
		const size_t place = places[i / 2];
		int e;

		if (!open_and_catch(&d, m, &c))
			return;
		vt_case("%s: byte %zu %s is damaged", vt_mode_name(m), place,
			from_end ? "from the end" : "of a record");
		c.p[1][from_end ? c.len[1] - 1 - place : place] ^= 0x40;
		for (int r = 0; r < RECORDS; r++)
			deliver(&d, c.p[r], c.len[r]);
		shutdown(d.fd, SHUT_WR);
		/*
		 * The kernel does not look at the type outside, which says
		 * nothing in TLS 1.3; a greater length waits for more.
		 */
		if (!from_end && place == 0 && tls13 && m->rx) {
			e = reads(&d, RECORDS * BYTES);
			CHECK(e == ECONNABORTED, "errno %d", e);
		} else {
			e = reads(&d, BYTES);
			if (from_end || place >= HEADER)
				CHECK(e == EBADMSG, "errno %d", e);
			else
				CHECK(e == EBADMSG || e == EPROTO, "errno %d", e);
			vt_duo_dead(&d, e);
		}
		vt_duo_drop(&d);
	}
}

/* TCP ends after n bytes of the second record. */
static void cut(const struct vt_mode *m, size_t n)
{
	struct ktls_error error;
	struct caught c;
	struct vt_duo d;
	char byte;
	int e;

	if (!open_and_catch(&d, m, &c))
		return;
	if (n > c.len[1])
		n = c.len[1] - 1;
	vt_case("%s: FIN after %zu bytes of a record", vt_mode_name(m), n);
	deliver(&d, c.p[0], c.len[0]);
	deliver(&d, c.p[1], n);
	shutdown(d.fd, SHUT_WR);
	e = reads(&d, BYTES);
	CHECK(e == ECONNABORTED, "errno %d", e);
	for (int i = 0; i < 2; i++)
		CHECK(vt_duo_lib_read(&d, &byte, 1) == -1 && errno == ECONNABORTED,
		      "again: errno %d", errno);
	vt_duo_error(&d, &error);
	CHECK(error.code == ECONNABORTED && error.alert_sent == -1,
	      "code %d, alert %d", error.code, error.alert_sent);
	/* the other direction is as it was */
	vt_duo_to_peer(&d, 9, 20000);
	CHECK(ktls_close(d.lib.c, 2000) == 0, "ktls_close: errno %d", errno);
	d.lib.c = NULL;
	CHECK(vt_duo_peer_read(&d, &byte, 1) == 0, "no close_notify");
	vt_duo_drop(&d);
}

/* The same by a reset; what came before may be lost with it. */
static void reset(const struct vt_mode *m, size_t n)
{
	const struct linger linger = {.l_onoff = 1};
	struct caught c;
	struct vt_duo d;
	char byte = 0;
	int e;

	vt_case("%s: RST after %zu bytes of a record", vt_mode_name(m), n);
	if (!open_and_catch(&d, m, &c))
		return;
	deliver(&d, c.p[0], c.len[0]);
	e = vt_duo_lib_read(&d, &byte, 1) == 1 ? 0 : errno;
	CHECK(e == 0 && (uint8_t)byte == vt_data[0], "errno %d", e);
	if (n)
		deliver(&d, c.p[1], n);
	MUST(setsockopt(d.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) ==
	     0);
	close(d.fd);
	d.fd = -1;
	/* the rest of a record that has been decrypted may still be there */
	do
		e = vt_duo_lib_read(&d, c.p[0], sizeof(c.p[0])) > 0 ? 0 : errno;
	while (e == 0);
	CHECK(e == ECONNRESET, "ktls_read: errno %d", e);
	for (int i = 0; i < 2; i++) {
		CHECK(ktls_read(d.lib.c, &byte, 1) == -1 && errno == ECONNRESET,
		      "again: errno %d", errno);
		CHECK(ktls_write(d.lib.c, &byte, 1) == -1 &&
			      (errno == ECONNRESET || errno == EPIPE),
		      "ktls_write: errno %d", errno);
	}
	CHECK(ktls_close(d.lib.c, 1000) == -1, "ktls_close");
	d.lib.c = NULL;
	vt_duo_drop(&d);
}

void vt_wire_cases(const struct vt_mode *m)
{
	/* who is the client makes no difference, but takes time */
	if (m->server) {
		damages(m);
		return;
	}
	orders(m);
	for (size_t n = 1; n < 7; n++)
		cut(m, n);
	cut(m, 300);
	cut(m, SIZE_MAX);
	reset(m, 0);
	reset(m, 3);
	reset(m, 300);
}
