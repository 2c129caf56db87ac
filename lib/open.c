/* SPDX-License-Identifier: MIT */
/* The record that is open, and its end. */
#include "open.h"

#include <errno.h>
#include <poll.h>

#include "account.h"
#include "bio.h"
#include "device.h"
#include "record.h"
#include "result.h"
#include "wire.h"

/* As the BIO does it: taken whole, whatever the socket takes now. */
static ssize_t seal_own(struct ktls_conn *c, const uint8_t *p, size_t n)
{
	int r = ktls__wire_seal(c, KTLS__APPLICATION_DATA, p, n);

	if (r < 0)
		return ktls__fail(c, -r, "EVP_CipherUpdate", 0);
	r = ktls__out_flush(c);
	if (r == 0 || r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM)
		return (ssize_t)n;
	return ktls__fail_tx(c, -r, "send");
}

ssize_t ktls__seal(struct ktls_conn *c, const uint8_t *p, size_t n)
{
	size_t sent = 0;
	int r;

	if (!c->ssl)
		return seal_own(c, p, n);
	ktls__ssl_begin();
	if (SSL_write_ex(c->ssl, p, n, &sent) == 1)
		return (ssize_t)sent;
	r = ktls__ssl_result(c, 0, "SSL_write");
	return r == 0 ? ktls__fail_tx(c, EPIPE, "SSL_write") : r;
}

/*
 * TLS_SW: a record of no bytes with a type closes the open one and does nothing
 * else (net/tls/tls_sw.c, tls_sw_sendmsg_locked()); a full socket, or crypto
 * that is not done yet, does not keep it from being closed.
 * TLS_HW has its own way, which is nothing to TLS_SW, and makes an empty record
 * of this one (see ktls__account_close()).
 */
static int close_kernel(struct ktls_conn *c)
{
	const uint32_t mode = c->version == KTLS__TLS12
				      ? ktls__device_mode(c, KTLS_TX)
				      : KTLS_MODE_KERNEL;
	ssize_t r = ktls__account_close(c);

	if (r == -EAGAIN)
		return ktls__again(c, POLLOUT);
	if (r == 0 && (mode == KTLS_MODE_KERNEL ||
		       (mode == KTLS_MODE_UNKNOWN &&
			ktls__account_unsent(c) != (int64_t)c->out.len)))
		r = ktls__record_send(c->fd, KTLS__APPLICATION_DATA, "", 0);
	if (r < 0 && r != -EAGAIN && r != -EINPROGRESS)
		return ktls__fail_tx(c, (int)-r, "sendmsg");
	c->open_kernel = 0;
	return 0;
}

int ktls__open_close(struct ktls_conn *c)
{
	ssize_t r;

	if (ktls__open_length(c) == 0)
		return 0;
	if (c->tx.mode == KTLS_MODE_KERNEL)
		return close_kernel(c);
	/* no record is made while another one waits */
	r = ktls__flush(c);
	if (r == 0)
		r = ktls__seal(c, ktls__buf_data(&c->open), c->open.len);
	if (r < 0)
		return (int)r;
	ktls__buf_free(&c->open);
	return 0;
}

void ktls__kernel_took(struct ktls_conn *c, size_t n, size_t asked, bool more)
{
	c->plain += n;
	c->tx.kernel_bytes += n;
	c->open_kernel = more ? c->open_kernel + (uint32_t)n : 0;
	if (n == asked)
		return;
	/* how much of it is in a record that is still open, nobody knows */
	c->open_kernel = KTLS__RECORD_MAX;
	(void)close_kernel(c);
}
