/* SPDX-License-Identifier: MIT */
/*
 * TCP of the model: two queues and how connections end. What is put into a
 * queue has left the sender for good: acknowledgements and loss play no part.
 */
#include "fake_core.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { SOCKETS = 64, FIRST_FD = 1000 };
static struct fake_socket sockets[SOCKETS];
static size_t used;

void fake_put(struct fake_bytes *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	if (b->off > 0 && b->off + b->len + n > b->cap) {
		memmove(b->p, b->p + b->off, b->len);
		b->off = 0;
	}
	if (b->len + n > b->cap) {
		b->cap = 2 * (b->len + n);
		b->p = realloc(b->p, b->cap);
		if (!b->p)
			abort();
	}
	memcpy(b->p + b->off + b->len, p, n);
	b->len += n;
}

void fake_take(struct fake_bytes *b, void *p, size_t n)
{
	if (n > b->len)
		abort();
	if (p && n > 0)
		memcpy(p, b->p + b->off, n);
	b->off += n;
	b->len -= n;
	if (b->len == 0)
		b->off = 0;
}

/* Wiped, so that tests find only what the library forgot to wipe. */
void fake_drop_all(struct fake_bytes *b)
{
	if (b->p)
		explicit_bzero(b->p, b->cap);
	free(b->p);
	memset(b, 0, sizeof(*b));
}

static void drop(struct fake_socket *s)
{
	fake_drop_all(&s->in);
	fake_drop_all(&s->open_record);
	fake_drop_all(&s->tx_list);
	fake_drop_all(&s->parked.plain);
	fake_drop_all(&s->held);
	fake_drop_all(&s->wire);
	memset(s, 0, sizeof(*s));
}

void fake_sockets_reset(void)
{
	for (size_t i = 0; i < used; i++)
		drop(&sockets[i]);
	used = 0;
}

/* A pair that the library had for a moment is of no interest any more. */
static size_t unused(void)
{
	for (size_t i = 0; i < used; i += 2)
		if (sockets[i].probe && !sockets[i].open && !sockets[i + 1].open)
			return i;
	if (used + 2 > SOCKETS)
		abort();
	used += 2;
	return used - 2;
}

void fake_tcp_pair(int fd[2], size_t capacity)
{
	const size_t first = unused();

	for (size_t i = 0; i < 2; i++) {
		struct fake_socket *s = &sockets[first + i];

		drop(s);
		s->fd = FIRST_FD + (int)(first + i);
		fd[i] = s->fd;
		s->open = true;
		s->peer = &sockets[first + 1 - i];
		s->type = SOCK_STREAM;
		s->domain = AF_INET;
		s->protocol = IPPROTO_TCP;
		s->fl = O_RDWR | O_NONBLOCK;
		s->capacity = capacity;
		s->retrans = 4321;
		s->cookie = 0x100000002u * (first + i + 1);
		s->netns = FAKE_NETNS;
		s->mss = 65483;
		s->sndbuf = 87040;
		s->tx_max = FAKE_RECORD;
	}
}

struct fake_socket *fake_socket(int fd)
{
	const size_t i = (size_t)(fd - FIRST_FD);

	return fd >= FIRST_FD && i < used && sockets[i].open ? &sockets[i] : NULL;
}

struct fake_socket *fake_socket_any(int fd)
{
	const size_t i = (size_t)(fd - FIRST_FD);

	return fd >= FIRST_FD && i < used ? &sockets[i] : NULL;
}

size_t fake_own_sockets(void)
{
	size_t n = 0;

	for (size_t i = 0; i < used; i++)
		n += sockets[i].probe && sockets[i].open;
	return n;
}

size_t fake_queued(const struct fake_socket *s)
{
	return s->peer->in.len + s->held.len;
}

size_t fake_room(const struct fake_socket *s)
{
	const size_t queued = fake_queued(s), capacity = s->peer->capacity;

	return capacity > queued ? capacity - queued : 0;
}

void fake_uncork(struct fake_socket *s)
{
	const size_t n = s->held.len;

	if (n == 0)
		return;
	fake_put(&s->peer->in, s->held.p + s->held.off, n);
	fake_take(&s->held, NULL, n);
}

void fake_call_done(struct fake_socket *s)
{
	if (!s->cork)
		fake_uncork(s);
}

