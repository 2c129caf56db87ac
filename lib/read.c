/* SPDX-License-Identifier: MIT */
/*
 * ktls_read(), ktls_readv(), ktls_peek() and ktls_pending(): application data
 * in, from either side.
 */
#include "read.h"

#include <errno.h>
#include <poll.h>

#include <ktls/raw.h>

#include "bio.h"
#include "message.h"
#include "offload.h"
#include "record.h"
#include "rekey.h"
#include "result.h"
#include "source.h"

static ssize_t read_user(struct ktls_conn *c, const struct iovec *iov, int count)
{
	size_t got = 0, sum = 0;
	ssize_t r = 0;

	for (int i = 0; i < count && (sum == 0 || SSL_pending(c->ssl) > 0); i++) {
		if (iov[i].iov_len == 0)
			continue;
		ktls__ssl_begin();
		if (SSL_read_ex(c->ssl, iov[i].iov_base, iov[i].iov_len, &got) !=
		    1) {
			if (sum == 0)
				r = ktls__ssl_result(c, 0, "SSL_read");
			break;
		}
		sum += got;
		if (got < iov[i].iov_len)
			break;
	}
	if (r == -EAGAIN)
		c->inside = false;
	if (sum > 0 || r == -EAGAIN) {
		const int rekey = ktls__rekey_follow(c);

		if (rekey < 0 && sum == 0)
			return rekey;
	}
	return sum > 0 ? (ssize_t)sum : r;
}

/* OpenSSL counts warnings on end, and has not seen the data between them. */
static int show_data(struct ktls_conn *c)
{
	uint8_t byte = 0;
	size_t got;
	int r;

	if (c->control_type != KTLS__ALERT || c->shown == c->rx.kernel_bytes)
		return 0;
	c->shown = c->rx.kernel_bytes;
	r = ktls__bio_feed(c, KTLS__APPLICATION_DATA, &byte, 1);
	ktls__ssl_begin();
	if (r == 0 && SSL_read_ex(c->ssl, &byte, 1, &got) != 1)
		r = ktls__ssl_result(c, 0, "SSL_read");
	return r;
}

/* OpenSSL's turn with the control record in c->control. */
static ssize_t digest_control(struct ktls_conn *c)
{
	uint8_t none;
	size_t got;
	int r;

	if (!c->ssl)
		return ktls__message(c);
	r = show_data(c);
	if (r == 0)
		r = ktls__bio_feed(c, c->control_type,
				   ktls__buf_data(&c->control), c->control.len);
	ktls__buf_free(&c->control);
	if (r < 0) {
		/* the record is lost, and with it the session's state */
		c->dead = r == -ENOMEM ? ENOMEM : EPROTO;
		return ktls__fail(c, c->dead, "control record", 0);
	}
	ktls__ssl_begin();
	if (SSL_read_ex(c->ssl, &none, 1, &got) == 1)
		return ktls__fail(c, EPROTO, "SSL_read", 0);
	r = ktls__ssl_result(c, 0, "SSL_read");
	if (r == -EAGAIN)
		r = ktls__rekey_follow(c);
	if (c->out.len > 0 && !c->tx_dead)
		(void)ktls__flush(c);
	return c->dead ? -c->dead : r;
}

/* Gathers a control record; 0 when there may be more to read. */
static ssize_t take_control(struct ktls_conn *c, const struct ktls__record_in *in,
			    const struct iovec *iov, size_t n)
{
	if ((c->control.len > 0 && in->type != c->control_type) ||
	    c->control.len + n > KTLS__RECORD_MAX)
		return ktls__fail_rx(c, EPROTO, "recvmsg");
	c->control_type = in->type;
	c->controls++;
	for (; n > 0; iov++) {
		const size_t k = n < iov->iov_len ? n : iov->iov_len;

		if (!ktls__buf_append(&c->control, iov->iov_base, k)) {
			c->dead = ENOMEM;
			return ktls__fail(c, ENOMEM, "malloc", 0);
		}
		n -= k;
	}
	if (!in->end)
		return 0;
	ktls__control_count(&c->rx, in->type);
	return digest_control(c);
}

static ssize_t read_kernel(struct ktls_conn *c, const struct iovec *iov, int count)
{
	struct ktls__record_in in;
	ssize_t n, r;

	for (int run = 0; run < KTLS__CONTROL_RUN;) {
		n = ktls__record_recv(c->fd, iov, count, &in);
		if (n == -EKEYEXPIRED) {
			n = ktls__rekey_resume(c);
			if (n < 0)
				return n;
			n = -EINTR;
		}
		if (n == -EINTR) {
			run++;
			continue;
		}
		if (n == 0) {
			c->eof = true;
			return ktls__truncated(c);
		}
		if (n < 0)
			return ktls__fail_rx(c, (int)-n, "recvmsg");
		if (in.type == KTLS__APPLICATION_DATA && c->control.len == 0 &&
		    !ktls__message_open(c)) {
			c->rx.kernel_bytes += (uint64_t)n;
			return n;
		}
		r = take_control(c, &in, iov, (size_t)n);
		if (r < 0 || c->closed)
			return r;
		if (in.end)
			run++;
	}
	return ktls__fail_rx(c, EPROTO, "recvmsg");
}

static ssize_t read_ahead(struct ktls_conn *c, const struct iovec *iov, int count)
{
	size_t sum = 0;

	for (int i = 0; i < count && c->ahead.len > 0; i++) {
		const size_t n = iov[i].iov_len < c->ahead.len ? iov[i].iov_len
							       : c->ahead.len;

		if (n == 0)
			continue;
		memcpy(iov[i].iov_base, ktls__buf_data(&c->ahead), n);
		ktls__buf_drop(&c->ahead, n);
		sum += n;
	}
	return (ssize_t)sum;
}

