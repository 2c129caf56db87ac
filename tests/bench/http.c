/* SPDX-License-Identifier: MIT */
/*
 * The rows of HTTP: what servers and clients of HTTP/1.1 and HTTP/2 do for one
 * request, GET and POST. There is no HTTP in it but its shape: heads of about
 * the right length, and with HTTP/2 frames of 16384 bytes at most, each with
 * nine bytes in front.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	REQUEST = 16, /* bytes of a request's head */
	H2_HEAD = 64, /* of a response's; HPACK makes it short */
	FRAME = 9,    /* RFC 9113 section 4.1 */
	BODY = 65536, /* at most */
	FRAMES = 1 + BODY / CHUNK,
	MESSAGE = HEAD + BODY + FRAMES * FRAME,
	UNCOUNTED = 2, /* requests before the first that is measured */
	COUNTED = 9
};

struct row {
	char name[96];
	const struct bench_backend *backend;
	size_t size;
	bool server; /* it is measured, else the client */
	bool h2;
	bool post;
	bool keep;   /* the connection, for all requests */
	bool pieces; /* what is in memory is not joined */
};

/* A request or a response, in pieces. */
struct message {
	struct iovec v[2 * FRAMES];
	int count;
	size_t len;
	int frames;
	uint8_t frame[FRAMES][FRAME];
};

static void add(struct message *m, const void *p, size_t len)
{
	/* iovec has no const; nothing writes through it */
	m->v[m->count++] = (struct iovec){(void *)(uintptr_t)p, len};
	m->len += len;
}

static void add_frame(struct message *m, const void *p, size_t len,
		      uint8_t type, bool last)
{
	uint8_t *frame = m->frame[m->frames++];

	/* its length, its type, END_STREAM, the stream's number */
	frame[0] = (uint8_t)(len >> 16);
	frame[1] = (uint8_t)(len >> 8);
	frame[2] = (uint8_t)len;
	frame[3] = type;
	frame[4] = last;
	memcpy(frame + 5, "\0\0\0\1", 4);
	add(m, frame, FRAME);
	add(m, p, len);
}

static void make(struct message *m, const struct row *row, bool request)
{
	static const uint8_t heads[HEAD] = "a head of zeros, but for this";
	const size_t head = request ? REQUEST : row->h2 ? H2_HEAD : HEAD;
	const size_t size = request == row->post ? row->size : 0;

	m->count = 0;
	m->len = 0;
	m->frames = 0;
	if (row->h2) {
		add_frame(m, heads, head, 1, size == 0);
		for (size_t at = 0; at < size; at += CHUNK)
			add_frame(m, bench_data + at, CHUNK, 0,
				  at + CHUNK == size);
	} else {
		add(m, heads, head);
		if (size > 0)
			add(m, bench_data, size);
	}
}

/* All pieces in one; bodies come from the file, or from memory. */
static bool join(const struct message *m, uint8_t *p, bool from_file)
{
	for (int i = 0; i < m->count; i++) {
		const size_t len = m->v[i].iov_len;
		const uint8_t *from = m->v[i].iov_base;

		if (!from_file || len < CHUNK)
			memcpy(p, from, len);
		else if (pread(bench_file, p, len, from - bench_data) !=
			 (ssize_t)len)
			return bench_bad("pread");
		p += len;
	}
	return true;
}

/* A server's body is a file's, a client's is in memory. */
static bool send_message(const struct row *row, const struct bench_backend *b,
			 struct bench_end *e, bool request)
{
	static uint8_t p[MESSAGE];
	struct iovec all = {.iov_base = p};
	struct message m;

	make(&m, row, request);
	if (request && row->pieces)
		return b->write(e, m.v, m.count);
	all.iov_len = m.len;
	return join(&m, p, !request) && b->write(e, &all, 1);
}

static uint8_t received[MESSAGE];

static bool receive(const struct row *row, const struct bench_backend *b,
		    struct bench_end *e, bool request)
{
	struct message m;
	size_t at = 0;

	make(&m, row, request);
	while (at < m.len) {
		const ssize_t n = b->read(e, received + at, MESSAGE - at);

		if (n <= 0)
			return bench_bad("read");
		at += (size_t)n;
	}
	return at == m.len || bench_bad("more than a message");
}

