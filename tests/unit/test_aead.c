/* SPDX-License-Identifier: MIT */
/* Records in memory: round trips, tampering, and the model's own crypto. */
#include <errno.h>

#include <openssl/evp.h>

#include "ktest.h"

#include "aead.h"
#include "fake_core.h"

enum { PLAIN = 45 };

struct row {
	const struct ktls__cipher *cipher;
	unsigned int version;
};

static struct ktls__protection protection(const struct row *row)
{
	struct ktls__protection p = {.cipher = row->cipher,
				     .version = row->version};

	for (size_t i = 0; i < row->cipher->key; i++)
		p.keys.key[i] = (uint8_t)(i + 1);
	for (size_t i = 0; i < 12; i++)
		p.keys.iv[i] = (uint8_t)(i + 100);
	return p;
}

/* The same keys in the model. */
static struct fake_key model(const struct ktls__protection *p, uint64_t seq)
{
	struct fake_key k = {.on = true,
			     .version = p->version,
			     .cipher = p->cipher->id,
			     .seq = seq};

	memcpy(k.key, p->keys.key, sizeof(p->keys.key));
	memcpy(k.iv, p->keys.iv, 12);
	return k;
}

static void sealed_records_open_again(void **state)
{
	const struct row *row = *state;
	struct ktls__protection p = protection(row);
	static uint8_t in[16384], rec[16384 + 64], out[16384 + 64];
	static const size_t sizes[] = {0, 1, 2, PLAIN, 16384};

	fake_pattern(1, 0, in, sizeof(in));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const size_t n = sizes[i];
		const uint64_t seq = i == 3 ? UINT64_MAX - 1 : 256 * i + i;
		size_t padding = 99;
		uint8_t type = 0;
		ssize_t len;

		len = ktls__aead_seal(&p, seq, 22, in, n, rec);
		assert_int_equal(len, n + ktls__cipher_overhead(row->cipher,
								row->version));
		assert_int_equal(rec[0], row->version == 0x0304 ? 23 : 22);
		assert_int_equal(rec[3] << 8 | rec[4], len - 5);
		assert_int_equal(ktls__aead_open(&p, seq, rec, (size_t)len, out,
						 &type, &padding),
				 n);
		assert_memory_equal(out, in, n);
		assert_int_equal(type, 22);
		assert_int_equal(padding, 0);
		assert_int_equal(ktls__aead_open(&p, seq + 1, rec, (size_t)len,
						 out, &type, &padding),
				 -EBADMSG);
	}
}

static void any_changed_byte_is_found(void **state)
{
	const struct row *row = *state;
	struct ktls__protection p = protection(row);
	static const size_t sizes[] = {0, PLAIN};
	uint8_t in[PLAIN], rec[PLAIN + 64], out[PLAIN + 64], type;
	size_t padding;

	fake_pattern(1, 0, in, sizeof(in));
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		const ssize_t n = ktls__aead_seal(&p, 9, 23, in, sizes[s], rec);

		for (ssize_t i = 0; i < n; i++) {
			/* TLS 1.2 authenticates length by what it decrypts */
			if (row->version == 0x0303 && i > 0 && i < 5)
				continue;
			rec[i] ^= 1;
			assert_int_equal(ktls__aead_open(&p, 9, rec, (size_t)n,
							 out, &type, &padding),
					 -EBADMSG);
			rec[i] ^= 1;
		}
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(ktls__aead_open(&p, 9, rec, (size_t)i,
							 out, &type, &padding),
					 -EBADMSG);
	}
}

