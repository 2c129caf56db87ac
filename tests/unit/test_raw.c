/* SPDX-License-Identifier: MIT */
/*
 * ktls_conn_from_keys(): what it refuses, what fails on the way, and what the
 * other library had read of the socket.
 */
#include "doors.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "alloc.h"
#include "rawtls.h"

static struct ktls_keys tx, rx;

/* Keys as another library has them after its handshake. */
static void shaken(struct pair *p, const struct pair_options *o)
{
	doors_shaken(p, o);
	tx = door_keys(p, KTLS_TX, o->door == DOOR_KEYS_SECRET);
	rx = door_keys(p, KTLS_RX, o->door == DOOR_KEYS_SECRET);
}

static void attempt(struct pair *p, int fd, const struct ktls_keys *t,
		    const struct ktls_keys *r, int e)
{
	const struct untouched u = untouched(p);
	const long live = alloc_live();

	errno = 0;
	assert_null(ktls_conn_from_keys(fd, t, r, &p->policy));
	assert_int_equal(errno, e);
	assert_int_equal(alloc_live(), live);
	assert_untouched(&u);
}

static void finish(struct pair *p)
{
	p->conn = ktls_conn_from_keys(p->fd, &tx, &rx, &p->policy);
	assert_non_null(p->conn);
	doors_talk(p);
	pair_finish(p);
}

/* One field that is wrong, of tx, of rx and of both. */
static const struct wrong {
	const char *name;
	size_t offset;
	uint32_t value;
	int one, both; /* errno; 0: it is right */
} wrong[] = {
#define AT(field) offsetof(struct ktls_keys, field)
	{"size", AT(size), sizeof(struct ktls_keys) - 1, EINVAL, EINVAL},
	{"reserved", AT(reserved), 1, EINVAL, EINVAL},
	{"reserved2", AT(reserved2), 0x1000000, EINVAL, EINVAL},
	{"TLS 1.1", AT(version), 0x0302, EINVAL, EPROTONOSUPPORT},
	{"TLS 1.2", AT(version), 0x0303, EINVAL, 1},
	{"a version", AT(version), 0x10304, EINVAL, EPROTONOSUPPORT},
	{"no cipher", AT(cipher), 0, EINVAL, EPROTONOSUPPORT},
	{"two ciphers", AT(cipher), 3, EINVAL, EPROTONOSUPPORT},
	{"a cipher", AT(cipher), 1U << 20, EINVAL, EPROTONOSUPPORT},
	{"ARIA", AT(cipher), KTLS_ARIA_128_GCM, EINVAL, EPROTONOSUPPORT},
	{"secret 31", AT(secret_len), 31, EINVAL, EINVAL},
	{"secret 33", AT(secret_len), 33, EINVAL, EINVAL},
	{"key 15", AT(key_len), 15, EINVAL, EINVAL},
	{"key 17", AT(key_len), 17, EINVAL, EINVAL},
	{"key -1", AT(key_len), UINT32_MAX, EINVAL, EINVAL},
	{"iv 11", AT(iv_len), 11, EINVAL, EINVAL},
	{"iv 4", AT(iv_len), 4, EINVAL, EINVAL},
	{"iv 13", AT(iv_len), 13, EINVAL, EINVAL},
#undef AT
};

static void wrong_keys_are_refused(void **state)
{
	const bool secret = *(const bool *)*state;
	const struct pair_options o = {.door = secret ? DOOR_KEYS_SECRET
						      : DOOR_KEYS_KEY,
				       .suite = "TLS_AES_128_GCM_SHA256"};
	struct pair p;

	shaken(&p, &o);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const struct wrong *w = &wrong[i];
		struct ktls_keys t = tx, r = rx;

		if (w->both == 1 && !secret)
			continue;
		memcpy((char *)&t + w->offset, &w->value, sizeof(w->value));
		attempt(&p, p.fd, &t, &rx, w->one);
		memcpy((char *)&r + w->offset, &w->value, sizeof(w->value));
		attempt(&p, p.fd, &tx, &r, w->one);
		attempt(&p, p.fd, &t, &r, w->both == 1 ? EINVAL : w->both);
	}
	finish(&p);
}

