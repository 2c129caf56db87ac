/* SPDX-License-Identifier: MIT */
/* Which upstream kernel this is, and which fixes of kernel TLS it lacks. */
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "doctor.h"

/*
 * What loses data, corrupts it or crashes, by the changelogs of the stable
 * series; newest first. Not here: the two that ktls_probe() finds by trying,
 * and an end of TCP that looks like the end of the data, which libktls never
 * takes for one.
 */
static const struct kernel_fix fixes[] = {
	{"TLS together with sockmap: use after free (CVE-2026-93824)", 189, 111},
	{"receiving breaks off with EBADMSG when segments overlap", 188, 110},
	{"a NIC that encrypts: memory is overwritten", 187, 108},
	{"splice gives wrong bytes after a decryption that failed", 184, 105},
	{"a signal in the middle of a send breaks the connection", 183, 104},
	{"sends of many pieces are corrupted", 175, 92},
	{"asynchronous crypto that is busy: use after free", 169, 82},
	{"asynchronous decryption: use after free (CVE-2026-23414)", 168, 80},
	{"close: use after free (CVE-2026-23240)", 0, 75},
	{"a record is corrupted after a short splice", 0, 55},
	{"an alert can be sent as data", 158, 55},
	{"a peer's bad record header crashes the kernel", 154, 49},
	{"records of no bytes stop receiving", 149, 44},
	{"receiving loses its place, or crashes (CVE-2025-38616)", 185, 43},
	{"disconnecting a TLS socket: use after free", 135, 24},
	{"asynchronous crypto: use after free (CVE-2024-26582 and more)", 84, 0},
	{"reads return records of another type", 81, 0},
	{"splice corrupts kernel memory (CVE-2024-0646)", 69, 0},
	{"a NIC that encrypts: bytes are lost at close", 46, 0},
	{"a NIC that decrypts: bytes are corrupted", 32, 0},
	{"a NIC that encrypts: bytes are corrupted", 20, 0},
	{"reading keys while they are set: use after free (CVE-2023-28466)", 20,
	 0},
};

/* "6.1.170", with anything but a digit behind it; a missing part is 0. */
bool version_parse(const char *text, unsigned int version[3])
{
	memset(version, 0, 3 * sizeof(version[0]));
	for (int i = 0; i < 3; i++) {
		const size_t digits = strspn(text, "0123456789");

		if (digits == 0 || digits > 5)
			return i > 1;
		version[i] = (unsigned int)strtoul(text, NULL, 10);
		text += digits;
		if (*text != '.')
			return i > 0;
		text++;
	}
	return true;
}

/* The word that follows, without the punctuation behind it. */
static void word_copy(char *word, size_t size, const char *text)
{
	snprintf(word, size, "%.*s", (int)strcspn(text, " \t\n,;()"), text);
}

/*
 * The release is the name of an ABI with some distributions. Debian says what
 * it is in /proc/version, Ubuntu in a file of its own.
 */
static bool find_upstream(struct kernel *k)
{
	char signature[256];
	const char *p;

	if (file_read("/proc/version_signature", signature, sizeof(signature))) {
		signature[strcspn(signature, "\n")] = '\0';
		p = strrchr(signature, ' ');
		word_copy(k->package, sizeof(k->package),
			  signature + strcspn(signature, " ") +
				  (strchr(signature, ' ') != NULL));
		if (p && version_parse(p + 1, k->upstream))
			return true;
		if (version_parse(k->package, k->upstream))
			return true;
	}
	for (p = k->build; (p = strstr(p, " Debian ")) != NULL; p++) {
		word_copy(k->package, sizeof(k->package), p + 8);
		if (version_parse(k->package, k->upstream))
			return true;
	}
	k->package[0] = '\0';
	return version_parse(k->release, k->upstream);
}

void kernel_read(struct kernel *k)
{
	struct utsname name;

	/* /proc need not be there */
	if (!file_read("/proc/sys/kernel/osrelease", k->release,
		       sizeof(k->release)) &&
	    uname(&name) == 0)
		snprintf(k->release, sizeof(k->release), "%s", name.release);
	k->release[strcspn(k->release, "\n")] = '\0';
	file_read("/proc/version", k->build, sizeof(k->build));
	k->build[strcspn(k->build, "\n")] = '\0';
	k->known = find_upstream(k);
}

static bool in_series(const struct kernel *k, unsigned int minor)
{
	return k->known && k->upstream[0] == 6 && k->upstream[1] == minor;
}

bool kernel_series_listed(const struct kernel *k)
{
	return in_series(k, 1) || in_series(k, 12);
}

unsigned int kernel_fixed(const struct kernel *k, const struct kernel_fix *fix)
{
	return in_series(k, 1) ? fix->fixed61 : fix->fixed612;
}

const struct kernel_fix *kernel_lacks(const struct kernel *k, size_t i)
{
	if (!kernel_series_listed(k))
		return NULL;
	for (size_t j = 0; j < ARRAY_SIZE(fixes); j++) {
		if (k->upstream[2] < kernel_fixed(k, &fixes[j]) && i-- == 0)
			return &fixes[j];
	}
	return NULL;
}
