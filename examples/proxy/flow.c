/* SPDX-License-Identifier: MIT */
/*
 * Moves bytes between client and back-end through pipes, so that with TLS in
 * the kernel none of them passes through this program.
 *
 * A pipe is filled only when it is empty. So at any time a flow waits for one
 * of the two sockets: the sender's while the pipe is empty, the receiver's
 * while it is not; a receiver that takes nothing stops the sender. After a
 * turn that moved its share the receiver is waited for, too: it comes back at
 * once if there is room. (The sender would not do: libktls may have plaintext
 * in user space, of which the client's socket knows nothing.)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy.h"

#define SPLICE_FLAGS (SPLICE_F_NONBLOCK | SPLICE_F_MOVE)

int flow_open(struct flow *flow)
{
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return -1;
	flow->out = fds[0];
	flow->in = fds[1];
	return 0;
}

void flow_close(struct flow *flow)
{
	if (flow->out >= 0) {
		close(flow->out);
		close(flow->in);
	}
	flow->out = -1;
	flow->in = -1;
}

/* A call of libktls has failed. An end without close_notify is one of these. */
static int client_failed(struct session *s)
{
	char text[160];

	tls_error(text, sizeof(text), s->tls);
	session_error(s, "client", text);
	s->backend.reset = true;
	return -1;
}

/*
 * What the back-end has sent up to its end is still for the client, even if
 * it refuses what the client sends.
 */
int flow_backend_failed(struct session *s, int error)
{
	session_error(s, "back-end", strerror(error));
	s->backend.reset = true;
	if (s->down.state != FLOW_OPEN) {
		s->up.state = FLOW_DONE;
		return 0;
	}
	s->client.reset = true;
	return -1;
}

static int end_up(struct session *s)
{
	/* ENOTCONN: reset, as the flow down will see */
	if (shutdown(s->backend.fd, SHUT_WR) < 0 && errno != ENOTCONN)
		return flow_backend_failed(s, errno);
	s->up.state = FLOW_DONE;
	return 0;
}

/* Go on with what the client sends, for one turn. */
int flow_up(struct session *s)
{
	struct flow *flow = &s->up;
	size_t moved = 0;

	while (flow->state != FLOW_DONE && moved < TURN) {
		ssize_t n;

		if (flow->held == 0 && flow->state == FLOW_OPEN) {
			n = ktls_splice_out(s->tls, flow->in, TURN, 0);
			if (n < 0 && errno == EAGAIN) {
				int wants = ktls_wants(s->tls);

				/* 0: the pipe is full */
				s->client.wants |= (short)wants;
				s->backend.wants |= wants ? 0 : POLLOUT;
				return 0;
			}
			if (n < 0)
				return client_failed(s);
			if (n == 0)
				flow->state = FLOW_ENDED;
			flow->held += (size_t)n;
		}
		if (flow->held == 0)
			return end_up(s);

		n = splice(flow->out, NULL, s->backend.fd, NULL, flow->held,
			   SPLICE_FLAGS);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return flow_backend_failed(s, errno);
		flow->held -= (size_t)n;
		flow->bytes += (size_t)n;
		moved += (size_t)n;
	}
	if (flow->state != FLOW_DONE)
		s->backend.wants |= POLLOUT;
	return 0;
}

/* Say close_notify; TCP's queue may be full, or the kernel still encrypt. */
static int end_down(struct session *s)
{
	session_look(s);
	if (ktls_shutdown_write(s->tls, 0) == 0) {
		s->down.state = FLOW_DONE;
		return 0;
	}
	if (errno != EAGAIN)
		return client_failed(s);
	s->tick = true;
	return 0;
}

/* Go on with what the back-end sends, for one turn. */
int flow_down(struct session *s)
{
	struct flow *flow = &s->down;
	size_t moved = 0;

	while (flow->state != FLOW_DONE && moved < TURN) {
		ssize_t n;

		if (flow->held == 0 && flow->state == FLOW_OPEN) {
			n = splice(s->backend.fd, NULL, flow->in, NULL, TURN,
				   SPLICE_FLAGS);
			if (n < 0 && errno == EAGAIN) {
				s->backend.wants |= POLLIN;
				return 0;
			}
			if (n < 0)
				return flow_backend_failed(s, errno);
			if (n == 0)
				flow->state = FLOW_ENDED;
			flow->held += (size_t)n;
		}
		if (flow->held == 0)
			return end_down(s);

		n = ktls_splice_in(s->tls, flow->out, flow->held, 0);
		if (n < 0 && errno == EAGAIN) {
			int wants = ktls_wants(s->tls);

			/* 0: the pipe is empty */
			s->client.wants |= (short)wants;
			if (!wants && flow->state == FLOW_OPEN)
				s->backend.wants |= POLLIN;
			return 0;
		}
		if (n < 0)
			return client_failed(s);
		flow->held -= (size_t)n;
		flow->bytes += (size_t)n;
		moved += (size_t)n;
	}
	if (flow->state != FLOW_DONE)
		s->client.wants |= POLLOUT;
	return 0;
}
