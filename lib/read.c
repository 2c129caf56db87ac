/* SPDX-License-Identifier: MIT */
/* ktls_read() and ktls_pending(): application data in, from either side. */
#include <errno.h>
#include <limits.h>
#include <poll.h>

#include <openssl/err.h>

#include "bio.h"
#include "offload.h"
#include "record.h"
#include "result.h"

enum {
	/* control or empty records on end: a flood, not a session */
	CONTROL_RUN = 128
};

static ssize_t read_user(struct ktls_conn *c, void *buf, size_t len)
{
	size_t got = 0;
	ssize_t r;

	ERR_clear_error();
	if (SSL_read_ex(c->ssl, buf, len, &got) == 1)
		r = (ssize_t)got;
	else
		r = ktls__ssl_result(c, 0, "SSL_read");
	if (r > 0 || r == -EAGAIN) {
		int rekey = ktls__check_rekey(c);

		if (rekey < 0 && r < 0)
			return rekey;
	}
	return r;
}

static ssize_t kernel_failed(struct ktls_conn *c, int e)
{
	/* net/tls/tls_sw.c, tls_rx_msg_size() and tls_rx_one_record() */
	switch (e) {
	case EAGAIN:
		return ktls__again(c, POLLIN);
	case EBADMSG:
		ktls__send_alert(c, KTLS__BAD_RECORD_MAC);
		return ktls__fail(c, EBADMSG, "recvmsg", e);
	case EMSGSIZE:
		ktls__send_alert(c, KTLS__RECORD_OVERFLOW);
		return ktls__fail(c, EPROTO, "recvmsg", e);
	case EINVAL:
	case EPROTO:
	case EIO:
		ktls__send_alert(c, KTLS__DECODE_ERROR);
		return ktls__fail(c, EPROTO, "recvmsg", e);
	default:
		return ktls__fail(c, e, "recvmsg", e);
	}
}

/* OpenSSL's turn with the control record in c->control. */
static ssize_t digest_control(struct ktls_conn *c)
{
	char none[1];
	size_t got;
	int r;

	r = ktls__bio_feed(c, c->control_type, ktls__buf_data(&c->control),
			   c->control.len);
	ktls__buf_free(&c->control);
	if (r < 0) {
		/* the record is lost, and with it the session's state */
		c->dead = r == -ENOMEM ? ENOMEM : EPROTO;
		return ktls__fail(c, c->dead, "control record", 0);
	}
	ERR_clear_error();
	if (SSL_read_ex(c->ssl, none, sizeof(none), &got) == 1)
		return ktls__fail(c, EPROTO, "SSL_read", 0);
	r = ktls__ssl_result(c, 0, "SSL_read");
	if (r == -EAGAIN)
		r = ktls__check_rekey(c);
	if (c->out.len > 0)
		(void)ktls__flush(c);
	return r;
}

/* Gathers a control record; 0 when there may be more to read. */
static ssize_t take_control(struct ktls_conn *c, const struct ktls__record_in *in,
			    const void *p, size_t n)
{
	if ((c->control.len > 0 && in->type != c->control_type) ||
	    c->control.len + n > KTLS__RECORD_MAX)
		return kernel_failed(c, EPROTO);
	c->control_type = in->type;
	if (!ktls__buf_append(&c->control, p, n)) {
		c->dead = ENOMEM;
		return ktls__fail(c, ENOMEM, "malloc", 0);
	}
	return in->end ? digest_control(c) : 0;
}

static ssize_t read_kernel(struct ktls_conn *c, void *buf, size_t len)
{
	struct ktls__record_in in;
	ssize_t n, r;

	for (int run = 0; run < CONTROL_RUN;) {
		n = ktls__record_recv(c->fd, buf, len, &in);
		if (n == -EINTR) {
			run++;
			continue;
		}
		if (n == 0) {
			c->eof = true;
			return ktls__truncated(c);
		}
		if (n < 0)
			return kernel_failed(c, (int)-n);
		if (in.type == KTLS__APPLICATION_DATA && c->control.len == 0) {
			c->rx.kernel_bytes += (uint64_t)n;
			return n;
		}
		r = take_control(c, &in, buf, (size_t)n);
		if (r < 0 || c->closed)
			return r;
		if (in.end)
			run++;
	}
	return kernel_failed(c, EPROTO);
}

static ssize_t step(struct ktls_conn *c, void *buf, size_t len)
{
	if (c->closed)
		return 0;
	/* plaintext that OpenSSL had when the kernel took over comes first */
	if (c->rx.mode == KTLS_MODE_KERNEL && SSL_pending(c->ssl) == 0)
		return read_kernel(c, buf, len);
	return read_user(c, buf, len);
}

ssize_t ktls_read(struct ktls_conn *c, void *buf, size_t len)
{
	ssize_t r;

	if (!c || (!buf && len > 0) || len > SSIZE_MAX)
		return ktls__return(-EINVAL);
	r = ktls__ready(c, KTLS_RX);
	if (r < 0 || len == 0)
		return ktls__return(r);
	do {
		if (c->out.len > 0 && !c->tx_dead)
			(void)ktls__flush(c);
		c->wants = 0;
		r = step(c, buf, len);
	} while (ktls__retry(c, &r));
	if (r > 0) {
		c->rx.bytes += (uint64_t)r;
		(void)ktls__offload_auto(c, KTLS_RX, 0);
	}
	return ktls__return(r);
}

size_t ktls_pending(const struct ktls_conn *c)
{
	int n = c ? SSL_pending(c->ssl) : 0;

	return n > 0 ? (size_t)n : 0;
}
