/* SPDX-License-Identifier: MIT */
/*
 * What an SSL and its BIOs hold when a connection adopts them, wherever that
 * is, is delivered or sent first; and records get their right numbers.
 */
#include "doors.h"

#include <openssl/err.h>

enum where { IN_BIO, IN_SSL, READ_AHEAD, WHERES };

static struct row {
	enum where where;
	int version;
	bool server;
	uint32_t use;
} rows[32];

/* Three records of the peer's, 1150 bytes of the stream. */
static void three_records(struct pair *p)
{
	static const size_t sizes[] = {100, 1000, 50};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		p->peer_todo = sizes[i];
		pair_peer(p);
	}
}

/* The SSL takes what there is, as far as it can: nobody has read it yet. */
static void into_ssl(struct pair *p, size_t leave)
{
	uint8_t byte;
	size_t n;

	if (SSL_get_read_ahead(p->ssl)) {
		door_fill(p, leave);
		(void)SSL_peek_ex(p->ssl, &byte, 1, &n);
		ERR_clear_error();
		return;
	}
	while (fake_socket(p->fd)->in.len > leave) {
		door_fill(p, fake_socket(p->fd)->in.len - 1);
		(void)SSL_peek_ex(p->ssl, &byte, 1, &n);
	}
	ERR_clear_error();
}

static void adopt(struct pair *p)
{
	const size_t waits = BIO_pending(SSL_get_rbio(p->ssl)) +
			     (size_t)SSL_has_pending(p->ssl);

	p->conn = ktls_conn_new(p->ssl, p->fd, &p->policy);
	assert_non_null(p->conn);
	assert_int_equal(ktls_handshake(p->conn), 0);
	/* who polls would wait for what is here already */
	if (waits > 0)
		assert_true(ktls_pending(p->conn) >= 1);
}

/* What comes of it without a byte more on the socket. */
static void pending_ends(struct pair *p)
{
	uint8_t buf[1000];
	ssize_t n = 1;

	for (int i = 0; i < 100 && ktls_pending(p->conn) > 0; i++) {
		n = ktls_read(p->conn, buf, 30);
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		else
			assert_int_equal(fake_pattern_check(THEIRS, p->got, buf,
							    (size_t)n),
					 n);
		p->got += n > 0 ? (uint64_t)n : 0;
	}
	assert_int_equal(ktls_pending(p->conn), 0);
}

static void one_cut(const struct row *row, size_t cut, size_t *whole)
{
	const struct pair_options o = {
		.door = DOOR_ADOPTED_MEM,
		.version = row->version,
		.server = row->server,
		.tx = row->use,
		.rx = row->use,
	};
	struct fake_socket *s;
	struct pair p;

	doors_shaken(&p, &o);
	three_records(&p);
	s = fake_socket(p.fd);
	*whole = s->in.len;
	SSL_set_read_ahead(p.ssl, row->where == READ_AHEAD);
	if (cut > *whole)
		cut = *whole;
	if (row->where == IN_BIO)
		door_fill(&p, *whole - cut);
	else
		into_ssl(&p, *whole - cut);
	adopt(&p);
	if (SSL_is_init_finished(p.peer))
		pending_ends(&p);
	pair_receive(&p, 1150 - p.got, 400);
	doors_talk(&p);
	if (row->use == KTLS_REQUIRE)
		assert_modes(&p, "kernel", "kernel");
	else
		assert_modes(&p, "user", "user");
	pair_finish(&p);
}

static void nothing_is_lost_wherever_it_is_cut(void **state)
{
	const struct row *row = *state;
	size_t whole = 0;

	one_cut(row, 0, &whole);
	for (size_t cut = 1; cut <= whole; cut += cut < 12 ? 1 : 67)
		one_cut(row, cut, &whole);
	/* around the end of the first record, of 100 bytes, and of all */
	for (size_t d = 0; d < 8; d++) {
		one_cut(row, 100 + (row->version == TLS1_2_VERSION ? 29 : 22) + d,
			&whole);
		one_cut(row, whole - d, &whole);
	}
}

/* As few bytes as it likes. */
static int chunky_read(BIO *bio, char *buf, int len)
{
	BIO *mem = BIO_get_data(bio);

	return BIO_read(mem, buf, len < 3 ? len : 3);
}

static int chunky_write(BIO *bio, const char *buf, int len)
{
	(void)bio, (void)buf, (void)len;
	return -1;
}

