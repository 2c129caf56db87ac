/* SPDX-License-Identifier: MIT */
/*
 * Every enum ktls_reason is brought about here, and has its own name and
 * words: a new one without a row in the table fails.
 */
#include "pair.h"

#include <openssl/evp.h>

#include "fake_core.h"
#include "state.h"

/* No OpenSSL that is in use compresses; this one says so when it is told to. */
static bool compressed;

const COMP_METHOD *SSL_get_current_compression(const SSL *ssl)
{
	return compressed ? (const COMP_METHOD *)(const void *)ssl : NULL;
}

static uint32_t zerocopy;
static uint32_t unsupported;

static void use(struct ktls_policy *policy)
{
	policy->zerocopy = zerocopy;
	policy->rekey_unsupported = unsupported;
}

/* TX, at the end of a handshake on a kernel that is prepared already. */
static uint32_t tx_of(int version, uint32_t asked, const char *suite)
{
	const struct pair_options o = {.version = version,
				       .suite = suite,
				       .server = true,
				       .tx = asked,
				       .rx = KTLS_OFF,
				       .policy = use};
	struct ktls_info i;
	struct pair p;

	pair_start(&p, &o);
	pair_send(&p, 50000, 9000);
	pair_receive(&p, 1000, 1000);
	i = pair_info(&p);
	assert_int_equal(i.tx.mode == KTLS_MODE_USER,
			 i.tx.reason != KTLS_REASON_NONE);
	pair_finish(&p);
	return zerocopy ? i.zerocopy_reason : i.tx.reason;
}

static uint32_t refused(enum fake_call call, int e)
{
	fake_fail(call, 0, e);
	return tx_of(0, KTLS_AUTO, NULL);
}

static uint32_t none(void)
{
	return tx_of(0, KTLS_AUTO, NULL);
}

static uint32_t handshake(void)
{
	const struct pair_options o = {.tx = KTLS_AUTO};
	struct pair p;
	uint32_t r;

	pair_open(&p, &o);
	r = pair_info(&p).tx.reason;
	pair_free(&p);
	return r;
}

static uint32_t policy(void)
{
	return tx_of(0, KTLS_OFF, NULL);
}

static uint32_t disabled(void)
{
	uint32_t r;

	setenv("KTLS_DISABLE", "1", 1);
	r = tx_of(0, KTLS_AUTO, NULL);
	unsetenv("KTLS_DISABLE");
	return r;
}

/* What ktls_offload() makes of a connection that is in user space so far. */
static uint32_t later(void (*prepare)(struct pair *p), int dir, int e)
{
	const struct pair_options o = {
		.server = true, .capacity = 6000, .offload_after = UINT64_MAX};
	struct ktls_info i;
	struct pair p;

	pair_start(&p, &o);
	prepare(&p);
	if (e)
		assert_errno(ktls_offload(p.conn, dir), e);
	i = pair_info(&p);
	assert_modes(&p, "user", "user");
	pair_free(&p);
	return dir == KTLS_TX ? i.tx.reason : i.rx.reason;
}

static void nothing(struct pair *p)
{
	(void)p;
}

static uint32_t deferred(void)
{
	return later(nothing, KTLS_TX, 0);
}

static uint32_t cost(void)
{
	const struct pair_options o = {.tx = KTLS_OFF};
	struct pair p;
	uint32_t r;

	fake_kernel.no_pad_bug = true;
	pair_start(&p, &o);
	r = pair_info(&p).rx.reason;
	pair_finish(&p);
	return r;
}

static void half_sent(struct pair *p)
{
	static uint8_t buf[10000];

	assert_int_equal(ktls_write(p->conn, buf, sizeof(buf)), 9999);
}

static uint32_t pending(void)
{
	return later(half_sent, KTLS_TX, EAGAIN);
}

static void unix_socket(struct pair *p)
{
	fake_socket(p->fd)->domain = 1;
}

static uint32_t not_tcp(void)
{
	const struct pair_options o = {.setup_ssl = unix_socket};
	struct pair p;
	uint32_t r;

	pair_start(&p, &o);
	r = pair_info(&p).tx.reason;
	pair_finish(&p);
	return r;
}

static void peer_has_closed(struct pair *p)
{
	fake_raw_fin(p->peer_fd);
}

static uint32_t not_established(void)
{
	return later(peer_has_closed, KTLS_TX, ENOTSUP);
}

static uint32_t no_ulp(void)
{
	return refused(FAKE_SET_ULP, ENOENT);
}

static uint32_t ulp_busy(void)
{
	return refused(FAKE_SET_ULP, EEXIST);
}

static uint32_t no_kernel(void)
{
	return refused(FAKE_SET_ULP, ENOPROTOOPT);
}

static uint32_t version(void)
{
	return tx_of(TLS1_1_VERSION, KTLS_AUTO, NULL);
}

static uint32_t cipher(void)
{
	return tx_of(0, KTLS_AUTO, "TLS_AES_128_CCM_8_SHA256");
}

static uint32_t cipher_kernel(void)
{
	fake_kernel.lacks = KTLS_AES_256_GCM;
	return tx_of(0, KTLS_AUTO, NULL);
}

static uint32_t keys(void)
{
	const struct pair_options o = {.plain_ctx = true};
	struct pair p;
	uint32_t r;

	pair_start(&p, &o);
	r = pair_info(&p).tx.reason;
	pair_finish(&p);
	return r;
}

