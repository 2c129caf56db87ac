/* SPDX-License-Identifier: MIT */
/*
 * ktls_flush(), ktls_shutdown() and ktls_close(): nothing that was accepted
 * is lost. The
 * kernel drops what has not reached TCP when a socket is closed or shut down,
 * so the end waits for the account to be even; and it resets connections that
 * are closed with unread data, so the peer is read to its end.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "account.h"
#include "bio.h"
#include "open.h"
#include "read.h"
#include "record.h"
#include "result.h"
#include "sys.h"
#include "wire.h"

enum {
	DRAIN_MAX = 1024 * 1024, /* bytes of a peer that goes on sending */
	CONTROL_COST = 1024,	 /* bytes that a control record counts for */
	TIMER_MAX = 10		 /* ms; crypto that ends makes no event */
};

static const uint8_t close_notify[2] = {KTLS__WARNING, KTLS__CLOSE_NOTIFY};

/* In the kernel no OpenSSL is needed for it, only its books kept right. */
static ssize_t notify_kernel(struct ktls_conn *c)
{
	if (!ktls__out_control(c, KTLS__ALERT, close_notify, 2))
		return ktls__fail(c, ENOMEM, "malloc", 0);
	if (c->ssl)
		SSL_set_shutdown(c->ssl,
				 SSL_get_shutdown(c->ssl) | SSL_SENT_SHUTDOWN);
	c->error.alert_sent = KTLS__CLOSE_NOTIFY;
	return 0;
}

static ssize_t notify_user(struct ktls_conn *c)
{
	int r;

	if (!c->ssl) {
		c->error.alert_sent = KTLS__CLOSE_NOTIFY;
		r = ktls__wire_seal(c, KTLS__ALERT, close_notify, 2);
		return r < 0 ? ktls__fail(c, -r, "EVP_CipherUpdate", 0) : 0;
	}
	ktls__ssl_begin();
	r = SSL_shutdown(c->ssl);
	if (r < 0)
		r = ktls__ssl_result(c, r, "SSL_shutdown");
	/* WANT_READ cannot be: that is for a second SSL_shutdown() */
	return r < 0 && r != -EAGAIN ? r : c->tx_dead ? -c->tx_dead : 0;
}

/* Every accepted byte is in a record that the socket has. */
static ssize_t settle(struct ktls_conn *c)
{
	const int r = ktls__open_close(c);

	return r < 0 ? r : ktls__flush(c);
}

static bool peer_gone(const struct ktls_conn *c)
{
	return c->closed || c->eof;
}

static ssize_t notify(struct ktls_conn *c)
{
	ssize_t r = 0;

	/*
	 * A peer that has closed its socket answers our close_notify with a
	 * reset, which is no failure when it had everything else.
	 */
	c->delivered = peer_gone(c) && ktls__account_unsent(c) == 0;
	if (c->ssl ? SSL_get_quiet_shutdown(c->ssl) : c->silent)
		r = 0; /* the caller wants no close_notify */
	else if (c->tx.mode == KTLS_MODE_KERNEL)
		r = notify_kernel(c);
	else if (!c->ssl || SSL_is_init_finished(c->ssl))
		r = notify_user(c);
	if (r == 0) {
		c->shutdown = KTLS__FLUSH;
		c->rekey = false;
	}
	return r;
}

/* 0 when TCP has every byte. */
static ssize_t unsent(struct ktls_conn *c)
{
	const int64_t n = ktls__account_unsent(c);

	if (n < 0 && !c->delivered)
		return ktls__fail_tx(c, (int)-n, "getsockopt");
	return n > 0 ? ktls__again(c, POLLOUT) : 0;
}

static ssize_t fin(struct ktls_conn *c)
{
	int r = ktls__sys_shutdown_wr(c->fd);

	if (r < 0 && r != -ENOTCONN)
		return ktls__fail_tx(c, -r, "shutdown");
	c->shutdown = KTLS__DRAIN;
	return 0;
}

