/* SPDX-License-Identifier: MIT */
/*
 * Alerts and handshake messages of a connection that has no SSL. Of all that a
 * peer may send after the handshake only close_notify and KeyUpdate (RFC 8446
 * sections 6.1 and 4.6.3) have to be followed; tickets have nobody to keep them.
 */
#include "message.h"

#include <errno.h>

#include "bio.h"
#include "keys.h"
#include "rekey.h"
#include "result.h"
#include "wire.h"

/* RFC 8446 section 4, HandshakeType, and RFC 5246 section 7.4 */
enum { HELLO_REQUEST = 0, CLIENT_HELLO = 1, NEW_SESSION_TICKET = 4, HEAD = 4 };
/* section 6, AlertDescription */
enum {
	UNEXPECTED_MESSAGE = 10,
	ILLEGAL_PARAMETER = 47,
	USER_CANCELED = 90,
	NO_RENEGOTIATION = 100
};
/* a ticket of the largest size has so many bytes and some more */
enum { MESSAGE_MAX = 128 * 1024 };

static int refuse(struct ktls_conn *c, uint8_t alert, const char *text)
{
	ktls__send_alert(c, alert);
	c->dead = EPROTO;
	return ktls__failed(c, EPROTO, "control record", 0, 0, text);
}

static int alert(struct ktls_conn *c)
{
	const uint8_t *p = ktls__buf_data(&c->control);

	if (c->control.len != 2)
		return refuse(c, KTLS__DECODE_ERROR, "an alert has two bytes");
	c->error.alert_received = p[1];
	if (p[1] == KTLS__CLOSE_NOTIFY) {
		c->closed = true;
		return 0;
	}
	if (p[1] == USER_CANCELED ||
	    (c->version == KTLS__TLS12 && p[0] == KTLS__WARNING))
		return 0;
	c->dead = EPROTO;
	return ktls__failed(c, EPROTO, "alert", 0, 0,
			    SSL_alert_desc_string_long(p[1]));
}

static int key_update(struct ktls_conn *c, uint8_t request)
{
	int r;

	if (request > 1)
		return refuse(c, ILLEGAL_PARAMETER, "a KeyUpdate of no kind");
	/* RFC 8446 section 5.1: no message is under two keys */
	if (c->feed.len != HEAD + 1)
		return refuse(c, UNEXPECTED_MESSAGE,
			      "a KeyUpdate that does not end its record");
	if (c->rx.secret_len == 0) {
		c->dead = EKEYEXPIRED;
		ktls__send_alert(c, KTLS__INTERNAL_ERROR);
		return ktls__failed(c, EKEYEXPIRED, "KeyUpdate", 0, 0,
				    "there is a key, but no secret");
	}
	r = ktls__wire_rekey(c, KTLS_RX);
	if (r < 0) {
		c->dead = -r;
		return ktls__fail(c, -r, "KeyUpdate", 0);
	}
	c->rekey |= request == 1 && !c->shutdown;
	return ktls__rekey_follow(c);
}

/* RFC 5246 section 7.2.2: a warning, and all goes on as it was */
static int renegotiation(struct ktls_conn *c)
{
	static const uint8_t no[2] = {KTLS__WARNING, NO_RENEGOTIATION};
	int r = 0;

	/* one that waits is enough for a peer that does not read */
	if (c->shutdown || c->tx_dead || c->out.len > 0)
		return 0;
	if (c->tx.mode == KTLS_MODE_USER)
		r = ktls__wire_seal(c, KTLS__ALERT, no, sizeof(no));
	else if (!ktls__out_control(c, KTLS__ALERT, no, sizeof(no)))
		r = -ENOMEM;
	return r < 0 ? ktls__fail(c, -r, "alert", 0) : 0;
}

