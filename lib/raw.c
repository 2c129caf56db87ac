/* SPDX-License-Identifier: MIT */
/*
 * Connections made of keys that another TLS library negotiated, and callers
 * that use the socket themselves.
 */
#include <errno.h>

#include <ktls/raw.h>

#include "conn.h"
#include "event.h"
#include "offload.h"
#include "rekey.h"
#include "result.h"

/* bytes that another library may have read ahead */
enum { RAW_MAX = 16 * 1024 * 1024 };

/* Fields that the library does not know, and which are not 0. */
static bool is_newer(const struct ktls_keys *k)
{
	const uint8_t *tail = (const uint8_t *)k;

	for (size_t i = sizeof(*k); k && i < k->size; i++)
		if (tail[i] != 0)
			return true;
	return false;
}

/* The size that the first release had; reserved fields of it are 0. */
static bool is_whole(const struct ktls_keys *k)
{
	static const uint8_t none[sizeof(k->reserved2)];

	return k && k->size >= sizeof(*k) && k->reserved == 0 &&
	       memcmp(k->reserved2, none, sizeof(none)) == 0 &&
	       (k->plain || k->plain_len == 0) && (k->wire || k->wire_len == 0) &&
	       k->plain_len <= RAW_MAX && k->wire_len <= RAW_MAX;
}

static int check_keys(const struct ktls_keys *k, const struct ktls__cipher *cipher)
{
	const bool salted = ktls__cipher_explicit_nonce(cipher, k->version);

	if (k->secret_len > 0)
		return k->version == KTLS__TLS13 && k->key_len == 0 &&
				       k->iv_len == 0 &&
				       k->secret_len ==
					       ktls__cipher_secret(cipher)
			       ? 0
			       : -EINVAL;
	return k->key_len == cipher->key &&
			       (k->iv_len == KTLS__IV ||
				(salted && k->iv_len == cipher->salt))
		       ? 0
		       : -EINVAL;
}

/* All of it, so that nothing fails later. */
static int check_both(const struct ktls_keys *tx, const struct ktls_keys *rx,
		      const struct ktls__cipher **cipher)
{
	int r;

	if (is_newer(tx) || is_newer(rx))
		return -E2BIG;
	if (!is_whole(tx) || !is_whole(rx) || tx->plain_len > 0 ||
	    tx->wire_len > 0 || tx->version != rx->version ||
	    tx->cipher != rx->cipher ||
	    /* a KeyUpdate of one direction may ask for the other's */
	    (tx->secret_len == 0) != (rx->secret_len == 0))
		return -EINVAL;
	*cipher = ktls__cipher_of(tx->cipher);
	if (!*cipher ||
	    (tx->version != KTLS__TLS12 && tx->version != KTLS__TLS13) ||
	    ((*cipher)->tls12_only && tx->version != KTLS__TLS12))
		return -EPROTONOSUPPORT;
	r = check_keys(tx, *cipher);
	return r < 0 ? r : check_keys(rx, *cipher);
}

/* The half's own keys, from what the caller gave. */
static int half_keys(struct ktls_conn *c, struct ktls__half *h,
		     const struct ktls_keys *k)
{
	struct ktls__protection p = {.cipher = c->cipher, .version = c->version};

	h->own = calloc(1, sizeof(*h->own));
	if (!h->own)
		return -ENOMEM;
	h->track.seq = k->seq;
	h->track.keep_all = true;
	h->generation = 1;
	h->secret_len = (uint8_t)k->secret_len;
	if (k->secret_len > 0) {
		memcpy(h->secret, k->secret, k->secret_len);
		return ktls__kdf_tls13(c->cipher, c->cipher->digest, h->secret,
				       h->secret_len, h->own);
	}
	memcpy(p.keys.key, k->key, k->key_len);
	memcpy(p.keys.iv, k->iv, k->iv_len);
	if (k->iv_len < KTLS__IV)
		/* as GnuTLS and others have it; any that was not used would do */
		ktls__aead_nonce(&p, k->seq);
	*h->own = p.keys;
	explicit_bzero(&p, sizeof(p));
	return 0;
}

static int from_keys(struct ktls_conn *c, const struct ktls_keys *tx,
		     const struct ktls_keys *rx,
		     const struct ktls__cipher *cipher)
{
	int r;

	c->version = (uint16_t)tx->version;
	c->cipher = cipher;
	if (c->version == KTLS__TLS13) {
		c->suite = cipher->suite;
		c->suite_name = cipher->suite_name;
	}
	r = half_keys(c, &c->tx, tx);
	if (r == 0)
		r = half_keys(c, &c->rx, rx);
	if (r == 0 && (!ktls__buf_append(&c->ahead, rx->plain, rx->plain_len) ||
		       !ktls__buf_append(&c->early, rx->wire, rx->wire_len)))
		r = -ENOMEM;
	if (r == 0)
		r = ktls__conn_nonblock(c);
	return r;
}

struct ktls_conn *ktls_conn_from_keys(int fd, const struct ktls_keys *tx,
				      const struct ktls_keys *rx,
				      const struct ktls_policy *policy)
{
	const struct ktls__cipher *cipher;
	struct ktls_conn *c = NULL;
	int r = check_both(tx, rx, &cipher);

	if (r == 0)
		r = ktls__conn_make(&c, fd, policy, false);
	if (r == 0)
		r = from_keys(c, tx, rx, cipher);
	if (r < 0) {
		if (c)
			ktls__conn_wipe(c);
		errno = -r;
		return NULL;
	}
	ktls__event_new(c);
	c->rx.bytes = c->ahead.len;
	c->handshaken = true;
	ktls__rekey_limit(c, false);
	/* KTLS_REQUIRE that cannot be is what every call says */
	(void)ktls__offload_start(c);
	return c;
}

/* What the library itself still has to do with the socket comes first. */
static int raw_io(struct ktls_conn *c)
{
	int may = 0;

	if (ktls__ready(c, KTLS_TX) == 0 && c->tx.mode == KTLS_MODE_KERNEL) {
		ktls__rekey_check(c);
		if (c->out.len == 0 && !c->rekey && !c->credit &&
		    c->tx.generation == c->tx.installed)
			may |= KTLS_TX;
		/* a new key in the middle of what it sends would be its end */
		c->hold |= may != 0;
	}
	if (ktls__ready(c, KTLS_RX) == 0 && c->rx.mode == KTLS_MODE_KERNEL &&
	    c->ahead.len == 0 && !(c->ssl && SSL_pending(c->ssl) > 0) &&
	    c->rx.generation == c->rx.installed && !c->closed)
		may |= KTLS_RX;
	return may;
}

int ktls_raw_io(const struct ktls_conn *c)
{
	ktls__enter(c);
	/* what it looks at is behind the lock */
	return (int)ktls__leave(c, c ? raw_io((struct ktls_conn *)(uintptr_t)c)
				     : -EINVAL);
}

static int raw_sent(struct ktls_conn *c, size_t n)
{
	if (!c || c->tx.mode != KTLS_MODE_KERNEL)
		return -EINVAL;
	if (c->detached)
		return -ENOTCONN;
	c->plain += n;
	c->tx.kernel_bytes += n;
	c->tx.bytes += n;
	ktls__rekey_sent(c, n);
	/* nobody said whether the last record is open */
	if (n > 0)
		c->open_kernel = KTLS__RECORD_MAX;
	return 0;
}

int ktls_raw_sent(struct ktls_conn *c, size_t n)
{
	ktls__enter(c);
	return (int)ktls__leave(c, raw_sent(c, n));
}