/* Whatever comes, to nowhere; 0 at the end. */
static ssize_t discard_raw(struct ktls_conn *c, void *buf, size_t len)
{
	const struct iovec iov = {buf, len};
	struct ktls__record_in in;

	if (c->rx.mode == KTLS_MODE_KERNEL)
		return ktls__record_recv(c->fd, &iov, 1, &in);
	return ktls__sys_recv(c->fd, buf, len);
}

/*
 * One read of what the peer still sends; 0 at its end. Its KeyUpdates are
 * followed: what comes behind one must be read as well.
 */
static ssize_t discard(struct ktls_conn *c)
{
	uint8_t buf[KTLS__RECORD_MAX];
	const struct iovec iov = {buf, sizeof(buf)};
	ssize_t r;

	if (c->dead || !c->handshaken)
		return discard_raw(c, buf, sizeof(buf));
	c->quiet = true;
	r = ktls__receive(c, &iov, 1);
	c->quiet = false;
	/* FIN without close_notify, which c->closed tells from the other 0 */
	return r == -ECONNABORTED ? 0 : r;
}

static ssize_t drain(struct ktls_conn *c)
{
	/* after its close_notify there is nothing to wait for */
	while (!peer_gone(c) && c->drained < DRAIN_MAX) {
		const uint64_t controls = c->controls + c->rx.rekeys;
		ssize_t n = discard(c);

		c->drained += (uint32_t)(c->controls + c->rx.rekeys - controls) *
			      CONTROL_COST;
		if (n == -EINTR) {
			c->drained++;
			continue;
		}
		if (n == -EAGAIN)
			return ktls__again(c, POLLIN);
		/* keys or not, all that matters is that it is read */
		if (n == -EBADMSG || n == -EPROTO || n == -EMSGSIZE ||
		    n == -EINVAL || n == -EKEYEXPIRED) {
			if (c->rx.mode == KTLS_MODE_KERNEL)
				break;
			c->drained++;
			continue;
		}
		if (n < 0)
			return ktls__fail(c, (int)-n, "recv", (int)-n);
		if (n == 0 && !c->closed)
			c->eof = true;
		c->drained += (uint32_t)n;
	}
	c->shutdown = KTLS__DONE;
	return 0;
}

/* Goes on until that much is done. */
static ssize_t step(struct ktls_conn *c, int until)
{
	ssize_t r = 0;

	while (r == 0 && c->shutdown < until) {
		switch ((enum ktls__shutdown)c->shutdown) {
		case KTLS__OPEN:
			c->shutdown = KTLS__NOTIFY;
			break;
		case KTLS__NOTIFY:
			/* no record is made while another one waits */
			r = settle(c);
			if (r == 0)
				r = notify(c);
			break;
		case KTLS__FLUSH:
			r = ktls__flush(c);
			if (r == 0)
				c->shutdown = KTLS__QUEUE;
			break;
		case KTLS__QUEUE:
			r = unsent(c);
			if (r == 0)
				c->shutdown = KTLS__FIN;
			break;
		case KTLS__FIN:
			r = fin(c);
			break;
		case KTLS__DRAIN:
			r = drain(c);
			break;
		case KTLS__DONE:
			break;
		}
	}
	return r;
}

static int timed_out(struct ktls_conn *c, const char *call)
{
	int64_t unsent = ktls__account_unsent(c);

	c->error.unsent = unsent > 0 ? (uint64_t)unsent : 0;
	return ktls__failed(c, ETIMEDOUT, call, 0, 0, NULL);
}

/* A call that goes on until r is not -EAGAIN, or its time is over. */
struct deadline {
	const char *call;
	int timeout_ms;
	int64_t end;
	int timer;
};

static struct deadline deadline(const char *call, int timeout_ms)
{
	return (struct deadline){call, timeout_ms, ktls__sys_now() + timeout_ms,
				 1};
}

/*
 * True when it is time to try again. Where r is about TCP's queue the socket
 * may well be writable, and only time helps.
 */
