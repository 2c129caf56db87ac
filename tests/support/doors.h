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

/* Both versions, in user space and in the kernel. */
enum { DOORS_KINDS = 4 };
extern const struct doors_kind {
	const char *name;
	int version;
	const char *suite;
	uint32_t use;
} doors_kinds[DOORS_KINDS];

/* Handshake of both, with no connection yet, on a kernel of its own. */
void doors_shaken(struct pair *p, const struct pair_options *o);
/* Bytes of both, each way, in a connection that came through. */
void doors_talk(struct pair *p);
/* A connection that came through this one, and has talked. */
void doors_start(struct pair *p, const struct doors_kind *kind,
		 enum pair_door door, bool server);

#endif
