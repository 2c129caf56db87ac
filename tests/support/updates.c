/* SPDX-License-Identifier: MIT */
/* KeyUpdates of the OpenSSL peer, counted by its message callback. */
#include "updates.h"

#include <openssl/err.h>
#include <openssl/ssl3.h>

static void message(int sent, int version, int type, const void *p, size_t n,
		    SSL *ssl, void *arg)
{
	struct updates *u = arg;
	const uint8_t *m = p;

	(void)version, (void)ssl;
	if (!sent && type == SSL3_RT_HEADER && ++u->records > u->most)
		u->most = u->records;
	if (sent || type != SSL3_RT_HANDSHAKE || n == 0 ||
	    m[0] != SSL3_MT_KEY_UPDATE)
		return;
	assert_int_equal(n, 5);
	assert_true(m[4] <= 1);
	u->records = 0;
	u->run = u->last_at == u->p->peer_got ? u->run + 1 : 1;
	if (u->run > u->largest)
		u->largest = u->run;
	u->last_at = u->p->peer_got;
	u->n[m[4]]++;
}

struct updates_row updates_row_of(unsigned int bits)
{
	return (struct updates_row){bits & 1, bits & 2, bits & 4, bits & 8};
}

static void open_pair(struct pair *p, const struct pair_options *o)
{
	fake_reset();
	pair_start(p, o);
	pair_send(p, 100, 100);
	pair_receive(p, 100, 100);
	pair_settle(p);
}

void updates_open(struct pair *p, const struct updates_row *r, const char *suite)
{
	const struct pair_options o = {.suite = suite,
				       .server = r->server,
				       .blocking = r->blocking,
				       .tx = r->tx ? KTLS_REQUIRE : KTLS_OFF,
				       .rx = r->rx ? KTLS_REQUIRE : KTLS_OFF};

	open_pair(p, &o);
}

void updates_start(struct pair *p, bool server, uint32_t tx, uint32_t rx)
{
	const struct pair_options o = {.server = server, .tx = tx, .rx = rx};

	open_pair(p, &o);
	wire_records(p, NULL, 0);
}

void updates_watch(struct updates *u, struct pair *p)
{
	memset(u, 0, sizeof(*u));
	u->p = p;
	u->last_at = UINT64_MAX;
	SSL_set_msg_callback(p->peer, message);
	SSL_set_msg_callback_arg(p->peer, u);
}

unsigned int updates_seen(const struct updates *u)
{
	return u->n[0] + u->n[1];
}

bool updates_ask(struct pair *p, bool request)
{
	const int r =
		SSL_key_update(p->peer, request ? SSL_KEY_UPDATE_REQUESTED
						: SSL_KEY_UPDATE_NOT_REQUESTED);

	/* OpenSSL does not in the middle of a record of its own */
	ERR_clear_error();
	return r == 1;
}

void updates_send(struct pair *p, bool request)
{
	assert_true(updates_ask(p, request));
	assert_int_equal(SSL_do_handshake(p->peer), 1);
}
