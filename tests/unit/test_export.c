/* SPDX-License-Identifier: MIT */
/*
 * ktls_export() and ktls_import() of connections in every state: what waits,
 * what is refused, what fails on the way, and what goes along.
 */
#include "doors.h"

#include <poll.h>

#include <openssl/err.h>

#include "alloc.h"
#include "state.h"

static void result_depends_on_the_size(void **state)
{
	static uint8_t image[4096];
	struct pair p;
	ssize_t n;

	memset(image, 0, sizeof(image));
	doors_start(&p, *state, DOOR_NEW, true);
	n = ktls_export(p.conn, NULL, 0);
	assert_true(n > 0 && n < 2000);
	assert_errno(ktls_export(NULL, image, sizeof(image)), EINVAL);
	assert_errno(ktls_export(p.conn, NULL, 100), EINVAL);
	for (ssize_t i = 1; i < n; i += 37)
		assert_errno(ktls_export(p.conn, image, (size_t)i), ERANGE);
	assert_errno(ktls_export(p.conn, image, (size_t)n - 1), ERANGE);
	/* nothing has happened */
	for (size_t i = 0; i < sizeof(image); i++)
		assert_int_equal(image[i], 0);
	doors_talk(&p);
	assert_int_equal(ktls_export(p.conn, image, sizeof(image)), n);
	ktls_conn_free(p.conn);
	p.conn = ktls_import(p.fd, image, (size_t)n, &p.policy);
	assert_non_null(p.conn);
	doors_talk(&p);
	pair_finish(&p);
}

/* The giver has no part in it any more, and says nothing. */
static void giver_is_silent(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct ktls_span span = {.buf = "x", .len = 1};
		struct ktls_cursor cursor = {.span = 0};
		struct iovec iov;
		uint8_t buf[10];
		size_t n, sent;
		struct pair p;
		void *image;

		doors_start(&p, *state, DOOR_NEW, i);
		image = door_export(&p, &n);
		sent = fake_socket(p.fd)->wire.len;
		p.peer_todo = 100;
		pair_peer(&p);
		iov = (struct iovec){buf, 10};
		assert_errno(ktls_write(p.conn, "x", 1), ENOTCONN);
		assert_errno(ktls_writev(p.conn, &iov, 1, 0), ENOTCONN);
		assert_errno(ktls_sendfilev(p.conn, &span, 1, &cursor), ENOTCONN);
		assert_errno(ktls_read(p.conn, buf, 10), ENOTCONN);
		assert_errno(ktls_readv(p.conn, &iov, 1), ENOTCONN);
		assert_errno(ktls_peek(p.conn, buf, 10), ENOTCONN);
		assert_errno(ktls_flush(p.conn, 0), ENOTCONN);
		assert_errno(ktls_rekey(p.conn, 1), ENOTCONN);
		assert_errno(ktls_handshake(p.conn), ENOTCONN);
		assert_errno(ktls_offload(p.conn, KTLS_TX), ENOTCONN);
		assert_errno(ktls_shutdown(p.conn, 0), ENOTCONN);
		assert_errno(ktls_shutdown_write(p.conn, 0), ENOTCONN);
		assert_errno(ktls_export(p.conn, NULL, 0), ENOTCONN);
		assert_int_equal(ktls_raw_io(p.conn), 0);
		if (i) {
			assert_int_equal(ktls_close(p.conn, 1000), 0);
			assert_null(fake_socket(p.fd));
			p.conn = NULL;
		} else {
			ktls_conn_free(p.conn);
			SSL_free(p.ssl);
			p.ssl = NULL;
			p.conn = ktls_import(p.fd, image, n, &p.policy);
			assert_non_null(p.conn);
		}
		assert_int_equal(fake_socket_any(p.fd)->wire.len, sent);
		free(image);
		if (!i)
			pair_receive(&p, 100, 7);
		pair_free(&p);
	}
}

