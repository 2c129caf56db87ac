/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-nic: close(2) drops a record that is half sent, without even trying;
 * ktls_close() loses nothing. And what closes a record that KTLS_MORE has left
 * open: on a NIC a call with no bytes makes a record of no bytes.
 */
#include "nic.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "close.h"

enum { LATE = VT_LATE, SMALL = 4608, STILL_MS = 100 };

/* The peer reads nothing, however long it takes to fill the socket. */
static int hold(struct vt_line *l)
{
	l->p.hold = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	MUST(l->p.hold > 0);
	return l->p.hold;
}

/* It will read, when what follows already waits for it. */
static void read_later(int timer)
{
	const struct itimerspec t = {.it_value.tv_nsec = LATE * 1000000L};

	MUST(timerfd_settime(timer, 0, &t, NULL) == 0);
}

static ssize_t more(struct vt_line *l, size_t at, size_t n)
{
	/* nothing writes there */
	const struct iovec iov = {(void *)(uintptr_t)(vt_data + at), n};
	const ssize_t r = ktls_writev(l->e.c, &iov, 1, KTLS_MORE);

	if (r > 0)
		vt_line_took(l, vt_data + at, (size_t)r, n);
	return r;
}

/* Until the socket takes no more: how much it has */
static size_t fill(struct vt_line *l, size_t call, bool open)
{
	size_t at = 0;
	ssize_t r;

	while (at + call < VT_DATA) {
		if (open) {
			r = more(l, at, call);
		} else {
			r = ktls_write(l->e.c, vt_data + at, call);
			if (r > 0)
				vt_line_took(l, vt_data + at, (size_t)r, call);
		}
		if (r <= 0)
			break;
		at += (size_t)r;
	}
	CHECK(at + call < VT_DATA && errno == EAGAIN,
	      "errno %d after %zu bytes", errno, at);
	return at;
}

static void no_empty_record(const struct vt_line *l)
{
	size_t empty = 0;

	for (size_t i = 0; i < l->w.count && i < VT_WIRE_MAX; i++)
		empty += l->w.sizes[i] == 0;
	CHECK(empty == 0, "%zu of %zu records are empty", empty, l->w.count);
}

static struct vt_kind kind(bool server)
{
	return (struct vt_kind){server ? NIC_AES128 : NIC_AES256, KTLS_REQUIRE,
				KTLS_REQUIRE, server, false};
}

/* As long as something waits that TCP has not got; bytes of it. */
static uint64_t brim(const struct vt_shape *shape, bool server, bool quiet,
		     bool open)
{
	const struct vt_kind k = kind(server);
	struct ktls_info info = {.unsent = 0};
	struct nic_count c;
	struct vt_line l;
	int timer;

	vt_case("%s to the brim, SO_SNDBUF %d, %zu bytes a call%s%s",
		vt_kind_name(&k), shape->sndbuf, shape->call,
		quiet ? ", quiet" : "", open ? ", KTLS_MORE" : "");
	nic_count(&c);
	vt_line_init(&l, &k, NULL, NULL);
	vt_set_sndbuf(l.e.fd, shape->sndbuf);
	SSL_set_quiet_shutdown(l.e.ssl, quiet);
	timer = hold(&l);
	if (!vt_line_start(&l))
		return 0;
	l.cut = quiet;
	CHECK(fill(&l, shape->call, open) > 0, "no room");
	vt_end_info(&l.e, &info);
	CHECK(info.tx.mode == vt_nic_mode(true), "TX is in mode %u",
	      info.tx.mode);
	read_later(timer);
	vt_line_close(&l);
	close(timer);
	no_empty_record(&l);
	vt_wire_free(&l.w);
	nic_since(&c);
	CHECK(c.nic[server].tx_added == 1 && c.nic[server].encrypted > 0,
	      "not on the NIC");
	return info.unsent;
}

void nic_closes(void)
{
	struct nic_count c;
	uint64_t unsent = 0;

	nic_count(&c);
	vt_close_raw(true);
	nic_since(&c);
	CHECK(c.nic[0].tx_added > 0 && c.nic[0].tx_added == c.stat[0].tx_device &&
		      c.stat[0].tx_sw == 0,
	      "the kernel alone: %ld on the NIC, %ld not", c.nic[0].tx_added,
	      c.stat[0].tx_sw);
	for (unsigned int i = 0; i < 2 * VT_SHAPES; i++)
		unsent += brim(&vt_shapes[i % VT_SHAPES], i & 1, i & 2, i & 4);
	vt_case("what waited");
	CHECK(unsent > 0, "there was nothing that close(2) would have lost");
}

