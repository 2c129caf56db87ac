/* SPDX-License-Identifier: MIT */
/* Files of the model, their content made as it is read, and the wire check. */
#include "fake_core.h"

#include <errno.h>
#include <string.h>

enum { FILES = 64, FIRST_FD = 2000 };
static struct fake_file files[FILES];
static size_t used;

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static void block(uint64_t seed, uint64_t i, uint8_t b[16])
{
	const uint64_t v = mix(seed * 0x10001 + i);

	memcpy(b, FAKE_MAGIC, 8);
	memcpy(b + 8, &v, 8);
}

void fake_pattern(uint64_t seed, uint64_t offset, void *buf, size_t n)
{
	uint8_t *p = buf, b[16];

	while (n > 0) {
		const size_t in = (size_t)(offset % 16);
		const size_t k = n < 16 - in ? n : 16 - in;

		block(seed, offset / 16, b);
		memcpy(p, b + in, k);
		p += k;
		n -= k;
		offset += k;
	}
}

size_t fake_pattern_check(uint64_t seed, uint64_t offset, const void *buf,
			  size_t n)
{
	const uint8_t *p = buf;
	uint8_t b[16];
	size_t done = 0;

	while (done < n) {
		const size_t in = (size_t)(offset % 16);
		const size_t k = n - done < 16 - in ? n - done : 16 - in;

		block(seed, offset / 16, b);
		for (size_t i = 0; i < k; i++)
			if (p[done + i] != b[in + i])
				return done + i;
		done += k;
		offset += k;
	}
	return n;
}

const char *fake_leaks(int fd)
{
	const struct fake_socket *s = fake_socket_any(fd);
	const uint8_t *p = s->wire.p + s->wire.off;
	size_t n = s->wire.len;

	if (n > 0 && memmem(p, n, FAKE_MAGIC, 8))
		return "plaintext on the wire";
	while (n >= 5) {
		const size_t len = 5 + ((size_t)p[3] << 8 | p[4]);

		if (p[0] < 20 || p[0] > 23 || p[1] != 3)
			return "bytes on the wire that are no TLS record";
		if (len > 5 + FAKE_RECORD + 256)
			return "a record on the wire that is too long";
		/* the last one may be on its way still */
		if (len > n)
			return NULL;
		p += len;
		n -= len;
	}
	return NULL;
}

void fake_files_reset(void)
{
	memset(files, 0, sizeof(files));
	used = 0;
}

int fake_file(enum fake_file_kind kind, uint64_t seed, int64_t size)
{
	struct fake_file *f = &files[used];

	if (used == FILES)
		fake_broken("too many files");
	*f = (struct fake_file){
		.fd = FIRST_FD + (int)used,
		.open = true,
		.kind = kind,
		.seed = seed,
		.size = size,
		.shown = -1,
		.bad_at = -1,
		.cut_at = -1,
	};
	used++;
	return f->fd;
}

struct fake_file *fake_file_of(int fd)
{
	const size_t i = (size_t)(fd - FIRST_FD);

	return fd >= FIRST_FD && i < used && files[i].open ? &files[i] : NULL;
}

ssize_t fake_file_read(struct fake_file *f, void *p, size_t n, int64_t off)
{
	if (f->kind == FAKE_DIRECTORY)
		return -EISDIR;
	if (f->kind == FAKE_PIPE || f->kind == FAKE_SOCKET)
		return -ESPIPE;
	if (off < 0)
		return -EINVAL;
	if (off >= f->size)
		return 0;
	if ((uint64_t)n > (uint64_t)(f->size - off))
		n = (size_t)(f->size - off);
	if (f->bad_at >= 0 && off + (int64_t)n > f->bad_at) {
		if (off >= f->bad_at)
			return -EIO;
		n = (size_t)(f->bad_at - off);
	}
	fake_pattern(f->seed, f->shift + (uint64_t)off, p, n);
	if (f->cut_at >= 0 && off + (int64_t)n > f->cut_at)
		f->size = off + (int64_t)n;
	return (ssize_t)n;
}
