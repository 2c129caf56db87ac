/* SPDX-License-Identifier: MIT */
/* The model's pipes, and splice() between them and TLS sockets. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "ktest.h"
#include "rawtls.h"

static int fd[2], p[2];
static uint8_t data[100000], got[100000];

static int setup(void **state)
{
	(void)state;
	fake_reset();
	rawtls_pair(fd, 1 << 20, 0x0304);
	fake_pipe(p, FAKE_SLOTS);
	fake_kernel.sigpipe_ignored = true;
	fake_pattern(1, 0, data, sizeof(data));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

static void pipe_holds_pages(void **state)
{
	(void)state;
	assert_int_equal(ktls__sys_poll(p[0], POLLIN, 0), 0);
	assert_int_equal(ktls__sys_poll(p[1], POLLOUT, 0), POLLOUT);
	assert_int_equal(ktls__sys_write(p[1], data, 4096), 4096);
	/* small writes join the last page, while it has room */
	for (int i = 0; i < 5; i++)
		assert_int_equal(
			ktls__sys_write(p[1], data + 4096 + i * 1000, 1000),
			1000);
	assert_int_equal(fake_pipe_of(p[0])->n, 3);
	assert_int_equal(ktls__sys_poll(p[0], POLLIN, 0), POLLIN);
	assert_int_equal(ktls__sys_read(p[0], got, 5000), 5000);
	assert_int_equal(fake_pattern_check(1, 0, got, 5000), 5000);
	assert_int_equal(fake_pipe_of(p[0])->n, 2);
	assert_int_equal(ktls__sys_read(p[0], got, 5000), 4096);
	assert_int_equal(fake_pattern_check(1, 5000, got, 4096), 4096);
	assert_int_equal(fake_pipe_of(p[0])->n, 0);
	assert_broken(ktls__sys_read(p[0], got, 1), "would block");
	assert_broken(ktls__sys_write(p[1], data, 4097), "would block");
	assert_int_equal(fake_pipe_fill(p[1], data, 100000, 100), 1600);
	assert_int_equal(ktls__sys_poll(p[1], POLLOUT, 0), 0);
	assert_broken(ktls__sys_write(p[1], data, 1), "would block");
	assert_int_equal(ktls__sys_read(p[1], got, 1), -EBADF);
	assert_int_equal(ktls__sys_write(p[0], got, 1), -EBADF);
}

static void pipe_of_the_library_does_not_block(void **state)
{
	int own[2];

	(void)state;
	assert_int_equal(ktls__sys_pipe(own), 0);
	assert_int_equal(ktls__sys_read(own[0], got, 1), -EAGAIN);
	assert_int_equal(ktls__sys_write(own[1], data, 100000), 65536);
	assert_int_equal(ktls__sys_write(own[1], data, 1), -EAGAIN);
	assert_int_equal(fake_own_fds(), 2);
	ktls__sys_close(own[0]);
	ktls__sys_close(own[1]);
	assert_int_equal(fake_own_fds(), 0);
	assert_int_equal(ktls__sys_close(own[1]), -EBADF);
	fake_fail(FAKE_NEW_PIPE, 1, EMFILE);
	assert_int_equal(ktls__sys_pipe(own), -EMFILE);
}

static void end_of_a_pipe_is_seen(void **state)
{
	struct ktls__sigpipe sigpipe = {.blocked = false};

	(void)state;
	ktls__sys_write(p[1], data, 10);
	fake_pipe_close(p[1]);
	assert_int_equal(ktls__sys_poll(p[0], POLLIN, 0), POLLIN | POLLHUP);
	assert_int_equal(ktls__sys_read(p[0], got, 100), 10);
	assert_int_equal(ktls__sys_read(p[0], got, 100), 0);
	assert_int_equal(ktls__sys_poll(p[0], POLLIN, 0), POLLHUP);
	fake_pipe(p, 4);
	fake_pipe_close(p[0]);
	assert_int_equal(ktls__sys_poll(p[1], 0, 0), POLLERR);
	assert_int_equal(ktls__sys_write(p[1], data, 10), -EPIPE);
	fake_kernel.sigpipe_ignored = false;
	assert_broken(ktls__sys_write(p[1], data, 10), "SIGPIPE");
	ktls__sys_sigpipe_block(&sigpipe);
	assert_int_equal(ktls__sys_write(p[1], data, 10), -EPIPE);
	assert_broken(ktls__sys_sigpipe_restore(&sigpipe), "pending");
	sigpipe.raised = true;
	ktls__sys_sigpipe_restore(&sigpipe);
}

