/* SPDX-License-Identifier: MIT */
/* Every system call of the library, with its result made -errno. */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include "compat.h"

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

ssize_t ktls__sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t r;

	do
		r = sendmsg(fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
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

ssize_t ktls__sys_splice(int in_fd, int out_fd, size_t len)
{
	ssize_t r;

	do
		r = splice(in_fd, NULL, out_fd, NULL, len,
			   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	while (interrupted(r));
	return checked(r);
}

ssize_t ktls__sys_read(int fd, void *buf, size_t len)
{
	ssize_t r;

	do
		r = read(fd, buf, len);
	while (interrupted(r));
	return checked(r);
}

ssize_t ktls__sys_write(int fd, const void *buf, size_t len)
{
	ssize_t r;

	do
		r = write(fd, buf, len);
	while (interrupted(r));
	return checked(r);
}

/*
 * The port is open to every process of the machine for a moment: what was
 * accepted has to be what was connected.
 */
static bool same_pair(int connected, int accepted)
{
	struct sockaddr_in a = {.sin_port = 0}, b = {.sin_port = 0};
	socklen_t alen = sizeof(a), blen = sizeof(b);

	return getsockname(connected, (struct sockaddr *)&a, &alen) == 0 &&
	       getpeername(accepted, (struct sockaddr *)&b, &blen) == 0 &&
	       a.sin_port == b.sin_port &&
	       a.sin_addr.s_addr == b.sin_addr.s_addr;
}

enum { LOOPBACK_MS = 100 /* a machine that drops packets of its own */ };

int ktls__sys_loopback(int fd[2])
{
	const int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(a);
	const int l = socket(AF_INET, type, 0);
	int r;

	fd[0] = socket(AF_INET, type, 0);
	fd[1] = -1;
	if (l >= 0 && fd[0] >= 0 && bind(l, (struct sockaddr *)&a, len) == 0 &&
	    listen(l, 1) == 0 &&
	    getsockname(l, (struct sockaddr *)&a, &len) == 0 &&
	    (connect(fd[0], (struct sockaddr *)&a, sizeof(a)) == 0 ||
	     errno == EINPROGRESS) &&
	    ktls__sys_poll(l, POLLIN, LOOPBACK_MS) > 0)
		fd[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd[1] < 0)
		r = errno ? -errno : -ETIMEDOUT;
	else
		r = same_pair(fd[0], fd[1]) ? 0 : -EPERM;
	if (l >= 0)
		close(l);
	for (int i = 0; i < 2 && r < 0; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	return r;
}

int ktls__sys_pipe(int fd[2])
{
	return (int)checked(pipe2(fd, O_CLOEXEC | O_NONBLOCK));
}

int ktls__sys_netlink(int protocol)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	int r;

	if (fd < 0)
		return -errno;
	r = (int)checked(
		connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)));
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

int ktls__sys_netns(uint64_t *cookie)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*cookie);
	int r;

	if (fd < 0)
		return -errno;
	r = (int)checked(getsockopt(fd, SOL_SOCKET, KTLS__SO_NETNS_COOKIE, cookie,
				    &len));
	close(fd);
	return r;
}

int ktls__sys_ethtool(const char *ifname, void *request)
{
	struct ifreq ifr = {.ifr_data = request};
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	r = (int)checked(ioctl(fd, SIOCETHTOOL, &ifr));
	close(fd);
	return r < 0 ? r : 0;
}

int ktls__sys_names(int fd, struct sockaddr_storage *local,
		    struct sockaddr_storage *peer)
{
	socklen_t llen = sizeof(*local), plen = sizeof(*peer);

	if (getsockname(fd, (struct sockaddr *)local, &llen) < 0 ||
	    getpeername(fd, (struct sockaddr *)peer, &plen) < 0)
		return -errno;
	return 0;
}

ssize_t ktls__sys_load(const char *path, char *buf, size_t size)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t r;

	if (fd < 0)
		return -errno;
	/* /proc gives its files in parts */
	do
		r = ktls__sys_read(fd, buf + n, size - 1 - n);
	while (r > 0 && (n += (size_t)r) < size - 1);
	close(fd);
	buf[n] = '\0';
	return r < 0 ? r : (ssize_t)n;
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
	ssize_t r;

	do
		r = checked(poll(&p, 1, timeout_ms));
	while (r == -EINTR && timeout_ms == 0); /* a look is no wait */
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

bool ktls__sys_sigpipe_ignored(void)
{
	struct sigaction sa;

	return sigaction(SIGPIPE, NULL, &sa) == 0 &&
	       !(sa.sa_flags & SA_SIGINFO) && sa.sa_handler == SIG_IGN;
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

void ktls__sys_sigpipe_restore(struct ktls__sigpipe *s)
{
	static const struct timespec now = {0, 0};
	sigset_t set;

	if (!s->blocked)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	/* one that was pending before is the caller's: it stays */
	if (s->raised && !s->pending)
		while (sigtimedwait(&set, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &s->old, NULL);
	s->blocked = false;
}
