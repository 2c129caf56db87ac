/* SPDX-License-Identifier: MIT */
/* A growing byte queue. */
#ifndef KTLS_BUF_H
#define KTLS_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct ktls__buf {
	uint8_t *p;
	uint32_t off; /* bytes at the front that are done with */
	uint32_t len; /* bytes behind them */
	uint32_t cap;
};

static inline uint8_t *ktls__buf_data(const struct ktls__buf *b)
{
	return b->p + b->off;
}

/* Wipes: control records and kept records hold tickets and alerts. */
static inline void ktls__buf_free(struct ktls__buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->cap);
	free(b->p);
	memset(b, 0, sizeof(*b));
}

/* Room for n bytes behind the last one, or NULL: no memory, b as before. */
static inline uint8_t *ktls__buf_room(struct ktls__buf *b, size_t n)
{
	struct ktls__buf bigger = {.len = b->len};

	if (b->len == 0)
		b->off = 0;
	if (b->cap - b->off - b->len >= n)
		return b->p + b->off + b->len;
	bigger.cap = (uint32_t)(b->len + n + b->len / 2);
	bigger.p = malloc(bigger.cap);
	if (!bigger.p)
		return NULL;
	if (b->len)
		memcpy(bigger.p, ktls__buf_data(b), b->len);
	ktls__buf_free(b);
	*b = bigger;
	return b->p + b->len;
}

static inline bool ktls__buf_append(struct ktls__buf *b, const void *p, size_t n)
{
	uint8_t *to = n > 0 ? ktls__buf_room(b, n) : NULL;

	if (!to)
		return n == 0;
	memcpy(to, p, n);
	b->len += (uint32_t)n;
	return true;
}

/* Drops n bytes of the front, all memory with the last of them. */
static inline void ktls__buf_drop(struct ktls__buf *b, size_t n)
{
	b->off += (uint32_t)n;
	b->len -= (uint32_t)n;
	if (b->len == 0)
		ktls__buf_free(b);
}

#endif
