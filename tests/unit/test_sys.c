/* SPDX-License-Identifier: MIT */
/* The real system calls: errors as -errno, nothing sleeps, no SIGPIPE. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "ktest.h"

#include "sys.h"

static int fd[2];
static volatile sig_atomic_t signals;

static void count(int sig)
{
	(void)sig;
	signals++;
}

static int setup(void **state)
{
	struct sigaction act = {.sa_handler = count};

	(void)state;
	signals = 0;
	sigaction(SIGPIPE, &act, NULL);
	sigaction(SIGALRM, &act, NULL);
	return socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
}

static int teardown(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_DFL);
	signal(SIGALRM, SIG_DFL);
	close(fd[0]);
	if (fd[1] >= 0)
		close(fd[1]);
	return 0;
}

static void a_blocking_socket_does_not_block(void **state)
{
	static char big[1 << 22];
	struct iovec iov = {big, sizeof(big)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	(void)state;
	assert_int_equal(ktls__sys_recv(fd[0], big, 1), -EAGAIN);
	assert_int_equal(ktls__sys_recvmsg(fd[0], &msg), -EAGAIN);
	assert_true(ktls__sys_send(fd[0], big, sizeof(big)) > 0);
	while (ktls__sys_send(fd[0], big, sizeof(big)) > 0)
		;
	assert_int_equal(ktls__sys_send(fd[0], big, 1), -EAGAIN);
	assert_int_equal(ktls__sys_sendmsg(fd[0], &msg, 0), -EAGAIN);
	assert_int_equal(ktls__sys_poll(fd[0], POLLOUT, 0), 0);
	assert_int_equal(ktls__sys_poll(fd[1], POLLIN, -1), POLLIN);
}

static void errors_are_negative_errnos(void **state)
{
	socklen_t len = sizeof(int);
	struct stat st;
	int v;

	(void)state;
	assert_int_equal(ktls__sys_send(-1, "x", 1), -EBADF);
	assert_int_equal(ktls__sys_recv(-1, &v, 1), -EBADF);
	assert_int_equal(ktls__sys_getsockopt(-1, SOL_SOCKET, SO_TYPE, &v, &len),
			 -EBADF);
	assert_int_equal(ktls__sys_setsockopt(-1, 6, 31, "tls", 3), -EBADF);
	assert_int_equal(ktls__sys_getfl(-1), -EBADF);
	assert_int_equal(ktls__sys_setfl(-1, 0), -EBADF);
	assert_int_equal(ktls__sys_shutdown_wr(-1), -EBADF);
	assert_int_equal(ktls__sys_close(-1), -EBADF);
	assert_int_equal(ktls__sys_fstat(-1, &st), -EBADF);
	assert_int_equal(ktls__sys_pread(-1, &v, 1, 0), -EBADF);
	assert_int_equal(ktls__sys_lseek(fd[0], 0, SEEK_CUR), -ESPIPE);
	assert_int_equal(ktls__sys_splice(-1, fd[0], 1), -EBADF);
	assert_int_equal(ktls__sys_read(-1, &v, 1), -EBADF);
	assert_int_equal(ktls__sys_write(-1, &v, 1), -EBADF);
	assert_int_equal(ktls__sys_outq(-1), -EBADF);
	assert_int_equal(
		ktls__sys_getsockopt(fd[0], SOL_SOCKET, SO_TYPE, &v, &len), 0);
	assert_int_equal(v, SOCK_STREAM);
	assert_int_equal(ktls__sys_setfl(fd[0], O_NONBLOCK), 0);
	assert_true(ktls__sys_getfl(fd[0]) & O_NONBLOCK);
}

static void send_to_nobody_raises_no_signal(void **state)
{
	struct iovec iov = {(void *)(uintptr_t) "x", 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	(void)state;
	close(fd[1]);
	fd[1] = -1;
	assert_int_equal(ktls__sys_send(fd[0], "x", 1), -EPIPE);
	assert_int_equal(ktls__sys_sendmsg(fd[0], &msg, 0), -EPIPE);
	assert_int_equal(signals, 0);
}

static ssize_t send_file_to_nobody(struct ktls__sigpipe *s)
{
	FILE *f = tmpfile();
	off_t off = 0;
	ssize_t r;

	assert_non_null(f);
	fputs("content", f);
	fflush(f);
	close(fd[1]);
	fd[1] = -1;
	ktls__sys_sigpipe_block(s);
	/* and again, as for each record */
	ktls__sys_sigpipe_block(s);
	r = ktls__sys_sendfile(fd[0], fileno(f), &off, 7);
	fclose(f);
	return r;
}

