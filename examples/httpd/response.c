/* SPDX-License-Identifier: MIT */
/*
 * Chooses what answers a request (RFC 9110): status, file, ranges; and writes
 * the head of the response and of its parts. Nothing is sent here.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "httpd.h"

#define BOUNDARY_SIZE 33 /* as hexadecimal digits and a 0 */

static const char *status_text(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 206:
		return "Partial Content";
	case 301:
		return "Moved Permanently";
	case 304:
		return "Not Modified";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 414:
		return "URI Too Long";
	case 416:
		return "Range Not Satisfiable";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	}
	return "Internal Server Error";
}

/* Add to the text. If it does not fit, text_len says so until the end. */
static void __attribute__((format(printf, 2, 3)))
add(struct response *res, const char *format, ...)
{
	size_t size = sizeof(res->text);
	va_list args;
	int n;

	if (res->text_len >= size)
		return;
	va_start(args, format);
	n = vsnprintf(res->text + res->text_len, size - res->text_len, format,
		      args);
	va_end(args);
	res->text_len = n < 0 ? size : res->text_len + (size_t)n;
}

/* What the text has from there on. */
static struct ktls_span text_from(const struct response *res, size_t from)
{
	return (struct ktls_span){
		.buf = res->text + from,
		.len = res->text_len - from,
	};
}

static struct ktls_span file_range(const struct response *res,
				   const struct range *range)
{
	return (struct ktls_span){
		.fd = res->file,
		.offset = range->first,
		.len = (size_t)(range->end - range->first),
	};
}

static void add_date(struct response *res, const char *field, time_t time)
{
	char text[40];
	struct tm tm;

	if (!gmtime_r(&time, &tm))
		return;
	/* the program never calls setlocale(), so names are English */
	strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	add(res, "%s: %s\r\n", field, text);
}

/* Only the form that RFC 9110 wants sent; others count as no date. */
static bool parse_date(const char *text, time_t *time_out)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

	if (!end || *end)
		return false;
	*time_out = timegm(&tm);
	return true;
}

static void start(struct response *res, int status)
{
	res->status = status;
	add(res, "HTTP/1.1 %d %s\r\n", status, status_text(status));
	add(res, "Server: %s\r\n", program_invocation_short_name);
	add_date(res, "Date", time(NULL));
}

/* The fields that every response has, and the empty line. */
static void finish(struct response *res, const struct request *req)
{
	if (!res->keep_alive)
		add(res, "Connection: close\r\n");
	else if (req->http10)
		add(res, "Connection: keep-alive\r\n");
	add(res, "\r\n");
}

/* A response without a file: its body is one line. 416 tells the file's size. */
static void make_line(struct response *res, const struct request *req,
		      int status, off_t size)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "%d %s\n", status,
			   status_text(status));

	res->text_len = 0;
	start(res, status);
	add(res, "Content-Type: text/plain\r\nContent-Length: %d\r\n", len);
	if (status == 301) {
		size_t path = strcspn(req->target, "?");

		add(res, "Location: %.*s/%s\r\n", (int)path, req->target,
		    req->target + path);
	}
	if (status == 405)
		add(res, "Allow: GET, HEAD\r\n");
	if (status == 416)
		add(res, "Content-Range: bytes */%lld\r\n", (long long)size);
	finish(res, req);
	if (req->method != METHOD_HEAD)
		add(res, "%s", line);
	if (status == 301 && res->text_len >= sizeof(res->text))
		make_line(res, req, 414, 0);
	else
		res->spans[res->span_count++] = text_from(res, 0);
}

/* Ranges are for GET; If-Range makes them depend on the file's date. */
static bool wants_range(const struct request *req, time_t mtime)
{
	time_t date;

	if (!req->range || req->method != METHOD_GET)
		return false;
	if (!req->if_range)
		return true;
	return parse_date(req->if_range, &date) && date == mtime;
}

static bool is_unmodified(const struct request *req, time_t mtime)
{
	time_t date;

	return req->if_modified_since && !req->if_none_match &&
	       parse_date(req->if_modified_since, &date) && mtime <= date;
}

static void add_content_range(struct response *res, const struct range *range,
			      off_t size)
{
	add(res, "Content-Range: bytes %lld-%lld/%lld\r\n",
	    (long long)range->first, (long long)range->end - 1, (long long)size);
}

