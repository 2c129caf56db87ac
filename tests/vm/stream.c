/* SPDX-License-Identifier: MIT */
/*
 * What the tests send: bytes without a pattern, the same in a file. Digests
 * are BLAKE2b: in an emulated machine SHA-256 would cost more than TLS.
 */
#include "vmtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const uint8_t *vt_data;
int vt_file = -1;

/* splitmix64: any place of the data differs from any other */
static uint64_t mix(uint64_t n)
{
	uint64_t z = (n + 1) * 0x9e3779b97f4a7c15U;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

void vt_data_init(void)
{
	uint64_t *p;

	if (vt_data)
		return;
	vt_file = memfd_create("ktls-vm", MFD_CLOEXEC);
	MUST(vt_file >= 0);
	MUST(ftruncate(vt_file, VT_DATA) == 0);
	p = mmap(NULL, VT_DATA, PROT_READ | PROT_WRITE, MAP_SHARED, vt_file, 0);
	MUST(p != MAP_FAILED);
	for (size_t i = 0; i < VT_DATA / sizeof(*p); i++)
		p[i] = mix(i);
	vt_data = (const uint8_t *)p;
}

void vt_stream_init(struct vt_stream *s, size_t base, const size_t *sizes,
		    size_t n)
{
	memset(s, 0, sizeof(*s));
	s->base = base;
	s->sizes = sizes;
	s->n_sizes = n;
	for (size_t i = 0; i < n; i++)
		s->total += sizes[i];
	MUST(base + s->total <= VT_DATA);
}

size_t vt_stream_next(const struct vt_stream *s, size_t *number)
{
	size_t end = 0, i = 0, size;

	do {
		size = s->sizes[i < s->n_sizes ? i : s->n_sizes - 1];
		end += size;
		i++;
	} while (end <= s->pos);
	*number = i - 1;
	if (end > s->total)
		end = s->total;
	return end - s->pos;
}

void vt_sink_init(struct vt_sink *k)
{
	k->count = 0;
	k->md = EVP_MD_CTX_new();
	MUST(k->md != NULL);
	MUST(EVP_DigestInit_ex(k->md, EVP_blake2b512(), NULL) == 1);
}

void vt_sink_add(struct vt_sink *k, const void *p, size_t n)
{
	MUST(EVP_DigestUpdate(k->md, p, n) == 1);
	k->count += n;
}

bool vt_sink_check(struct vt_sink *k, const struct vt_stream *s, size_t length,
		   const char *whose)
{
	uint8_t got[VT_DIGEST], want[VT_DIGEST];

	MUST(EVP_DigestFinal_ex(k->md, got, NULL) == 1);
	EVP_MD_CTX_free(k->md);
	k->md = NULL;
	MUST(EVP_Digest(vt_data + s->base, length, want, NULL, EVP_blake2b512(),
			NULL) == 1);
	return CHECK(k->count == length && memcmp(got, want, VT_DIGEST) == 0,
		     "%s got %zu bytes, digest %02x%02x%02x%02x; %zu were "
		     "sent, digest %02x%02x%02x%02x",
		     whose, k->count, got[0], got[1], got[2], got[3], length,
		     want[0], want[1], want[2], want[3]);
}

bool vt_sink_same(struct vt_sink *got, struct vt_sink *want, const char *whose)
{
	uint8_t a[VT_DIGEST], b[VT_DIGEST];

	MUST(EVP_DigestFinal_ex(got->md, a, NULL) == 1);
	MUST(EVP_DigestFinal_ex(want->md, b, NULL) == 1);
	EVP_MD_CTX_free(got->md);
	EVP_MD_CTX_free(want->md);
	got->md = NULL;
	want->md = NULL;
	return CHECK(got->count == want->count && memcmp(a, b, VT_DIGEST) == 0,
		     "%s got %zu bytes, digest %02x%02x%02x%02x; %zu were "
		     "sent, digest %02x%02x%02x%02x",
		     whose, got->count, a[0], a[1], a[2], a[3], want->count,
		     b[0], b[1], b[2], b[3]);
}
