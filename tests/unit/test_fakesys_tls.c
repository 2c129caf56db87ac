/* SPDX-License-Identifier: MIT */
/* The model's TLS sockets: installing keys, records out, records in. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "ktest.h"
#include "rawtls.h"

enum { CAPACITY = 100000, OVERHEAD = 22 };

static int fd[2];

static int setup(void **state)
{
	(void)state;
	fake_reset();
	rawtls_pair(fd, CAPACITY, 0x0304);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

static ssize_t control(int s, uint8_t type, const void *p, size_t n)
{
	return rawtls_send(s, type, p, n, 1, 0);
}

static ssize_t receive(int s, void *p, size_t n, uint8_t *type, int *flags)
{
	*flags = 0;
	return rawtls_receive(s, p, n, 1, type, flags);
}

static void keys_need_the_ulp_and_go_in_once(void **state)
{
	int s[2];

	(void)state;
	fake_tcp_pair(s, 10);
	assert_int_equal(rawtls_keys(s[0], TLS_TX, 0x0304), -ENOPROTOOPT);
	assert_int_equal(ktls__sys_setsockopt(s[0], IPPROTO_TCP, 31, "no", 2),
			 -ENOENT);
	assert_int_equal(rawtls_ulp(s[0]), 0);
	assert_int_equal(rawtls_ulp(s[0]), -EEXIST);
	assert_int_equal(rawtls_keys(s[0], TLS_TX, 0x0302), -EINVAL);
	assert_int_equal(rawtls_keys(s[0], TLS_TX, 0x0303), 0);
	assert_int_equal(rawtls_keys(s[0], TLS_TX, 0x0303), -EBUSY);
	/* both directions speak the same */
	assert_int_equal(rawtls_keys(s[0], TLS_RX, 0x0304), -EINVAL);
	assert_int_equal(rawtls_keys(s[0], TLS_RX, 0x0303), 0);
	fake_raw_fin(s[0]);
	assert_int_equal(rawtls_ulp(s[1]), -ENOTCONN);
}

static void bad_crypto_info_is_einval(void **state)
{
	struct tls12_crypto_info_aes_gcm_128 i = rawtls_info(0x0304);
	int s[2];

	(void)state;
	fake_tcp_pair(s, 10);
	rawtls_ulp(s[0]);
	assert_int_equal(
		ktls__sys_setsockopt(s[0], 282, TLS_TX, &i, sizeof(i) - 1),
		-EINVAL);
	i.info.cipher_type = 59;
	assert_int_equal(ktls__sys_setsockopt(s[0], 282, TLS_TX, &i, sizeof(i)),
			 -EINVAL);
	i.info.cipher_type = 57;
	assert_int_equal(ktls__sys_setsockopt(s[0], 282, TLS_TX, &i, sizeof(i)),
			 -EINVAL);
}

static void getsockopt_gives_the_next_number(void **state)
{
	struct tls12_crypto_info_aes_gcm_128 i;
	socklen_t len = sizeof(i);

	(void)state;
	ktls__sys_send(fd[0], "abc", 3);
	control(fd[0], 21, "xy", 2);
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, TLS_TX, &i, &len), 0);
	assert_int_equal(i.rec_seq[7], 11);
	assert_int_equal(i.info.cipher_type, TLS_CIPHER_AES_GCM_128);
	assert_int_equal(ktls__sys_getsockopt(fd[1], 282, TLS_TX, &i, &len),
			 -EBUSY);
	len--;
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, TLS_TX, &i, &len),
			 -EINVAL);
}

/* net/tls/tls_main.c, do_tls_getsockopt_conf() */
static void getsockopt_gives_the_head_alone(void **state)
{
	struct tls12_crypto_info_aes_gcm_128 i;
	struct tls_crypto_info head = {0, 0};
	socklen_t len = sizeof(head);
	int plain[2];

	(void)state;
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, TLS_TX, &head, &len),
			 0);
	assert_int_equal(len, sizeof(head));
	assert_int_equal(head.version, fake_socket(fd[0])->tx.version);
	assert_int_equal(head.cipher_type, TLS_CIPHER_AES_GCM_128);
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, TLS_RX, &head, &len),
			 -EBUSY);
	len = sizeof(head) - 1;
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, TLS_TX, &head, &len),
			 -EINVAL);
	len = sizeof(head) + 1;
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, TLS_TX, &i, &len),
			 -EINVAL);
	fake_tcp_pair(plain, 1000);
	len = sizeof(head);
	assert_int_equal(ktls__sys_getsockopt(plain[0], 282, TLS_TX, &head, &len),
			 -ENOPROTOOPT);
	assert_int_equal(rawtls_ulp(plain[0]), 0);
	assert_int_equal(ktls__sys_getsockopt(plain[0], 282, TLS_TX, &head, &len),
			 -EBUSY);
}

