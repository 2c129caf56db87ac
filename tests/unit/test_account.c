/* SPDX-License-Identifier: MIT */
/* What TCP has got, when the peer acknowledges while TCP is asked for it. */
#include "pair.h"

#include "account.h"
#include "fake_core.h"
#include "state.h"

enum { ACKED = 5 };

static struct fake_socket *acking;
static unsigned int acks, asked;

/* The peer's TCP acknowledges between TCP_INFO and SIOCOUTQ. */
static void ack(bool enter)
{
	uint8_t gone[ACKED];

	if (enter || acks == 0 || fake_count(FAKE_GET_TCP_INFO) == asked)
		return;
	asked = fake_count(FAKE_GET_TCP_INFO);
	acks--;
	fake_take(&acking->in, gone, sizeof(gone));
}

/* So many times, from now on. */
static void ack_begin(const struct pair *p, unsigned int n)
{
	acking = fake_socket(p->peer_fd);
	asked = fake_count(FAKE_GET_TCP_INFO);
	acks = n;
	fake_around = ack;
}

static void ack_end(void)
{
	fake_around = NULL;
	assert_int_equal(acks, 0);
}

static void start(struct pair *p, const struct pair_options *o)
{
	fake_reset();
	fake_kernel.device_tx = true;
	pair_start(p, o);
	p->peer_deaf = true;
}

/* Until the rest waits in the kernel. */
static void fill(const struct pair *p)
{
	static const uint8_t buf[16384];

	while (ktls_write(p->conn, buf, sizeof(buf)) > 0)
		;
	assert_true(fake_socket(p->fd)->tx_list.len > 0);
}

/* Two equal ones make the same wrong number twice. */
static void what_tcp_was_handed_is_exact(void **state)
{
	const struct pair_options o = {.tx = KTLS_REQUIRE};

	(void)state;
	for (unsigned int n = 0; n < 8; n++) {
		uint64_t bytes;
		struct pair p;

		start(&p, &o);
		pair_send(&p, 10000, 10000);
		ack_begin(&p, n);
		assert_int_equal(ktls__account_handed(p.conn, &bytes), 0);
		ack_end();
		assert_int_equal(bytes, fake_socket(p.fd)->handed);
		pair_free(&p);
	}
}

/* Less at the start would let the end of the data be lost at the end. */
static void account_starts_exactly(void **state)
{
	const struct pair_options o = {.offload_after = 10000, .capacity = 20000};

	(void)state;
	for (unsigned int n = 0; n < 4; n++) {
		struct fake_socket *s;
		struct pair p;

		start(&p, &o);
		s = fake_socket(p.fd);
		pair_send(&p, 1000, 1000);
		assert_int_equal(s->tx.on, false);
		ack_begin(&p, n);
		fill(&p);
		ack_end();
		assert_int_equal(pair_info(&p).unsent, s->tx_list.len);
		pair_free(&p);
	}
}

static void unsent_is_exact(void **state)
{
	const struct pair_options o = {.tx = KTLS_REQUIRE, .capacity = 20000};

	(void)state;
	for (unsigned int n = 0; n < 3; n++) {
		struct fake_socket *s;
		struct pair p;

		start(&p, &o);
		s = fake_socket(p.fd);
		fill(&p);
		ack_begin(&p, n);
		assert_int_equal(pair_info(&p).unsent, s->tx_list.len);
		ack_end();
		pair_free(&p);
	}
}

/* It then looks as if a record was open, and needed an end. */
static void no_record_is_made(void **state)
{
	const struct pair_options o = {.version = TLS1_2_VERSION,
				       .server = true,
				       .tx = KTLS_REQUIRE,
				       .rx = KTLS_OFF};
	struct pair p;
	uint64_t seq;
	int fd[2];

	(void)state;
	start(&p, &o);
	assert_int_equal(pair_info(&p).tx.mode, KTLS_MODE_DEVICE);
	pair_send(&p, 1000, 1000);
	fake_pipe(fd, 16);
	seq = fake_socket(p.fd)->tx.seq;
	for (unsigned int i = 1; i <= 50; i++) {
		assert_int_equal(fake_pipe_fill(fd[1], "12345", 5, 5), 5);
		ack_begin(&p, 2);
		/* less than was asked for: it may be open */
		assert_int_equal(ktls_splice_in(p.conn, fd[0], 1000, 0), 5);
		ack_end();
		assert_int_equal(fake_socket(p.fd)->tx.seq, seq + i);
	}
	pair_free(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_tcp_was_handed_is_exact),
		cmocka_unit_test(account_starts_exactly),
		cmocka_unit_test(unsent_is_exact),
		cmocka_unit_test(no_record_is_made),
	};
	const int r = ktest_run("account", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
