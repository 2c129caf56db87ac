/* SPDX-License-Identifier: MIT */
/* ktls-vm-nic: libktls at both ends, driven by one thread. */
#include "nic.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

bool nic_both_open(struct nic_both *b, const struct vt_suite *s,
		   const struct ktls_policy *policy, const int pair[2])
{
	const int64_t end = vt_now() + VT_WAIT;
	bool done[2] = {false, false};
	int fd[2] = {-1, -1};

	if (pair) {
		fd[0] = pair[0];
		fd[1] = pair[1];
	} else {
		vt_tcp_pair(fd);
	}
	*b = (struct nic_both){.suite = s};
	for (int i = 0; i < 2; i++) {
		SSL_CTX *ctx = vt_ctx(s, i, false);

		MUST(ktls_ctx_enable(ctx) == 0);
		vt_end_init(&b->e[i], ctx, fd[i], i, false, &policy[i]);
		SSL_CTX_free(ctx);
	}
	while (!done[0] || !done[1]) {
		for (int i = 0; i < 2; i++) {
			if (done[i])
				continue;
			done[i] = ktls_handshake(b->e[i].c) == 0;
			if (!done[i] && !CHECK(errno == EAGAIN,
					       "end %d, ktls_handshake: "
					       "errno %d",
					       i, errno))
				return false;
		}
		if (!CHECK(vt_now() < end, "the handshake takes too long"))
			return false;
		(void)poll(NULL, 0, done[0] && done[1] ? 0 : 1);
	}
	return true;
}

void nic_both_streams(struct nic_both *b, const size_t *sizes, size_t n)
{
	for (int i = 0; i < 2; i++) {
		vt_stream_init(&b->e[i].out, 1000 + 4096 * (size_t)i, sizes, n);
		b->e[!i].in_total = b->e[i].out.total;
	}
}

/* The outcome of a call: bytes that moved, or what to wait for; -1: failed */
static int step(struct vt_end *e, ssize_t n, const char *call, int *events)
{
	if (n > 0)
		return 1;
	if (n < 0 && errno == EAGAIN) {
		*events |= ktls_wants(e->c);
		return 0;
	}
	CHECK(false, "%s: %zd, errno %d, after %zu bytes out, %zu in", call, n,
	      errno, e->out.pos, e->in.count);
	return -1;
}

bool nic_both_exchange(struct nic_both *b)
{
	for (;;) {
		struct pollfd p[2];
		bool moved = false, all = true;

		for (int i = 0; i < 2; i++) {
			struct vt_end *e = &b->e[i];
			int r = 0, events = 0;

			if (e->out.pos < e->out.total)
				r = step(e, vt_end_send(e), "send", &events);
			moved |= r > 0;
			if (r >= 0 && e->in.count < e->in_total)
				r = step(e, vt_end_recv(e), "read", &events);
			moved |= r > 0;
			if (r < 0)
				return false;
			all &= e->out.pos == e->out.total &&
			       e->in.count == e->in_total;
			p[i] = (struct pollfd){.fd = e->fd,
					       .events = (short)events};
		}
		if (b->midway && b->e[0].in.count > b->e[0].in_total / 4 &&
		    b->e[1].in.count > b->e[1].in_total / 4) {
			b->midway(b);
			b->midway = NULL;
		}
		if (all)
			return true;
		if (moved)
			continue;
		if (!CHECK(poll(p, 2, VT_WAIT) > 0, "it stands still"))
			return false;
		/* Linux 6.1 says POLLIN to a part of a record */
		(void)poll(NULL, 0, 1);
	}
}

bool nic_both_close(struct nic_both *b)
{
	const int64_t end = vt_now() + VT_WAIT;
	bool done[2] = {b->e[0].c == NULL, b->e[1].c == NULL}, ok = true;

	while (!done[0] || !done[1]) {
		for (int i = 0; i < 2; i++) {
			int r;

			if (done[i])
				continue;
			r = ktls_close(b->e[i].c, 0);
			if (r < 0 && errno == EAGAIN)
				continue;
			ok &= CHECK(r == 0, "end %d, ktls_close: errno %d", i,
				    errno);
			done[i] = true;
			b->e[i].c = NULL;
		}
		if (!CHECK(vt_now() < end, "ktls_close: still EAGAIN"))
			return false;
		(void)poll(NULL, 0, 1);
	}
	for (int i = 0; i < 2; i++)
		ok &= vt_sink_check(&b->e[i].in, &b->e[!i].out,
				    b->e[!i].out.pos, vt_nic_name(i));
	return ok;
}
