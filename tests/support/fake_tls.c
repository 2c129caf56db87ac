/* SPDX-License-Identifier: MIT */
/*
 * The TLS socket of the model: what net/tls/tls_sw.c does, as observed. A
 * record is accepted as soon as TCP has any room; what does not fit waits in
 * tx_list. Data records are delivered together, control records alone.
 */
#include "fake_core.h"

#include <errno.h>
#include <string.h>

enum {
	FRAGMENTS = 17, /* of a record: MAX_SKB_FRAGS */
	KEY_UPDATE = 24 /* RFC 8446 section 4 */
};

void fake_push(struct fake_socket *s)
{
	const size_t n = s->tx_list.len;

	if (n > 0)
		fake_take(&s->tx_list, NULL,
			  fake_hand(s, s->tx_list.p + s->tx_list.off, n));
}

void fake_worker(struct fake_socket *s)
{
	const size_t n = s->tx_list.len;

	fake_push(s);
	if (s->tx_list.len < n)
		fake_call_done(s);
}

static void close_record(struct fake_socket *s, uint8_t type)
{
	uint8_t plain[FAKE_RECORD];
	const size_t n = s->open_record.len;

	fake_take(&s->open_record, plain, n);
	s->open_pages = 0;
	fake_seal(&s->tx, type, plain, n, &s->tx_list);
	fake_push(s);
}

void fake_tls_more(const struct fake_socket *s, size_t n)
{
	if (s->open_record.len + n >= s->tx_max && !fake_kernel.may_stall)
		fake_broken("MSG_MORE on a full record");
}

static bool is_key_update(uint8_t type, const uint8_t *p, size_t n)
{
	return type == 22 && n > 0 && p[0] == KEY_UPDATE;
}

/*
 * n bytes went out: TLS_TX is due when a KeyUpdate has gone, in parts or not.
 * The part of another message may begin with the same byte.
 */
static void follow_messages(struct fake_socket *s, uint8_t type,
			    const uint8_t *p, size_t n)
{
	if (type != 22 && n > 0 && s->message_have > 0 &&
	    s->message_head[0] == KEY_UPDATE)
		fake_broken("another record in the middle of a KeyUpdate");
	for (size_t i = 0; type == 22 && i < n; i++) {
		const uint8_t *h = s->message_head;

		if (s->tx_updated)
			fake_broken("more behind a KeyUpdate, under the old key");
		if (s->message_have < sizeof(s->message_head))
			s->message_head[s->message_have] = p[i];
		s->message_have++;
		if (s->message_have < sizeof(s->message_head) ||
		    s->message_have < sizeof(s->message_head) +
				(size_t)(h[1] << 16 | h[2] << 8 | h[3]))
			continue;
		s->tx_updated = h[0] == KEY_UPDATE;
		s->message_have = 0;
	}
}

ssize_t fake_tls_send(struct fake_socket *s, uint8_t type, const uint8_t *p,
		      size_t n, bool more)
{
	const int failed = fake_send_error(s);
	size_t done = 0;

	if (failed)
		return failed;
	if (s->tx_updated && n > 0)
		fake_broken("a record behind KeyUpdate, under the old key");
	while (done < n && fake_room(s) > 0) {
		size_t k = s->tx_max - s->open_record.len;

		if (k > n - done)
			k = n - done;
		fake_put(&s->open_record, p + done, k);
		done += k;
		if (s->open_record.len == s->tx_max || (done == n && !more))
			close_record(s, type);
	}
	follow_messages(s, type, p, done);
	/* TCP sends at once what a call without MSG_MORE gave it */
	if (done == n && !more)
		fake_call_done(s);
	return done == 0 && n > 0 ? -EAGAIN : (ssize_t)done;
}

/*
 * A send of no bytes, net/tls/tls_device.c, tls_push_data(): what TCP has not
 * got goes first. It would make a record of nothing where none is open.
 */
int fake_tls_device_end(struct fake_socket *s)
{
	const int failed = fake_send_error(s);

	if (failed)
		return failed;
	fake_push(s);
	if (s->tx_list.len > 0)
		return -EAGAIN;
	if (s->open_record.len == 0)
		fake_broken("an empty record from the NIC");
	close_record(s, 23);
	fake_call_done(s);
	return 0;
}

ssize_t fake_tls_page(struct fake_socket *s, const uint8_t *p, size_t n, bool more)
{
	const ssize_t r = fake_tls_send(s, 23, p, n, more);

	if (s->open_record.len > 0 && ++s->open_pages == FRAGMENTS)
		close_record(s, 23);
	return r;
}