static long chunky_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)num, (void)ptr;
	return cmd == BIO_CTRL_PENDING
		       ? (long)BIO_pending((BIO *)BIO_get_data(bio))
		       : cmd == BIO_CTRL_FLUSH;
}

static void bio_may_give_little_at_a_time(void **state)
{
	const struct pair_options o = {.door = DOOR_ADOPTED_MEM,
				       .version = TLS1_2_VERSION};
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 98, "chunky");
	BIO *bio, *mem;
	struct pair p;

	(void)state;
	BIO_meth_set_read(m, chunky_read);
	BIO_meth_set_write(m, chunky_write);
	BIO_meth_set_ctrl(m, chunky_ctrl);
	doors_shaken(&p, &o);
	three_records(&p);
	door_fill(&p, 20);
	mem = SSL_get_rbio(p.ssl);
	BIO_up_ref(mem);
	bio = BIO_new(m);
	BIO_set_data(bio, mem);
	BIO_set_init(bio, 1);
	SSL_set0_rbio(p.ssl, bio);
	adopt(&p);
	pair_receive(&p, 1150, 400);
	doors_talk(&p);
	pair_finish(&p);
	BIO_free(mem);
	BIO_meth_free(m);
}

/* It goes with the SSL's old BIO, but the socket does not. */
static void socket_bio_does_not_close_it(void **state)
{
	const struct pair_options o = {.door = DOOR_ADOPTED};
	struct pair p;
	BIO *bio;

	(void)state;
	doors_shaken(&p, &o);
	bio = BIO_new_socket(p.fd, BIO_CLOSE);
	BIO_up_ref(bio);
	SSL_set_bio(p.ssl, bio, bio);
	adopt(&p);
	assert_int_equal(BIO_get_close(bio), BIO_NOCLOSE);
	BIO_free(bio);
	doors_talk(&p);
	pair_finish(&p);
}

/* The peer has said all it had to say before anybody adopted it. */
static void end_that_is_here_already(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		const struct pair_options o = {.door = DOOR_ADOPTED_MEM,
					       .server = true};
		struct pair p;
		uint8_t buf[10];

		doors_shaken(&p, &o);
		p.peer_closes = false;
		if (i % 3 > 0)
			three_records(&p);
		assert_int_equal(SSL_shutdown(p.peer), 0);
		door_fill(&p, 0);
		/* it has been read, or it is in front */
		if (i % 3 < 2)
			(void)SSL_peek(p.ssl, buf, 1);
		p.conn = ktls_conn_new(p.ssl, p.fd, &p.policy);
		assert_non_null(p.conn);
		if (i >= 3)
			fake_raw_fin(p.peer_fd);
		if (i % 3 > 0)
			pair_receive(&p, 1150, 300);
		assert_int_equal(ktls_read(p.conn, buf, 1), 0);
		assert_int_equal(ktls_read(p.conn, buf, 1), 0);
		pair_send(&p, 10, 10);
		pair_settle(&p);
		pair_free(&p);
	}
}

static void rounds(struct pair *p, unsigned int n)
{
	uint8_t byte;

	for (unsigned int i = 0; i < n; i++) {
		fake_pattern(OURS, p->accepted++, &byte, 1);
		assert_int_equal(SSL_write(p->ssl, &byte, 1), 1);
		p->peer_todo = 1;
		pair_peer(p);
		assert_int_equal(SSL_read(p->ssl, &byte, 1), 1);
		p->got++;
	}
}

/* Records that went before: 1024 at most, or the keys cannot be checked. */
static void number_is_found(void **state)
{
	static const unsigned int before[] = {0, 2, 100, 1018, 1100};
	const int version = *(const int *)*state;

	for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
		const struct pair_options o = {.door = DOOR_ADOPTED,
					       .version = version};
		struct pair p;

		doors_shaken(&p, &o);
		rounds(&p, before[i]);
		p.policy.rx = KTLS_REQUIRE;
		p.policy.tx = before[i] > 1024 ? KTLS_AUTO : KTLS_REQUIRE;
		if (before[i] > 1024)
			p.policy.rx = KTLS_AUTO;
		p.policy.expect_no_pad = KTLS_AUTO;
		p.conn = ktls_conn_new(p.ssl, p.fd, &p.policy);
		assert_non_null(p.conn);
		doors_talk(&p);
		if (before[i] > 1024) {
			assert_modes(&p, "user", "user");
			assert_int_equal(pair_info(&p).tx.reason,
					 KTLS_REASON_KEY_CHECK);
		} else {
			assert_modes(&p, "kernel", "kernel");
		}
		pair_finish(&p);
	}
}

