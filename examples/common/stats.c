/* SPDX-License-Identifier: MIT */
/* What ktls_get_info() says of a connection, as one line of JSON. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "server.h"

static void print_direction(FILE *out, const char *name,
			    const struct ktls_dir_info *dir)
{
	const char *reason = NULL;
	const char *reason_name = NULL;

	if (dir->reason != KTLS_REASON_NONE) {
		reason = ktls_reason_str((enum ktls_reason)dir->reason);
		reason_name = ktls_reason_name((enum ktls_reason)dir->reason);
	}
	fprintf(out, "\"%s\":{\"mode\":\"%s\",\"reason\":", name,
		ktls_mode_str((enum ktls_mode)dir->mode));
	json_string(out, reason);
	fprintf(out, ",\"reason_name\":");
	json_string(out, reason_name);
	fprintf(out, ",\"call\":");
	json_string(out, dir->call);
	fprintf(out,
		",\"errno\":%d,\"bytes\":%llu,\"kernel_bytes\":%llu,"
		"\"rekeys\":%llu}",
		(int)dir->sys_errno, (unsigned long long)dir->bytes,
		(unsigned long long)dir->kernel_bytes,
		(unsigned long long)dir->rekeys);
}

void stats_look(const struct ktls_conn *tls)
{
	struct ktls_info info = {.size = sizeof(info)};

	/* what it says now is not what is wanted */
	if (ktls_get_info(tls, &info) < 0)
		return;
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
	json_string(out, tls_version_name(info.version));
	fputs(",\"cipher\":", out);
	json_string(out, info.cipher_name);
	if (more)
		fprintf(out, ",%s", more);
	fputc(',', out);
	print_direction(out, "tx", &info.tx);
	fputc(',', out);
	print_direction(out, "rx", &info.rx);
	fprintf(out, ",\"zerocopy\":%s,\"error\":",
		info.zerocopy ? "true" : "false");
	json_string(out, error);
	fputs("}\n", out);
	fclose(out);

	len = strnlen(line, sizeof(line));
	/* no one to tell if this fails */
	if (write(STDOUT_FILENO, line, len) < 0)
		return;
}
