/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-async pcrypt|cryptd [PROGRAM [ARG...]]: makes AES-GCM asynchronous,
 * shows that kernel TLS notices, and runs a program while it is.
 */
#include "vmtest.h"

#include <errno.h>
#include <linux/tls.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

enum { DATA = 23, BYTES = 1000, SECONDS = 3600 };

/* Ends the open record with nothing more in it: 0, or errno. */
static int end_record(int fd)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(1)];
	} control = {.buf = {0}};
	struct msghdr msg = {.msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(c) = DATA;
	return sendmsg(fd, &msg, MSG_DONTWAIT) < 0 ? errno : 0;
}

/* The next n bytes are those of vt_data. */
static bool arrives(int fd, size_t n)
{
	static uint8_t buf[4 * BYTES];
	size_t done = 0;
	ssize_t r = 1;

	MUST(n <= sizeof(buf));
	while (done < n && r > 0 && vt_poll(fd, POLLIN)) {
		r = recv(fd, buf + done, n - done, 0);
		done += r > 0 ? (size_t)r : 0;
	}
	return CHECK(done == n && memcmp(buf, vt_data, n) == 0,
		     "%zu bytes of %zu, or others; errno %d", done, n, errno);
}

/* errno of closing a record with 1000 bytes, which arrive all the same */
static int sending(const struct vt_suite *s)
{
	int fd[2], e;

	vt_tcp_pair(fd);
	MUST(vt_raw_install(fd[0], s, KTLS_TX) == 0);
	MUST(vt_raw_install(fd[1], s, KTLS_RX) == 0);
	CHECK(send(fd[0], vt_data, BYTES, MSG_MORE) == BYTES, "errno %d", errno);
	e = end_record(fd[0]);
	arrives(fd[1], BYTES);
	close(fd[0]);
	close(fd[1]);
	return e;
}

/* A record as the kernel makes it, caught. */
static size_t sealed(const struct vt_suite *s, int n, uint8_t *to, size_t max)
{
	size_t len = 0;
	int fd[2];

	vt_tcp_pair(fd);
	MUST(vt_raw_install(fd[0], s, KTLS_TX) == 0);
	for (int i = 0; i < n; i++)
		MUST(send(fd[0], vt_data, BYTES, 0) == BYTES);
	while (len < (size_t)n * BYTES) {
		const ssize_t r = recv(fd[1], to + len, max - len, 0);

		MUST(r > 0);
		len += (size_t)r;
	}
	close(fd[0]);
	close(fd[1]);
	return len;
}

/*
 * What a read says of a good record and a damaged one behind it. When each is
 * decrypted before the next is looked at the good one comes first; else both
 * end together.
 */
static ssize_t receiving(const struct vt_suite *s, int *e)
{
	static uint8_t wire[4 * BYTES], buf[4 * BYTES];
	const size_t len = sealed(s, 2, wire, sizeof(wire));
	int fd[2];
	ssize_t n;

	wire[len - 1] ^= 1;
	vt_tcp_pair(fd);
	MUST(vt_raw_install(fd[1], s, KTLS_RX) == 0);
	MUST(send(fd[0], wire, len, 0) == (ssize_t)len);
	/* all of it has to be there */
	vt_sleep_ms(50);
	n = recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT);
	*e = n < 0 ? errno : 0;
	CHECK(n < 0 || (n == BYTES && memcmp(buf, vt_data, BYTES) == 0),
	      "%zd bytes, or wrong ones", n);
	close(fd[0]);
	close(fd[1]);
	return n;
}

/* That the kernel's TLS notices. */
static void noticed(bool async, const char *when)
{
	const struct vt_suite *const suites[] = {&vt_suites[0], &vt_suites[6]};
	struct vt_driver d = {.users = 0};
	int e;

	MUST(vt_async_driver(&d));
	for (int i = 0; i < 2; i++) {
		vt_case("%s, TLS %s", when, vt_version_str(suites[i]->version));
		e = sending(suites[i]);
		CHECK(e == (async ? EINPROGRESS : 0),
		      "%s: to close a record says %s", d.name,
		      e ? strerrorname_np(e) : "0");
	}
}

/* Runs it and watches how many keys it has with the driver: the most of them. */
static int watch(char **argv, const char *driver, int *users)
{
	struct vt_driver d;
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (CHECK(vt_async_driver(&d) && strcmp(d.name, driver) == 0,
			  "gcm(aes) is %s by now", d.name) &&
		    d.users > *users)
			*users = d.users;
		vt_sleep_ms(50);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	const char *with = argc > 1 ? argv[1] : "pcrypt";
	struct vt_driver before, d;
	int e, users = 0, status;
	ssize_t n;

	vt_begin("ktls-vm-async", SECONDS);
	vt_data_init();
	e = vt_ulp_errno();
	if (e) {
		vt_skip("setsockopt(TCP_ULP): %s", strerror(e));
		return vt_end();
	}
	MUST(vt_async_driver(&before));
	e = vt_async_start(with);
	if (e && strcmp(with, "cryptd") == 0) {
		/* cloud kernels need not have it */
		vt_note("%s: %s", with, strerrorname_np(e));
		CHECK(vt_async_stop(), "it stays");
		return vt_end();
	}
	if (e) {
		vt_skip("%s: %s", with, strerror(e));
		return vt_end();
	}
	noticed(true, "at first");
	MUST(vt_async_driver(&d));
	n = receiving(&vt_suites[0], &e);
	vt_note("%s: to close a record says EINPROGRESS; TLS 1.2, a good "
		"record "
		"and a bad one: %zd%s%s",
		d.name, n, e ? " " : "", e ? strerrorname_np(e) : "");
	if (argc > 2) {
		vt_case("%s", argv[2]);
		status = watch(argv + 2, d.name, &users);
		CHECK(status == 0, "exit status %d", status);
		CHECK(users > d.users, "nobody has used %s", d.name);
		vt_note("%s had up to %d keys with %s", argv[2],
			users - d.users, d.name);
		noticed(true, "after it");
	}
	vt_case("the end of it");
	CHECK(vt_async_stop(), "it stays");
	CHECK(vt_async_driver(&d) && strcmp(d.name, before.name) == 0,
	      "gcm(aes) is %s, and was %s", d.name, before.name);
	noticed(false, "later");
	return vt_end();
}
