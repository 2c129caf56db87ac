/* SPDX-License-Identifier: MIT */
/*
 * What the kernel makes of io_uring on a socket with its TLS, in both modes of
 * notification: splices, records by a multishot RECVMSG (uringrecv.c), and what
 * must not be used. libktls keeps its books by ktls_raw_sent() and
 * ktls_raw_received().
 */
#include "uring.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TOTAL = 3 * 1024 * 1024 + 12345, PIPE = 65536, SECONDS = 200 };

struct io_uring vu_ring;
const char *vu_mode;

struct io_uring_sqe *vu_entry(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&vu_ring);

	MUST(sqe != NULL);
	return sqe;
}

struct io_uring_cqe *vu_completion(int ms)
{
	struct __kernel_timespec t = {.tv_sec = ms / 1000,
				      .tv_nsec = ms % 1000 * 1000000L};
	struct io_uring_cqe *cqe = NULL;

	if (io_uring_submit_and_wait_timeout(&vu_ring, &cqe, 1, &t, NULL) < 0)
		return NULL;
	return cqe;
}

int vu_result(void)
{
	struct io_uring_cqe *cqe = vu_completion(VT_WAIT);
	unsigned int flags;
	int r;

	if (!cqe)
		return -ETIME;
	r = cqe->res;
	flags = cqe->flags;
	io_uring_cqe_seen(&vu_ring, cqe);
	if (flags & IORING_CQE_F_MORE) {
		cqe = vu_completion(VT_WAIT);
		CHECK(cqe != NULL, "no second completion");
		if (cqe)
			io_uring_cqe_seen(&vu_ring, cqe);
	}
	return r;
}

static int splice_some(int from, off_t offset, int to, size_t n)
{
	io_uring_prep_splice(vu_entry(), from, offset, to, -1, (unsigned int)n,
			     0);
	return vu_result();
}

static void read_some(struct vt_duo *d, struct vt_sink *sink)
{
	uint8_t buf[VT_RECORD];
	int n;

	while ((n = SSL_read(d->ssl, buf, sizeof(buf))) > 0)
		vt_sink_add(sink, buf, (size_t)n);
}

/* POLL_ADD for room in the socket, which the peer makes by reading. */
static bool wait_for_room(struct vt_duo *d, struct vt_sink *sink)
{
	const int64_t end = vt_now() + VT_WAIT;
	struct io_uring_cqe *cqe = NULL;

	io_uring_prep_poll_add(vu_entry(), d->lib.fd, POLLOUT);
	while (!cqe && vt_now() < end) {
		cqe = vu_completion(1);
		read_some(d, sink);
	}
	if (!CHECK(cqe != NULL, "nobody says that there is room"))
		return false;
	io_uring_cqe_seen(&vu_ring, cqe);
	return true;
}

/* n bytes of the pipe to the socket: how often that said EAGAIN, or -1. */
static int drain_pipe(struct vt_duo *d, struct vt_sink *sink, int pipe, size_t n)
{
	int again = 0;

	while (n > 0) {
		const int r = splice_some(pipe, -1, d->lib.fd, n);

		if (r == -EAGAIN && wait_for_room(d, sink)) {
			again++;
			continue;
		}
		if (!CHECK(r > 0, "splice to the socket: %s", strerror(-r)) ||
		    !CHECK(ktls_raw_sent(d->lib.c, (size_t)r) == 0, "errno %d",
			   errno))
			return -1;
		n -= (size_t)r;
	}
	return again;
}

static bool send_by_splice(struct vt_duo *d, struct vt_sink *sink,
			   const int pipes[2])
{
	size_t sent = 0;
	int again = 0;

	while (sent < TOTAL) {
		const size_t left = TOTAL - sent;
		const int n = splice_some(vt_file, (off_t)(VU_BASE + sent),
					  pipes[1], left < PIPE ? left : PIPE);
		int r;

		if (!CHECK(n > 0, "splice from the file: %s", strerror(-n)) ||
		    !CHECK(ktls_raw_io(d->lib.c) & KTLS_TX, "TX is not ours"))
			return false;
		r = drain_pipe(d, sink, pipes[0], (size_t)n);
		if (r < 0)
			return false;
		again += r;
		sent += (size_t)n;
	}
	/* an O_NONBLOCK socket is one for io_uring, too: nothing has waited */
	return CHECK(again > 0, "no splice said EAGAIN");
}

