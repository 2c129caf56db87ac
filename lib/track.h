/* SPDX-License-Identifier: MIT */
/* Follows the records of one direction as they pass. */
#ifndef KTLS_TRACK_H
#define KTLS_TRACK_H

#include "buf.h"
#include "compat.h"

struct ktls__track {
	uint8_t header[KTLS__HEADER];
	bool keeping;  /* the present record is being kept */
	bool kept;     /* last is whole, and number seq - 1 */
	bool keep_all; /* large records too */
	bool lost;     /* there were more than seq, nobody knows how many */
	bool within;   /* and the next byte may be in a record's middle */
	uint32_t have; /* bytes of the header seen */
	uint32_t left; /* bytes of the body still to come */
	uint64_t seq;  /* records seen under the present key */
	struct ktls__buf last; /* the last record, where it was kept */
};

/* Follows n bytes. */
void ktls__track(struct ktls__track *t, const uint8_t *p, size_t n);
/* Bytes up to the end of the header or the body that is being passed. */
size_t ktls__track_want(const struct ktls__track *t);
/* True when no record is half done. */
bool ktls__track_aligned(const struct ktls__track *t);
/* A new key begins with the next record. */
void ktls__track_rekey(struct ktls__track *t);
/* The last record is not needed, nor much room for the next one. */
void ktls__track_drop(struct ktls__track *t);

#endif
