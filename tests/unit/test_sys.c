/* SPDX-License-Identifier: MIT */
/* The real system calls: errors as -errno, nothing sleeps, no SIGPIPE. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
	assert_int_equal(ktls__sys_sendmsg(fd[0], &msg), -EAGAIN);
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
	assert_int_equal(ktls__sys_sendmsg(fd[0], &msg), -EPIPE);
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
	ktls__sys_sigpipe_restore(&s, true);
	assert_int_equal(signals, 0);
	assert_false(pending());
	assert_false(blocked());
	/* a second time does nothing */
	ktls__sys_sigpipe_restore(&s, true);
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
	ktls__sys_sigpipe_restore(&s, true);
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
	ktls__sys_sigpipe_restore(&s, false);
	assert_int_equal(signals, 1);
}

static void signal_ends_poll(void **state)
{
	const struct itimerval soon = {.it_value = {.tv_usec = 2000}};

	(void)state;
	setitimer(ITIMER_REAL, &soon, NULL);
	assert_int_equal(ktls__sys_poll(fd[0], POLLIN, 10000), -EINTR);
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
	T(signal_ends_poll),
	T(clock_goes_on),
};

KTEST_MAIN("sys", tests)
