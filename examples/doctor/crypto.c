/* SPDX-License-Identifier: MIT */
/* The ciphers of kernel TLS, and the drivers behind them in /proc/crypto. */
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

const struct cipher ciphers[8] = {
	{KTLS_AES_128_GCM, "gcm(aes)", "gcm", true, false},
	{KTLS_AES_256_GCM, "gcm(aes)", "gcm", true, false},
	{KTLS_CHACHA20_POLY1305, "rfc7539(chacha20,poly1305)",
	 "chacha20poly1305", true, false},
	{KTLS_AES_128_CCM, "ccm(aes)", "ccm", false, false},
	{KTLS_SM4_GCM, "gcm(sm4)", "sm4_generic", false, false},
	{KTLS_SM4_CCM, "ccm(sm4)", "sm4_generic", false, false},
	{KTLS_ARIA_128_GCM, "gcm(aria)", "aria_generic", false, true},
	{KTLS_ARIA_256_GCM, "gcm(aria)", "aria_generic", false, true},
};

/* One entry of /proc/crypto: is it better than what we have? */
static void driver_take(const char *entry, const char *algorithm,
			struct driver *best)
{
	char value[64];
	struct driver d = {0};

	if (!field_find(entry, "name", value, sizeof(value)) ||
	    strcmp(value, algorithm) != 0)
		return;
	/* those that only other drivers use */
	if (field_find(entry, "internal", value, sizeof(value)) &&
	    strcmp(value, "yes") == 0)
		return;
	if (field_find(entry, "async", value, sizeof(value)))
		d.async = strcmp(value, "yes") == 0;
	if (!field_find(entry, "priority", value, sizeof(value)) ||
	    numbers_parse(value, &d.priority, 1) != 1 ||
	    !field_find(entry, "driver", d.name, sizeof(d.name)) || !*d.name)
		return;
	if (!*best->name || d.priority > best->priority)
		*best = d;
}

void driver_find(const char *text, const char *algorithm, struct driver *driver)
{
	memset(driver, 0, sizeof(*driver));
	while (*text) {
		const char *end = strstr(text, "\n\n");
		const size_t len = end ? (size_t)(end + 1 - text) : strlen(text);
		char entry[1024];

		/* of a longer one the fields we want come first */
		snprintf(entry, sizeof(entry), "%.*s", (int)len, text);
		driver_take(entry, algorithm, driver);
		text += len;
		text += strspn(text, "\n");
	}
}

static void read_drivers(struct findings *f)
{
	const size_t size = 1 << 18;
	char *text = malloc(size);

	if (text && file_read("/proc/crypto", text, size))
		for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++)
			driver_find(text, ciphers[i].algorithm, &f->drivers[i]);
	free(text);
}

/* In how many of the versions and directions that can be is it there? */
static unsigned int missing(const struct findings *f, const struct cipher *c)
{
	unsigned int n =
		!(f->caps.tls12_tx & c->bit) + !(f->caps.tls12_rx & c->bit);

	if (!c->tls12_only)
		n += !(f->caps.tls13_tx & c->bit) + !(f->caps.tls13_rx & c->bit);
	return n;
}

static bool absent(const struct findings *f, const struct cipher *c)
{
	return missing(f, c) == (c->tls12_only ? 2 : 4);
}

void cipher_set(char *text, size_t size, uint32_t set)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(ciphers) && len < size; i++)
		if (set & ciphers[i].bit)
			len += (size_t)snprintf(text + len, size - len, "%s%s",
						len > 0 ? ", " : "",
						ktls_cipher_str(ciphers[i].bit));
}

static void add_missing(struct findings *f)
{
	char names[128];
	uint32_t set = 0;
	const char *module = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
		if (!ciphers[i].wanted || missing(f, &ciphers[i]) == 0)
			continue;
		set |= ciphers[i].bit;
		if (!module)
			module = ciphers[i].module;
	}
	if (!set) {
		report_add(&f->report, "ciphers", LEVEL_OK,
			   "all that OpenSSL offers by default");
		return;
	}
	cipher_set(names, sizeof(names), set);
	report_add(
		&f->report, "ciphers", LEVEL_NO,
		"this kernel refuses %s: such connections stay in user space",
		names);
	report_advise(&f->report,
		      "modprobe %s; else install or unblock that module, or "
		      "have OpenSSL offer other ciphers",
		      module);
}

static void add_async(struct findings *f)
{
	char names[sizeof(f->caps.async_drivers)];
	size_t len = 0;

	snprintf(names, sizeof(names), "%s", f->caps.async_drivers);
	/* what the probe has no name for, /proc/crypto may have */
	for (size_t i = 0; !*f->caps.async_drivers && i < ARRAY_SIZE(ciphers);
	     i++) {
		const char *name = f->drivers[i].name;

		if (f->drivers[i].async && !strstr(names, name) &&
		    len < sizeof(names))
			len += (size_t)snprintf(names + len, sizeof(names) - len,
						"%s%s", len > 0 ? " " : "", name);
	}
	if (!*names && !f->caps.async) {
		report_add(&f->report, "crypto", LEVEL_OK,
			   "no asynchronous driver");
		return;
	}
	report_add(&f->report, "crypto", LEVEL_INFO,
		   "asynchronous (*): %s; programs that just close lose more, "
		   "libktls closes safely",
		   *names ? names : "drivers without a name");
}

void check_ciphers(struct findings *f)
{
	read_drivers(f);
	if (!f->probed || f->caps.reason != KTLS_REASON_NONE)
		return;
	add_missing(f);
	add_async(f);
}

static const char *word(uint32_t set, const struct cipher *c, bool can_be)
{
	if (!can_be)
		return "-";
	return set & c->bit ? "yes" : "no";
}

static void print_row(FILE *out, const struct findings *f, size_t i)
{
	const struct ktls_caps *caps = &f->caps;
	const struct cipher *c = &ciphers[i];
	const bool both = !c->tls12_only;
	char driver[40] = "";

	if (!absent(f, c) && *f->drivers[i].name)
		snprintf(driver, sizeof(driver), " %.32s", f->drivers[i].name);
	fprintf(out, "     %-18s    %-3s %-3s    %-3s %*s%s%s\n",
		ktls_cipher_str(c->bit), word(caps->tls12_tx, c, true),
		word(caps->tls12_rx, c, true), word(caps->tls13_tx, c, both),
		*driver ? -3 : 0, word(caps->tls13_rx, c, both), driver,
		caps->async & c->bit ? " *" : "");
}

void ciphers_print(FILE *out, const struct findings *f)
{
	char names[128];
	uint32_t none = 0;

	fprintf(out, "     %-18s %-10s %-10s %s\n", "", "1.2 tx  rx",
		"1.3 tx  rx", "driver");
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
		if (ciphers[i].wanted || !absent(f, &ciphers[i]))
			print_row(out, f, i);
		else
			none |= ciphers[i].bit;
	}
	cipher_set(names, sizeof(names), none);
	if (none)
		fprintf(out, "     not here, seldom used: %s\n", names);
}
