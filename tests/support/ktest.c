/* SPDX-License-Identifier: MIT */
/* Runs a table of tests and turns skips into an exit status. */
#include "ktest.h"

static size_t skipped;

static bool required(const char *what)
{
	const char *list = getenv("KTLS_TEST_REQUIRE");
	const size_t n = strlen(what);

	while (list && *list) {
		if (strncmp(list, what, n) == 0 &&
		    (list[n] == ',' || list[n] == '\0'))
			return true;
		list = strchr(list, ',');
		if (list)
			list++;
	}
	return false;
}

void ktest_skip(const char *why)
{
	if (required("unit"))
		fail_msg("may not be skipped: %s", why);
	print_message("skipped: %s\n", why);
	skipped++;
	skip();
}

int ktest_run(const char *group, const struct CMUnitTest *tests, size_t n)
{
	const char *filter = getenv("KTEST_FILTER");
	int failed;

	if (filter)
		cmocka_set_test_filter(filter);
	failed = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
	if (failed != 0)
		return 1;
	return skipped == n ? 77 : 0;
}

void ktest_add(struct ktest_table *t, CMUnitTestFunction f, void *state,
	       const char *name, ...)
{
	struct CMUnitTest *test = &t->tests[t->n];
	char *text = NULL;
	va_list ap;

	va_start(ap, name);
	if (t->n == ARRAY_SIZE(t->tests) || vasprintf(&text, name, ap) < 0)
		abort();
	va_end(ap);
	*test = (struct CMUnitTest){
		.name = text, .test_func = f, .initial_state = state};
	t->n++;
}

int ktest_run_table(const char *group, struct ktest_table *t)
{
	int r = ktest_run(group, t->tests, t->n);

	for (size_t i = 0; i < t->n; i++)
		free((char *)(uintptr_t)t->tests[i].name);
	return r;
}
