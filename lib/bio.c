/* SPDX-License-Identifier: MIT */
/*
 * The BIO that OpenSSL reads and writes through. It counts records, never
 * lets OpenSSL read into the next one, takes every record it is given whole,
 * and translates control records once a direction is in the kernel. OpenSSL
 * never hears of errors or of the stream's end, only "try again"; result.c
 * looks at bio_*_errno and eof. So an error has one result everywhere.
 */
#include "bio.h"

#include <errno.h>

#include "account.h"
#include "keys.h"
#include "record.h"
#include "rekey.h"
#include "sys.h"
#include "wire.h"

enum {
	/* a handshake flight the peer does not read; data is one record */
	OUT_MAX = 256 * 1024,
	FRAME = 3 /* bytes in front of a control record in out */
};

static int flush_ciphertext(struct ktls_conn *c)
{
	while (c->out.len > 0) {
		ssize_t n = ktls__sys_send(c->fd, ktls__buf_data(&c->out),
					   c->out.len);

		if (n < 0)
			return (int)n;
		ktls__buf_drop(&c->out, (size_t)n);
	}
	return 0;
}

/* What the kernel took of the first control record. */
static void control_sent(struct ktls_conn *c, size_t len, size_t sent)
{
	uint8_t *p = ktls__buf_data(&c->out);
	const uint8_t type = p[0];
	const size_t gone = sent < len ? sent : FRAME + len;

	c->open_kernel = 0;
	c->plain += sent;
	ktls__control_count(&c->tx, type);
	ktls__buf_drop(&c->out, gone);
	c->old_key -= gone < c->old_key ? (uint32_t)gone : c->old_key;
	if (sent == len)
		return;
	/* the kernel made a record of a part: frame the rest anew */
	len -= sent;
	p = ktls__buf_data(&c->out);
	p[0] = type;
	p[1] = (uint8_t)(len >> 8);
	p[2] = (uint8_t)len;
}

static int flush_control(struct ktls_conn *c)
{
	for (;;) {
		const uint8_t *p = ktls__buf_data(&c->out);
		ssize_t n;

		/* our KeyUpdate has gone: nothing goes before the new key */
		if (c->old_key == 0 && c->tx.generation != c->tx.installed) {
			/* once: the next key would be one too many */
			n = c->tx_dead == EKEYEXPIRED
				    ? -EKEYEXPIRED
				    : ktls__rekey_install(c, KTLS_TX);
		} else if (c->out.len == 0) {
			return 0;
		} else {
			const size_t len = (size_t)p[1] << 8 | p[2];

			n = ktls__account_close(c);
			if (n == 0)
				n = ktls__record_send(c->fd, p[0], p + FRAME,
						      len);
			if (n >= 0)
				control_sent(c, len, (size_t)n);
		}
		if (n < 0)
			return (int)n;
	}
}

int ktls__out_flush(struct ktls_conn *c)
{
	if (c->tx.mode == KTLS_MODE_KERNEL)
		return flush_control(c);
	return flush_ciphertext(c);
}

bool ktls__out_control(struct ktls_conn *c, uint8_t type, const uint8_t *p,
		       size_t n)
{
	uint8_t *to = ktls__buf_room(&c->out, FRAME + n);

	if (!to)
		return false;
	to[0] = type;
	to[1] = (uint8_t)(n >> 8);
	to[2] = (uint8_t)n;
	memcpy(to + FRAME, p, n);
	c->out.len += (uint32_t)(FRAME + n);
	return true;
}

