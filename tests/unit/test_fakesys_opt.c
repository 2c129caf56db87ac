/* SPDX-License-Identifier: MIT */
/* The model's options of sockets, its loopback, and its kinds of kernel. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "ktest.h"
#include "rawtls.h"

static int fd[2];

static int setup(void **state)
{
	(void)state;
	fake_reset();
	fake_tcp_pair(fd, 100000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

static int set_payload(unsigned int n)
{
	const uint16_t v = (uint16_t)n;

	return ktls__sys_setsockopt(fd[0], 282, 5, &v, sizeof(v));
}

static int set_no_pad(int s, uint32_t v)
{
	return ktls__sys_setsockopt(s, 282, 4, &v, sizeof(v));
}

static void longest_record_is_set_before_the_keys(void **state)
{
	uint8_t buf[2000] = {0};
	socklen_t len = 2;
	uint16_t v;

	(void)state;
	assert_int_equal(set_payload(512), -ENOPROTOOPT);
	assert_int_equal(rawtls_ulp(fd[0]), 0);
	assert_int_equal(set_payload(63), -EINVAL);
	assert_int_equal(set_payload(16385), -EINVAL);
	assert_int_equal(ktls__sys_setsockopt(fd[0], 282, 5, &len, 4), -EINVAL);
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, 5, &v, &len), 0);
	assert_int_equal(v, 16384);
	assert_int_equal(set_payload(512), 0);
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, 5, &v, &len), 0);
	assert_int_equal(v, 512);
	assert_int_equal(rawtls_keys(fd[0], TLS_TX, 0x0304), 0);
	assert_int_equal(ktls__sys_send(fd[0], buf, 2000), 2000);
	assert_int_equal(fake_socket(fd[0])->tx.seq, 9 + 4);
	assert_broken(set_payload(1000), "behind TLS_TX");
	setup(NULL);
	rawtls_ulp(fd[0]);
	fake_kernel.no_payload_len = true;
	assert_int_equal(set_payload(512), -ENOPROTOOPT);
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, 5, &v, &len),
			 -ENOPROTOOPT);
	assert_int_equal(fake_count(FAKE_SET_PAYLOAD), 1);
	assert_int_equal(fake_count(FAKE_GET_PAYLOAD), 1);
}

static void no_padding_is_expected_of_tls_1_3_only(void **state)
{
	socklen_t len = sizeof(int);
	int v;

	(void)state;
	assert_int_equal(set_no_pad(fd[0], 1), -ENOPROTOOPT);
	rawtls_ulp(fd[0]);
	assert_int_equal(set_no_pad(fd[0], 1), -EINVAL);
	rawtls_keys(fd[0], TLS_RX, 0x0304);
	assert_int_equal(set_no_pad(fd[0], 2), -EINVAL);
	assert_int_equal(set_no_pad(fd[0], 1), 0);
	assert_true(fake_socket(fd[0])->rx_no_pad);
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, 4, &v, &len), 0);
	assert_int_equal(v, 1);
	assert_int_equal(set_no_pad(fd[0], 0), 0);
	assert_false(fake_socket(fd[0])->rx_no_pad);
	fake_kernel.no_expect_no_pad = true;
	assert_int_equal(set_no_pad(fd[0], 1), -ENOPROTOOPT);
	assert_int_equal(ktls__sys_getsockopt(fd[0], 282, 4, &v, &len),
			 -ENOPROTOOPT);
	fake_kernel.no_expect_no_pad = false;
	rawtls_ulp(fd[1]);
	rawtls_keys(fd[1], TLS_RX, 0x0303);
	assert_int_equal(set_no_pad(fd[1], 1), -EINVAL);
}

static int get_tcp(int name)
{
	socklen_t len = sizeof(int);
	int v = -1;

	assert_int_equal(
		ktls__sys_getsockopt(fd[0], IPPROTO_TCP, name, &v, &len), 0);
	assert_int_equal(len, sizeof(v));
	return v;
}

static int set_tcp(int name, int v)
{
	return ktls__sys_setsockopt(fd[0], IPPROTO_TCP, name, &v, sizeof(v));
}

static void tcp_has_its_options(void **state)
{
	socklen_t len = sizeof(int);
	int v;

	(void)state;
	assert_int_equal(get_tcp(TCP_NODELAY), 0);
	assert_int_equal(set_tcp(TCP_NODELAY, 1), 0);
	assert_int_equal(get_tcp(TCP_NODELAY), 1);
	assert_int_equal(fake_count(FAKE_SET_NODELAY), 1);
	assert_int_equal(fake_count(FAKE_GET_NODELAY), 2);
	assert_int_equal(get_tcp(TCP_MAXSEG), 65483);
	fake_socket(fd[0])->mss = 1448;
	assert_int_equal(get_tcp(TCP_MAXSEG), 1448);
	assert_int_equal(set_tcp(TCP_MAXSEG, 100), -ENOPROTOOPT);
	assert_int_equal(set_tcp(TCP_NOTSENT_LOWAT, 77), 0);
	assert_int_equal(get_tcp(TCP_NOTSENT_LOWAT), 77);
	assert_int_equal(
		ktls__sys_getsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &v, &len), 0);
	assert_int_equal(v, 87040);
	fake_fail(FAKE_SET_NODELAY, 1, EINVAL);
	assert_int_equal(set_tcp(TCP_NODELAY, 0), -EINVAL);
	assert_int_equal(get_tcp(TCP_NODELAY), 1);
	ktls__sys_close(fd[0]);
	assert_int_equal(set_tcp(TCP_NODELAY, 0), -EBADF);
}

static void cork_holds_less_than_a_segment(void **state)
{
	static uint8_t buf[5000];

	(void)state;
	fake_socket(fd[0])->mss = 1000;
	assert_int_equal(set_tcp(TCP_CORK, 1), 0);
	assert_int_equal(get_tcp(TCP_CORK), 1);
	assert_int_equal(ktls__sys_send(fd[0], buf, 999), 999);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), -EAGAIN);
	assert_int_equal(ktls__sys_send(fd[0], buf, 1500), 1500);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), 2000);
	assert_int_equal(ktls__sys_outq(fd[0]), 499);
	/* setting it again does not pull it */
	assert_int_equal(set_tcp(TCP_CORK, 1), 0);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), -EAGAIN);
	assert_int_equal(set_tcp(TCP_CORK, 0), 0);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), 499);
	assert_int_equal(ktls__sys_send(fd[0], buf, 1), 1);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), 1);
	/* TCP_NODELAY pushes past it, and so does the end */
	set_tcp(TCP_CORK, 1);
	ktls__sys_send(fd[0], buf, 10);
	assert_int_equal(set_tcp(TCP_NODELAY, 0), 0);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), -EAGAIN);
	assert_int_equal(set_tcp(TCP_NODELAY, 1), 0);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), 10);
	ktls__sys_send(fd[0], buf, 11);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), -EAGAIN);
	ktls__sys_shutdown_wr(fd[0]);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), 11);
	assert_int_equal(ktls__sys_recv(fd[1], buf, 5000), 0);
}

