/* SPDX-License-Identifier: MIT */
/* sendmsg(2) and recvmsg(2) of the model: parts, types, and scripts. */
#include "fake_seam.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TLS_LEVEL = 282, SET_TYPE = 1, GET_TYPE = 2 };
static struct fake_reply scripted;
static bool have_script;

void fake_script_recvmsg(const struct fake_reply *reply)
{
	have_script = reply != NULL;
	if (reply)
		scripted = *reply;
}

static size_t length(const struct msghdr *msg)
{
	size_t n = 0;

	if (msg->msg_iovlen > 1024)
		fake_broken("%zu parts: EMSGSIZE", (size_t)msg->msg_iovlen);
	for (size_t i = 0; i < msg->msg_iovlen; i++)
		n += msg->msg_iov[i].iov_len;
	return n;
}

/* The first n bytes of all parts, to flat or from it. */
static void transfer(const struct msghdr *msg, uint8_t *flat, size_t n, bool to)
{
	for (size_t i = 0; n > 0; i++) {
		const struct iovec *v = &msg->msg_iov[i];
		const size_t k = v->iov_len < n ? v->iov_len : n;

		if (k > 0 && to)
			memcpy(flat, v->iov_base, k);
		else if (k > 0)
			memcpy(v->iov_base, flat, k);
		flat += k;
		n -= k;
	}
}

static uint8_t *flat_buffer(size_t n)
{
	uint8_t *flat = malloc(n + 1);

	if (!flat)
		abort();
	memset(flat, 0xee, n + 1);
	return flat;
}

static void free_flat(uint8_t *flat, size_t n)
{
	explicit_bzero(flat, n);
	free(flat);
}

/* net/tls/tls_main.c, tls_process_cmsg(): 1 when there is a type, or 0 */
static int record_type(const struct msghdr *msg, uint8_t *type)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int r = 0;

	*type = 23;
	for (; c; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)msg, c)) {
		if (c->cmsg_level != TLS_LEVEL)
			continue;
		if (c->cmsg_type != SET_TYPE || c->cmsg_len < CMSG_LEN(1))
			return -EINVAL;
		*type = *CMSG_DATA(c);
		r = 1;
	}
	return r;
}

/* net/tls/tls_sw.c, tls_sw_sendmsg() */
static int check_flags(int flags, bool typed)
{
	if (flags & ~(MSG_MORE | MSG_EOR))
		fake_broken("flags %#x of sendmsg()", (unsigned int)flags);
	if ((flags & MSG_EOR) && fake_kernel.old)
		return -EOPNOTSUPP;
	if ((flags & MSG_MORE) && ((flags & MSG_EOR) || typed))
		return -EINVAL;
	return 0;
}

/* whole is what was asked for, len what fake_limit() lets pass of it */
static ssize_t tls_sendmsg(struct fake_socket *s, const struct msghdr *msg,
			   int flags, size_t whole, size_t len)
{
	uint8_t type, *flat;
	int typed = record_type(msg, &type);
	ssize_t r = typed < 0 ? typed : check_flags(flags, typed);

	if (r < 0)
		return r;
	if (typed && s->tx.device && whole == 0)
		fake_broken("an empty record from the NIC");
	/* tls_sw.c, tls_set_sw_offload(): RX takes what closes TX's records */
	if (typed && s->tx.device && s->rx.on && s->open_record.len > 0)
		fake_broken("an open record becomes a part of this one");
	if (typed) {
		r = fake_tls_close_record(s);
		if (whole == 0 || (r < 0 && r != -EAGAIN && r != -EINPROGRESS))
			return r;
	}
	if (whole == 0)
		return 0;
	if (flags & MSG_MORE)
		fake_tls_more(s, whole);
	flat = flat_buffer(len);
	transfer(msg, flat, len, true);
	/* data cut short leave the record open */
	r = fake_tls_send(s, type, flat, len,
			  (flags & MSG_MORE) || (!typed && len < whole));
	free_flat(flat, len);
	return r;
}

static ssize_t plain_sendmsg(struct fake_socket *s, const struct msghdr *msg,
			     size_t len)
{
	uint8_t type, *flat;
	ssize_t r;

	if (record_type(msg, &type))
		fake_broken("a control record to a socket without keys");
	flat = flat_buffer(len);
	transfer(msg, flat, len, true);
	r = fake_plain_send(s, flat, len);
	free_flat(flat, len);
	return r;
}

ssize_t ktls__sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	const size_t whole = length(msg);
	size_t len = whole;
	ssize_t r = fake_enter_io(FAKE_SENDMSG, &len);
	struct fake_socket *s = fake_socket(fd);

	if (r == 0 && !s)
		r = -EBADF;
	if (r == 0)
		r = s->tx.on ? tls_sendmsg(s, msg, flags, whole, len)
			     : plain_sendmsg(s, msg, len);
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

static ssize_t tls_recvmsg(struct fake_socket *s, struct msghdr *msg,
			   uint8_t *flat, size_t len)
{
	struct fake_recv how = {
		.cmsg = msg->msg_control && msg->msg_controllen >= CMSG_LEN(1),
	};
	ssize_t r = fake_tls_recv(s, flat, len, &how);

	if (r < 0)
		return r;
	if (how.type != 0)
		put_cmsg(msg, TLS_LEVEL, GET_TYPE, &how.type, sizeof(how.type));
	else
		msg->msg_controllen = 0;
	if (how.eor)
		msg->msg_flags |= MSG_EOR;
	return r;
}

ssize_t ktls__sys_recvmsg(int fd, struct msghdr *msg)
{
	size_t len = length(msg);
	ssize_t r = fake_enter_io(FAKE_RECVMSG, &len);
	struct fake_socket *s = fake_socket(fd);
	uint8_t *flat;

	msg->msg_flags = 0;
	if (r == 0 && have_script)
		return fake_leave(play_script(msg));
	if (r == 0 && !s)
		r = -EBADF;
	if (r < 0)
		return fake_leave(r);
	flat = flat_buffer(len);
	if (s->rx.on) {
		r = tls_recvmsg(s, msg, flat, len);
	} else {
		msg->msg_controllen = 0;
		r = fake_plain_recv(s, flat, len);
	}
	if (r > 0)
		transfer(msg, flat, (size_t)r, false);
	free_flat(flat, len);
	return fake_leave(r);
}
