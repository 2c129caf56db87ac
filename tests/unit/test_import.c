/* SPDX-License-Identifier: MIT */
/*
 * ktls_import() of what is no image, or not of this socket: never a crash,
 * never a byte of plaintext, and the socket as it was.
 */
#include "doors.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <openssl/rand.h>

#include "rawtls.h"

static uint8_t image[8192];
static size_t length;

/* A connection that has been exported, with all that an image may have. */
static void start(struct pair *p, const struct pair_options *o)
{
	uint8_t buf[10];

	fake_reset();
	pair_start(p, o);
	doors_talk(p);
	p->peer_todo = 300;
	pair_peer(p);
	assert_int_equal(ktls_peek(p->conn, buf, 10), 10);
	length = (size_t)ktls_export(p->conn, image, sizeof(image));
	assert_true(length > 300 && length <= sizeof(image));
	ktls_conn_free(p->conn);
	p->conn = NULL;
}

static const struct pair_options options[] = {
	{.door = DOOR_NEW, .tx = KTLS_OFF, .rx = KTLS_OFF, .server = true},
	{.door = DOOR_NEW, .tx = KTLS_REQUIRE, .rx = KTLS_REQUIRE},
	{.door = DOOR_KEYS_KEY, .tx = KTLS_OFF, .rx = KTLS_REQUIRE},
	{.door = DOOR_NEW, .tx = KTLS_OFF, .rx = KTLS_OFF, .version = TLS1_2_VERSION},
	{.door = DOOR_NEW,
	 .tx = KTLS_REQUIRE,
	 .rx = KTLS_OFF,
	 .version = TLS1_2_VERSION,
	 .server = true},
};

static void refused(struct pair *p, int fd, const void *p_image, size_t n, int e)
{
	const struct fake_socket *s = fake_socket(p->fd);
	const int fl = s->fl;
	const size_t sent = s->wire.len;

	errno = 0;
	assert_null(ktls_import(fd, p_image, n, &p->policy));
	assert_int_equal(errno, e);
	assert_int_equal(s->fl, fl);
	assert_int_equal(s->wire.len, sent);
}

static void good(struct pair *p)
{
	p->conn = ktls_import(p->fd, image, length, &p->policy);
	assert_non_null(p->conn);
	pair_receive(p, 300, 100);
	doors_talk(p);
	pair_finish(p);
}

static void wrong_length_is_emsgsize(void **state)
{
	uint8_t *copy;
	struct pair p;

	start(&p, *state);
	for (size_t n = 0; n < length; n++) {
		/* on the heap, where reading too far is noticed */
		copy = malloc(n ? n : 1);
		assert_non_null(copy);
		memcpy(copy, image, n);
		refused(&p, p.fd, copy, n, EMSGSIZE);
		free(copy);
	}
	refused(&p, p.fd, image, length + 1, EMSGSIZE);
	refused(&p, p.fd, image, sizeof(image), EMSGSIZE);
	refused(&p, p.fd, NULL, length, EINVAL);
	refused(&p, p.fd, NULL, 0, EINVAL);
	good(&p);
}

static void foreign_bytes_are_ebadmsg(void **state)
{
	static uint8_t random[sizeof(image)];
	struct pair p;

	start(&p, *state);
	for (size_t n = 16; n < 3000; n += 7) {
		assert_int_equal(RAND_bytes(random, (int)n), 1);
		refused(&p, p.fd, random, n, EBADMSG);
		memset(random, 0, n);
		refused(&p, p.fd, random, n, EBADMSG);
	}
	/* with the right head, and the right length */
	for (int i = 0; i < 1000; i++) {
		memcpy(random, image, length);
		RAND_bytes(random + 24, 440);
		errno = 0;
		assert_null(ktls_import(p.fd, random, length, &p.policy));
		assert_true(errno == EBADMSG || errno == EMSGSIZE);
	}
	/* another format: the number behind the name */
	image[8] ^= 2;
	refused(&p, p.fd, image, length, EPROTONOSUPPORT);
	image[8] ^= 2;
	good(&p);
}

static void wrong_socket_is_estale(void **state)
{
	struct fake_socket *s;
	struct pair p;
	int other[2];

	start(&p, *state);
	s = fake_socket(p.fd);
	fake_tcp_pair(other, 1000);
	refused(&p, other[0], image, length, ESTALE);
	refused(&p, p.peer_fd, image, length, ESTALE);
	refused(&p, -1, image, length, EBADF);
	fake_fail(FAKE_GET_TYPE, 1, ENOTSOCK);
	refused(&p, p.fd, image, length, ENOTSOCK);
	s->type = SOCK_DGRAM;
	refused(&p, p.fd, image, length, EPROTOTYPE);
	s->type = SOCK_STREAM;
	p.policy.tx = 17;
	refused(&p, p.fd, image, length, EINVAL);
	p.policy.tx = KTLS_AUTO;
	/* the kernel has other keys than the image says, or none */
	if (s->tx.on) {
		s->tx.on = false;
		refused(&p, p.fd, image, length, ESTALE);
		s->tx.on = true;
		/* of the same size */
		assert_int_equal(s->tx.cipher, 52);
		s->tx.cipher = 54;
		refused(&p, p.fd, image, length, ESTALE);
		s->tx.cipher = 52;
	} else {
		const struct fake_socket before = *s;

		s->ulp = true;
		for (unsigned int cipher = 51; cipher < 54; cipher++) {
			s->tx.on = true;
			s->tx.version = p.o.version ? 0x0303 : 0x0304;
			s->tx.cipher = cipher;
			refused(&p, p.fd, image, length, ESTALE);
		}
		s->tx = before.tx;
		s->ulp = before.ulp;
	}
	good(&p);
}