static void pipe_is_a_pipe(void **state)
{
	struct stat st;
	off_t off = 0;

	(void)state;
	assert_int_equal(ktls__sys_fstat(p[0], &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_int_equal(ktls__sys_fstat(fd[0], &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(ktls__sys_lseek(p[0], 0, SEEK_CUR), -ESPIPE);
	assert_int_equal(ktls__sys_pread(p[0], got, 1, 0), -ESPIPE);
	assert_int_equal(ktls__sys_sendfile(fd[0], p[0], &off, 1), -EINVAL);
	assert_int_equal(ktls__sys_splice(99, fd[0], 1), -EBADF);
	assert_int_equal(ktls__sys_splice(p[1], fd[0], 1), -EBADF);
	assert_int_equal(ktls__sys_splice(fd[1], p[0], 1), -EBADF);
	assert_int_equal(ktls__sys_splice(fake_file(FAKE_REGULAR, 1, 1), fd[0], 1),
			 -EINVAL);
	assert_int_equal(ktls__sys_splice(fd[1], fd[0], 1), -EINVAL);
	assert_int_equal(ktls__sys_splice(99, 98, 0), 0);
}

static size_t open_bytes(void)
{
	return fake_socket(fd[0])->open_record.len;
}

static void splice_in_makes_records(void **state)
{
	(void)state;
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 100), -EAGAIN);
	fake_pipe_fill(p[1], data, 65536, 4096);
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 16384), 16384);
	assert_int_equal(fake_socket(fd[0])->tx.seq, 9 + 1);
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 100000), 49152);
	assert_int_equal(fake_socket(fd[0])->tx.seq, 9 + 4);
	assert_int_equal(ktls__sys_recv(fd[1], got, 100000), 65536);
	assert_int_equal(fake_pattern_check(1, 0, got, 65536), 65536);
	fake_pipe_fill(p[1], data, 65536, 4096);
	assert_broken(ktls__sys_splice(p[0], fd[0], 100000), "MSG_MORE");
	fake_pipe_close(p[1]);
	fake_pipe_of(p[0])->n = 0;
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 100), 0);
}

/* Seventeen fragments are a record, however short they are. */
static void many_slots_are_several_records(void **state)
{
	(void)state;
	fake_pipe(p, 60);
	fake_pipe_fill(p[1], data, 6000, 100);
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 6000), 6000);
	assert_int_equal(fake_socket(fd[0])->tx.seq, 9 + 4);
	assert_int_equal(open_bytes(), 0);
	/* a whole batch, and nothing behind it: MSG_MORE all the same */
	fake_pipe_fill(p[1], data + 6000, 1600, 100);
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 5000), 1600);
	assert_int_equal(open_bytes(), 1600);
	assert_int_equal(rawtls_send(fd[0], 23, "", 0, 1, 0), 0);
	assert_int_equal(ktls__sys_recv(fd[1], got, 100000), 7600);
	assert_int_equal(fake_pattern_check(1, 0, got, 7600), 7600);
	fake_kernel.old = true;
	fake_pipe_fill(p[1], data, 1600, 100);
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 5000), 1600);
	assert_int_equal(open_bytes(), 0);
	assert_int_equal(fake_socket(fd[0])->tx.seq, 9 + 6);
}

static void splice_in_stops_where_there_is_no_room(void **state)
{
	(void)state;
	fake_socket(fd[1])->capacity = 20000;
	fake_pipe_fill(p[1], data, 65536, 4096);
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 65536), 32768);
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 65536), -EAGAIN);
	assert_int_equal(fake_pipe_of(p[0])->data.len, 32768);
	setup(NULL);
	fake_pipe_fill(p[1], data, 65536, 4096);
	fake_limit(FAKE_SPLICE, 1000);
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 16384), 1000);
	assert_int_equal(open_bytes(), 1000);
	fake_flaky(true);
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 16384), -EAGAIN);
	fake_socket(fd[0])->error = EPIPE;
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 16384), -EPIPE);
	setup(NULL);
	assert_broken(ktls__sys_splice(p[0], fd[1], 1), "without keys");
	fake_kernel.sigpipe_ignored = false;
	assert_broken(ktls__sys_splice(p[0], fd[0], 1), "SIGPIPE");
	fake_kernel.sigpipe_ignored = true;
	fake_socket(fd[0])->fl = O_RDWR;
	assert_broken(ktls__sys_splice(p[0], fd[0], 1), "would block");
}

