/* SPDX-License-Identifier: MIT */
/* splice(2) between a pipe and a TLS socket of the model: fs/splice.c. */
#include "fake_seam.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum {
	BATCH = 16, /* slots of one sendmsg() */
	RUN = 16384 /* bytes of pages in a row, of a record received */
};

/*
 * The next slots that become one send: their bytes, at most len. *more is
 * what the kernel says then: that there is more, even where the last slot of
 * a whole batch was also the last one of the pipe.
 */
static size_t batch(const struct fake_pipe *p, size_t len, size_t *slots,
		    bool *more)
{
	const size_t max = fake_kernel.old ? 1 : BATCH;
	size_t n = 0;

	for (*slots = 0; *slots < p->n && *slots < max && n < len;) {
		const size_t k = p->slot[*slots].len;

		n += k < len - n ? k : len - n;
		++*slots;
	}
	*more = n < len && (*slots < p->n || (!fake_kernel.old && *slots == max));
	return n;
}

/* n bytes of the first slots, each of which is a fragment of the record. */
static ssize_t send_batch(struct fake_pipe *p, struct fake_socket *s, size_t n,
			  bool more)
{
	size_t done = 0;

	while (done < n) {
		size_t k = p->slot[0].len;
		ssize_t r;

		if (k > n - done)
			k = n - done;
		r = fake_tls_page(s, p->data.p + p->data.off, k,
				  more || done + k < n);
		if (r < 0)
			return done > 0 ? (ssize_t)done : r;
		fake_pipe_take(p, NULL, (size_t)r);
		done += (size_t)r;
		if ((size_t)r < k)
			break;
	}
	return (ssize_t)done;
}

/* whole is what was asked for, len what fake_limit() lets pass of it */
static ssize_t to_socket(struct fake_pipe *p, struct fake_socket *s,
			 size_t whole, size_t len)
{
	size_t done = 0;

	if (!s->tx.on)
		fake_broken("splice() to a socket without keys");
	if (!(s->fl & O_NONBLOCK))
		fake_broken("splice() would block");
	while (done < len) {
		size_t slots, n;
		ssize_t r;
		bool more;

		if (p->n == 0) {
			if (done == 0 && p->open[1])
				return -EAGAIN;
			break;
		}
		n = batch(p, len - done, &slots, &more);
		if (more)
			fake_tls_more(s, n);
		/* cut short, it leaves the record open as sendfile() does */
		r = send_batch(p, s, n, more || len < whole);
		if (r < 0)
			return done > 0 ? (ssize_t)done : r;
		done += (size_t)r;
		if ((size_t)r < n)
			break;
	}
	return (ssize_t)done;
}

/*
 * net/tls/tls_sw.c, tls_sw_splice_read(): one record at most, as many bytes as
 * the free slots have pages, in pieces that do not cross its runs of pages,
 * where the header's room is left in front (observed with Linux 6.1 and 7.3).
 */
static ssize_t from_socket(struct fake_socket *s, struct fake_pipe *p, size_t len)
{
	const size_t room = fake_pipe_free(p) * FAKE_PAGE;
	struct fake_record *rec;
	size_t chunk, done = 0;
	int r;

	if (!s->rx.on)
		fake_broken("splice() from a socket without keys");
	if (!p->open[0])
		return -EPIPE;
	if (room == 0)
		return -EAGAIN;
	rec = fake_tls_first(s, &r);
	if (!rec)
		return r;
	if (rec->type != 23)
		return -EINVAL;
	chunk = len < room ? len : room;
	if (chunk > rec->plain.len)
		chunk = rec->plain.len;
	while (done < chunk && fake_pipe_free(p) > 0) {
		size_t k = RUN - (rec->at + done) % RUN;

		if (k > chunk - done)
			k = chunk - done;
		fake_pipe_add(p, rec->plain.p + rec->plain.off + done, k, false);
		done += k;
	}
	if (!fake_kernel.splice_drops)
		chunk = done;
	fake_tls_take(s, chunk);
	return (ssize_t)done;
}

static ssize_t splice_any(int in_fd, int out_fd, size_t whole, size_t len)
{
	struct fake_socket *in = fake_socket(in_fd), *out = fake_socket(out_fd);

	if (len == 0)
		return 0;
	if ((!in && !fake_pipe_of(in_fd) && !fake_file_of(in_fd)) ||
	    (!out && !fake_pipe_of(out_fd) && !fake_file_of(out_fd)) ||
	    fake_pipe_end(in_fd) == 1 || fake_pipe_end(out_fd) == 0)
		return -EBADF;
	if (fake_pipe_of(in_fd) && out)
		return to_socket(fake_pipe_of(in_fd), out, whole, len);
	if (in && fake_pipe_of(out_fd))
		return from_socket(in, fake_pipe_of(out_fd), len);
	return -EINVAL;
}

ssize_t ktls__sys_splice(int in_fd, int out_fd, size_t len)
{
	const size_t whole = len;
	ssize_t r = fake_enter_io(FAKE_SPLICE, &len);

	if (!fake_pipe_of(out_fd) || !fake_pipe_of(out_fd)->own)
		fake_sigpipe_check("splice()");
	if (r == 0)
		r = splice_any(in_fd, out_fd, whole, len);
	if (r == -EPIPE)
		fake_raise_sigpipe();
	return fake_leave(r);
}