static void loopback_is_a_pair_of_its_own(void **state)
{
	char buf[10];
	int s[2];

	(void)state;
	assert_int_equal(ktls__sys_loopback(s), 0);
	assert_int_equal(ktls__sys_getfl(s[0]), O_RDWR);
	assert_int_equal(ktls__sys_send(s[1], "abc", 3), 3);
	assert_int_equal(ktls__sys_recv(s[0], buf, 10), 3);
	assert_int_equal(fake_own_fds(), 2);
	assert_int_equal(rawtls_ulp(s[0]), 0);
	assert_int_equal(rawtls_keys(s[0], TLS_TX, 0x0304), 0);
	ktls__sys_close(s[0]);
	assert_int_equal(fake_own_fds(), 1);
	ktls__sys_close(s[1]);
	assert_int_equal(fake_own_fds(), 0);
	fake_fail(FAKE_LOOPBACK, 1, EMFILE);
	assert_int_equal(ktls__sys_loopback(s), -EMFILE);
	assert_int_equal(fake_own_fds(), 0);
	/* the caller's own is never a blocking one when it gets keys */
	fake_socket(fd[0])->fl = O_RDWR;
	rawtls_ulp(fd[0]);
	assert_broken(rawtls_keys(fd[0], TLS_TX, 0x0304), "blocking");
}

static void what_is_tried_on_a_loopback_is_not_counted(void **state)
{
	int s[2];

	(void)state;
	for (int counted = 0; counted < 2; counted++) {
		setup(NULL);
		fake_count_probes = counted;
		fake_fail(FAKE_SEND, 0, EIO);
		fake_limit(FAKE_RECV, 1);
		assert_int_equal(ktls__sys_loopback(s), 0);
		assert_int_equal(ktls__sys_send(s[0], "ab", 2),
				 counted ? -EIO : 2);
		fake_raw_write(s[0], "cd", 2);
		assert_int_equal(ktls__sys_recv(s[1], (char[4]){0}, 4),
				 counted ? 1 : 4);
		ktls__sys_close(s[0]);
		ktls__sys_close(s[1]);
		assert_int_equal(fake_count(FAKE_SEND), counted);
		assert_int_equal(fake_count(FAKE_LOOPBACK), 1);
		assert_int_equal(ktls__sys_send(fd[0], "ab", 2), -EIO);
	}
}

static ssize_t send_file(size_t count, off_t off, int file)
{
	return ktls__sys_sendfile(fd[0], file, &off, count);
}

