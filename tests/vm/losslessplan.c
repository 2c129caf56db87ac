/* SPDX-License-Identifier: MIT */
/* ktls-vm-lossless: the scenarios, and covers of every pair of their values. */
#include "lossless.h"

#include <stdio.h>
#include <string.h>

static const struct factor {
	size_t n;
	size_t value[LL_LEVELS];
} factors[LL_FACTORS] = {
	{2, {0, 1}},			      /* TLS 1.3, TLS 1.2 */
	{4, {0, 4096, 16384, 65536}},	      /* SO_SNDBUF */
	{3, {0, 1448, 8948}},		      /* MSS; loopback's is 65483 */
	{5, {1, 5000, 16384, 65536, 100000}}, /* bytes a call */
	{LL_HOWS, {LL_WRITE, LL_SENDFILE, LL_SPLICE}},
	{2, {0, 1}}, /* blocking */
	{LL_ENDS, {LL_AT_ONCE, LL_SIGNALS, LL_ASLEEP}},
};

uint64_t ll_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15U;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

size_t ll_count(void)
{
	size_t n = 1;

	for (size_t i = 0; i < LL_FACTORS; i++)
		n *= factors[i].n;
	return n;
}

static void levels(size_t nth, size_t level[LL_FACTORS])
{
	for (size_t i = LL_FACTORS; i-- > 0;) {
		level[i] = nth % factors[i].n;
		nth /= factors[i].n;
	}
}

struct ll_scenario ll_scenario(size_t nth)
{
	size_t level[LL_FACTORS], v[LL_FACTORS];

	levels(nth, level);
	for (size_t i = 0; i < LL_FACTORS; i++)
		v[i] = factors[i].value[level[i]];
	return (struct ll_scenario){
		.tls12 = v[0],
		.sndbuf = (int)v[1],
		.mss = (int)v[2],
		.size = v[3],
		.how = (enum ll_how)v[4],
		.blocking = v[5],
		.end = (enum ll_end)v[6],
	};
}

/* Pairs that this combination has and none before had; marks them */
static unsigned int new_pairs(struct ll_cover *c, size_t nth, bool mark)
{
	size_t level[LL_FACTORS];
	unsigned int n = 0;

	levels(nth, level);
	for (size_t i = 0; i < LL_FACTORS; i++)
		for (size_t k = i + 1; k < LL_FACTORS; k++) {
			bool *had = &c->seen[i][level[i]][k][level[k]];

			n += !*had;
			*had |= mark;
		}
	return n;
}

size_t ll_cover_next(struct ll_cover *cover, uint64_t *random)
{
	const size_t count = ll_count();
	size_t best = count, equals = 0;
	unsigned int most = 0;

	for (size_t i = 0; i < count; i++) {
		const unsigned int n = new_pairs(cover, i, false);

		if (n == 0 || n < most)
			continue;
		if (n > most)
			equals = 0;
		most = n;
		/* each of those that add as many is as likely as the others */
		if (ll_random(random) % ++equals == 0)
			best = i;
	}
	if (best < count)
		(void)new_pairs(cover, best, true);
	return best;
}

const char *ll_name(const struct ll_scenario *s)
{
	static const char *const hows[] = {"write", "sendfile", "splice"};
	static const char *const ends[] = {"at once", "signals", "asleep"};
	static char text[160];

	snprintf(text, sizeof(text),
		 "TLS 1.%d, SO_SNDBUF %d, MSS %d, %s %s of %zu bytes, %s, from "
		 "%zu at most %zu, %u rides, nap %d",
		 s->tls12 ? 2 : 3, s->sndbuf, s->mss,
		 s->blocking ? "blocking" : "non-blocking", hows[s->how],
		 s->size, ends[s->end], s->base, s->most, s->rides, s->nap_ms);
	return text;
}