/* What may come, before all of it is here. */
static int check(struct ktls_conn *c, uint8_t type, size_t n)
{
	if (c->version == KTLS__TLS13
		    ? type != KTLS__KEY_UPDATE && type != NEW_SESSION_TICKET
		    : type != HELLO_REQUEST && type != CLIENT_HELLO)
		return refuse(c, UNEXPECTED_MESSAGE,
			      "a handshake message out of place");
	if (type == KTLS__KEY_UPDATE && n != 1)
		return refuse(c, KTLS__DECODE_ERROR,
			      "a KeyUpdate of another size");
	if (n > MESSAGE_MAX)
		return refuse(c, KTLS__DECODE_ERROR,
			      "a handshake message too long");
	return 0;
}

/* Messages may be in parts, in several records, or several in one. */
static int handshakes(struct ktls_conn *c)
{
	int r = 0;

	if (!ktls__buf_append(&c->feed, ktls__buf_data(&c->control),
			      c->control.len)) {
		c->dead = ENOMEM;
		return ktls__fail(c, ENOMEM, "malloc", 0);
	}
	while (r == 0 && c->feed.len >= HEAD) {
		const uint8_t *p = ktls__buf_data(&c->feed);
		const size_t n = (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];

		r = check(c, p[0], n);
		if (r < 0 || c->feed.len < HEAD + n)
			break;
		if (p[0] == KTLS__KEY_UPDATE)
			r = key_update(c, p[HEAD]);
		else if (c->version == KTLS__TLS12)
			r = renegotiation(c);
		ktls__buf_drop(&c->feed, HEAD + n);
	}
	return r;
}

int ktls__message(struct ktls_conn *c)
{
	int r;

	if (c->control_type == KTLS__HANDSHAKE)
		r = handshakes(c);
	/* RFC 8446 section 5.1: nothing comes between a message's parts */
	else if (c->control_type != KTLS__ALERT || c->feed.len > 0)
		r = refuse(c, UNEXPECTED_MESSAGE, "a record out of place");
	else
		r = alert(c);
	ktls__buf_free(&c->control);
	if (r == 0 && c->out.len > 0 && !c->tx_dead)
		(void)ktls__flush(c);
	return r;
}

bool ktls__message_open(const struct ktls_conn *c)
{
	return !c->ssl && c->feed.len > 0;
}

/* One record with data, or the end; -EINTR for what is done with. */
static ssize_t take_own(struct ktls_conn *c)
{
	struct ktls__buf got = {.len = 0};
	uint8_t type = 0;
	int r = ktls__wire_open(c, &got, &type);

	if (r == 0) {
		c->eof = true;
		return ktls__truncated(c);
	}
	/* RFC 8446 section 5.4: only application data may be empty */
	if (r > 0 && got.len == 0 && type != KTLS__APPLICATION_DATA)
		r = -EPROTO;
	if (r > 0 && type == KTLS__APPLICATION_DATA && !ktls__message_open(c)) {
		const size_t n = got.len;

		if (c->ahead.len == 0) {
			ktls__buf_free(&c->ahead);
			c->ahead = got;
		} else {
			if (!ktls__buf_append(&c->ahead, ktls__buf_data(&got), n)) {
				c->dead = ENOMEM;
				r = -ENOMEM;
			}
			ktls__buf_free(&got);
		}
		if (r > 0) {
			c->rx.bytes += n;
			return n > 0 ? (ssize_t)n : -EINTR;
		}
	}
	if (r < 0) {
		ktls__buf_free(&got);
		return ktls__fail_rx(c, -r, "recv");
	}
	ktls__buf_free(&c->control);
	c->control = got;
	c->control_type = type;
	c->controls++;
	r = ktls__message(c);
	return r < 0 || c->closed ? r : -EINTR;
}

ssize_t ktls__message_receive(struct ktls_conn *c)
{
	for (int run = 0; run < KTLS__CONTROL_RUN; run++) {
		const ssize_t r = take_own(c);

		if (r != -EINTR)
			return r;
	}
	return ktls__fail_rx(c, EPROTO, "recv");
}
