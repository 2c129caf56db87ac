/* SPDX-License-Identifier: MIT */
/* ktls_sendfile(): sendfile(2)'s contract in either mode, from any file. */
#include "pair.h"

#include <limits.h>

struct row {
	uint32_t tx;
	bool blocking;
	int version;
};

static const struct row rows[] = {
	{KTLS_OFF, false, TLS1_3_VERSION},
	{KTLS_REQUIRE, false, TLS1_3_VERSION},
	{KTLS_OFF, true, TLS1_3_VERSION},
	{KTLS_REQUIRE, true, TLS1_2_VERSION},
};

static void start(struct pair *p, const struct row *row, size_t capacity)
{
	const struct pair_options o = {.version = row->version,
				       .server = true,
				       .blocking = row->blocking,
				       .tx = row->tx,
				       .rx = KTLS_OFF,
				       .budget = 100000,
				       .capacity = capacity};

	fake_reset();
	pair_start(p, &o);
}

/*
 * Sends the file from the place where the stream is: its content is the
 * stream's pattern. The bytes that were accepted, 0 at its end.
 */
static uint64_t send_file(struct pair *p, int file, size_t count)
{
	const uint64_t from = p->accepted;
	off_t off = (off_t)p->accepted;

	for (int i = 0; i < 100000 && p->accepted < from + count; i++) {
		const off_t before = off;
		ssize_t n = ktls_sendfile(p->conn, file, &off,
					  count - (p->accepted - from));

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			assert_int_equal(off, before);
			assert_true(ktls_wants(p->conn));
			pair_peer(p);
			continue;
		}
		/* exactly the bytes accepted */
		assert_int_equal(off, before + n);
		p->accepted += (uint64_t)n;
		if (n == 0)
			break;
	}
	return p->accepted - from;
}

static void all_sizes_arrive(void **state)
{
	static const size_t sizes[] = {1,     16383,  16384,  16385,
				       99999, 100000, 100001, 300000};
	struct pair p;

	start(&p, *state, 100000);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_int_equal(
			send_file(&p, fake_file(FAKE_REGULAR, OURS, 1 << 20),
				  sizes[i]),
			sizes[i]);
	pair_settle(&p);
	assert_int_equal(pair_info(&p).tx.bytes, p.accepted);
	pair_finish(&p);
}

static void one_call_sends_no_more_than_the_budget(void **state)
{
	struct pair p;
	off_t off = 0;
	int file;

	start(&p, *state, 0);
	file = fake_file(FAKE_REGULAR, OURS, 1 << 20);
	assert_int_equal(ktls_sendfile(p.conn, file, &off, 1 << 20), 100000);
	p.accepted = 100000;
	pair_finish(&p);
}

static void eagain_and_short_counts_anywhere_lose_nothing(void **state)
{
	static const size_t limits[] = {1, 4096, 0};
	static const size_t capacities[] = {1, 5000, 17000};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(capacities); k++) {
			const size_t n = limits[i] == 1 ? 300 : 40000;
			struct pair p;

			start(&p, *state, 100000);
			fake_socket(p.peer_fd)->capacity = capacities[k];
			fake_flaky(true);
			fake_limit(FAKE_SEND, limits[i]);
			/* Linux 6.1: a part, and the record left open */
			fake_limit(FAKE_SENDFILE, limits[i]);
			assert_int_equal(
				send_file(&p,
					  fake_file(FAKE_REGULAR, OURS, 50000), n),
				n);
			/* what follows comes behind it */
			pair_send(&p, 10, 10);
			fake_heal();
			pair_settle(&p);
			pair_finish(&p);
		}
	}
}

static void no_offset_moves_the_position(void **state)
{
	struct pair p;
	int file;

	start(&p, *state, 0);
	file = fake_file(FAKE_REGULAR, OURS, 30000);
	assert_int_equal(ktls_sendfile(p.conn, file, NULL, 20000), 20000);
	assert_int_equal(fake_file_of(file)->position, 20000);
	assert_int_equal(ktls_sendfile(p.conn, file, NULL, 20000), 10000);
	assert_int_equal(fake_file_of(file)->position, 30000);
	assert_int_equal(ktls_sendfile(p.conn, file, NULL, 20000), 0);
	/* with an offset it stays */
	fake_file_of(file)->position = 77;
	p.accepted = 30000;
	pair_settle(&p);
	p.accepted = 10000;
	p.peer_got = 10000;
	assert_int_equal(send_file(&p, file, 100), 100);
	assert_int_equal(fake_file_of(file)->position, 77);
	pair_finish(&p);
}