static void both_agree_with_the_model(void **state)
{
	const struct row *row = *state;
	struct ktls__protection p = protection(row);
	struct fake_bytes rec = {0}, plain = {0};
	uint8_t in[PLAIN], out[PLAIN + 64], type = 0;
	struct fake_key k = model(&p, 77);
	size_t padding;
	ssize_t n;

	fake_pattern(1, 0, in, sizeof(in));
	fake_seal(&k, 23, in, sizeof(in), &rec);
	assert_int_equal(k.seq, 78);
	assert_int_equal(
		ktls__aead_open(&p, 77, rec.p, rec.len, out, &type, &padding),
		PLAIN);
	assert_memory_equal(out, in, PLAIN);
	assert_int_equal(type, 23);
	n = ktls__aead_seal(&p, 78, 22, in, sizeof(in), out);
	assert_int_equal(fake_open(&k, out, (size_t)n, &type, &plain), 0);
	assert_int_equal(type, 22);
	assert_int_equal(plain.len, PLAIN);
	assert_memory_equal(plain.p, in, PLAIN);
	fake_drop_all(&rec);
	fake_drop_all(&plain);
}

/* A TLS 1.3 record whose content is inner: content, type, zeros. */
static ssize_t open_inner(const struct row *row, const uint8_t *inner, size_t n,
			  uint8_t *type, size_t *padding)
{
	struct ktls__protection p = protection(row);
	struct fake_key k = model(&p, 3);
	struct fake_bytes rec = {0};
	uint8_t out[128];
	ssize_t r;

	/* its last byte takes the place of the type */
	fake_seal(&k, inner[n - 1], inner, n - 1, &rec);
	r = ktls__aead_open(&p, 3, rec.p, rec.len, out, type, padding);
	fake_drop_all(&rec);
	return r;
}

static void padding_is_taken_off_and_counted(void **state)
{
	static const uint8_t padded[10] = {'h', 'i', 21};
	static const uint8_t empty[3] = {23};
	static const uint8_t nothing[4];
	uint8_t type;
	size_t padding;

	assert_int_equal(open_inner(*state, padded, 10, &type, &padding), 2);
	assert_int_equal(type, 21);
	assert_int_equal(padding, 7);
	assert_int_equal(open_inner(*state, padded, 3, &type, &padding), 2);
	assert_int_equal(padding, 0);
	assert_int_equal(open_inner(*state, empty, 3, &type, &padding), 0);
	assert_int_equal(type, 23);
	assert_int_equal(padding, 2);
	assert_int_equal(open_inner(*state, nothing, 4, &type, &padding),
			 -EBADMSG);
}

static void missing_cipher_is_eio(void **state)
{
	struct ktls__cipher none = *ktls__cipher_at(0);
	struct ktls__protection p = {.cipher = &none, .version = 0x0304};
	uint8_t rec[64] = {23, 3, 3, 0, 59}, out[64], type;
	size_t padding;

	(void)state;
	none.name = "NO-SUCH-CIPHER";
	assert_int_equal(ktls__aead_seal(&p, 0, 23, rec, 1, out), -EIO);
	assert_int_equal(ktls__aead_open(&p, 0, rec, 64, out, &type, &padding),
			 -EIO);
}

int main(void)
{
	static struct ktest_table table;
	static struct row rows[16];
	size_t n = 0;

	for (size_t i = 0; i < 16; i++) {
		const struct ktls__cipher *c = ktls__cipher_at(i / 2);
		const unsigned int minor = 3 + i % 2;
		EVP_CIPHER *have = EVP_CIPHER_fetch(NULL, c->name, NULL);
		struct row *row = &rows[n++];

		EVP_CIPHER_free(have);
		/* SM4's AEADs came with a later libcrypto */
		if (!have || (c->tls12_only && minor == 4))
			continue;
		*row = (struct row){c, 0x0300 + minor};
#define ADD(f) ktest_add(&table, f, row, #f "_%s_1_%u", c->name, minor - 1)
		ADD(sealed_records_open_again);
		ADD(any_changed_byte_is_found);
		ADD(both_agree_with_the_model);
		if (minor == 4)
			ADD(padding_is_taken_off_and_counted);
	}
	ktest_add(&table, missing_cipher_is_eio, NULL, "missing_cipher_is_eio");
	return ktest_run_table("aead", &table);
}
