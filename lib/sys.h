/* SPDX-License-Identifier: MIT */
/*
 * The seam: every system call of the library goes through these functions and
 * no other file makes one. They return what the call returns, or -errno.
 * Unit tests replace this one object by a model of the kernel.
 */
#ifndef KTLS_SYS_H
#define KTLS_SYS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

int ktls__sys_setsockopt(int fd, int level, int name, const void *val,
			 socklen_t len);
int ktls__sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len);
ssize_t ktls__sys_send(int fd, const void *buf, size_t len);
ssize_t ktls__sys_recv(int fd, void *buf, size_t len);
/* flags: MSG_MORE, MSG_EOR */
ssize_t ktls__sys_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t ktls__sys_recvmsg(int fd, struct msghdr *msg);
ssize_t ktls__sys_sendfile(int fd, int in_fd, off_t *offset, size_t count);
/* between a pipe and a socket; never waits for the pipe */
ssize_t ktls__sys_splice(int in_fd, int out_fd, size_t len);
/* bytes in TCP's send queue, sent or not, that the peer has not acked */
int ktls__sys_outq(int fd);
int ktls__sys_getfl(int fd);
int ktls__sys_setfl(int fd, int flags);
int ktls__sys_shutdown_wr(int fd);
int ktls__sys_close(int fd);

/* revents, 0 after timeout_ms (-1: none), -EINTR when a signal came */
int ktls__sys_poll(int fd, short events, int timeout_ms);
/* milliseconds of a clock that never goes back */
int64_t ktls__sys_now(void);

/* pipes, which may be blocking ones: poll first */
ssize_t ktls__sys_read(int fd, void *buf, size_t len);
ssize_t ktls__sys_write(int fd, const void *buf, size_t len);

/* A connected netlink socket, for send and recv: they never wait. */
int ktls__sys_netlink(int protocol);
/* SO_NETNS_COOKIE of a socket that this thread makes; sandboxes let it. */
int ktls__sys_netns(uint64_t *cookie);
/* SIOCETHTOOL: request is one of struct ethtool_*, which the kernel fills */
int ktls__sys_ethtool(const char *ifname, void *request);
/* The addresses of both ends of a connected socket. */
int ktls__sys_names(int fd, struct sockaddr_storage *local,
		    struct sockaddr_storage *peer);
/* The first size - 1 bytes of a file, and a zero; returns how many. */
ssize_t ktls__sys_load(const char *path, char *buf, size_t size);

/* For probing: two ends of a connection over loopback, a non-blocking pipe. */
int ktls__sys_loopback(int fd[2]);
int ktls__sys_pipe(int fd[2]);

/* files that are sent */
ssize_t ktls__sys_pread(int fd, void *buf, size_t len, off_t offset);
off_t ktls__sys_lseek(int fd, off_t offset, int whence);
int ktls__sys_fstat(int fd, struct stat *st);

/* True when SIGPIPE has no effect on this process. */
bool ktls__sys_sigpipe_ignored(void);
/*
 * sendfile(2) and splice(2) have no MSG_NOSIGNAL: between these two calls
 * SIGPIPE is blocked in this thread; the caller sets raised when one of them
 * failed with EPIPE, and the second one takes its signal away. Starts as all
 * zeros; both may be called twice.
 */
struct ktls__sigpipe {
	sigset_t old;
	bool pending;
	bool blocked;
	bool raised;
};
void ktls__sys_sigpipe_block(struct ktls__sigpipe *s);
void ktls__sys_sigpipe_restore(struct ktls__sigpipe *s);

#endif
