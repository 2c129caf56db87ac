/* SPDX-License-Identifier: MIT */
/* Checks of OpenSSL, and of sysctls with which sending stalls. */
#include <openssl/crypto.h>
#include <openssl/opensslv.h>

#include "doctor.h"

void check_openssl(struct findings *f)
{
	const char *running = OpenSSL_version(OPENSSL_VERSION_STRING);

	if (OPENSSL_version_major() == OPENSSL_VERSION_MAJOR) {
		report_add(&f->report, "openssl", LEVEL_OK, "%s, built with %s",
			   running, OPENSSL_VERSION_STR);
		return;
	}
	report_add(&f->report, "openssl", LEVEL_NOTE,
		   "%s is another major version than %s, which libktls was "
		   "built with",
		   running, OPENSSL_VERSION_STR);
	report_advise(&f->report, "build libktls with that OpenSSL");
}

/*
 * Below these numbers records of 16 KiB wait for one another, net/tls of all
 * kernels up to 7.3: they come one at a time, or not at all.
 */
enum { LOWAT_MIN = 131072, WMEM_MAX_MIN = 262144, WMEM_DEFAULT_MIN = 16384 };

static bool add_lowat(struct report *r, const struct sysctls *s)
{
	if (s->notsent_count != 1 || s->notsent_lowat[0] >= LOWAT_MIN)
		return false;
	report_add(r, "notsent-lowat", LEVEL_NOTE,
		   "net.ipv4.tcp_notsent_lowat=%llu: sendfile stalls below "
		   "%d; libktls guards its own connections",
		   (unsigned long long)s->notsent_lowat[0], LOWAT_MIN);
	report_advise(r, "sysctl -w net.ipv4.tcp_notsent_lowat=%d", LOWAT_MIN);
	return true;
}

static bool add_wmem(struct report *r, const struct sysctls *s)
{
	if (s->wmem_count != 3 ||
	    (s->wmem[1] >= WMEM_DEFAULT_MIN && s->wmem[2] >= WMEM_MAX_MIN))
		return false;
	report_add(
		r, "tcp-wmem", LEVEL_NOTE,
		"net.ipv4.tcp_wmem=\"%llu %llu %llu\": so small a send buffer "
		"is slow, and sendfile stalls",
		(unsigned long long)s->wmem[0], (unsigned long long)s->wmem[1],
		(unsigned long long)s->wmem[2]);
	report_advise(r, "sysctl -w net.ipv4.tcp_wmem=\"4096 16384 4194304\"");
	return true;
}

void check_sysctls(struct findings *f)
{
	struct sysctls *s = &f->sysctls;
	char text[128];
	bool bad;

	file_read("/proc/sys/net/ipv4/tcp_notsent_lowat", text, sizeof(text));
	s->notsent_count = numbers_parse(text, s->notsent_lowat, 1);
	file_read("/proc/sys/net/ipv4/tcp_wmem", text, sizeof(text));
	s->wmem_count = numbers_parse(text, s->wmem, 3);

	bad = add_lowat(&f->report, s);
	bad = add_wmem(&f->report, s) || bad;
	if (bad)
		return;
	if (s->notsent_count == 1 && s->wmem_count == 3)
		report_add(&f->report, "sysctls", LEVEL_OK,
			   "none that sending would stall with");
	else
		report_add(&f->report, "sysctls", LEVEL_INFO,
			   "those of TCP cannot be seen here");
}
