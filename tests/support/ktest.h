/* SPDX-License-Identifier: MIT */
/* What every test program includes: cmocka, and running a table of tests. */
#ifndef KTEST_H
#define KTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Ends the test as skipped, or failed where KTLS_TEST_REQUIRE has "unit". */
void ktest_skip(const char *why);

/*
 * Runs the tests; the exit status of the program: 77 when all were skipped.
 * KTEST_FILTER in the environment is a pattern of the names to run.
 */
int ktest_run(const char *group, const struct CMUnitTest *tests, size_t n);

/* A table that is filled at run time; the names are freed by the run. */
struct ktest_table {
	struct CMUnitTest tests[512];
	size_t n;
};
void ktest_add(struct ktest_table *t, CMUnitTestFunction f, void *state,
	       const char *name, ...) __attribute__((format(printf, 4, 5)));
int ktest_run_table(const char *group, struct ktest_table *t);

#define KTEST_MAIN(group, tests)                                               \
	int main(void)                                                         \
	{                                                                      \
		return ktest_run(group, tests,                                 \
				 sizeof(tests) / sizeof((tests)[0]));          \
	}

/* The call must return -1 and set errno to e. */
#define assert_errno(call, e)                                                  \
	do {                                                                   \
		errno = 0;                                                     \
		assert_int_equal((call), -1);                                  \
		assert_int_equal(errno, (e));                                  \
	} while (0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
