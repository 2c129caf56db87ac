/* SPDX-License-Identifier: MIT */
/* Spans for ktls_sendfilev(), and the loop that a caller has. */
#include "plan.h"

void plan_add(struct plan *pl, const struct pair *p, long len)
{
	const size_t k = (size_t)labs(len);
	const uint64_t at = p->accepted + pl->total;
	struct ktls_span *s = &pl->spans[pl->n];

	memset(s, 0, sizeof(*s));
	s->len = k;
	if (len < 0) {
		pl->memory[pl->n] = malloc(k);
		assert_non_null(pl->memory[pl->n]);
		fake_pattern(OURS, at, pl->memory[pl->n], k);
		s->buf = pl->memory[pl->n];
		s->fd = -1;
	} else {
		s->fd = fake_file(FAKE_REGULAR, OURS, (int64_t)1 << 40);
		s->offset = (off_t)at;
	}
	pl->n++;
	pl->total += k;
}

void plan_free(struct plan *pl)
{
	for (int i = 0; i < pl->n; i++)
		free(pl->memory[i]);
	memset(pl, 0, sizeof(*pl));
}

/* The cursor stands where total says. */
static void cursor_check(const struct plan *pl, const struct ktls_cursor *c)
{
	uint64_t sum = c->done;

	assert_true(c->span >= 0 && c->span <= pl->n);
	for (int i = 0; i < c->span; i++)
		sum += pl->spans[i].len;
	assert_int_equal(sum, c->total);
	assert_true(c->span == pl->n ? c->done == 0
				     : c->done <= pl->spans[c->span].len);
	assert_int_equal(c->reserved, 0);
}

void plan_run(struct pair *p, const struct plan *pl)
{
	struct ktls_cursor c = {.span = 0};

	for (int i = 0;; i++) {
		const struct ktls_cursor before = c;
		const ssize_t n = ktls_sendfilev(p->conn, pl->spans, pl->n, &c);

		assert_true(i < 100000);
		cursor_check(pl, &c);
		if (n < 0) {
			assert_memory_equal(&c, &before, sizeof(c));
			stream_wait(p, "ktls_sendfilev");
			continue;
		}
		assert_int_equal(c.total, before.total + (uint64_t)n);
		p->accepted += (uint64_t)n;
		if (n == 0)
			break;
	}
	assert_int_equal(c.total, pl->total);
	assert_int_equal(c.span, pl->n);
}
