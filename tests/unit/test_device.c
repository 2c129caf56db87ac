/* SPDX-License-Identifier: MIT */
/* Open records on a NIC: no empty ones, nothing swallowed, nothing forgotten. */
#include "pair.h"

#include <poll.h>

#include "fake_core.h"

static void start(struct pair *p, uint32_t rx, size_t capacity)
{
	const struct pair_options o = {.version = TLS1_2_VERSION,
				       .server = true,
				       .tx = KTLS_REQUIRE,
				       .rx = rx,
				       .capacity = capacity};

	fake_reset();
	fake_kernel.device_tx = true;
	pair_start(p, &o);
	assert_int_equal(pair_info(p).tx.mode, KTLS_MODE_DEVICE);
}

static void more(struct pair *p, size_t n)
{
	uint8_t buf[1000];
	const struct iovec iov = {buf, n};

	fake_pattern(OURS, p->accepted, buf, n);
	assert_int_equal(ktls_writev(p->conn, &iov, 1, KTLS_MORE), n);
	p->accepted += n;
}

/* With RX in the kernel the alert would take the bytes with it. */
static void alert_comes_behind_the_open_record(void **state)
{
	struct fake_socket *s;
	struct pair p;
	char buf[10];

	(void)state;
	start(&p, KTLS_REQUIRE, 0);
	p.peer_todo = 100;
	pair_peer(&p);
	s = fake_socket(p.fd);
	s->in.p[s->in.off + 50] ^= 1;
	more(&p, 100);
	assert_errno(ktls_read(p.conn, buf, 10), EBADMSG);
	pair_peer(&p);
	assert_int_equal(p.peer_got, 100);
	assert_non_null(strstr(p.peer_text, "bad record mac"));
	assert_no_leak(&p);
	pair_free(&p);
}

/* A file that ends early, when the socket is too full to close its record. */
static void tail_of_a_file_is_not_forgotten(void **state)
{
	off_t off = 50000;
	struct pair p;
	ssize_t n;
	int file;

	(void)state;
	start(&p, KTLS_OFF, 60000);
	p.peer_deaf = true;
	pair_send(&p, 50000, 9000);
	file = fake_file(FAKE_REGULAR, OURS, 50100);
	/* it is read and sent with MSG_MORE: there should be more */
	fake_file_of(file)->splice_errno = EINVAL;
	n = ktls_sendfile(p.conn, file, &off, 200);
	/* else there would be no reason to come back */
	assert_int_equal(n, 99);
	p.accepted += 99;
	p.peer_deaf = false;
	while ((n = ktls_sendfile(p.conn, file, &off, 200)) != 0) {
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		else
			p.accepted += (uint64_t)n;
		pair_peer(&p);
	}
	/* nobody calls again */
	pair_peer(&p);
	assert_int_equal(p.accepted, 50100);
	assert_int_equal(p.peer_got, 50100);
	pair_finish(&p);
}

/* poll(2) does not say POLLOUT then, and there is nothing to wait for. */
static void error_of_the_socket_ends_the_wait(void **state)
{
	struct pair p;

	(void)state;
	start(&p, KTLS_OFF, 60000);
	p.peer_deaf = true;
	pair_send(&p, 50000, 9000);
	more(&p, 100);
	fake_socket(p.fd)->so_error = ECONNRESET;
	assert_errno(ktls_flush(p.conn, -1), ECONNRESET);
	pair_free(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(alert_comes_behind_the_open_record),
		cmocka_unit_test(tail_of_a_file_is_not_forgotten),
		cmocka_unit_test(error_of_the_socket_ends_the_wait),
	};
	const int r = cmocka_run_group_tests_name("device", tests, NULL, NULL);

	certs_free();
	return r;
}
