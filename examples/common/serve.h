/* SPDX-License-Identifier: MIT */
/*
 * What ktls-gnutls and ktls-prefork share: connections that block, each with
 * a thread or a process of its own, and the files and requests of ktls-httpd.
 */
#ifndef EXAMPLES_SERVE_H
#define EXAMPLES_SERVE_H

#include <getopt.h>

#include <ktls/ktls.h>

#include "../httpd/httpd.h"

/*
 * serveopt.c: options, of which a failure ends the program. own: those that
 * the program has beside the common ones, up to {0}; take() gets them. usage:
 * what --help prints.
 */
void serve_options(struct config *config, int argc, char **argv,
		   const char *usage, const struct option *own,
		   void (*take)(struct config *config, int opt));
/* SIGTERM, SIGINT and SIGCHLD are to be read from this; SIGPIPE is ignored. */
int serve_signals(void);

/*
 * serve.c: serve requests on a blocking socket until one side has enough; closes the
 * socket and frees tls. stop: a descriptor that is hung up when the server
 * stops. who: further members of the line for --stats, which begin with a
 * comma, or "".
 */
void serve_conn(struct ktls_conn *tls, const struct config *config, int stop,
		const char *who);

/* The line for a connection that has not come that far; NULL: no TLS yet. */
void serve_failed(const struct ktls_conn *tls, const struct config *config,
		  const char *who, const char *error);

#endif