int fake_tls_close_record(struct fake_socket *s)
{
	int failed;

	if (s->open_record.len == 0)
		return 0;
	failed = fake_send_error(s);
	if (failed)
		return failed;
	close_record(s, 23);
	fake_call_done(s);
	if (fake_kernel.async)
		return -EINPROGRESS;
	return s->tx_list.len > 0 ? -EAGAIN : 0;
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
	if (s->parked_any || s->rx_error)
		return true;
	return !s->rx_paused && next_record(s) != 0;
}

/* Makes sure of a record in parked: 1, 0 when there is none, or -errno. */
static int fetch(struct fake_socket *s)
{
	uint8_t rec[FAKE_RECORD + 2048];
	struct fake_record *to = &s->parked;
	ssize_t n;
	int r;

	if (s->parked_any)
		return 1;
	if (s->rx_error)
		return -s->rx_error;
	if (s->rx_paused)
		return -EKEYEXPIRED;
	n = next_record(s);
	if (n == 0)
		return 0;
	if (n > 0) {
		memcpy(rec, s->in.p + s->in.off, (size_t)n);
		r = fake_open(&s->rx, rec, (size_t)n, &to->type, &to->plain);
	} else {
		r = (int)n;
	}
	if (r < 0) {
		/* net/tls/tls_sw.c, tls_err_abort() */
		s->rx_error = -r;
		s->so_error = -r;
		return r;
	}
	/* where the bytes are in its memory: prepend_size */
	to->at = fake_overhead(&s->rx) - 16 - (s->rx.version == 0x0304);
	to->padded = to->plain.len + fake_overhead(&s->rx) < (size_t)n;
	fake_take(&s->in, NULL, (size_t)n);
	if (!s->peer->lazy)
		fake_worker(s->peer);
	s->parked_any = true;
	/* net/tls/tls_sw.c, tls_check_pending_rekey(): by its first byte */
	s->rx_paused = !fake_kernel.no_rekey && s->rx.version == 0x0304 &&
		       is_key_update(to->type, to->plain.p + to->plain.off,
				     to->plain.len);
	return 1;
}

struct fake_record *fake_tls_first(struct fake_socket *s, int *r)
{
	*r = fetch(s);
	if (*r > 0)
		return &s->parked;
	if (*r == 0)
		*r = s->error ? -s->error : s->peer->fin_sent ? 0 : -EAGAIN;
	return NULL;
}

void fake_tls_take(struct fake_socket *s, size_t n)
{
	fake_take(&s->parked.plain, NULL, n);
	s->parked.at += n;
	s->parked_any = s->parked.plain.len > 0;
}

/*
 * CVE-2026-74611: a record that was decrypted to the caller's buffer in vain,
 * as it turned out, is done again, and moves the place of those behind it.
 */
static bool misplaces(const struct fake_socket *s, size_t room)
{
	const struct fake_record *rec = &s->parked;

	return fake_kernel.no_pad_bug && s->rx_no_pad &&
	       rec->plain.len <= room && (rec->type != 23 || rec->padded);
}

/* k bytes of a record to p + at, of which n bytes are there. */
static void copy(const struct fake_record *rec, uint8_t *p, size_t at, size_t k,
		 size_t n)
{
	if (at + k > n)
		k = at < n ? n - at : 0;
	if (k > 0)
		memcpy(p + at, rec->plain.p + rec->plain.off, k);
}

ssize_t fake_tls_recv(struct fake_socket *s, uint8_t *p, size_t n,
		      struct fake_recv *how)
{
	const struct fake_record *rec = &s->parked;
	size_t done = 0, moved = 0;

	how->type = 0;
	how->eor = false;
	for (;;) {
		const bool fresh = !s->parked_any;
		size_t k;
		int r = fetch(s);

		if (r < 0)
			return done > 0 ? (ssize_t)done : r;
		if (r == 0)
			break;
		if (how->type != 0 && how->type != rec->type)
			return (ssize_t)done;
		how->type = rec->type;
		if (how->type == 0)
			return -EBADMSG;
		/* net/tls/tls_sw.c, tls_record_content_type() */
		if (how->type != 23 && !how->cmsg)
			return -EIO;
		k = rec->plain.len < n - done ? rec->plain.len : n - done;
		copy(rec, p, done + moved, k, n);
		if (fresh && misplaces(s, n - done))
			moved += k;
		done += k;
		fake_tls_take(s, k);
		how->eor = !s->parked_any;
		if (!how->eor || how->type != 23 || done == n)
			return (ssize_t)done;
	}
	if (done > 0)
		return (ssize_t)done;
	if (s->error)
		return -s->error;
	/* an empty record before the end has left its type */
	return s->peer->fin_sent ? 0 : -EAGAIN;
}
