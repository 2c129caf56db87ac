/* SPDX-License-Identifier: MIT */
/* Runs a connection of the library's against its OpenSSL peer. */
#include "pair.h"

#include <fcntl.h>

#include <openssl/err.h>

#include "fake_core.h"
#include "probe.h"

enum {
	PATIENCE = 100000, /* rounds without an end: stuck */
	BUFFER = 1 << 20
};

static void make_policy(struct pair *p)
{
	const struct pair_options *o = &p->o;
	struct ktls_policy *policy = &p->policy;

	assert_int_equal(ktls_policy_init(policy, sizeof(*policy)), 0);
	policy->tx = o->tx;
	policy->rx = o->rx;
	policy->offload_after = o->offload_after;
	policy->release_ssl = o->door == DOOR_RELEASED;
	if (o->budget)
		policy->budget = o->budget;
	if (o->policy)
		o->policy(policy);
}

void pair_open(struct pair *p, const struct pair_options *o)
{
	int fd[2];

	memset(p, 0, sizeof(*p));
	p->o = *o;
	p->peer_max = 16384;
	p->peer_closes = true;
	fake_tcp_pair(fd, o->capacity ? o->capacity : 1 << 20);
	p->fd = fd[0];
	p->peer_fd = fd[1];
	if (o->blocking)
		fake_socket(p->fd)->fl &= ~O_NONBLOCK;
	p->ctx = o->ctx ? o->ctx : pair_ctx(o, o->server);
	p->peer_ctx = o->peer_ctx ? o->peer_ctx : pair_ctx(o, !o->server);
	if (o->ctx)
		SSL_CTX_up_ref(o->ctx);
	if (o->peer_ctx)
		SSL_CTX_up_ref(o->peer_ctx);
	if (o->setup_ctx)
		o->setup_ctx(p->ctx, p->peer_ctx);
	door_prepare(p);
	p->ssl = SSL_new(p->ctx);
	p->peer = SSL_new(p->peer_ctx);
	assert_non_null(p->ssl);
	assert_non_null(p->peer);
	(o->server ? SSL_set_accept_state : SSL_set_connect_state)(p->ssl);
	(o->server ? SSL_set_connect_state : SSL_set_accept_state)(p->peer);
	pair_bio(p->peer, p->peer_fd);
	if (o->setup_ssl)
		o->setup_ssl(p);
	make_policy(p);
	/* each connection finds a kernel of its own */
	ktls__probe_forget();
	door_open(p);
	fake_on_poll(pair_peer, p);
}

