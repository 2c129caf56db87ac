/* SPDX-License-Identifier: MIT */
/* Every system call of the library, with its result made -errno. */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

/*
 * A call that fails with EINTR has moved nothing, so that it is made again
 * here: the sockets are non-blocking, and only ktls__sys_poll() sleeps.
 */
static bool interrupted(ssize_t r)
{
	return r < 0 && errno == EINTR;
}

static ssize_t checked(ssize_t r)
{
	return r < 0 ? -errno : r;
}

int ktls__sys_setsockopt(int fd, int level, int name, const void *val,
			 socklen_t len)
{
	return (int)checked(setsockopt(fd, level, name, val, len));
}

int ktls__sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return (int)checked(getsockopt(fd, level, name, val, len));
}

ssize_t ktls__sys_send(int fd, const void *buf, size_t len)
{
	ssize_t r;

	do
		r = send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (interrupted(r));
	return checked(r);
}

ssize_t ktls__sys_recv(int fd, void *buf, size_t len)
{
	ssize_t r;

	do
		r = recv(fd, buf, len, MSG_DONTWAIT);
	while (interrupted(r));
	return checked(r);
}

ssize_t ktls__sys_sendmsg(int fd, const struct msghdr *msg)
{
	ssize_t r;

	do
		r = sendmsg(fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (interrupted(r));
	return checked(r);
}

ssize_t ktls__sys_recvmsg(int fd, struct msghdr *msg)
{
	ssize_t r;

	do
		r = recvmsg(fd, msg, MSG_DONTWAIT);
	while (interrupted(r));
	return checked(r);
}

ssize_t ktls__sys_sendfile(int fd, int in_fd, off_t *offset, size_t count)
{
	ssize_t r;

	do
		r = sendfile(fd, in_fd, offset, count);
	while (interrupted(r));
	return checked(r);
}

int ktls__sys_outq(int fd)
{
	int bytes = 0;
	int r = (int)checked(ioctl(fd, SIOCOUTQ, &bytes));

	return r < 0 ? r : bytes;
}

int ktls__sys_getfl(int fd)
{
	return (int)checked(fcntl(fd, F_GETFL));
}

int ktls__sys_setfl(int fd, int flags)
{
	return (int)checked(fcntl(fd, F_SETFL, flags));
}

int ktls__sys_shutdown_wr(int fd)
{
	return (int)checked(shutdown(fd, SHUT_WR));
}

int ktls__sys_close(int fd)
{
	/* Linux frees the descriptor even when it says EINTR: never again. */
	return (int)checked(close(fd));
}

int ktls__sys_poll(int fd, short events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	ssize_t r = checked(poll(&p, 1, timeout_ms));

	return r > 0 ? p.revents : (int)r;
}

int64_t ktls__sys_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

ssize_t ktls__sys_pread(int fd, void *buf, size_t len, off_t offset)
{
	ssize_t r;

	do
		r = pread(fd, buf, len, offset);
	while (interrupted(r));
	return checked(r);
}

off_t ktls__sys_lseek(int fd, off_t offset, int whence)
{
	const off_t r = lseek(fd, offset, whence);

	return r < 0 ? -errno : r;
}

int ktls__sys_fstat(int fd, struct stat *st)
{
	return (int)checked(fstat(fd, st));
}

void ktls__sys_sigpipe_block(struct ktls__sigpipe *s)
{
	sigset_t set, pending;

	if (s->blocked)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	s->blocked = pthread_sigmask(SIG_BLOCK, &set, &s->old) == 0;
	/* only a signal that was blocked before can be pending already */
	s->pending = s->blocked && sigismember(&s->old, SIGPIPE) == 1 &&
		     sigpending(&pending) == 0 &&
		     sigismember(&pending, SIGPIPE) == 1;
}

void ktls__sys_sigpipe_restore(struct ktls__sigpipe *s, bool raised)
{
	static const struct timespec now = {0, 0};
	sigset_t set;

	if (!s->blocked)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	/* one that was pending before is the caller's: it stays */
	if (raised && !s->pending)
		while (sigtimedwait(&set, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &s->old, NULL);
	s->blocked = false;
}
