/* SPDX-License-Identifier: MIT */
/*
 * Connections on which libktls sends by any of its calls, to a thread that
 * counts bytes and records.
 */
#include "vmtest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PIECES = 1000, PIPE_SIZE = 65536 };

const char *vt_kind_name(const struct vt_kind *k)
{
	static const char *const use[] = {"auto", "user", "kernel"};
	static char name[128];

	snprintf(name, sizeof(name), "TLS %s %s %s %s/%s %s",
		 vt_version_str(k->suite->version), k->suite->label,
		 k->server ? "server" : "client", use[k->tx], use[k->rx],
		 k->blocking ? "blocking" : "non-blocking");
	return name;
}

void vt_line_init(struct vt_line *l, const struct vt_kind *k,
		  const struct ktls_policy *policy, const int pair[2])
{
	SSL_CTX *lib = vt_ctx(k->suite, k->server, false);
	SSL_CTX *other = vt_ctx(k->suite, !k->server, false);
	const struct ktls_policy plain = vt_policy(k->tx, k->rx);
	int fd[2];

	memset(l, 0, sizeof(*l));
	l->kind = k;
	if (pair)
		memcpy(fd, pair, sizeof(fd));
	else
		vt_tcp_pair(fd);
	MUST(ktls_ctx_enable(lib) == 0);
	vt_peer_init(&l->p, other, fd[!k->server], !k->server);
	vt_wire_watch(&l->w, l->p.ssl);
	vt_end_init(&l->e, lib, fd[k->server], k->server, k->blocking,
		    policy ? policy : &plain);
	vt_sink_init(&l->want);
	SSL_CTX_free(lib);
	SSL_CTX_free(other);
}

void vt_line_init_slow(struct vt_line *l, const struct vt_kind *k)
{
	int fd[2];

	/* with loopback's segments every other one waits for a late ACK */
	vt_tcp_pair_small(fd, 1448, 8192);
	vt_line_init(l, k, NULL, fd);
	vt_set_sndbuf(l->e.fd, 8192);
	l->p.start_ms = 20;
}

bool vt_line_start(struct vt_line *l)
{
	vt_peer_start(&l->p);
	if (CHECK(vt_end_handshake(&l->e) == 0, "ktls_handshake: errno %d", errno))
		return true;
	l->cut = true;
	vt_line_close(l);
	vt_wire_free(&l->w);
	return false;
}

bool vt_line_open(struct vt_line *l, const struct vt_kind *k)
{
	vt_line_init(l, k, NULL, NULL);
	return vt_line_start(l);
}

bool vt_line_again(struct vt_line *l, const char *call)
{
	struct ktls_error error = {.size = sizeof(error)};
	const int e = errno;
	const int events = ktls_wants(l->e.c);

	if (e == EAGAIN)
		return CHECK(!l->kind->blocking, "%s: EAGAIN, but blocking",
			     call) &&
		       CHECK(events != 0, "%s: EAGAIN, wants 0", call) &&
		       CHECK(vt_poll(l->e.fd, events), "%s: no event 0x%x",
			     call, (unsigned int)events);
	MUST(ktls_get_error(l->e.c, &error) == 0);
	return CHECK(false, "%s: errno %d (%s) after %zu bytes", call, e,
		     error.text, l->want.count);
}

void vt_line_took(struct vt_line *l, const void *p, size_t n, size_t asked)
{
	vt_sink_add(&l->want, p, n);
	l->shorts += n < asked;
}

/* Elements of odd lengths, empty ones among them, for n bytes at most. */
static int cut(struct iovec *iov, size_t base, size_t n)
{
	size_t done = 0;
	int i;

	for (i = 0; i < PIECES && done < n; i++) {
		size_t k = (base + done) * 2654435761U % 1999 + 1;

		if (i % 7 == 3)
			k = 0;
		if (k > n - done)
			k = n - done;
		/* nothing writes there */
		iov[i].iov_base =
			k ? (void *)(uintptr_t)(vt_data + base + done) : NULL;
		iov[i].iov_len = k;
		done += k;
	}
	return i;
}