static bool is_own(const struct ktls_conn *c)
{
	return !c->ssl && c->rx.mode != KTLS_MODE_KERNEL;
}

static bool has_pending(const struct ktls_conn *c)
{
	return c->ssl && SSL_pending(c->ssl) > 0;
}

/* What is not in c->ahead, nor of wire.c. */
static ssize_t receive_new(struct ktls_conn *c, const struct iovec *iov, int count)
{
	ssize_t r;

	/* plaintext that OpenSSL had when the kernel took over comes first */
	if (c->rx.mode == KTLS_MODE_KERNEL && !has_pending(c))
		r = read_kernel(c, iov, count);
	else
		r = read_user(c, iov, count);
	if (r > 0)
		c->rx.bytes += (uint64_t)r;
	return r;
}

ssize_t ktls__receive(struct ktls_conn *c, const struct iovec *iov, int count)
{
	ssize_t r;

	if (c->ahead.len > 0)
		return read_ahead(c, iov, count);
	if (c->closed)
		return 0;
	if (!is_own(c))
		return receive_new(c, iov, count);
	r = ktls__message_receive(c);
	return r > 0 ? read_ahead(c, iov, count) : r;
}

ssize_t ktls__receive_more(struct ktls_conn *c)
{
	struct iovec iov = {NULL, KTLS__RECORD_MAX};
	ssize_t r;

	if (c->closed)
		return 0;
	if (is_own(c))
		return ktls__message_receive(c);
	iov.iov_base = ktls__buf_room(&c->ahead, iov.iov_len);
	if (!iov.iov_base)
		return ktls__fail(c, ENOMEM, "malloc", 0);
	r = receive_new(c, &iov, 1);
	if (r > 0)
		c->ahead.len += (uint32_t)r;
	else if (c->ahead.len == 0)
		ktls__buf_free(&c->ahead);
	return r;
}

ssize_t ktls__receive_ahead(struct ktls_conn *c)
{
	return c->ahead.len > 0 ? (ssize_t)c->ahead.len : ktls__receive_more(c);
}

static ssize_t read_all(struct ktls_conn *c, const struct iovec *iov, int count,
			bool peek)
{
	ssize_t r, n = c ? ktls__iov_length(iov, count) : -EINVAL;

	if (n < 0)
		return n;
	do {
		r = ktls__ready(c, KTLS_RX);
		if (r < 0 || n == 0)
			return r;
		if (c->out.len > 0 && !c->tx_dead)
			(void)ktls__flush(c);
		if (c->dead)
			return -c->dead;
		c->wants = 0;
		r = peek ? ktls__receive_ahead(c) : ktls__receive(c, iov, count);
	} while (r == -EAGAIN && ktls__retry(c, &r));
	if (r > 0)
		(void)ktls__offload_auto(c, KTLS_RX, 0);
	if (r > n)
		r = n; /* peeked */
	if (r > 0 && peek)
		memcpy(iov->iov_base, ktls__buf_data(&c->ahead), (size_t)r);
	return r;
}

static ssize_t raw_received(struct ktls_conn *c, int record, const void *buf,
			    size_t n)
{
	/* iovec has no const; nothing writes through it */
	const struct iovec iov = {(void *)(uintptr_t)buf, n};
	struct ktls__record_in in = {.type = (uint8_t)record,
				     .end = (record & KTLS_RECORD_END) != 0};
	ssize_t r;

	if (!c || (record & ~(0xff | KTLS_RECORD_END)) || (!buf && n > 0) ||
	    c->rx.mode != KTLS_MODE_KERNEL)
		return -EINVAL;
	r = ktls__ready(c, KTLS_RX);
	if (r < 0)
		return r;
	c->wants = 0;
	if (in.type == KTLS__APPLICATION_DATA && c->control.len == 0 &&
	    !ktls__message_open(c)) {
		c->rx.kernel_bytes += n;
		c->rx.bytes += n;
		return n > 0 ? (ssize_t)n : ktls__again(c, POLLIN);
	}
	/* RFC 8446 section 5.4: only application data may be empty */
	r = n > 0 ? take_control(c, &in, &iov, n)
		  : ktls__fail_rx(c, EPROTO, "recvmsg");
	return r < 0 || c->closed ? r : ktls__again(c, POLLIN);
}

ssize_t ktls_raw_received(struct ktls_conn *c, int record, const void *buf,
			  size_t len)
{
	ktls__enter(c);
	return ktls__leave(c, raw_received(c, record, buf, len));
}

ssize_t ktls_read(struct ktls_conn *c, void *buf, size_t len)
{
	const struct iovec iov = {buf, len};

	ktls__enter(c);
	return ktls__leave(c, read_all(c, &iov, 1, false));
}

ssize_t ktls_readv(struct ktls_conn *c, const struct iovec *iov, int count)
{
	ktls__enter(c);
	return ktls__leave(c, read_all(c, iov, count, false));
}

ssize_t ktls_peek(struct ktls_conn *c, void *buf, size_t len)
{
	const struct iovec iov = {buf, len};

	ktls__enter(c);
	return ktls__leave(c, read_all(c, &iov, 1, true));
}

size_t ktls_pending(const struct ktls_conn *c)
{
	ssize_t n = 0;

	ktls__enter(c);
	if (c)
		n = (ssize_t)c->ahead.len + (c->ssl ? SSL_pending(c->ssl) : 0);
	/* of what is not decrypted yet nobody knows how much it is */
	if (c && n == 0 && (c->early.len > 0 || (c->inside && c->rx.track.within)))
		n = 1;
	return (size_t)ktls__leave(c, n);
}
