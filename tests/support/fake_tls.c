/* SPDX-License-Identifier: MIT */
/*
 * The TLS socket of the model: what net/tls/tls_sw.c does, as observed. A
 * record is accepted as soon as TCP has any room; what does not fit waits in
 * tx_list. Data records are delivered together, control records alone.
 */
#include "fake_core.h"

#include <errno.h>
#include <string.h>

void fake_push(struct fake_socket *s)
{
	const size_t n = s->tx_list.len;

	if (n > 0)
		fake_take(&s->tx_list, NULL,
			  fake_hand(s, s->tx_list.p + s->tx_list.off, n));
}

static void close_record(struct fake_socket *s, uint8_t type)
{
	uint8_t plain[FAKE_RECORD];
	const size_t n = s->open_record.len;

	fake_take(&s->open_record, plain, n);
	fake_seal(&s->tx, type, plain, n, &s->tx_list);
	fake_push(s);
}

ssize_t fake_tls_send(struct fake_socket *s, uint8_t type, const uint8_t *p,
		      size_t n, bool more)
{
	const int failed = fake_send_error(s);
	size_t done = 0;

	if (failed)
		return failed;
	/* net/tls/tls_main.c, tls_process_cmsg() */
	if (type != 23 && s->open_record.len > 0)
		close_record(s, 23);
	while (done < n && fake_room(s) > 0) {
		size_t k = FAKE_RECORD - s->open_record.len;

		if (k > n - done)
			k = n - done;
		fake_put(&s->open_record, p + done, k);
		done += k;
		if (s->open_record.len == FAKE_RECORD || (done == n && !more))
			close_record(s, type);
	}
	return done == 0 && n > 0 ? -EAGAIN : (ssize_t)done;
}

/* The length of the record that is next in TCP's queue; 0: not whole yet. */
static ssize_t next_record(const struct fake_socket *s)
{
	const uint8_t *h = s->in.p + s->in.off;
	size_t n, max = FAKE_RECORD + fake_overhead(&s->rx) - 5;

	if (s->in.len < 5)
		return 0;
	n = (size_t)h[3] << 8 | h[4];
	if (h[1] != 3 || h[2] != 3)
		return -EINVAL;
	if (n > max)
		return -EMSGSIZE;
	if (n < fake_overhead(&s->rx) - 5)
		return -EBADMSG;
	return s->in.len < 5 + n ? 0 : (ssize_t)(5 + n);
}

bool fake_tls_readable(const struct fake_socket *s)
{
	return s->parked_any || s->rx_error || next_record(s) != 0;
}

/* Makes sure of a record in parked: 1, 0 when there is none, or -errno. */
static int fetch(struct fake_socket *s)
{
	uint8_t rec[FAKE_RECORD + 2048];
	ssize_t n;
	int r;

	if (s->parked_any)
		return 1;
	if (s->rx_error)
		return -s->rx_error;
	n = next_record(s);
	if (n == 0)
		return 0;
	if (n > 0) {
		memcpy(rec, s->in.p + s->in.off, (size_t)n);
		r = fake_open(&s->rx, rec, (size_t)n, &s->parked_type,
			      &s->parked);
	} else {
		r = (int)n;
	}
	if (r < 0) {
		/* net/tls/tls_sw.c, tls_err_abort() */
		s->rx_error = -r;
		s->so_error = -r;
		return r;
	}
	fake_take(&s->in, NULL, (size_t)n);
	if (!s->peer->lazy)
		fake_push(s->peer);
	s->parked_any = true;
	return 1;
}

ssize_t fake_tls_recv(struct fake_socket *s, uint8_t *p, size_t n,
		      uint8_t *type, bool cmsg, bool *eor)
{
	size_t done = 0;

	*type = 0;
	*eor = false;
	for (;;) {
		size_t k;
		int r = fetch(s);

		if (r < 0)
			return done > 0 ? (ssize_t)done : r;
		if (r == 0)
			break;
		if (*type != 0 && *type != s->parked_type)
			return (ssize_t)done;
		*type = s->parked_type;
		if (*type == 0)
			return -EBADMSG;
		/* net/tls/tls_sw.c, tls_record_content_type() */
		if (*type != 23 && !cmsg)
			return -EIO;
		k = s->parked.len < n - done ? s->parked.len : n - done;
		fake_take(&s->parked, p + done, k);
		done += k;
		*eor = s->parked.len == 0;
		if (!*eor)
			return (ssize_t)done;
		s->parked_any = false;
		if (*type != 23 || done == n)
			return (ssize_t)done;
	}
	if (done > 0)
		return (ssize_t)done;
	if (s->error)
		return -s->error;
	/* an empty record before the end has left its type */
	return s->peer->fin_sent ? 0 : -EAGAIN;
}
