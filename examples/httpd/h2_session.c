/* SPDX-License-Identifier: MIT */
/*
 * HTTP/2 (RFC 9113) by nghttp2, in memory: h2.c gives it what has arrived
 * and sends what it has to say. A request becomes the head of an HTTP/1.1
 * request, and the head of the response is taken apart again, so that all that
 * is strict in request.c, and all of response.c, is there for both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "httpd.h"

enum {
	STREAMS = 100,	    /* at once, RFC 9113 section 6.5.2: no fewer */
	FRAME = 9 + 16384,  /* of what we send, at most */
	OUTPUT = 4 * 16384, /* full records, if there is so much to send */
	FIELDS = 16	    /* of a response; response.c has fewer */
};

struct stream {
	struct stream *next;
	struct response res;
};

struct h2 {
	nghttp2_session *session;
	struct conn *conn;
	struct stream *streams;
	bool stopped; /* GOAWAY was said */

	/* The request whose fields arrive; no others come in between. */
	struct {
		int error; /* 0, or the status of what is too long */
		bool authority;
		char method[16];
		char path[2048];
		char fields[4096];
		size_t len; /* of fields */
	} req;

	/* Frames, joined: alone, the end of each would be a record. */
	size_t out_at;
	size_t out_len;
	uint8_t out[OUTPUT + FRAME];
};

static void add_field(struct h2 *h2, const char *name, const uint8_t *value)
{
	size_t room = sizeof(h2->req.fields) - h2->req.len;
	int n = snprintf(h2->req.fields + h2->req.len, room, "%s: %s\r\n", name,
			 (const char *)value);

	if (n < 0 || (size_t)n >= room)
		h2->req.error = 431;
	else
		h2->req.len += (size_t)n;
}

static void set_word(struct h2 *h2, char *word, size_t size,
		     const uint8_t *value, int error)
{
	if ((size_t)snprintf(word, size, "%s", (const char *)value) >= size)
		h2->req.error = error;
}

static int on_begin_headers(nghttp2_session *session,
			    const nghttp2_frame *frame, void *arg)
{
	struct h2 *h2 = arg;

	(void)session;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		memset(&h2->req, 0, sizeof(h2->req));
	return 0;
}

/* nghttp2 has seen to it that there are no control characters, not even 0. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
		     const uint8_t *name, size_t namelen, const uint8_t *value,
		     size_t valuelen, uint8_t flags, void *arg)
{
	const char *field = (const char *)name;
	struct h2 *h2 = arg;

	(void)session;
	(void)namelen;
	(void)valuelen;
	(void)flags;
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) /* a trailer */
		return 0;
	if (strcmp(field, ":method") == 0) {
		set_word(h2, h2->req.method, sizeof(h2->req.method), value, 501);
	} else if (strcmp(field, ":path") == 0) {
		set_word(h2, h2->req.path, sizeof(h2->req.path), value, 414);
	} else if (strcmp(field, ":authority") == 0) {
		h2->req.authority = true;
		add_field(h2, "host", value);
	} else if (field[0] != ':' &&
		   !(h2->req.authority && strcmp(field, "host") == 0)) {
		add_field(h2, field, value);
	}
	return 0;
}

/* The next bytes of a response, as many as a frame may have. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf,
			 size_t len, uint32_t *flags,
			 nghttp2_data_source *source, void *arg)
{
	struct response *res = source->ptr;
	struct ktls_cursor *at = &res->cursor;
	struct h2 *h2 = arg;
	size_t done = 0;

	(void)session;
	(void)id;
	while (at->span < res->span_count && done < len) {
		const struct ktls_span *span = &res->spans[at->span];
		size_t left = span->len - (size_t)at->done;
		size_t n = left < len - done ? left : len - done;
		ssize_t got = (ssize_t)n;

		if (span->buf)
			memcpy(buf + done, (const char *)span->buf + at->done, n);
		else if (n > 0)
			got = pread(span->fd, buf + done, n,
				    span->offset + (off_t)at->done);
		if (got < 0 || (got == 0 && n > 0)) {
			conn_set_error(h2->conn, "the file became shorter "
						 "while it was sent");
			/* RST_STREAM: it must not look complete */
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		}
		done += (size_t)got;
		at->done += (uint64_t)got;
		if (at->done == span->len) {
			at->span++;
			at->done = 0;
		}
	}
	if (at->span == res->span_count)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	conn_set_state(h2->conn, CONN_H2); /* it has more time */
	return (ssize_t)done;
}