static void data_records_come_together_control_alone(void **state)
{
	uint8_t buf[100], type;
	int flags;

	(void)state;
	ktls__sys_send(fd[0], "abc", 3);
	ktls__sys_send(fd[0], "defg", 4);
	control(fd[0], 22, "control", 7);
	control(fd[0], 22, "again", 5);
	ktls__sys_send(fd[0], "h", 1);
	assert_int_equal(receive(fd[1], buf, 100, &type, &flags), 7);
	assert_memory_equal(buf, "abcdefg", 7);
	assert_int_equal(type, 23);
	assert_true(flags & MSG_EOR);
	assert_int_equal(receive(fd[1], buf, 4, &type, &flags), 4);
	assert_int_equal(type, 22);
	assert_false(flags & MSG_EOR);
	assert_int_equal(receive(fd[1], buf, 100, &type, &flags), 3);
	assert_memory_equal(buf, "rol", 3);
	assert_int_equal(type, 22);
	assert_true(flags & MSG_EOR);
	assert_int_equal(receive(fd[1], buf, 100, &type, &flags), 5);
	assert_int_equal(receive(fd[1], buf, 100, &type, &flags), 1);
	assert_int_equal(receive(fd[1], buf, 100, &type, &flags), -EAGAIN);
	fake_raw_fin(fd[0]);
	assert_int_equal(receive(fd[1], buf, 100, &type, &flags), 0);
	assert_int_equal(type, 0);
}

static void plain_recv_of_control_is_eio_and_keeps_it(void **state)
{
	uint8_t buf[100], type;
	int flags;

	(void)state;
	ktls__sys_send(fd[0], "abc", 3);
	control(fd[0], 21, "xy", 2);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 100), 3);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 100), -EIO);
	assert_int_equal(ktls__sys_poll(fd[1], POLLIN, 0), POLLIN);
	assert_int_equal(receive(fd[1], buf, 100, &type, &flags), 2);
	assert_int_equal(type, 21);
}

static void half_a_record_is_not_readable(void **state)
{
	struct fake_socket *s = fake_socket(fd[1]);
	uint8_t buf[100], last;

	(void)state;
	ktls__sys_send(fd[0], "abc", 3);
	last = s->in.p[s->in.off + --s->in.len];
	assert_int_equal(ktls__sys_poll(fd[1], POLLIN, 0), 0);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 100), -EAGAIN);
	fake_put(&s->in, &last, 1);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 100), 3);
}

static int error_of(size_t at, uint8_t value)
{
	struct fake_socket *s;
	uint8_t buf[100];
	ssize_t r;

	fake_reset();
	setup(NULL);
	ktls__sys_send(fd[0], "good", 4);
	ktls__sys_send(fd[0], "abc", 3);
	s = fake_socket(fd[1]);
	s->in.p[s->in.off + 4 + OVERHEAD + at] = value;
	/* what was good before comes first, and the error stays */
	assert_int_equal(ktls__sys_recv(fd[1], buf, 100), 4);
	r = ktls__sys_recv(fd[1], buf, 100);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 100), r);
	return (int)-r;
}

static void bad_records_have_their_errors(void **state)
{
	(void)state;
	assert_int_equal(error_of(10, 0), EBADMSG);
	assert_int_equal(error_of(1, 2), EINVAL);
	assert_int_equal(error_of(3, 0x60), EMSGSIZE);
	assert_int_equal(error_of(4, 3), EBADMSG);
}

static void receive_error_is_met_by_the_next_send_or_so_error(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		socklen_t len = sizeof(int);
		int e = 0;

		error_of(10, 0);
		if (i == 0) {
			assert_int_equal(ktls__sys_send(fd[1], "x", 1), -EBADMSG);
		} else {
			assert_int_equal(ktls__sys_getsockopt(fd[1], SOL_SOCKET,
							      SO_ERROR, &e, &len),
					 0);
			assert_int_equal(e, EBADMSG);
		}
		assert_int_equal(ktls__sys_send(fd[1], "x", 1), 1);
	}
}

static void one_more_record_is_accepted_where_there_is_any_room(void **state)
{
	static uint8_t buf[200000];
	struct fake_socket *s = fake_socket(fd[0]);
	ssize_t n;

	(void)state;
	/* six records fit, of the seventh a part */
	n = ktls__sys_send(fd[0], buf, sizeof(buf));
	assert_int_equal(n, 7 * FAKE_RECORD);
	assert_int_equal(s->tx_list.len, 7 * (FAKE_RECORD + OVERHEAD) - CAPACITY);
	assert_int_equal(ktls__sys_send(fd[0], buf, 1), -EAGAIN);
	assert_int_equal(control(fd[0], 21, buf, 2), -EAGAIN);
	/* the worker goes on as the peer reads */
	for (n = 0; n < 7 * FAKE_RECORD;) {
		const ssize_t r = ktls__sys_recv(fd[1], buf, sizeof(buf));

		assert_true(r > 0);
		n += r;
	}
	assert_int_equal(s->tx_list.len, 0);
}

