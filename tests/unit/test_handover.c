/* SPDX-License-Identifier: MIT */
/* Connections that go from hand to hand: keys and nonces after it. */
#include "doors.h"

#include <poll.h>

/* From hand to hand, with new keys of both sides in between. */
static void keys_change_after_it(void **state)
{
	const struct doors_kind *row = *state;

	for (int door = DOOR_NEW; door < DOORS; door++) {
		struct pair p;

		if (door == DOOR_KEYS_KEY)
			continue;
		doors_start(&p, row, (enum pair_door)door, door & 1);
		for (int i = 0; i < 4; i++) {
			assert_int_equal(ktls_rekey(p.conn, i & 1), 0);
			doors_talk(&p);
			door_import(&p);
			assert_int_equal(SSL_key_update(p.peer, i & 1), 1);
			doors_talk(&p);
			/* one that nobody has read yet */
			assert_int_equal(SSL_key_update(p.peer, 1), 1);
			assert_int_equal(SSL_do_handshake(p.peer), 1);
			door_import(&p);
			doors_talk(&p);
		}
		assert_true(pair_info(&p).rx.rekeys > 0);
		pair_finish(&p);
	}
}

/* RFC 5288 section 3, over all hands: each nonce once. */
static void explicit_nonces_never_repeat(void **state)
{
	static uint8_t nonces[4096][8];
	const struct doors_kind *row = *state;
	const struct fake_bytes *w;
	bool on = false;
	size_t n = 0;
	struct pair p;

	for (int door = DOOR_NEW; door < DOORS; door++) {
		doors_start(&p, row, (enum pair_door)door, door & 1);
		for (int i = 0; i < 3; i++) {
			door_import(&p);
			doors_talk(&p);
		}
		assert_int_equal(ktls_offload(p.conn, KTLS_TX),
				 row->use == KTLS_OFF ? -1 : 0);
		doors_talk(&p);
		w = &fake_socket(p.fd)->wire;
		for (size_t at = 0; at + 13 <= w->len;) {
			const uint8_t *r = w->p + w->off + at;

			if (on)
				memcpy(nonces[n++], r + 5, 8);
			/* the records behind it have them */
			on |= r[0] == 20;
			at += 5 + ((size_t)r[3] << 8 | r[4]);
			assert_true(n < ARRAY_SIZE(nonces));
		}
		assert_true(n > 20);
		for (size_t i = 0; i < n; i++)
			for (size_t k = 0; k < i; k++)
				assert_memory_not_equal(nonces[i], nonces[k], 8);
		pair_finish(&p);
		on = false;
		n = 0;
	}
}

/* A message whose rest has not come; then it has, and all goes along. */
static void half_a_message_is_eagain(void **state)
{
	const struct doors_kind *row = *state;

	for (int i = 0; i < 2; i++) {
		struct pair p;

		doors_start(&p, row, DOOR_KEYS_SECRET, true);
		/* behind what doors_talk() has got of the peer */
		p.peer_key.seq = pair_info(&p).rx.key_records;
		pair_inject(&p, 22, "\4\0\0", 3);
		if (i)
			pair_inject(&p, 22, "\5\1\2", 3);
		assert_errno(ktls_read(p.conn, &(char){0}, 1), EAGAIN);
		if (fake_socket(p.fd)->rx.on)
			p.injected = 0;
		for (int k = 0; k < 3; k++) {
			assert_errno(ktls_export(p.conn, NULL, 0), EAGAIN);
			assert_true(ktls_wants(p.conn) & POLLIN);
		}
		if (i)
			pair_inject(&p, 22, "\3\4\5", 3);
		else
			pair_inject(&p, 22, "\3\1\2\3", 4);
		door_import(&p);
		if (fake_socket(p.fd)->rx.on)
			p.injected = 0;
		pair_inject(&p, 23, "data", 4);
		p.peer_error = 0;
		for (int k = 0; k < 4; k++) {
			char c = 0;

			assert_int_equal(ktls_read(p.conn, &c, 1), 1);
			assert_int_equal(c, "data"[k]);
		}
		pair_send(&p, 100, 100);
		pair_settle(&p);
		pair_free(&p);
	}
}

