/* SPDX-License-Identifier: MIT */
/*
 * From what OpenSSL and the socket said to what the caller is told. Every
 * failure passes here, so that it has one meaning and one record.
 */
#include "result.h"

#include <errno.h>
#include <poll.h>
#include <sys/time.h>

#include "bio.h"
#include "keys.h"
#include "rekey.h"
#include "sys.h"
#include "wire.h"

int ktls__fail(struct ktls_conn *c, int code, const char *call, int sys_errno)
{
	if (code == EAGAIN || code == EINTR)
		return -code;
	if (ktls__error_is_fatal(code))
		c->dead = code;
	return ktls__failed(c, code, call, sys_errno, 0, NULL);
}

int ktls__fail_tx(struct ktls_conn *c, int code, const char *call)
{
	if (code == EAGAIN || code == EINTR)
		return -code;
	/* what RX found in a header, which the kernel says once, to anybody */
	if (c->rx.mode == KTLS_MODE_KERNEL && (code == EMSGSIZE || code == EINVAL))
		return ktls__fail_rx(c, code, call);
	if (ktls__error_is_fatal(code))
		c->tx_dead = code;
	return ktls__failed(c, code, call, code, 0, NULL);
}

int ktls__again(struct ktls_conn *c, short events)
{
	c->wants = events;
	c->pipe_wanted = -1;
	return -EAGAIN;
}

int ktls__again_pipe(struct ktls_conn *c, int fd, short events)
{
	c->wants = 0;
	c->pipe_wanted = fd;
	c->pipe_events = events;
	return -EAGAIN;
}

/* libcrypto's error may stand before the one of libssl that explains it. */
static int openssl_failed(struct ktls_conn *c, const char *call)
{
	const unsigned long first = ERR_peek_error();
	unsigned long e, shown = first;
	int code;

	c->dead = EPROTO;
	while ((e = ERR_get_error()) != 0) {
		if (ERR_GET_LIB(e) != ERR_LIB_SSL)
			continue;
		if (ERR_GET_LIB(shown) != ERR_LIB_SSL)
			shown = e;
		if (ERR_GET_REASON(e) == SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC)
			c->dead = EBADMSG;
	}
	/* the alert OpenSSL wrote: no later call will get as far as this */
	code = c->dead;
	if (c->out.len > 0)
		(void)ktls__out_flush(c);
	c->dead = code;
	ktls__failed(c, code, call, 0, shown, "no error in OpenSSL's queue");
	c->error.openssl = (uint32_t)first;
	return -code;
}

int ktls__truncated(struct ktls_conn *c)
{
	/* not fatal: a peer that shut down its sending side may still read */
	return ktls__failed(c, ECONNABORTED, "recv", 0, 0,
			    "the peer closed TCP without close_notify");
}

int ktls__ssl_result(struct ktls_conn *c, int r, const char *call)
{
	const int e = SSL_get_error(c->ssl, r);

	if (c->bio_tx_errno) {
		/* whatever it was: OpenSSL's record is lost in the middle */
		ktls__fail_tx(c, c->bio_tx_errno, "send");
		c->tx_dead = c->bio_tx_errno;
		c->bio_tx_errno = 0;
	}
	if (c->bio_rx_errno) {
		const int code = c->bio_rx_errno;

		c->bio_rx_errno = 0;
		return ktls__fail(c, code, "recv", code);
	}
	switch (e) {
	case SSL_ERROR_ZERO_RETURN:
		c->closed = true;
		return 0;
	case SSL_ERROR_WANT_READ:
		return c->eof ? ktls__truncated(c) : ktls__again(c, POLLIN);
	case SSL_ERROR_WANT_WRITE:
		if (c->tx_dead)
			return -c->tx_dead;
		return ktls__again(c, POLLOUT);
	case SSL_ERROR_SYSCALL:
	case SSL_ERROR_SSL:
		return openssl_failed(c, call);
	default:
		/* a callback of the caller's suspends OpenSSL */
		return ktls__again(c, 0);
	}
}

static int timeout_of(struct ktls_conn *c)
{
	struct timeval tv = {0, 0};
	socklen_t len = sizeof(tv);
	/* what comes from a pipe is to be sent */
	const bool sending = c->pipe_wanted < 0 ? c->wants & POLLOUT
						: c->pipe_events & POLLIN;
	const int name = sending ? SO_SNDTIMEO : SO_RCVTIMEO;
	int64_t ms;

	if (ktls__sys_getsockopt(c->fd, SOL_SOCKET, name, &tv, &len) < 0)
		return -1;
	ms = (int64_t)tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000;
	if (ms == 0)
		return -1;
	return ms > 0x7fffffff ? 0x7fffffff : (int)ms;
}

/* A pipe is nobody's direction. */
static void count_wait(struct ktls_conn *c)
{
	c->tx.again += (c->wants & POLLOUT) != 0;
	c->rx.again += (c->wants & POLLIN) != 0;
}

bool ktls__retry(struct ktls_conn *c, ssize_t *r)
{
	int ready;

	if (*r != -EAGAIN || !c->restore_fl)
		return false;
	if (c->pipe_wanted >= 0)
		ready = ktls__wait(c, c->pipe_wanted, c->pipe_events,
				   timeout_of(c));
	else if (c->wants)
		ready = ktls__wait(c, c->fd, ktls__wants(c), timeout_of(c));
	else
		return false;
	if (ready > 0) {
		count_wait(c);
		return true;
	}
	if (ready < 0)
		*r = ktls__fail(c, -ready, "poll", -ready);
	return false;
}

