/* SPDX-License-Identifier: MIT */
/* Reads from the connection, and the head of the response (RFC 9112). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "get.h"

/*
 * Read more when everything has been used. Returns false when the peer has
 * said close_notify; a connection that just ends is a failure.
 */
bool input_fill(struct input *in)
{
	ssize_t n;

	if (in->start < in->end)
		return true;
	n = ktls_read(in->tls, in->buf, sizeof(in->buf));
	if (n < 0)
		die_of_tls("reading", in->tls);
	in->start = 0;
	in->end = (size_t)n;
	return n > 0;
}

/* The next line, without its end. */
void input_line(struct input *in, char *line, size_t size)
{
	size_t n = 0;

	for (;;) {
		char c;

		if (!input_fill(in))
			die("the server closed in the middle of a response");
		c = in->buf[in->start++];
		if (c == '\n')
			break;
		if (c == '\0' || n == size - 1)
			die("this is no HTTP response");
		line[n++] = c;
	}
	if (n > 0 && line[n - 1] == '\r')
		n--;
	line[n] = '\0';
}

static int parse_status(const char *line)
{
	if (strncmp(line, "HTTP/1.", 7) != 0 || strlen(line) < 12 ||
	    line[8] != ' ' || strspn(line + 9, "0123456789") != 3)
		die("this is no HTTP/1.1 response");
	return atoi(line + 9);
}

static void parse_length(struct head *head, const char *value)
{
	uint64_t length = 0;

	if (!*value)
		die("the server sent a bad Content-Length");
	for (; *value; value++) {
		if (*value < '0' || *value > '9' || length > UINT64_MAX / 10 - 1)
			die("the server sent a bad Content-Length");
		length = length * 10 + (uint64_t)(*value - '0');
	}
	if (head->has_length && head->length != length)
		die("the server sent two Content-Lengths");
	head->has_length = true;
	head->length = length;
}

static void parse_field(struct head *head, char *line)
{
	char *value = strchr(line, ':');

	if (!value)
		die("this is no HTTP response");
	*value++ = '\0';
	value += strspn(value, " \t");
	for (size_t n = strlen(value); n > 0; n--) {
		if (value[n - 1] != ' ' && value[n - 1] != '\t')
			break;
		value[n - 1] = '\0';
	}
	if (strcasecmp(line, "Content-Length") == 0)
		parse_length(head, value);
	if (strcasecmp(line, "Transfer-Encoding") == 0) {
		if (strcasecmp(value, "chunked") != 0)
			die("Transfer-Encoding %s does not work here", value);
		head->chunked = true;
	}
}

/* The head of the response; interim ones (1xx) are skipped. */
void head_read(struct input *in, struct head *head)
{
	char line[8192];

	do {
		unsigned int fields = 0;

		memset(head, 0, sizeof(*head));
		input_line(in, line, sizeof(line));
		head->status = parse_status(line);
		for (;;) {
			input_line(in, line, sizeof(line));
			if (!*line)
				break;
			if (++fields > 200)
				die("the server's response never starts");
			parse_field(head, line);
		}
	} while (head->status >= 100 && head->status < 200);
}
