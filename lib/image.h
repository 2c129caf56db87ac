/* SPDX-License-Identifier: MIT */
/*
 * What a connection is beside its socket, as it goes from ktls_export() to
 * ktls_import() of another process on this host.
 */
#ifndef KTLS_IMAGE_H
#define KTLS_IMAGE_H

#include "state.h"
#include "sys.h"

enum {
	KTLS__FORMAT = 1, /* changes with everything below */
	KTLS__NAME = 48
};

enum {
	KTLS__BLOCKING = 1, /* the socket was, before it became ours */
	KTLS__CLOSED = 2,   /* the peer has sent close_notify */
	KTLS__NO_PAD = 4,
	KTLS__ZEROCOPY = 8,
	KTLS__CREDIT = 16, /* see claim_credit() of write.c */
	KTLS__CREDIT_GONE = 32,
	KTLS__SILENT = 64,
	KTLS__ALL_FLAGS = 127
};

/* sizeof(ktls__image.magic) bytes, the last one of them 0 */
#define KTLS__MAGIC "libktls"

struct ktls__image_half {
	uint64_t seq; /* of the next record, in user space */
	uint32_t mode;
	uint32_t secret_len;
	uint8_t secret[KTLS__SECRET_MAX];
	uint32_t has_keys;
	uint8_t key[KTLS__KEY_MAX];
	uint8_t iv[KTLS__IV];
};

/* Followed by plaintext, and then records, that were read and not delivered. */
struct ktls__image {
	char magic[8];
	uint32_t format;
	uint32_t size;
	uint8_t digest[32]; /* SHA-256 of all of it, with zeros here */
	uint64_t cookie;    /* of the socket: SO_COOKIE */
	uint64_t handed;    /* bytes that TCP had: an image is of use once */
	uint32_t version;
	uint32_t cipher; /* enum ktls_cipher */
	uint32_t suite;
	uint32_t flags;
	char suite_name[KTLS__NAME];
	uint32_t record_peer;
	uint32_t record_kernel;
	struct ktls__image_half tx;
	struct ktls__image_half rx;
	uint32_t ahead;
	uint32_t early;
};

/* image and n bytes at rest; false: libcrypto failed. */
bool ktls__image_digest(const struct ktls__image *image, const void *rest,
			size_t n, uint8_t digest[32]);

static inline int ktls__cookie(int fd, uint64_t *cookie)
{
	socklen_t len = sizeof(*cookie);

	return ktls__sys_getsockopt(fd, SOL_SOCKET, KTLS__SO_COOKIE, cookie,
				    &len);
}

#endif
