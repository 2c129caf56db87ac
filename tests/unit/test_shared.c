/* SPDX-License-Identifier: MIT */
/* A connection that another process has as well, or another thread. */
#include "pair.h"

#include <fcntl.h>

#include "state.h"

/* Another process goes on: the socket is left alone, and nothing is said. */
static void detached_one_leaves_the_socket(void **state)
{
	static const uint32_t uses[] = {KTLS_OFF, KTLS_REQUIRE};
	struct ktls_policy policy;

	(void)state;
	ktls_policy_init(&policy, sizeof(policy));
	assert_errno(ktls_detach(NULL), EINVAL);
	for (size_t i = 0; i < 4; i++) {
		const struct pair_options o = {.tx = uses[i % 2],
					       .rx = uses[i % 2],
					       .server = true,
					       .blocking = true};
		struct pair p;
		char buf[10] = "";
		size_t sent;

		fake_reset();
		pair_start(&p, &o);
		pair_send(&p, 100000, 10000);
		pair_settle(&p);
		sent = fake_socket(p.fd)->wire.len;
		assert_int_equal(ktls_detach(p.conn), 0);
		assert_int_equal(ktls_detach(p.conn), 0);
		assert_errno(ktls_write(p.conn, buf, 10), ENOTCONN);
		assert_errno(ktls_read(p.conn, buf, 10), ENOTCONN);
		assert_errno(ktls_flush(p.conn, 0), ENOTCONN);
		assert_errno(ktls_rekey(p.conn, 0), ENOTCONN);
		assert_errno(ktls_offload(p.conn, KTLS_TX), ENOTCONN);
		policy.tx = policy.rx = uses[i % 2];
		assert_errno(ktls_set_policy(p.conn, &policy), ENOTCONN);
		assert_errno(ktls_shutdown_write(p.conn, 0), ENOTCONN);
		assert_errno(ktls_shutdown(p.conn, 0), ENOTCONN);
		if (i < 2) {
			assert_int_equal(ktls_close(p.conn, 1000), 0);
			assert_null(fake_socket(p.fd));
		} else {
			ktls_conn_free(p.conn);
		}
		p.conn = NULL;
		assert_int_equal(fake_socket_any(p.fd)->wire.len, sent);
		assert_true(fake_socket_any(p.fd)->fl & O_NONBLOCK);
		pair_free(&p);
	}
}

/* The other process has a copy of the half record as well, and sends it. */
static void detached_one_keeps_what_waits_to_itself(void **state)
{
	static uint8_t buf[20000];
	const struct pair_options o = {
		.tx = KTLS_OFF, .rx = KTLS_OFF, .server = true};
	int pipe[2];
	size_t sent;
	struct pair p;

	(void)state;
	fake_reset();
	pair_start(&p, &o);
	p.peer_deaf = true;
	fake_socket(p.peer_fd)->capacity = 10000;
	assert_true(ktls_write(p.conn, buf, sizeof(buf)) > 0);
	assert_true(p.conn->out.len > 0);
	sent = fake_socket(p.fd)->wire.len;
	fake_pipe(pipe, 16);
	assert_int_equal(ktls_detach(p.conn), 0);
	fake_socket(p.peer_fd)->capacity = 100000;
	assert_errno(ktls_read(p.conn, buf, 10), ENOTCONN);
	assert_errno(ktls_splice_out(p.conn, pipe[1], 10, 0), ENOTCONN);
	assert_errno(ktls_write(p.conn, buf, 10), ENOTCONN);
	assert_int_equal(ktls_close(p.conn, 1000), 0);
	p.conn = NULL;
	assert_int_equal(fake_socket_any(p.fd)->wire.len, sent);
	pair_free(&p);
}

static void detached_one_does_not_shake_hands(void **state)
{
	const struct pair_options o = {.tx = KTLS_AUTO};
	struct pair p;

	(void)state;
	pair_open(&p, &o);
	assert_int_equal(ktls_detach(p.conn), 0);
	assert_errno(ktls_handshake(p.conn), ENOTCONN);
	assert_int_equal(fake_socket(p.fd)->wire.len, 0);
	pair_free(&p);
}

static bool meanwhile;

/* What a second thread does while the first one waits. */
static void second_thread(void *arg)
{
	struct pair *p = arg;

	pair_peer(p);
	if (meanwhile || !SSL_is_init_finished(p->peer))
		return;
	meanwhile = true;
	assert_int_equal(ktls_handshake(p->conn), 0);
	/* what the first one wakes up for */
	p->peer_todo = 5;
}

/* Only one of them has finished it, and decided about the kernel. */
static void handshake_of_two_threads_is_one(void **state)
{
	const struct pair_options o = {
		.server = true, .tx = KTLS_AUTO, .blocking = true};
	struct pair p;

	(void)state;
	fake_reset();
	fake_kernel.no_rekey = true;
	pair_open(&p, &o);
	meanwhile = false;
	fake_on_poll(second_thread, &p);
	assert_int_equal(ktls_handshake(p.conn), 0);
	assert_true(meanwhile);
	assert_modes(&p, "kernel", "kernel");
	assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_NONE);
	assert_int_equal(pair_info(&p).rekey_after, 0);
	fake_on_poll(pair_peer, &p);
	pair_receive(&p, 5, 5);
	pair_finish(&p);
}

static uint8_t image[4096];

/* The first thread waits for room; the second one hands the connection on. */
static void hand_on(void *arg)
{
	struct pair *p = arg;

	if (meanwhile)
		return;
	meanwhile = true;
	p->peer_deaf = false;
	fake_socket(p->peer_fd)->capacity = 100000;
	fake_elapse(1);
	assert_true(ktls_export(p->conn, image, sizeof(image)) > 0);
}

/* Neither a key of the importer's nor a record goes to its socket. */
static void waiting_thread_leaves_what_was_handed_on(void **state)
{
	static uint8_t buf[20000];
	const struct pair_options o = {.server = true,
				       .tx = KTLS_AUTO,
				       .rx = KTLS_OFF,
				       .offload_after = 30000,
				       .blocking = true};
	struct fake_socket *s;
	struct pair p;

	(void)state;
	fake_reset();
	pair_start(&p, &o);
	s = fake_socket(p.fd);
	p.peer_deaf = true;
	fake_socket(p.peer_fd)->capacity = 10000;
	s->sndtimeo_ms = 1;
	assert_true(ktls_write(p.conn, buf, sizeof(buf)) > 0);
	assert_true(p.conn->out.len > 0);
	meanwhile = false;
	fake_on_poll(hand_on, &p);
	assert_errno(ktls_write(p.conn, buf, sizeof(buf)), ENOTCONN);
	assert_true(meanwhile);
	assert_false(s->ulp);
	assert_int_equal(p.conn->tx.mode, KTLS_MODE_USER);
	ktls_conn_free(p.conn);
	p.conn = NULL;
	fake_on_poll(pair_peer, &p);
	pair_free(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

#define ADD(f) ktest_add(&t, f, NULL, #f)
	ADD(detached_one_leaves_the_socket);
	ADD(detached_one_keeps_what_waits_to_itself);
	ADD(detached_one_does_not_shake_hands);
	ADD(handshake_of_two_threads_is_one);
	ADD(waiting_thread_leaves_what_was_handed_on);
	r = ktest_run_table("shared", &t);
	certs_free();
	return r;
}