static void other_arguments_are_checked(void **state)
{
	const struct pair_options o = {.door = DOOR_KEYS_KEY};
	struct ktls_keys t, r;
	struct fake_socket *s;
	struct pair p;
	int other[2];

	(void)state;
	shaken(&p, &o);
	s = fake_socket(p.fd);
	t = tx;
	r = rx;
	attempt(&p, p.fd, NULL, &rx, EINVAL);
	attempt(&p, p.fd, &tx, NULL, EINVAL);
	t.plain = t.wire = "x";
	t.plain_len = 1;
	attempt(&p, p.fd, &t, &rx, EINVAL);
	t.plain_len = 0;
	t.wire_len = 1;
	attempt(&p, p.fd, &t, &rx, EINVAL);
	r.plain_len = 1;
	attempt(&p, p.fd, &tx, &r, EINVAL);
	r.plain_len = 0;
	r.wire_len = 1;
	attempt(&p, p.fd, &tx, &r, EINVAL);
	r.wire = "x";
	r.wire_len = (size_t)1 << 40;
	attempt(&p, p.fd, &tx, &r, EINVAL);
	/* what follows one side's keys is nothing to the other's */
	r = door_keys(&p, KTLS_RX, true);
	attempt(&p, p.fd, &tx, &r, EINVAL);
	t = door_keys(&p, KTLS_TX, true);
	attempt(&p, p.fd, &t, &rx, EINVAL);
	t = tx;
	p.policy.tx = 9;
	attempt(&p, p.fd, &tx, &rx, EINVAL);
	p.policy.tx = 0;
	attempt(&p, -1, &tx, &rx, EBADF);
	fake_fail(FAKE_GET_TYPE, 1, ENOTSOCK);
	attempt(&p, p.fd, &tx, &rx, ENOTSOCK);
	s->type = SOCK_SEQPACKET;
	attempt(&p, p.fd, &tx, &rx, EPROTOTYPE);
	s->type = SOCK_STREAM;
	for (int name = TLS_TX; name <= TLS_RX; name++) {
		fake_tcp_pair(other, 1000);
		assert_int_equal(rawtls_ulp(other[0]), 0);
		assert_int_equal(rawtls_keys(other[0], name, 0x0304), 0);
		attempt(&p, other[0], &tx, &rx, EEXIST);
	}
	finish(&p);
}

static void every_system_call_may_fail(void **state)
{
	unsigned int failures = 0;

	(void)state;
	for (int i = 0; i < 2 * FAKE_CALLS; i++) {
		const struct pair_options o = {.door = DOOR_KEYS_SECRET,
					       .tx = i & 1 ? KTLS_AUTO
							   : KTLS_OFF};
		struct untouched u;
		struct pair p;
		long live;

		shaken(&p, &o);
		if (i / 2 == FAKE_SETFL)
			fake_socket(p.fd)->fl &= ~O_NONBLOCK;
		u = untouched(&p);
		live = alloc_live();
		fake_fail((enum fake_call)(i / 2), 1, EDOM);
		errno = 0;
		p.conn = ktls_conn_from_keys(p.fd, &tx, &rx, &p.policy);
		fake_heal();
		if (p.conn) {
			doors_talk(&p);
			pair_finish(&p);
			continue;
		}
		failures++;
		assert_int_equal(errno, EDOM);
		assert_int_equal(alloc_live(), live);
		assert_untouched(&u);
		finish(&p);
	}
	/* SO_TYPE, F_GETFL and F_SETFL */
	assert_int_equal(failures, 2 * 3);
}

