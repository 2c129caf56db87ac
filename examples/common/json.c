/* SPDX-License-Identifier: MIT */
/* Words of JSON for what programs report. */
#include "json.h"

void json_string(FILE *out, const char *s)
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

const char *tls_version_name(uint32_t version)
{
	if (version == 0x0303)
		return "TLSv1.2";
	if (version == 0x0304)
		return "TLSv1.3";
	return NULL;
}
