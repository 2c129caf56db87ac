/* SPDX-License-Identifier: MIT */
/* When a direction moves, what is checked before, and what goes on after. */
#include "pair.h"

#include <fcntl.h>
#include <unistd.h>

#include "bio.h"
#include "keys.h"

/* A deferred connection of version v, which a test moves itself. */
static void start(struct pair *p, int v, bool server)
{
	const struct pair_options o = {.version = v,
				       .server = server,
				       .offload_after = UINT64_MAX,
				       .tx = KTLS_AUTO,
				       .rx = KTLS_AUTO};

	fake_reset();
	pair_start(p, &o);
}

static void tx_moves_with_the_byte_that_reaches_the_threshold(void **state)
{
	const struct pair_options o = {.offload_after = 65536};
	struct pair p;

	(void)state;
	fake_reset();
	pair_start(&p, &o);
	assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_DEFERRED);
	pair_send(&p, 65535, 20000);
	assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_DEFERRED);
	assert_int_equal(pair_info(&p).tx.kernel_bytes, 0);
	pair_send(&p, 1, 1);
	assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_NONE);
	assert_int_equal(pair_info(&p).tx.kernel_bytes, 1);
	pair_finish(&p);
	/* one large call is in the kernel from its first byte */
	pair_start(&p, &o);
	pair_send(&p, 65536, 65536);
	assert_int_equal(pair_info(&p).tx.kernel_bytes, 65536);
	pair_finish(&p);
}

static void rx_of_tls12_moves_at_the_threshold(void **state)
{
	const struct pair_options o = {.version = TLS1_2_VERSION,
				       .offload_after = 50000,
				       .tx = KTLS_OFF};
	struct pair p;

	(void)state;
	fake_reset();
	pair_start(&p, &o);
	p.peer_max = 10000;
	pair_receive(&p, 49999, 10000);
	assert_modes(&p, "user", "user");
	pair_receive(&p, 1, 10000);
	assert_modes(&p, "user", "kernel");
	pair_receive(&p, 60000, 10000);
	assert_int_equal(pair_info(&p).rx.kernel_bytes, 60000);
	pair_finish(&p);
}

static void tx_waits_for_half_a_record_and_then_moves(void **state)
{
	const struct pair_options o = {
		.capacity = 6000, .offload_after = UINT64_MAX, .rx = KTLS_OFF};
	uint8_t buf[10000];
	struct pair p;

	(void)state;
	fake_reset();
	pair_start(&p, &o);
	fake_pattern(OURS, 0, buf, sizeof(buf));
	/* the held-back byte: the record's tail is in nobody's hands yet */
	assert_int_equal(ktls_write(p.conn, buf, sizeof(buf)), 9999);
	assert_errno(ktls_offload(p.conn, KTLS_TX), EAGAIN);
	assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_PENDING);
	assert_true(ktls_wants(p.conn) & POLLOUT);
	assert_modes(&p, "user", "user");
	p.accepted = 9999;
	pair_send(&p, 1, 1);
	assert_modes(&p, "kernel", "user");
	pair_send(&p, 50000, 10000);
	pair_settle(&p);
	pair_finish(&p);
}

static void rx_waits_for_half_a_record_and_then_moves(void **state)
{
	const struct pair_options o = {.capacity = 6000, .tx = KTLS_OFF};
	uint8_t buf[100];
	struct pair p;

	(void)state;
	fake_reset();
	/* refused at first: large records are not kept any more */
	fake_kernel.no_pad_bug = true;
	pair_start(&p, &o);
	assert_int_equal(pair_info(&p).rx.reason, KTLS_REASON_COST);
	p.peer_todo = 10000;
	pair_peer(&p);
	assert_errno(ktls_read(p.conn, buf, 100), EAGAIN);
	assert_errno(ktls_offload(p.conn, KTLS_RX), EAGAIN);
	assert_int_equal(pair_info(&p).rx.reason, KTLS_REASON_PENDING);
	assert_int_equal(ktls_wants(p.conn), POLLIN);
	pair_receive(&p, 10000, 500);
	/* that one was not kept from its start: the next one is checked */
	p.peer_max = 1000;
	pair_receive(&p, 20000, 500);
	assert_modes(&p, "user", "kernel");
	assert_int_equal(pair_info(&p).rx.kernel_bytes, 19000);
	pair_finish(&p);
}

/* Its plaintext is with OpenSSL when the kernel takes over. */
static void rx_moves_with_plaintext_left_in_openssl(void **state)
{
	struct pair p;

	(void)state;
	start(&p, TLS1_2_VERSION, true);
	p.peer_todo = 3000;
	pair_receive(&p, 1000, 100);
	assert_int_equal(ktls_pending(p.conn), 2000);
	assert_int_equal(ktls_offload(p.conn, KTLS_RX), 0);
	assert_int_equal(ktls_pending(p.conn), 2000);
	pair_receive(&p, 4000, 900);
	assert_int_equal(ktls_pending(p.conn), 0);
	assert_int_equal(pair_info(&p).rx.kernel_bytes, 2000);
	pair_finish(&p);
}

