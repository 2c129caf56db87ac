/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-doors: connections that came to libktls by another way than its
 * handshake, or lost their SSL, carry data like any other, both ways in the
 * kernel: adopted SSLs, keys, images of another process, release_ssl.
 */
#include "vmtest.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ktls/raw.h>

enum { SIZE = 300000, SIZES = 7 };

enum door { SOCKET_BIO, MEMORY_BIO, IMAGE, IMAGE_USER, RELEASED, DOORS };

static const char *const names[DOORS] = {
	"adopted, socket BIO",
	"adopted, memory BIOs",
	"imported",
	"imported from user space",
	"released",
};

/* The kernel's after a record of each direction, at the latest. */
static struct ktls_policy policy_of(enum door door)
{
	struct ktls_policy p = vt_policy(KTLS_REQUIRE, KTLS_REQUIRE);

	if (door == IMAGE_USER)
		p.tx = p.rx = KTLS_OFF;
	p.release_ssl = door == RELEASED;
	return p;
}

/* What the SSL made goes to the socket, what the socket has to the SSL. */
static bool pump(SSL *ssl, int fd, bool wait)
{
	uint8_t buf[4096];
	ssize_t n;
	int k;

	while ((k = BIO_read(SSL_get_wbio(ssl), buf, sizeof(buf))) > 0)
		if (!CHECK(write(fd, buf, (size_t)k) == k, "write: %d", errno))
			return false;
	if (!wait)
		return true;
	if (!CHECK(vt_poll(fd, POLLIN), "nothing came in the handshake"))
		return false;
	n = read(fd, buf, sizeof(buf));
	return CHECK(n > 0, "read: %zd, errno %d", n, errno) &&
	       BIO_write(SSL_get_rbio(ssl), buf, (int)n) == n;
}