static void end_of_the_file_is_0(void **state)
{
	struct pair p;
	off_t off;
	int file;

	start(&p, *state, 0);
	file = fake_file(FAKE_REGULAR, OURS, 5000);
	assert_int_equal(send_file(&p, file, 20000), 5000);
	for (off = 5000; off < 30000; off += 7000) {
		const off_t before = off;

		assert_int_equal(ktls_sendfile(p.conn, file, &off, 10), 0);
		assert_int_equal(off, before);
	}
	off = 0;
	assert_int_equal(ktls_sendfile(p.conn, file, &off, 0), 0);
	pair_finish(&p);
}

/* As the files of /proc: a size of 0, and content. */
static void file_without_a_size_is_sent(void **state)
{
	struct pair p;
	int file;

	start(&p, *state, 0);
	file = fake_file(FAKE_REGULAR, OURS, 5000);
	fake_file_of(file)->shown = 0;
	assert_int_equal(send_file(&p, file, 20000), 5000);
	pair_settle(&p);
	pair_finish(&p);
}

static void block_device_is_sent(void **state)
{
	struct pair p;

	start(&p, *state, 0);
	assert_int_equal(
		send_file(&p, fake_file(FAKE_BLOCK, OURS, 1 << 20), 50000),
		50000);
	pair_finish(&p);
}

static void file_that_shrinks_ends_where_it_ends(void **state)
{
	struct pair p;
	uint64_t n;
	int file;

	start(&p, *state, 50000);
	file = fake_file(FAKE_REGULAR, OURS, 90000);
	fake_file_of(file)->cut_at = 40000;
	n = send_file(&p, file, 90000);
	assert_true(n >= 40000 && n < 70000);
	assert_int_equal(send_file(&p, file, 10), 0);
	pair_send(&p, 100, 100);
	pair_settle(&p);
	pair_finish(&p);
}

static void three_gigabytes_are_far_but_there(void **state)
{
	const uint64_t far = (uint64_t)3 << 30;
	struct pair p;

	start(&p, *state, 0);
	p.accepted = far;
	p.peer_got = far;
	assert_int_equal(
		send_file(&p, fake_file(FAKE_REGULAR, OURS, (int64_t)1 << 40),
			  250000),
		250000);
	pair_settle(&p);
	pair_finish(&p);
}

static void what_is_no_file_is_einval(void **state)
{
	static const enum fake_file_kind kinds[] = {FAKE_PIPE, FAKE_DIRECTORY,
						    FAKE_SOCKET};
	struct pair p;

	start(&p, *state, 0);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const int file = fake_file(kinds[i], 0, 100);
		off_t off = 0;

		assert_errno(ktls_sendfile(p.conn, file, NULL, 10), EINVAL);
		assert_errno(ktls_sendfile(p.conn, file, &off, 10), EINVAL);
	}
	pair_send(&p, 10, 10);
	pair_finish(&p);
}

static void arguments_are_checked(void **state)
{
	struct pair p;
	off_t off = -1;
	int file;

	start(&p, *state, 0);
	file = fake_file(FAKE_REGULAR, OURS, 100);
	assert_errno(ktls_sendfile(NULL, file, NULL, 1), EINVAL);
	assert_errno(ktls_sendfile(p.conn, file, &off, 1), EINVAL);
	assert_int_equal(off, -1);
	assert_errno(ktls_sendfile(p.conn, file, NULL, (size_t)SSIZE_MAX + 1),
		     EINVAL);
	assert_errno(ktls_sendfile(p.conn, 99, NULL, 1), EBADF);
	off = 0;
	assert_errno(ktls_sendfile(p.conn, 99, &off, 1), EBADF);
	off = 1;
	assert_errno(ktls_sendfile(p.conn, file, &off, SSIZE_MAX), EOVERFLOW);
	assert_int_equal(off, 1);
	pair_send(&p, 10, 10);
	pair_finish(&p);
}

static void file_system_without_splice_is_read(void **state)
{
	static const int errors[] = {EINVAL, ENOSYS, EOPNOTSUPP};

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct pair p;
		int file;

		start(&p, *state, 50000);
		file = fake_file(FAKE_REGULAR, OURS, 100000);
		fake_file_of(file)->splice_errno = errors[i];
		fake_flaky(true);
		assert_int_equal(send_file(&p, file, 100000), 100000);
		pair_settle(&p);
		pair_finish(&p);
	}
}

