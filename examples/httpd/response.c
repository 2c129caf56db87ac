/* SPDX-License-Identifier: MIT */
/*
 * Chooses what answers a request (RFC 9110): status, file, range; and writes
 * the head of the response. Nothing is sent here.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "httpd.h"

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

/* Add to the head. If it does not fit, head_len says so until the end. */
static void __attribute__((format(printf, 2, 3)))
add(struct response *res, const char *format, ...)
{
	size_t size = sizeof(res->head);
	va_list args;
	int n;

	if (res->head_len >= size)
		return;
	va_start(args, format);
	n = vsnprintf(res->head + res->head_len, size - res->head_len, format,
		      args);
	va_end(args);
	res->head_len = n < 0 ? size : res->head_len + (size_t)n;
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
	res->head_len = 0;
	add(res, "HTTP/1.1 %d %s\r\n", status, status_text(status));
	add(res, "Server: ktls-httpd\r\n");
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

/* A response without a file: its body is one line. */
static void make_line(struct response *res, const struct request *req, int status)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "%d %s\n", status,
			   status_text(status));

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
		add(res, "Content-Range: bytes */%lld\r\n", (long long)res->end);
	finish(res, req);
	if (req->method != METHOD_HEAD)
		add(res, "%s", line);
	if (status == 301 && res->head_len >= sizeof(res->head))
		make_line(res, req, 414);
}

/* Digits as a number; one too large for a file becomes the largest. */
static const char *parse_offset(const char *s, off_t *offset_out)
{
	const off_t max = (off_t)(UINT64_MAX >> 1);
	off_t n = 0;

	for (; *s >= '0' && *s <= '9'; s++) {
		int digit = *s - '0';

		n = n > (max - digit) / 10 ? max : n * 10 + digit;
	}
	*offset_out = n;
	return s;
}

/*
 * The part of a file of the given size that a Range field asks for: 206, with
 * *first and *end set; 416; or 200 where the field is to be ignored, which
 * includes lists of more than one range.
 */
static int parse_range(const char *s, off_t size, off_t *first, off_t *end)
{
	const char *digits;
	off_t a;
	off_t b;

	if (strncasecmp(s, "bytes=", 6) != 0)
		return 200;
	s += 6;
	if (*s == '-') {
		digits = s + 1;
		s = parse_offset(digits, &b);
		if (s == digits || *s)
			return 200;
		if (b == 0 || size == 0)
			return 416;
		*first = b < size ? size - b : 0;
		*end = size;
		return 206;
	}

	digits = s;
	s = parse_offset(digits, &a);
	if (s == digits || *s++ != '-')
		return 200;
	digits = s;
	s = parse_offset(digits, &b);
	if (*s || (s != digits && b < a))
		return 200;
	if (a >= size)
		return 416;
	*first = a;
	*end = s == digits || b >= size ? size : b + 1;
	return 206;
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

static void make_file(struct response *res, const struct request *req,
		      const struct stat *st)
{
	int status = 200;

	res->end = st->st_size;
	if (is_unmodified(req, st->st_mtime)) {
		start(res, 304);
		add_date(res, "Last-Modified", st->st_mtime);
		finish(res, req);
		res->end = 0;
		return;
	}
	if (wants_range(req, st->st_mtime))
		status = parse_range(req->range, st->st_size, &res->offset,
				     &res->end);
	if (status == 416) {
		make_line(res, req, status);
		res->end = 0;
		return;
	}

	start(res, status);
	add(res, "Content-Type: %s\r\n", files_type(req->path));
	add(res, "Content-Length: %lld\r\n", (long long)(res->end - res->offset));
	if (status == 206)
		add(res, "Content-Range: bytes %lld-%lld/%lld\r\n",
		    (long long)res->offset, (long long)res->end - 1,
		    (long long)st->st_size);
	add(res, "Accept-Ranges: bytes\r\n");
	add_date(res, "Last-Modified", st->st_mtime);
	finish(res, req);
	if (req->method == METHOD_HEAD)
		res->end = res->offset;
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

/* Answer a request; res->keep_alive says what the caller would like. */
void response_make(struct response *res, const struct request *req,
		   const struct config *config)
{
	bool keep_alive = res->keep_alive && req->keep_alive;
	struct stat st;

	memset(res, 0, sizeof(*res));
	res->file = -1;
	res->keep_alive = keep_alive;

	if (req->error) {
		make_line(res, req, req->error);
	} else if (req->method == METHOD_UNKNOWN) {
		make_line(res, req, 501);
	} else if (req->method == METHOD_OTHER) {
		make_line(res, req, 405);
	} else {
		res->file = files_open(config->root_fd, req->path, &st);
		if (res->file >= 0)
			make_file(res, req, &st);
		else
			make_line(res, req, status_of_errno(errno));
	}
}

void response_drop(struct response *res)
{
	if (res->file >= 0)
		close(res->file);
	res->file = -1;
}