static void wrong_number_is_reason_key_check(void **state)
{
	(void)state;
	for (int m = 0; m < 8; m++) {
		const int v = m & 1 ? TLS1_2_VERSION : TLS1_3_VERSION;
		const int dir = m & 2 ? KTLS_TX : KTLS_RX;
		struct ktls_info i;
		struct pair p;

		start(&p, v, m & 4);
		pair_send(&p, 1000, 1000);
		pair_receive(&p, 1000, 1000);
		ktls__half(p.conn, dir)->track.seq += m & 4 ? 1 : 256;
		assert_errno(ktls_offload(p.conn, dir), ENOTSUP);
		i = pair_info(&p);
		assert_int_equal(dir == KTLS_TX ? i.tx.reason : i.rx.reason,
				 KTLS_REASON_KEY_CHECK);
		assert_modes(&p, "user", "user");
		assert_int_equal(fake_count(FAKE_SET_TLS_TX), 0);
		assert_int_equal(fake_count(FAKE_SET_TLS_RX), 0);
		pair_send(&p, 30000, 30000);
		pair_receive(&p, 30000, 30000);
		pair_finish(&p);
	}
}

static void wrong_secret_is_reason_key_check(void **state)
{
	struct pair p;

	(void)state;
	start(&p, TLS1_3_VERSION, true);
	p.conn->tx.secret[5] ^= 1;
	assert_errno(ktls_offload(p.conn, KTLS_TX), ENOTSUP);
	assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_KEY_CHECK);
	pair_send(&p, 3000, 3000);
	pair_finish(&p);
}

static size_t pad(SSL *ssl, int type, size_t len, void *arg)
{
	(void)ssl;
	(void)type;
	(void)arg;
	return len % 100;
}

/* Newer OpenSSLs take the wish for padding before the handshake only. */
static void openssls_padding_is_reason_padding(void **state)
{
	(void)state;
	for (int way = 0; way < 2; way++) {
		const struct pair_options o = {.version = TLS1_3_VERSION,
					       .server = true,
					       .offload_after = UINT64_MAX,
					       .tx = KTLS_AUTO,
					       .rx = KTLS_AUTO};
		struct pair p;

		fake_reset();
		pair_open(&p, &o);
		if (way == 0)
			SSL_set_block_padding(p.ssl, 4096);
		else
			SSL_set_record_padding_callback(p.ssl, pad);
		pair_handshake(&p);
		pair_settle(&p);
		pair_send(&p, 1111, 1111);
		assert_errno(ktls_offload(p.conn, KTLS_TX), ENOTSUP);
		assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_PADDING);
		pair_send(&p, 1111, 1111);
		pair_finish(&p);
	}
}

static void padding_of_the_peer_does_not_matter(void **state)
{
	struct pair p;

	(void)state;
	start(&p, TLS1_3_VERSION, true);
	SSL_set_block_padding(p.peer, 512);
	pair_receive(&p, 1111, 2000);
	assert_int_equal(ktls_offload(p.conn, KTLS_RX), 0);
	pair_receive(&p, 50000, 2000);
	pair_finish(&p);
}

/* RFC 5288: a nonce that repeats gives away the key. */
static void explicit_nonce_goes_on_by_one(void **state)
{
	uint64_t last = 0;
	size_t records = 0;
	struct pair p;

	(void)state;
	start(&p, TLS1_2_VERSION, true);
	pair_send(&p, 5000, 1000);
	assert_int_equal(ktls_offload(p.conn, KTLS_TX), 0);
	pair_send(&p, 5000, 1000);
	pair_settle(&p);
	for (struct fake_bytes w = fake_socket(p.fd)->wire; w.len > 0;) {
		const uint8_t *r = w.p + w.off;
		uint64_t nonce = 0;

		for (int i = 0; i < 8; i++)
			nonce = nonce << 8 | r[5 + i];
		if (r[0] == 23) {
			assert_true(records == 0 || nonce == last + 1);
			last = nonce;
			records++;
		}
		w.off += 5 + ((size_t)r[3] << 8 | r[4]);
		w.len = fake_socket(p.fd)->wire.len - w.off;
	}
	assert_int_equal(records, 10);
	pair_finish(&p);
}

static void ask_for_update(struct pair *p)
{
	assert_int_equal(SSL_key_update(p->peer, SSL_KEY_UPDATE_REQUESTED), 1);
	p->peer_todo += 10;
	pair_peer(p);
}

