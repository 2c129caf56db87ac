/* SPDX-License-Identifier: MIT */
/*
 * The reader of ktls-vm-stall: takes the raw TCP stream as fast as it comes,
 * with the times of its pauses and the sizes of its records. It decrypts only
 * when all has come, lest the cost of that hides what the sender does.
 */
#include "stall.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

/* Records of 512 bytes have most overhead. */
enum { CAPACITY = VT_DATA + VT_DATA / 16 + 65536 };

static uint8_t *buffer;

int64_t st_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void parse(struct st_reader *r)
{
	struct st_wire *w = &r->wire;

	while (r->parsed + 5 <= w->bytes) {
		const uint8_t *h = buffer + r->parsed;
		const size_t len = (size_t)h[3] << 8 | h[4];

		w->records++;
		if (len > r->s->record_size + r->overhead)
			w->large++;
		if (len < r->s->record_size + r->overhead)
			w->small++;
		r->parsed += 5 + len;
	}
}

/* Waits for bytes; false: none came. */
static bool wait_for_bytes(struct st_reader *r, bool stopped)
{
	const int limit = r->s->limit_ms ? r->s->limit_ms : VT_WAIT;
	struct pollfd p = {.fd = r->fd, .events = POLLIN};
	const int64_t start = st_now_us();
	int n;

	do
		n = poll(&p, 1, limit);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		const int64_t waited = st_now_us() - start;

		if (waited > r->wire.pause_us) {
			r->wire.pause_us = waited;
			r->wire.pause_at = r->wire.bytes;
		}
		r->wire.acks += waited > 20000 && waited < 100000;
		r->wire.halts += waited >= 100000;
		if (stopped && waited > r->wire.resume_us)
			r->wire.resume_us = waited;
		return true;
	}
	r->wire.pause_us = st_now_us() - start;
	return false;
}

/* Up to the sender's end of TCP; false: gave up. */
static bool take(struct st_reader *r)
{
	const size_t most = r->s->nap_us ? VT_RECORD : 262144;
	const struct timespec nap = {.tv_nsec = r->s->nap_us * 1000L};
	struct st_wire *w = &r->wire;
	bool stopped = false;

	for (;;) {
		size_t room = CAPACITY - w->bytes;
		ssize_t n;

		if (!wait_for_bytes(r, stopped))
			return false;
		if (room > most)
			room = most;
		MUST(room > 0);
		n = recv(r->fd, buffer + w->bytes, room, 0);
		if (n <= 0)
			return n == 0;
		w->bytes += (size_t)n;
		w->time_us = st_now_us() - r->start_us;
		parse(r);
		if (r->s->nap_us)
			nanosleep(&nap, NULL);
		if (r->s->stop_ms && !stopped && w->bytes >= r->s->stop_at) {
			const struct timespec stop = {
				.tv_sec = r->s->stop_ms / 1000,
				.tv_nsec = r->s->stop_ms % 1000 * 1000000L,
			};

			nanosleep(&stop, NULL);
			stopped = true;
		}
		if (!r->ssl && r->s->ms &&
		    st_now_us() - r->start_us > r->s->ms * 2000)
			return true;
	}
}

static void decrypt(struct st_reader *r)
{
	static uint8_t plain[VT_RECORD];
	size_t n;
	int e;

	SSL_set0_rbio(r->ssl, BIO_new_mem_buf(buffer, (int)r->wire.bytes));
	vt_sink_init(&r->sink);
	ERR_clear_error();
	while ((e = SSL_read_ex(r->ssl, plain, sizeof(plain), &n)) == 1)
		vt_sink_add(&r->sink, plain, n);
	r->close_notify = SSL_get_error(r->ssl, e) == SSL_ERROR_ZERO_RETURN;
	/* what the sender's ktls_close() waits for */
	SSL_shutdown(r->ssl);
}

static void *run(void *arg)
{
	struct st_reader *r = arg;
	/* a reset: it wakes a sender that waits in the kernel */
	const struct linger reset = {.l_onoff = 1};

	r->wire.gave_up = !take(r);
	if (r->ssl && !r->wire.gave_up)
		decrypt(r);
	else
		setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(r->fd);
	return NULL;
}

void st_reader_start(struct st_reader *r)
{
	if (!buffer) {
		buffer = malloc(CAPACITY);
		MUST(buffer != NULL);
		/* no page faults while it counts */
		memset(buffer, 1, CAPACITY);
	}
	memset(&r->wire, 0, sizeof(r->wire));
	r->parsed = 0;
	vt_set_nonblocking(r->fd, false);
	r->start_us = st_now_us();
	MUST(pthread_create(&r->thread, NULL, run, r) == 0);
}

void st_reader_join(struct st_reader *r)
{
	MUST(pthread_join(r->thread, NULL) == 0);
	SSL_free(r->ssl);
	r->ssl = NULL;
}
