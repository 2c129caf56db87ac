/* SPDX-License-Identifier: MIT */
/*
 * ktls_ctx_narrow(): keeps a context from negotiating what the kernel, or a
 * NIC, cannot encrypt. Nothing is ever allowed that was not before.
 */
#include <errno.h>
#include <stdio.h>

#include <openssl/objects.h>

#include <ktls/openssl.h>

#include "keys.h"
#include "result.h"

/* Of each version: the ciphers wanted, and the names of suites that have them. */
struct choice {
	uint32_t tls12;
	uint32_t tls13;
	char *suites12;
	char *suites13;
};

static bool is_tls13(const SSL_CIPHER *suite)
{
	/* suites of TLS 1.3 leave the key exchange open */
	return SSL_CIPHER_get_kx_nid(suite) == NID_kx_any;
}

static bool add(char **list, const char *name)
{
	char *longer;

	if (asprintf(&longer, "%s%s%s", *list ? *list : "", *list ? ":" : "",
		     name) < 0)
		return false;
	free(*list);
	*list = longer;
	return true;
}

static int choose(SSL_CTX *ctx, struct choice *c)
{
	const STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(ctx);
	const uint64_t options = SSL_CTX_get_options(ctx);

	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
		const SSL_CIPHER *suite = sk_SSL_CIPHER_value(all, i);
		const uint32_t bit = ktls__cipher_bit(ktls__keys_suite(suite));
		bool ok = true;

		if (is_tls13(suite)) {
			if ((bit & c->tls13) && !(options & SSL_OP_NO_TLSv1_3))
				ok = add(&c->suites13,
					 SSL_CIPHER_get_name(suite));
		} else if ((bit & c->tls12) && !(options & SSL_OP_NO_TLSv1_2)) {
			ok = add(&c->suites12, SSL_CIPHER_get_name(suite));
		}
		if (!ok)
			return -ENOMEM;
	}
	return 0;
}

static bool set_versions(SSL_CTX *ctx, long low, long high)
{
	/* contexts that are not TLS's say yes, and ignore it */
	return SSL_CTX_set_min_proto_version(ctx, (int)low) == 1 &&
	       SSL_CTX_set_max_proto_version(ctx, (int)high) == 1 &&
	       SSL_CTX_get_min_proto_version(ctx) == low &&
	       SSL_CTX_get_max_proto_version(ctx) == high;
}

static int apply(SSL_CTX *ctx, const struct choice *c)
{
	const long old_low = SSL_CTX_get_min_proto_version(ctx);
	const long old_high = SSL_CTX_get_max_proto_version(ctx);
	const long least = c->suites12 ? TLS1_2_VERSION : TLS1_3_VERSION;
	const long most = c->suites13 ? TLS1_3_VERSION : TLS1_2_VERSION;
	/* 0 is the lowest, or the highest, that there is */
	const long low = old_low > least ? old_low : least;
	const long high = old_high == 0 || old_high > most ? most : old_high;
	int r = 0;

	if ((!c->suites12 && !c->suites13) || low > high)
		return -ENOTSUP;
	if (!set_versions(ctx, low, high))
		r = -EPROTOTYPE;
	else if ((c->suites12 && SSL_CTX_set_cipher_list(ctx, c->suites12) != 1) ||
		 (c->suites13 && SSL_CTX_set_ciphersuites(ctx, c->suites13) != 1))
		r = -ENOMEM;
	if (r < 0)
		(void)set_versions(ctx, old_low, old_high);
	return r;
}

static int narrow(SSL_CTX *ctx, enum ktls_for whom)
{
	struct ktls_caps caps = {.size = sizeof(caps)};
	struct choice c = {0, 0, NULL, NULL};
	int r;

	if (!ctx || (whom != KTLS_FOR_KERNEL && whom != KTLS_FOR_DEVICE))
		return -EINVAL;
	if (whom == KTLS_FOR_DEVICE) {
		/* net/tls/tls_device.c, tls_set_device_offload() */
		c.tls12 = KTLS_AES_128_GCM | KTLS_AES_256_GCM;
	} else if (ktls_probe(&caps, 0) < 0) {
		return -errno;
	} else {
		c.tls12 = caps.tls12_tx & caps.tls12_rx;
		c.tls13 = caps.tls13_tx & caps.tls13_rx;
	}
	r = choose(ctx, &c);
	if (r == 0)
		r = apply(ctx, &c);
	free(c.suites12);
	free(c.suites13);
	return r;
}

int ktls_ctx_narrow(SSL_CTX *ctx, enum ktls_for whom)
{
	return (int)ktls__leave(NULL, narrow(ctx, whom));
}
