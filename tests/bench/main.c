/* SPDX-License-Identifier: MIT */
/*
 * ktls-bench: what it costs to send and to receive, through libktls and
 * through what it can be compared with. tests/bench/run is who calls it.
 *
 * ktls-bench [--count] [--mib N] [--times N] [ROW...]
 *
 * ROW is a pattern for "SECTION NAME"; all rows by default. Lines with tabs:
 *
 *   cost     SECTION  NAME  MEDIAN  LEAST  MOST    instructions per MiB or
 *                                                  request
 *   count    SECTION  NAME  CALLS                  with --count: system calls
 *   where    SECTION  NAME  PLACE                  where it encrypts
 *   skipped  SECTION  NAME  REASON
 */
#include "bench.h"

#include <fnmatch.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const uint8_t *bench_data;
int bench_file = -1;
size_t bench_total = 8 * MIB;
int bench_times = 3;
bool bench_counting;
static char **patterns;

bool bench_wanted(const char *section, const char *name)
{
	char text[160];

	snprintf(text, sizeof(text), "%s %s", section, name);
	if (!patterns || !patterns[0])
		return true;
	for (char **p = patterns; *p; p++)
		if (fnmatch(*p, text, 0) == 0)
			return true;
	return false;
}

/* No pattern, and no two pages alike. */
static void make_data(size_t size)
{
	uint64_t *p = malloc(size), x = 88172645463325252U;

	MUST(p != NULL);
	for (size_t i = 0; i < size / sizeof(*p); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = x;
	}
	bench_data = (const uint8_t *)p;
	bench_file = memfd_create("ktls-bench", MFD_CLOEXEC);
	MUST(bench_file >= 0);
	for (size_t at = 0; at < size;) {
		const ssize_t n = write(bench_file, bench_data + at, size - at);

		MUST(n > 0);
		at += (size_t)n;
	}
}

int main(int argc, char **argv)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--count") == 0)
			bench_counting = true;
		else if (i + 1 < argc && strcmp(argv[i], "--mib") == 0)
			bench_total = (size_t)atoi(argv[++i]) * MIB;
		else if (i + 1 < argc && strcmp(argv[i], "--times") == 0)
			bench_times = atoi(argv[++i]);
		else
			return 2;
	}
	if (bench_total == 0 || bench_times < 1 || bench_times > 8)
		return 2;
	patterns = argv + i;
	/*
	 * A heap of one connection shrinks and grows with it or does not, by
	 * chance of what lies at its end; those of servers do not.
	 */
	mallopt(M_TRIM_THRESHOLD, 64 * MIB);
	mallopt(M_TOP_PAD, MIB);
	vt_begin("bench", 600);
	bench_contexts();
	/* the largest response fits, whatever --mib says */
	make_data(bench_total + MIB + CHUNK);
	bench_send();
	bench_recv();
	bench_listen();
	bench_requests();
	bench_http();
	return vt_end();
}