static void every_allocation_may_fail(void **state)
{
	const bool secret = *(const bool *)*state;
	unsigned int failures = 0;
	unsigned long nth = 1;

	for (; nth < 2000; nth++) {
		const struct pair_options o = {.door = secret ? DOOR_KEYS_SECRET
							      : DOOR_KEYS_KEY,
					       .server = true};
		uint8_t plain[100], wire[3];
		struct untouched u;
		struct pair p;
		long live;

		shaken(&p, &o);
		fake_pattern(THEIRS, 0, plain, sizeof(plain));
		rx.plain = plain;
		rx.plain_len = sizeof(plain);
		p.peer_sent = sizeof(plain);
		p.peer_todo = 10;
		pair_peer(&p);
		assert_int_equal(fake_raw_read(p.fd, wire, sizeof(wire)),
				 sizeof(wire));
		rx.wire = wire;
		rx.wire_len = sizeof(wire);
		u = untouched(&p);
		live = alloc_live();
		alloc_start(nth);
		errno = 0;
		p.conn = ktls_conn_from_keys(p.fd, &tx, &rx, &p.policy);
		if (alloc_stop() < nth) {
			pair_free(&p);
			break;
		}
		if (!p.conn) {
			failures++;
			assert_true(errno == ENOMEM || errno == EIO);
			assert_int_equal(alloc_live(), live);
			assert_untouched(&u);
			p.conn = ktls_conn_from_keys(p.fd, &tx, &rx, &p.policy);
			assert_non_null(p.conn);
		}
		pair_receive(&p, 110, 30);
		doors_talk(&p);
		pair_finish(&p);
	}
	assert_true(failures >= 5 && nth < 2000);
}

/* Bytes that the other library has read: as plaintext, and as records. */
static void leftovers_come_first(void **state)
{
	const bool kernel = *(const bool *)*state;

	for (int i = 0; i < 60; i++) {
		const struct pair_options o = {
			.door = DOOR_KEYS_KEY,
			.server = true,
			.version = i & 1 ? TLS1_3_VERSION : TLS1_2_VERSION,
			.tx = kernel ? KTLS_REQUIRE : KTLS_OFF,
			.rx = kernel ? KTLS_REQUIRE : KTLS_OFF};
		static uint8_t wire[3000], plain[700];
		struct pair p;

		shaken(&p, &o);
		rx.plain_len = i % 3 * 300;
		fake_pattern(THEIRS, 0, plain, sizeof(plain));
		rx.plain = plain;
		p.peer_sent = rx.plain_len;
		for (int k = 0; k < 3; k++) {
			p.peer_todo = k & 1 ? 1000 : 60;
			pair_peer(&p);
		}
		rx.wire_len = i < 30 ? (size_t)i
				     : fake_socket(p.fd)->in.len *
					       (size_t)(60 - i) / 30;
		rx.wire = wire;
		if (rx.wire_len > 0)
			assert_int_equal(fake_raw_read(p.fd, wire, rx.wire_len),
					 rx.wire_len);
		p.conn = ktls_conn_from_keys(p.fd, &tx, &rx, &p.policy);
		assert_non_null(p.conn);
		assert_true(ktls_pending(p.conn) >=
			    (rx.plain_len ? rx.plain_len : rx.wire_len > 0));
		/* they are the library's own by now */
		memset(wire, 0xcc, sizeof(wire));
		memset(plain, 0xcc, sizeof(plain));
		pair_receive(&p, rx.plain_len + 1120, 100);
		doors_talk(&p);
		if (kernel)
			assert_modes(&p, "kernel", "kernel");
		assert_int_equal(pair_info(&p).rx.bytes, p.got);
		pair_finish(&p);
	}
}

static void secrets_are_wiped(void **state)
{
	const bool kernel = *(const bool *)*state;

	for (int i = 0; i < 4; i++) {
		const struct pair_options o = {
			.door = i & 1 ? DOOR_KEYS_SECRET : DOOR_KEYS_KEY,
			.server = i & 2,
			.tx = kernel ? KTLS_REQUIRE : KTLS_OFF,
			.rx = kernel ? KTLS_REQUIRE : KTLS_OFF};
		struct ktls_keys key;
		struct pair p;

		shaken(&p, &o);
		alloc_watch(p.secrets.secret[0], 48);
		alloc_watch(p.secrets.secret[1], 48);
		for (int dir = KTLS_TX; dir <= KTLS_RX; dir++) {
			key = door_keys(&p, dir, false);
			alloc_watch(key.key, key.key_len);
			alloc_watch(key.iv, key.iv_len);
		}
		finish(&p);
		assert_int_equal(alloc_unwatch(), 0);
	}
}

