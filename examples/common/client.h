/* SPDX-License-Identifier: MIT */
/* What clients, ktls-get and ktls-doctor, share. */
#ifndef EXAMPLES_CLIENT_H
#define EXAMPLES_CLIENT_H

#include <stddef.h>

#include <openssl/ssl.h>

/*
 * A blocking socket that is connected to the host and gives up after so many
 * seconds of silence; -1, and in why what failed, without the host.
 */
int client_connect(const char *host, const char *port, int seconds, char *why,
		   size_t size);

/*
 * The certificate must be for this host; a name, not an address, is sent.
 * NULL: the host is no host's name, or OpenSSL's queue says what else it is.
 */
SSL *client_ssl(SSL_CTX *ctx, const char *host);

#endif