static void wrong_number(struct pair *p)
{
	pair_send(p, 1000, 1000);
	ktls__half(p->conn, KTLS_TX)->track.seq++;
}

static uint32_t key_check(void)
{
	return later(wrong_number, KTLS_TX, ENOTSUP);
}

static uint32_t compression(void)
{
	uint32_t r;

	compressed = true;
	r = tx_of(TLS1_2_VERSION, KTLS_AUTO, NULL);
	compressed = false;
	return r;
}

static void pad(struct pair *p)
{
	SSL_set_block_padding(p->ssl, 4096);
}

static uint32_t padding(void)
{
	const struct pair_options o = {
		.server = true, .offload_after = UINT64_MAX, .setup_ssl = pad};
	struct pair p;
	uint32_t r;

	pair_start(&p, &o);
	pair_send(&p, 1111, 1111);
	assert_errno(ktls_offload(p.conn, KTLS_TX), ENOTSUP);
	r = pair_info(&p).tx.reason;
	pair_finish(&p);
	return r;
}

/* A libcrypto that has no algorithm of these properties. */
static void no_algorithms(struct pair *p)
{
	pair_send(p, 1000, 1000);
	assert_int_equal(EVP_set_default_properties(NULL, "there.is=none"), 1);
}

static uint32_t openssl(void)
{
	const uint32_t r = later(no_algorithms, KTLS_TX, ENOTSUP);

	assert_int_equal(EVP_set_default_properties(NULL, ""), 1);
	return r;
}

static uint32_t system_call(void)
{
	return refused(FAKE_SET_TLS_TX, ENOMEM);
}

static uint32_t rekey(void)
{
	unsupported = KTLS_REKEY_STAY_IN_USER_SPACE;
	fake_kernel.no_rekey = true;
	return tx_of(0, KTLS_AUTO, NULL);
}

static uint32_t no_device(void)
{
	zerocopy = 1;
	return tx_of(TLS1_2_VERSION, KTLS_AUTO, NULL);
}

static uint32_t no_diag(void)
{
	zerocopy = 1;
	fake_net.not_admin = true;
	return tx_of(TLS1_2_VERSION, KTLS_AUTO, NULL);
}

static const struct {
	const char *name;
	uint32_t (*bring_about)(void);
} rows[] = {
#define ROW(NAME, f) [KTLS_REASON_##NAME] = {#NAME, f}
	ROW(NONE, none),
	ROW(HANDSHAKE, handshake),
	ROW(POLICY, policy),
	ROW(DISABLED, disabled),
	ROW(DEFERRED, deferred),
	ROW(COST, cost),
	ROW(PENDING, pending),
	ROW(NOT_TCP, not_tcp),
	ROW(NOT_ESTABLISHED, not_established),
	ROW(NO_ULP, no_ulp),
	ROW(ULP_BUSY, ulp_busy),
	ROW(NO_KERNEL, no_kernel),
	ROW(VERSION, version),
	ROW(CIPHER, cipher),
	ROW(CIPHER_KERNEL, cipher_kernel),
	ROW(KEYS, keys),
	ROW(KEY_CHECK, key_check),
	ROW(COMPRESSION, compression),
	ROW(PADDING, padding),
	ROW(OPENSSL, openssl),
	ROW(SYSTEM, system_call),
	ROW(REKEY, rekey),
	ROW(NO_DEVICE, no_device),
	ROW(NO_DIAG, no_diag),
#undef ROW
};

static bool known(uint32_t reason)
{
	return strcmp(ktls_reason_str((enum ktls_reason)reason),
		      "unknown reason") != 0;
}

static void reason_comes_about(void **state)
{
	const size_t i = (size_t)(uintptr_t)*state;
	uint32_t r;

	if (i >= ARRAY_SIZE(rows) || !rows[i].bring_about)
		fail_msg("nothing brings about %s",
			 ktls_reason_name((enum ktls_reason)i));
	assert_true(known((uint32_t)i));
	assert_string_equal(ktls_reason_name((enum ktls_reason)i), rows[i].name);
	fake_reset();
	zerocopy = unsupported = 0;
	r = rows[i].bring_about();
	if (r != i)
		fail_msg("%s in the place of %s",
			 ktls_reason_name((enum ktls_reason)r), rows[i].name);
	fake_reset();
}

/* A log that has one of them says which one it is. */
static void words_are_their_own(void **state)
{
	(void)state;
	for (uint32_t i = 0; known(i); i++)
		for (uint32_t k = 0; k < i; k++) {
			assert_string_not_equal(
				ktls_reason_str((enum ktls_reason)i),
				ktls_reason_str((enum ktls_reason)k));
			assert_string_not_equal(
				ktls_reason_name((enum ktls_reason)i),
				ktls_reason_name((enum ktls_reason)k));
		}
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (uint32_t i = 0; known(i) || i < ARRAY_SIZE(rows); i++)
		ktest_add(&t, reason_comes_about, (void *)(uintptr_t)i, "%s",
			  ktls_reason_name((enum ktls_reason)i));
	ktest_add(&t, words_are_their_own, NULL, "words_are_their_own");
	r = ktest_run_table("reasons", &t);
	certs_free();
	return r;
}
