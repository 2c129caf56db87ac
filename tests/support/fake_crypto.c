/* SPDX-License-Identifier: MIT */
/*
 * The record protection of the model kernel, written from the RFCs and
 * linux/tls.h alone, so that it cannot share a mistake with lib/aead.c.
 */
#include "fake_core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

struct algorithm {
	unsigned int id;
	const char *name;
	size_t key, iv, salt;
	bool ccm;
};

static const struct algorithm algorithms[] = {
	{51, "aes-128-gcm", 16, 8, 4, false},
	{52, "aes-256-gcm", 32, 8, 4, false},
	{53, "aes-128-ccm", 16, 8, 4, true},
	{54, "chacha20-poly1305", 32, 12, 0, false},
	{55, "sm4-gcm", 16, 8, 4, false},
	{56, "sm4-ccm", 16, 8, 4, true},
	{57, "aria-128-gcm", 16, 8, 4, false},
	{58, "aria-256-gcm", 32, 8, 4, false},
};

static const struct algorithm *algorithm(unsigned int id)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(*algorithms); i++)
		if (algorithms[i].id == id)
			return &algorithms[i];
	return NULL;
}

/* of keys that fake_key_set() has accepted */
static const struct algorithm *algorithm_of(const struct fake_key *k)
{
	const struct algorithm *a = algorithm(k->cipher);

	if (!a)
		fake_broken("no keys");
	return a;
}

int fake_key_set(struct fake_key *k, const void *info, size_t len)
{
	const uint8_t *p = info;
	const struct algorithm *a;
	uint16_t head[2];

	if (len < sizeof(head))
		return -EINVAL;
	memcpy(head, p, sizeof(head));
	a = algorithm(head[1]);
	if (!a || (head[0] != 0x0303 && head[0] != 0x0304) ||
	    len != 4 + a->iv + a->key + a->salt + 8)
		return -EINVAL;
	if (head[1] >= 57 && head[0] == 0x0304)
		return -EINVAL;
	memset(k, 0, sizeof(*k));
	k->on = true;
	k->version = head[0];
	k->cipher = head[1];
	p += 4;
	memcpy(k->iv + a->salt, p, a->iv);
	p += a->iv;
	memcpy(k->key, p, a->key);
	p += a->key;
	memcpy(k->iv, p, a->salt);
	p += a->salt;
	for (int i = 0; i < 8; i++)
		k->seq = k->seq << 8 | p[i];
	k->seq0 = k->seq;
	return 0;
}

size_t fake_key_get(const struct fake_key *k, uint8_t info[FAKE_INFO])
{
	const struct algorithm *a = algorithm_of(k);
	const uint16_t head[2] = {(uint16_t)k->version, (uint16_t)k->cipher};
	uint8_t *p = info;

	memcpy(p, head, sizeof(head));
	p += 4;
	memcpy(p, k->iv + a->salt, a->iv);
	p += a->iv;
	memcpy(p, k->key, a->key);
	p += a->key;
	memcpy(p, k->iv, a->salt);
	p += a->salt;
	for (int i = 0; i < 8; i++)
		*p++ = (uint8_t)(k->seq >> (56 - 8 * i));
	return (size_t)(p - info);
}

static bool explicit_nonce(const struct fake_key *k)
{
	return k->version == 0x0303 && k->cipher != 54;
}

size_t fake_overhead(const struct fake_key *k)
{
	if (k->version == 0x0304)
		return 5 + 1 + 16;
	return explicit_nonce(k) ? 5 + 8 + 16 : 5 + 16;
}

static void nonce_of(const struct fake_key *k, const uint8_t *explicit,
		     uint8_t nonce[FAKE_IV])
{
	memcpy(nonce, k->iv, FAKE_IV);
	if (explicit) {
		memcpy(nonce + 4, explicit, 8);
		return;
	}
	for (int i = 0; i < 8; i++)
		nonce[4 + i] ^= (uint8_t)(k->seq >> (56 - 8 * i));
}