static bool pending(void)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, SIGPIPE) == 1;
}

static bool blocked(void)
{
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, SIGPIPE) == 1;
}

static void sigpipe_of_sendfile_is_taken_away(void **state)
{
	struct ktls__sigpipe s = {.blocked = false};

	(void)state;
	assert_int_equal(send_file_to_nobody(&s), -EPIPE);
	assert_true(pending());
	s.raised = true;
	ktls__sys_sigpipe_restore(&s);
	assert_int_equal(signals, 0);
	assert_false(pending());
	assert_false(blocked());
	/* a second time does nothing */
	s.raised = true;
	ktls__sys_sigpipe_restore(&s);
	raise(SIGPIPE);
	assert_int_equal(signals, 1);
}

static void sigpipe_of_the_caller_stays_pending(void **state)
{
	struct ktls__sigpipe s = {.blocked = false};
	sigset_t set;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	raise(SIGPIPE);
	assert_int_equal(send_file_to_nobody(&s), -EPIPE);
	s.raised = true;
	ktls__sys_sigpipe_restore(&s);
	assert_true(pending());
	assert_true(blocked());
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	assert_int_equal(signals, 1);
}

static void sigpipe_from_elsewhere_is_delivered(void **state)
{
	struct ktls__sigpipe s = {.blocked = false};

	(void)state;
	ktls__sys_sigpipe_block(&s);
	raise(SIGPIPE);
	assert_int_equal(signals, 0);
	ktls__sys_sigpipe_restore(&s);
	assert_int_equal(signals, 1);
}

static void sigpipe_is_ignored_or_not(void **state)
{
	struct sigaction act = {.sa_handler = SIG_IGN};

	(void)state;
	assert_false(ktls__sys_sigpipe_ignored());
	sigaction(SIGPIPE, &act, NULL);
	assert_true(ktls__sys_sigpipe_ignored());
	act.sa_handler = SIG_DFL;
	sigaction(SIGPIPE, &act, NULL);
	assert_false(ktls__sys_sigpipe_ignored());
}

static void pipes_are_read_and_written(void **state)
{
	char buf[10] = "";
	int p[2];

	(void)state;
	assert_int_equal(ktls__sys_pipe(p), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(ktls__sys_getfl(p[i]) & O_NONBLOCK);
		assert_true(fcntl(p[i], F_GETFD) & FD_CLOEXEC);
	}
	assert_int_equal(ktls__sys_read(p[0], buf, 10), -EAGAIN);
	assert_int_equal(ktls__sys_write(p[1], "abc", 3), 3);
	assert_int_equal(ktls__sys_read(p[0], buf, 10), 3);
	assert_string_equal(buf, "abc");
	ktls__sys_close(p[1]);
	assert_int_equal(ktls__sys_read(p[0], buf, 10), 0);
	ktls__sys_close(p[0]);
	assert_int_equal(ktls__sys_read(p[0], buf, 10), -EBADF);
}

/* Whatever the pipe's own O_NONBLOCK says. */
static void splice_does_not_wait_for_a_pipe(void **state)
{
	static char big[1 << 16];
	char buf[10] = "";
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 10), -EAGAIN);
	assert_int_equal(write(p[1], "abc", 3), 3);
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 10), 3);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 10), 3);
	assert_int_equal(read(p[0], buf, 10), 3);
	assert_string_equal(buf, "abc");
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 10), -EAGAIN);
	assert_int_equal(write(p[1], big, sizeof(big)), sizeof(big));
	assert_int_equal(ktls__sys_send(fd[0], "abc", 3), 3);
	assert_int_equal(ktls__sys_splice(fd[1], p[1], 10), -EAGAIN);
	close(p[1]);
	assert_int_equal(read(p[0], big, sizeof(big)), sizeof(big));
	assert_int_equal(ktls__sys_splice(p[0], fd[0], 10), 0);
	close(p[0]);
}

