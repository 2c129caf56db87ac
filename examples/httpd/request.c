/* SPDX-License-Identifier: MIT */
/*
 * Reads the head of a request (RFC 9112) in place. Strict where leniency has
 * been somebody's hole: no control characters, no folded lines, no space
 * before the colon, one Host. No system calls here.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "httpd.h"

static bool is_token(const char *s)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	if (!*s)
		return false;
	for (; *s; s++) {
		bool alnum = (*s >= 'a' && *s <= 'z') ||
			     (*s >= 'A' && *s <= 'Z') ||
			     (*s >= '0' && *s <= '9');

		if (!alnum && !strchr(marks, *s))
			return false;
	}
	return true;
}

/* Whether a comma-separated list has the word, in any case of letters. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (*list) {
		list += strspn(list, " \t,");
		size_t n = strcspn(list, " \t,");
		if (n == len && strncasecmp(list, word, len) == 0)
			return true;
		list += n;
	}
	return false;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The path of the target, percent-decoded; returns 0 or a status. */
static int decode_path(struct request *req)
{
	const char *s = req->target;
	size_t n = 0;

	while (*s && *s != '?') {
		int c = (unsigned char)*s++;

		if (c == '%') {
			int high = hex(s[0]);
			int low = high < 0 ? -1 : hex(s[1]);

			if (low < 0)
				return 400;
			c = high << 4 | low;
			s += 2;
		}
		if (c == 0)
			return 400;
		if (n == sizeof(req->path) - 1)
			return 414;
		req->path[n++] = (char)c;
	}
	req->path[n] = '\0';
	return 0;
}

static int parse_target(struct request *req, char *target)
{
	if (strncasecmp(target, "https://", 8) == 0) {
		target += 8 + strcspn(target + 8, "/?");
		if (*target != '/')
			return 400;
	}
	if (*target != '/')
		return 400;
	/* "//host/" in a Location would send the client to another host */
	while (target[1] == '/')
		target++;
	req->target = target;
	return decode_path(req);
}

static int parse_request_line(struct request *req, char *line)
{
	static const char *const others[] = {
		"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
	};
	char *target = strchr(line, ' ');
	char *version = target ? strchr(target + 1, ' ') : NULL;

	if (!target || !version)
		return 400;
	*target++ = '\0';
	*version++ = '\0';

	if (!is_token(line))
		return 400;
	if (strncmp(version, "HTTP/", 5) != 0)
		return 400;
	if (strncmp(version, "HTTP/1.", 7) != 0)
		return 505;
	if (version[7] < '0' || version[7] > '9' || version[8])
		return 400;
	req->http10 = version[7] == '0';
	req->keep_alive = !req->http10;

	if (strcmp(line, "GET") == 0) {
		req->method = METHOD_GET;
	} else if (strcmp(line, "HEAD") == 0) {
		req->method = METHOD_HEAD;
	} else {
		/* their targets need not be paths: "*", "host:port" */
		req->method = METHOD_UNKNOWN;
		for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
			if (strcmp(line, others[i]) == 0)
				req->method = METHOD_OTHER;
		return 0;
	}
	return parse_target(req, target);
}

static int parse_field(struct request *req, char *line, unsigned int *hosts)
{
	char *value = strchr(line, ':');

	if (!value)
		return 400;
	*value++ = '\0';
	if (!is_token(line))
		return 400;
	value += strspn(value, " \t");
	for (size_t n = strlen(value); n > 0; n--) {
		if (value[n - 1] != ' ' && value[n - 1] != '\t')
			break;
		value[n - 1] = '\0';
	}

	if (strcasecmp(line, "Host") == 0) {
		*hosts += 1;
	} else if (strcasecmp(line, "Connection") == 0) {
		if (has_word(value, "close"))
			req->keep_alive = false;
		else if (req->http10 && has_word(value, "keep-alive"))
			req->keep_alive = true;
	} else if (strcasecmp(line, "Content-Length") == 0) {
		if (!*value || value[strspn(value, "0123456789")])
			return 400;
		if (value[strspn(value, "0")])
			req->body = true;
	} else if (strcasecmp(line, "Transfer-Encoding") == 0) {
		req->body = true;
	} else if (strcasecmp(line, "Range") == 0) {
		req->range = value;
	} else if (strcasecmp(line, "If-Range") == 0) {
		req->if_range = value;
	} else if (strcasecmp(line, "If-Modified-Since") == 0) {
		req->if_modified_since = value;
	} else if (strcasecmp(line, "If-None-Match") == 0) {
		req->if_none_match = true;
	}
	return 0;
}

/* The next line as a string without its end; *buf moves behind it. */
static char *take_line(char **buf)
{
	char *line = *buf;
	char *end = strchrnul(line, '\n');

	*buf = *end ? end + 1 : end;
	if (end > line && end[-1] == '\r')
		end--;
	*end = '\0';
	return line;
}

static int parse_head(struct request *req, char *head)
{
	unsigned int hosts = 0;
	int error = parse_request_line(req, take_line(&head));

	while (!error) {
		char *line = take_line(&head);

		if (!*line)
			break;
		error = parse_field(req, line, &hosts);
	}
	if (!error && (hosts > 1 || (hosts == 0 && !req->http10)))
		error = 400;
	return error;
}

/* Length of the head with the empty line at its end, 0: not all there. */
static size_t head_length(const char *buf, size_t len)
{
	const char *line = memchr(buf, '\n', len);

	while (line) {
		size_t left = len - (size_t)(line + 1 - buf);

		if (left >= 1 && line[1] == '\n')
			return len - left + 1;
		if (left >= 2 && line[1] == '\r' && line[2] == '\n')
			return len - left + 2;
		line = memchr(line + 1, '\n', left);
	}
	return 0;
}

static bool has_control_characters(const char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)buf[i];
		bool line_end = c == '\n' ||
				(c == '\r' && i + 1 < len && buf[i + 1] == '\n');

		if ((c < ' ' && c != '\t' && !line_end) || c == 0x7f)
			return true;
	}
	return false;
}

/*
 * Read a request from the first len bytes of a buffer of the given size, and
 * change them. Returns how many of them were its head, or 0 if the head is
 * not complete. If req->error is set, what follows in the buffer is unknown.
 */
size_t request_parse(struct request *req, char *buf, size_t len, size_t size)
{
	size_t skip = 0;
	size_t head;

	memset(req, 0, sizeof(*req));
	/* RFC 9112 2.2: empty lines before a request are to be ignored */
	while (skip < len && (buf[skip] == '\r' || buf[skip] == '\n'))
		skip++;

	head = head_length(buf + skip, len - skip);
	if (head == 0 && len < size)
		return 0;
	if (head == 0)
		req->error = memchr(buf + skip, '\n', len - skip) ? 431 : 414;
	else if (has_control_characters(buf + skip, head))
		req->error = 400;
	else
		req->error = parse_head(req, buf + skip);
	if (req->error || req->body)
		req->keep_alive = false;
	return head ? skip + head : len;
}
