/* SPDX-License-Identifier: MIT */
/*
 * Follows the records of one direction: where each of them ends, how many
 * there were under the present key, and what the last one was.
 */
#include "track.h"

#include "compat.h"

enum {
	KEEP = 2048, /* for the key check in any case: tickets, Finished, alerts */
	LARGE = 4096 /* bytes of room that are given back */
};

size_t ktls__track_want(const struct ktls__track *t)
{
	return t->have < KTLS__HEADER ? KTLS__HEADER - t->have : t->left;
}

bool ktls__track_aligned(const struct ktls__track *t)
{
	return t->have == 0 && !t->within;
}

void ktls__track_rekey(struct ktls__track *t)
{
	t->seq = 0;
	t->kept = false;
	/* an SSL that has read ahead has records of the new key already */
	t->lost = t->within;
}

void ktls__track_drop(struct ktls__track *t)
{
	if (t->last.cap <= LARGE)
		return;
	ktls__buf_free(&t->last);
	t->kept = false;
}

static void track_end(struct ktls__track *t)
{
	t->have = 0;
	if (t->header[0] == KTLS__CHANGE_CIPHER_SPEC) {
		/* RFC 5246 section 6.1: the next record is number 0 */
		ktls__track_rekey(t);
		return;
	}
	t->seq++;
	t->kept = t->keeping;
}

static void track_keep(struct ktls__track *t, const uint8_t *p, size_t n)
{
	if (t->keeping && !ktls__buf_append(&t->last, p, n))
		t->keeping = false;
}

void ktls__track(struct ktls__track *t, const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t want = ktls__track_want(t);
		size_t k = n < want ? n : want;

		if (t->have < KTLS__HEADER) {
			memcpy(t->header + t->have, p, k);
			t->have += (uint32_t)k;
			if (t->have == KTLS__HEADER) {
				t->left = (uint32_t)t->header[3] << 8 |
					  t->header[4];
				t->kept = false;
				t->keeping = t->keep_all || t->left <= KEEP;
				t->last.off = 0;
				t->last.len = 0;
				track_keep(t, t->header, KTLS__HEADER);
			}
		} else {
			track_keep(t, p, k);
			t->left -= (uint32_t)k;
		}
		if (t->have == KTLS__HEADER && t->left == 0)
			track_end(t);
		p += k;
		n -= k;
	}
}
