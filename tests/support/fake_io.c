/* SPDX-License-Identifier: MIT */
/* The calls of lib/sys.h that move bytes. */
#include "fake_seam.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const int SOL_TLS_ = 282;
static struct fake_reply scripted;
static bool have_script;

void fake_script_recvmsg(const struct fake_reply *reply)
{
	have_script = reply != NULL;
	if (reply)
		scripted = *reply;
}

ssize_t ktls__sys_send(int fd, const void *buf, size_t len)
{
	ssize_t r = fake_enter_io(FAKE_SEND, &len);
	struct fake_socket *s = fake_socket(fd);

	if (r == 0 && !s)
		r = -EBADF;
	if (r == 0 && s->tx.on)
		r = fake_tls_send(s, 23, buf, len, false);
	else if (r == 0)
		r = fake_plain_send(s, buf, len);
	return fake_leave(r);
}

ssize_t ktls__sys_recv(int fd, void *buf, size_t len)
{
	ssize_t r = fake_enter_io(FAKE_RECV, &len);
	struct fake_socket *s = fake_socket(fd);
	uint8_t type;
	bool eor;

	if (r == 0 && !s)
		r = -EBADF;
	if (r == 0 && s->rx.on)
		r = fake_tls_recv(s, buf, len, &type, false, &eor);
	else if (r == 0)
		r = fake_plain_recv(s, buf, len);
	return fake_leave(r);
}

/* net/tls/tls_main.c, tls_process_cmsg() */
static int record_type(const struct msghdr *msg, uint8_t *type)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	*type = 23;
	for (; c; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)msg, c)) {
		if (c->cmsg_level != SOL_TLS_)
			continue;
		if (c->cmsg_type != 1 || c->cmsg_len < CMSG_LEN(1))
			return -EINVAL;
		*type = *CMSG_DATA(c);
	}
	return 0;
}

ssize_t ktls__sys_sendmsg(int fd, const struct msghdr *msg)
{
	size_t len = msg->msg_iov[0].iov_len;
	ssize_t r = fake_enter_io(FAKE_SENDMSG, &len);
	struct fake_socket *s = fake_socket(fd);
	uint8_t type;

	if (r == 0 && !s)
		r = -EBADF;
	if (r == 0 && !s->tx.on)
		fake_broken("a control record to a socket without keys");
	if (r == 0)
		r = record_type(msg, &type);
	if (r == 0)
		r = fake_tls_send(s, type, msg->msg_iov[0].iov_base, len, false);
	return fake_leave(r);
}

/* net/core/scm.c, put_cmsg() */
static void put_cmsg(struct msghdr *msg, int level, int type, const void *p,
		     size_t n)
{
	struct cmsghdr *c = msg->msg_control;
	const size_t room = msg->msg_controllen;

	if (!c || room < CMSG_LEN(n)) {
		msg->msg_flags |= MSG_CTRUNC;
		msg->msg_controllen = 0;
		return;
	}
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), p, n);
	if (room > CMSG_SPACE(n))
		msg->msg_controllen = CMSG_SPACE(n);
}

static ssize_t play_script(struct msghdr *msg)
{
	const uint8_t data[8] = {scripted.value};

	have_script = false;
	if (scripted.cmsg)
		put_cmsg(msg, scripted.level, scripted.type, data,
			 scripted.cmsg_data);
	else
		msg->msg_controllen = 0;
	msg->msg_flags |= scripted.flags;
	if (scripted.result > 0)
		memset(msg->msg_iov[0].iov_base, 'x', (size_t)scripted.result);
	return scripted.result;
}

static ssize_t tls_recvmsg(struct fake_socket *s, struct msghdr *msg, size_t len)
{
	const bool cmsg = msg->msg_control && msg->msg_controllen >= CMSG_LEN(1);
	uint8_t type;
	bool eor;
	ssize_t r = fake_tls_recv(s, msg->msg_iov[0].iov_base, len, &type, cmsg,
				  &eor);

	if (r < 0)
		return r;
	if (type != 0)
		put_cmsg(msg, SOL_TLS_, 2, &type, sizeof(type));
	else
		msg->msg_controllen = 0;
	if (eor)
		msg->msg_flags |= MSG_EOR;
	return r;
}

ssize_t ktls__sys_recvmsg(int fd, struct msghdr *msg)
{
	size_t len = msg->msg_iov[0].iov_len;
	ssize_t r = fake_enter_io(FAKE_RECVMSG, &len);
	struct fake_socket *s = fake_socket(fd);

	msg->msg_flags = 0;
	if (r == 0 && have_script)
		return fake_leave(play_script(msg));
	if (r == 0 && !s)
		r = -EBADF;
	if (r == 0 && s->rx.on) {
		r = tls_recvmsg(s, msg, len);
	} else if (r == 0) {
		msg->msg_controllen = 0;
		r = fake_plain_recv(s, msg->msg_iov[0].iov_base, len);
	}
	return fake_leave(r);
}

/* tried is what was asked for, count what fake_limit() lets pass of it */
static ssize_t send_file(struct fake_socket *s, int in_fd, off_t *offset,
			 size_t tried, size_t count)
{
	struct fake_file *f = fake_file_of(in_fd);
	uint8_t buf[FAKE_RECORD];
	ssize_t n;

	if (!s->tx.on)
		fake_broken("sendfile() to a socket without keys");
	if (!(s->fl & O_NONBLOCK))
		fake_broken("sendfile() would block");
	if (!fake_sigpipe_blocked())
		fake_broken("sendfile() could raise SIGPIPE");
	if (tried > FAKE_RECORD)
		fake_broken("sendfile() of more than a record: MSG_MORE");
	if (!f)
		return -EBADF;
	if (f->splice_errno)
		return -f->splice_errno;
	if (f->kind != FAKE_REGULAR && f->kind != FAKE_BLOCK)
		return -EINVAL;
	n = fake_file_read(f, buf, count, *offset);
	if (n <= 0)
		return n;
	/* a part of a record (Linux 6.1, page by page) leaves it open */
	n = fake_tls_send(s, 23, buf, (size_t)n, count < tried);
	if (n > 0)
		*offset += n;
	return n;
}

ssize_t ktls__sys_sendfile(int fd, int in_fd, off_t *offset, size_t count)
{
	const size_t tried = count;
	ssize_t r = fake_enter_io(FAKE_SENDFILE, &count);
	struct fake_socket *s = fake_socket(fd);

	if (r == 0 && !s)
		r = -EBADF;
	if (r == 0)
		r = send_file(s, in_fd, offset, tried, count);
	if (r == -EPIPE)
		fake_raise_sigpipe();
	return fake_leave(r);
}

ssize_t ktls__sys_pread(int fd, void *buf, size_t len, off_t offset)
{
	ssize_t r = fake_enter(FAKE_PREAD);
	struct fake_file *f = fake_file_of(fd);

	if (r == 0)
		r = f ? fake_file_read(f, buf, len, offset) : -EBADF;
	return fake_leave(r);
}
