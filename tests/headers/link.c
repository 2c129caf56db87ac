/* SPDX-License-Identifier: MIT */
/*
 * Links every public function by its address, seen through the public headers
 * only; tests/headers/run writes the list. What must hold for the structs that
 * callers allocate is checked too: size stands first, and no struct of this
 * version ends in padding, into which a later field would fall unseen.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <ktls/ktls.h>
#include <ktls/openssl.h>
#include <ktls/raw.h>

typedef void (*function)(void);

static const struct {
	const char *name;
	function address;
} symbols[] = {
#define SYMBOL(name) {#name, (function)name},
#include "symbols.inc"
#undef SYMBOL
};

#define BEGINS_WITH_SIZE(type)                                                 \
	(offsetof(type, size) == 0 &&                                          \
	 sizeof(((type *)0)->size) == sizeof(size_t))
#define ENDS_WITH(type, last)                                                  \
	(offsetof(type, last) + sizeof(((type *)0)->last) == sizeof(type))

static int check(int ok, const char *what)
{
	if (!ok)
		printf("wrong: %s\n", what);
	return !ok;
}

int main(void)
{
	char version[32];
	size_t i;
	int bad = 0;

	for (i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
		bad += check(symbols[i].address != NULL, symbols[i].name);

	bad += check(BEGINS_WITH_SIZE(struct ktls_policy), "ktls_policy.size");
	bad += check(BEGINS_WITH_SIZE(struct ktls_info), "ktls_info.size");
	bad += check(BEGINS_WITH_SIZE(struct ktls_error), "ktls_error.size");
	bad += check(BEGINS_WITH_SIZE(struct ktls_caps), "ktls_caps.size");
	bad += check(BEGINS_WITH_SIZE(struct ktls_nic), "ktls_nic.size");
	bad += check(BEGINS_WITH_SIZE(struct ktls_keys), "ktls_keys.size");
	bad += check(ENDS_WITH(struct ktls_policy, reserved), "ktls_policy");
	bad += check(ENDS_WITH(struct ktls_dir_info, reserved), "ktls_dir_info");
	bad += check(ENDS_WITH(struct ktls_info, release_ssl), "ktls_info");
	bad += check(ENDS_WITH(struct ktls_caps, async_drivers), "ktls_caps");
	bad += check(ENDS_WITH(struct ktls_nic, tls13), "ktls_nic");
	bad += check(ENDS_WITH(struct ktls_error, text), "ktls_error");
	bad += check(ENDS_WITH(struct ktls_keys, wire_len), "ktls_keys");

	snprintf(version, sizeof(version), "%d.%d.%d", KTLS_VERSION_MAJOR,
		 KTLS_VERSION_MINOR, KTLS_VERSION_PATCH);
	bad += check(strcmp(version, ktls_version()) == 0,
		     "ktls_version() is not that of the headers");
	return bad != 0;
}