/*
 * The fields of a response's head, as HTTP/2 has them: names in small letters,
 * and nothing about the connection. The head is changed, and shortened by what
 * is taken; returns how many there are.
 */
static size_t take_fields(struct response *res, nghttp2_nv *fields)
{
	char *line = (char *)(uintptr_t)res->spans[0].buf;
	char *end = line + res->spans[0].len;
	size_t count = 0;

	/* "HTTP/1.1 200 OK" */
	fields[count++] = (nghttp2_nv){.name = (uint8_t *)":status",
				       .namelen = 7,
				       .value = (uint8_t *)line + 9,
				       .valuelen = 3};
	for (;;) {
		char *colon;

		line = memchr(line, '\n', (size_t)(end - line));
		if (!line++ || line == end || *line == '\r')
			break;
		colon = memchr(line, ':', (size_t)(end - line));
		if (!colon || count == FIELDS)
			break;
		for (char *c = line; c < colon; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c |= 0x20;
		if (strncmp(line, "connection:", 11) == 0)
			continue;
		fields[count++] = (nghttp2_nv){
			.name = (uint8_t *)line,
			.namelen = (size_t)(colon - line),
			.value = (uint8_t *)colon + 2,
			.valuelen = strcspn(colon + 2, "\r"),
		};
	}
	line = line ? line + 2 : end;
	res->spans[0].buf = line;
	res->spans[0].len = (size_t)(end - line);
	return count;
}

static int submit(struct h2 *h2, int32_t id, struct response *res)
{
	nghttp2_data_provider body = {
		.source.ptr = res,
		.read_callback = read_body,
	};
	nghttp2_nv fields[FIELDS];
	size_t count = take_fields(res, fields);
	bool empty = true;

	for (int i = 0; i < res->span_count; i++)
		empty = empty && res->spans[i].len == 0;
	return nghttp2_submit_response(h2->session, id, fields, count,
				       empty ? NULL : &body);
}

/* A body that the request may have is not waited for, and thrown away. */
static int answer(struct h2 *h2, int32_t id)
{
	struct conn *conn = h2->conn;
	struct stream *stream = calloc(1, sizeof(*stream));
	struct request req;
	int len;

	if (!stream)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	len = snprintf(conn->in, sizeof(conn->in), "%s %s HTTP/1.1\r\n%.*s\r\n",
		       h2->req.method, h2->req.path, (int)h2->req.len,
		       h2->req.fields);
	request_parse(&req, conn->in, (size_t)len, sizeof(conn->in));
	if (h2->req.error)
		req.error = h2->req.error;
	conn->requests++;
	conn_set_state(conn, CONN_H2);
	response_make(&stream->res, &req, conn->worker->config);

	stream->next = h2->streams;
	h2->streams = stream;
	nghttp2_session_set_stream_user_data(h2->session, id, stream);
	return submit(h2, id, &stream->res) == 0 ? 0
						 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame,
			 void *arg)
{
	(void)session;
	if (frame->hd.type != NGHTTP2_HEADERS ||
	    frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	return answer(arg, frame->hd.stream_id);
}

static void free_stream(struct h2 *h2, struct stream *stream)
{
	struct stream **at = &h2->streams;

	while (*at != stream)
		at = &(*at)->next;
	*at = stream->next;
	response_drop(&stream->res);
	free(stream);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error,
			   void *arg)
{
	struct stream *stream = nghttp2_session_get_stream_user_data(session, id);

	(void)error;
	if (stream)
		free_stream(arg, stream);
	return 0;
}

static int new_session(struct h2 *h2)
{
	nghttp2_session_callbacks *calls;
	int error = nghttp2_session_callbacks_new(&calls);

	if (error)
		return error;
	nghttp2_session_callbacks_set_on_begin_headers_callback(
		calls, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(calls,
							     on_frame_recv);
	nghttp2_session_callbacks_set_on_stream_close_callback(calls,
							       on_stream_close);
	error = nghttp2_session_server_new(&h2->session, calls, h2);
	nghttp2_session_callbacks_del(calls);
	return error;
}

/* NULL: there is no memory. */
struct h2 *h2_new(struct conn *conn)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 4096},
	};
	struct h2 *h2 = calloc(1, sizeof(*h2));

	if (!h2)
		return NULL;
	h2->conn = conn;
	if (new_session(h2) == 0 &&
	    nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
				    ARRAY_SIZE(settings)) == 0)
		return h2;
	h2_free(h2);
	return NULL;
}

