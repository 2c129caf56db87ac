/* SPDX-License-Identifier: MIT */
/*
 * Inside ktls-gnutls. Who does what:
 *
 *   main.c      options, one thread for each connection
 *   session.c   a handshake of GnuTLS
 *   handover.c  what libktls needs of the session: nothing else touches both
 */
#ifndef EXAMPLES_SESSION_H
#define EXAMPLES_SESSION_H

#include <gnutls/gnutls.h>

#include "../common/serve.h"

/* What GnuTLS tells on the way; behind gnutls_session_get_ptr(). */
struct told {
	size_t secret_len; /* the traffic secrets of TLS 1.3, or 0 */
	uint8_t client[48];
	uint8_t server[48];
	unsigned int record_limit; /* RFC 8449, as the client sent it, or 0 */
	unsigned int max_fragment; /* RFC 6066, in bytes, or 0 */
};

/* session.c; failures of the first one end the program */
void session_setup(const struct config *config, const char *priority);
struct ktls_conn *session_accept(int fd, const struct config *config);
void session_cleanup(void);

/* handover.c */
void handover_prepare(gnutls_session_t session, struct told *told);
struct ktls_conn *handover(gnutls_session_t session, int fd,
			   const struct ktls_policy *policy, char *error,
			   size_t size);

#endif