static bool again(struct ktls_conn *c, ssize_t *r, struct deadline *d, bool queue)
{
	int64_t left = -1;
	int ms, error = 0;
	socklen_t len = sizeof(error);

	if (*r != -EAGAIN || d->timeout_ms == 0)
		return false;
	if (d->timeout_ms > 0) {
		left = d->end - ktls__sys_now();
		if (left <= 0) {
			*r = timed_out(c, d->call);
			return false;
		}
	}
	ms = left < 0 || left > INT_MAX ? -1 : (int)left;
	if (!queue) {
		(void)ktls__wait(c, c->fd, (short)c->wants, ms);
		return true;
	}
	if (ms < 0 || ms > d->timer)
		ms = d->timer;
	if (ktls__wait(c, c->fd, 0, ms) > 0) {
		/* an error, of what was received: nothing is sent before it is read */
		(void)ktls__sys_getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error,
					   &len);
		(void)ktls__wait(c, -1, 0, ms);
	}
	if (d->timer < TIMER_MAX)
		d->timer *= 2;
	return true;
}

static int shut_down(struct ktls_conn *c, int timeout_ms, int until)
{
	struct deadline d = deadline("ktls_shutdown", timeout_ms);
	ssize_t r;

	if (!c || c->detached)
		return c ? -ENOTCONN : -EINVAL;
	c->hold = false;
	do {
		if (c->shutdown >= until)
			return 0;
		/* once all is sent, what the peer says does not matter */
		if (c->shutdown < KTLS__DRAIN && (c->dead || c->tx_dead))
			return c->dead ? -c->dead : -c->tx_dead;
		c->wants = 0;
		r = step(c, until);
	} while (again(c, &r, &d, c->shutdown == KTLS__QUEUE));
	return (int)r;
}

static ssize_t flush(struct ktls_conn *c, int timeout_ms)
{
	struct deadline d = deadline("ktls_flush", timeout_ms);
	bool queue;
	ssize_t r;

	do {
		r = ktls__ready(c, KTLS_TX);
		if (r < 0)
			break;
		c->wants = 0;
		c->hold = false;
		r = settle(c);
		queue = r == 0;
		if (queue)
			r = unsent(c);
	} while (again(c, &r, &d, queue));
	return r;
}

int ktls_flush(struct ktls_conn *c, int timeout_ms)
{
	ktls__enter(c);
	return (int)ktls__leave(c, c ? flush(c, timeout_ms) : -EINVAL);
}

int ktls_shutdown_write(struct ktls_conn *c, int timeout_ms)
{
	ktls__enter(c);
	return (int)ktls__leave(c, shut_down(c, timeout_ms, KTLS__DRAIN));
}

int ktls_shutdown(struct ktls_conn *c, int timeout_ms)
{
	ktls__enter(c);
	return (int)ktls__leave(c, shut_down(c, timeout_ms, KTLS__DONE));
}

/*
 * Of a connection that failed: an alert that tells the peer why, if there is
 * one, and what waits to be read, lest a reset overtake what was sent.
 */
static void give_up(struct ktls_conn *c)
{
	uint8_t buf[KTLS__RECORD_MAX];
	ssize_t n = 1;

	if (c->shutdown < KTLS__FIN) {
		(void)ktls__out_flush(c);
		(void)ktls__sys_shutdown_wr(c->fd);
	}
	for (size_t got = 0; got < DRAIN_MAX && n > 0; got += (size_t)n)
		n = discard_raw(c, buf, sizeof(buf));
}

static ssize_t close_all(struct ktls_conn *c, int timeout_ms)
{
	ssize_t r;

	if (c->detached)
		return 0;
	r = shut_down(c, timeout_ms, KTLS__DONE);
	if (r < 0 && r != -EAGAIN)
		give_up(c);
	return r;
}

int ktls_close(struct ktls_conn *c, int timeout_ms)
{
	int r, e, fd, closed;

	ktls__enter(c);
	r = (int)ktls__leave(c, c ? close_all(c, timeout_ms) : -EINVAL);
	e = errno;
	if (!c || (r < 0 && e == EAGAIN))
		return r;
	fd = c->fd;
	ktls_conn_free(c);
	closed = ktls__sys_close(fd);
	return (int)ktls__leave(NULL, r < 0 ? -e : closed);
}
