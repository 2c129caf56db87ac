/* SPDX-License-Identifier: MIT */
/*
 * Callers that use the socket themselves: when they may, what they have to
 * tell, and what the library makes of it.
 */
#include "doors.h"

#include <poll.h>
#include <sys/socket.h>

#include "rawtls.h"

static void start(struct pair *p, enum pair_door door, uint32_t tx, uint32_t rx)
{
	const struct pair_options o = {
		.door = door, .tx = tx, .rx = rx, .server = true};

	fake_reset();
	pair_start(p, &o);
	doors_talk(p);
}

static void all(struct pair *p, enum pair_door door)
{
	start(p, door, KTLS_REQUIRE, KTLS_REQUIRE);
	assert_int_equal(ktls_raw_io(p->conn), KTLS_TX | KTLS_RX);
}

/* Bytes of the stream, by calls of our own. */
static void send_own(struct pair *p, size_t n, int flags)
{
	static uint8_t buf[65536];

	fake_pattern(OURS, p->accepted, buf, n);
	assert_int_equal(rawtls_send(p->fd, 0, buf, n, 1, flags), n);
	p->accepted += n;
	assert_int_equal(ktls_raw_sent(p->conn, n), 0);
}

/* What the kernel has, told as it is: the last result. */
static ssize_t receive_own(struct pair *p, size_t chunk)
{
	uint8_t buf[20000], type;
	ssize_t n, r = -1;
	int flags;

	errno = EAGAIN;
	while ((n = rawtls_receive(p->fd, buf, chunk, 1, &type, &flags)) > 0) {
		if (type == 23)
			assert_int_equal(fake_pattern_check(THEIRS, p->got, buf,
							    (size_t)n),
					 n);
		r = ktls_raw_received(
			p->conn, type | (flags & MSG_EOR ? KTLS_RECORD_END : 0),
			buf, (size_t)n);
		if (type == 23) {
			assert_int_equal(r, n);
			p->got += (uint64_t)n;
		}
		if (r == 0 || (r < 0 && errno != EAGAIN))
			break;
	}
	return n < 0 && n != -EAGAIN ? n : r;
}

static void only_the_kernels_directions(void **state)
{
	(void)state;
	for (int i = 0; i < 4 * DOORS; i++) {
		const uint32_t tx = i & 1 ? KTLS_REQUIRE : KTLS_OFF;
		const uint32_t rx = i & 2 ? KTLS_REQUIRE : KTLS_OFF;
		struct pair p;

		start(&p, (enum pair_door)(i / 4), tx, rx);
		assert_int_equal(ktls_raw_io(p.conn),
				 (i & 1 ? KTLS_TX : 0) | (i & 2 ? KTLS_RX : 0));
		if (!(i & 1))
			assert_errno(ktls_raw_sent(p.conn, 1), EINVAL);
		if (!(i & 2))
			assert_errno(ktls_raw_received(p.conn, KTLS_RECORD_DATA,
						       "x", 1),
				     EINVAL);
		pair_finish(&p);
	}
}

static void arguments_are_checked(void **state)
{
	struct pair p;

	(void)state;
	all(&p, DOOR_NEW);
	assert_errno(ktls_raw_io(NULL), EINVAL);
	assert_errno(ktls_fd(NULL), EINVAL);
	assert_errno(ktls_raw_sent(NULL, 1), EINVAL);
	assert_errno(ktls_raw_received(NULL, KTLS_RECORD_DATA, "x", 1), EINVAL);
	assert_errno(ktls_raw_received(p.conn, KTLS_RECORD_DATA, NULL, 1),
		     EINVAL);
	assert_errno(ktls_raw_received(p.conn, -1, "x", 1), EINVAL);
	assert_errno(ktls_raw_received(p.conn, 512 | KTLS_RECORD_DATA, "x", 1),
		     EINVAL);
	/* an empty record of data is none of anything */
	assert_errno(ktls_raw_received(p.conn, KTLS_RECORD_DATA | KTLS_RECORD_END,
				       NULL, 0),
		     EAGAIN);
	assert_int_equal(ktls_raw_sent(p.conn, 0), 0);
	doors_talk(&p);
	pair_finish(&p);
}