static bool openssl_handshake(struct vt_end *e, enum door door)
{
	bool ok = true;
	int r;

	if (door == MEMORY_BIO)
		SSL_set_bio(e->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	else
		MUST(SSL_set_fd(e->ssl, e->fd) == 1);
	while (ok && (r = SSL_do_handshake(e->ssl)) != 1) {
		const int error = SSL_get_error(e->ssl, r);

		ok = CHECK(error == SSL_ERROR_WANT_READ, "SSL error %d", error);
		if (ok && door == MEMORY_BIO)
			ok = pump(e->ssl, e->fd, true);
		else if (ok)
			ok = CHECK(vt_poll(e->fd, POLLIN), "no handshake");
	}
	/* what the handshake ended with waits in the BIO: for libktls */
	return ok;
}

static bool adopt(struct vt_line *l, enum door door)
{
	const struct ktls_policy policy = policy_of(door);
	SSL *ssl = l->e.ssl;
	bool ok;

	SSL_up_ref(ssl);
	ktls_conn_free(l->e.c);
	l->e.c = NULL;
	ok = openssl_handshake(&l->e, door);
	if (ok)
		l->e.c = ktls_conn_new(ssl, l->e.fd, &policy);
	SSL_free(ssl);
	return CHECK(!ok || l->e.c, "ktls_conn_new: errno %d", errno) && ok &&
	       CHECK(ktls_handshake(l->e.c) == 0, "ktls_handshake: %d", errno);
}

static bool hand_over(struct vt_line *l)
{
	const struct ktls_policy policy = policy_of(IMAGE);
	uint8_t image[65536], other[65536];
	struct ktls_conn *c;
	ssize_t n, m;

	CHECK(ktls_flush(l->e.c, VT_WAIT) == 0, "ktls_flush: errno %d", errno);
	n = ktls_export(l->e.c, NULL, 0);
	if (!CHECK(n > 0, "ktls_export: errno %d", errno))
		return false;
	m = ktls_export(l->e.c, image, sizeof(image));
	CHECK(m == n, "ktls_export: %zd, and then %zd", n, m);
	CHECK(ktls_write(l->e.c, "x", 1) == -1 && errno == ENOTCONN,
	      "a write after ktls_export(): errno %d", errno);
	ktls_conn_free(l->e.c);
	memcpy(other, image, sizeof(image));
	other[n / 2] ^= 1;
	c = ktls_import(l->e.fd, other, (size_t)n, &policy);
	CHECK(!c && errno == EBADMSG, "a damaged image: errno %d", errno);
	c = ktls_import(l->e.fd, image, (size_t)n - 1, &policy);
	CHECK(!c && errno == EMSGSIZE, "a part of an image: errno %d", errno);
	c = ktls_import(l->p.fd, image, (size_t)n, &policy);
	CHECK(!c && errno == ESTALE, "another socket's image: errno %d", errno);
	l->e.c = ktls_import(l->e.fd, image, (size_t)n, &policy);
	return CHECK(l->e.c, "ktls_import: errno %d", errno);
}

/* Both directions are in the kernel, by the time they have carried data. */
static void check_modes(struct vt_line *l, enum door door)
{
	struct ktls_info i = {.size = sizeof(i)};

	MUST(ktls_get_info(l->e.c, &i) == 0);
	CHECK(i.tx.mode != KTLS_MODE_USER && i.rx.mode != KTLS_MODE_USER,
	      "tx is %s (%s), rx %s (%s)", ktls_mode_str(i.tx.mode),
	      vt_reason(i.tx.reason), ktls_mode_str(i.rx.mode),
	      vt_reason(i.rx.reason));
	CHECK((uint32_t)l->kind->suite->version == i.version && i.cipher_name,
	      "version 0x%x, cipher %s", i.version,
	      i.cipher_name ? i.cipher_name : "none");
	CHECK((i.release_ssl == 1) == (door >= IMAGE), "release_ssl is %u",
	      i.release_ssl);
	CHECK(ktls_raw_io(l->e.c) == (KTLS_TX | KTLS_RX), "raw_io is %d",
	      ktls_raw_io(l->e.c));
}

static bool receive(struct vt_line *l, size_t n)
{
	uint8_t buf[20000];

	while (n > 0) {
		const ssize_t r = ktls_read(l->e.c, buf,
					    n < sizeof(buf) ? n : sizeof(buf));

		if (r < 0 && vt_line_again(l, "ktls_read"))
			continue;
		if (!CHECK(r > 0, "ktls_read: %zd", r))
			return false;
		vt_sink_add(&l->e.in, buf, (size_t)r);
		n -= (size_t)r;
	}
	return true;
}

static bool rekey(struct vt_line *l)
{
	struct ktls_info i = {.size = sizeof(i)};

	if (l->kind->suite->version != TLS1_3_VERSION || vt_rekey_errno() != 0)
		return true;
	MUST(ktls_get_info(l->e.c, &i) == 0);
	return CHECK(i.tx.rekeys > 0, "no new key for TX") &&
	       CHECK(i.rx.rekeys > 0, "no new key for RX");
}

static void try(const struct vt_kind *kind, enum door door)
{
	static const size_t sizes[SIZES] = {1,	   16384, 16385, 100000,
					    65536, 1000,  50000};
	const struct ktls_policy policy = policy_of(door);
	const bool keys =
		kind->suite->version == TLS1_3_VERSION && vt_rekey_errno() == 0;
	struct vt_line l;
	bool ok;

	vt_case("%s, %s", vt_kind_name(kind), names[door]);
	vt_line_init(&l, kind, &policy, NULL);
	vt_stream_init(&l.p.out, 1000, sizes, SIZES);
	if (keys) {
		l.p.rekey_each = 100000;
		l.p.rekeys = 1;
	}
	vt_peer_start(&l.p);
	if (door == SOCKET_BIO || door == MEMORY_BIO)
		ok = adopt(&l, door);
	else
		ok = CHECK(vt_end_handshake(&l.e) == 0, "ktls_handshake: %d",
			   errno);
	if (ok && (door == IMAGE || door == IMAGE_USER))
		ok = hand_over(&l);
	ok = ok && vt_line_send(&l, VT_WRITE, 0, 20000) &&
	     receive(&l, l.p.out.total / 2) &&
	     vt_line_send(&l, VT_FILE, 20000, SIZE) &&
	     receive(&l, l.p.out.total - l.p.out.total / 2);
	if (ok && keys)
		ok = CHECK(ktls_rekey(l.e.c, 0) == 0, "ktls_rekey: %d", errno) &&
		     vt_line_send(&l, VT_SPLICE, 20000 + SIZE, 40000) &&
		     rekey(&l);
	if (ok)
		check_modes(&l, door);
	else
		l.cut = true;
	vt_sink_check(&l.e.in, &l.p.out, ok ? l.p.out.total : 0, "libktls");
	vt_line_close(&l);
	vt_wire_free(&l.w);
}

int main(void)
{
	vt_begin("ktls-vm-doors", 400);
	vt_data_init();
	if (vt_ulp_errno() != 0) {
		vt_skip("this kernel has no kernel TLS");
		return vt_end();
	}
	vt_probed();
	for (size_t i = 0; i < vt_n_suites; i++) {
		const struct vt_suite *s = &vt_suites[i];

		if (!vt_suite_known(s) || s->slow ||
		    vt_kernel_errno(s, KTLS_TX) != 0)
			continue;
		for (int server = 0; server < 2; server++) {
			const struct vt_kind kind = {s, KTLS_REQUIRE,
						     KTLS_REQUIRE, server != 0,
						     false};

			for (int door = 0; door < DOORS; door++)
				try(&kind, (enum door)door);
		}
	}
	return vt_end();
}
