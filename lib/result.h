/* SPDX-License-Identifier: MIT */
/* What a failure means for the connection, and how a blocking call waits. */
#ifndef KTLS_RESULT_H
#define KTLS_RESULT_H

#include <openssl/err.h>

#include "event.h"

/*
 * Records that call failed with errno code because of sys_errno (0: none);
 * returns -code. After a fatal one (ktls__error_is_fatal) every later call
 * fails alike; EAGAIN and EINTR are not recorded.
 */
int ktls__fail(struct ktls_conn *c, int code, const char *call, int sys_errno);
/* The same for a socket that takes no more: what was received can be read. */
int ktls__fail_tx(struct ktls_conn *c, int code, const char *call);

/* What the kernel's errno to call that receives means, told to the peer. */
int ktls__fail_rx(struct ktls_conn *c, int e, const char *call);

/* -ECONNABORTED: FIN without close_notify, RFC 8446 section 6.1. */
int ktls__truncated(struct ktls_conn *c);

/* -EAGAIN, noting what the caller has to poll for. */
int ktls__again(struct ktls_conn *c, short events);

/* -EAGAIN of a pipe, for which ktls_wants() has no word. */
int ktls__again_pipe(struct ktls_conn *c, int fd, short events);

/* Before each SSL_* call: SSL_get_error() wants an empty error queue. */
static inline void ktls__ssl_begin(void)
{
	/* clearing an empty one costs more than to look */
	if (ERR_peek_error())
		ERR_clear_error();
}

/*
 * The meaning of an SSL_* call's result r that was not success: 0 after the
 * peer's close_notify, else -errno.
 */
int ktls__ssl_result(struct ktls_conn *c, int r, const char *call);

/*
 * True when *r is -EAGAIN, the caller's socket is a blocking one and it is
 * time to try again; other threads may have used c meanwhile. *r is -EAGAIN still when SO_RCVTIMEO or SO_SNDTIMEO ran
 * out, and -EINTR when a signal came.
 */
bool ktls__retry(struct ktls_conn *c, ssize_t *r);

/*
 * Sends what waits in c->out, and a KeyUpdate that is due; 0, -EAGAIN (wants
 * noted), or the failure.
 */
int ktls__flush(struct ktls_conn *c);

/* Sends a fatal alert of our own, as far as it can go now. */
void ktls__send_alert(struct ktls_conn *c, uint8_t description);

/* 0 when application data may flow in this direction, else -errno. */
int ktls__ready(const struct ktls_conn *c, int dir);

/* c->wants, and POLLOUT for what waits in c->out. */
short ktls__wants(const struct ktls_conn *c);

/*
 * Begin and end of a public call. c may be NULL. ktls__leave() gives the
 * public result: r, or -1 with errno.
 */
void ktls__enter(const struct ktls_conn *c);
ssize_t ktls__leave(const struct ktls_conn *c, ssize_t r);
/* poll(2) of c->fd (or another) while other threads may use c. */
int ktls__wait(struct ktls_conn *c, int fd, short events, int timeout_ms);

#endif
