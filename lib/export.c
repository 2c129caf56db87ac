/* SPDX-License-Identifier: MIT */
/* ktls_export(): a connection goes to another process of this host. */
#include <errno.h>
#include <poll.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <ktls/raw.h>

#include "account.h"
#include "bio.h"
#include "check.h"
#include "image.h"
#include "keys.h"
#include "open.h"
#include "read.h"
#include "result.h"
#include "size.h"

/* a peer that only sends parts of messages, and data between them */
enum { AHEAD_MAX = 1024 * 1024 };

/* What OpenSSL has decrypted goes along. */
static int gather(struct ktls_conn *c)
{
	size_t got = 0;
	uint8_t *p;
	int n;

	while (c->ssl && (n = SSL_pending(c->ssl)) > 0) {
		p = ktls__buf_room(&c->ahead, (size_t)n);
		if (!p)
			return -ENOMEM;
		ktls__ssl_begin();
		if (SSL_read_ex(c->ssl, p, (size_t)n, &got) != 1)
			return ktls__ssl_result(c, 0, "SSL_read");
		c->ahead.len += (uint32_t)got;
		c->rx.bytes += got;
	}
	return 0;
}

/* Some of a record is here, or of a message of several. */
static bool half_done(const struct ktls_conn *c)
{
	return (c->rx.mode == KTLS_MODE_USER &&
		!ktls__track_aligned(&c->rx.track)) ||
	       (c->rx.mode == KTLS_MODE_KERNEL &&
		c->rx.generation != c->rx.installed) ||
	       c->control.len > 0 || c->feed.len > 0 ||
	       (c->ssl && SSL_in_init(c->ssl));
}

/* OpenSSL answers a KeyUpdate when it sends something: now. */
static void answer(struct ktls_conn *c)
{
	if (c->ssl && SSL_is_init_finished(c->ssl) &&
	    SSL_get_key_update_type(c->ssl) != SSL_KEY_UPDATE_NONE)
		c->rekey = true;
}

static ssize_t settle_tx(struct ktls_conn *c)
{
	ssize_t r = ktls__open_close(c);
	int64_t unsent;

	if (r == 0)
		r = ktls__flush(c);
	if (r < 0)
		return r;
	unsent = ktls__account_unsent(c);
	if (unsent < 0)
		return ktls__fail_tx(c, (int)-unsent, "getsockopt");
	return unsent > 0 ? ktls__again(c, POLLOUT) : 0;
}

/* The rest of it comes, and what is in it goes along. */
static ssize_t settle_rx(struct ktls_conn *c)
{
	ssize_t r;

	while (half_done(c)) {
		if (c->ahead.len > AHEAD_MAX)
			return -EBUSY;
		r = ktls__receive_more(c);
		/* what ended may have been a ticket */
		if (r < 0 && (c->dead || half_done(c)))
			return r;
		if (r == 0)
			break;
	}
	return gather(c);
}

/* Nothing is half done: no record, no message, no byte that is not in TCP. */
static ssize_t settle(struct ktls_conn *c)
{
	ssize_t r;

	do {
		answer(c);
		r = settle_tx(c);
		if (r == 0)
			r = settle_rx(c);
		answer(c);
		/* in the middle of a message that never ends none is made */
	} while (r == 0 && (c->out.len > 0 || (c->rekey && !c->closed)));
	/* what failed on the way goes to nobody */
	return r == 0 ? ktls__ready(c, KTLS_TX) : r;
}

static uint32_t user_keys(struct ktls_conn *c, int dir,
			  struct ktls__protection *p)
{
	uint32_t reason = ktls__check_keys(c, dir, p);

	if (reason != KTLS_REASON_PENDING || ktls__half(c, dir)->track.lost)
		return reason;
	/* the last record was not kept, and its nonce not known */
	reason = ktls__keys_derive(c, dir, p);
	if (reason == KTLS_REASON_NONE && dir == KTLS_TX &&
	    ktls__cipher_explicit_nonce(p->cipher, p->version) &&
	    RAND_bytes(p->keys.iv + p->cipher->salt, 8) != 1)
		reason = KTLS_REASON_OPENSSL;
	return reason;
}

static int half_out(struct ktls_conn *c, int dir, struct ktls__image_half *out)
{
	const struct ktls__half *h = ktls__half(c, dir);
	const bool kernel = h->mode == KTLS_MODE_KERNEL;
	struct ktls__protection p;
	uint32_t reason = KTLS_REASON_NONE;

	memset(&p, 0, sizeof(p));
	if (!kernel)
		reason = user_keys(c, dir, &p);
	else if (h->own)
		p.keys = *h->own;
	out->mode = h->mode;
	out->has_keys = !kernel || h->own;
	out->seq = h->track.seq;
	memcpy(out->key, p.keys.key, sizeof(out->key));
	memcpy(out->iv, p.keys.iv, sizeof(out->iv));
	explicit_bzero(&p, sizeof(p));
	out->secret_len = h->secret_len;
	memcpy(out->secret, kernel && dir == KTLS_TX ? c->tx_secret : h->secret,
	       sizeof(out->secret));
	if (reason == KTLS_REASON_NONE)
		return 0;
	return ktls__failed(c, ENOTSUP, "ktls_export", 0, 0,
			    ktls_reason_str((enum ktls_reason)reason));
}