static bool check(const struct row *row, bool request)
{
	static uint8_t want[MESSAGE];
	struct message m;

	make(&m, row, request);
	join(&m, want, false);
	return memcmp(want, received, m.len) == 0 || bench_bad("other bytes");
}

/* The server closes, and is answered. */
static bool end(const struct bench_backend *b, struct bench_end *e, bool server)
{
	bool ok = true;
	char c;

	if (!server)
		ok = b->read(e, &c, 1) == 0 &&
		     (e->c || (SSL_get_shutdown(e->ssl) & SSL_RECEIVED_SHUTDOWN));
	b->close(e);
	return ok || bench_bad("no end");
}

static bool run(const struct row *row, const struct bench_backend *b,
		bool server, bool measured)
{
	static struct bench_end e;
	const struct ktls_policy policy = vt_policy(KTLS_AUTO, KTLS_AUTO);
	bool ok = true;

	close(bench_fd[0]);
	close(bench_fd[1]);
	for (int i = 0; ok && i < UNCOUNTED + COUNTED; i++) {
		const bool count = measured && i >= UNCOUNTED;

		if (count && !row->keep)
			bench_start();
		if (!row->keep || i == 0) {
			e.fd = server ? bench_accept() : bench_connect();
			if (!b->open(&e, server, &policy))
				return false;
		}
		if (count && row->keep)
			bench_start();
		ok = server ? receive(row, b, &e, true) &&
				      send_message(row, b, &e, false)
			    : send_message(row, b, &e, true) &&
				      receive(row, b, &e, false);
		if (!row->keep)
			ok = ok && end(b, &e, server);
		if (count)
			bench_stop();
		ok = ok && check(row, server);
	}
	return ok && (!row->keep || end(b, &e, server));
}

static bool measured(const void *arg)
{
	const struct row *row = arg;

	return run(row, row->backend, row->server, true);
}

static bool other(const void *arg)
{
	const struct row *row = arg;

	bench_eager();
	return run(row, row->server ? &bench_ossl : &bench_ossl_careful,
		   !row->server, false);
}

static void one(struct row *row, const struct bench_backend *backend,
		const char *what)
{
	row->backend = backend;
	snprintf(row->name, sizeof(row->name), "%s %s %s %s, %zu KiB, %s",
		 row->server ? "server" : "client", row->h2 ? "h2" : "h1",
		 row->post ? "POST" : "GET", row->keep ? "kept" : "closed",
		 row->size / 1024, what);
	if (!bench_wanted("http", row->name))
		return;
	vt_case("%s", row->name);
	bench_report("http", row->name, 1, measured, other, row);
}

/*
 * OpenSSL is given joined pieces, as nghttp2's users do it: with a call for
 * each, nine bytes would be a record. libktls has a call for pieces.
 */
static void pair(struct row row)
{
	const bool posts = row.post && !row.server;

	one(&row, &bench_ossl, "OpenSSL");
	if (!row.keep)
		one(&row, &bench_ossl_keylog, "OpenSSL, keylog");
	if (posts && row.h2)
		one(&row, &bench_lib, "libktls");
	row.pieces = posts;
	if (posts && !row.h2)
		one(&row, &bench_ossl, "OpenSSL, head and body");
	one(&row, &bench_lib, posts ? "libktls, ktls_writev" : "libktls");
}

void bench_http(void)
{
	const int times = bench_times;

	/* each run has many that are measured */
	bench_times = 1;
	for (int server = 1; server >= 0; server--) {
		/* a server's GET with HTTP/1.1 is a row of requests.c */
		if (!server) {
			pair((struct row){.keep = true});
			pair((struct row){.keep = true, .size = BODY});
			pair((struct row){.keep = false});
		}
		pair((struct row){.keep = true,
				  .size = BODY,
				  .server = server,
				  .post = true});
		pair((struct row){.keep = true, .server = server, .h2 = true});
		pair((struct row){
			.keep = true, .size = BODY, .server = server, .h2 = true});
		pair((struct row){.keep = true,
				  .size = BODY,
				  .server = server,
				  .h2 = true,
				  .post = true});
	}
	bench_times = times;
}