static void splice_out_gives_one_record_a_call(void **state)
{
	uint8_t type;
	int flags = 0;

	(void)state;
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 100), -EAGAIN);
	ktls__sys_send(fd[0], data, 16384);
	ktls__sys_send(fd[0], data + 16384, 100);
	rawtls_send(fd[0], 22, "ticket", 6, 1, 0);
	ktls__sys_send(fd[0], data + 16484, 50);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 5000), 5000);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 50000), 11384);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 50000), 100);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 50000), -EINVAL);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 50000), -EINVAL);
	assert_int_equal(rawtls_receive(fd[1], got, 100, 1, &type, &flags), 6);
	assert_int_equal(type, 22);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 50000), 50);
	assert_int_equal(fake_pipe_read(p[0], got, 100000), 16534);
	assert_int_equal(fake_pattern_check(1, 0, got, 16534), 16534);
	/* an empty record, which looks like the end, and the end */
	rawtls_send(fd[0], 23, "", 0, 1, 0);
	fake_seal(&fake_socket(fd[0])->tx, 23, data, 0, &fake_socket(fd[1])->in);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 50000), 0);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 50000), -EAGAIN);
	fake_raw_fin(fd[0]);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 50000), 0);
	assert_broken(ktls__sys_splice(fd[0], p[1], 1), "without keys");
}

/* Room is counted in pages, though a slot may take several of them. */
static void splice_out_fills_slots(void **state)
{
	static const struct {
		size_t used, len;
		ssize_t want[5];
	} rows[] = {
		/* as Linux 6.1 and 7.3 have it */
		{0, 4096, {4096, 4096, 4096, 4096, -EAGAIN}},
		{12, 16384, {16384, -EAGAIN}},
		{12, 4096, {4096, 4096, 4096, 4091, -EAGAIN}},
		{12, 5000, {5000, 5000, 5000, 1379, -EAGAIN}},
		{13, 70000, {12288, 4096, -EAGAIN}},
		{14, 16384, {8192, 4096, -EAGAIN}},
		{14, 5000, {5000, 4096, -EAGAIN}},
		{15, 16384, {4096, -EAGAIN}},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		const size_t used = rows[i / 2].used * 100;
		size_t sum = 0;

		setup(NULL);
		fake_kernel.splice_drops = i % 2;
		fake_pipe_fill(p[1], data, used, 100);
		ktls__sys_send(fd[0], data + used, 16384);
		for (int k = 0; k < 5 && rows[i / 2].want[k]; k++) {
			const ssize_t r =
				ktls__sys_splice(fd[1], p[1], rows[i / 2].len);

			assert_int_equal(r, rows[i / 2].want[k]);
			sum += r > 0 ? (size_t)r : 0;
		}
		assert_int_equal(fake_pipe_read(p[0], got, sizeof(got)),
				 used + sum);
		assert_int_equal(fake_pattern_check(1, 0, got, used + sum),
				 used + sum);
		/* what crosses the end of the pages needs a slot of its own */
		if (sum == 16384 || (sum == 16379 && i % 2))
			assert_int_equal(ktls__sys_recv(fd[1], got, 20000),
					 -EAGAIN);
		else
			assert_int_equal(ktls__sys_recv(fd[1], got, 20000),
					 16384 - sum);
	}
	fake_pipe_close(p[0]);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 16384), -EPIPE);
}

static void splice_out_meets_bad_records(void **state)
{
	(void)state;
	ktls__sys_send(fd[0], data, 100);
	fake_socket(fd[1])->in.p[50] ^= 1;
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 100), -EBADMSG);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 100), -EBADMSG);
	setup(NULL);
	fake_raw_reset(fd[0]);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 100), -ECONNRESET);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(pipe_holds_pages),
	T(pipe_of_the_library_does_not_block),
	T(end_of_a_pipe_is_seen),
	T(pipe_is_a_pipe),
	T(splice_in_makes_records),
	T(many_slots_are_several_records),
	T(splice_in_stops_where_there_is_no_room),
	T(splice_out_gives_one_record_a_call),
	T(splice_out_fills_slots),
	T(splice_out_meets_bad_records),
};

KTEST_MAIN("fakesys_pipe", tests)