/* The file's trouble is not the connection's. */
static void errors_of_the_file_leave_the_connection(void **state)
{
	static const int errors[] = {EIO,    EBADF,  ESTALE,   ENXIO,
				     EACCES, ENOMEM, EOVERFLOW};
	const struct row *row = *state;
	/* what one call of the kernel takes */
	const size_t first = row->tx == KTLS_OFF ? 16384 : 65536;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct pair p;
		off_t off = 0;
		int file;

		start(&p, row, 0);
		file = fake_file(FAKE_REGULAR, OURS, 100000);
		fake_fail(row->tx == KTLS_OFF ? FAKE_PREAD : FAKE_SENDFILE, 2,
			  errors[i]);
		/* progress beats error, which the next call meets */
		assert_int_equal(ktls_sendfile(p.conn, file, &off, 90000), first);
		assert_int_equal(off, first);
		p.accepted = first;
		fake_fail(row->tx == KTLS_OFF ? FAKE_PREAD : FAKE_SENDFILE, 1,
			  errors[i]);
		assert_errno(ktls_sendfile(p.conn, file, &off, 50000), errors[i]);
		assert_int_equal(off, first);
		assert_int_equal(pair_error(&p).sys_errno, errors[i]);
		assert_int_equal(send_file(&p, file, 30000), 30000);
		pair_send(&p, 100, 100);
		pair_settle(&p);
		pair_finish(&p);
	}
}

static void bad_sector_is_eio_where_it_is(void **state)
{
	struct pair p;
	off_t off = 0;
	int file;

	start(&p, *state, 0);
	file = fake_file(FAKE_REGULAR, OURS, 100000);
	fake_file_of(file)->bad_at = 20000;
	assert_int_equal(ktls_sendfile(p.conn, file, &off, 90000), 20000);
	assert_errno(ktls_sendfile(p.conn, file, &off, 90000), EIO);
	assert_int_equal(off, 20000);
	p.accepted = 20000;
	pair_send(&p, 100, 100);
	pair_settle(&p);
	pair_finish(&p);
}

/* The whole range counts: the first byte is the kernel's already. */
static void range_reaches_the_threshold(void **state)
{
	const struct pair_options o = {.offload_after = 65536, .budget = 1000};
	struct pair p;

	(void)state;
	fake_reset();
	pair_start(&p, &o);
	assert_int_equal(
		send_file(&p, fake_file(FAKE_REGULAR, OURS, 1 << 20), 65536),
		65536);
	assert_int_equal(pair_info(&p).tx.kernel_bytes, 65536);
	pair_finish(&p);
}

static void sigpipe_is_not_raised(void **state)
{
	const struct row *row = *state;
	struct pair p;
	off_t off = 0;

	start(&p, row, 0);
	fake_fail(row->tx == KTLS_OFF ? FAKE_SEND : FAKE_SENDFILE, 0, EPIPE);
	/* the model fails the test where the signal could get through */
	assert_errno(ktls_sendfile(p.conn, fake_file(FAKE_REGULAR, OURS, 100),
				   &off, 100),
		     EPIPE);
	assert_errno(ktls_write(p.conn, "x", 1), EPIPE);
	pair_free(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		void *row = (void *)(uintptr_t)&rows[i];

#define ADD(f)                                                                 \
	ktest_add(&t, f, row, #f "_%s_%s",                                     \
		  rows[i].tx == KTLS_OFF ? "user" : "kernel",                  \
		  rows[i].blocking ? "blocking" : "nonblocking")
		ADD(all_sizes_arrive);
		ADD(one_call_sends_no_more_than_the_budget);
		ADD(eagain_and_short_counts_anywhere_lose_nothing);
		ADD(no_offset_moves_the_position);
		ADD(end_of_the_file_is_0);
		ADD(file_without_a_size_is_sent);
		ADD(block_device_is_sent);
		ADD(file_that_shrinks_ends_where_it_ends);
		ADD(three_gigabytes_are_far_but_there);
		ADD(what_is_no_file_is_einval);
		ADD(arguments_are_checked);
		ADD(file_system_without_splice_is_read);
		ADD(errors_of_the_file_leave_the_connection);
		ADD(bad_sector_is_eio_where_it_is);
		ADD(sigpipe_is_not_raised);
	}
	ktest_add(&t, range_reaches_the_threshold, NULL,
		  "range_reaches_the_threshold");
	r = ktest_run_table("sendfile", &t);
	certs_free();
	return r;
}
