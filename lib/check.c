/* SPDX-License-Identifier: MIT */
/* Keys that go to another place, checked against the last record. */
#include "check.h"

#include <errno.h>

#include "keys.h"

/* records of an adopted SSL before its first one here, at most */
enum { SEARCH = 1024 };

/* Of an adopted SSL the record's number is found by trying. */
static ssize_t open_last(const struct ktls__protection *p,
			 struct ktls__track *t, uint8_t *plain, size_t *padding)
{
	uint8_t type;
	ssize_t n;

	for (uint64_t before = 0;; before++) {
		n = ktls__aead_open(p, before + t->seq - 1,
				    ktls__buf_data(&t->last), t->last.len,
				    plain, &type, padding);
		if (n >= 0) {
			t->seq += before;
			t->lost = false;
		}
		if (n != -EBADMSG || !t->lost || before == SEARCH)
			return n;
	}
}

/*
 * Decrypts the last record of this direction with the keys and the number we
 * are about to give away. KTLS_REASON_PENDING: that record was not kept.
 */
static uint32_t check_keys(struct ktls_conn *c, int dir,
			   struct ktls__protection *p)
{
	struct ktls__track *t = &ktls__half(c, dir)->track;
	uint8_t *plain;
	uint32_t reason = KTLS_REASON_NONE;
	size_t padding;
	ssize_t n;

	/* nothing but what made the keys could check them */
	if (!c->ssl)
		return reason;
	if (t->seq == 0 && !t->lost) {
		/* TLS 1.2 always has a Finished to check */
		return p->version == KTLS__TLS13 ? reason : KTLS_REASON_KEY_CHECK;
	}
	if (!t->kept)
		return KTLS_REASON_PENDING;
	plain = malloc(t->last.len);
	if (!plain)
		return KTLS_REASON_OPENSSL;
	n = open_last(p, t, plain, &padding);
	if (n < 0)
		reason = KTLS_REASON_KEY_CHECK;
	else if (padding > 0 && dir == KTLS_TX)
		reason = KTLS_REASON_PADDING;
	explicit_bzero(plain, t->last.len);
	free(plain);
	return reason;
}

/*
 * RFC 5288 section 3: the explicit nonce must never repeat under a key.
 * OpenSSL starts anywhere and counts up, so the kernel goes on from there.
 */
static void continue_nonce(struct ktls__protection *p,
			   const struct ktls__track *t)
{
	uint8_t *nonce = p->keys.iv + p->cipher->salt;

	memcpy(nonce, ktls__buf_data(&t->last) + KTLS__HEADER, 8);
	for (int i = 7; i >= 0 && ++nonce[i] == 0; i--)
		;
}

uint32_t ktls__check_keys(struct ktls_conn *c, int dir,
			  struct ktls__protection *p)
{
	uint32_t reason;

	if (c->ssl && SSL_get_current_compression(c->ssl))
		return KTLS_REASON_COMPRESSION;
	reason = ktls__keys_derive(c, dir, p);
	if (reason == KTLS_REASON_NONE)
		reason = check_keys(c, dir, p);
	if (reason == KTLS_REASON_NONE && dir == KTLS_TX && c->ssl &&
	    ktls__cipher_explicit_nonce(p->cipher, p->version))
		continue_nonce(p, &c->tx.track);
	return reason;
}
