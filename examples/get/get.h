/* SPDX-License-Identifier: MIT */
/*
 * Inside ktls-get. A function that fails prints one message and ends the
 * program: there is nothing else a command that fetches one file could do.
 *
 *   main.c   options, connection, TLS; every call of libktls but ktls_read()
 *   url.c    takes a URL apart
 *   head.c   reads from the connection, and the head of the response
 *   body.c   writes out the body
 */
#ifndef GET_H
#define GET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include <ktls/ktls.h>

#include "../common/common.h"

struct url {
	char host[256]; /* without the brackets of an IPv6 address */
	char port[6];
	bool v6;
	const char *path; /* and query; "" stands for "/" */
	size_t path_len;
};

/* What was read from the connection and not used yet. */
struct input {
	struct ktls_conn *tls;
	size_t start;
	size_t end;
	/* large: one call takes many records out of the kernel */
	char buf[256 * 1024];
};

struct head {
	int status;
	bool chunked;
	bool has_length;
	uint64_t length;
};

/* url.c */
void url_parse(struct url *url, const char *text);

/* head.c */
bool input_fill(struct input *in);
void input_line(struct input *in, char *line, size_t size);
void head_read(struct input *in, struct head *head);

/* body.c */
void body_write(struct input *in, const struct head *head, int out);

/* main.c */
void die_of_tls(const char *what, const struct ktls_conn *tls)
	__attribute__((noreturn));

#endif
