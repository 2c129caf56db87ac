/* SPDX-License-Identifier: MIT */
/*
 * ktls_conn_new(): an SSL becomes a connection's, before its handshake or at
 * any time after it; and how it is left again.
 */
#include <errno.h>

#include <ktls/openssl.h>

#include "bio.h"
#include "conn.h"
#include "event.h"
#include "handshake.h"
#include "keys.h"
#include "offload.h"

/* What the SSL's BIO has, in the place of the socket: -ENXIO when elsewhere. */
static int check_bio(BIO *bio, int fd)
{
	int at = -1;

	if (bio)
		BIO_get_fd(bio, &at);
	return at >= 0 && at != fd ? -ENXIO : 0;
}

/* Ciphertext that waits in the BIOs, and can be taken out of them. */
static size_t unread(SSL *ssl)
{
	BIO *bio = SSL_get_rbio(ssl);
	const int n = bio ? (int)BIO_pending(bio) : 0;

	return n > 0 ? (size_t)n : 0;
}

/* Where a chain of BIOs ends that writes to memory, or NULL. */
static BIO *memory(SSL *ssl)
{
	BIO *bio = SSL_get_wbio(ssl);

	return bio && bio != SSL_get_rbio(ssl) ? BIO_find_type(bio, BIO_TYPE_MEM)
					       : NULL;
}

static size_t unsent(SSL *ssl)
{
	BIO *bio = memory(ssl);
	const int n = bio ? (int)BIO_pending(bio) : 0;

	return n > 0 ? (size_t)n : 0;
}

static int check_ssl(SSL *ssl, int fd)
{
	BIO *wbio = SSL_get_wbio(ssl);
	int r;

	if (SSL_is_dtls(ssl) || strncmp(SSL_get_version(ssl), "QUIC", 4) == 0)
		return -EPROTONOSUPPORT;
	if (SSL_get_ex_data(ssl, ktls__ssl_index()))
		return -EALREADY;
	r = check_bio(SSL_get_rbio(ssl), fd);
	if (r == 0)
		r = check_bio(wbio, fd);
	if (r < 0 || SSL_in_before(ssl))
		return r;
	if (!SSL_is_init_finished(ssl))
		return -EINPROGRESS;
	if (SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN)
		return -EPIPE;
	/* half a record that only this SSL_write() can end, or only its reader */
	if (wbio)
		(void)BIO_flush(wbio);
	if (SSL_want_write(ssl) || (wbio && BIO_wpending(wbio) > 0))
		return -EBUSY;
	return 0;
}

static bool room(struct ktls__buf *b, size_t n)
{
	return n == 0 || ktls__buf_room(b, n);
}

/* There is room for it, which is filled piece by piece if the BIO likes. */
static void take(BIO *bio, size_t n, struct ktls__buf *to)
{
	while (n > 0) {
		const int got =
			BIO_read(bio, ktls__buf_data(to) + to->len, (int)n);

		if (got <= 0)
			return;
		to->len += (uint32_t)got;
		n -= (size_t)got;
	}
}

/* One that closes its socket when it is freed, as SSL_set_bio() does. */
static void keep_open(BIO *bio, int fd)
{
	int at = -1;

	if (bio)
		BIO_get_fd(bio, &at);
	if (at == fd)
		(void)BIO_set_close(bio, BIO_NOCLOSE);
}

/* Takes the SSL over; nothing after this fails. */
static void adopt(struct ktls_conn *c, SSL *ssl)
{
	c->ssl = ssl;
	SSL_up_ref(ssl);
	keep_open(SSL_get_rbio(ssl), c->fd);
	keep_open(SSL_get_wbio(ssl), c->fd);
	/* one reference for us, one for SSL_set_bio() to own */
	BIO_up_ref(c->bio);
	SSL_set_bio(ssl, c->bio, c->bio);
	SSL_clear_options(ssl, SSL_OP_ENABLE_KTLS);
	/* else a ticket would end a read early, with data still to be had */
	SSL_set_mode(ssl, SSL_MODE_AUTO_RETRY);
	/* the BIO takes all, whatever SSL_set_max_send_fragment() makes of it */
	SSL_clear_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
	if (c->tx.asked != KTLS_OFF || c->rx.asked != KTLS_OFF)
		/* it would change keys that the kernel may have */
		SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
	c->next_info = SSL_get_info_callback(ssl);
	SSL_set_info_callback(ssl, ktls__info_callback);
}

static void go_on(struct ktls_conn *c)
{
	/* what it has read ahead it has; see find_boundary() of bio.c */
	SSL_set_read_ahead(c->ssl, 0);
	c->tx.track.lost = true;
	c->rx.track.lost = true;
	c->rx.track.within = true;
	c->inside = SSL_has_pending(c->ssl) != 0;
	ktls__keys_adopt(c);
	ktls__handshaken(c);
	/* KTLS_REQUIRE that cannot be is what every call says */
	(void)ktls__offload_start(c);
}

static int attach(struct ktls_conn *c, SSL *ssl)
{
	const bool done = !SSL_in_before(ssl);
	const size_t in = unread(ssl), out = unsent(ssl);
	int r;

	c->bio = ktls__bio_new(c);
	if (!c->bio || !room(&c->early, in) || !room(&c->out, out) ||
	    !SSL_set_ex_data(ssl, ktls__ssl_index(), c))
		return -ENOMEM;
	r = ktls__conn_nonblock(c);
	if (r < 0) {
		SSL_set_ex_data(ssl, ktls__ssl_index(), NULL);
		return r;
	}
	take(SSL_get_rbio(ssl), in, &c->early);
	take(memory(ssl), out, &c->out);
	adopt(c, ssl);
	ktls__event_new(c);
	if (done)
		go_on(c);
	return 0;
}

struct ktls_conn *ktls_conn_new(SSL *ssl, int fd, const struct ktls_policy *policy)
{
	struct ktls_conn *c = NULL;
	int r = ssl ? 0 : -EINVAL;

	if (r == 0 && ktls__ssl_index() < 0)
		r = -ENOMEM;
	if (r == 0)
		r = ktls__conn_make(&c, fd, policy, false);
	if (r == 0)
		r = check_ssl(ssl, fd);
	if (r == 0)
		r = attach(c, ssl);
	if (r == 0)
		return c;
	if (c) {
		BIO_free(c->bio);
		ktls__conn_wipe(c);
	}
	errno = -r;
	return NULL;
}