/* The peer's end, whether it was read or not; ours is not that. */
static void end_goes_along(void **state)
{
	for (int i = 0; i < 2 * DOORS; i++) {
		struct pair p;
		char c;

		doors_start(&p, *state, (enum pair_door)(i / 2), true);
		p.peer_closes = false;
		assert_int_equal(SSL_shutdown(p.peer), 0);
		if (i & 1)
			assert_int_equal(ktls_read(p.conn, &c, 1), 0);
		door_import(&p);
		assert_int_equal(ktls_read(p.conn, &c, 1), 0);
		pair_send(&p, 3000, 1000);
		pair_settle(&p);
		door_import(&p);
		pair_send(&p, 3000, 1000);
		pair_settle(&p);
		pair_free(&p);
	}
}

/* Of the other library's leftovers, half a record among them. */
static void leftovers_go_along(void **state)
{
	const struct doors_kind *row = *state;

	for (size_t leave = 0; leave < 130; leave += leave < 8 ? 1 : 23) {
		const struct pair_options o = {.door = DOOR_KEYS_KEY,
					       .version = row->version,
					       .suite = row->suite,
					       .server = true,
					       .tx = row->use,
					       .rx = row->use};
		struct ktls_keys tx, rx;
		uint8_t wire[3000];
		struct pair p;

		doors_shaken(&p, &o);
		tx = door_keys(&p, KTLS_TX, false);
		rx = door_keys(&p, KTLS_RX, false);
		for (int k = 0; k < 3; k++) {
			p.peer_todo = k & 1 ? 1000 : 60;
			pair_peer(&p);
		}
		rx.wire = wire;
		rx.wire_len = fake_socket(p.fd)->in.len - leave;
		assert_int_equal(fake_raw_read(p.fd, wire, rx.wire_len),
				 rx.wire_len);
		p.conn = ktls_conn_from_keys(p.fd, &tx, &rx, &p.policy);
		assert_non_null(p.conn);
		door_import(&p);
		pair_receive(&p, 100, 10);
		door_import(&p);
		pair_receive(&p, 1020, 300);
		doors_talk(&p);
		pair_finish(&p);
	}
}

/* One record each way, and it can be handed on. */
static void adopted_one_needs_a_record(void **state)
{
	const struct doors_kind *row = *state;

	for (int i = 0; i < 4; i++) {
		const struct pair_options o = {.door = DOOR_ADOPTED,
					       .version = row->version,
					       .suite = row->suite,
					       .server = i & 1,
					       .tx = row->use,
					       .rx = row->use};
		const size_t size = i & 2 ? 16384 : 10;
		uint8_t image[2000];
		struct pair p;

		doors_shaken(&p, &o);
		p.conn = ktls_conn_new(p.ssl, p.fd, &p.policy);
		assert_non_null(p.conn);
		assert_errno(ktls_export(p.conn, image, sizeof(image)), ENOTSUP);
		pair_send(&p, size, size);
		pair_receive(&p, size, size);
		pair_settle(&p);
		door_import(&p);
		doors_talk(&p);
		door_import(&p);
		doors_talk(&p);
		pair_finish(&p);
	}
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < DOORS_KINDS; i++) {
#define ADD(f)                                                                 \
	ktest_add(&t, f, (void *)(uintptr_t)&doors_kinds[i], #f "_%s",         \
		  doors_kinds[i].name)
		if (doors_kinds[i].version == TLS1_3_VERSION) {
			ADD(keys_change_after_it);
			ADD(half_a_message_is_eagain);
		} else {
			ADD(explicit_nonces_never_repeat);
		}
		ADD(end_goes_along);
		ADD(leftovers_go_along);
		ADD(adopted_one_needs_a_record);
	}
	r = ktest_run_table("handover", &t);
	certs_free();
	return r;
}
