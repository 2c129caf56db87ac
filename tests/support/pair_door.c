/* SPDX-License-Identifier: MIT */
/*
 * The ways by which a connection of the tests gets into the library: before
 * its handshake, after it, with keys alone, or from another process.
 */
#include "pair.h"

#include <ctype.h>

#include "kdf.h"
#include "keys.h"

enum {
	PATIENCE = 100000, /* rounds without an end: stuck */
	EARLY = 50,	   /* bytes of the peer's that are there already, */
	HALF = 7	   /* but for the last of the record */
};

const char *const pair_doors[DOORS] = {"new",	      "adopted",  "adopted_mem",
				       "keys_secret", "keys_key", "imported",
				       "released"};

static bool with_keys(const struct pair *p)
{
	return p->o.door == DOOR_KEYS_SECRET || p->o.door == DOOR_KEYS_KEY;
}

static bool is_adopted(const struct pair *p)
{
	return p->o.door == DOOR_ADOPTED || p->o.door == DOOR_ADOPTED_MEM;
}

static size_t unhex(const char *hex, uint8_t *to, size_t max)
{
	size_t n = 0;

	for (; n < max && isxdigit(hex[0]) && isxdigit(hex[1]); hex += 2)
		sscanf(hex, "%2hhx", &to[n++]);
	return n;
}

static void keylog(const SSL *ssl, const char *line)
{
	struct pair *p = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const bool server = strncmp(line, "SERVER_TRAFFIC", 14) == 0;

	if (server || strncmp(line, "CLIENT_TRAFFIC", 14) == 0)
		p->secrets.len[server] =
			unhex(strrchr(line, ' ') + 1, p->secrets.secret[server],
			      sizeof(p->secrets.secret[0]));
}

void door_prepare(struct pair *p)
{
	if (p->o.door != DOOR_NEW) {
		SSL_CTX_set_app_data(p->ctx, p);
		SSL_CTX_set_keylog_callback(p->ctx, keylog);
	}
	if (!with_keys(p) && !p->o.plain_ctx)
		assert_int_equal(ktls_ctx_enable(p->ctx), 0);
}

