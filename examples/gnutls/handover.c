/* SPDX-License-Identifier: MIT */
/*
 * From a session of GnuTLS, whose handshake is over, to a connection of
 * libktls: version, cipher, keys, numbers, and what was read too early.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ktls/raw.h>

#include "session.h"

enum { MAX_FRAGMENT_LENGTH = 1, RECORD_SIZE_LIMIT = 28 }; /* extensions */

static uint32_t version_of(gnutls_session_t session)
{
	gnutls_protocol_t version = gnutls_protocol_get_version(session);

	return version == GNUTLS_TLS1_3	  ? 0x0304
	       : version == GNUTLS_TLS1_2 ? 0x0303
					  : 0;
}

static uint32_t cipher_of(gnutls_session_t session)
{
	static const struct {
		gnutls_cipher_algorithm_t theirs;
		enum ktls_cipher ours;
	} ciphers[] = {
		{GNUTLS_CIPHER_AES_128_GCM, KTLS_AES_128_GCM},
		{GNUTLS_CIPHER_AES_256_GCM, KTLS_AES_256_GCM},
		{GNUTLS_CIPHER_AES_128_CCM, KTLS_AES_128_CCM},
		{GNUTLS_CIPHER_CHACHA20_POLY1305, KTLS_CHACHA20_POLY1305},
	};
	gnutls_cipher_algorithm_t cipher = gnutls_cipher_get(session);

	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++)
		if (ciphers[i].theirs == cipher)
			return ciphers[i].ours;
	return 0;
}

/* GnuTLS calls this at the moment that it begins to use a secret. */
static int take_secret(gnutls_session_t session, const char *label,
		       const gnutls_datum_t *secret)
{
	struct told *told = gnutls_session_get_ptr(session);

	if (secret->size > sizeof(told->server))
		return 0;
	if (strcmp(label, "CLIENT_TRAFFIC_SECRET_0") == 0)
		memcpy(told->client, secret->data, secret->size);
	else if (strcmp(label, "SERVER_TRAFFIC_SECRET_0") == 0)
		memcpy(told->server, secret->data, secret->size);
	else
		return 0;
	told->secret_len = secret->size;
	return 0;
}

static int take_extension(void *arg, unsigned int id, const unsigned char *data,
			  unsigned int size)
{
	struct told *told = arg;

	if (id == RECORD_SIZE_LIMIT && size == 2)
		told->record_limit = (unsigned int)data[0] << 8 | data[1];
	if (id == MAX_FRAGMENT_LENGTH && size == 1 && *data >= 1 && *data <= 4)
		told->max_fragment = 256U << *data;
	return 0;
}

/* gnutls_record_get_max_size() knows what we may receive only. */
static int read_hello(gnutls_session_t session, unsigned int type,
		      unsigned int when, unsigned int incoming,
		      const gnutls_datum_t *hello)
{
	(void)type;
	(void)when;
	(void)incoming;
	return gnutls_ext_raw_parse(gnutls_session_get_ptr(session),
				    take_extension, hello,
				    GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO);
}

void handover_prepare(gnutls_session_t session, struct told *told)
{
	gnutls_session_set_ptr(session, told);
	/* in the place of SSLKEYLOGFILE, which this program does not heed */
	gnutls_session_set_keylog_function(session, take_secret);
	gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_CLIENT_HELLO,
					   GNUTLS_HOOK_PRE, read_hello);
}

/* The longest record that the client takes, in bytes of what is in it. */
static uint32_t record_size(const struct told *told, uint32_t version)
{
	/* GnuTLS does not agree to less; TLS 1.3 counts the type, too */
	if (told->record_limit >= 512)
		return told->record_limit - (version == 0x0304);
	return told->max_fragment;
}

/*
 * One direction. The secret is what new keys of TLS 1.3 come from; without
 * one, key and IV: of TLS 1.2, 4 bytes of salt for AES and 12 for ChaCha20. The
 * number is that of the next record: session tickets have been counted.
 */
