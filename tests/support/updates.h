/* SPDX-License-Identifier: MIT */
/* KeyUpdates as the OpenSSL peer of a connection sends and sees them. */
#ifndef UPDATES_H
#define UPDATES_H

#include "modes.h"

/* Of what has come from the library, since the last updates_watch(). */
struct updates {
	unsigned int n[2];    /* by request_update */
	uint64_t last_at;     /* bytes that the peer had read at the last one */
	unsigned int largest; /* most of them without a byte in between */
	unsigned int run;
	unsigned int records; /* under the present key */
	/*
	 * Under any key, KeyUpdates included; from OpenSSL 3.2 on it shows
	 * records behind the next KeyUpdate only.
	 */
	unsigned int most;
	const struct pair *p;
};

/* All combinations of these; the library sends and receives in all of them. */
struct updates_row {
	bool server, blocking, tx, rx;
};
struct updates_row updates_row_of(unsigned int bits);
/* A connection on which both sides have sent and received something. */
void updates_open(struct pair *p, const struct updates_row *r, const char *suite);
/* The same, not blocking, and the wire is looked at from here on. */
void updates_start(struct pair *p, bool server, uint32_t tx, uint32_t rx);

void updates_watch(struct updates *u, struct pair *p);
unsigned int updates_seen(const struct updates *u);

/* The peer makes one, which goes out with what it writes next, if it can. */
bool updates_ask(struct pair *p, bool request);
/* And sends it at once. */
void updates_send(struct pair *p, bool request);

/* The number of TLS_TX and TLS_RX that replaced a key. */
#define assert_installed(p, tx_, rx_)                                          \
	do {                                                                   \
		assert_int_equal(fake_socket((p)->fd)->rekeys[0], tx_);        \
		assert_int_equal(fake_socket((p)->fd)->rekeys[1], rx_);        \
	} while (0)
/* And that of KeyUpdates, of either side. */
#define assert_rekeys(p, tx_, rx_)                                             \
	do {                                                                   \
		const struct ktls_info i_ = pair_info(p);                      \
		assert_int_equal(i_.tx.rekeys, tx_);                           \
		assert_int_equal(i_.rx.rekeys, rx_);                           \
	} while (0)

#endif
