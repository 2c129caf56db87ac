/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-faults: a damaged record with good ones before and behind it, all
 * of them there when they are read. Asynchronous crypto finds out late: the
 * kernel has taken the others by then.
 */
#include "faults.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum { BUFFER = 262144, MOST = 6 };

static uint8_t wire[MOST * VT_WIRE_RECORD], buf[BUFFER];

/* n records of these lengths from vt_data + base on, the nth damaged; or -1 */
static size_t records(struct vt_duo *d, size_t base, const size_t *lengths,
		      int n, int damaged)
{
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		len += vt_duo_catch(d, vt_data + base, lengths[i], wire + len,
				    sizeof(wire) - len);
		if (i == damaged)
			wire[len - 2] ^= 0x40;
		base += lengths[i];
	}
	return len;
}

/* All of it, and it has arrived when this returns. */
static void deliver(struct vt_duo *d, size_t len)
{
	MUST(send(d->fd, wire, len, MSG_NOSIGNAL) == (ssize_t)len);
	MUST(vt_poll(d->lib.fd, POLLIN));
	vt_sleep_ms(10);
}

/*
 * Reads up to the failure. Nothing but a beginning of the good bytes may come;
 * how long it is depends on the driver. Returns its length.
 */
static size_t read_to_end(struct vt_duo *d, size_t base, size_t good, size_t call)
{
	size_t done = 0;

	for (;;) {
		const ssize_t n = vt_duo_lib_read(d, buf, call);

		if (n < 0) {
			CHECK(errno == EBADMSG, "errno %d after %zu of %zu",
			      errno, done, good);
			return done;
		}
		if (!CHECK(n > 0 && (size_t)n <= good - done &&
				   memcmp(buf, vt_data + base + done,
					  (size_t)n) == 0,
			   "%zd after %zu of %zu, or other bytes", n, done, good))
			return done;
		done += (size_t)n;
	}
}

static void behind(const struct vt_mode *m, const size_t *lengths, int n,
		   int damaged, size_t call)
{
	size_t good = 0, got;
	struct vt_duo d;

	vt_case("%s: record %d of %d is damaged, reads of %zu", vt_mode_name(m),
		damaged, n, call);
	if (!vt_mode_open(&d, m))
		return;
	vt_duo_to_peer(&d, 3, 3000);
	vt_duo_to_lib(&d, 3, 3000);
	for (int i = 0; i < damaged; i++)
		good += lengths[i];
	deliver(&d, records(&d, 77, lengths, n, damaged));
	got = read_to_end(&d, 77, good, call);
	/* in user space each record is looked at alone */
	CHECK(m->rx || got == good, "%zu bytes of %zu", got, good);
	vt_bad_mac(&d, m);
	vt_duo_drop(&d);
}

/* What happens between the last good byte and the read that fails. */
enum between { NOTHING, WRITE, FLUSH, MORE, FULL, BETWEENS };

/* With buffers so small that ktls_flush() will have to wait. */
static bool open_small(struct vt_duo *d, const struct vt_mode *m)
{
	SSL_CTX *lib = vt_ctx(m->suite, m->server, false);
	SSL_CTX *peer = vt_ctx(m->suite, !m->server, false);
	const struct ktls_policy policy = vt_mode_policy(m);
	int fd[2];
	bool ok;

	MUST(ktls_ctx_enable(lib) == 0);
	vt_tcp_pair_small(fd, 1448, 8192);
	vt_duo_init(d, lib, peer, fd, m->server, &policy);
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
	ok = vt_duo_handshake(d);
	if (ok)
		vt_set_sndbuf(d->lib.fd, 8192);
	else
		vt_duo_drop(d);
	return ok;
}

/*
 * Until the socket has taken all that it takes and the kernel has more: how
 * the sizes meet decides how often the peer has to read in between.
 */
static void fill(struct vt_duo *d)
{
	struct pollfd p = {.fd = d->lib.fd, .events = POLLOUT};
	struct ktls_info info = {.unsent = 0};

	for (int i = 0; info.unsent == 0 && i < 50; i++) {
		if (i > 0)
			(void)SSL_read(d->ssl, buf, 3000);
		do
			while (ktls_write(d->lib.c, vt_data, 50000) > 0)
				;
		while (errno == EAGAIN && poll(&p, 1, 50) > 0);
		vt_end_info(&d->lib, &info);
	}
	CHECK(info.unsent > 0, "nothing waits");
}

/*
 * Half a good record has been read, so that the next read has bytes to return
 * when it meets the damage: the failure is kept for a later call, which may
 * be another one, and more records come meanwhile.
 */
static void kept(const struct vt_mode *m, enum between what)
{
	static const char *const names[] = {"nothing", "ktls_write",
					    "ktls_flush", "KTLS_MORE",
					    "ktls_flush that waits"};
	static const size_t first[] = {5000}, rest[] = {300, 700, 900};
	static const size_t later[] = {400};
	const struct iovec iov = {(void *)(uintptr_t)vt_data, 100};
	struct vt_duo d;
	ssize_t n;

	vt_case("%s: half a record, the damage, then %s", vt_mode_name(m),
		names[what]);
	if (!(what == FULL ? open_small(&d, m) : vt_mode_open(&d, m)))
		return;
	vt_duo_to_peer(&d, 3, 3000);
	vt_duo_to_lib(&d, 3, 3000);
	if (what == FULL)
		fill(&d);
	deliver(&d, records(&d, 0, first, 1, -1));
	n = vt_duo_lib_read(&d, buf, 1000);
	CHECK(n == 1000 && memcmp(buf, vt_data, 1000) == 0, "%zd, errno %d", n,
	      errno);
	deliver(&d, records(&d, 5000, rest, 3, 1));
	n = vt_duo_lib_read(&d, buf, sizeof(buf));
	CHECK(n >= 4000 && n <= 4300 &&
		      memcmp(buf, vt_data + 1000, (size_t)n) == 0,
	      "%zd, errno %d, or other bytes", n, errno);
	deliver(&d, records(&d, 6900, later, 1, -1));
	/* they may succeed or fail, but not hide the failure */
	if (what == WRITE)
		(void)!ktls_write(d.lib.c, vt_data, 100);
	else if (what == FLUSH || what == FULL)
		(void)ktls_flush(d.lib.c, 200);
	else if (what == MORE && ktls_writev(d.lib.c, &iov, 1, KTLS_MORE) > 0)
		(void)ktls_flush(d.lib.c, 200);
	read_to_end(&d, (size_t)n + 1000, 5300 - 1000 - (size_t)n, sizeof(buf));
	for (int i = 0; i < 3; i++)
		CHECK(ktls_read(d.lib.c, buf, sizeof(buf)) == -1 &&
			      errno == EBADMSG,
		      "again: errno %d", errno);
	vt_duo_drop(&d);
}

void vt_late_cases(const struct vt_mode *m)
{
	static const size_t lengths[] = {1000, VT_RECORD, 1, 12345, 500, 3000};

	for (int damaged = 0; damaged < 6; damaged += 1 + (damaged == 3))
		behind(m, lengths, 6, damaged, BUFFER);
	/* who is the client makes no difference to what follows */
	if (m->server)
		return;
	behind(m, lengths, 4, 2, 4096);
	behind(m, lengths, 2, 1, 100);
	/* filling a socket takes its time */
	for (int i = 0; i < (m->rx ? BETWEENS : FULL); i++)
		kept(m, (enum between)i);
}
