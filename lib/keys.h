/* SPDX-License-Identifier: MIT */
/* Where the keys of a connection come from. */
#ifndef KTLS_KEYS_H
#define KTLS_KEYS_H

#include "state.h"

/*
 * The present keys of one direction to *out, ready to seal or open records of
 * OpenSSL's numbering. Returns an enum ktls_reason, KTLS_REASON_NONE when all
 * is well; out is wiped else. The caller wipes it in the end.
 */
uint32_t ktls__keys_derive(struct ktls_conn *c, int dir,
			   struct ktls__protection *out);

/* The cipher and version of the session; reason as above. */
uint32_t ktls__keys_cipher(const struct ktls_conn *c,
			   const struct ktls__cipher **cipher,
			   unsigned int *version);

#endif