bool ktls__image_digest(const struct ktls__image *image, const void *rest,
			size_t n, uint8_t digest[32])
{
	struct ktls__image plain = *image;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok;

	memset(plain.digest, 0, sizeof(plain.digest));
	ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
	     EVP_DigestUpdate(md, &plain, sizeof(plain)) &&
	     EVP_DigestUpdate(md, rest, n) &&
	     EVP_DigestFinal_ex(md, digest, NULL);
	EVP_MD_CTX_free(md);
	explicit_bzero(&plain, sizeof(plain));
	return ok;
}

static int image_out(struct ktls_conn *c, struct ktls__image *out, size_t size)
{
	int r;

	memset(out, 0, sizeof(*out));
	memcpy(out->magic, KTLS__MAGIC, sizeof(out->magic));
	out->format = KTLS__FORMAT;
	out->size = (uint32_t)size;
	out->version = c->version;
	out->cipher = ktls__cipher_bit(c->cipher);
	out->suite = c->suite;
	if (c->suite_name)
		strncpy(out->suite_name, c->suite_name, KTLS__NAME - 1);
	out->flags = (c->restore_fl ? KTLS__BLOCKING : 0) |
		     (c->closed ? KTLS__CLOSED : 0) |
		     (c->no_pad ? KTLS__NO_PAD : 0) |
		     (c->zerocopy ? KTLS__ZEROCOPY : 0) |
		     (c->credit ? KTLS__CREDIT : 0) |
		     (c->credit_gone ? KTLS__CREDIT_GONE : 0) |
		     ((c->ssl ? SSL_get_quiet_shutdown(c->ssl) : c->silent)
			      ? KTLS__SILENT
			      : 0);
	out->record_peer = c->record_peer;
	out->record_kernel = c->record_kernel;
	out->ahead = c->ahead.len;
	out->early = c->early.len;
	r = ktls__cookie(c->fd, &out->cookie);
	if (r < 0)
		return ktls__failed(c, -r, "getsockopt(SO_COOKIE)", -r, 0, NULL);
	r = ktls__account_handed(c, &out->handed);
	if (r < 0)
		return ktls__failed(c, -r, "getsockopt(TCP_INFO)", -r, 0, NULL);
	r = half_out(c, KTLS_TX, &out->tx);
	return r < 0 ? r : half_out(c, KTLS_RX, &out->rx);
}

static ssize_t export(struct ktls_conn *c, uint8_t *buf, size_t size)
{
	struct ktls__image image;
	size_t total;
	ssize_t r;

	if (!c || (!buf && size > 0))
		return -EINVAL;
	do {
		r = ktls__ready(c, KTLS_TX);
		if (r < 0)
			return r;
		c->wants = 0;
		c->hold = false;
		r = settle(c);
		/* what is on its way to TCP is ktls_flush()'s to wait for */
	} while (r == -EAGAIN && c->wants == POLLIN && ktls__retry(c, &r));
	if (r < 0)
		return r;
	total = sizeof(image) + c->ahead.len + c->early.len;
	if (size == 0)
		return (ssize_t)total;
	if (size < total)
		return -ERANGE;
	if (c->ssl)
		ktls__keys_note(c);
	r = image_out(c, &image, total);
	if (r == 0) {
		uint8_t *rest = buf + sizeof(image);

		if (c->ahead.len > 0)
			memcpy(rest, ktls__buf_data(&c->ahead), c->ahead.len);
		if (c->early.len > 0)
			memcpy(rest + c->ahead.len, ktls__buf_data(&c->early),
			       c->early.len);
		if (!ktls__image_digest(&image, rest, total - sizeof(image),
					image.digest))
			r = ktls__fail(c, ENOMEM, "EVP_DigestUpdate", 0);
		memcpy(buf, &image, sizeof(image));
	}
	if (r == 0) {
		ktls__size_end(c);
		c->detached = true;
		r = (ssize_t)total;
	}
	if (r < 0)
		explicit_bzero(buf, total);
	explicit_bzero(&image, sizeof(image));
	return r;
}

ssize_t ktls_export(struct ktls_conn *c, void *buf, size_t size)
{
	ktls__enter(c);
	return ktls__leave(c, export(c, buf, size));
}
