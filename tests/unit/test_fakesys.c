/* SPDX-License-Identifier: MIT */
/* The model of the kernel itself: TCP, files, time, and failing on demand. */
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "fake_seam.h"
#include "ktest.h"

static int fd[2];

static int setup(void **state)
{
	(void)state;
	fake_reset();
	fake_tcp_pair(fd, 100);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

static void tcp_takes_what_it_has_room_for(void **state)
{
	uint8_t buf[200] = {1, 2, 3};

	(void)state;
	assert_int_equal(ktls__sys_recv(fd[1], buf, 10), -EAGAIN);
	assert_int_equal(ktls__sys_send(fd[0], buf, 200), 100);
	assert_int_equal(ktls__sys_send(fd[0], buf, 200), -EAGAIN);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(ktls__sys_recv(fd[1], buf, 60), 60);
	assert_memory_equal(buf, "\1\2\3", 3);
	assert_int_equal(ktls__sys_send(fd[0], buf, 200), 60);
	/* the other direction is another one */
	assert_int_equal(ktls__sys_recv(fd[0], buf, 10), -EAGAIN);
}

static void end_and_reset_are_seen(void **state)
{
	uint8_t buf[10] = {0};

	(void)state;
	assert_int_equal(fake_raw_write(fd[1], buf, 3), 3);
	fake_raw_fin(fd[1]);
	assert_int_equal(ktls__sys_recv(fd[0], buf, 10), 3);
	assert_int_equal(ktls__sys_recv(fd[0], buf, 10), 0);
	assert_int_equal(ktls__sys_send(fd[0], buf, 10), 10);
	fake_raw_reset(fd[1]);
	assert_int_equal(ktls__sys_recv(fd[0], buf, 10), -ECONNRESET);
	assert_int_equal(ktls__sys_send(fd[0], buf, 10), -ECONNRESET);
}

static void close_with_unread_data_resets(void **state)
{
	uint8_t buf[10] = {0};

	(void)state;
	fake_raw_write(fd[0], buf, 5);
	fake_raw_write(fd[1], buf, 5);
	assert_int_equal(ktls__sys_close(fd[0]), 0);
	assert_true(fake_socket_any(fd[0])->reset_at_close);
	assert_int_equal(fake_raw_read(fd[1], buf, 10), -ECONNRESET);
	assert_int_equal(ktls__sys_close(fd[0]), -EBADF);
}

static void shutdown_ends_one_direction(void **state)
{
	uint8_t buf[10] = {0};

	(void)state;
	fake_raw_write(fd[0], buf, 5);
	assert_int_equal(ktls__sys_shutdown_wr(fd[0]), 0);
	assert_int_equal(ktls__sys_send(fd[0], buf, 5), -EPIPE);
	assert_int_equal(fake_raw_read(fd[1], buf, 10), 5);
	assert_int_equal(fake_raw_read(fd[1], buf, 10), 0);
	assert_int_equal(fake_raw_write(fd[1], buf, 10), 10);
	assert_int_equal(ktls__sys_recv(fd[0], buf, 10), 10);
}

static uint64_t handed(void)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	assert_int_equal(
		ktls__sys_getsockopt(fd[0], IPPROTO_TCP, 11, &info, &len), 0);
	assert_int_equal(len, sizeof(info));
	assert_true(info.tcpi_bytes_retrans > 0);
	return info.tcpi_bytes_sent - info.tcpi_bytes_retrans +
	       info.tcpi_notsent_bytes;
}

static void tcp_info_counts_what_tcp_was_given(void **state)
{
	uint8_t buf[100] = {0};

	(void)state;
	assert_int_equal(handed(), 0);
	ktls__sys_send(fd[0], buf, 70);
	assert_int_equal(handed(), 70);
	fake_raw_read(fd[1], buf, 33);
	assert_int_equal(handed(), 70);
	ktls__sys_send(fd[0], buf, 70);
	assert_int_equal(handed(), 133);
}