/* A KeyUpdate of either side before, and one that is still to be sent. */
static void keys_changed_before(void **state)
{
	(void)state;
	for (int i = 0; i < 16; i++) {
		const struct pair_options o = {.door = DOOR_ADOPTED,
					       .server = i & 8,
					       .tx = KTLS_REQUIRE,
					       .rx = KTLS_REQUIRE};
		struct pair p;

		doors_shaken(&p, &o);
		rounds(&p, 2);
		if (i & 1) {
			assert_int_equal(SSL_key_update(p.ssl, !(i & 4)), 1);
			rounds(&p, 1);
		}
		if (i & 2) {
			assert_int_equal(SSL_key_update(p.peer, !(i & 4)), 1);
			rounds(&p, 1);
		}
		if (i & 4) {
			assert_int_equal(SSL_key_update(p.ssl, 1), 1);
			assert_null(ktls_conn_new(p.ssl, p.fd, &p.policy));
			assert_int_equal(errno, EINPROGRESS);
			assert_int_equal(SSL_do_handshake(p.ssl), 1);
		}
		p.conn = ktls_conn_new(p.ssl, p.fd, &p.policy);
		assert_non_null(p.conn);
		doors_talk(&p);
		assert_modes(&p, "kernel", "kernel");
		assert_int_equal(ktls_rekey(p.conn, 1), 0);
		doors_talk(&p);
		pair_finish(&p);
	}
}

/* Without ktls_ctx_enable() TLS 1.3 stays where it is; TLS 1.2 needs none. */
static void context_that_was_not_enabled(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		const struct pair_options o = {
			.door = DOOR_ADOPTED,
			.plain_ctx = true,
			.version = i & 1 ? TLS1_2_VERSION : TLS1_3_VERSION,
			.tx = i & 2 ? KTLS_REQUIRE : KTLS_AUTO,
			.rx = i & 2 ? KTLS_REQUIRE : KTLS_AUTO};
		struct pair p;

		doors_shaken(&p, &o);
		p.conn = ktls_conn_new(p.ssl, p.fd, &p.policy);
		assert_non_null(p.conn);
		if (i == 2) {
			assert_errno(ktls_write(p.conn, "x", 1), ENOTSUP);
			assert_errno(ktls_read(p.conn, &i, 1), ENOTSUP);
			assert_errno(ktls_handshake(p.conn), ENOTSUP);
			assert_int_equal(pair_info(&p).tx.reason,
					 KTLS_REASON_KEYS);
			pair_free(&p);
			continue;
		}
		doors_talk(&p);
		if (i & 1) {
			assert_modes(&p, "kernel", "kernel");
		} else {
			assert_modes(&p, "user", "user");
			assert_int_equal(pair_info(&p).rx.reason,
					 KTLS_REASON_KEYS);
		}
		pair_finish(&p);
	}
}

int main(void)
{
	static const char *const where[] = {"in_bio", "in_ssl", "read_ahead"};
	static int versions[] = {TLS1_3_VERSION, TLS1_2_VERSION};
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < WHERES * 4; i++) {
		rows[i] = (struct row){
			.where = (enum where)(i / 4),
			.version = versions[i & 1],
			/* the other's last flight would be ours to send */
			.server = versions[i & 1] == TLS1_3_VERSION,
			.use = i & 2 ? KTLS_REQUIRE : KTLS_OFF};
		ktest_add(&t, nothing_is_lost_wherever_it_is_cut, &rows[i],
			  "nothing_is_lost_%s_%s_%s", where[i / 4],
			  i & 1 ? "1_2" : "1_3", i & 2 ? "kernel" : "user");
	}
	for (size_t i = 0; i < 2; i++)
		ktest_add(&t, number_is_found, &versions[i],
			  "number_is_found_%s", i ? "1_2" : "1_3");
	ktest_add(&t, bio_may_give_little_at_a_time, NULL,
		  "bio_may_give_little_at_a_time");
	ktest_add(&t, socket_bio_does_not_close_it, NULL,
		  "socket_bio_does_not_close_it");
	ktest_add(&t, end_that_is_here_already, NULL, "end_that_is_here_already");
	ktest_add(&t, keys_changed_before, NULL, "keys_changed_before");
	ktest_add(&t, context_that_was_not_enabled, NULL,
		  "context_that_was_not_enabled");
	r = ktest_run_table("adopt_data", &t);
	certs_free();
	return r;
}