static void sendfile_takes_sixteen_pages_or_a_record(void **state)
{
	struct ktls__sigpipe sigpipe = {.blocked = false};
	int file;

	(void)state;
	rawtls_pair(fd, 1 << 20, 0x0304);
	file = fake_file(FAKE_REGULAR, 3, 1 << 20);
	assert_broken(send_file(10, 0, file), "SIGPIPE");
	ktls__sys_sigpipe_block(&sigpipe);
	assert_int_equal(send_file(65536, 0, file), 65536);
	assert_int_equal(fake_socket(fd[0])->tx.seq, 9 + 4);
	assert_int_equal(send_file(65535, 4097, file), 65535);
	assert_broken(send_file(65537, 0, file), "MSG_MORE");
	assert_broken(send_file(65536, 4097, file), "MSG_MORE");
	fake_kernel.old = true;
	assert_int_equal(send_file(16384, 5, file), 16384);
	assert_broken(send_file(16385, 0, file), "MSG_MORE");
	fake_socket(fd[0])->sndbuf = 262144;
	assert_int_equal(send_file(65536, 77, file), 65536);
	assert_broken(send_file(65537, 0, file), "MSG_MORE");
	fake_kernel.may_stall = true;
	assert_int_equal(send_file(200000, 77, file), 200000);
	assert_int_equal(fake_socket(fd[0])->open_record.len, 0);
	assert_int_equal(fake_socket(fd[0])->held.len, 0);
	ktls__sys_sigpipe_restore(&sigpipe);
	fake_kernel.sigpipe_ignored = true;
	assert_true(ktls__sys_sigpipe_ignored());
	assert_int_equal(send_file(10, 0, file), 10);
}

/* With the end of the file inside of the call. */
static void end_of_a_file_closes_the_record_since_6_5(void **state)
{
	int file;

	(void)state;
	for (int old = 0; old < 2; old++) {
		setup(NULL);
		rawtls_pair(fd, 1 << 20, 0x0304);
		fake_kernel.sigpipe_ignored = true;
		fake_kernel.old = old;
		file = fake_file(FAKE_REGULAR, 3, 5000);
		assert_int_equal(send_file(6000, 0, file), 5000);
		assert_int_equal(fake_socket(fd[0])->open_record.len,
				 old ? 5000 : 0);
	}
}

/* It stops in the middle, with a record open and the rest held back. */
static void large_sendfile_stops_where_there_is_no_room(void **state)
{
	int file;

	(void)state;
	rawtls_pair(fd, 60000, 0x0304);
	fake_kernel.sigpipe_ignored = true;
	fake_kernel.may_stall = true;
	file = fake_file(FAKE_REGULAR, 3, 1 << 20);
	assert_int_equal(send_file(200000, 4095, file), 4 * 16384);
	assert_int_equal(send_file(200000, 4095, file), -EAGAIN);
	assert_int_equal(fake_socket(fd[0])->held.len, 60000);
	assert_int_equal(fake_socket(fd[1])->in.len, 0);
	assert_int_equal(set_tcp(TCP_NODELAY, 1), 0);
	assert_int_equal(fake_socket(fd[1])->in.len, 60000);
}

static uint64_t cookie_of(int s)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(
		ktls__sys_getsockopt(s, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	assert_int_equal(len, sizeof(cookie));
	return cookie;
}

/* net/core/sock.c, sk_getsockopt(), and sock_gen_cookie() */
static void each_socket_has_a_cookie_of_its_own(void **state)
{
	uint64_t cookie;
	socklen_t len = sizeof(cookie) - 1;
	int more[2];

	(void)state;
	fake_tcp_pair(more, 1000);
	cookie = cookie_of(fd[0]);
	assert_true(cookie != 0);
	assert_true(cookie != cookie_of(fd[1]) && cookie != cookie_of(more[0]) &&
		    cookie != cookie_of(more[1]));
	assert_true(cookie == cookie_of(fd[0]));
	assert_int_equal(ktls__sys_getsockopt(fd[0], SOL_SOCKET, SO_COOKIE,
					      &cookie, &len),
			 -EINVAL);
	assert_int_equal(fake_count(FAKE_GET_COOKIE), 6);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(longest_record_is_set_before_the_keys),
	T(no_padding_is_expected_of_tls_1_3_only),
	T(tcp_has_its_options),
	T(each_socket_has_a_cookie_of_its_own),
	T(cork_holds_less_than_a_segment),
	T(what_is_tried_on_a_loopback_is_not_counted),
	T(loopback_is_a_pair_of_its_own),
	T(sendfile_takes_sixteen_pages_or_a_record),
	T(end_of_a_file_closes_the_record_since_6_5),
	T(large_sendfile_stops_where_there_is_no_room),
};

KTEST_MAIN("fakesys_opt", tests)
