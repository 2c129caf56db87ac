/* SPDX-License-Identifier: MIT */
/*
 * One typed record out, or records in, with the ancillary data of
 * Documentation/networking/tls.rst. Never a plain read on such a socket: it
 * fails with EIO as soon as a control record is next.
 */
#include "record.h"

#include <errno.h>
#include <string.h>

#include <ktls/raw.h>

#include "compat.h"
#include "sys.h"

union control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(uint8_t))];
};

ssize_t ktls__record_send(int fd, uint8_t type, const void *buf, size_t len)
{
	/* msghdr has no const; sendmsg() does not write through it */
	struct iovec iov = {(void *)(uintptr_t)buf, len};
	union control control = {.buf = {0}};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = KTLS__SOL_TLS;
	c->cmsg_type = KTLS__SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(sizeof(type));
	*CMSG_DATA(c) = type;
	return ktls__sys_sendmsg(fd, &msg, 0);
}

static int parse(const struct msghdr *msg)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	if ((msg->msg_flags & MSG_CTRUNC) || !c ||
	    msg->msg_controllen < CMSG_LEN(sizeof(uint8_t)) ||
	    c->cmsg_level != KTLS__SOL_TLS ||
	    c->cmsg_type != KTLS__GET_RECORD_TYPE ||
	    c->cmsg_len != CMSG_LEN(sizeof(uint8_t)))
		return -EPROTO;
	return *CMSG_DATA(c) | (msg->msg_flags & MSG_EOR ? KTLS_RECORD_END : 0);
}

int ktls_cmsg_parse(const void *control, size_t len, int msg_flags)
{
	/* io_uring puts it anywhere: aligned here */
	union control copy = {.buf = {0}};
	const struct msghdr msg = {
		.msg_control = copy.buf,
		.msg_controllen = len < sizeof(copy.buf) ? len : sizeof(copy.buf),
		.msg_flags = msg_flags,
	};
	int record = -EPROTO;

	if (control) {
		memcpy(copy.buf, control, msg.msg_controllen);
		record = parse(&msg);
	}
	if (record >= 0)
		return record;
	errno = EPROTO;
	return -1;
}

ssize_t ktls__record_recv(int fd, const struct iovec *iov, int count,
			  struct ktls__record_in *in)
{
	union control control = {.buf = {0}};
	struct msghdr msg = {
		/* msghdr has no const; recvmsg() does not change the elements */
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = (size_t)count,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;
	int record;

	n = ktls__sys_recvmsg(fd, &msg);
	if (n < 0)
		return n;
	/* at the end of the stream there is no record to have a type */
	if (n == 0 && !CMSG_FIRSTHDR(&msg))
		return 0;
	record = parse(&msg);
	if (record < 0)
		return record;
	in->type = (uint8_t)record;
	in->end = (record & KTLS_RECORD_END) != 0;
	/* RFC 8446 section 5.4: only application data may be empty */
	if (n == 0)
		return in->type == KTLS__APPLICATION_DATA ? -EINTR : -EPROTO;
	return n;
}
