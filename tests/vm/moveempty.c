/* SPDX-License-Identifier: MIT */
/* ktls-vm-move: empty and padded records among those that are received. */
#include "move.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { ALERT = 21, DATA = 23 };

enum how { READ, READV, PEEK, SPLICE, HOWS };

static const char *const names[] = {"ktls_read", "ktls_readv", "ktls_peek",
				    "ktls_splice_out"};

struct empty {
	struct vt_duo d;
	struct vt_forge f;
	int pipe[2];
	enum how how;
};

static ssize_t receive(struct empty *e, uint8_t *buf, size_t len)
{
	struct iovec iov[] = {{NULL, 0}, {buf, 1}, {buf + 1, len - 1}};
	struct ktls_conn *c = e->d.lib.c;

	switch (e->how) {
	case READ:
		return ktls_read(c, buf, len);
	case READV:
		return ktls_readv(c, iov, 3);
	case PEEK:
		return ktls_peek(c, buf, len);
	case SPLICE:
		return ktls_splice_out(c, e->pipe[1], len, 0);
	case HOWS:
		break;
	}
	return -1;
}

/* Nothing to read, and that is no reason to come back at once. */
static void nothing(struct empty *e)
{
	struct pollfd p = {.fd = e->d.lib.fd, .events = POLLIN};
	uint8_t buf[100];
	ssize_t n;
	int woken = 0;

	while (poll(&p, 1, 50) > 0 && woken < 10) {
		n = receive(e, buf, sizeof(buf));
		if (!CHECK(n == -1 && errno == EAGAIN &&
				   ktls_wants(e->d.lib.c) == POLLIN,
			   "an empty record: %zd, errno %d", n, errno))
			return;
		woken++;
	}
	CHECK(woken < 10, "poll(2) says POLLIN for ever");
}

/* n bytes at p come, and nothing else. */
static bool arrives(struct empty *e, const uint8_t *p, size_t n)
{
	uint8_t buf[2000];
	ssize_t r;

	for (size_t done = 0; done < n; done += (size_t)r) {
		int tries = 0;

		while ((r = receive(e, buf, n - done)) < 0 && errno == EAGAIN)
			if (++tries > 100 || !vt_poll(e->d.lib.fd, POLLIN))
				break;
		if (r > 0 && e->how == SPLICE)
			MUST(read(e->pipe[0], buf, (size_t)r) == r);
		if (!CHECK(r > 0 && memcmp(buf, p + done, (size_t)r) == 0,
			   "%zd, errno %d, after %zu of %zu", r, errno, done, n))
			return false;
		if (e->how == PEEK)
			MUST(ktls_read(e->d.lib.c, buf, (size_t)r) == r);
	}
	return true;
}

static void records(struct empty *e)
{
	static const uint8_t close_notify[] = {1, 0};
	const bool tls13 = e->f.version == TLS1_3_VERSION;
	const size_t pad = tls13 ? 700 : 0;
	uint8_t c;
	ssize_t r;
	int tries = 0;

	vt_forge_send(&e->f, DATA, vt_data, 100, 0);
	if (!arrives(e, vt_data, 100))
		return;
	/* alone */
	vt_forge_send(&e->f, DATA, NULL, 0, 0);
	nothing(e);
	vt_forge_send(&e->f, DATA, vt_data, 100, pad);
	if (!arrives(e, vt_data, 100))
		return;
	/* several, padded ones too, before and behind data */
	for (int i = 0; i < 5; i++)
		vt_forge_send(&e->f, DATA, NULL, 0, pad * (size_t)i);
	vt_forge_send(&e->f, DATA, vt_data, 1000, 0);
	for (int i = 0; i < 5; i++)
		vt_forge_send(&e->f, DATA, NULL, 0, 0);
	vt_forge_send(&e->f, DATA, vt_data + 1000, 500, pad);
	if (!arrives(e, vt_data, 1500))
		return;
	nothing(e);
	vt_forge_send(&e->f, DATA, NULL, 0, 0);
	vt_forge_send(&e->f, ALERT, close_notify, 2, pad);
	while ((r = receive(e, &c, 1)) < 0 && errno == EAGAIN)
		if (++tries > 100 || !vt_poll(e->d.lib.fd, POLLIN))
			break;
	CHECK(r == 0, "close_notify: %zd, errno %d", r, errno);
}

void vt_empty_cases(const struct vt_kind *k)
{
	SSL_CTX *lib = vt_ctx(k->suite, k->server, false);
	SSL_CTX *peer = vt_ctx(k->suite, !k->server, false);
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	struct empty e;

	if (k->blocking || strcmp(k->suite->label, "AES-128-GCM") != 0)
		goto out;
	vt_forge_ctx(peer);
	for (int how = 0; how < HOWS; how++) {
		vt_case("%s: empty records, %s", vt_kind_name(k), names[how]);
		if (!vt_duo_open_ctx(&e.d, lib, peer, k->server, &policy))
			break;
		e.how = (enum how)how;
		MUST(pipe2(e.pipe, O_CLOEXEC | O_NONBLOCK) == 0);
		vt_forge_init(&e.f, e.d.ssl, e.d.fd);
		records(&e);
		vt_duo_drop(&e.d);
		close(e.pipe[0]);
		close(e.pipe[1]);
	}
out:
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
}