static int aad_of(const struct fake_key *k, const uint8_t *header, size_t n,
		  uint8_t aad[13])
{
	if (k->version == 0x0304) {
		memcpy(aad, header, 5);
		return 5;
	}
	for (int i = 0; i < 8; i++)
		aad[i] = (uint8_t)(k->seq >> (56 - 8 * i));
	aad[8] = header[0];
	aad[9] = 3;
	aad[10] = 3;
	aad[11] = (uint8_t)(n >> 8);
	aad[12] = (uint8_t)n;
	return 13;
}

/* Both directions of every AEAD; false: it does not authenticate. */
static bool crypt(const struct fake_key *k, bool seal, const uint8_t *nonce,
		  const uint8_t *aad, int aad_len, const uint8_t *in, size_t n,
		  uint8_t *out, uint8_t tag[16])
{
	const struct algorithm *a = algorithm_of(k);
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, a->name, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool ok;
	int len;

	if (!cipher || !ctx)
		fake_broken("this libcrypto has no %s", a->name);
	ok = EVP_CipherInit_ex(ctx, cipher, NULL, NULL, NULL, seal) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL) > 0;
	if (ok && (a->ccm || !seal))
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16,
					 seal ? NULL : tag) > 0;
	ok = ok && EVP_CipherInit_ex(ctx, NULL, NULL, k->key, nonce, seal) == 1;
	if (ok && a->ccm)
		ok = EVP_CipherUpdate(ctx, NULL, &len, NULL, (int)n) == 1;
	ok = ok && EVP_CipherUpdate(ctx, NULL, &len, aad, aad_len) == 1;
	ok = ok && EVP_CipherUpdate(ctx, out, &len, in, (int)n) == 1;
	if (ok && (seal || !a->ccm))
		ok = EVP_CipherFinal_ex(ctx, out + len, &len) == 1;
	if (ok && seal)
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag) > 0;
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return ok;
}

void fake_seal(struct fake_key *k, uint8_t type, const uint8_t *p, size_t n,
	       struct fake_bytes *out)
{
	uint8_t plain[FAKE_RECORD + 1], rec[FAKE_RECORD + 64], *to = rec + 5;
	uint8_t nonce[FAKE_IV], aad[13];
	const bool tls13 = k->version == 0x0304;
	const size_t total = n + fake_overhead(k);
	int aad_len;

	memcpy(plain, p, n);
	plain[n] = type;
	rec[0] = tls13 ? 23 : type;
	rec[1] = 3;
	rec[2] = 3;
	rec[3] = (uint8_t)((total - 5) >> 8);
	rec[4] = (uint8_t)(total - 5);
	if (explicit_nonce(k)) {
		memcpy(to, k->iv + 4, 8);
		nonce_of(k, to, nonce);
		to += 8;
		for (int i = 11; i >= 4 && ++k->iv[i] == 0; i--)
			;
	} else {
		nonce_of(k, NULL, nonce);
	}
	aad_len = aad_of(k, rec, n, aad);
	n += tls13;
	if (!crypt(k, true, nonce, aad, aad_len, plain, n, to, to + n))
		fake_broken("the model cannot encrypt");
	k->seq++;
	fake_put(out, rec, total);
}

int fake_open(struct fake_key *k, const uint8_t *rec, size_t n, uint8_t *type,
	      struct fake_bytes *plain)
{
	const size_t front = explicit_nonce(k) ? 13 : 5;
	uint8_t buf[FAKE_RECORD + 2048], nonce[FAKE_IV], aad[13], tag[16];
	int aad_len;

	if (n < fake_overhead(k) || n > sizeof(buf))
		return -EBADMSG;
	memcpy(tag, rec + n - 16, 16);
	nonce_of(k, explicit_nonce(k) ? rec + 5 : NULL, nonce);
	n -= front + 16;
	aad_len = aad_of(k, rec, n, aad);
	if (!crypt(k, false, nonce, aad, aad_len, rec + front, n, buf, tag))
		return -EBADMSG;
	k->seq++;
	*type = rec[0];
	if (k->version == 0x0304) {
		while (n > 0 && buf[n - 1] == 0)
			n--;
		if (n == 0)
			return -EBADMSG;
		*type = buf[--n];
	}
	fake_put(plain, buf, n);
	return 0;
}
