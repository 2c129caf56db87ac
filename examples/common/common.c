/* SPDX-License-Identifier: MIT */
/* What all programs share. No connection is touched here. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common.h"

static void __attribute__((format(printf, 1, 0)))
print_message(const char *format, va_list args)
{
	char line[512];

	vsnprintf(line, sizeof(line), format, args);
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, line);
}

void warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_message(format, args);
	va_end(args);
}

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_message(format, args);
	va_end(args);
	exit(1);
}

void parse_use(const char *option, const char *text, uint32_t *use_out)
{
	static const char *const words[] = {
		[KTLS_AUTO] = "auto",
		[KTLS_OFF] = "off",
		[KTLS_REQUIRE] = "require",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(text, words[i]) == 0) {
			*use_out = (uint32_t)i;
			return;
		}
	}
	warn("%s takes auto, off or require, not \"%s\"", option, text);
	exit(2);
}

void parse_number(const char *option, const char *text, uint64_t min,
		  uint64_t max, uint64_t *number_out)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || number < min ||
	    number > max) {
		warn("%s takes a number from %llu to %llu, not \"%s\"", option,
		     (unsigned long long)min, (unsigned long long)max, text);
		exit(2);
	}
	*number_out = number;
}

int parse_version(const char *text)
{
	if (strcmp(text, "1.2") == 0)
		return TLS1_2_VERSION;
	if (strcmp(text, "1.3") == 0)
		return TLS1_3_VERSION;
	warn("--tls takes 1.2 or 1.3, not \"%s\"", text);
	exit(2);
}

void tls_configure(SSL_CTX *ctx, const struct tls_options *options)
{
	int min = TLS1_2_VERSION;
	int max = 0; /* the highest that OpenSSL has */

	if (options->version) {
		min = parse_version(options->version);
		max = min;
	}
	if (SSL_CTX_set_min_proto_version(ctx, min) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, max) != 1)
		die("this OpenSSL refuses that TLS version: %s", openssl_error());
	if (options->ciphers &&
	    SSL_CTX_set_cipher_list(ctx, options->ciphers) != 1)
		die("--ciphers %s: %s", options->ciphers, openssl_error());
	if (options->ciphersuites &&
	    SSL_CTX_set_ciphersuites(ctx, options->ciphersuites) != 1)
		die("--ciphersuites %s: %s", options->ciphersuites,
		    openssl_error());
}

const char *openssl_error(void)
{
	const unsigned long e = ERR_get_error();
	const char *text = ERR_SYSTEM_ERROR(e) ? strerror(ERR_GET_REASON(e))
					       : ERR_reason_error_string(e);

	ERR_clear_error();
	return text ? text : "unknown error";
}

void tls_error(char *text, size_t size, const struct ktls_conn *tls)
{
	struct ktls_error error = {.size = sizeof(error)};
	const char *said = strerror(errno);

	if (ktls_get_error(tls, &error) == 0 && error.code != 0)
		said = error.text;
	snprintf(text, size, "%s", said);
}

void describe(char *text, size_t size, const struct ktls_dir_info *dir)
{
	const char *mode = ktls_mode_str((enum ktls_mode)dir->mode);
	const char *reason = ktls_reason_str((enum ktls_reason)dir->reason);

	if (dir->reason == KTLS_REASON_NONE)
		snprintf(text, size, "%s", mode);
	else if (dir->call)
		snprintf(text, size, "%s (%s; %s: %s)", mode, reason, dir->call,
			 strerror(dir->sys_errno));
	else
		snprintf(text, size, "%s (%s)", mode, reason);
}