/* What is not in TCP is to be flushed, and tells so. */
static void unsent_bytes_are_eagain(void **state)
{
	static uint8_t buf[40000];
	struct pair p;
	ssize_t n;

	doors_start(&p, *state, DOOR_NEW, true);
	fake_socket(p.peer_fd)->capacity = 5000;
	p.peer_deaf = true;
	fake_pattern(OURS, p.accepted, buf, sizeof(buf));
	n = ktls_write(p.conn, buf, sizeof(buf));
	assert_true(n > 0);
	p.accepted += (uint64_t)n;
	assert_errno(ktls_export(p.conn, NULL, 0), EAGAIN);
	assert_int_equal(ktls_wants(p.conn), POLLOUT);
	assert_errno(ktls_export(p.conn, buf, sizeof(buf)), EAGAIN);
	p.peer_deaf = false;
	pair_peer(&p);
	door_import(&p);
	doors_talk(&p);
	pair_finish(&p);
}

/* A byte that was sent and not reported comes once, from the importer. */
static void credit_goes_along(void **state)
{
	static uint8_t buf[16384];
	const struct doors_kind *row = *state;
	struct pair p;
	ssize_t n;

	if (row->use != KTLS_OFF)
		return;
	for (int door = DOOR_NEW; door <= DOOR_IMPORTED; door++) {
		doors_start(&p, row, (enum pair_door)door, true);
		fake_socket(p.peer_fd)->capacity = 5000;
		p.peer_deaf = true;
		fake_pattern(OURS, p.accepted, buf, sizeof(buf));
		n = ktls_write(p.conn, buf, sizeof(buf));
		assert_int_equal(n, sizeof(buf) - 1);
		assert_int_equal(p.conn->credit, 1);
		p.accepted += (uint64_t)n;
		p.peer_deaf = false;
		door_import(&p);
		assert_int_equal(p.conn->credit, 1);
		doors_talk(&p);
		pair_finish(&p);
	}
}

/* Half a record has to come whole; its data go along. */
static void half_a_record_is_eagain(void **state)
{
	for (int cut = 1; cut < 130; cut += cut < 6 ? 1 : 31) {
		struct fake_bytes rest = {0};
		uint8_t part[2000];
		struct pair p;
		ssize_t n;

		doors_start(&p, *state, DOOR_NEW, true);
		/* all but the first bytes are late */
		p.peer_todo = 120;
		pair_peer(&p);
		n = fake_raw_read(p.fd, part, sizeof(part));
		assert_true(n > 120);
		fake_put(&rest, part, (size_t)n);
		assert_int_equal(fake_raw_write(p.peer_fd, part, (size_t)cut),
				 cut);
		assert_errno(ktls_read(p.conn, part, 10), EAGAIN);
		if (p.o.tx == KTLS_OFF) {
			assert_errno(ktls_export(p.conn, NULL, 0), EAGAIN);
			assert_true(ktls_wants(p.conn) & POLLIN);
		}
		fake_take(&rest, NULL, (size_t)cut);
		assert_int_equal(
			fake_raw_write(p.peer_fd, rest.p + rest.off, rest.len),
			rest.len);
		fake_drop_all(&rest);
		door_import(&p);
		pair_receive(&p, 120, 50);
		doors_talk(&p);
		pair_finish(&p);
	}
}

/* Plaintext that was looked at, and what OpenSSL has decrypted. */
static void plaintext_goes_along(void **state)
{
	for (int i = 0; i < 3; i++) {
		static const enum pair_door doors[] = {DOOR_NEW, DOOR_ADOPTED,
						       DOOR_KEYS_KEY};
		uint8_t buf[100];
		struct pair p;

		doors_start(&p, *state, doors[i], true);
		p.peer_todo = 1000;
		pair_peer(&p);
		if (i == 1)
			assert_int_equal(ktls_peek(p.conn, buf, 100), 100);
		else
			pair_receive(&p, 100, 100);
		if (p.o.tx == KTLS_OFF || i == 1)
			assert_true(ktls_pending(p.conn) > 0);
		door_import(&p);
		if (p.o.tx == KTLS_OFF || i == 1)
			assert_true(ktls_pending(p.conn) > 0);
		pair_receive(&p, 1000 - p.got % 1000, 300);
		doors_talk(&p);
		pair_finish(&p);
	}
}

