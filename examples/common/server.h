/* SPDX-License-Identifier: MIT */
/* What the servers, ktls-httpd and ktls-proxy, share. */
#ifndef EXAMPLES_SERVER_H
#define EXAMPLES_SERVER_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include <ktls/ktls.h>

#include "common.h"

/* address.c: ADDR:PORT, [ADDR]:PORT or :PORT; failures end the program. */
bool port_is_good(const char *port);
bool address_split(char *text, const char **host, const char **port);
struct addrinfo *address_parse(const char *option, const char *text, int flags);
void address_format(char *text, size_t size, const struct sockaddr *addr,
		    socklen_t len);
int listen_on(const char *option, const char *text, unsigned int number,
	      int sndbuf);
void print_address(const char *what, int fd);

/* server.c: failures of the first one end the program */
SSL_CTX *server_context(const struct tls_options *tls, const char *cert,
			const char *key);
struct ktls_conn *server_accept(SSL_CTX *ctx, int fd,
				const struct ktls_policy *policy,
				SSL **ssl_out);
uint64_t unsent_bytes(const struct ktls_conn *tls);
void raise_file_limit(void);
/* After a stop: the exit status, and a message if so many did not finish. */
int stop_status(unsigned int cut, const char *what);
int64_t now_ms(void);

/*
 * stats.c. Who encrypts the kernel can be asked as long as TCP is connected,
 * and libktls keeps its answer: stats_look() is for then, after a direction
 * may have moved. stats_print() writes one line of JSON for a closed
 * connection, in one piece, so that processes do not mix theirs. more: further
 * members, NULL for none.
 */
void stats_look(const struct ktls_conn *tls);
void stats_print(const struct ktls_conn *tls, const char *more,
		 const char *error);

#endif
