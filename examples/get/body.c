/* SPDX-License-Identifier: MIT */
/*
 * Writes out the body of the response. Whether it is complete is known from
 * Content-Length, from the last chunk, or from close_notify; never from a TCP
 * connection that has ended.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "get.h"

static void write_all(int out, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t written = write(out, p, n);

		if (written < 0 && errno != EINTR)
			die("cannot write: %s", strerror(errno));
		if (written > 0) {
			p += written;
			n -= (size_t)written;
		}
	}
}

/* Copy what is there, but no more than max; returns how much it was. */
static uint64_t copy_some(struct input *in, uint64_t max, int out)
{
	size_t n = in->end - in->start;

	if (n > max)
		n = (size_t)max;
	write_all(out, in->buf + in->start, n);
	in->start += n;
	return n;
}

static void copy(struct input *in, uint64_t length, int out)
{
	while (length > 0) {
		if (!input_fill(in))
			die("the server closed, %llu bytes are missing",
			    (unsigned long long)length);
		length -= copy_some(in, length, out);
	}
}

/* The size at the start of a chunk; what follows it is of no interest. */
static uint64_t read_chunk_size(struct input *in)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	char line[1024];
	size_t n;

	input_line(in, line, sizeof(line));
	n = strspn(line, digits);
	if (n == 0 || n > 15 || !strchr("; \t", line[n]))
		die("the server sent a bad chunk");
	return strtoull(line, NULL, 16);
}

static void copy_chunks(struct input *in, int out)
{
	char line[8192];
	uint64_t size;

	while ((size = read_chunk_size(in)) > 0) {
		copy(in, size, out);
		input_line(in, line, sizeof(line));
		if (*line)
			die("the server sent a bad chunk");
	}
	/* trailer fields, up to an empty line */
	do
		input_line(in, line, sizeof(line));
	while (*line);
}

void body_write(struct input *in, const struct head *head, int out)
{
	if (head->status == 204 || head->status == 304)
		return;
	if (head->chunked) {
		copy_chunks(in, out);
	} else if (head->has_length) {
		copy(in, head->length, out);
	} else {
		while (input_fill(in))
			copy_some(in, UINT64_MAX, out);
	}
}
