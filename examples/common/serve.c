/* SPDX-License-Identifier: MIT */
/*
 * One connection that blocks, from the first request to the close: read a
 * head, send what ktls-httpd would answer, a head with ktls_writev() and a
 * file with ktls_sendfile(), and close when TCP has the last byte.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ktls/raw.h>

#include "serve.h"

struct session {
	struct ktls_conn *tls;
	const struct config *config;
	int stop;
	unsigned int requests;
	char error[160];
	struct response res;
	size_t in_len;
	char in[8192];
};

static void set_error(struct session *s, const char *text)
{
	if (!s->error[0])
		snprintf(s->error, sizeof(s->error), "%s", text);
}

static bool fail(struct session *s)
{
	if (errno == EAGAIN) /* SO_RCVTIMEO, SO_SNDTIMEO */
		set_error(s, "timed out");
	else if (!s->error[0])
		tls_error(s->error, sizeof(s->error), s->tls);
	return false;
}

/* Until there is something to read; 0: time is up, or the server stops. */
static int wait_for_bytes(const struct session *s, int64_t limit)
{
	const int64_t left = limit - now_ms();
	struct pollfd fds[2] = {
		{.fd = ktls_fd(s->tls),
		 .events = (short)(ktls_wants(s->tls) | POLLIN)},
		{.fd = s->stop},
	};

	/* plaintext that was read ahead makes no event */
	if (ktls_pending(s->tls) > 0)
		return 1;
	/* a request that has begun is still answered */
	if (poll(fds, s->in_len > 0 ? 1 : 2, left > 0 ? (int)left : 0) <= 0)
		return 0;
	return fds[0].revents != 0;
}

/*
 * A request, whole; false at the end of the connection, with s->error unless
 * that is a good one.
 */
static bool read_request(struct session *s)
{
	const int64_t limit = now_ms() + LIMIT_REQUEST;
	struct request req;
	size_t head;
	ssize_t n;

	while ((head = request_parse(&req, s->in, s->in_len, sizeof(s->in))) ==
	       0) {
		if (!wait_for_bytes(s, limit)) {
			if (s->in_len > 0)
				set_error(s, "timed out");
			return false;
		}
		n = ktls_read(s->tls, s->in + s->in_len,
			      sizeof(s->in) - s->in_len);
		if (n < 0)
			return fail(s);
		if (n == 0 && s->in_len > 0)
			set_error(s, "the peer closed within a request");
		if (n == 0)
			return false;
		s->in_len += (size_t)n;
	}
	s->requests++;
	s->res.keep_alive = true;
	response_make(&s->res, &req, s->config);
	/* req points into these bytes: only now may they go */
	s->in_len -= head;
	memmove(s->in, s->in + head, s->in_len);
	return true;
}

static bool send_memory(struct session *s, const struct ktls_span *span, int flags)
{
	struct iovec iov = {(void *)(uintptr_t)span->buf, span->len};
	ssize_t n;

	for (; iov.iov_len > 0; iov.iov_len -= (size_t)n) {
		n = ktls_writev(s->tls, &iov, 1, flags);
		if (n < 0)
			return fail(s);
		iov.iov_base = (char *)iov.iov_base + n;
	}
	return true;
}

static bool send_file(struct session *s, const struct ktls_span *span)
{
	const off_t end = span->offset + (off_t)span->len;
	off_t at = span->offset;

	while (at < end) {
		ssize_t n =
			ktls_sendfile(s->tls, span->fd, &at, (size_t)(end - at));

		if (n < 0)
			return fail(s);
		if (n == 0) {
			set_error(s,
				  "the file became shorter while it was sent");
			return false;
		}
	}
	return true;
}

static bool send_response(struct session *s)
{
	const struct response *res = &s->res;
	bool good = true;

	for (int i = 0; good && i < res->span_count; i++) {
		const struct ktls_span *span = &res->spans[i];
		bool more = i + 1 < res->span_count && res->spans[i + 1].len > 0;

		good = span->buf ? send_memory(s, span, more ? KTLS_MORE : 0)
				 : send_file(s, span);
	}
	response_drop(&s->res);
	return good;
}

static void print(const struct ktls_conn *tls, const char *who,
		  unsigned int requests, const char *error)
{
	char more[96];

	snprintf(more, sizeof(more), "\"requests\":%u%s", requests, who);
	stats_print(tls, more, error);
}

void serve_conn(struct ktls_conn *tls, const struct config *config, int stop,
		const char *who)
{
	const struct timeval limit = {.tv_sec = LIMIT_SEND / 1000};
	struct session *s = calloc(1, sizeof(*s));
	int fd = ktls_fd(tls);
	bool good = s != NULL;

	if (!s)
		goto out;
	s->tls = tls;
	s->config = config;
	s->stop = stop;
	s->res.file = -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	while (read_request(s)) {
		if (!send_response(s) || !s->res.keep_alive)
			break;
	}
	if (!s->error[0] && ktls_flush(tls, LIMIT_SEND) < 0)
		fail(s);
	good = s->error[0] == '\0';
	if (config->stats)
		print(tls, who, s->requests, s->error);
out:
	free(s);
	/* no close_notify behind a failure: nothing must look complete */
	if (!good) {
		ktls_conn_free(tls);
		close(fd);
	} else if (ktls_close(tls, LIMIT_CLOSE) < 0) {
		warn("close: %s", strerror(errno));
	}
}

void serve_failed(const struct ktls_conn *tls, const struct config *config,
		  const char *who, const char *error)
{
	if (config->stats && tls)
		print(tls, who, 0, error);
	else
		warn("%s", error);
}
