/* SPDX-License-Identifier: MIT */
/* The calls of lib/sys.h that move bytes. */
#include "fake_seam.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { BATCH = 16 }; /* pages of one sendmsg() inside the kernel */

ssize_t ktls__sys_send(int fd, const void *buf, size_t len)
{
	const size_t whole = len;
	struct fake_socket *s = fake_socket(fd);
	ssize_t r;

	if (fake_is_netlink(fd))
		return fake_netlink_send(fd, buf, len);
	r = fake_enter_io(FAKE_SEND, &len);
	if (r == 0 && !s)
		r = -EBADF;
	if (r == 0 && s->tx.on && s->tx.device && whole == 0)
		r = fake_tls_device_end(s);
	else if (r == 0 && s->tx.on)
		r = fake_tls_send(s, 23, buf, len, len < whole);
	else if (r == 0)
		r = fake_plain_send(s, buf, len);
	return fake_leave(r);
}

ssize_t ktls__sys_recv(int fd, void *buf, size_t len)
{
	struct fake_socket *s = fake_socket(fd);
	struct fake_recv how = {.cmsg = false};
	ssize_t r;

	if (fake_is_netlink(fd))
		return fake_netlink_recv(fd, buf, len);
	r = fake_enter_io(FAKE_RECV, &len);
	if (r == 0 && !s)
		r = -EBADF;
	if (r == 0 && s->rx.on)
		r = fake_tls_recv(s, buf, len, &how);
	else if (r == 0)
		r = fake_plain_recv(s, buf, len);
	return fake_leave(r);
}

/*
 * What one call may take, so that the kernel does not mark a full record with
 * MSG_MORE: sixteen pages of the file, or a record of it (fs/splice.c).
 */
static size_t safe(off_t offset)
{
	if (fake_kernel.old)
		return FAKE_RECORD;
	return (size_t)(BATCH * FAKE_PAGE - offset % FAKE_PAGE);
}

/* With such a send buffer an old kernel gets a pipe's worth all the same. */
static bool roomy(const struct fake_socket *s, size_t whole)
{
	return fake_kernel.old && s->sndbuf >= 4 * BATCH * FAKE_PAGE &&
	       whole <= BATCH * FAKE_PAGE;
}

static int check_file(const struct fake_socket *s, const struct fake_file *f,
		      size_t whole, off_t offset)
{
	if (!s->tx.on)
		fake_broken("sendfile() to a socket without keys");
	if (!(s->fl & O_NONBLOCK))
		fake_broken("sendfile() would block");
	if (whole > safe(offset) && !roomy(s, whole) && !fake_kernel.may_stall)
		fake_broken("sendfile() of %zu bytes: MSG_MORE", whole);
	if (!f)
		return -EBADF;
	if (f->splice_errno)
		return -f->splice_errno;
	return f->kind == FAKE_REGULAR || f->kind == FAKE_BLOCK ? 0 : -EINVAL;
}

/*
 * n bytes, of which fake_limit() lets count pass. A part of what was asked for
 * leaves the last record open, and so does the end of a file before 6.5.
 */
static ssize_t send_file(struct fake_socket *s, struct fake_file *f,
			 off_t *offset, size_t n, size_t count)
{
	uint8_t buf[BATCH * FAKE_PAGE];
	size_t done = 0;
	ssize_t r = check_file(s, f, n, *offset);

	while (r == 0 && done < count) {
		size_t k = (size_t)(BATCH * FAKE_PAGE - *offset % FAKE_PAGE);

		r = fake_file_read(f, buf, k < count - done ? k : count - done,
				   *offset);
		if (r == 0 && !fake_kernel.old)
			(void)fake_tls_close_record(s);
		if (r <= 0)
			break;
		k = (size_t)r;
		r = fake_tls_send(s, 23, buf, k, done + k < n);
		if (r <= 0)
			break;
		done += (size_t)r;
		*offset += r;
		r = (size_t)r < k ? -EAGAIN : 0;
	}
	return done > 0 ? (ssize_t)done : r;
}

ssize_t ktls__sys_sendfile(int fd, int in_fd, off_t *offset, size_t count)
{
	const size_t whole = count;
	ssize_t r = fake_enter_io(FAKE_SENDFILE, &count);
	struct fake_socket *s = fake_socket(fd);

	fake_sigpipe_check("sendfile()");
	if (r == 0 && (fake_pipe_of(in_fd) || fake_socket(in_fd)))
		r = -EINVAL;
	if (r == 0 && !s)
		r = -EBADF;
	if (r == 0) {
		const bool corks = s->corks;

		s->corks = corks || whole > safe(*offset);
		r = send_file(s, fake_file_of(in_fd), offset, whole, count);
		s->corks = corks;
	}
	if (r == -EPIPE)
		fake_raise_sigpipe();
	return fake_leave(r);
}

ssize_t ktls__sys_pread(int fd, void *buf, size_t len, off_t offset)
{
	ssize_t r = fake_enter(FAKE_PREAD);
	struct fake_file *f = fake_file_of(fd);

	if (r == 0 && (fake_pipe_of(fd) || fake_socket(fd)))
		r = -ESPIPE;
	else if (r == 0)
		r = f ? fake_file_read(f, buf, len, offset) : -EBADF;
	return fake_leave(r);
}