static void close_and_shutdown_lose_what_tcp_has_not_got(void **state)
{
	static uint8_t buf[200000];

	(void)state;
	for (int i = 0; i < 2; i++) {
		setup(NULL);
		ktls__sys_send(fd[0], buf, sizeof(buf));
		(i ? ktls__sys_close : ktls__sys_shutdown_wr)(fd[0]);
		assert_int_equal(fake_socket_any(fd[0])->lost,
				 7 * (FAKE_RECORD + OVERHEAD) - CAPACITY);
		/* six whole records, then a clean end */
		for (int k = 0; k < 6; k++)
			assert_int_equal(ktls__sys_recv(fd[1], buf, FAKE_RECORD),
					 FAKE_RECORD);
		assert_int_equal(ktls__sys_recv(fd[1], buf, FAKE_RECORD), 0);
	}
}

static void part_of_a_sendfile_leaves_an_open_record(void **state)
{
	const int f = fake_file(FAKE_REGULAR, 3, 5000);
	struct ktls__sigpipe sigpipe = {.blocked = false};
	struct fake_socket *s = fake_socket(fd[0]);
	uint8_t buf[5000];
	off_t off = 0;

	(void)state;
	ktls__sys_sigpipe_block(&sigpipe);
	fake_limit(FAKE_SENDFILE, 4096);
	assert_int_equal(ktls__sys_sendfile(fd[0], f, &off, 5000), 4096);
	assert_int_equal(off, 4096);
	assert_int_equal(s->open_record.len, 4096);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), -EAGAIN);
	fake_heal();
	assert_int_equal(ktls__sys_sendfile(fd[0], f, &off, 5000), 904);
	assert_int_equal(s->open_record.len, 0);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), 5000);
	assert_int_equal(fake_pattern_check(3, 0, buf, 5000), 5000);
	assert_int_equal(ktls__sys_sendfile(fd[0], f, &off, 5000), 0);
	off = 0;
	fake_limit(FAKE_SENDFILE, 100);
	ktls__sys_sendfile(fd[0], f, &off, 5000);
	assert_int_equal(control(fd[0], 21, buf, 0), 0);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), 100);
	ktls__sys_sigpipe_restore(&sigpipe);
}

/* As from 6.14 on: reads stop until the key is there, whatever is behind. */
static void keyupdate_stops_reads_until_the_next_key(void **state)
{
	static const uint8_t update[] = {24, 0, 0, 1, 0};
	uint8_t buf[100], type;
	int flags;

	(void)state;
	assert_broken(rawtls_keys(fd[0], TLS_TX, 0x0304), "without");
	assert_int_equal(ktls__sys_send(fd[0], "old", 3), 3);
	/* in parts, of which only the last one matters to who sends */
	assert_int_equal(control(fd[0], 22, update, 2), 2);
	assert_broken(ktls__sys_send(fd[0], "x", 1), "in the middle");
	assert_broken(rawtls_keys(fd[0], TLS_TX, 0x0304), "without");
	assert_int_equal(control(fd[0], 22, update + 2, 3), 3);
	assert_broken(ktls__sys_send(fd[0], "x", 1), "under the old key");
	assert_int_equal(rawtls_keys(fd[0], TLS_TX, 0x0304), 0);
	assert_int_equal(ktls__sys_send(fd[0], "new", 3), 3);

	assert_int_equal(receive(fd[1], buf, 100, &type, &flags), 3);
	assert_int_equal(receive(fd[1], buf, 100, &type, &flags), 2);
	assert_int_equal(type, 22);
	/* and the first one to who receives */
	assert_int_equal(receive(fd[1], buf, 100, &type, &flags), -EKEYEXPIRED);
	assert_int_equal(ktls__sys_poll(fd[1], POLLIN, 0), 0);
	assert_int_equal(rawtls_keys(fd[1], TLS_RX, 0x0304), 0);
	assert_int_equal(fake_socket(fd[0])->rekeys[0], 1);
	assert_int_equal(fake_socket(fd[1])->rekeys[1], 1);
	fake_kernel.no_rekey = true;
	assert_int_equal(rawtls_keys(fd[1], TLS_RX, 0x0304), -EBUSY);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(keys_need_the_ulp_and_go_in_once),
	T(bad_crypto_info_is_einval),
	T(getsockopt_gives_the_next_number),
	T(getsockopt_gives_the_head_alone),
	T(data_records_come_together_control_alone),
	T(plain_recv_of_control_is_eio_and_keeps_it),
	T(half_a_record_is_not_readable),
	T(bad_records_have_their_errors),
	T(receive_error_is_met_by_the_next_send_or_so_error),
	T(one_more_record_is_accepted_where_there_is_any_room),
	T(close_and_shutdown_lose_what_tcp_has_not_got),
	T(part_of_a_sendfile_leaves_an_open_record),
	T(keyupdate_stops_reads_until_the_next_key),
};

KTEST_MAIN("fakesys_tls", tests)
