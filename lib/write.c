/* SPDX-License-Identifier: MIT */
/*
 * ktls_write() and the loop behind it and ktls_sendfile(). Its rule: what a
 * call reports as accepted is sent once, in order, without another call.
 */
#include "write.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include <openssl/err.h>

#include "bio.h"
#include "offload.h"
#include "record.h"
#include "result.h"
#include "sys.h"

/*
 * A short count may leave the last record open in the kernel, which sends it
 * when more comes: it is closed, lest it wait for a call that never comes. A
 * record of no bytes with a type does that and nothing else (net/tls/tls_sw.c,
 * tls_sw_sendmsg_locked()); a full socket does not keep it from being closed.
 */
void ktls__kernel_took(struct ktls_conn *c, size_t n, size_t asked)
{
	c->plain += n;
	c->tx.kernel_bytes += n;
	if (n < asked)
		(void)ktls__record_send(c->fd, KTLS__APPLICATION_DATA, "", 0);
}

static ssize_t send_kernel(struct ktls_conn *c, const uint8_t *p, size_t n)
{
	ssize_t r;

	if (c->record_max < KTLS__RECORD_MAX && n > c->record_max)
		n = c->record_max;
	r = ktls__sys_send(c->fd, p, n);
	if (r == -EAGAIN)
		return ktls__again(c, POLLOUT);
	if (r < 0)
		return ktls__fail_tx(c, (int)-r, "send");
	ktls__kernel_took(c, (size_t)r, n);
	return r;
}

/* One record; the BIO takes it whole, since c->out is empty. */
static ssize_t send_user(struct ktls_conn *c, const uint8_t *p, size_t n)
{
	size_t sent = 0;
	int r;

	if (n > KTLS__RECORD_MAX)
		n = KTLS__RECORD_MAX;
	ERR_clear_error();
	if (SSL_write_ex(c->ssl, p, n, &sent) == 1)
		return (ssize_t)sent;
	r = ktls__ssl_result(c, 0, "SSL_write");
	return r == 0 ? ktls__fail_tx(c, EPIPE, "SSL_write") : r;
}

ssize_t ktls__send(struct ktls_conn *c, const uint8_t *p, size_t n)
{
	return c->tx.mode == KTLS_MODE_KERNEL ? send_kernel(c, p, n)
					      : send_user(c, p, n);
}

/*
 * Makes sure of the last record's tail, which may wait in c->out: a caller
 * that was told of all its bytes has no reason to come back. So it is told of
 * one byte less, and the next call finds that byte sent. A single byte can
 * not be told less of; writable() has made its tail next to impossible.
 */
static ssize_t settle_tail(struct ktls_conn *c, size_t done)
{
	ssize_t r;

	do
		r = ktls__flush(c);
	while (ktls__retry(c, &r));
	if (r == 0 || c->tx_dead || done == 1)
		return (ssize_t)done;
	c->credit = 1;
	return (ssize_t)done - 1;
}

/* poll(2) says so when a third of the buffer is free: room for any record */
static ssize_t writable(struct ktls_conn *c)
{
	int r = ktls__sys_poll(c->fd, POLLOUT, 0);

	return r == 0 ? ktls__again(c, POLLOUT) : 0;
}

static ssize_t start(struct ktls_conn *c, size_t n, uint64_t ahead)
{
	ssize_t r;

	do {
		r = ktls__flush(c);
		if (r == 0)
			r = ktls__offload_auto(c, KTLS_TX, ahead);
		if (r == 0 && n == 1 && !c->credit && c->tx.mode == KTLS_MODE_USER)
			r = writable(c);
	} while (ktls__retry(c, &r));
	return r;
}

ssize_t ktls__transmit(struct ktls_conn *c, const struct ktls__source *src,
		       size_t n, uint64_t ahead)
{
	size_t done;
	ssize_t r;

	c->wants = 0;
	r = start(c, n, ahead);
	if (r < 0)
		return r;
	done = c->credit;
	c->credit = 0;
	while (done < n) {
		do {
			r = ktls__flush(c);
			if (r == 0 && c->tx.wanted)
				r = ktls__offload_auto(c, KTLS_TX, ahead);
			if (r == 0)
				r = src->step(c, src, done, n - done);
		} while (ktls__retry(c, &r));
		if (r <= 0)
			break;
		done += (size_t)r;
	}
	/* progress beats error, which the next call will meet again */
	if (done == 0)
		return n == 0 ? 0 : r;
	if (c->out.len > 0 && (done == n || r == 0))
		r = settle_tail(c, done);
	else
		r = (ssize_t)done;
	if (r > 0)
		c->tx.bytes += (uint64_t)r;
	return r;
}

static ssize_t step(struct ktls_conn *c, const struct ktls__source *src,
		    size_t done, size_t max)
{
	return ktls__send(c, src->mem + done, max);
}

ssize_t ktls_write(struct ktls_conn *c, const void *buf, size_t len)
{
	struct ktls__source src = {.step = step, .mem = buf};
	ssize_t r;

	if (!c || (!buf && len > 0) || len > SSIZE_MAX)
		return ktls__return(-EINVAL);
	r = ktls__ready(c, KTLS_TX);
	if (r == 0 && len > 0)
		r = ktls__transmit(c, &src, len, len);
	return ktls__return(r);
}
