/* SPDX-License-Identifier: MIT */
/* What ktls_get_info() says of a connection, as one line of JSON. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

static void print_string(FILE *out, const char *s)
{
	if (!s || !*s) {
		fputs("null", out);
		return;
	}
	fputc('"', out);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			fputc('?', out);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void print_direction(FILE *out, const char *name,
			    const struct ktls_dir_info *dir)
{
	const char *reason = NULL;

	if (dir->reason != KTLS_REASON_NONE)
		reason = ktls_reason_str((enum ktls_reason)dir->reason);
	fprintf(out, "\"%s\":{\"mode\":\"%s\",\"reason\":", name,
		ktls_mode_str((enum ktls_mode)dir->mode));
	print_string(out, reason);
	fprintf(out, ",\"call\":");
	print_string(out, dir->call);
	fprintf(out,
		",\"errno\":%d,\"bytes\":%llu,\"kernel_bytes\":%llu,"
		"\"rekeys\":%llu}",
		(int)dir->sys_errno, (unsigned long long)dir->bytes,
		(unsigned long long)dir->kernel_bytes,
		(unsigned long long)dir->rekeys);
}

static const char *version_name(uint32_t version)
{
	if (version == TLS1_2_VERSION)
		return "TLSv1.2";
	if (version == TLS1_3_VERSION)
		return "TLSv1.3";
	return NULL;
}

void stats_print(const struct ktls_conn *tls, const char *more, const char *error)
{
	struct ktls_info info = {.size = sizeof(info)};
	char line[2048];
	FILE *out;
	size_t len;

	if (ktls_get_info(tls, &info) < 0)
		return;
	out = fmemopen(line, sizeof(line), "w");
	if (!out)
		return;

	fputs("{\"version\":", out);
	print_string(out, version_name(info.version));
	fputs(",\"cipher\":", out);
	print_string(out, info.cipher_name);
	if (more)
		fprintf(out, ",%s", more);
	fputc(',', out);
	print_direction(out, "tx", &info.tx);
	fputc(',', out);
	print_direction(out, "rx", &info.rx);
	fputs(",\"error\":", out);
	print_string(out, error);
	fputs("}\n", out);
	fclose(out);

	len = strnlen(line, sizeof(line));
	/* no one to tell if this fails */
	if (write(STDOUT_FILENO, line, len) < 0)
		return;
}