static void options_say_what_the_socket_is(void **state)
{
	static const int names[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL};
	static const int want[] = {SOCK_STREAM, AF_INET, IPPROTO_TCP};
	struct timeval tv;
	socklen_t len;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		int v;

		len = sizeof(v);
		assert_int_equal(ktls__sys_getsockopt(fd[0], SOL_SOCKET,
						      names[i], &v, &len),
				 0);
		assert_int_equal(v, want[i]);
	}
	fake_socket(fd[0])->sndtimeo_ms = 1500;
	len = sizeof(tv);
	assert_int_equal(
		ktls__sys_getsockopt(fd[0], SOL_SOCKET, SO_SNDTIMEO, &tv, &len),
		0);
	assert_int_equal(tv.tv_sec, 1);
	assert_int_equal(tv.tv_usec, 500000);
	assert_int_equal(ktls__sys_getfl(fd[0]), O_RDWR | O_NONBLOCK);
	assert_int_equal(ktls__sys_setfl(fd[0], O_RDWR), 0);
	assert_int_equal(ktls__sys_getfl(fd[0]), O_RDWR);
}

static void calls_fail_when_they_are_told_to(void **state)
{
	uint8_t buf[10] = {0};

	(void)state;
	fake_fail(FAKE_SEND, 2, ENOBUFS);
	assert_int_equal(ktls__sys_send(fd[0], buf, 1), 1);
	assert_int_equal(ktls__sys_send(fd[0], buf, 1), -ENOBUFS);
	assert_int_equal(ktls__sys_send(fd[0], buf, 1), 1);
	fake_fail(FAKE_SEND, 0, EIO);
	assert_int_equal(ktls__sys_send(fd[0], buf, 1), -EIO);
	assert_int_equal(ktls__sys_send(fd[0], buf, 1), -EIO);
	fake_heal();
	assert_int_equal(fake_count(FAKE_SEND), 5);
	assert_int_equal(fake_count(FAKE_RECV), 0);
	fake_limit(FAKE_SEND, 3);
	assert_int_equal(ktls__sys_send(fd[0], buf, 10), 3);
	fake_heal();
	fake_flaky(true);
	assert_int_equal(ktls__sys_send(fd[0], buf, 10), -EAGAIN);
	assert_int_equal(ktls__sys_send(fd[0], buf, 10), 10);
	assert_int_equal(ktls__sys_send(fd[0], buf, 10), -EAGAIN);
}

static void wake(void *arg)
{
	fake_raw_write(fd[1], "x", (*(int *)arg)++ == 3);
}

static void poll_waits_and_time_passes(void **state)
{
	int rounds = 0;

	(void)state;
	assert_int_equal(ktls__sys_poll(fd[0], POLLIN | POLLOUT, 5), POLLOUT);
	assert_int_equal(fake_clock, 1000);
	assert_int_equal(ktls__sys_poll(fd[0], POLLIN, 5), 0);
	assert_int_equal(ktls__sys_now(), 1005);
	assert_int_equal(fake_poll_events, POLLIN);
	assert_int_equal(fake_poll_timeout, 5);
	fake_on_poll(wake, &rounds);
	assert_int_equal(ktls__sys_poll(fd[0], POLLIN, -1), POLLIN);
	assert_int_equal(rounds, 4);
	fake_on_poll(NULL, NULL);
	assert_int_equal(ktls__sys_poll(99, POLLIN, 5), POLLNVAL);
	assert_int_equal(ktls__sys_poll(-1, POLLIN, 5), 0);
	assert_int_equal(ktls__sys_now(), 1013);
	fake_fail(FAKE_POLL, 1, EINTR);
	assert_int_equal(ktls__sys_poll(fd[0], POLLIN, -1), -EINTR);
}

static void writable_is_a_third_of_the_room(void **state)
{
	uint8_t buf[100] = {0};

	(void)state;
	ktls__sys_send(fd[0], buf, 70);
	assert_int_equal(ktls__sys_poll(fd[0], POLLOUT, 0), 0);
	fake_raw_read(fd[1], buf, 3);
	assert_int_equal(ktls__sys_poll(fd[0], POLLOUT, 0), POLLOUT);
}