void h2_free(struct h2 *h2)
{
	if (!h2)
		return;
	while (h2->streams)
		free_stream(h2, h2->streams);
	nghttp2_session_del(h2->session);
	free(h2);
}

static bool worked(struct h2 *h2, ssize_t result)
{
	if (result < 0)
		conn_set_error(h2->conn, nghttp2_strerror((int)result));
	return result >= 0;
}

/* What has arrived; false: the connection cannot go on. */
bool h2_receive(struct h2 *h2, const void *buf, size_t len)
{
	return worked(h2, nghttp2_session_mem_recv(h2->session, buf, len));
}

/* Take frames until there are enough for full records. */
static bool fill(struct h2 *h2)
{
	const uint8_t *frame;
	ssize_t n = 1;

	h2->out_len -= h2->out_at;
	memmove(h2->out, h2->out + h2->out_at, h2->out_len);
	h2->out_at = 0;
	while (h2->out_len < OUTPUT) {
		n = nghttp2_session_mem_send(h2->session, &frame);
		if (n > FRAME)
			n = NGHTTP2_ERR_FRAME_SIZE_ERROR;
		if (n <= 0)
			break;
		memcpy(h2->out + h2->out_len, frame, (size_t)n);
		h2->out_len += (size_t)n;
	}
	return worked(h2, n);
}

/* What is to be sent next: its length, 0: nothing, -1: it cannot go on. */
ssize_t h2_output(struct h2 *h2, const void **data)
{
	size_t left = h2->out_len - h2->out_at;

	/* what did not fit the records before is joined with what follows */
	if (left < FRAME) {
		if (!fill(h2))
			return -1;
		left = h2->out_len;
	}
	*data = h2->out + h2->out_at;
	return (ssize_t)(left < OUTPUT ? left : OUTPUT);
}

void h2_sent(struct h2 *h2, size_t len)
{
	h2->out_at += len;
}

/* Responses are on their way. h2 may be NULL. */
bool h2_busy(const struct h2 *h2)
{
	return h2 && (h2->streams || h2->out_at < h2->out_len);
}

/* Nothing more will come from either side. */
bool h2_over(const struct h2 *h2)
{
	return h2->out_at == h2->out_len &&
	       !nghttp2_session_want_read(h2->session) &&
	       !nghttp2_session_want_write(h2->session);
}

/*
 * GOAWAY: finish what was asked for until now, and nothing that comes later.
 * False if that was said before.
 */
bool h2_stop(struct h2 *h2)
{
	if (h2->stopped)
		return false;
	h2->stopped = true;
	nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
			      nghttp2_session_get_last_proc_stream_id(h2->session),
			      NGHTTP2_NO_ERROR, NULL, 0);
	return true;
}
