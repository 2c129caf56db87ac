/* SPDX-License-Identifier: MIT */
/*
 * New keys for the kernel, exactly between the last record under the old one
 * and the first under the new one. OpenSSL reads the peer's KeyUpdates; those
 * that we send from the kernel are made here. ktls_rekey() asks for one.
 */
#include "rekey.h"

#include <errno.h>

#include "account.h"
#include "bio.h"
#include "keys.h"
#include "probe.h"
#include "result.h"
#include "sys.h"
#include "wire.h"

int ktls__key_set(struct ktls_conn *c, int dir,
		  const struct ktls__protection *p, uint64_t seq)
{
	uint8_t info[KTLS__CRYPTO_INFO_MAX];
	const size_t size =
		ktls__cipher_pack(p->cipher, p->version, &p->keys, seq, info);
	const int r = ktls__sys_setsockopt(c->fd, KTLS__SOL_TLS,
					   dir == KTLS_TX ? KTLS__TLS_TX
							  : KTLS__TLS_RX,
					   info, (socklen_t)size);

	explicit_bzero(info, sizeof(info));
	/* where the new key went is a new question */
	ktls__half(c, dir)->told = KTLS_MODE_USER;
	return r;
}

static int expired(struct ktls_conn *c, const char *call, int sys_errno)
{
	const int r = ktls__failed(c, EKEYEXPIRED, call, sys_errno, 0,
				   "the keys in the kernel cannot be changed");

	c->dead = EKEYEXPIRED;
	ktls__send_alert(c, KTLS__INTERNAL_ERROR);
	return r;
}

int ktls__rekey_install(struct ktls_conn *c, int dir)
{
	struct ktls__half *h = ktls__half(c, dir);
	struct ktls__protection p;
	int r = -EIO;

	if (dir == KTLS_RX)
		h->records += ktls__rekey_records(c, dir);
	if ((dir == KTLS_TX ? ktls__keys_next(c, &p)
			    : ktls__keys_derive(c, dir, &p)) == KTLS_REASON_NONE) {
		r = dir == KTLS_TX ? ktls__account_rekey(c) : 0;
		if (r == 0)
			/* RFC 8446 section 5.3: from 0 with each new key */
			r = ktls__key_set(c, dir, &p, 0);
	}
	explicit_bzero(&p, sizeof(p));
	if (r < 0 && dir == KTLS_TX)
		c->tx_dead = EKEYEXPIRED;
	if (r < 0)
		return expired(c,
			       dir == KTLS_TX ? "setsockopt(TLS_TX)"
					      : "setsockopt(TLS_RX)",
			       -r);
	h->installed = h->generation;
	if (dir == KTLS_TX)
		c->rekey_room = c->rekey_limit;
	ktls__event_rekey(c, dir);
	return 0;
}

int ktls__rekey_resume(struct ktls_conn *c)
{
	struct ktls__protection p;
	uint64_t seq;
	int r = ktls__account_seq(c, KTLS_RX, &seq);

	if (r == 0 && ktls__keys_derive(c, KTLS_RX, &p) != KTLS_REASON_NONE)
		r = -EIO;
	if (r == 0) {
		r = ktls__key_set(c, KTLS_RX, &p, seq);
		explicit_bzero(&p, sizeof(p));
	}
	return r < 0 ? expired(c, "setsockopt(TLS_RX)", -r) : 0;
}

/* OpenSSL writes one: in user space it is ours, else a sign (bio.c). */
static int openssl_update(struct ktls_conn *c, bool request)
{
	int r;

	ktls__ssl_begin();
	r = SSL_key_update(c->ssl, request ? SSL_KEY_UPDATE_REQUESTED
					   : SSL_KEY_UPDATE_NOT_REQUESTED);
	if (r == 1)
		r = SSL_do_handshake(c->ssl);
	if (r == 1)
		return 0;
	r = ktls__ssl_result(c, r, "SSL_key_update");
	return r < 0 && r != -EAGAIN ? r : -EPROTO;
}

int ktls__rekey_follow(struct ktls_conn *c)
{
	int r = 0;

	if (c->rx.mode == KTLS_MODE_KERNEL && c->rx.generation != c->rx.installed)
		r = ktls__rekey_install(c, KTLS_RX);
	/* behind close_notify nothing is answered; in user space OpenSSL does */
	if (r < 0 || c->shutdown || (c->ssl && c->tx.mode != KTLS_MODE_KERNEL))
		return r;
	/* in the middle of a message from the peer it makes none yet */
	if (c->ssl && SSL_get_key_update_type(c->ssl) != SSL_KEY_UPDATE_NONE &&
	    SSL_is_init_finished(c->ssl))
		r = openssl_update(c, false);
	if (r < 0 || !c->rekey)
		return r;
	/* never a KeyUpdate that cannot be followed: the peer would be lost */
	r = c->tx.mode == KTLS_MODE_KERNEL ? ktls__probe_rekey() : 1;
	if (r <= 0)
		return expired(c, "KeyUpdate", -r);
	if (!c->tx_dead)
		(void)ktls__flush(c);
	return c->dead ? -c->dead : 0;
}

