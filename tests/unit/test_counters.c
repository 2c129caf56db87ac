/* SPDX-License-Identifier: MIT */
/* The counters of ktls_get_info(), against what was on the wire. */
#include "updates.h"

#include "fake_core.h"

/* Records that one end has sent, without half ones. */
static uint64_t on_wire(int fd)
{
	const struct fake_bytes *w = &fake_socket_any(fd)->wire;
	const uint8_t *p = w->p + w->off, *end = p + w->len;
	uint64_t n = 0;

	while (end - p >= 5) {
		p += 5 + ((size_t)p[3] << 8 | p[4]);
		assert_true(p <= end);
		n++;
	}
	return n;
}

struct sum {
	uint64_t ours, theirs; /* records on the wire */
	struct ktls_info info;
};

static struct sum sum(struct pair *p)
{
	struct sum s = {on_wire(p->fd), on_wire(p->peer_fd), pair_info(p)};

	return s;
}

/* Since then each record that was sent has been counted, and no other. */
static void assert_records_since(struct pair *p, const struct sum *old)
{
	const struct sum now = sum(p);

	assert_int_equal(now.info.tx.records - old->info.tx.records,
			 now.ours - old->ours);
	assert_int_equal(now.info.rx.records - old->info.rx.records,
			 now.theirs - old->theirs);
}

struct row {
	bool server, tx, rx;
	int version;
};

static struct row row_of(unsigned int i)
{
	const struct row r = {i & 1, i & 2, i & 4,
			      i & 8 ? TLS1_2_VERSION : TLS1_3_VERSION};

	return r;
}

enum { ROWS = 16 };

static void start(struct pair *p, const struct row *r)
{
	const struct pair_options o = {.version = r->version,
				       .server = r->server,
				       .tx = r->tx ? KTLS_REQUIRE : KTLS_OFF,
				       .rx = r->rx ? KTLS_REQUIRE : KTLS_OFF};

	fake_reset();
	pair_start(p, &o);
}

/* Tickets of TLS 1.3, which come with the first read; or a read in vain. */
static uint64_t tickets(struct pair *p)
{
	char c;

	assert_errno(ktls_read(p->conn, &c, 1), EAGAIN);
	return p->o.version == TLS1_2_VERSION ? 0 : 2;
}

/* Finished is under the keys of TLS 1.2 already; not those of TLS 1.3. */
static void handshake_leaves_what_is_under_the_keys(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ROWS; i++) {
		const struct row r = row_of(i);
		struct ktls_info info;
		struct pair p;
		uint64_t n;

		start(&p, &r);
		n = tickets(&p);
		info = pair_info(&p);
		if (r.version == TLS1_2_VERSION) {
			assert_int_equal(info.tx.records, 1);
			assert_int_equal(info.rx.records, 1);
		} else {
			assert_int_equal(info.tx.records, r.server ? n : 0);
			assert_int_equal(info.rx.records, r.server ? 0 : n);
		}
		assert_int_equal(info.tx.records, info.tx.key_records);
		assert_int_equal(info.rx.records, info.rx.key_records);
		pair_finish(&p);
	}
}

static void data_are_counted_record_by_record(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ROWS; i++) {
		const struct row r = row_of(i);
		struct sum before;
		struct pair p;

		start(&p, &r);
		tickets(&p);
		before = sum(&p);
		pair_send(&p, 100000, 9000);
		pair_send(&p, 10, 1);
		pair_settle(&p);
		p.peer_max = 1000;
		pair_receive(&p, 50500, 5000);
		assert_records_since(&p, &before);
		assert_int_equal(
			sum(&p).info.rx.records - before.info.rx.records, 51);
		/* the kernel's control records are none of these */
		assert_int_equal(sum(&p).info.tx.alerts, 0);
		assert_int_equal(sum(&p).info.tx.handshakes, 0);
		pair_finish(&p);
	}
}

static void records_of_all_keys_are_added(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		const struct row r = row_of(i);
		struct sum before;
		struct ktls_info info;
		struct pair p;

		start(&p, &r);
		tickets(&p);
		before = sum(&p);
		for (int k = 0; k < 3; k++) {
			pair_send(&p, 30000, 9000);
			pair_receive(&p, 30000, 9000);
			assert_int_equal(ktls_rekey(p.conn, 0), 0);
			pair_send(&p, 5000, 1000);
			pair_settle(&p);
			assert_int_equal(pair_info(&p).tx.key_records, 5);
			updates_send(&p, k & 1);
			pair_receive(&p, 5000, 5000);
			pair_settle(&p);
		}
		assert_records_since(&p, &before);
		info = pair_info(&p);
		assert_true(info.tx.records > info.tx.key_records);
		assert_true(info.rx.records > info.rx.key_records);
		pair_finish(&p);
	}
}