/* What the library still has to do there comes first. */
static void library_comes_first(void **state)
{
	uint8_t buf[100];
	struct pair p;

	(void)state;
	all(&p, DOOR_NEW);
	p.peer_todo = 50;
	pair_peer(&p);
	assert_int_equal(ktls_peek(p.conn, buf, 1), 1);
	assert_int_equal(ktls_raw_io(p.conn), KTLS_TX);
	pair_receive(&p, 50, 50);
	assert_int_equal(ktls_raw_io(p.conn), KTLS_TX | KTLS_RX);
	/* a KeyUpdate that finds no room */
	fake_fail(FAKE_SENDMSG, 1, EAGAIN);
	assert_int_equal(ktls_rekey(p.conn, 0), 0);
	assert_int_equal(ktls_raw_io(p.conn), KTLS_RX);
	assert_int_equal(ktls_flush(p.conn, 0), 0);
	assert_int_equal(ktls_raw_io(p.conn), KTLS_TX | KTLS_RX);
	doors_talk(&p);
	/* our end, and then the peer's */
	p.peer_closes = false;
	assert_int_equal(ktls_shutdown_write(p.conn, 0), 0);
	assert_int_equal(ktls_raw_io(p.conn), KTLS_RX);
	assert_int_equal(SSL_shutdown(p.peer), 0);
	assert_int_equal(ktls_read(p.conn, buf, 1), 0);
	assert_int_equal(ktls_raw_io(p.conn), 0);
	pair_free(&p);
	/* before the handshake, and behind a failure */
	fake_reset();
	pair_open(&p, &(struct pair_options){.tx = KTLS_REQUIRE});
	assert_int_equal(ktls_raw_io(p.conn), 0);
	pair_free(&p);
	all(&p, DOOR_KEYS_SECRET);
	pair_inject(&p, 22, "\x14\0\0\0", 4);
	assert_errno(ktls_read(p.conn, buf, 1), EPROTO);
	assert_int_equal(ktls_raw_io(p.conn), 0);
	pair_free(&p);
}

/* Bytes of one's own count for flush and close as any others. */
static void flush_and_close_wait_for_own_bytes(void **state)
{
	(void)state;
	for (int i = 0; i < 4 * DOORS; i++) {
		struct pair p;

		all(&p, (enum pair_door)(i / 4));
		send_own(&p, 1000, 0);
		assert_int_equal(pair_info(&p).tx.bytes - p.before_tx,
				 p.accepted);
		assert_int_equal(ktls_flush(p.conn, 0), 0);
		fake_socket(p.fd)->lazy = true;
		fake_socket(p.peer_fd)->capacity = 3000;
		p.peer_deaf = true;
		send_own(&p, 9000, i & 1 ? MSG_MORE : 0);
		assert_errno(ktls_flush(p.conn, 0), EAGAIN);
		assert_errno(ktls_flush(p.conn, 20), ETIMEDOUT);
		assert_true(pair_info(&p).unsent > 0);
		p.peer_deaf = false;
		p.slow = true;
		/* the record that nobody said is open, too */
		for (int k = 0; ktls_flush(p.conn, 0) < 0; k++) {
			assert_true(k < 1000);
			pair_wait(&p, "ktls_flush");
		}
		pair_peer(&p);
		assert_int_equal(p.peer_got, p.accepted);
		/* mixed with the library's own */
		if (i & 2)
			pair_send(&p, 5000, 5000);
		pair_finish(&p);
	}
}

/* The limit of a key is the library's to keep, with these records as well. */
static void own_records_use_up_the_key(void **state)
{
	struct pair p;

	(void)state;
	start(&p, DOOR_NEW, KTLS_REQUIRE, KTLS_REQUIRE);
	p.policy.rekey_after = 40;
	assert_int_equal(ktls_set_policy(p.conn, &p.policy), 0);
	pair_send(&p, 1, 1);
	for (int round = 1; round < 4; round++) {
		const uint32_t before = pair_info(&p).tx.rekeys;

		for (int i = 0; ktls_raw_io(p.conn) & KTLS_TX; i++) {
			assert_true(i < 60);
			send_own(&p, 100, 0);
		}
		assert_int_equal(ktls_flush(p.conn, 0), 0);
		assert_int_equal(pair_info(&p).tx.rekeys, before + 1);
		assert_true(ktls_raw_io(p.conn) & KTLS_TX);
		pair_settle(&p);
	}
	doors_talk(&p);
	pair_finish(&p);
}

