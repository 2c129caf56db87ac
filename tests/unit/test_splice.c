/* SPDX-License-Identifier: MIT */
/* Both splices: what is no pipe, and what fails on either side of it. */
#include "pipes.h"

#include <limits.h>

#include "fake_core.h"

static void errors_of_the_pipe_leave_the_connection(void **state)
{
	static const int errors[] = {EIO, ENOMEM, EINVAL};
	const struct mode *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		const enum fake_call call =
			mode_user(m) ? FAKE_READ : FAKE_SPLICE;
		struct feed f;
		struct pair p;

		mode_tx(&p, m, 0, NULL);
		if (m->use == KTLS_AUTO)
			stream_send(&p, 40000, 1, 0);
		feed_open(&f, &p, 16, 30000);
		feed(&f);
		fake_fail(call, 1, errors[i]);
		assert_errno(ktls_splice_in(p.conn, f.fd[0], 20000, 0),
			     errors[i]);
		assert_int_equal(pair_error(&p).sys_errno, errors[i]);
		/* progress beats error */
		fake_fail(call, 2, errors[i]);
		assert_int_equal(ktls_splice_in(p.conn, f.fd[0], 20000, 0),
				 16384);
		p.accepted += 16384;
		fake_heal();
		feed_run(&f, 1000, 0);
		pair_settle(&p);
		pair_finish(&p);
	}
}

static void errors_of_the_socket_end_sending(void **state)
{
	static const int errors[] = {EPIPE, ECONNRESET};
	const struct mode *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct feed f;
		struct pair p;

		mode_tx(&p, m, 0, NULL);
		if (m->use == KTLS_AUTO)
			stream_send(&p, 40000, 1, 0);
		feed_open(&f, &p, 16, 30000);
		feed(&f);
		/* the model fails the test where SIGPIPE could get through */
		fake_fail(mode_user(m) ? FAKE_SEND : FAKE_SPLICE, 0, errors[i]);
		/* what was read from the pipe had been accepted by then */
		if (ktls_splice_in(p.conn, f.fd[0], 20000, 0) < 0)
			assert_int_equal(errno, errors[i]);
		else
			assert_int_equal(fake_pipe_of(f.fd[0])->data.len,
					 30000 - 16384);
		fake_heal();
		assert_errno(ktls_splice_in(p.conn, f.fd[0], 20000, 0),
			     errors[i]);
		assert_errno(ktls_write(p.conn, "x", 1), errors[i]);
		pair_free(&p);
	}
}

static void arguments_of_in_are_checked(void **state)
{
	static const enum fake_file_kind kinds[] = {FAKE_REGULAR, FAKE_BLOCK,
						    FAKE_DIRECTORY, FAKE_SOCKET};
	struct pair p;
	int fd[2];

	mode_tx(&p, *state, 0, NULL);
	fake_pipe(fd, 16);
	fake_pipe_fill(fd[1], "abc", 3, 3);
	assert_errno(ktls_splice_in(NULL, fd[0], 1, 0), EINVAL);
	assert_errno(ktls_splice_in(p.conn, fd[0], 1, 2), EINVAL);
	assert_errno(ktls_splice_in(p.conn, fd[0], 1, -1), EINVAL);
	assert_errno(ktls_splice_in(p.conn, fd[0], (size_t)SSIZE_MAX + 1, 0),
		     EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		assert_errno(
			ktls_splice_in(p.conn, fake_file(kinds[i], 0, 9), 1, 0),
			EINVAL);
	assert_errno(ktls_splice_in(p.conn, p.fd, 1, 0), EINVAL);
	assert_errno(ktls_splice_in(p.conn, -1, 1, 0), EBADF);
	assert_errno(ktls_splice_in(p.conn, 99, 1, 0), EBADF);
	assert_int_equal(fake_pipe_of(fd[0])->data.len, 3);
	assert_no_records(&p);
	stream_send(&p, 10, 1, 0);
	pair_finish(&p);
	{
		const struct pair_options o = {.tx = KTLS_AUTO};

		pair_open(&p, &o);
		fake_pipe(fd, 16);
		assert_errno(ktls_splice_in(p.conn, fd[0], 1, 0), ENOTCONN);
		pair_free(&p);
	}
}

static void end_to_write_is_ebadf(void **state)
{
	struct pair p;
	int fd[2];

	mode_tx(&p, *state, 0, NULL);
	fake_pipe(fd, 16);
	assert_errno(ktls_splice_in(p.conn, fd[1], 1, 0), EBADF);
	pair_finish(&p);
}

/* The pipe's trouble is not the connection's. */
static void errors_of_the_pipe_are_not_the_peers(void **state)
{
	static const int errors[] = {EIO, ENOMEM, EPIPE};

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct drain d;
		struct pair p;

		mode_rx(&p, *state, 0, NULL);
		fake_kernel.splice_drops = true;
		drain_open(&d, &p, 16, true);
		p.peer_todo = 5000;
		pair_peer(&p);
		fake_fail(FAKE_WRITE, 0, errors[i]);
		for (int k = 0; k < 2; k++) {
			assert_errno(ktls_splice_out(p.conn, d.fd[1], 5000, 0),
				     errors[i]);
			assert_int_equal(pair_error(&p).sys_errno, errors[i]);
		}
		fake_heal();
		/* nothing was lost by it */
		p.peer_todo = 0;
		pair_receive(&p, 5000, 700);
		pair_finish(&p);
	}
}

