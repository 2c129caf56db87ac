/* SPDX-License-Identifier: MIT */
/* Records as a multishot RECVMSG gives them, for ktls_cmsg_parse(). */
#include "uring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BUFFERS = 8, BUFFER = 4096 };

/* Linux 6.1 mixes up a group with one that had its number before. */
static unsigned short group;

/* Buffers that the kernel chooses from, and the layout of what is in them. */
struct multishot {
	struct vt_duo *d;
	struct io_uring_buf_ring *buffers;
	uint8_t *memory;
	struct msghdr msg; /* of which only the lengths count */
	struct vt_sink sink;
	int errors; /* for want of buffers, or of a new key */
	bool armed;
	bool closed; /* close_notify has come */
};

static void give_buffer(struct multishot *m, int id)
{
	io_uring_buf_ring_add(m->buffers, m->memory + (size_t)id * BUFFER,
			      BUFFER, (unsigned short)id,
			      io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(m->buffers, 1);
}

static void multishot_init(struct multishot *m, struct vt_duo *d)
{
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS, .bgid = ++group};

	memset(m, 0, sizeof(*m));
	m->d = d;
	m->msg.msg_controllen = CMSG_SPACE(sizeof(uint8_t));
	m->memory = malloc((size_t)BUFFERS * BUFFER);
	MUST(m->memory != NULL);
	MUST(posix_memalign((void **)&m->buffers, 4096, 4096) == 0);
	reg.ring_addr = (uintptr_t)m->buffers;
	io_uring_buf_ring_init(m->buffers);
	MUST(io_uring_register_buf_ring(&vu_ring, &reg, 0) == 0);
	for (int i = 0; i < BUFFERS; i++)
		give_buffer(m, i);
	vt_sink_init(&m->sink);
}

static void multishot_free(struct multishot *m)
{
	io_uring_unregister_buf_ring(&vu_ring, group);
	free(m->buffers);
	free(m->memory);
}

static void arm(struct multishot *m)
{
	struct io_uring_sqe *sqe = vu_entry();

	io_uring_prep_recvmsg_multishot(sqe, m->d->lib.fd, &m->msg, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
	m->armed = true;
}

/* One record, or a part of one: io_uring_recvmsg_out, control, payload. */
static bool take(struct multishot *m, void *buf, int len)
{
	struct io_uring_recvmsg_out *out =
		io_uring_recvmsg_validate(buf, len, &m->msg);
	const uint8_t *payload;
	unsigned int n;
	int record;
	ssize_t r;

	if (!CHECK(out != NULL, "%d bytes are no header", len))
		return false;
	payload = io_uring_recvmsg_payload(out, &m->msg);
	n = io_uring_recvmsg_payload_length(out, len, &m->msg);
	record = ktls_cmsg_parse((uint8_t *)io_uring_recvmsg_name(out) +
					 m->msg.msg_namelen,
				 out->controllen, (int)out->flags);
	if (!CHECK(record > 0 && out->payloadlen == n,
		   "record %d, %u bytes of %u", record, n, out->payloadlen))
		return false;
	r = ktls_raw_received(m->d->lib.c, record, payload, n);
	if (r > 0)
		vt_sink_add(&m->sink, payload, (size_t)r);
	m->closed = r == 0;
	return r >= 0 || errno == EAGAIN;
}

/* The next completion of it; false: that is the end of the connection. */
static bool next(struct multishot *m)
{
	struct io_uring_cqe *cqe;
	uint8_t byte;
	ssize_t r;
	bool go_on;

	if (!m->armed)
		arm(m);
	cqe = vu_completion(VT_WAIT);
	if (!CHECK(cqe != NULL, "nothing comes"))
		return false;
	m->armed = cqe->flags & IORING_CQE_F_MORE;
	if (cqe->res < 0) {
		m->errors++;
		/* it says what it was, and goes on if that is possible */
		r = ktls_read(m->d->lib.c, &byte, 1);
		go_on = r > 0 || (r < 0 && errno == EAGAIN);
		m->closed = r == 0;
		if (r > 0)
			vt_sink_add(&m->sink, &byte, 1);
	} else {
		const int id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

		go_on = take(m, m->memory + (size_t)id * BUFFER, cqe->res);
		give_buffer(m, id);
	}
	io_uring_cqe_seen(&vu_ring, cqe);
	return go_on;
}

/* Nothing of it may be in the ring when libktls reads again. */
static void disarm(struct multishot *m)
{
	int waiting = 2;

	if (!m->armed)
		return;
	io_uring_prep_cancel(vu_entry(), NULL, IORING_ASYNC_CANCEL_ANY);
	while (waiting-- > 0 && CHECK(vu_result() != -ETIME, "not cancelled"))
		continue;
	m->armed = false;
}

static void say(struct vt_duo *d, size_t from, size_t n)
{
	size_t k = 0;

	while (n > 0 &&
	       SSL_write_ex(d->ssl, vt_data + VU_BASE + from, n, &k) == 1) {
		from += k;
		n -= k;
	}
	CHECK(n == 0, "the peer cannot send");
}

void vu_records(struct vt_duo *d, const struct vt_suite *suite)
{
	static const size_t sizes[] = {100, 16384, 5000, 1, 30000};
	size_t total = 0;
	const bool rekeys =
		suite->version == TLS1_3_VERSION && vt_rekey_errno() == 0;
	struct ktls_info info;
	struct multishot m;
	struct vt_stream s;

	multishot_init(&m, d);
	vt_stream_init(&s, VU_BASE, sizes, 5);
	for (int i = 0; i < 5; i++) {
		say(d, total, sizes[i]);
		total += sizes[i];
		if (i == 2 && rekeys)
			CHECK(SSL_key_update(d->ssl, 0) == 1, "no KeyUpdate");
		while (m.sink.count < total)
			if (!CHECK(next(&m), "the end at %zu bytes, errno %d",
				   m.sink.count, errno))
				break;
	}
	SSL_shutdown(d->ssl);
	while (!m.closed && next(&m))
		continue;
	CHECK(m.closed, "no close_notify");
	vt_end_info(&d->lib, &info);
	CHECK(info.rx.alerts == 1 && info.rx.handshakes == rekeys &&
		      info.rx.rekeys == rekeys && info.rx.bytes == total,
	      "%llu alerts, %llu handshake records, %llu bytes",
	      (unsigned long long)info.rx.alerts,
	      (unsigned long long)info.rx.handshakes,
	      (unsigned long long)info.rx.bytes);
	disarm(&m);
	vt_note("%s, TLS %s: %d errors of RECVMSG in %d KeyUpdates", vu_mode,
		vt_version_str(suite->version), m.errors, rekeys ? 1 : 0);
	vt_sink_check(&m.sink, &s, total, "libktls");
	multishot_free(&m);
}