static ssize_t by_writev(struct vt_line *l, size_t base, size_t n)
{
	static struct iovec iov[PIECES];
	size_t sum = 0;
	ssize_t r;
	int count = cut(iov, base, n);

	for (int i = 0; i < count; i++)
		sum += iov[i].iov_len;
	r = ktls_writev(l->e.c, iov, count, sum < n ? KTLS_MORE : 0);
	l->shorts += r > 0 && (size_t)r < sum;
	return r;
}

/* Memory and file by turns. */
static ssize_t by_spans(struct vt_line *l, size_t base, size_t n)
{
	struct ktls_span s[40];
	struct ktls_cursor cursor = {0};
	size_t done = 0;
	int i;

	memset(s, 0, sizeof(s));
	for (i = 0; i < 40 && done < n; i++) {
		size_t k = i % 2 ? 3001 + (size_t)i * 5 : 177;

		if (k > n - done || i == 39)
			k = n - done;
		s[i].len = k;
		if (i % 2) {
			s[i].fd = vt_file;
			s[i].offset = (off_t)(base + done);
		} else {
			s[i].buf = vt_data + base + done;
		}
		done += k;
	}
	return ktls_sendfilev(l->e.c, s, i, &cursor);
}

/* The pipe holds what the call is to move. */
static ssize_t by_splice(struct vt_line *l, size_t base, size_t n)
{
	static int fd[2] = {-1, -1};
	static size_t inside, at;
	ssize_t r;

	if (fd[0] < 0)
		MUST(pipe2(fd, O_CLOEXEC | O_NONBLOCK) == 0);
	if (inside == 0 || base != at) {
		MUST(inside == 0);
		at = base;
		inside = n < PIPE_SIZE ? n : PIPE_SIZE;
		MUST(write(fd[1], vt_data + base, inside) == (ssize_t)inside);
	}
	r = ktls_splice_in(l->e.c, fd[0], inside, 0);
	if (r > 0) {
		inside -= (size_t)r;
		at += (size_t)r;
	}
	return r;
}

bool vt_line_send(struct vt_line *l, enum vt_method how, size_t base, size_t n)
{
	static const char *const names[] = {"ktls_write", "ktls_writev",
					    "ktls_sendfile", "ktls_sendfilev",
					    "ktls_splice_in"};
	size_t done = 0;

	while (done < n) {
		off_t offset = (off_t)(base + done);
		const size_t left = n - done;
		ssize_t r = -1;

		switch (how) {
		case VT_WRITE:
			r = ktls_write(l->e.c, vt_data + base + done, left);
			break;
		case VT_WRITEV:
			r = by_writev(l, base + done, left);
			break;
		case VT_FILE:
			r = ktls_sendfile(l->e.c, vt_file, &offset, left);
			break;
		case VT_SPANS:
			r = by_spans(l, base + done, left);
			break;
		case VT_SPLICE:
			r = by_splice(l, base + done, left);
			break;
		case VT_METHODS:
			break;
		}
		if (!CHECK(r != 0 && r <= (ssize_t)left, "%s: %zd of %zu",
			   names[how], r, left))
			return false;
		CHECK(r <= (ssize_t)l->most || l->most == 0, "%s: %zd, not %zu",
		      names[how], r, l->most);
		l->calls += r > 0;
		if (r < 0 && !vt_line_again(l, names[how]))
			return false;
		if (r > 0) {
			vt_line_took(l, vt_data + base + done, (size_t)r,
				     how == VT_WRITEV ? (size_t)r : left);
			done += (size_t)r;
		}
	}
	return true;
}

void vt_line_close(struct vt_line *l)
{
	if (l->e.c)
		CHECK(vt_end_close(&l->e) == 0 || l->cut,
		      "ktls_close: errno %d", errno);
	vt_peer_join(&l->p);
	CHECK(l->p.error == 0, "the peer: %s", l->p.text);
	CHECK(l->cut || (l->p.close_notify && !l->p.eof),
	      "the peer saw no close_notify");
	vt_sink_same(&l->p.in, &l->want, "the peer");
	EVP_MD_CTX_free(l->e.in.md);
	l->e.in.md = NULL;
}