/* A reset behind the end of the peer's data is EPIPE as well. */
static void epipe_of_the_socket_is_the_connections(void **state)
{
	struct drain d;
	struct pair p;
	char byte;

	if (!mode_kernel(*state))
		return;
	mode_rx(&p, *state, 0, NULL);
	drain_open(&d, &p, 16, true);
	fake_fail(FAKE_SPLICE, 1, EPIPE);
	for (int k = 0; k < 2; k++)
		assert_errno(ktls_splice_out(p.conn, d.fd[1], 5000, 0), EPIPE);
	assert_errno(ktls_read(p.conn, &byte, 1), EPIPE);
	pair_free(&p);
}

static void reader_that_vanishes_is_epipe(void **state)
{
	const struct mode *m = *state;

	for (int drops = 0; drops < 2; drops++) {
		struct drain d;
		struct pair p;

		mode_rx(&p, m, 0, NULL);
		fake_kernel.splice_drops = drops;
		drain_open(&d, &p, 16, drops);
		p.peer_todo = 5000;
		pair_peer(&p);
		assert_int_equal(ktls_splice_out(p.conn, d.fd[1], 100, 0), 100);
		drain(&d);
		fake_pipe_close(d.fd[0]);
		/* the model fails the test where SIGPIPE could get through */
		for (int i = 0; i < 3; i++)
			assert_errno(ktls_splice_out(p.conn, d.fd[1], 100, 0),
				     EPIPE);
		/* another pipe, and the rest of it */
		drain_open(&d, &p, 16, drops);
		drain_run(&d, 0, 1);
		p.peer_todo = 0;
		while (p.got < 5000) {
			assert_true(ktls_splice_out(p.conn, d.fd[1], 5000, 0) > 0);
			drain(&d);
		}
		pair_finish(&p);
	}
}

static void bad_record_is_fatal(void **state)
{
	const struct mode *m = *state;
	struct fake_socket *s;
	struct drain d;
	struct pair p;

	if (m->use == KTLS_AUTO)
		return;
	for (int i = 0; i < 2; i++) {
		mode_rx(&p, m, 0, NULL);
		drain_open(&d, &p, 16, false);
		pair_receive(&p, 100, 100);
		p.peer_todo = 100;
		pair_peer(&p);
		s = fake_socket(p.fd);
		/* a byte of the content, or of the header */
		s->in.p[s->in.off + (i ? 1 : 40)] ^= 1;
		for (int k = 0; k < 2; k++) {
			errno = 0;
			assert_int_equal(
				ktls_splice_out(p.conn, d.fd[1], 100, 0), -1);
			if (i == 0)
				assert_int_equal(errno, EBADMSG);
			else
				assert_int_equal(errno, EPROTO);
		}
		assert_int_equal(fake_pipe_of(d.fd[0])->n, 0);
		pair_free(&p);
	}
}

static void arguments_of_out_are_checked(void **state)
{
	static const enum fake_file_kind kinds[] = {FAKE_REGULAR, FAKE_BLOCK,
						    FAKE_DIRECTORY, FAKE_SOCKET};
	struct pair p;
	int fd[2];

	mode_rx(&p, *state, 0, NULL);
	p.peer_todo = 10;
	pair_peer(&p);
	fake_pipe(fd, 16);
	assert_errno(ktls_splice_out(NULL, fd[1], 1, 0), EINVAL);
	assert_errno(ktls_splice_out(p.conn, fd[1], 1, KTLS_MORE), EINVAL);
	assert_errno(ktls_splice_out(p.conn, fd[1], 1, -1), EINVAL);
	assert_errno(ktls_splice_out(p.conn, fd[1], (size_t)SSIZE_MAX + 1, 0),
		     EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		assert_errno(ktls_splice_out(p.conn, fake_file(kinds[i], 0, 9),
					     1, 0),
			     EINVAL);
	assert_errno(ktls_splice_out(p.conn, p.fd, 1, 0), EINVAL);
	assert_errno(ktls_splice_out(p.conn, -1, 1, 0), EBADF);
	assert_errno(ktls_splice_out(p.conn, fd[0], 1, 0), EBADF);
	assert_int_equal(ktls_splice_out(p.conn, fd[1], 0, 0), 0);
	assert_int_equal(fake_pipe_of(fd[0])->n, 0);
	p.peer_todo = 0;
	pair_receive(&p, 10, 10);
	pair_finish(&p);
	{
		const struct pair_options o = {.tx = KTLS_AUTO};

		pair_open(&p, &o);
		fake_pipe(fd, 16);
		assert_errno(ktls_splice_out(p.conn, fd[1], 1, 0), ENOTCONN);
		pair_free(&p);
	}
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < n_modes; i++) {
		void *mode = (void *)(uintptr_t)&modes[i];

#define ADD(f) ktest_add(&t, f, mode, #f "_%s", modes[i].name)
		ADD(errors_of_the_pipe_leave_the_connection);
		ADD(errors_of_the_socket_end_sending);
		ADD(arguments_of_in_are_checked);
		ADD(end_to_write_is_ebadf);
		ADD(errors_of_the_pipe_are_not_the_peers);
		ADD(reader_that_vanishes_is_epipe);
		ADD(epipe_of_the_socket_is_the_connections);
		ADD(bad_record_is_fatal);
		ADD(arguments_of_out_are_checked);
	}
	r = ktest_run_table("splice", &t);
	certs_free();
	return r;
}