/* Whatever it says then: no plaintext leaves, and nothing breaks. */
static void damage(struct pair *p, size_t at, uint8_t with)
{
	static uint8_t data[300];
	const int fl = fake_socket(p->fd)->fl;

	image[at] ^= with;
	p->conn = ktls_import(p->fd, image, length, &p->policy);
	image[at] ^= with;
	if (!p->conn) {
		assert_int_equal(fake_socket(p->fd)->fl, fl);
		return;
	}
	fake_pattern(OURS, 0, data, sizeof(data));
	(void)!ktls_write(p->conn, data, sizeof(data));
	(void)!ktls_read(p->conn, data, sizeof(data));
	(void)pair_info(p);
	(void)!ktls_flush(p->conn, 0);
	(void)!ktls_write(p->conn, data, sizeof(data));
	ktls_conn_free(p->conn);
	p->conn = NULL;
	assert_null(fake_leaks(p->fd));
}

static void damage_sends_no_plaintext(void **state)
{
	static const uint8_t with[] = {1, 2, 3, 5, 0x80, 0xff};
	struct pair p;

	for (int tcp = 0; tcp < 2; tcp++) {
		const struct pair_options *o = *state;

		/* a socket that no kernel can have keys of */
		if (!tcp && (o->tx == KTLS_REQUIRE || o->rx == KTLS_REQUIRE))
			continue;
		start(&p, o);
		p.peer_deaf = true;
		fake_socket(p.peer_fd)->capacity = SIZE_MAX / 4;
		fake_socket(p.fd)->rcvtimeo_ms = 1;
		fake_socket(p.fd)->sndtimeo_ms = 1;
		if (!tcp)
			fake_socket(p.fd)->domain = AF_UNIX;
		for (size_t at = 0; at < length; at++)
			for (size_t i = 0; i < ARRAY_SIZE(with); i++)
				damage(&p, at, with[i]);
		pair_free(&p);
	}
}

static void every_system_call_may_fail(void **state)
{
	unsigned int failures = 0;

	for (int call = 0; call < FAKE_CALLS; call++) {
		struct pair p;
		int fl;

		start(&p, *state);
		fl = fake_socket(p.fd)->fl &= ~O_NONBLOCK;
		fake_fail((enum fake_call)call, 1, EDOM);
		errno = 0;
		p.conn = ktls_import(p.fd, image, length, &p.policy);
		fake_heal();
		if (!p.conn) {
			failures++;
			assert_true(errno == EDOM || errno == ESTALE);
			assert_int_equal(fake_socket(p.fd)->fl, fl);
		} else {
			ktls_conn_free(p.conn);
		}
		good(&p);
	}
	assert_true(failures >= 4);
}

/* Whether the socket was the giver's to block goes along. */
static void blocking_socket_blocks(void **state)
{
	struct pair_options o = *(const struct pair_options *)*state;
	unsigned int polls;
	uint8_t buf[1];
	struct pair p;

	for (int blocking = 0; blocking < 2; blocking++) {
		o.blocking = blocking;
		start(&p, &o);
		assert_true(fake_socket(p.fd)->fl & O_NONBLOCK);
		p.conn = ktls_import(p.fd, image, length, &p.policy);
		assert_non_null(p.conn);
		pair_receive(&p, 300, 300);
		fake_socket(p.fd)->rcvtimeo_ms = 20;
		polls = fake_count(FAKE_POLL);
		assert_errno(ktls_read(p.conn, buf, 1), EAGAIN);
		assert_int_equal(fake_count(FAKE_POLL) - polls, blocking);
		if (blocking)
			assert_int_equal(fake_poll_timeout, 20);
		doors_talk(&p);
		ktls_conn_free(p.conn);
		p.conn = NULL;
		assert_int_equal(fake_socket(p.fd)->fl & O_NONBLOCK,
				 blocking ? 0 : O_NONBLOCK);
		pair_free(&p);
	}
}

int main(void)
{
	static const char *const names[] = {"user", "kernel", "mixed",
					    "user_1_2", "mixed_1_2"};
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
#define ADD(f)                                                                 \
	ktest_add(&t, f, (void *)(uintptr_t)&options[i], #f "_%s", names[i])
		ADD(wrong_length_is_emsgsize);
		ADD(foreign_bytes_are_ebadmsg);
		ADD(wrong_socket_is_estale);
		ADD(damage_sends_no_plaintext);
		ADD(every_system_call_may_fail);
		ADD(blocking_socket_blocks);
	}
	r = ktest_run_table("import", &t);
	certs_free();
	return r;
}
