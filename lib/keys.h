/* SPDX-License-Identifier: MIT */
/* Where the keys of a connection come from. */
#ifndef KTLS_KEYS_H
#define KTLS_KEYS_H

#include <stdatomic.h>

#include "state.h"

enum {
	KTLS__ABSENT_ULP = 0, /* then the ciphers, by their kernel number */
	KTLS__ABSENT_CIPHER = 1 - 51,
	KTLS__ABSENT_MAX = 9
};

/*
 * What an SSL_CTX carries since ktls_ctx_enable(). absent says until when
 * (ktls__sys_now()) KTLS_AUTO takes a module for missing without asking: for
 * a privileged process the kernel would start modprobe at every connection.
 */
struct ktls__context {
	SSL_CTX_keylog_cb_func next; /* the caller's callback */
	_Atomic int64_t absent[KTLS__ABSENT_MAX];
};

/* What the SSL's secrets were before it had a connection. */
void ktls__keys_adopt(struct ktls_conn *c);

/*
 * Of the SSL's present context, NULL when it is not enabled; one for all
 * connections without an SSL.
 */
struct ktls__context *ktls__keys_context(const struct ktls_conn *c);

/*
 * The present keys of one direction to *out, ready to seal or open records of
 * OpenSSL's numbering. Returns an enum ktls_reason, KTLS_REASON_NONE when all
 * is well; out is wiped else. The caller wipes it in the end.
 */
uint32_t ktls__keys_derive(struct ktls_conn *c, int dir,
			   struct ktls__protection *out);

/* What the kernel's key for TX is followed by: moves c->tx_secret on. */
uint32_t ktls__keys_next(struct ktls_conn *c, struct ktls__protection *out);

/* What encrypts records of a suite; NULL where kernel TLS has no such cipher. */
const struct ktls__cipher *ktls__keys_suite(const SSL_CIPHER *suite);

/* Version and cipher suite of the SSL's session, as they are now. */
void ktls__keys_note(struct ktls_conn *c);
/* Whether kernel TLS has them; reason as above. */
uint32_t ktls__keys_reason(const struct ktls_conn *c);

#endif
