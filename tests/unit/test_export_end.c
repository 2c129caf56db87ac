/* SPDX-License-Identifier: MIT */
/* ktls_export() while it awaits the rest of what is half here, which fails. */
#include "doors.h"

#include "state.h"

static const uint8_t ticket[] = {4, 0, 0, 14, 0, 0, 0,	 9, 1,
				 2, 3, 4, 0,  0, 1, 'x', 0, 0};
static uint8_t image[8192];

struct half {
	struct pair p;
	uint8_t rest[10];
};

/* A record of the peer's is here but for its last bytes. */
static void begin(struct half *h, enum pair_door door, uint8_t type,
		  const void *data, size_t n)
{
	const struct pair_options o = {
		.door = door, .server = true, .tx = KTLS_OFF, .rx = KTLS_OFF};
	struct fake_socket *s;
	uint8_t byte;

	fake_reset();
	pair_start(&h->p, &o);
	pair_receive(&h->p, 10, 10);
	pair_send(&h->p, 10, 10);
	pair_settle(&h->p);
	h->p.peer_key.seq = h->p.conn->rx.track.seq;
	h->p.injected = 0;
	pair_inject(&h->p, type, data, n);
	s = fake_socket(h->p.fd);
	s->in.len -= sizeof(h->rest);
	memcpy(h->rest, s->in.p + s->in.off + s->in.len, sizeof(h->rest));
	assert_errno(ktls_read(h->p.conn, &byte, 1), EAGAIN);
	assert_errno(ktls_export(h->p.conn, NULL, 0), EAGAIN);
}

static void end(struct half *h)
{
	fake_put(&fake_socket(h->p.fd)->in, h->rest, sizeof(h->rest));
}

/* It gives nothing away, and the connection stays as dead as it is. */
static void fails(struct half *h, int e)
{
	uint8_t byte;

	for (int i = 0; i < 2; i++)
		assert_errno(ktls_export(h->p.conn, image, sizeof(image)), e);
	assert_errno(ktls_read(h->p.conn, &byte, 1), e);
	pair_free(&h->p);
}

static void forged_record_is_not_passed_over(void **state)
{
	struct half h;

	(void)state;
	begin(&h, DOOR_KEYS_SECRET, KTLS_RECORD_DATA, "to A, 1000", 10);
	h.rest[9] ^= 1;
	end(&h);
	pair_inject(&h.p, KTLS_RECORD_DATA, "to B, 2000", 10);
	fails(&h, EBADMSG);
}

static void change_cipher_spec_ends_it(void **state)
{
	static const uint8_t ccs[] = {20, 3, 3, 0, 0};
	struct half h;

	(void)state;
	begin(&h, DOOR_KEYS_SECRET, KTLS_RECORD_HANDSHAKE, ticket,
	      sizeof(ticket));
	end(&h);
	fake_put(&fake_socket(h.p.fd)->in, ccs, sizeof(ccs));
	fails(&h, EPROTO);
}

static void fatal_alert_ends_it(void **state)
{
	static const uint8_t alert[] = {2, 80};
	struct half h;

	(void)state;
	begin(&h, DOOR_KEYS_SECRET, KTLS_RECORD_ALERT, alert, sizeof(alert));
	end(&h);
	fails(&h, EPROTO);
}

static void ticket_goes_by(void **state)
{
	struct half h;
	ssize_t n;

	(void)state;
	begin(&h, DOOR_KEYS_SECRET, KTLS_RECORD_HANDSHAKE, ticket,
	      sizeof(ticket));
	end(&h);
	n = ktls_export(h.p.conn, image, sizeof(image));
	assert_true(n > 0);
	ktls_conn_free(h.p.conn);
	h.p.conn = ktls_import(h.p.fd, image, (size_t)n, NULL);
	assert_non_null(h.p.conn);
	pair_free(&h.p);
}

static void update_without_a_secret_ends_it(void **state)
{
	static const uint8_t update[] = {24, 0, 0, 1, 0};
	struct half h;

	(void)state;
	begin(&h, DOOR_KEYS_KEY, KTLS_RECORD_HANDSHAKE, update, sizeof(update));
	end(&h);
	fails(&h, EKEYEXPIRED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(forged_record_is_not_passed_over),
		cmocka_unit_test(change_cipher_spec_ends_it),
		cmocka_unit_test(fatal_alert_ends_it),
		cmocka_unit_test(ticket_goes_by),
		cmocka_unit_test(update_without_a_secret_ends_it),
	};
	const int r = ktest_run("export_end", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
