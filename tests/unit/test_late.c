/* SPDX-License-Identifier: MIT */
/*
 * What asynchronous crypto says late: a record that is closed and not yet
 * encrypted, and damage that is found when other bytes have been returned.
 */
#include "modes.h"

enum { BIG = 65536 };

/*
 * Each way to close a record, while crypto is not done (EINPROGRESS) or TCP
 * is full (EAGAIN): the record is closed, once, and arrives.
 */
static void record_that_is_closed_arrives_later(void **state)
{
	const struct mode *m = *state;

	/* a NIC encrypts at once, and TCP has its records */
	if (m->nic)
		return;
	for (int i = 0; i < 10; i++) {
		struct pair p;

		mode_tx(&p, m, 0, NULL);
		fake_kernel.async = i % 2;
		fake_socket(p.fd)->lazy = true;
		fake_socket(p.fd)->sndtimeo_ms = 50;
		if (!(i % 2)) {
			pair_peer(&p);
			fake_socket(p.peer_fd)->capacity = 300;
		}
		p.slow = true;
		stream_send(&p, 250, 1, 0);
		stream_send(&p, 100, 3, KTLS_MORE);
		switch (i / 2) {
		case 0: /* by the call that ends it */
			stream_send(&p, 100, 2, 0);
			break;
		case 1: /* by more than a record has room for */
			stream_send(&p, 40000, 5, KTLS_MORE);
			break;
		case 2:
			while (ktls_flush(p.conn, 0) < 0)
				stream_wait(&p, "ktls_flush");
			break;
		case 3:
			while (ktls_flush(p.conn, 20) < 0) {
				assert_int_equal(errno, ETIMEDOUT);
				pair_peer(&p);
			}
			break;
		case 4: /* by the end */
			break;
		}
		fake_kernel.async = false;
		pair_finish(&p);
		assert_int_equal(p.peer_got, p.accepted);
	}
}

/* n bytes of the peer's, damaged at bad, and n more behind them. */
static void damage(struct pair *p, size_t n, size_t bad)
{
	struct fake_socket *s = fake_socket(p->fd);
	size_t at;

	p->peer_todo = n;
	pair_peer(p);
	at = s->in.off + s->in.len;
	p->peer_todo = n;
	pair_peer(p);
	s->in.p[at + bad] ^= 1;
	p->peer_todo = n;
	pair_peer(p);
}

static void ends_for_good(struct pair *p)
{
	static uint8_t buf[BIG];

	for (int i = 0; i < 3; i++) {
		assert_errno(ktls_read(p->conn, buf, BIG), EBADMSG);
		assert_errno(ktls_peek(p->conn, buf, 1), EBADMSG);
		assert_errno(ktls_write(p->conn, "x", 1), EBADMSG);
	}
	assert_int_equal(pair_error(p).code, EBADMSG);
	assert_errno(ktls_close(p->conn, 0), EBADMSG);
	p->conn = NULL;
}

/*
 * Good bytes first. The failure that is kept is met by whichever call comes
 * next, and no other call takes it away.
 */
static void damage_is_not_forgotten(void **state)
{
	const struct mode *m = *state;
	static uint8_t buf[BIG];

	for (int i = 0; i < 4; i++) {
		struct pair p;
		size_t got = 0;
		ssize_t n;

		mode_rx(&p, m, 0, NULL);
		pair_receive(&p, 10, 10);
		damage(&p, 1000, 200);
		while (got < 1000) {
			n = ktls_read(p.conn, buf + got, BIG - got);
			assert_true(n > 0 && (size_t)n <= 1000 - got);
			got += (size_t)n;
		}
		assert_int_equal(fake_pattern_check(THEIRS, p.got, buf, got),
				 got);
		if (i == 1)
			(void)!ktls_write(p.conn, "x", 1);
		if (i == 2)
			(void)ktls_flush(p.conn, 20);
		if (i == 3)
			(void)stream_writev(&p, 10, 1, KTLS_MORE);
		ends_for_good(&p);
		pair_free(&p);
	}
}

/* The kernel drops the good bytes and says EBADMSG: nothing is read again. */
static void good_bytes_that_are_dropped_are_no_gap(void **state)
{
	static const struct fake_reply bad = {.result = -EBADMSG};
	const struct mode *m = *state;
	static uint8_t buf[BIG];
	struct pair p;
	unsigned int calls;

	if (!mode_kernel(m))
		return;
	mode_rx(&p, m, 0, NULL);
	pair_receive(&p, 10, 10);
	p.peer_todo = 3000;
	pair_peer(&p);
	fake_script_recvmsg(&bad);
	assert_errno(ktls_read(p.conn, buf, BIG), EBADMSG);
	assert_int_equal(pair_error(&p).sys_errno, EBADMSG);
	/* behind the gap there is data, which must not be looked at */
	calls = fake_count(FAKE_RECVMSG);
	for (int i = 0; i < 3; i++)
		assert_errno(ktls_read(p.conn, buf, BIG), EBADMSG);
	assert_int_equal(fake_count(FAKE_RECVMSG), calls);
	ends_for_good(&p);
	pair_free(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
#define ADD(f)                                                                 \
	ktest_add(&t, f, (void *)(uintptr_t)&modes[i], #f "_%s", modes[i].name)
		ADD(record_that_is_closed_arrives_later);
		ADD(damage_is_not_forgotten);
		ADD(good_bytes_that_are_dropped_are_no_gap);
	}
	r = ktest_run_table("late", &t);
	certs_free();
	return r;
}
