/* SPDX-License-Identifier: MIT */
/* malloc() and its family, wrapped: counting, failing, and looking. */
#include "alloc.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#if defined(__has_include) && __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_DEFINED(p, n) ((void)(p), (void)(n))
#endif

#include "fakesys.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);

static bool counting, openssl_too = true;
static unsigned int paused;
static unsigned long seen, fail_at;
static long live;

enum { WATCHED = 8 };
static struct {
	unsigned char bytes[64];
	size_t len;
} watched[WATCHED];
static size_t n_watched;
static unsigned int found;

static bool fails(void)
{
	return counting && paused == 0 && ++seen == fail_at;
}

static void look(void *p)
{
	const size_t n = malloc_usable_size(p);

	if (n_watched == 0 || paused)
		return;
	VALGRIND_MAKE_MEM_DEFINED(p, n);
	for (size_t i = 0; i < n_watched; i++)
		if (memmem(p, n, watched[i].bytes, watched[i].len))
			found++;
}

void *__wrap_malloc(size_t n)
{
	void *p = fails() ? NULL : __real_malloc(n);

	live += p != NULL;
	return p;
}

void *__wrap_calloc(size_t n, size_t size)
{
	void *p = fails() ? NULL : __real_calloc(n, size);

	live += p != NULL;
	return p;
}

void *__wrap_realloc(void *p, size_t n)
{
	void *q = fails() ? NULL : __real_realloc(p, n);

	live += !p && q;
	return q;
}

char *__wrap_strdup(const char *s)
{
	const size_t n = strlen(s) + 1;
	char *p = __wrap_malloc(n);

	return p ? memcpy(p, s, n) : NULL;
}

void __wrap_free(void *p)
{
	if (!p)
		return;
	look(p);
	live--;
	__real_free(p);
}

static void *ssl_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return openssl_too && fails() ? NULL : __real_malloc(n);
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return openssl_too && fails() ? NULL : __real_realloc(p, n);
}

static void ssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	__real_free(p);
}

void alloc_use_for_openssl(void)
{
	if (!CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free))
		abort();
}

static void around(bool enter)
{
	if (enter)
		paused++;
	else
		paused--;
}

void alloc_pause(void)
{
	paused++;
}

void alloc_resume(void)
{
	paused--;
}

void alloc_start(unsigned long nth)
{
	fake_around = around;
	seen = 0;
	fail_at = nth;
	counting = true;
}

void alloc_count_openssl(bool on)
{
	openssl_too = on;
}

unsigned long alloc_stop(void)
{
	counting = false;
	fake_around = NULL;
	paused = 0;
	return seen;
}

long alloc_live(void)
{
	return live;
}

void alloc_watch(const void *secret, size_t len)
{
	if (n_watched == WATCHED || len > sizeof(watched[0].bytes))
		abort();
	memcpy(watched[n_watched].bytes, secret, len);
	watched[n_watched++].len = len;
}

unsigned int alloc_unwatch(void)
{
	const unsigned int n = found;

	found = 0;
	n_watched = 0;
	return n;
}