static void patterns_are_found_at_any_offset(void **state)
{
	uint8_t a[100], b[100];

	(void)state;
	fake_pattern(1, 1000, a, 100);
	for (size_t i = 0; i < 50; i++) {
		fake_pattern(1, 1000 + i, b, 40);
		assert_memory_equal(a + i, b, 40);
		assert_non_null(memmem(b, 23, FAKE_MAGIC, 8));
	}
	assert_int_equal(fake_pattern_check(1, 1000, a, 100), 100);
	a[77] ^= 1;
	assert_int_equal(fake_pattern_check(1, 1000, a, 100), 77);
	fake_pattern(2, 1000, b, 100);
	assert_true(fake_pattern_check(1, 1000, b, 100) < 24);
}

static void plaintext_on_the_wire_is_found(void **state)
{
	uint8_t buf[23];

	(void)state;
	assert_ptr_equal(fake_leaks(fd[0]), NULL);
	ktls__sys_send(fd[0], "\x17\3\3\0\2ab\x17\3\3\1\0...", 15);
	assert_ptr_equal(fake_leaks(fd[0]), NULL);
	fake_pattern(7, 12345, buf, sizeof(buf));
	ktls__sys_send(fd[0], buf, sizeof(buf));
	assert_string_equal(fake_leaks(fd[0]), "plaintext on the wire");
	ktls__sys_send(fd[1], "GET / HTTP/1.1", 14);
	assert_string_equal(fake_leaks(fd[1]),
			    "bytes on the wire that are no TLS record");
}

static void files_are_read_as_they_are(void **state)
{
	const int f = fake_file(FAKE_REGULAR, 5, 100);
	uint8_t buf[200];
	struct stat st;

	(void)state;
	assert_int_equal(ktls__sys_fstat(f, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_size, 100);
	assert_int_equal(ktls__sys_pread(f, buf, 200, 30), 70);
	assert_int_equal(fake_pattern_check(5, 30, buf, 70), 70);
	assert_int_equal(ktls__sys_pread(f, buf, 200, 100), 0);
	assert_int_equal(ktls__sys_lseek(f, 7, SEEK_SET), 7);
	assert_int_equal(ktls__sys_lseek(f, 0, SEEK_CUR), 7);
	fake_file_of(f)->bad_at = 50;
	assert_int_equal(ktls__sys_pread(f, buf, 200, 30), 20);
	assert_int_equal(ktls__sys_pread(f, buf, 200, 50), -EIO);
	fake_file_of(f)->bad_at = -1;
	fake_file_of(f)->cut_at = 50;
	assert_int_equal(ktls__sys_pread(f, buf, 60, 0), 60);
	assert_int_equal(ktls__sys_pread(f, buf, 60, 60), 0);
	assert_int_equal(ktls__sys_pread(99, buf, 60, 60), -EBADF);
}

static void special_files_have_no_position(void **state)
{
	const int p = fake_file(FAKE_PIPE, 0, 10);
	uint8_t buf[10];
	struct stat st;

	(void)state;
	assert_int_equal(ktls__sys_lseek(p, 0, SEEK_CUR), -ESPIPE);
	assert_int_equal(ktls__sys_pread(p, buf, 10, 0), -ESPIPE);
	ktls__sys_fstat(p, &st);
	assert_true(S_ISFIFO(st.st_mode));
	ktls__sys_fstat(fake_file(FAKE_BLOCK, 0, 10), &st);
	assert_true(S_ISBLK(st.st_mode));
	assert_int_equal(st.st_size, 0);
	ktls__sys_fstat(fake_file(FAKE_SOCKET, 0, 10), &st);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(
		ktls__sys_pread(fake_file(FAKE_DIRECTORY, 0, 0), buf, 10, 0),
		-EISDIR);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(tcp_takes_what_it_has_room_for),
	T(end_and_reset_are_seen),
	T(close_with_unread_data_resets),
	T(shutdown_ends_one_direction),
	T(tcp_info_counts_what_tcp_was_given),
	T(options_say_what_the_socket_is),
	T(calls_fail_when_they_are_told_to),
	T(poll_waits_and_time_passes),
	T(writable_is_a_third_of_the_room),
	T(patterns_are_found_at_any_offset),
	T(plaintext_on_the_wire_is_found),
	T(files_are_read_as_they_are),
	T(special_files_have_no_position),
};

KTEST_MAIN("fakesys", tests)
