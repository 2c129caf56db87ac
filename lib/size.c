/* SPDX-License-Identifier: MIT */
/*
 * Sizes of records and of calls, and the stall guard.
 *
 * The kernel marks full records with MSG_MORE when a sendfile(2) call has more
 * to send than fits in one sendmsg() of its own, and TCP then holds them back
 * (net/tls/tls_sw.c, tls_push_record(); net/ipv4/tcp.c, tcp_push()). If the
 * socket takes no more by then, which a small SO_SNDBUF or TCP_NOTSENT_LOWAT
 * brings about, nothing but the persist timer sends them. So a call carries no
 * more than the kernel sends without that mark, and TCP is pushed when the
 * socket takes no more.
 *
 * Without the mark each record is a segment of its own, which costs more than
 * the calls do. So TCP_CORK joins the records of a call, until its end or
 * until the socket takes no more. Not where the send buffer is full before a
 * segment is: the one segment that goes out then is all that is under way, and
 * a receiver that has sent something itself lately delays its ACK by 40 ms,
 * where two segments would be acknowledged at once.
 */
#include "size.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>

#include "keys.h"
#include "event.h"
#include "sys.h"

enum {
	PAGE = 4096,
	/* a pipe's worth of pages: fs/splice.c, PIPE_DEF_BUFFERS */
	PIPE_BYTES = 16 * PAGE,
	/* a send buffer that takes many records before the peer acks one */
	ROOMY = 4 * PIPE_BYTES,
	RECORD_MIN = 512,
	/* CBC suites of user space: header, IV, SHA-384, padding */
	OVERHEAD_MAX = 5 + 16 + 48 + 16
};

static int get(const struct ktls_conn *c, int level, int name)
{
	int val = 0;
	socklen_t len = sizeof(val);
	const int r = ktls__sys_getsockopt(c->fd, level, name, &val, &len);

	return r < 0 ? r : val;
}

static int tcp_get(const struct ktls_conn *c, int name)
{
	return get(c, IPPROTO_TCP, name);
}

static bool tcp_set(const struct ktls_conn *c, int name, int val)
{
	return ktls__sys_setsockopt(c->fd, IPPROTO_TCP, name, &val,
				    sizeof(val)) == 0;
}

static void look_at_buffer(struct ktls_conn *c)
{
	c->sndbuf = get(c, SOL_SOCKET, SO_SNDBUF);
}

/* RFC 6066 section 4: 1 is 512 bytes, 4 is 4096; 0 is no limit */
void ktls__size_handshaken(struct ktls_conn *c)
{
	const SSL_SESSION *s = SSL_get_session(c->ssl);
	const uint8_t code = s ? SSL_SESSION_get_max_fragment_length(s) : 0;

	if (code >= 1 && code <= 4)
		c->record_peer = 256U << code;
}

void ktls__size_kernel(struct ktls_conn *c)
{
	const uint16_t max = (uint16_t)ktls__size_steady(c);

	/* later it could corrupt a record of a NIC: only here */
	if (max < KTLS__RECORD_MAX &&
	    ktls__sys_setsockopt(c->fd, KTLS__SOL_TLS,
				 KTLS__TLS_TX_MAX_PAYLOAD_LEN, &max,
				 sizeof(max)) == 0)
		c->record_kernel = max;
}

void ktls__size_calls(struct ktls_conn *c)
{
	const struct msghdr msg = {.msg_iovlen = 0};

	/*
	 * Kernels that make several records of one pipe's worth of pages, the
	 * last one without MSG_MORE, know MSG_EOR (Linux 6.5 and 6.6); these
	 * two flags together are wrong for them, and unknown to others.
	 */
	c->whole_pipes =
		ktls__sys_sendmsg(c->fd, &msg, MSG_MORE | MSG_EOR) == -EINVAL;
	c->sigpipe_ignored = ktls__sys_sigpipe_ignored();
	look_at_buffer(c);
}

static size_t one_segment(const struct ktls_conn *c)
{
	size_t overhead = OVERHEAD_MAX;
	const int mss = tcp_get(c, KTLS__TCP_MAXSEG);

	if (mss < 0)
		return KTLS__RECORD_MAX;
	if (ktls__keys_reason(c) == KTLS_REASON_NONE)
		overhead = ktls__cipher_overhead(c->cipher, c->version);
	return mss < RECORD_MIN + (int)overhead ? RECORD_MIN
						: (size_t)mss - overhead;
}