static void peer_failed(struct pair *p, int r)
{
	const int e = SSL_get_error(p->peer, r), saved = errno;

	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return;
	if (e == SSL_ERROR_ZERO_RETURN) {
		p->peer_closed = true;
		return;
	}
	p->peer_error = e;
	p->peer_errno = saved;
	ERR_error_string_n(ERR_peek_error(), p->peer_text, sizeof(p->peer_text));
	p->peer_eof = e == SSL_ERROR_SYSCALL ||
		      ERR_GET_REASON(ERR_peek_error()) ==
			      SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

static void peer_read(struct pair *p)
{
	static uint8_t buf[65536];
	size_t n, same;
	int r;

	while (!p->peer_deaf && !p->peer_closed && !p->peer_error) {
		ERR_clear_error();
		errno = 0;
		r = SSL_read_ex(p->peer, buf, sizeof(buf), &n);
		if (r != 1) {
			peer_failed(p, r);
			return;
		}
		same = fake_pattern_check(OURS, p->peer_got, buf, n);
		if (same != n)
			fail_msg("the peer got a wrong byte, number %llu",
				 (unsigned long long)(p->peer_got + same));
		p->peer_got += n;
	}
}

static void peer_write(struct pair *p)
{
	static uint8_t buf[65536];
	size_t n;
	int r;

	while (p->peer_todo > 0 && !p->peer_error) {
		n = p->peer_todo < p->peer_max ? (size_t)p->peer_todo
					       : p->peer_max;
		fake_pattern(THEIRS, p->peer_sent, buf, n);
		ERR_clear_error();
		errno = 0;
		r = SSL_write_ex(p->peer, buf, n, &n);
		if (r != 1) {
			peer_failed(p, r);
			return;
		}
		p->peer_sent += n;
		p->peer_todo -= n;
	}
}

static void peer_close(struct pair *p)
{
	uint8_t rest[256];

	if (!fake_socket(p->peer_fd)->fin_sent) {
		ERR_clear_error();
		if (SSL_shutdown(p->peer) < 0 && SSL_want_write(p->peer))
			return;
		fake_raw_fin(p->peer_fd);
	}
	while (fake_raw_read(p->peer_fd, rest, sizeof(rest)) > 0)
		;
}

void pair_peer(void *arg)
{
	struct pair *p = arg;
	int r;

	if (!SSL_is_init_finished(p->peer) && !p->peer_error) {
		ERR_clear_error();
		errno = 0;
		r = SSL_do_handshake(p->peer);
		if (r != 1) {
			peer_failed(p, r);
			return;
		}
	}
	peer_write(p);
	peer_read(p);
	if (p->peer_closed && p->peer_closes)
		peer_close(p);
	ERR_clear_error();
}

void pair_peer_ok(const struct pair *p)
{
	if (p->peer_error)
		fail_msg("the peer: %d, errno %d, %s", p->peer_error,
			 p->peer_errno, p->peer_text);
}

/* What a caller does after EAGAIN: it must have been told what to wait for. */
void pair_wait(struct pair *p, const char *call)
{
	const struct ktls_error e = pair_error(p);

	if (errno != EAGAIN)
		fail_msg("%s: %s (%s)", call, strerror(errno), e.text);
	assert_true(ktls_wants(p->conn) & (POLLIN | POLLOUT));
	if (p->slow)
		fake_elapse(1);
	pair_peer(p);
	pair_peer_ok(p);
}

void pair_handshake(struct pair *p)
{
	door_handshake(p);
	pair_peer(p);
	pair_peer_ok(p);
	assert_int_equal(SSL_is_init_finished(p->peer), 1);
}

void pair_start(struct pair *p, const struct pair_options *o)
{
	pair_open(p, o);
	pair_handshake(p);
}

void pair_send(struct pair *p, uint64_t n, size_t chunk)
{
	static uint8_t buf[BUFFER];
	const uint64_t end = p->accepted + n;

	for (int i = 0; p->accepted < end; i++) {
		size_t k = end - p->accepted < chunk
				   ? (size_t)(end - p->accepted)
				   : chunk;
		ssize_t r;

		assert_true(i < PATIENCE && k <= sizeof(buf));
		fake_pattern(OURS, p->accepted, buf, k);
		r = ktls_write(p->conn, buf, k);
		if (r < 0) {
			pair_wait(p, "ktls_write");
			continue;
		}
		assert_true(r > 0 && (size_t)r <= k);
		p->accepted += (uint64_t)r;
	}
}

void pair_receive(struct pair *p, uint64_t n, size_t chunk)
{
	static uint8_t buf[BUFFER];
	const uint64_t end = p->got + n;

	p->peer_todo += end > p->peer_sent + p->peer_todo
				? end - p->peer_sent - p->peer_todo
				: 0;
	for (int i = 0; p->got < end; i++) {
		size_t k = end - p->got < chunk ? (size_t)(end - p->got) : chunk;
		ssize_t r;

		assert_true(i < PATIENCE && k <= sizeof(buf));
		memset(buf, 0, k);
		r = ktls_read(p->conn, buf, k);
		if (r < 0) {
			pair_wait(p, "ktls_read");
			continue;
		}
		assert_true(r > 0 && (size_t)r <= k);
		assert_int_equal(
			fake_pattern_check(THEIRS, p->got, buf, (size_t)r), r);
		p->got += (uint64_t)r;
	}
}

void pair_settle(struct pair *p)
{
	for (int i = 0; i < 1000; i++) {
		pair_peer(p);
		if (p->peer_got == p->accepted)
			return;
	}
	fail_msg("accepted %llu, arrived %llu", (unsigned long long)p->accepted,
		 (unsigned long long)p->peer_got);
}

void pair_finish(struct pair *p)
{
	for (int i = 0; i < PATIENCE; i++) {
		if (ktls_close(p->conn, p->o.blocking ? 60000 : 0) == 0)
			break;
		/* of any other failure there is no connection left to ask */
		if (errno != EAGAIN) {
			p->conn = NULL;
			fail_msg("ktls_close: %s", strerror(errno));
		}
		pair_wait(p, "ktls_close");
	}
	p->conn = NULL;
	pair_peer(p);
	pair_peer_ok(p);
	assert_true(p->peer_closed);
	assert_int_equal(p->peer_got, p->accepted);
	assert_null(fake_socket(p->fd));
	assert_int_equal(fake_socket_any(p->fd)->lost, 0);
	assert_false(fake_socket_any(p->fd)->reset_at_close);
	assert_no_leak(p);
	pair_free(p);
}

void pair_inject(struct pair *p, uint8_t type, const void *data, size_t n)
{
	struct fake_key k = fake_socket(p->fd)->rx;
	struct fake_bytes rec = {0};

	if (!k.on)
		k = p->peer_key;
	assert_true(k.on);
	/* behind what is in the queue already */
	k.seq += p->injected++;
	fake_seal(&k, type, data, n, &rec);
	assert_int_equal(fake_raw_write(p->peer_fd, rec.p, rec.len), rec.len);
	fake_drop_all(&rec);
}

void pair_free(struct pair *p)
{
	fake_on_poll(NULL, NULL);
	ktls_conn_free(p->conn);
	SSL_free(p->ssl);
	SSL_free(p->peer);
	SSL_CTX_free(p->ctx);
	SSL_CTX_free(p->peer_ctx);
	p->conn = NULL;
	fake_reset();
	ERR_clear_error();
}

struct ktls_info pair_info(const struct pair *p)
{
	struct ktls_info info = {.size = sizeof(info)};

	assert_int_equal(ktls_get_info(p->conn, &info), 0);
	return info;
}

struct ktls_error pair_error(const struct pair *p)
{
	struct ktls_error error = {.size = sizeof(error)};

	assert_int_equal(ktls_get_error(p->conn, &error), 0);
	return error;
}