/* Data, tickets, KeyUpdates, whole or in parts. */
static void own_reads_are_told(void **state)
{
	static const size_t chunks[] = {1, 3, 100, 20000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(chunks) * DOORS; i++) {
		const size_t chunk = chunks[i / DOORS];
		struct pair_options o = {.door = (enum pair_door)(i % DOORS),
					 .tx = KTLS_REQUIRE,
					 .rx = KTLS_REQUIRE};
		struct pair p;
		uint8_t byte;

		fake_reset();
		pair_start(&p, &o);
		p.peer_todo = 700;
		pair_peer(&p);
		(void)receive_own(&p, chunk);
		assert_int_equal(p.got, 700);
		assert_int_equal(pair_info(&p).rx.bytes - p.before_rx, 700);
		assert_int_equal(pair_info(&p).rx.kernel_bytes - p.kernel_rx,
				 700);
		if (o.door != DOOR_KEYS_KEY) {
			const bool hold = i & 1;

			if (hold)
				assert_int_equal(ktls_raw_io(p.conn),
						 KTLS_TX | KTLS_RX);
			assert_int_equal(SSL_key_update(p.peer, 1), 1);
			p.peer_todo = 500;
			pair_peer(&p);
			(void)receive_own(&p, chunk);
			assert_int_equal(p.got, 1200);
			assert_int_equal(pair_info(&p).rx.rekeys, 1);
			/* who may send is not sent in between of */
			assert_int_equal(pair_info(&p).tx.rekeys, !hold);
			if (hold)
				assert_int_equal(ktls_raw_io(p.conn), KTLS_RX);
			assert_int_equal(ktls_flush(p.conn, 0), 0);
			assert_int_equal(pair_info(&p).tx.rekeys, 1);
			assert_int_equal(ktls_raw_io(p.conn), KTLS_TX | KTLS_RX);
		}
		send_own(&p, 100, 0);
		pair_settle(&p);
		p.peer_closes = false;
		assert_int_equal(SSL_shutdown(p.peer), 0);
		assert_int_equal(receive_own(&p, chunk), 0);
		assert_int_equal(ktls_raw_io(p.conn), KTLS_TX);
		assert_int_equal(ktls_read(p.conn, &byte, 1), 0);
		pair_free(&p);
	}
}

/* What one's own recvmsg() says, the library has to say what it means. */
static void errors_of_own_reads_are_explained(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct fake_socket *s;
		uint8_t buf[100], type;
		struct pair p;
		int flags;

		all(&p, DOOR_NEW);
		s = fake_socket(p.fd);
		p.peer_todo = 100;
		if (i == 2) {
			fake_raw_fin(p.peer_fd);
			assert_int_equal(
				rawtls_receive(p.fd, buf, 100, 1, buf, &flags),
				0);
			assert_errno(ktls_read(p.conn, buf, 1), ECONNABORTED);
		} else if (i == 1) {
			pair_peer(&p);
			s->in.p[s->in.off + 40] ^= 1;
			assert_int_equal(receive_own(&p, 100), -EBADMSG);
			assert_errno(ktls_read(p.conn, buf, 1), EBADMSG);
			assert_int_equal(ktls_raw_io(p.conn), 0);
		} else {
			/* a KeyUpdate, of which nobody has told the library */
			assert_int_equal(SSL_key_update(p.peer, 0), 1);
			pair_peer(&p);
			assert_int_equal(rawtls_receive(p.fd, buf, 100, 1,
							&type, &flags),
					 5);
			assert_int_equal(rawtls_receive(p.fd, buf + 5, 90, 1,
							buf + 95, &flags),
					 -EKEYEXPIRED);
			assert_errno(ktls_raw_received(p.conn,
						       type | KTLS_RECORD_END,
						       buf, 5),
				     EAGAIN);
			pair_receive(&p, 100, 100);
		}
		pair_free(&p);
	}
}