/* The record OpenSSL just wrote, to a control record for the kernel. */
static int translate(struct ktls_conn *c)
{
	struct ktls__track *t = &c->tx.track;
	struct ktls__protection p;
	size_t padding;
	uint8_t type, *plain;
	ssize_t n;
	int r = 0;

	if (!t->kept)
		return -ENOMEM;
	plain = malloc(t->last.len);
	if (!plain)
		return -ENOMEM;
	if (ktls__keys_derive(c, KTLS_TX, &p) != KTLS_REASON_NONE) {
		r = -EIO;
		goto out;
	}
	n = ktls__aead_open(&p, t->seq - 1, ktls__buf_data(&t->last),
			    t->last.len, plain, &type, &padding);
	if (n < 0)
		r = (int)n;
	else if (type == KTLS__APPLICATION_DATA)
		/* SSL_write() is not called any more: only empty ones */
		r = n == 0 ? 0 : -EIO;
	else if (type == KTLS__HANDSHAKE && n > 0 && plain[0] == KTLS__KEY_UPDATE)
		/* an answer, which OpenSSL gives whenever it likes */
		c->rekey = !c->shutdown;
	else if (!ktls__out_control(c, type, plain, (size_t)n))
		r = -ENOMEM;
	explicit_bzero(plain, t->last.len);
out:
	explicit_bzero(&p, sizeof(p));
	free(plain);
	return r;
}

static int write_control(struct ktls_conn *c, const uint8_t *p, size_t n)
{
	/* a peer that makes OpenSSL answer and does not read */
	if (c->out.len > OUT_MAX)
		return -ENOBUFS;
	while (n > 0) {
		size_t want = ktls__track_want(&c->tx.track);
		size_t k = n < want ? n : want;

		ktls__track(&c->tx.track, p, k);
		if (ktls__track_aligned(&c->tx.track)) {
			int r = translate(c);

			if (r < 0)
				return r;
		}
		p += k;
		n -= k;
	}
	return 0;
}

static int write_ciphertext(struct ktls_conn *c, const uint8_t *p, size_t n)
{
	ssize_t sent = ktls__out_flush(c);

	if (sent == -EAGAIN && c->out.len > OUT_MAX)
		return -EAGAIN;
	if (sent == 0)
		sent = ktls__sys_send(c->fd, p, n);
	/* of these nothing was taken; ktls__flush() meets them again */
	if (sent == -EAGAIN || sent == -ENOBUFS || sent == -ENOMEM)
		sent = 0;
	if (sent < 0)
		return (int)sent;
	if ((size_t)sent < n &&
	    !ktls__buf_append(&c->out, p + sent, n - (size_t)sent))
		return -ENOMEM;
	ktls__track(&c->tx.track, p, n);
	return 0;
}

static int bio_write(BIO *bio, const char *buf, int len)
{
	struct ktls_conn *c = BIO_get_data(bio);
	int r;

	BIO_clear_retry_flags(bio);
	/* OpenSSL would use the nonce of our alert again */
	if (!c || len <= 0 || c->sealed)
		return -1;
	/* nothing follows close_notify: the answers to what still comes */
	if (c->shutdown > KTLS__NOTIFY)
		return len;
	if (c->tx.mode == KTLS_MODE_KERNEL)
		r = write_control(c, (const uint8_t *)buf, (size_t)len);
	else
		r = write_ciphertext(c, (const uint8_t *)buf, (size_t)len);
	if (r == 0)
		return len;
	if (r != -EAGAIN)
		c->bio_tx_errno = (short)-r;
	BIO_set_retry_write(bio);
	return -1;
}

static ssize_t read_feed(struct ktls_conn *c, char *buf, size_t len)
{
	size_t n = len < c->feed.len ? len : c->feed.len;

	if (n == 0)
		return -EAGAIN;
	memcpy(buf, ktls__buf_data(&c->feed), n);
	ktls__buf_drop(&c->feed, n);
	return (ssize_t)n;
}

/*
 * Of an adopted SSL nobody knows how far it is in a record. It says so: it asks
 * for what it still wants of a header or a body, and read-ahead is off.
 */
static size_t find_boundary(struct ktls_conn *c, size_t len)
{
	struct ktls__track *t = &c->rx.track;

	if (t->within && len == KTLS__HEADER &&
	    strcmp(SSL_rstate_string(c->ssl), "RH") == 0)
		t->within = false;
	return t->within ? len : ktls__track_want(t);
}

static void follow(struct ktls_conn *c, const char *buf, size_t n, size_t wanted)
{
	struct ktls__track *t = &c->rx.track;

	if (!t->within)
		ktls__track(t, (const uint8_t *)buf, n);
	else if (n == wanted && strcmp(SSL_rstate_string(c->ssl), "RB") == 0)
		t->within = false;
}

