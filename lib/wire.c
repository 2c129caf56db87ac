/* SPDX-License-Identifier: MIT */
/*
 * Records in user space where there is no SSL to make them: libcrypto's AEAD,
 * and the numbers and nonces that go with it.
 */
#include "wire.h"

#include <errno.h>

#include "event.h"
#include "keys.h"
#include "sys.h"

ssize_t ktls__wire_recv(struct ktls_conn *c, void *buf, size_t len)
{
	const size_t n = len < c->early.len ? len : c->early.len;

	if (n == 0)
		return ktls__sys_recv(c->fd, buf, len);
	memcpy(buf, ktls__buf_data(&c->early), n);
	ktls__buf_drop(&c->early, n);
	return (ssize_t)n;
}

/* RFC 5288 section 3: the explicit nonce must never repeat under a key. */
static void next_nonce(const struct ktls_conn *c, struct ktls__keys *own)
{
	uint8_t *nonce = own->iv + c->cipher->salt;

	if (ktls__cipher_explicit_nonce(c->cipher, c->version))
		for (int i = 7; i >= 0 && ++nonce[i] == 0; i--)
			;
}

int ktls__wire_seal(struct ktls_conn *c, uint8_t type, const uint8_t *p, size_t n)
{
	struct ktls__protection prot;
	uint8_t *to = ktls__buf_room(&c->out, n + KTLS__EXPANSION_MAX);
	ssize_t r = -EIO;

	if (!to)
		return -ENOMEM;
	if (ktls__keys_derive(c, KTLS_TX, &prot) == KTLS_REASON_NONE)
		r = ktls__aead_seal(&prot, c->tx.track.seq, type, p, n, to);
	explicit_bzero(&prot, sizeof(prot));
	if (r < 0)
		return (int)r;
	c->out.len += (uint32_t)r;
	c->tx.track.seq++;
	next_nonce(c, c->tx.own);
	return 0;
}

/* The whole record that the track has kept, decrypted. */
static int open_kept(struct ktls_conn *c, struct ktls__buf *to, uint8_t *type)
{
	struct ktls__track *t = &c->rx.track;
	struct ktls__protection prot;
	uint8_t *plain = ktls__buf_room(to, t->last.len);
	size_t padding;
	ssize_t n = -EIO;

	if (!plain || !t->kept) {
		/* what has been read of it is lost */
		c->dead = ENOMEM;
		return -ENOMEM;
	}
	if (ktls__keys_derive(c, KTLS_RX, &prot) == KTLS_REASON_NONE)
		n = ktls__aead_open(&prot, t->seq - 1, ktls__buf_data(&t->last),
				    t->last.len, plain, type, &padding);
	explicit_bzero(&prot, sizeof(prot));
	/* an idle connection does without the room for a record */
	ktls__track_drop(t);
	if (n > KTLS__RECORD_MAX)
		return -EMSGSIZE;
	if (n > 0)
		to->len += (uint32_t)n;
	return n < 0 ? (int)n : 1;
}

/*
 * Whether it may be a header, as far as it has come: it has come whole when
 * have is 0. The version is the kernel's to check, too (net/tls/tls_sw.c,
 * tls_rx_msg_size()); a ChangeCipherSpec would begin the numbers again.
 */
static bool is_header(const uint8_t *header, uint32_t have)
{
	return header[0] >= KTLS__ALERT && header[0] <= KTLS__APPLICATION_DATA &&
	       ((have > 0 && have < KTLS__HEADER) ||
		(header[1] == 3 && header[2] == 3));
}

int ktls__wire_open(struct ktls_conn *c, struct ktls__buf *to, uint8_t *type)
{
	struct ktls__track *t = &c->rx.track;
	uint8_t part[KTLS__RECORD_MAX];
	ssize_t n;

	do {
		const size_t want = ktls__track_want(t);

		n = ktls__wire_recv(c, part,
				    want < sizeof(part) ? want : sizeof(part));
		if (n <= 0)
			return (int)n;
		ktls__track(t, part, (size_t)n);
		/* of an empty one too, which is over with its header */
		if (!is_header(t->header, t->have))
			return -EPROTO;
		if (t->left > KTLS__RECORD_MAX + KTLS__EXPANSION_MAX)
			return -EMSGSIZE;
	} while (!ktls__track_aligned(t));
	return open_kept(c, to, type);
}

int ktls__wire_rekey(struct ktls_conn *c, int dir)
{
	struct ktls__half *h = ktls__half(c, dir);
	struct ktls__keys next;

	if (ktls__kdf_update(c->cipher->digest, h->secret, h->secret_len) < 0)
		return -EIO;
	h->generation++;
	h->rekeys++;
	if (h->mode == KTLS_MODE_KERNEL)
		return 0;
	if (ktls__kdf_tls13(c->cipher, c->cipher->digest, h->secret,
			    h->secret_len, &next) < 0)
		return -EIO;
	*h->own = next;
	explicit_bzero(&next, sizeof(next));
	h->records += h->track.seq;
	ktls__track_rekey(&h->track);
	ktls__event_rekey(c, dir);
	return 0;
}
