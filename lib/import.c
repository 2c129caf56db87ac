/* SPDX-License-Identifier: MIT */
/*
 * ktls_import(): a connection comes from another process. Nothing in its image
 * is believed that would be dangerous if it were not so.
 */
#include <errno.h>

#include <ktls/raw.h>

#include "account.h"
#include "conn.h"
#include "device.h"
#include "event.h"
#include "image.h"
#include "offload.h"
#include "rekey.h"
#include "size.h"

static bool is_record_size(uint32_t n)
{
	return n >= 64 && n <= KTLS__RECORD_MAX;
}

static bool half_is_sane(const struct ktls__image_half *h,
			 const struct ktls__image *i,
			 const struct ktls__cipher *cipher)
{
	return h->mode <= KTLS_MODE_KERNEL && h->has_keys <= 1 &&
	       (h->has_keys || h->mode == KTLS_MODE_KERNEL) &&
	       (h->secret_len == 0 ||
		(i->version == KTLS__TLS13 &&
		 h->secret_len == ktls__cipher_secret(cipher)));
}

static int check_image(const struct ktls__image *i, const uint8_t *rest,
		       size_t len)
{
	const struct ktls__cipher *cipher = ktls__cipher_of(i->cipher);
	uint8_t digest[32];

	if (memcmp(i->magic, KTLS__MAGIC, sizeof(i->magic)) != 0)
		return -EBADMSG;
	if (i->format != KTLS__FORMAT)
		return -EPROTONOSUPPORT;
	if (len != i->size ||
	    len != sizeof(*i) + (uint64_t)i->ahead + (uint64_t)i->early)
		return -EMSGSIZE;
	if (!ktls__image_digest(i, rest, len - sizeof(*i), digest))
		return -ENOMEM;
	if (memcmp(digest, i->digest, sizeof(digest)) != 0)
		return -EBADMSG;
	if (!cipher || (i->version != KTLS__TLS12 && i->version != KTLS__TLS13) ||
	    (i->flags & ~(uint32_t)KTLS__ALL_FLAGS) ||
	    i->suite_name[KTLS__NAME - 1] != '\0' ||
	    !is_record_size(i->record_peer) || !is_record_size(i->record_kernel) ||
	    (cipher->tls12_only && i->version != KTLS__TLS12) ||
	    (i->tx.secret_len == 0) != (i->rx.secret_len == 0) ||
	    !half_is_sane(&i->tx, i, cipher) || !half_is_sane(&i->rx, i, cipher))
		return -EBADMSG;
	return 0;
}

/* Whether the socket has a key, and which, is what the image says of it. */
static int half_in(struct ktls_conn *c, int dir, const struct ktls__image_half *in)
{
	struct ktls__half *h = ktls__half(c, dir);
	const bool kernel = in->mode == KTLS_MODE_KERNEL;
	uint16_t key[2];

	if ((ktls__conn_key(c->fd, dir, key) == 0) != kernel ||
	    (kernel && (key[0] != c->version || key[1] != c->cipher->id)))
		return -ESTALE;
	h->mode = (uint8_t)in->mode;
	h->secret_len = (uint8_t)in->secret_len;
	memcpy(h->secret, in->secret, sizeof(h->secret));
	h->generation = 1;
	h->installed = kernel;
	h->settled = kernel;
	h->reason = KTLS_REASON_NONE;
	h->track.seq = in->seq;
	h->track.keep_all = true;
	if (!in->has_keys)
		return 0;
	h->own = calloc(1, sizeof(*h->own));
	if (!h->own)
		return -ENOMEM;
	memcpy(h->own->key, in->key, sizeof(in->key));
	memcpy(h->own->iv, in->iv, sizeof(in->iv));
	return 0;
}

static int image_in(struct ktls_conn *c, const struct ktls__image *i,
		    const uint8_t *rest)
{
	uint64_t cookie, bytes, seq;
	int r = ktls__cookie(c->fd, &cookie);

	if (r == 0)
		r = ktls__account_handed(c, &bytes);
	if (r == 0 && (cookie != i->cookie || bytes != i->handed))
		r = -ESTALE;
	if (r < 0)
		return r;
	c->version = (uint16_t)i->version;
	c->cipher = ktls__cipher_of(i->cipher);
	c->suite = (uint16_t)i->suite;
	c->suite_name = *i->suite_name ? strdup(i->suite_name) : NULL;
	c->suite_own = true;
	c->closed = (i->flags & KTLS__CLOSED) != 0;
	c->no_pad = (i->flags & KTLS__NO_PAD) != 0;
	c->zerocopy = (i->flags & KTLS__ZEROCOPY) != 0;
	c->credit = (i->flags & KTLS__CREDIT) != 0;
	c->credit_gone = (i->flags & KTLS__CREDIT_GONE) != 0;
	c->silent = (i->flags & KTLS__SILENT) != 0;
	c->record_peer = i->record_peer;
	c->record_kernel = i->record_kernel;
	r = half_in(c, KTLS_TX, &i->tx);
	if (r == 0)
		r = half_in(c, KTLS_RX, &i->rx);
	if (r == 0 && (!ktls__buf_append(&c->ahead, rest, i->ahead) ||
		       !ktls__buf_append(&c->early, rest + i->ahead, i->early)))
		r = -ENOMEM;
	if (c->tx.mode == KTLS_MODE_KERNEL) {
		memcpy(c->tx_secret, c->tx.secret, sizeof(c->tx_secret));
		explicit_bzero(c->tx.secret, sizeof(c->tx.secret));
	}
	if (r == 0 && c->tx.mode == KTLS_MODE_KERNEL) {
		r = ktls__account_seq(c, KTLS_TX, &seq);
		if (r == 0)
			r = ktls__account_start(c, seq);
	}
	return r == 0 ? ktls__conn_nonblock(c) : r;
}

/* Nothing after this fails. */
static void go_on(struct ktls_conn *c, bool blocking)
{
	c->restore_fl |= blocking;
	c->ulp = c->tx.mode == KTLS_MODE_KERNEL || c->rx.mode == KTLS_MODE_KERNEL;
	c->handshaken = true;
	c->rx.bytes = c->ahead.len;
	ktls__event_new(c);
	ktls__rekey_limit(c, c->tx.mode == KTLS_MODE_KERNEL);
	if (c->tx.mode == KTLS_MODE_KERNEL)
		ktls__size_calls(c);
	ktls__device_zerocopy(c);
	ktls__offload_no_pad(c);
	/* what is not in the kernel yet is for this policy to decide */
	(void)ktls__offload_start(c);
}

struct ktls_conn *ktls_import(int fd, const void *buf, size_t len,
			      const struct ktls_policy *policy)
{
	struct ktls_conn *c = NULL;
	struct ktls__image image;
	int r = buf ? -EMSGSIZE : -EINVAL;

	memset(&image, 0, sizeof(image));
	if (buf && len >= offsetof(struct ktls__image, size)) {
		memcpy(&image, buf, len < sizeof(image) ? len : sizeof(image));
		r = check_image(&image, (const uint8_t *)buf + sizeof(image),
				len);
	}
	if (r == 0)
		r = ktls__conn_make(&c, fd, policy, true);
	if (r == 0)
		r = image_in(c, &image, (const uint8_t *)buf + sizeof(image));
	if (r == 0)
		go_on(c, (image.flags & KTLS__BLOCKING) != 0);
	explicit_bzero(&image, sizeof(image));
	if (r == 0)
		return c;
	if (c)
		ktls__conn_wipe(c);
	errno = -r;
	return NULL;
}
