/* SPDX-License-Identifier: MIT */
/* KeyUpdate of TLS 1.3, RFC 8446 section 4.6.3, for keys in the kernel. */
#ifndef KTLS_REKEY_H
#define KTLS_REKEY_H

#include "state.h"

/* Packs and sets a key of this direction with this record number; 0, -errno. */
int ktls__key_set(struct ktls_conn *c, int dir,
		  const struct ktls__protection *p, uint64_t seq);

/*
 * Gives the kernel the key that OpenSSL has by now: for TX right behind our
 * KeyUpdate, before anything else is sent. 0, or the connection's failure.
 */
int ktls__rekey_install(struct ktls_conn *c, int dir);

/*
 * The kernel pauses at every handshake record that begins like a KeyUpdate:
 * where it is none, or a part of one, it goes on with the key it has. 0, or
 * the failure.
 */
int ktls__rekey_resume(struct ktls_conn *c);

/*
 * After OpenSSL has read: follows the KeyUpdates it met, and answers. 0, or
 * -EKEYEXPIRED with an alert to the peer when the kernel cannot.
 */
int ktls__rekey_follow(struct ktls_conn *c);

/*
 * Makes the KeyUpdate that c->rekey says is due and sends it, as far as it
 * goes. c->out is empty. 0, -EAGAIN, -errno.
 */
int ktls__rekey_begin(struct ktls_conn *c);

/*
 * The policy's limit to c->rekey_limit, as it is in effect for TX in user
 * space, or in the kernel.
 */
void ktls__rekey_limit(struct ktls_conn *c, bool kernel);

/* Records of this direction under its present key; 0 when nobody says. */
uint64_t ktls__rekey_records(const struct ktls_conn *c, int dir);

/* Sets c->rekey when so many are reached with the next n bytes. */
void ktls__rekey_look(struct ktls_conn *c);

/* Before a step that sends; what it sent is taken off by ktls__rekey_sent(). */
static inline void ktls__rekey_check(struct ktls_conn *c)
{
	if (c->rekey_limit > 0 && c->rekey_room == 0)
		ktls__rekey_look(c);
}

/*
 * n bytes went out. Nobody counts the kernel's records but the kernel: there
 * are at most two more than one in 16 bytes, as a record has room for 17
 * fragments (MAX_SKB_FRAGS) of one byte at least.
 */
static inline void ktls__rekey_sent(struct ktls_conn *c, size_t n)
{
	const uint64_t most = n / 16 + 2;

	c->rekey_room -= most < c->rekey_room ? most : c->rekey_room;
}

#endif