int ktls__flush(struct ktls_conn *c)
{
	int r;

	if (c->hold)
		return 0;
	r = c->out.len > 0 ? ktls__out_flush(c) : 0;

	if (r == 0 && c->rekey)
		r = ktls__rekey_begin(c);
	if (r == -EAGAIN)
		return ktls__again(c, POLLOUT);
	return r < 0 && !c->dead ? ktls__fail_tx(c, -r, "send") : r;
}

/* Where OpenSSL would not know that it has to: nothing follows this record. */
static bool seal_alert(struct ktls_conn *c, const uint8_t alert[2])
{
	uint8_t rec[64];
	struct ktls__protection p;
	ssize_t n = -1;

	if (c->tx.track.lost ||
	    ktls__keys_derive(c, KTLS_TX, &p) != KTLS_REASON_NONE)
		return false;
	/* only OpenSSL knows which explicit nonces it has not used */
	if (!ktls__cipher_explicit_nonce(p.cipher, p.version))
		n = ktls__aead_seal(&p, c->tx.track.seq, KTLS__ALERT, alert, 2,
				    rec);
	explicit_bzero(&p, sizeof(p));
	/* records end where out ends: see bio.c */
	c->sealed = n > 0 && ktls__buf_append(&c->out, rec, (size_t)n);
	return c->sealed;
}

void ktls__send_alert(struct ktls_conn *c, uint8_t description)
{
	const uint8_t alert[2] = {KTLS__FATAL, description};
	int failed = 0;
	socklen_t len = sizeof(failed);
	bool queued;

	/* nothing follows close_notify, or a KeyUpdate the kernel cannot do */
	if (c->shutdown > KTLS__NOTIFY ||
	    (c->tx.mode == KTLS_MODE_KERNEL && c->old_key == 0 &&
	     c->tx.generation != c->tx.installed))
		return;
	if (c->tx.mode == KTLS_MODE_KERNEL)
		queued = ktls__out_control(c, KTLS__ALERT, alert, 2);
	else if (c->ssl)
		queued = seal_alert(c, alert);
	else
		queued = !c->tx_dead &&
			 ktls__wire_seal(c, KTLS__ALERT, alert, 2) == 0;
	if (!queued)
		return;
	/* RX leaves its error on the socket, where the next send meets it */
	(void)ktls__sys_getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failed, &len);
	if (ktls__out_flush(c) == 0)
		c->error.alert_sent = description;
}

int ktls__fail_rx(struct ktls_conn *c, int e, const char *call)
{
	/* net/tls/tls_sw.c, tls_rx_msg_size() and tls_rx_one_record() */
	switch (e) {
	case EAGAIN:
		return ktls__again(c, POLLIN);
	case EBADMSG:
		ktls__send_alert(c, KTLS__BAD_RECORD_MAC);
		return ktls__fail(c, EBADMSG, call, e);
	case EMSGSIZE:
		ktls__send_alert(c, KTLS__RECORD_OVERFLOW);
		return ktls__fail(c, EPROTO, call, e);
	case EINVAL:
	case EPROTO:
	case EIO:
		ktls__send_alert(c, KTLS__DECODE_ERROR);
		return ktls__fail(c, EPROTO, call, e);
	default:
		return ktls__fail(c, e, call, e);
	}
}

int ktls__ready(const struct ktls_conn *c, int dir)
{
	if (c->dead)
		return -c->dead;
	if (c->tx_dead && dir == KTLS_TX)
		return -c->tx_dead;
	if (c->shutdown && dir == KTLS_TX)
		return -EPIPE;
	if (c->refused)
		return -ENOTSUP;
	if (c->detached)
		return -ENOTCONN;
	return c->handshaken ? 0 : -ENOTCONN;
}

short ktls__wants(const struct ktls_conn *c)
{
	const bool waits = c->out.len > 0 && !c->tx_dead && !c->hold;

	return (short)(c->wants | (waits ? POLLOUT : 0));
}

/* A caller that may only look at it has not made it const. */
static struct ktls_conn *own(const struct ktls_conn *c)
{
	return (struct ktls_conn *)(uintptr_t)c;
}

void ktls__enter(const struct ktls_conn *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&own(c)->lock);
	own(c)->depth++;
}

/*
 * The policy's release_ssl: nothing of OpenSSL is needed any more. Never inside
 * of a call of its own, which a callback may have come from.
 */
static void release(struct ktls_conn *c)
{
	if (c->tx.mode != KTLS_MODE_KERNEL || c->rx.mode != KTLS_MODE_KERNEL ||
	    c->shutdown || c->dead || c->feed.len > 0 || c->control.len > 0 ||
	    c->rx.generation != c->rx.installed || SSL_pending(c->ssl) > 0 ||
	    SSL_in_init(c->ssl) ||
	    SSL_get_key_update_type(c->ssl) != SSL_KEY_UPDATE_NONE)
		return;
	c->silent = SSL_get_quiet_shutdown(c->ssl) != 0;
	/* else SSL_free() would take the session for a broken one */
	SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	/* OpenSSL's own chain; the kernel's is tx_secret's */
	explicit_bzero(c->tx.secret, sizeof(c->tx.secret));
	ktls__buf_free(&c->tx.track.last);
	c->tx.track.keep_all = false;
	ktls__ssl_leave(c);
}

ssize_t ktls__leave(const struct ktls_conn *c, ssize_t r)
{
	if (c && r == -EAGAIN)
		count_wait(own(c));
	if (c && c->policy.release_ssl && c->ssl && c->depth == 1)
		release(own(c));
	if (c) {
		own(c)->depth--;
		pthread_mutex_unlock(&own(c)->lock);
	}
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}

int ktls__wait(struct ktls_conn *c, int fd, short events, int timeout_ms)
{
	int r;

	pthread_mutex_unlock(&c->lock);
	r = ktls__sys_poll(fd, events, timeout_ms);
	pthread_mutex_lock(&c->lock);
	return r;
}
