/* SPDX-License-Identifier: MIT */
/*
 * Data of a connection whose keys the kernel has, by entries of the ring.
 * libktls is told of each byte: ktls_raw_sent() and ktls_raw_received().
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "uring.h"

#define PAGE 4096

/* Whether something follows that keeps a record open and closes it, too. */
static bool more_follows(const struct response *res)
{
	for (int i = res->cursor.span + 1; i < res->span_count; i++)
		if (res->spans[i].len > 0)
			return true;
	return false;
}

/*
 * Bytes for one pass through the pipe: as many as ktls_sendfile() would send
 * in one call, and to the end of a page. Of a longer one the kernel tells TCP
 * to hold records back, and a socket with little room then stands still.
 */
static size_t pass_length(const struct client *c, off_t offset, size_t left)
{
	struct ktls_info info = {.size = sizeof(info)};
	const size_t in_page = (size_t)(offset % PAGE);
	size_t n = 4 * PAGE;

	if (ktls_get_info(c->tls, &info) == 0 && info.file_call >= 2 * PAGE)
		n = info.file_call < 16 * PAGE ? info.file_call : 16 * PAGE;
	n -= in_page;
	return n < left ? n : left;
}

/* The next entry for what the cursor is at; the kernel has the keys. */
enum step raw_send(struct client *c)
{
	const struct response *res = &c->res;
	const struct ktls_span *span = &res->spans[res->cursor.span];
	const size_t left = span->len - res->cursor.done;
	const off_t offset = span->offset + (off_t)res->cursor.done;

	if (c->piped > 0)
		return submit_splice(c);
	if (span->buf)
		return submit_send(c, (const char *)span->buf + res->cursor.done,
				   left, more_follows(res));
	if (c->pipe[0] < 0 && pipe2(c->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		client_error(c, strerror(errno));
		return STEP_GONE;
	}
	return submit_fill(c, span->fd, offset, pass_length(c, offset, left));
}

/* A part of the file is in the pipe. */
enum step raw_filled(struct client *c, int res)
{
	if (res == 0) {
		/* no close_notify: the response must not look complete */
		client_error(c, "the file became shorter while it was sent");
		return STEP_GONE;
	}
	if (res < 0 && res != -EINTR && res != -EAGAIN) {
		client_error(c, strerror(-res));
		return STEP_GONE;
	}
	if (res > 0)
		c->piped = (size_t)res;
	return STEP_AGAIN;
}

/* So much of the memory or the pipe is the kernel's now. */
enum step raw_sent(struct client *c, int res)
{
	if (res == -EAGAIN)
		return submit_wait(c, POLLOUT, INT_MAX);
	if (res < 0 && res != -EINTR) {
		client_error(c, strerror(-res));
		return STEP_GONE;
	}
	if (res > 0) {
		if (ktls_raw_sent(c->tls, (size_t)res) < 0) {
			client_error(c, strerror(errno));
			return STEP_GONE;
		}
		c->raw_tx += (uint64_t)res;
		client_count(c, (size_t)res);
	}
	return STEP_AGAIN;
}

/* A record, behind what was read before. */
enum step raw_received(struct client *c, int res)
{
	ssize_t n;
	int record;

	if (res < 0 || (res == 0 && c->msg.msg_controllen == 0)) {
		/* the end, or new keys: libktls knows what to do */
		c->ask = true;
		return STEP_AGAIN;
	}
	record = ktls_cmsg_parse(c->msg.msg_control, c->msg.msg_controllen,
				 c->msg.msg_flags);
	if (record < 0) {
		client_error(c, "a record without a type");
		return STEP_GONE;
	}
	n = ktls_raw_received(c->tls, record, c->in + c->in_len, (size_t)res);
	if (n > 0) {
		c->raw_rx += (uint64_t)n;
		c->in_len += (size_t)n;
		return STEP_AGAIN;
	}
	/* an alert, a KeyUpdate or the like, which has been followed */
	if (n < 0 && errno == EAGAIN)
		return STEP_AGAIN;
	return client_closed(c, n);
}
