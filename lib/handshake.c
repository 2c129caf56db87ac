/* SPDX-License-Identifier: MIT */
/* ktls_handshake(): OpenSSL's handshake, then the policy's first decision. */
#include "handshake.h"

#include <errno.h>
#include <poll.h>

#include "bio.h"
#include "keys.h"
#include "offload.h"
#include "rekey.h"
#include "result.h"
#include "size.h"

static int step(struct ktls_conn *c)
{
	int r, waiting;

	ktls__ssl_begin();
	r = SSL_do_handshake(c->ssl);
	if (r != 1) {
		r = ktls__ssl_result(c, r, "SSL_do_handshake");
		if (r == 0)
			r = ktls__fail(c, ECONNABORTED, "SSL_do_handshake", 0);
	} else {
		r = 0;
	}
	if (c->out.len == 0)
		return r;
	/* what OpenSSL wrote, the alert of a failure included */
	waiting = ktls__out_flush(c);
	if (waiting == 0 || (r < 0 && r != -EAGAIN))
		return r;
	if (waiting != -EAGAIN)
		return ktls__fail_tx(c, -waiting, "send");
	return ktls__again(c, (short)(POLLOUT | (r < 0 ? c->wants : 0)));
}

void ktls__handshaken(struct ktls_conn *c)
{
	c->handshaken = true;
	ktls__keys_note(c);
	ktls__size_handshaken(c);
	ktls__rekey_limit(c, false);
}

static ssize_t handshake(struct ktls_conn *c)
{
	ssize_t r;

	if (c->dead || c->tx_dead || c->refused || c->handshaken || c->detached)
		return ktls__ready(c, KTLS_TX);
	ktls__offload_prepare(c);
	do
		r = step(c);
	while (ktls__retry(c, &r) && !c->handshaken);
	/* another thread may have done it meanwhile */
	if (r < 0 || c->handshaken)
		return c->handshaken ? ktls__ready(c, KTLS_TX) : r;
	ktls__handshaken(c);
	return ktls__offload_start(c);
}

int ktls_handshake(struct ktls_conn *c)
{
	ktls__enter(c);
	return (int)ktls__leave(c, c ? handshake(c) : -EINVAL);
}