static int bio_read(BIO *bio, char *buf, int len)
{
	struct ktls_conn *c = BIO_get_data(bio);
	size_t want;
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (!c || len <= 0)
		return -1;
	want = find_boundary(c, (size_t)len);
	if ((size_t)len < want)
		want = (size_t)len;
	if (c->rx.mode == KTLS_MODE_KERNEL)
		n = read_feed(c, buf, want);
	else
		n = ktls__wire_recv(c, buf, want);
	if (n > 0) {
		follow(c, buf, (size_t)n, want);
		return (int)n;
	}
	if (n == 0)
		c->eof = true;
	else if (n != -EAGAIN)
		c->bio_rx_errno = (short)-n;
	BIO_set_retry_read(bio);
	return -1;
}

int ktls__bio_feed(struct ktls_conn *c, uint8_t type, const uint8_t *p, size_t n)
{
	struct ktls__protection prot;
	uint8_t *to = ktls__buf_room(&c->feed, n + KTLS__EXPANSION_MAX);
	ssize_t r = -ENOMEM;

	if (to && ktls__keys_derive(c, KTLS_RX, &prot) == KTLS_REASON_NONE) {
		ktls__aead_nonce(&prot, c->rx.track.seq);
		r = ktls__aead_seal(&prot, c->rx.track.seq, type, p, n, to);
		explicit_bzero(&prot, sizeof(prot));
	}
	if (r < 0)
		return (int)r;
	c->feed.len += (uint32_t)r;
	return 0;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	struct ktls_conn *c;

	(void)num;
	switch (cmd) {
	case BIO_CTRL_FLUSH:
		/* written, or in out, which ktls__out_flush() sees to */
		return 1;
	case BIO_C_GET_FD:
		c = BIO_get_data(bio);
		if (!c)
			return -1;
		if (ptr)
			*(int *)ptr = c->fd;
		return c->fd;
	}
	/*
	 * Among the rest is BIO_CTRL_SET_KTLS: an answer other than 0 would
	 * make OpenSSL write plaintext.
	 */
	return 0;
}

static int bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

/* Made once for the process; never freed, as BIOs may outlive connections. */
static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static BIO_METHOD *method;

static void make_method(void)
{
	BIO_METHOD *m;

	m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "libktls");
	if (!m)
		return;
	if (!BIO_meth_set_write(m, bio_write) ||
	    !BIO_meth_set_read(m, bio_read) || !BIO_meth_set_ctrl(m, bio_ctrl) ||
	    !BIO_meth_set_create(m, bio_create)) {
		BIO_meth_free(m);
		return;
	}
	method = m;
}

BIO *ktls__bio_new(struct ktls_conn *c)
{
	BIO *bio;

	if (!CRYPTO_THREAD_run_once(&once, make_method) || !method)
		return NULL;
	bio = BIO_new(method);
	if (bio)
		BIO_set_data(bio, c);
	return bio;
}

void ktls__info_callback(const SSL *ssl, int where, int ret)
{
	struct ktls_conn *c = SSL_get_ex_data(ssl, ktls__ssl_index());
	void (*next)(const SSL *, int, int) = c ? c->next_info : NULL;

	if (c && (where & SSL_CB_ALERT)) {
		if (where & SSL_CB_READ)
			c->error.alert_received = ret & 0xff;
		else
			c->error.alert_sent = ret & 0xff;
	}
	if (!next)
		next = SSL_CTX_get_info_callback(SSL_get_SSL_CTX(ssl));
	if (next)
		next(ssl, where, ret);
}

void ktls__ssl_leave(struct ktls_conn *c)
{
	SSL *ssl;

	/* OpenSSL may keep the BIO, which reaches nothing any more */
	BIO_set_data(c->bio, NULL);
	BIO_free(c->bio);
	SSL_set_ex_data(c->ssl, ktls__ssl_index(), NULL);
	if (SSL_get_info_callback(c->ssl) == ktls__info_callback)
		SSL_set_info_callback(c->ssl, c->next_info);
	ssl = c->ssl;
	c->ssl = NULL;
	c->bio = NULL;
	/* callbacks of the caller's may be its last words */
	SSL_free(ssl);
}
