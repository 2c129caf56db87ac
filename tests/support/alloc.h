/* SPDX-License-Identifier: MIT */
/*
 * Memory of the library and of libcrypto, made to fail, and looked at when it
 * is given back. A program that links this is linked with --wrap for malloc,
 * calloc, realloc, strdup and free.
 */
#ifndef ALLOC_H
#define ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* libcrypto's allocations, too; before anything else of OpenSSL is called. */
void alloc_use_for_openssl(void);

/*
 * From now on allocations are counted, except inside of the model, and number
 * nth of them fails (0: none).
 */
void alloc_start(unsigned long nth);
/* Whether libcrypto's count as well (they do until this is called). */
void alloc_count_openssl(bool on);
/* How many there were. */
unsigned long alloc_stop(void);
/* Not counted until alloc_resume(): the test's own doings. */
void alloc_pause(void);
void alloc_resume(void);
/* Blocks of the wrapped objects that are in use. */
long alloc_live(void);

/* Bytes that no freed memory may hold; a copy is kept. */
void alloc_watch(const void *secret, size_t len);
/* How often they were seen since; forgets them. */
unsigned int alloc_unwatch(void);

#endif