static int fill(struct ktls_keys *keys, gnutls_session_t session, bool receive,
		const uint8_t *secret, size_t secret_len)
{
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];
	int r = gnutls_record_get_state(session, receive, &mac, &iv, &key, seq);

	if (r < 0)
		return r;
	for (int i = 0; i < 8; i++)
		keys->seq = keys->seq << 8 | seq[i];
	if (keys->version == 0x0304 && secret_len > 0) {
		memcpy(keys->secret, secret, secret_len);
		keys->secret_len = (uint32_t)secret_len;
		return 0;
	}
	if (key.size > sizeof(keys->key) || iv.size > sizeof(keys->iv))
		return GNUTLS_E_UNKNOWN_CIPHER_SUITE;
	memcpy(keys->key, key.data, key.size);
	keys->key_len = key.size;
	memcpy(keys->iv, iv.data, iv.size);
	keys->iv_len = iv.size;
	return 0;
}

/*
 * Data that GnuTLS has read and decrypted during the handshake, as may happen
 * with one that is started again. It never reads beyond the record that it
 * is in, so there is no ciphertext to take over.
 */
static int take_plain(gnutls_session_t session, struct ktls_keys *rx,
		      uint8_t **plain)
{
	size_t left = gnutls_record_check_pending(session);

	if (left == 0)
		return 0;
	*plain = malloc(left);
	if (!*plain)
		return GNUTLS_E_MEMORY_ERROR;
	rx->plain = *plain;
	while (rx->plain_len < left) {
		ssize_t n = gnutls_record_recv(session, *plain + rx->plain_len,
					       left - rx->plain_len);

		if (n <= 0)
			return n < 0 ? (int)n : GNUTLS_E_PREMATURE_TERMINATION;
		rx->plain_len += (size_t)n;
	}
	return 0;
}

static struct ktls_conn *from_keys(gnutls_session_t session, int fd,
				   const struct ktls_keys *tx,
				   const struct ktls_keys *rx,
				   const struct ktls_policy *policy,
				   char *error, size_t size)
{
	struct ktls_conn *tls = ktls_conn_from_keys(fd, tx, rx, policy);
	gnutls_cipher_algorithm_t cipher = gnutls_cipher_get(session);

	if (!tls)
		snprintf(error, size, "ktls_conn_from_keys: %s: %s",
			 gnutls_cipher_get_name(cipher), strerror(errno));
	return tls;
}

/* NULL, with what went wrong in error; the session is as it was then. */
struct ktls_conn *handover(gnutls_session_t session, int fd,
			   const struct ktls_policy *policy, char *error,
			   size_t size)
{
	const struct told *told = gnutls_session_get_ptr(session);
	struct ktls_keys tx = {.size = sizeof(tx)};
	struct ktls_keys rx = {.size = sizeof(rx)};
	struct ktls_policy mine = *policy;
	struct ktls_conn *tls = NULL;
	uint8_t *plain = NULL;
	uint32_t limit;
	int r;

	tx.version = rx.version = version_of(session);
	tx.cipher = rx.cipher = cipher_of(session);
	limit = record_size(told, tx.version);
	if (limit > 0 && limit < mine.record_size)
		mine.record_size = limit;

	r = take_plain(session, &rx, &plain);
	if (r == 0)
		r = fill(&tx, session, false, told->server, told->secret_len);
	if (r == 0)
		r = fill(&rx, session, true, told->client, told->secret_len);
	if (r == 0)
		tls = from_keys(session, fd, &tx, &rx, &mine, error, size);
	else
		snprintf(error, size, "%s", gnutls_strerror(r));
	explicit_bzero(&tx, sizeof(tx));
	explicit_bzero(&rx, sizeof(rx));
	if (plain)
		explicit_bzero(plain, rx.plain_len);
	free(plain);
	return tls;
}
