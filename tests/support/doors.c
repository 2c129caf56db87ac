/* SPDX-License-Identifier: MIT */
/* What the tests of single doors share. */
#include "doors.h"

#include "state.h"

const struct doors_kind doors_kinds[DOORS_KINDS] = {
	{"user", TLS1_3_VERSION, NULL, KTLS_OFF},
	{"kernel", TLS1_3_VERSION, NULL, KTLS_REQUIRE},
	{"user_1_2", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", KTLS_OFF},
	{"kernel_1_2", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256",
	 KTLS_REQUIRE},
};

static int pending(BIO *bio)
{
	return bio ? (int)BIO_pending(bio) : -1;
}

struct untouched untouched(const struct pair *p)
{
	struct fake_socket *s = fake_socket(p->fd);
	struct untouched u = {.p = p,
			      .fl = s->fl,
			      .nodelay = s->nodelay,
			      .sent = (unsigned int)s->wire.len};

	if (!p->ssl)
		return u;
	u.rbio = SSL_get_rbio(p->ssl);
	u.wbio = SSL_get_wbio(p->ssl);
	u.options = SSL_get_options(p->ssl);
	u.mode = SSL_get_mode(p->ssl);
	u.info = SSL_get_info_callback(p->ssl);
	u.read_ahead = SSL_get_read_ahead(p->ssl);
	u.pending[0] = pending(u.rbio);
	u.pending[1] = pending(u.wbio);
	return u;
}

void assert_untouched(const struct untouched *u)
{
	const struct untouched now = untouched(u->p);

	assert_ptr_equal(u->rbio, now.rbio);
	assert_ptr_equal(u->wbio, now.wbio);
	assert_true(u->options == now.options && u->mode == now.mode);
	assert_true(u->info == now.info);
	assert_int_equal(u->read_ahead, now.read_ahead);
	assert_int_equal(u->pending[0], now.pending[0]);
	assert_int_equal(u->pending[1], now.pending[1]);
	assert_int_equal(u->fl, now.fl);
	assert_int_equal(u->nodelay, now.nodelay);
	assert_int_equal(u->sent, now.sent);
	if (u->p->ssl)
		assert_null(SSL_get_ex_data(u->p->ssl, ktls__ssl_index()));
	assert_false(fake_socket(u->p->fd)->ulp);
}

void doors_shaken(struct pair *p, const struct pair_options *o)
{
	fake_reset();
	pair_open(p, o);
	door_shake(p);
	if (o->door != DOOR_ADOPTED_MEM)
		pair_peer(p);
}

void doors_talk(struct pair *p)
{
	for (int i = 0; i < 3; i++) {
		pair_send(p, 1 + 20000 * (size_t)i, 30000);
		pair_receive(p, 1 + 20000 * (size_t)i, 7000);
		pair_settle(p);
	}
}

void doors_start(struct pair *p, const struct doors_kind *kind,
		 enum pair_door door, bool server)
{
	const struct pair_options o = {.door = door,
				       .version = kind->version,
				       .suite = kind->suite,
				       .server = server,
				       .tx = kind->use,
				       .rx = kind->use};

	fake_reset();
	pair_start(p, &o);
	doors_talk(p);
}