/* The sizes of the records, in order, and no others. */
static void sizes_are(const struct vt_line *l, const uint16_t *want, size_t n)
{
	CHECK(l->w.count == n, "%zu records, not %zu", l->w.count, n);
	for (size_t i = 0; i < n && i < l->w.count; i++)
		CHECK(l->w.sizes[i] == want[i], "record %zu has %u bytes, not %u",
		      i, l->w.sizes[i], want[i]);
}

static void takes(struct vt_line *l, size_t at, size_t n)
{
	const ssize_t r = more(l, at, n);

	CHECK(r == (ssize_t)n, "%zd of %zu, errno %d", r, n, errno);
}

/* Whatever closes it, it is one record and nothing comes with it. */
static void open_record(bool server)
{
	static const uint16_t want[] = {100, 1000, 16384, 616, 300, 700};
	const struct vt_kind k = kind(server);
	struct ktls_info info;
	struct vt_line l;

	vt_case("%s: an open record", vt_kind_name(&k));
	if (!vt_line_open(&l, &k))
		return;
	CHECK(ktls_flush(l.e.c, VT_WAIT) == 0, "errno %d", errno);
	takes(&l, 1, 100);
	for (int i = 0; i < 3; i++)
		CHECK(ktls_flush(l.e.c, VT_WAIT) == 0, "errno %d", errno);
	/* joined by a call that ends it */
	takes(&l, 7, 400);
	vt_line_send(&l, VT_WRITE, 99, 600);
	CHECK(ktls_flush(l.e.c, VT_WAIT) == 0, "errno %d", errno);
	/* full, and more */
	takes(&l, 8, 17000);
	CHECK(ktls_flush(l.e.c, VT_WAIT) == 0, "errno %d", errno);
	takes(&l, 5, 300);
	vt_end_info(&l.e, &info);
	CHECK(info.unsent >= 300, "%llu bytes unsent",
	      (unsigned long long)info.unsent);
	CHECK(ktls_flush(l.e.c, 0) == 0, "errno %d", errno);
	vt_end_info(&l.e, &info);
	CHECK(info.unsent == 0, "%llu bytes unsent",
	      (unsigned long long)info.unsent);
	takes(&l, 6, 700);
	vt_line_close(&l);
	sizes_are(&l, want, sizeof(want) / sizeof(want[0]));
	vt_wire_free(&l.w);
}

/* A full socket, whose peer reads later: the open record goes all the same. */
static void open_and_full(bool server, size_t call)
{
	const struct vt_kind k = kind(server);
	struct ktls_info info;
	struct vt_line l;
	int fd[2], timer;

	vt_case("%s: KTLS_MORE, %zu bytes a call, and the socket is full",
		vt_kind_name(&k), call);
	vt_tcp_pair_small(fd, 0, 8192);
	vt_line_init(&l, &k, NULL, fd);
	vt_set_sndbuf(l.e.fd, SMALL);
	timer = hold(&l);
	if (!vt_line_start(&l))
		return;
	CHECK(fill(&l, call, true) > 0, "no room");
	/* what was on its way to the peer makes room once more */
	do
		vt_sleep_ms(STILL_MS);
	while (fill(&l, call, true) > 0);
	CHECK(ktls_flush(l.e.c, 0) == -1 && errno == EAGAIN, "errno %d", errno);
	read_later(timer);
	CHECK(ktls_flush(l.e.c, VT_WAIT / 2) == 0, "errno %d", errno);
	close(timer);
	vt_end_info(&l.e, &info);
	CHECK(info.unsent == 0, "%llu bytes unsent",
	      (unsigned long long)info.unsent);
	vt_line_close(&l);
	no_empty_record(&l);
	vt_wire_free(&l.w);
}

void nic_opens(void)
{
	static const size_t calls[] = {1000, 16384, 20000, 5};

	for (int server = 0; server < 2; server++)
		open_record(server);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		open_and_full(i % 2, calls[i]);
}
