/* SPDX-License-Identifier: MIT */
/*
 * What a call sends: pieces of memory, of files, or what a pipe holds, in
 * order, and how far the call has come.
 */
#ifndef KTLS_SOURCE_H
#define KTLS_SOURCE_H

#include "state.h"
#include "sys.h"

struct ktls__source {
	const struct iovec *iov;       /* memory, or */
	const struct ktls_span *spans; /* memory and files, or, without both, */
	int pipe;		       /* a pipe */
	int count;		       /* of iov or spans; 1 for a pipe */
	int index;		       /* the piece at hand */
	size_t done;		       /* bytes of it that are accepted */
	bool more;		       /* KTLS_MORE */
};

enum ktls__kind { KTLS__MEMORY, KTLS__FILE, KTLS__PIPE };

/* The rest of a piece; len is SIZE_MAX where nobody knows: pipes. */
struct ktls__piece {
	enum ktls__kind kind;
	const uint8_t *mem;
	int fd;
	off_t offset;
	size_t len;
};

/* The piece at hand, empty ones left out; false at the end. */
bool ktls__source_piece(struct ktls__source *src, struct ktls__piece *p);
/* Goes on by n bytes, over the ends of pieces. */
void ktls__source_skip(struct ktls__source *src, size_t n);

/*
 * The sum of the lengths; -EINVAL when there are fewer than 0 or more than
 * IOV_MAX elements, one has a length and no memory, or the sum exceeds
 * SSIZE_MAX.
 */
ssize_t ktls__iov_length(const struct iovec *iov, int count);

/*
 * Copies up to max bytes to buf without taking them from src, except those of
 * a pipe, which are gone from there: their number, 0 at the source's end,
 * -EAGAIN (a pipe is empty), or -errno of the file.
 */
ssize_t ktls__source_copy(struct ktls_conn *c, const struct ktls__source *src,
			  uint8_t *buf, size_t max);

/* Records a failure of a file or pipe, which is not the connection's. */
ssize_t ktls__file_failed(struct ktls_conn *c, int code, const char *call);

#endif