/* Random, so that nobody can have a file made that has the line in it. */
static bool make_boundary(char text[static BOUNDARY_SIZE])
{
	unsigned char random[(BOUNDARY_SIZE - 1) / 2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return false;
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(text + 2 * i, 3, "%02x", random[i]);
	return true;
}

/* The body that has several ranges: multipart/byteranges, section 14.6. */
static void add_parts(struct response *res, const struct ranges *ranges,
		      const char *boundary, const char *type, off_t size)
{
	const char *end_of_line = "";
	size_t from;

	for (unsigned int i = 0; i < ranges->count; i++) {
		from = res->text_len;
		add(res, "%s--%s\r\n", end_of_line, boundary);
		add(res, "Content-Type: %s\r\n", type);
		add_content_range(res, &ranges->range[i], size);
		add(res, "\r\n");
		res->spans[res->span_count++] = text_from(res, from);
		res->spans[res->span_count++] =
			file_range(res, &ranges->range[i]);
		end_of_line = "\r\n";
	}
	from = res->text_len;
	add(res, "\r\n--%s--\r\n", boundary);
	res->spans[res->span_count++] = text_from(res, from);
}

/* 200 or 206. The head is written last, for it has to tell the length. */
static void make_content(struct response *res, const struct request *req,
			 const struct stat *st, int status,
			 const struct ranges *ranges, const char *boundary)
{
	const char *type = files_type(req->path);
	long long length = 0;
	size_t head;

	res->span_count = 1;
	if (ranges->count > 1)
		add_parts(res, ranges, boundary, type, st->st_size);
	else
		res->spans[res->span_count++] =
			file_range(res, &ranges->range[0]);
	for (int i = 1; i < res->span_count; i++)
		length += (long long)res->spans[i].len;

	head = res->text_len;
	start(res, status);
	if (ranges->count > 1)
		add(res, "Content-Type: multipart/byteranges; boundary=%s\r\n",
		    boundary);
	else
		add(res, "Content-Type: %s\r\n", type);
	add(res, "Content-Length: %lld\r\n", length);
	if (status == 206 && ranges->count == 1)
		add_content_range(res, &ranges->range[0], st->st_size);
	add(res, "Accept-Ranges: bytes\r\n");
	add_date(res, "Last-Modified", st->st_mtime);
	finish(res, req);
	res->spans[0] = text_from(res, head);
	if (req->method == METHOD_HEAD)
		res->span_count = 1;
}

static void make_file(struct response *res, const struct request *req,
		      const struct stat *st)
{
	struct ranges ranges = {0};
	char boundary[BOUNDARY_SIZE];
	int status = 200;

	if (is_unmodified(req, st->st_mtime)) {
		start(res, 304);
		add_date(res, "Last-Modified", st->st_mtime);
		finish(res, req);
		res->spans[res->span_count++] = text_from(res, 0);
		return;
	}
	if (wants_range(req, st->st_mtime))
		status = ranges_parse(&ranges, req->range, st->st_size);
	if (status == 416) {
		make_line(res, req, status, st->st_size);
		return;
	}
	if (status == 206 && ranges.count > 1 && !make_boundary(boundary))
		status = 200;
	if (status == 200) {
		ranges.count = 1;
		ranges.range[0] = (struct range){.end = st->st_size};
	}
	make_content(res, req, st, status, &ranges, boundary);
}

static int status_of_errno(int error)
{
	switch (error) {
	case EISDIR:
		return 301;
	case EACCES:
	case EPERM:
	case ELOOP:
	case EXDEV: /* a symbolic link that leads out of the root */
	case ENXIO:
		return 403;
	case ENOENT:
	case ENOTDIR:
	case EINVAL:
		return 404;
	case ENAMETOOLONG:
		return 414;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return 503;
	}
	return 500;
}

static void reset(struct response *res, bool keep_alive)
{
	memset(res, 0, offsetof(struct response, text));
	res->file = -1;
	res->keep_alive = keep_alive;
}

/* A last response, of one line that says its status. */
void response_make_status(struct response *res, const struct request *req,
			  int status)
{
	reset(res, false);
	make_line(res, req, status, 0);
}

/* A last response of memory, which has to stay until all is sent. */
void response_make_memory(struct response *res, const struct request *req,
			  const char *type, const char *body, size_t len)
{
	reset(res, false);
	start(res, 200);
	add(res, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, len);
	finish(res, req);
	res->spans[res->span_count++] = text_from(res, 0);
	if (req->method != METHOD_HEAD)
		res->spans[res->span_count++] =
			(struct ktls_span){.buf = body, .len = len};
}

/* Answer a request; res->keep_alive says what the caller would like. */
void response_make(struct response *res, const struct request *req,
		   const struct config *config)
{
	struct stat st;

	reset(res, res->keep_alive && req->keep_alive);
	if (req->error) {
		make_line(res, req, req->error, 0);
	} else if (req->method == METHOD_UNKNOWN) {
		make_line(res, req, 501, 0);
	} else if (req->method == METHOD_OTHER) {
		make_line(res, req, 405, 0);
	} else {
		res->file = files_open(config->root_fd, req->path, &st);
		if (res->file >= 0)
			make_file(res, req, &st);
		else
			make_line(res, req, status_of_errno(errno), 0);
	}
}

void response_drop(struct response *res)
{
	if (res->file >= 0)
		close(res->file);
	res->file = -1;
}
