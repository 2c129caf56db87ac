/* SPDX-License-Identifier: MIT */
/* Words of JSON for what programs report. */
#ifndef EXAMPLES_JSON_H
#define EXAMPLES_JSON_H

#include <stdint.h>
#include <stdio.h>

/* In quotes; null when there is none, or nothing in it. */
void json_string(FILE *out, const char *s);

/* As OpenSSL names it; NULL for any other than TLS 1.2 and 1.3. */
const char *tls_version_name(uint32_t version);

#endif
