/* SPDX-License-Identifier: MIT */
/* Spans for ktls_sendfilev() that continue the stream of a connection. */
#ifndef PLAN_H
#define PLAN_H

#include "modes.h"

enum { PLAN_SPANS = 64 };

struct plan {
	struct ktls_span spans[PLAN_SPANS];
	uint8_t *memory[PLAN_SPANS];
	int n;
	uint64_t total;
};

/* One more span: of memory where len is negative, else of a large file. */
void plan_add(struct plan *pl, const struct pair *p, long len);
/* Sends all of it, and looks at the cursor each time. */
void plan_run(struct pair *p, const struct plan *pl);
void plan_free(struct plan *pl);

#endif