/* Keys that are not known are no failure of the connection. */
static void unknown_keys_are_enotsup(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct pair_options o = {
			.plain_ctx = i,
			.suite = i ? NULL : "TLS_AES_128_CCM_8_SHA256"};
		uint8_t image[2000];
		struct pair p;

		fake_reset();
		pair_start(&p, &o);
		doors_talk(&p);
		assert_errno(ktls_export(p.conn, image, sizeof(image)), ENOTSUP);
		assert_non_null(strstr(pair_error(&p).text,
				       ktls_reason_str(i ? KTLS_REASON_KEYS
							 : KTLS_REASON_CIPHER)));
		doors_talk(&p);
		pair_finish(&p);
	}
}

/* Each allocation, of the giver and then of the taker. */
static void every_allocation_may_fail(void **state)
{
	for (int taker = 0; taker < 2; taker++) {
		unsigned int failures = 0;
		unsigned long nth = 1;

		for (; nth < 500; nth++) {
			static uint8_t image[4096];
			struct pair p;
			ssize_t n;

			doors_start(&p, *state, DOOR_NEW, true);
			p.peer_todo = 500;
			pair_peer(&p);
			(void)!ktls_peek(p.conn, image, 1);
			alloc_start(taker ? 0 : nth);
			n = ktls_export(p.conn, image, sizeof(image));
			if (n < 0) {
				failures++;
				n = ktls_export(p.conn, image, sizeof(image));
			}
			if (alloc_stop() < nth && !taker)
				nth = 1000;
			assert_true(n > 0);
			ktls_conn_free(p.conn);
			alloc_start(taker ? nth : 0);
			p.conn = ktls_import(p.fd, image, (size_t)n, &p.policy);
			if (!p.conn) {
				failures++;
				assert_int_equal(errno, ENOMEM);
				p.conn = ktls_import(p.fd, image, (size_t)n,
						     &p.policy);
			}
			if (alloc_stop() < nth && taker)
				nth = 1000;
			assert_non_null(p.conn);
			pair_receive(&p, 500, 100);
			doors_talk(&p);
			pair_finish(&p);
			ERR_clear_error();
		}
		assert_true(nth > 500 && (!taker || failures >= 2));
	}
}

static void secrets_are_wiped(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct pair p;

		doors_start(&p, *state, DOOR_IMPORTED, i);
		alloc_watch(p.secrets.secret[0], 32);
		alloc_watch(p.secrets.secret[1], 32);
		door_import(&p);
		doors_talk(&p);
		pair_finish(&p);
		assert_int_equal(alloc_unwatch(), 0);
	}
}

int main(void)
{
	static struct ktest_table t;
	int r;

	alloc_use_for_openssl();
	for (size_t i = 0; i < DOORS_KINDS; i++) {
#define ADD(f)                                                                 \
	ktest_add(&t, f, (void *)(uintptr_t)&doors_kinds[i], #f "_%s",         \
		  doors_kinds[i].name)
		ADD(result_depends_on_the_size);
		ADD(giver_is_silent);
		ADD(unsent_bytes_are_eagain);
		ADD(credit_goes_along);
		ADD(half_a_record_is_eagain);
		ADD(plaintext_goes_along);
		ADD(every_allocation_may_fail);
		if (doors_kinds[i].version == TLS1_3_VERSION)
			ADD(secrets_are_wiped);
	}
	ktest_add(&t, unknown_keys_are_enotsup, NULL, "unknown_keys_are_enotsup");
	r = ktest_run_table("export", &t);
	certs_free();
	return r;
}