static void splices(struct vt_duo *d)
{
	const size_t sizes[] = {TOTAL};
	const int64_t end = vt_now() + VT_WAIT;
	struct ktls_info info;
	struct vt_stream s;
	struct vt_sink sink;
	int pipes[2], r;

	MUST(pipe(pipes) == 0);
	vt_stream_init(&s, VU_BASE, sizes, 1);
	vt_sink_init(&sink);
	if (send_by_splice(d, &sink, pipes)) {
		while ((r = ktls_flush(d->lib.c, 0)) < 0 && errno == EAGAIN &&
		       vt_now() < end)
			read_some(d, &sink);
		CHECK(r == 0, "ktls_flush: errno %d", errno);
		while (sink.count < TOTAL && vt_now() < end)
			read_some(d, &sink);
		vt_end_info(&d->lib, &info);
		CHECK(info.tx.bytes == TOTAL && info.unsent == 0,
		      "%llu bytes, %llu of them unsent",
		      (unsigned long long)info.tx.bytes,
		      (unsigned long long)info.unsent);
	}
	vt_sink_check(&sink, &s, TOTAL, "the peer");
	close(pipes[0]);
	close(pipes[1]);
}

/* Zerocopy sending is refused, so that nothing goes out in clear. */
static void refusals(struct vt_duo *d)
{
	int r;

	io_uring_prep_send_zc(vu_entry(), d->lib.fd, vt_data, 1000, 0, 0);
	r = vu_result();
	CHECK(r == -EOPNOTSUPP, "SEND_ZC: %d", r);
	io_uring_prep_send(vu_entry(), d->lib.fd, vt_data, 1000, MSG_ZEROCOPY);
	r = vu_result();
	CHECK(r == -EOPNOTSUPP, "MSG_ZEROCOPY: %d", r);
	/* a control record for a RECV that has no room for its type */
	SSL_shutdown(d->ssl);
	io_uring_prep_recv(vu_entry(), d->lib.fd, &(char[100]){0}, 100, 0);
	r = vu_result();
	CHECK(r == -EIO, "RECV: %d", r);
}

static void all_of(const struct vt_suite *suite)
{
	const struct ktls_policy policy = vt_policy(KTLS_REQUIRE, KTLS_REQUIRE);
	struct vt_duo d;

	vt_case("splices, %s, %s", vu_mode, suite->name);
	if (vt_duo_open(&d, suite, true, &policy)) {
		vt_set_sndbuf(d.lib.fd, 100000);
		splices(&d);
		vt_case("records, %s, %s", vu_mode, suite->name);
		CHECK(ktls_raw_io(d.lib.c) == (KTLS_TX | KTLS_RX), "%d",
		      ktls_raw_io(d.lib.c));
		vu_records(&d, suite);
		CHECK(!(ktls_raw_io(d.lib.c) & KTLS_RX), "RX after its end");
		vt_duo_close(&d);
	}
	vt_case("refusals, %s, %s", vu_mode, suite->name);
	if (vt_duo_open(&d, suite, true, &policy)) {
		refusals(&d);
		vt_duo_drop(&d);
	}
}

int main(void)
{
	static const struct {
		const char *name;
		unsigned int flags;
	} modes[] = {
		{"default", 0},
		{"defer", IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN},
	};
	int r;

	vt_begin("ktls-vm-uring", SECONDS);
	vt_data_init();
	if (vt_ulp_errno()) {
		vt_skip("setsockopt(TCP_ULP): %s", strerror(vt_ulp_errno()));
		return vt_end();
	}
	vt_probed();
	for (int i = 0; i < 2; i++) {
		vu_mode = modes[i].name;
		vt_case("the ring, %s", vu_mode);
		r = io_uring_queue_init(64, &vu_ring, modes[i].flags);
		if (!CHECK(r == 0, "io_uring_setup: %s", strerror(-r)))
			continue;
		all_of(&vt_suites[0]);
		all_of(&vt_suites[6]);
		io_uring_queue_exit(&vu_ring);
	}
	return vt_end();
}