/* In user space OpenSSL has them: what the kernel carried is counted. */
static void control_records_are_the_kernels(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ROWS; i++) {
		const struct row r = row_of(i);
		const bool tls13 = r.version != TLS1_2_VERSION;
		uint64_t sent = 0, got = 0, n;
		struct ktls_info info;
		struct pair p;

		start(&p, &r);
		n = tickets(&p);
		got += !r.server && r.rx ? n : 0;
		pair_send(&p, 20000, 9000);
		info = pair_info(&p);
		assert_int_equal(info.rx.handshakes, got);
		/* a server's went out before it moved */
		assert_int_equal(info.tx.handshakes, 0);
		if (tls13) {
			assert_int_equal(ktls_rekey(p.conn, 0), 0);
			pair_send(&p, 1000, 1000);
			pair_settle(&p);
			sent += r.tx;
			updates_send(&p, false);
			pair_receive(&p, 1000, 1000);
			got += r.rx;
			/* this one is answered */
			updates_send(&p, true);
			pair_receive(&p, 1000, 1000);
			pair_send(&p, 1000, 1000);
			pair_settle(&p);
			sent += r.tx;
			got += r.rx;
		}
		info = pair_info(&p);
		assert_int_equal(info.tx.handshakes, sent);
		assert_int_equal(info.rx.handshakes, got);
		assert_int_equal(info.tx.alerts, 0);
		assert_int_equal(info.rx.alerts, 0);
		assert_int_equal(ktls_shutdown_write(p.conn, 0), 0);
		assert_int_equal(pair_info(&p).tx.alerts, r.tx);
		pair_peer(&p);
		while (ktls_shutdown(p.conn, 0) != 0) {
			assert_int_equal(errno, EAGAIN);
			pair_peer(&p);
		}
		info = pair_info(&p);
		assert_int_equal(info.tx.alerts, r.tx);
		assert_int_equal(info.rx.alerts, r.rx);
		assert_int_equal(info.tx.handshakes, sent);
		assert_int_equal(info.rx.handshakes, got);
		pair_free(&p);
	}
}

static void reads_in_vain_are_counted(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ROWS; i++) {
		const struct row r = row_of(i);
		struct ktls_info before, after;
		uint64_t vain = 0;
		struct pair p;
		char c;

		start(&p, &r);
		tickets(&p);
		before = pair_info(&p);
		for (int k = 0; k < 20; k++) {
			p.peer_todo = k % 3 == 0;
			pair_peer(&p);
			if (ktls_read(p.conn, &c, 1) == 1)
				continue;
			assert_int_equal(errno, EAGAIN);
			vain++;
		}
		after = pair_info(&p);
		assert_int_equal(vain, 13);
		assert_int_equal(after.rx.again - before.rx.again, vain);
		assert_int_equal(after.tx.again - before.tx.again, 0);
		pair_free(&p);
	}
}

static void writes_in_vain_are_counted(void **state)
{
	static uint8_t buf[5000];

	(void)state;
	for (unsigned int i = 0; i < ROWS; i++) {
		const struct row r = row_of(i);
		struct ktls_info before, after;
		uint64_t vain = 0;
		struct pair p;

		start(&p, &r);
		tickets(&p);
		fake_socket(p.peer_fd)->capacity = 20000;
		before = pair_info(&p);
		while (ktls_write(p.conn, buf, sizeof(buf)) > 0)
			;
		assert_int_equal(errno, EAGAIN);
		after = pair_info(&p);
		/* the last one that had room for a part of it, and this one */
		assert_in_range(after.tx.again - before.tx.again, 1, 2);
		before = after;
		for (int k = 0; k < 10; k++) {
			assert_errno(ktls_write(p.conn, buf, sizeof(buf)),
				     EAGAIN);
			vain++;
		}
		after = pair_info(&p);
		assert_int_equal(after.tx.again - before.tx.again, vain);
		assert_int_equal(after.rx.again - before.rx.again, 0);
		pair_free(&p);
	}
}

static void blocking_calls_count_their_waits(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		const struct pair_options o = {
			.blocking = true,
			.capacity = 30000,
			.tx = i & 1 ? KTLS_REQUIRE : KTLS_OFF,
			.rx = i & 2 ? KTLS_REQUIRE : KTLS_OFF};
		struct ktls_info before, after;
		struct pair p;

		fake_reset();
		pair_start(&p, &o);
		before = pair_info(&p);
		pair_send(&p, 500000, 100000);
		pair_receive(&p, 1000, 1000);
		after = pair_info(&p);
		assert_true(after.tx.again > before.tx.again + 5);
		assert_true(after.rx.again > before.rx.again);
		pair_finish(&p);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(handshake_leaves_what_is_under_the_keys),
	cmocka_unit_test(data_are_counted_record_by_record),
	cmocka_unit_test(records_of_all_keys_are_added),
	cmocka_unit_test(control_records_are_the_kernels),
	cmocka_unit_test(reads_in_vain_are_counted),
	cmocka_unit_test(writes_in_vain_are_counted),
	cmocka_unit_test(blocking_calls_count_their_waits),
};

int main(void)
{
	const int r = ktest_run("counters", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