static void types_are_parsed(void **state)
{
	char room[CMSG_SPACE(1) + 8];
	union {
		struct cmsghdr c;
		char room[CMSG_SPACE(1)];
	} u = {.room = {0}};

	(void)state;
	for (unsigned int type = 20; type < 26; type++)
		for (size_t off = 0; off < 8; off++) {
			u.c = (struct cmsghdr){.cmsg_len = CMSG_LEN(1),
					       .cmsg_level = 282,
					       .cmsg_type = TLS_GET_RECORD_TYPE};
			*CMSG_DATA(&u.c) = (uint8_t)type;
			/* wherever it is in memory */
			memcpy(room + off, &u, sizeof(u));
			assert_int_equal(
				ktls_cmsg_parse(room + off, sizeof(u), 0), type);
			assert_int_equal(ktls_cmsg_parse(room + off,
							 CMSG_LEN(1), MSG_EOR),
					 type | KTLS_RECORD_END);
			assert_errno(ktls_cmsg_parse(room + off, sizeof(u),
						     MSG_CTRUNC | MSG_EOR),
				     EPROTO);
		}
	for (size_t n = 0; n < CMSG_LEN(1); n++)
		assert_errno(ktls_cmsg_parse(&u, n, MSG_EOR), EPROTO);
	assert_errno(ktls_cmsg_parse(NULL, sizeof(u), 0), EPROTO);
	u.c.cmsg_type = TLS_SET_RECORD_TYPE;
	assert_errno(ktls_cmsg_parse(&u, sizeof(u), 0), EPROTO);
	u.c.cmsg_type = TLS_GET_RECORD_TYPE;
	u.c.cmsg_level = SOL_SOCKET;
	assert_errno(ktls_cmsg_parse(&u, sizeof(u), 0), EPROTO);
	u.c.cmsg_level = 282;
	u.c.cmsg_len = SIZE_MAX;
	assert_errno(ktls_cmsg_parse(&u, sizeof(u), 0), EPROTO);
	u.c.cmsg_len = CMSG_LEN(0);
	assert_errno(ktls_cmsg_parse(&u, sizeof(u), 0), EPROTO);
}

/* What waits for the caller's own sends to end is nothing to poll for. */
static void held_back_is_not_waited_for(void **state)
{
	static const uint8_t hello_request[] = {0, 0, 0, 0};
	const struct pair_options o = {.door = DOOR_KEYS_KEY,
				       .version = TLS1_2_VERSION,
				       .tx = KTLS_REQUIRE,
				       .rx = KTLS_REQUIRE};
	struct pair p;
	uint8_t byte;

	(void)state;
	fake_reset();
	pair_start(&p, &o);
	assert_int_equal(ktls_raw_io(p.conn), KTLS_TX | KTLS_RX);
	pair_inject(&p, KTLS_RECORD_HANDSHAKE, hello_request,
		    sizeof(hello_request));
	assert_errno(ktls_read(p.conn, &byte, 1), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLIN);
	assert_int_equal(ktls_raw_io(p.conn), KTLS_RX);
	assert_int_equal(ktls_flush(p.conn, 0), 0);
	assert_int_equal(ktls_raw_io(p.conn), KTLS_TX | KTLS_RX);
	pair_free(&p);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(only_the_kernels_directions),
	cmocka_unit_test(arguments_are_checked),
	cmocka_unit_test(library_comes_first),
	cmocka_unit_test(flush_and_close_wait_for_own_bytes),
	cmocka_unit_test(own_records_use_up_the_key),
	cmocka_unit_test(own_reads_are_told),
	cmocka_unit_test(errors_of_own_reads_are_explained),
	cmocka_unit_test(held_back_is_not_waited_for),
	cmocka_unit_test(types_are_parsed),
};

int main(void)
{
	const int r = ktest_run("rawio", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