void ktls__size_begin(struct ktls_conn *c)
{
	if (c->ramp_record == 0 ||
	    ktls__sys_now() - c->ramp_last >= c->policy.record_idle) {
		c->ramp_record = (uint32_t)one_segment(c);
		c->ramp_sent = 0;
	}
}

/* A call may take longer than record_idle, and is no idle time. */
void ktls__size_sent(struct ktls_conn *c)
{
	c->ramp_last = ktls__sys_now();
}

size_t ktls__size_file(const struct ktls_conn *c, off_t offset, size_t open,
		       size_t max)
{
	const size_t record = ktls__size_record(c);
	const size_t in_page = (size_t)(offset % PAGE);
	size_t n;

	if (ktls__size_cut(c) || (!c->whole_pipes && c->sndbuf < ROOMY &&
				  c->policy.stall_guard != KTLS_OFF))
		n = record - open;
	else if (c->policy.stall_guard == KTLS_OFF || max <= PIPE_BYTES - in_page)
		/* in one go, whatever records that makes */
		n = max;
	else if (PIPE_BYTES % record == 0)
		/* to the end of a page, so that the next call begins there */
		n = (PIPE_BYTES + in_page - open) / PAGE * PAGE - in_page;
	else
		n = (PIPE_BYTES - in_page + open) / record * record - open;
	return n < max ? n : max;
}

void ktls__cork(struct ktls_conn *c, size_t left, bool again)
{
	/* for the rest of a file that had to wait it is not worth three calls */
	const size_t few = again && c->tx.mode == KTLS_MODE_KERNEL
				   ? PIPE_BYTES + KTLS__RECORD_MAX
				   : ktls__size_record(c);

	if (!c->tcp || c->corked || left <= few ||
	    c->policy.stall_guard == KTLS_OFF)
		return;
	if (c->sndbuf < PIPE_BYTES)
		look_at_buffer(c);
	/* a caller that has corked the socket knows why */
	if (c->sndbuf >= PIPE_BYTES && tcp_get(c, KTLS__TCP_CORK) == 0)
		c->corked = tcp_set(c, KTLS__TCP_CORK, 1);
}

/*
 * TCP has next to nothing to send, and refuses more: TCP_NOTSENT_LOWAT, of the
 * socket or of the sysctl, is less than what records need to be joined, and
 * every one of them costs a wakeup.
 */
static void raise_lowat(struct ktls_conn *c)
{
	int lowat;

	if (c->sndbuf < ROOMY || c->lowat_raised ||
	    ktls__sys_outq(c->fd) > 2 * (KTLS__RECORD_MAX + KTLS__EXPANSION_MAX))
		return;
	lowat = tcp_get(c, KTLS__TCP_NOTSENT_LOWAT);
	if (lowat < 0 || lowat >= PIPE_BYTES)
		return;
	c->lowat = lowat;
	c->lowat_raised = lowat == 0 ? INT_MAX : PIPE_BYTES;
	if (!tcp_set(c, KTLS__TCP_NOTSENT_LOWAT, c->lowat_raised))
		c->lowat_raised = 0;
}

void ktls__push(struct ktls_conn *c)
{
	bool first;

	c->guard_waits++;
	if (c->corked)
		c->corked = !tcp_set(c, KTLS__TCP_CORK, 0);
	if (c->tx.mode == KTLS_MODE_USER || c->policy.stall_guard == KTLS_OFF)
		return;
	/*
	 * Setting TCP_NODELAY sends what is held back, whether it was set or
	 * not, and keeps a record from waiting for the ACK of the one before.
	 */
	if (!c->nagle)
		c->nagle = tcp_get(c, KTLS__TCP_NODELAY) == 0;
	first = tcp_set(c, KTLS__TCP_NODELAY, 1) && c->guard_pushes++ == 0;
	/* autotuning moves it, and so may the caller */
	look_at_buffer(c);
	raise_lowat(c);
	if (first)
		ktls__event_guard(c);
}

void ktls__uncork(struct ktls_conn *c)
{
	if (c->corked)
		(void)tcp_set(c, KTLS__TCP_CORK, 0);
	if (c->nagle)
		(void)tcp_set(c, KTLS__TCP_NODELAY, 0);
	c->corked = false;
	c->nagle = false;
}

void ktls__size_end(const struct ktls_conn *c)
{
	if (c->lowat_raised)
		(void)tcp_set(c, KTLS__TCP_NOTSENT_LOWAT, c->lowat);
}
