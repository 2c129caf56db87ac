/* SPDX-License-Identifier: MIT */
/*
 * A connection that speaks HTTP/2: what h2_session.c makes of it goes through
 * libktls here. Each turn reads and sends, for a response may have to wait for
 * the client's WINDOW_UPDATE, and the client for a response.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "httpd.h"

bool h2_available(void)
{
	return true;
}

/* After the handshake, when ALPN has selected h2. */
enum step h2_start(struct conn *conn)
{
	const struct config *config = conn->worker->config;
	struct ktls_policy policy = config->policy;

	/* A policy by protocol: with --h2-tx off the kernel is not asked. */
	if (config->h2_off) {
		policy.offload_after = UINT64_MAX;
		if (ktls_set_policy(conn->tls, &policy) < 0) {
			conn_set_error(conn, strerror(errno));
			return STEP_GONE;
		}
	}
	conn->h2 = h2_new(conn);
	if (!conn->h2) {
		conn_set_error(conn, strerror(ENOMEM));
		return STEP_GONE;
	}
	conn_set_state(conn, CONN_H2);
	return STEP_AGAIN;
}

/* STEP_WAIT: for more, but there may be something to send. */
static enum step do_read(struct conn *conn)
{
	static char buf[2 * 16384]; /* a process has one thread */
	size_t done = 0;
	ssize_t n = 1;

	while (n > 0 && done < TURN) {
		n = ktls_read(conn->tls, buf, sizeof(buf));
		if (n <= 0)
			break;
		if (!h2_receive(conn->h2, buf, (size_t)n))
			return STEP_GONE;
		done += (size_t)n;
	}
	conn->wants = POLLIN;
	/* frames tell that all is there; curl sends no close_notify */
	if (n < 0 && errno == ECONNABORTED && !h2_busy(conn->h2))
		n = 0;
	if (n == 0 || (n < 0 && errno != EAGAIN))
		return conn_input_ended(conn, n < 0);
	if (n < 0)
		conn->wants |= (short)ktls_wants(conn->tls);
	return STEP_WAIT;
}

/* STEP_AGAIN: all is sent. */
static enum step do_send(struct conn *conn)
{
	const short wants = conn->wants;
	const void *data;
	size_t done = 0;
	ssize_t n;

	while ((n = h2_output(conn->h2, &data)) > 0) {
		if (done >= TURN) {
			conn->wants |= POLLOUT;
			return STEP_WAIT;
		}
		n = ktls_write(conn->tls, data, (size_t)n);
		if (n < 0) {
			enum step step = conn_blocked_or_failed(conn);

			conn->wants |= wants;
			return step;
		}
		h2_sent(conn->h2, (size_t)n);
		done += (size_t)n;
	}
	return n < 0 ? STEP_GONE : STEP_AGAIN;
}

enum step h2_turn(struct conn *conn)
{
	enum step step = do_read(conn);

	if (step != STEP_WAIT)
		return step;
	/* what was sent before the client could know has been read now */
	if (conn->worker->stopping && conn->requests > 0)
		h2_stop(conn->h2);
	step = do_send(conn);
	if (step != STEP_AGAIN)
		return step;
	conn_look(conn);
	if (!h2_over(conn->h2))
		return STEP_WAIT;
	conn_set_state(conn, CONN_CLOSE);
	return STEP_AGAIN;
}