static void keys_of_a_keyupdate_go_to_the_kernel(void **state)
{
	(void)state;
	for (int server = 0; server < 2; server++) {
		struct pair p;

		start(&p, TLS1_3_VERSION, server);
		for (int i = 0; i < 3; i++) {
			ask_for_update(&p);
			pair_receive(&p, 10, 10);
			pair_send(&p, 100, 100);
			pair_settle(&p);
		}
		assert_true(p.conn->rx.generation >= 4);
		assert_true(p.conn->tx.generation >= 4);
		assert_int_equal(ktls_offload(p.conn, KTLS_TX | KTLS_RX), 0);
		pair_send(&p, 40000, 40000);
		pair_receive(&p, 40000, 40000);
		pair_finish(&p);
	}
}

/* The answer is owed: the kernel could not give it. */
static void tx_does_not_move_while_a_keyupdate_is_owed(void **state)
{
	const struct pair_options o = {.offload_after = 10000, .rx = KTLS_OFF};
	struct pair p;

	(void)state;
	fake_reset();
	pair_start(&p, &o);
	ask_for_update(&p);
	pair_receive(&p, 10, 10);
	pair_send(&p, 100000, 100000);
	pair_receive(&p, 100, 100);
	pair_send(&p, 100000, 100000);
	pair_receive(&p, 100, 100);
	assert_modes(&p, "kernel", "user");
	pair_finish(&p);
}

static void large_record_does_not_keep_tx_from_moving(void **state)
{
	struct pair p;

	(void)state;
	start(&p, TLS1_3_VERSION, true);
	pair_send(&p, 16384, 16384);
	assert_int_equal(ktls_offload(p.conn, KTLS_TX), 0);
	pair_send(&p, 16384, 16384);
	assert_int_equal(pair_info(&p).tx.kernel_bytes, 16384);
	pair_finish(&p);
}

static void offload_checks_its_arguments(void **state)
{
	const struct pair_options o = {.tx = KTLS_OFF, .rx = KTLS_AUTO};
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &o);
	assert_errno(ktls_offload(NULL, KTLS_TX), EINVAL);
	assert_errno(ktls_offload(p.conn, 0), EINVAL);
	assert_errno(ktls_offload(p.conn, 4), EINVAL);
	assert_errno(ktls_offload(p.conn, KTLS_RX), ENOTCONN);
	pair_handshake(&p);
	assert_errno(ktls_offload(p.conn, KTLS_TX), ENOTSUP);
	assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_POLICY);
	/* the one is done though the other is refused */
	assert_errno(ktls_offload(p.conn, KTLS_TX | KTLS_RX), ENOTSUP);
	assert_modes(&p, "user", "kernel");
	assert_int_equal(ktls_offload(p.conn, KTLS_RX), 0);
	pair_receive(&p, 1000, 1000);
	pair_finish(&p);
}

/* Read at once and by one system call, before other calls use the stack. */
static void keys_do_not_stay_where_they_were_packed(void **state)
{
	const int mem = open("/proc/self/mem", O_RDONLY);
	const struct fake_socket *s;
	uint8_t now[FAKE_INFO];
	struct pair p;
	ssize_t n;

	(void)state;
	if (mem < 0)
		ktest_skip("no /proc/self/mem");
	start(&p, TLS1_3_VERSION, true);
	s = fake_socket(p.fd);
	/* the dynamic linker, too, uses the stack: it is done with this one */
	assert_int_equal(pread(mem, now, 1, (off_t)(uintptr_t)now), 1);
	if (ktls_offload(p.conn, KTLS_TX) != 0)
		fail_msg("ktls_offload: %s", strerror(errno));
	n = pread(mem, now, FAKE_INFO, (off_t)(uintptr_t)s->key_at);
	close(mem);
	assert_int_equal(n, FAKE_INFO);
	/* the key behind head and nonce: any 8 bytes of it */
	for (size_t i = 12; i + 8 <= s->key_len - 12; i++)
		assert_memory_not_equal(now + i, s->key_copy + i, 8);
	pair_finish(&p);
}

#define T(f) cmocka_unit_test(f)
static const struct CMUnitTest tests[] = {
	T(tx_moves_with_the_byte_that_reaches_the_threshold),
	T(rx_of_tls12_moves_at_the_threshold),
	T(tx_waits_for_half_a_record_and_then_moves),
	T(rx_waits_for_half_a_record_and_then_moves),
	T(rx_moves_with_plaintext_left_in_openssl),
	T(wrong_number_is_reason_key_check),
	T(wrong_secret_is_reason_key_check),
	T(openssls_padding_is_reason_padding),
	T(padding_of_the_peer_does_not_matter),
	T(explicit_nonce_goes_on_by_one),
	T(keys_of_a_keyupdate_go_to_the_kernel),
	T(tx_does_not_move_while_a_keyupdate_is_owed),
	T(large_record_does_not_keep_tx_from_moving),
	T(offload_checks_its_arguments),
	T(keys_do_not_stay_where_they_were_packed),
};

int main(void)
{
	const int r = ktest_run("offload", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
