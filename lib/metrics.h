/* SPDX-License-Identifier: MIT */
/* What all connections of the process did, counted without a lock. */
#ifndef KTLS_METRICS_H
#define KTLS_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "error.h"

enum { KTLS__FAILURES = 9 };

/* [2] of a direction: TX, RX; of bytes, then: user space, kernel */
struct ktls__metrics {
	_Atomic uint64_t connections;
	_Atomic uint64_t freed;
	_Atomic uint64_t pushes;
	_Atomic uint64_t offloads[2];
	_Atomic uint64_t refusals[2][KTLS__REASONS];
	_Atomic uint64_t rekeys[2];
	_Atomic uint64_t again[2];
	_Atomic uint64_t bytes[2][2];
	_Atomic uint64_t failures[KTLS__FAILURES];
};
extern struct ktls__metrics ktls__metrics;

static inline void ktls__count(_Atomic uint64_t *counter, uint64_t n)
{
	if (n > 0)
		atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void ktls__count_failure(int code);

#endif