void door_open(struct pair *p)
{
	if (p->o.door == DOOR_ADOPTED_MEM) {
		SSL_set_bio(p->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
		BIO_set_mem_eof_return(SSL_get_rbio(p->ssl), -1);
	} else if (with_keys(p) || is_adopted(p)) {
		pair_bio(p->ssl, p->fd);
	} else {
		p->conn = ktls_conn_new(p->ssl, p->fd, &p->policy);
		assert_non_null(p->conn);
	}
}

void door_fill(struct pair *p, size_t leave)
{
	struct fake_socket *s = fake_socket(p->fd);
	uint8_t buf[1000];

	while (s->in.len > leave) {
		const size_t n = s->in.len - leave < sizeof(buf)
					 ? s->in.len - leave
					 : sizeof(buf);
		const ssize_t r = fake_raw_read(p->fd, buf, n);

		assert_true(r > 0);
		assert_int_equal(BIO_write(SSL_get_rbio(p->ssl), buf, (int)r), r);
	}
}

static void empty(struct pair *p)
{
	uint8_t buf[1000];
	int n;

	while ((n = BIO_read(SSL_get_wbio(p->ssl), buf, sizeof(buf))) > 0)
		assert_int_equal(fake_raw_write(p->fd, buf, (size_t)n), n);
}

void door_shake(struct pair *p)
{
	for (int i = 0; i < PATIENCE; i++) {
		(void)SSL_do_handshake(p->ssl);
		if (SSL_is_init_finished(p->ssl))
			return;
		if (p->o.door == DOOR_ADOPTED_MEM) {
			empty(p);
			pair_peer(p);
			door_fill(p, 0);
		} else {
			pair_peer(p);
		}
		pair_peer_ok(p);
	}
	fail_msg("the handshake has no end");
}

static void key_of(struct pair *p, bool of_server, struct ktls_keys *k,
		   const struct ktls__cipher *cipher)
{
	const SSL_CIPHER *suite = SSL_get_current_cipher(p->ssl);
	const char *md = EVP_MD_get0_name(SSL_CIPHER_get_handshake_digest(suite));
	struct ktls__tls12_secret s;
	struct ktls__keys keys[2];

	if (k->version == 0x0304) {
		assert_int_equal(ktls__kdf_tls13(cipher, md,
						 p->secrets.secret[of_server],
						 p->secrets.len[of_server],
						 &keys[of_server]),
				 0);
	} else {
		assert_int_equal(
			SSL_SESSION_get_master_key(SSL_get_session(p->ssl),
						   s.master, sizeof(s.master)),
			sizeof(s.master));
		SSL_get_client_random(p->ssl, s.client_random, 32);
		SSL_get_server_random(p->ssl, s.server_random, 32);
		assert_int_equal(
			ktls__kdf_tls12(cipher, md, &s, &keys[0], &keys[1]), 0);
	}
	k->key_len = cipher->key;
	memcpy(k->key, keys[of_server].key, k->key_len);
	k->iv_len = k->version == 0x0304 || cipher->salt == 0 ? 12 : cipher->salt;
	memcpy(k->iv, keys[of_server].iv, k->iv_len);
}

struct ktls_keys door_keys(struct pair *p, int dir, bool secret)
{
	const struct ktls__cipher *cipher =
		ktls__keys_suite(SSL_get_current_cipher(p->ssl));
	const bool of_server = (dir == KTLS_TX) == p->o.server;
	struct ktls_keys k = {.size = sizeof(k)};

	assert_non_null(cipher);
	k.version = (uint32_t)SSL_version(p->ssl);
	k.cipher = ktls__cipher_bit(cipher);
	/* behind the Finished, or the tickets */
	if (k.version == 0x0303)
		k.seq = 1;
	else if (p->o.server && dir == KTLS_TX)
		k.seq = SSL_CTX_get_num_tickets(p->ctx);
	if (secret && k.version == 0x0304) {
		k.secret_len = (uint32_t)p->secrets.len[of_server];
		memcpy(k.secret, p->secrets.secret[of_server], k.secret_len);
	} else {
		key_of(p, of_server, &k, cipher);
	}
	return k;
}

static void drop_ssl(struct pair *p)
{
	SSL_free(p->ssl);
	p->ssl = NULL;
}

static void key_copy(struct fake_key *to, const struct ktls_keys *k)
{
	const struct ktls__cipher *cipher = ktls__cipher_of(k->cipher);

	*to = (struct fake_key){.on = true,
				.version = k->version,
				.cipher = cipher->id,
				.seq = k->seq};
	memcpy(to->key, k->key, k->key_len);
	memcpy(to->iv, k->iv, k->iv_len);
}

static void from_keys(struct pair *p)
{
	const bool secret = p->o.door == DOOR_KEYS_SECRET;
	const struct ktls_keys tx = door_keys(p, KTLS_TX, secret);
	const struct ktls_keys rx = door_keys(p, KTLS_RX, secret);

	struct ktls_keys key = door_keys(p, KTLS_RX, false);

	/* for pair_inject(); its tickets come first */
	key_copy(&p->peer_key, &key);
	if (!p->o.server && key.version == 0x0304)
		p->peer_key.seq += SSL_CTX_get_num_tickets(p->peer_ctx);
	p->conn = ktls_conn_from_keys(p->fd, &tx, &rx, &p->policy);
	assert_non_null(p->conn);
	drop_ssl(p);
}

void *door_export(struct pair *p, size_t *size)
{
	uint8_t *image;
	ssize_t n;

	for (int i = 0;; i++) {
		assert_true(i < PATIENCE);
		if (ktls_flush(p->conn, 0) < 0) {
			pair_wait(p, "ktls_flush");
			continue;
		}
		n = ktls_export(p->conn, NULL, 0);
		if (n >= 0)
			break;
		pair_wait(p, "ktls_export");
	}
	image = malloc((size_t)n);
	assert_non_null(image);
	assert_int_equal(ktls_export(p->conn, image, (size_t)n), n);
	*size = (size_t)n;
	return image;
}

void door_import(struct pair *p)
{
	size_t n;
	void *image = door_export(p, &n);

	ktls_conn_free(p->conn);
	drop_ssl(p);
	p->conn = ktls_import(p->fd, image, n, &p->policy);
	assert_non_null(p->conn);
	explicit_bzero(image, n);
	free(image);
}

static void adopt(struct pair *p)
{
	const bool early =
		p->o.door == DOOR_ADOPTED_MEM && SSL_is_init_finished(p->peer);

	if (early) {
		p->peer_todo = EARLY;
		pair_peer(p);
		door_fill(p, HALF);
	}
	p->conn = ktls_conn_new(p->ssl, p->fd, &p->policy);
	assert_non_null(p->conn);
	/* a record of each direction is OpenSSL's: then the kernel may follow */
	pair_send(p, 1, 1);
	pair_settle(p);
	pair_receive(p, early ? EARLY : 1, EARLY);
	if (p->policy.tx == KTLS_REQUIRE)
		assert_int_equal(ktls_offload(p->conn, KTLS_TX), 0);
}

void door_enter(struct pair *p)
{
	struct ktls_info i;

	if (is_adopted(p))
		adopt(p);
	else if (with_keys(p))
		from_keys(p);
	else if (p->o.door == DOOR_IMPORTED)
		door_import(p);
	else if (p->o.door == DOOR_RELEASED)
		drop_ssl(p);
	i = pair_info(p);
	p->before_tx = i.tx.bytes;
	p->before_rx = i.rx.bytes;
	p->kernel_tx = i.tx.kernel_bytes;
	p->kernel_rx = i.rx.kernel_bytes;
	p->accepted = p->peer_got = p->got = p->peer_sent = 0;
}

void door_handshake(struct pair *p)
{
	if (!p->conn)
		door_shake(p);
	for (int i = 0; p->conn && i < PATIENCE; i++) {
		if (ktls_handshake(p->conn) == 0)
			break;
		pair_wait(p, "ktls_handshake");
	}
	if (p->o.door != DOOR_NEW)
		door_enter(p);
}
