/* SPDX-License-Identifier: MIT */
/*
 * The kernel accepts bytes long before TCP has them: they wait in an open
 * record, in asynchronous crypto or behind a full socket buffer, and close(2)
 * throws them away. How many there are follows from the kernel's own numbers:
 * the records it has made (the sequence number of getsockopt(TLS_TX)) say how
 * long the ciphertext of all accepted bytes is, and TCP says how much it was
 * handed: what was acked, and what is in its queue. The difference is what has
 * not arrived there yet.
 */
#include "account.h"

#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>

#include "keys.h"
#include "sys.h"

/* include/net/tcp_states.h */
enum { ESTABLISHED = 1, CLOSE_WAIT = 8 };

enum { LOOKS = 3 };

static int acked(const struct ktls_conn *c, uint64_t *bytes)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int r;

	memset(&info, 0, sizeof(info));
	r = ktls__sys_getsockopt(c->fd, IPPROTO_TCP, KTLS__TCP_INFO, &info, &len);
	if (r < 0)
		return r;
	if (len < offsetof(struct tcp_info, tcpi_bytes_acked) +
			  sizeof(info.tcpi_bytes_acked))
		return -EOPNOTSUPP;
	/* in any other state nothing more will be sent */
	if (info.tcpi_state != ESTABLISHED && info.tcpi_state != CLOSE_WAIT)
		return -ECONNRESET;
	*bytes = info.tcpi_bytes_acked;
	return 0;
}

/*
 * An ACK between the two calls makes the sum too small, never too large.
 * (tcpi_bytes_sent would count bytes twice that a full queue of the device
 * refused the first time.)
 */
static int handed(const struct ktls_conn *c, uint64_t *bytes)
{
	int r = acked(c, bytes);

	if (r == 0)
		r = ktls__sys_outq(c->fd);
	if (r < 0)
		return r;
	*bytes += (uint64_t)r;
	return 0;
}

int ktls__account_handed(const struct ktls_conn *c, uint64_t *bytes)
{
	int r, before;

	*bytes = 0;
	if (!c->tcp)
		return 0;
	/* nothing is sent, and every ACK makes the queue shorter */
	do {
		before = ktls__sys_outq(c->fd);
		r = acked(c, bytes);
		if (r == 0)
			r = ktls__sys_outq(c->fd);
	} while (r >= 0 && r != before);
	if (r < 0)
		return r;
	*bytes += (uint64_t)r;
	return 0;
}

int ktls__account_start(struct ktls_conn *c, uint64_t seq)
{
	c->seq0 = seq;
	c->records = 0;
	c->plain = 0;
	/* too little would call as many bytes sent, later, as are not */
	return ktls__account_handed(c, &c->handed0);
}

int ktls__account_seq(const struct ktls_conn *c, int dir, uint64_t *seq)
{
	uint8_t info[KTLS__CRYPTO_INFO_MAX];
	socklen_t len = c->cipher->info_size;
	int r;

	r = ktls__sys_getsockopt(c->fd, KTLS__SOL_TLS,
				 dir == KTLS_TX ? KTLS__TLS_TX : KTLS__TLS_RX,
				 info, &len);
	if (r == 0)
		*seq = ktls__cipher_unpack_seq(c->cipher, info);
	explicit_bzero(info, sizeof(info));
	return r;
}

int ktls__account_rekey(struct ktls_conn *c)
{
	uint64_t seq;
	const int r = ktls__account_seq(c, KTLS_TX, &seq);

	if (r == 0) {
		c->records += seq - c->seq0;
		c->tx.records += seq;
		c->seq0 = 0;
	}
	return r;
}

int64_t ktls__account_unsent(const struct ktls_conn *c)
{
	int64_t unsent = INT64_MAX;
	uint64_t seq, wire, bytes;
	int r;

	if (c->tx.mode != KTLS_MODE_KERNEL)
		return (int64_t)(c->out.len + c->open.len);
	/* the number first: a record made in between only adds to the rest */
	r = ktls__account_seq(c, KTLS_TX, &seq);
	if (r < 0)
		return r;
	wire = c->handed0 + c->plain +
	       (c->records + seq - c->seq0) *
		       ktls__cipher_overhead(c->cipher, c->version);
	/* an ACK that comes while TCP is asked makes it look like more, once */
	for (int i = 0; i < LOOKS && unsent > 0; i++) {
		r = handed(c, &bytes);
		if (r < 0)
			return r;
		if ((int64_t)(wire - bytes) < unsent)
			unsent = (int64_t)(wire - bytes);
	}
	return (unsent > 0 ? unsent : 0) + (int64_t)c->out.len;
}

int64_t ktls__account_unacked(const struct ktls_conn *c)
{
	return c->tcp ? ktls__sys_outq(c->fd) : -EOPNOTSUPP;
}

/* In the kernel nothing waits: no open record, and no end of one. */
static bool all_in_tcp(const struct ktls_conn *c)
{
	return ktls__account_unsent(c) == (int64_t)c->out.len;
}

int ktls__account_close(struct ktls_conn *c)
{
	ssize_t r = 0;

	/* to Linux 7.3 no NIC is given keys of TLS 1.3 */
	if (c->open_kernel == 0 || c->tx.told == KTLS_MODE_KERNEL ||
	    c->version != KTLS__TLS12)
		return 0;
	/* as soon as there is room the kernel pushes what is not that record */
	if (!all_in_tcp(c) &&
	    !(ktls__sys_poll(c->fd, POLLOUT, 0) & (POLLOUT | POLLERR | POLLHUP)))
		return -EAGAIN;
	if (!all_in_tcp(c))
		r = ktls__sys_send(c->fd, "", 0);
	if (r == 0)
		c->open_kernel = 0;
	return (int)r;
}