static void loopback_is_connected(void **state)
{
	char buf[10] = "";
	int s[2], lowest, v = 0;
	socklen_t len = sizeof(v);

	(void)state;
	lowest = dup(0);
	close(lowest);
	assert_int_equal(ktls__sys_loopback(s), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(fcntl(s[i], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(ktls__sys_getsockopt(s[i], SOL_SOCKET,
						      SO_PROTOCOL, &v, &len),
				 0);
		assert_int_equal(v, 6);
		assert_int_equal(ktls__sys_send(s[i], "abc", 3), 3);
		assert_int_equal(ktls__sys_poll(s[1 - i], POLLIN, 1000), POLLIN);
		assert_int_equal(ktls__sys_recv(s[1 - i], buf, 10), 3);
		assert_string_equal(buf, "abc");
	}
	assert_int_equal(ktls__sys_outq(s[0]), 0);
	ktls__sys_close(s[0]);
	ktls__sys_close(s[1]);
	/* the listening socket is closed, too */
	v = dup(0);
	assert_int_equal(v, lowest);
	close(v);
}

static void loopback_that_cannot_be_leaves_nothing_open(void **state)
{
	struct rlimit was, few;
	int s[2], lowest, v;

	(void)state;
	lowest = dup(0);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	for (int more = 0; more < 3; more++) {
		few = was;
		few.rlim_cur = (rlim_t)(lowest + more);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		v = ktls__sys_loopback(s);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
		assert_int_equal(v, -EMFILE);
		v = dup(0);
		assert_int_equal(v, lowest);
		close(v);
	}
}

static void parts_and_flags_get_to_the_kernel(void **state)
{
	char buf[10] = "";
	struct iovec v[2] = {{(void *)(uintptr_t) "ab", 2},
			     {(void *)(uintptr_t) "cde", 3}};
	struct msghdr msg = {.msg_iov = v, .msg_iovlen = 2};
	int64_t before;
	int r, s[2];

	(void)state;
	assert_int_equal(ktls__sys_loopback(s), 0);
	/* TCP corks it, for 200 ms */
	before = ktls__sys_now();
	assert_int_equal(ktls__sys_sendmsg(s[0], &msg, MSG_MORE), 5);
	r = ktls__sys_poll(s[1], POLLIN, 0);
	/* else this process may have slept that long */
	if (ktls__sys_now() - before < 100)
		assert_int_equal(r, 0);
	assert_int_equal(ktls__sys_sendmsg(s[0], &msg, 0), 5);
	assert_int_equal(ktls__sys_poll(s[1], POLLIN, 1000), POLLIN);
	v[0].iov_base = buf;
	v[1].iov_base = buf + 2;
	v[1].iov_len = 8;
	assert_int_equal(ktls__sys_recvmsg(s[1], &msg), 10);
	assert_memory_equal(buf, "abcdeabcde", 10);
	ktls__sys_close(s[0]);
	ktls__sys_close(s[1]);
}

static void signal_ends_poll(void **state)
{
	/* the first one may come before poll(2) waits */
	const struct itimerval soon = {.it_value = {.tv_usec = 2000},
				       .it_interval = {.tv_usec = 2000}};
	const struct itimerval never = {.it_value = {.tv_sec = 0}};

	(void)state;
	setitimer(ITIMER_REAL, &soon, NULL);
	assert_int_equal(ktls__sys_poll(fd[0], POLLIN, 10000), -EINTR);
	setitimer(ITIMER_REAL, &never, NULL);
}

static void clock_goes_on(void **state)
{
	const int64_t before = ktls__sys_now();

	(void)state;
	assert_int_equal(ktls__sys_poll(fd[0], POLLIN, 5), 0);
	assert_true(ktls__sys_now() >= before + 4);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(a_blocking_socket_does_not_block),
	T(errors_are_negative_errnos),
	T(send_to_nobody_raises_no_signal),
	T(sigpipe_of_sendfile_is_taken_away),
	T(sigpipe_of_the_caller_stays_pending),
	T(sigpipe_from_elsewhere_is_delivered),
	T(sigpipe_is_ignored_or_not),
	T(pipes_are_read_and_written),
	T(splice_does_not_wait_for_a_pipe),
	T(loopback_is_connected),
	T(loopback_that_cannot_be_leaves_nothing_open),
	T(parts_and_flags_get_to_the_kernel),
	T(signal_ends_poll),
	T(clock_goes_on),
};

KTEST_MAIN("sys", tests)
