/* SPDX-License-Identifier: MIT */
/* What all programs share: options, and words for ktls_get_info. */
#ifndef EXAMPLES_COMMON_H
#define EXAMPLES_COMMON_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include <ktls/ktls.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The options on TLS that both programs have. NULL: OpenSSL's default. */
struct tls_options {
	const char *version;	  /* --tls: "1.2" or "1.3" */
	const char *ciphers;	  /* --ciphers: list for TLS 1.2 */
	const char *ciphersuites; /* --ciphersuites: list for TLS 1.3 */
};

/* Print "PROGRAM: message" on stderr and, for die(), exit with status 1. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Option arguments; a bad one ends the program with status 2. */
void parse_use(const char *option, const char *text, uint32_t *use_out);
void parse_number(const char *option, const char *text, uint64_t min,
		  uint64_t max, uint64_t *number_out);
int parse_version(const char *text); /* of --tls, as OpenSSL has it */

/* Apply the options to a context; a bad one ends the program. */
void tls_configure(SSL_CTX *ctx, const struct tls_options *options);

/* First error in OpenSSL's queue, which is then emptied. Static text. */
const char *openssl_error(void);

/* What errno says after a call has failed, or what the connection knows of it. */
void tls_error(char *text, size_t size, const struct ktls_conn *tls);

/*
 * "kernel", or "user (reason; failed call: errno)": who encrypts or decrypts
 * one direction of a connection, and why it is not the kernel.
 */
void describe(char *text, size_t size, const struct ktls_dir_info *dir);

#endif