/* Whole segments go out all the same. */
static void hold(struct fake_socket *s, const uint8_t *p, size_t n)
{
	struct fake_bytes *h = &s->held;
	size_t out;

	fake_put(h, p, n);
	out = h->len / (size_t)s->mss * (size_t)s->mss;
	fake_put(&s->peer->in, h->p + h->off, out);
	fake_take(h, NULL, out);
}

void fake_workers(void)
{
	for (size_t i = 0; i < used; i++)
		if (sockets[i].open)
			fake_worker(&sockets[i]);
}

size_t fake_hand(struct fake_socket *s, const uint8_t *p, size_t n)
{
	const size_t room = fake_room(s);

	if (s->fin_sent || s->error)
		return 0;
	/* who has closed its socket answers with a reset */
	if (!s->peer->open) {
		s->error = ECONNRESET;
		s->handed += n;
		return n;
	}
	if (n > room)
		n = room;
	if ((s->corks && s->tx.on) || s->cork || s->held.len > 0)
		hold(s, p, n);
	else
		fake_put(&s->peer->in, p, n);
	fake_put(&s->wire, p, n);
	s->handed += n;
	return n;
}

short fake_ready(const struct fake_socket *s, short events)
{
	const size_t third = s->peer->capacity / 3;
	int ready = 0;

	if (s->error)
		ready |= POLLERR | POLLHUP | POLLIN | POLLOUT;
	if (s->so_error)
		ready |= POLLERR;
	if (s->rx.on ? fake_tls_readable(s) : s->in.len > 0)
		ready |= POLLIN;
	if (s->peer->fin_sent)
		ready |= POLLIN;
	if (fake_room(s) > 0 && fake_room(s) >= third)
		ready |= POLLOUT;
	if (s->fin_sent)
		ready |= POLLOUT;
	return (short)(ready & (events | POLLERR | POLLHUP));
}

int fake_send_error(struct fake_socket *s)
{
	const int once = s->so_error;

	s->so_error = 0;
	if (once)
		return -once;
	if (s->error)
		return -s->error;
	return s->fin_sent ? -EPIPE : 0;
}

ssize_t fake_plain_send(struct fake_socket *s, const void *p, size_t n)
{
	const int failed = fake_send_error(s);
	size_t took;

	if (failed)
		return failed;
	took = fake_hand(s, p, n);
	if (took == n)
		fake_call_done(s);
	return took == 0 && n > 0 ? -EAGAIN : (ssize_t)took;
}

ssize_t fake_plain_recv(struct fake_socket *s, void *p, size_t n)
{
	if (s->in.len > 0) {
		if (n > s->in.len)
			n = s->in.len;
		fake_take(&s->in, p, n);
		/* the peer has room again: its worker moves tx_list */
		if (!s->peer->lazy)
			fake_worker(s->peer);
		return (ssize_t)n;
	}
	if (s->error)
		return -s->error;
	return s->peer->fin_sent ? 0 : -EAGAIN;
}

ssize_t fake_raw_read(int fd, void *buf, size_t len)
{
	return fake_plain_recv(fake_socket(fd), buf, len);
}

ssize_t fake_raw_write(int fd, const void *buf, size_t len)
{
	return fake_plain_send(fake_socket(fd), buf, len);
}

void fake_raw_fin(int fd)
{
	fake_socket(fd)->fin_sent = true;
}

/* The receiver of a reset finds nothing of what was on its way. */
static void reset(struct fake_socket *s)
{
	struct fake_socket *to = s->peer;

	to->error = ECONNRESET;
	fake_take(&to->in, NULL, to->in.len);
}

void fake_raw_reset(int fd)
{
	reset(fake_socket(fd));
}

int fake_shutdown(struct fake_socket *s)
{
	if (s->error)
		return -ENOTCONN;
	/* net/tls has no hook here: what it holds can never be sent */
	s->lost += s->tx_list.len + s->open_record.len;
	fake_take(&s->tx_list, NULL, s->tx_list.len);
	fake_take(&s->open_record, NULL, s->open_record.len);
	fake_uncork(s);
	s->fin_sent = true;
	return 0;
}

int fake_close(struct fake_socket *s)
{
	/* tls_sw_release_resources_tx(): one try, then all is freed */
	if (!s->lazy)
		fake_push(s);
	(void)fake_shutdown(s);
	s->reset_at_close = s->in.len > 0;
	if (s->in.len > 0 || s->error)
		reset(s);
	s->open = false;
	return 0;
}
