/* SPDX-License-Identifier: MIT */
/* What the tests of single doors share. */
#ifndef DOORS_H
#define DOORS_H

#include "pair.h"

/* What a failure must leave of an SSL and its socket as it was. */
struct untouched {
	const struct pair *p;
	BIO *rbio, *wbio;
	uint64_t options;
	long mode;
	void (*info)(const SSL *, int, int);
	int read_ahead, pending[2], fl, nodelay;
	unsigned int sent;
};
struct untouched untouched(const struct pair *p);
void assert_untouched(const struct untouched *u);

/* Handshake of both, with no connection yet, on a kernel of its own. */
void doors_shaken(struct pair *p, const struct pair_options *o);
/* Bytes of both, each way, in a connection that came through. */
void doors_talk(struct pair *p);

#endif
