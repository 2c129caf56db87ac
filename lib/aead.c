/* SPDX-License-Identifier: MIT */
/*
 * Record protection of TLS 1.2 (RFC 5246 section 6.2.3.3, RFC 5288, RFC 7905)
 * and TLS 1.3 (RFC 8446 section 5.2), by libcrypto's AEADs. On the path of data
 * only without an SSL, in user space; else it checks keys before they go to the
 * kernel and translates the few control records between OpenSSL and the kernel.
 */
#include "aead.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "compat.h"

enum { AAD_MAX = 13, EXPLICIT = 8 };

static void put64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static void make_nonce(const struct ktls__protection *p, uint64_t seq,
		       const uint8_t *explicit_nonce, uint8_t nonce[KTLS__IV])
{
	uint8_t s[8];

	memcpy(nonce, p->keys.iv, KTLS__IV);
	if (ktls__cipher_explicit_nonce(p->cipher, p->version)) {
		memcpy(nonce + p->cipher->salt, explicit_nonce, EXPLICIT);
		return;
	}
	put64(s, seq);
	for (size_t i = 0; i < sizeof(s); i++)
		nonce[KTLS__IV - sizeof(s) + i] ^= s[i];
}

static size_t make_aad(const struct ktls__protection *p, uint64_t seq,
		       const uint8_t header[KTLS__HEADER], size_t plain,
		       uint8_t aad[AAD_MAX])
{
	if (p->version == KTLS__TLS13) {
		memcpy(aad, header, KTLS__HEADER);
		return KTLS__HEADER;
	}
	put64(aad, seq);
	memcpy(aad + 8, header, 3);
	aad[11] = (uint8_t)(plain >> 8);
	aad[12] = (uint8_t)plain;
	return AAD_MAX;
}

/*
 * in and out are len bytes; the tag is read or written apart. The caller's
 * error queue is left as it was.
 */
static int crypt_record(const struct ktls__protection *p, int encrypt,
			const uint8_t nonce[KTLS__IV], const uint8_t *aad,
			size_t aad_len, const uint8_t *in, size_t len,
			uint8_t *out, uint8_t *tag)
{
	const int marked = ERR_set_mark();
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, p->cipher->name, NULL);
	EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;
	const bool ccm = p->cipher->ccm;
	int n, r = -EIO;

	if (!ctx || !EVP_CipherInit_ex(ctx, cipher, NULL, NULL, NULL, encrypt))
		goto out;
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, KTLS__IV, NULL) <= 0)
		goto out;
	/* CCM wants the tag's length before the key, and all lengths ahead */
	if ((!encrypt || ccm) &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, KTLS__TAG,
				encrypt ? NULL : tag) <= 0)
		goto out;
	if (!EVP_CipherInit_ex(ctx, NULL, NULL, p->keys.key, nonce, encrypt))
		goto out;
	if (ccm && !EVP_CipherUpdate(ctx, NULL, &n, NULL, (int)len))
		goto out;
	if (!EVP_CipherUpdate(ctx, NULL, &n, aad, (int)aad_len))
		goto out;
	/* CCM authenticates here, the others in the final step */
	if (!EVP_CipherUpdate(ctx, out, &n, in, (int)len)) {
		r = encrypt ? -EIO : -EBADMSG;
		goto out;
	}
	if (!(ccm && !encrypt) && EVP_CipherFinal_ex(ctx, out + n, &n) <= 0) {
		r = encrypt ? -EIO : -EBADMSG;
		goto out;
	}
	if (encrypt &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, KTLS__TAG, tag) <= 0)
		goto out;
	r = 0;
out:
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	if (marked)
		ERR_pop_to_mark();
	return r;
}

ssize_t ktls__aead_open(const struct ktls__protection *p, uint64_t seq,
			const uint8_t *rec, size_t len, uint8_t *out,
			uint8_t *type, size_t *padding)
{
	const bool explicit_nonce =
		ktls__cipher_explicit_nonce(p->cipher, p->version);
	const size_t front = KTLS__HEADER + (explicit_nonce ? EXPLICIT : 0);
	uint8_t nonce[KTLS__IV], aad[AAD_MAX], tag[KTLS__TAG];
	size_t n, aad_len;
	int r;

	if (len < ktls__cipher_overhead(p->cipher, p->version))
		return -EBADMSG;
	n = len - front - KTLS__TAG;
	make_nonce(p, seq, rec + KTLS__HEADER, nonce);
	aad_len = make_aad(p, seq, rec, n, aad);
	memcpy(tag, rec + len - KTLS__TAG, sizeof(tag));
	r = crypt_record(p, 0, nonce, aad, aad_len, rec + front, n, out, tag);
	if (r < 0)
		return r;
	*type = rec[0];
	*padding = 0;
	if (p->version == KTLS__TLS13) {
		/* RFC 8446 section 5.4: content, type, then zeros */
		while (n > 0 && out[n - 1] == 0) {
			n--;
			++*padding;
		}
		if (n == 0)
			return -EBADMSG;
		*type = out[--n];
	}
	return (ssize_t)n;
}

void ktls__aead_nonce(struct ktls__protection *p, uint64_t nonce)
{
	if (ktls__cipher_explicit_nonce(p->cipher, p->version))
		put64(p->keys.iv + p->cipher->salt, nonce);
}

ssize_t ktls__aead_seal(const struct ktls__protection *p, uint64_t seq,
			uint8_t type, const uint8_t *in, size_t len, uint8_t *out)
{
	const bool tls13 = p->version == KTLS__TLS13;
	const size_t total = len + ktls__cipher_overhead(p->cipher, p->version);
	uint8_t nonce[KTLS__IV], aad[AAD_MAX], *body = out + KTLS__HEADER;
	size_t n = len, aad_len;
	int r;

	out[0] = tls13 ? KTLS__APPLICATION_DATA : type;
	out[1] = 3;
	out[2] = 3;
	out[3] = (uint8_t)((total - KTLS__HEADER) >> 8);
	out[4] = (uint8_t)(total - KTLS__HEADER);
	if (ktls__cipher_explicit_nonce(p->cipher, p->version)) {
		memcpy(body, p->keys.iv + p->cipher->salt, EXPLICIT);
		body += EXPLICIT;
	}
	make_nonce(p, seq, out + KTLS__HEADER, nonce);
	memmove(body, in, len);
	if (tls13)
		body[n++] = type;
	aad_len = make_aad(p, seq, out, n, aad);
	r = crypt_record(p, 1, nonce, aad, aad_len, body, n, body, body + n);
	return r < 0 ? r : (ssize_t)total;
}