/* RFC 5288 section 3: the next one that is explicit, or the number. */
static void nonce_goes_on_where_it_was(void **state)
{
	const bool kernel = *(const bool *)*state;
	static const uint8_t next[8] = {1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t then[8] = {1, 2, 3, 5};
	static const uint8_t one[8] = {[7] = 1}, two[8] = {[7] = 2};

	for (int i = 0; i < 2; i++) {
		const struct pair_options o = {
			.door = DOOR_KEYS_KEY,
			.version = TLS1_2_VERSION,
			.suite = "ECDHE-ECDSA-AES128-GCM-SHA256",
			.tx = kernel ? KTLS_REQUIRE : KTLS_OFF};
		struct fake_bytes *w;
		struct pair p;

		shaken(&p, &o);
		assert_int_equal(tx.iv_len, 4);
		if (i) {
			tx.iv_len = 12;
			memcpy(tx.iv + 4, next, 8);
		}
		w = &fake_socket(p.fd)->wire;
		fake_take(w, NULL, w->len);
		p.conn = ktls_conn_from_keys(p.fd, &tx, &rx, &p.policy);
		assert_non_null(p.conn);
		pair_send(&p, 10, 10);
		pair_send(&p, 10, 10);
		assert_memory_equal(w->p + w->off + 5, i ? next : one, 8);
		assert_memory_equal(w->p + w->off + 39 + 5, i ? then : two, 8);
		doors_talk(&p);
		pair_finish(&p);
	}
}

/* TLS 1.2 has no names of suites here, and the rest is as anywhere. */
static void info_is_that_of_any_connection(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		const struct pair_options o = {
			.door = i & 2 ? DOOR_KEYS_KEY : DOOR_KEYS_SECRET,
			.suite = i & 1 ? "TLS_CHACHA20_POLY1305_SHA256"
				       : "ECDHE-ECDSA-AES128-GCM-SHA256",
			.version = i & 1 ? TLS1_3_VERSION : TLS1_2_VERSION};
		struct ktls_info info;
		struct pair p;

		fake_reset();
		pair_start(&p, &o);
		info = pair_info(&p);
		assert_int_equal(info.version, i & 1 ? 0x0304 : 0x0303);
		assert_int_equal(info.cipher, i & 1 ? 0x1303 : 0);
		if (i & 1)
			assert_string_equal(info.cipher_name, o.suite);
		else
			assert_null(info.cipher_name);
		assert_int_equal(info.release_ssl, 1);
		assert_int_equal(ktls_handshake(p.conn), 0);
		assert_int_equal(ktls_fd(p.conn), p.fd);
		pair_finish(&p);
	}
}

int main(void)
{
	static bool no = false, yes = true;
	static struct ktest_table t;
	int r;

	alloc_use_for_openssl();
#define ADD(f, flag) ktest_add(&t, f, &(flag), #f "_" #flag)
	ADD(wrong_keys_are_refused, no);
	ADD(wrong_keys_are_refused, yes);
	ADD(other_arguments_are_checked, no);
	ADD(every_system_call_may_fail, no);
	ADD(every_allocation_may_fail, no);
	ADD(every_allocation_may_fail, yes);
	ADD(leftovers_come_first, no);
	ADD(leftovers_come_first, yes);
	ADD(secrets_are_wiped, no);
	ADD(secrets_are_wiped, yes);
	ADD(nonce_goes_on_where_it_was, no);
	ADD(nonce_goes_on_where_it_was, yes);
	ADD(info_is_that_of_any_connection, no);
	r = ktest_run_table("raw", &t);
	certs_free();
	return r;
}