/*
 * In user space it is OpenSSL's. With TX in the kernel OpenSSL's never goes
 * out (bio.c): it may make several while one of ours waits.
 */
int ktls__rekey_begin(struct ktls_conn *c)
{
	const uint8_t update[] = {KTLS__KEY_UPDATE, 0, 0, 1, c->rekey_request};
	int r;

	if (c->tx.mode == KTLS_MODE_KERNEL) {
		if (!ktls__out_control(c, KTLS__HANDSHAKE, update, sizeof(update)))
			return -ENOMEM;
		/* the new key follows it, before there is another one */
		c->old_key = c->out.len;
		c->tx.generation++;
		c->tx.rekeys++;
	} else if (!c->ssl) {
		r = ktls__wire_seal(c, KTLS__HANDSHAKE, update, sizeof(update));
		if (r == 0)
			r = ktls__wire_rekey(c, KTLS_TX);
		if (r < 0)
			return r;
	} else {
		/* in the middle of a message from the peer it makes none */
		if (!SSL_is_init_finished(c->ssl))
			return 0;
		r = openssl_update(c, c->rekey_request);
		if (r < 0)
			return r;
	}
	c->rekey = false;
	c->rekey_request = false;
	return ktls__out_flush(c);
}

uint64_t ktls__rekey_records(const struct ktls_conn *c, int dir)
{
	const struct ktls__half *h = dir == KTLS_TX ? &c->tx : &c->rx;
	uint64_t seq;

	if (h->mode == KTLS_MODE_USER)
		return h->track.seq;
	return ktls__account_seq(c, dir, &seq) == 0 ? seq : 0;
}

void ktls__rekey_look(struct ktls_conn *c)
{
	const uint64_t records = ktls__rekey_records(c, KTLS_TX);

	c->rekey_room = 0;
	/* one waits to be sent: its key begins anew */
	if (c->tx.mode == KTLS_MODE_KERNEL && c->tx.generation != c->tx.installed)
		return;
	if (records < c->rekey_limit)
		c->rekey_room = c->rekey_limit - records;
	else if (c->tx.mode == KTLS_MODE_USER || ktls__probe_rekey() > 0)
		c->rekey = true;
}

void ktls__rekey_limit(struct ktls_conn *c, bool kernel)
{
	uint64_t limit = c->policy.rekey_after;

	if (!c->handshaken || ktls__keys_reason(c) != KTLS_REASON_NONE ||
	    c->version != KTLS__TLS13 || (!c->ssl && c->tx.secret_len == 0))
		limit = 0;
	else if (c->cipher->records && limit > c->cipher->records)
		limit = c->cipher->records;
	if (limit > 0 && kernel && ktls__probe_rekey() == 0)
		limit = 0;
	c->rekey_limit = limit;
	if (limit > 0)
		ktls__rekey_look(c);
}

static ssize_t rekey(struct ktls_conn *c, bool request)
{
	const bool tx = c->tx.mode == KTLS_MODE_KERNEL;
	const bool rx = c->rx.mode == KTLS_MODE_KERNEL && request;
	ssize_t r = ktls__ready(c, KTLS_TX);

	if (r < 0)
		return r;
	if (c->version != KTLS__TLS13)
		return ktls__failed(c, ENOTSUP, "ktls_rekey", 0, 0,
				    "TLS 1.2 has no KeyUpdate");
	if (!c->ssl && c->tx.secret_len == 0)
		return ktls__failed(c, ENOTSUP, "ktls_rekey", 0, 0,
				    "there is a key, but no secret");
	r = tx || rx ? ktls__probe_rekey() : 1;
	if (r <= 0)
		return ktls__failed(c, ENOTSUP, "ktls_rekey", (int)-r, 0,
				    "the kernel cannot change keys");
	c->rekey = true;
	c->rekey_request |= request;
	c->hold = false;
	r = ktls__flush(c);
	/* what waits is sent before any other record */
	return r == -EAGAIN ? 0 : r;
}

int ktls_rekey(struct ktls_conn *c, int request_peer)
{
	ktls__enter(c);
	return (int)ktls__leave(c, c ? rekey(c, request_peer != 0) : -EINVAL);
}
