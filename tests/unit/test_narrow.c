/* SPDX-License-Identifier: MIT */
/* ktls_ctx_narrow(): what is left of a context, and that nothing is added. */
#include "hosts.h"
#include "pair.h"

#include <openssl/err.h>

enum { SUITES = 256 };

struct list {
	const SSL_CIPHER *suite[SUITES];
	size_t n;
};

static int setup(void **state)
{
	host_setup(state);
	/* what is known of an earlier kernel is forgotten */
	(void)host_caps(1);
	return 0;
}

/* Those that a connection would offer, in their order. */
static struct list offered(SSL_CTX *ctx)
{
	SSL *ssl = SSL_new(ctx);
	STACK_OF(SSL_CIPHER) * all;
	struct list l = {.n = 0};

	assert_non_null(ssl);
	all = SSL_get1_supported_ciphers(ssl);
	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
		assert_true(l.n < SUITES);
		l.suite[l.n++] = sk_SSL_CIPHER_value(all, i);
	}
	sk_SSL_CIPHER_free(all);
	SSL_free(ssl);
	return l;
}

/* The cipher of a suite, from OpenSSL's name of it; 0: not the kernel's. */
static uint32_t cipher_of(const SSL_CIPHER *suite)
{
	static const struct {
		const char *part;
		uint32_t bit;
	} parts[] = {
		{"CCM8", 0},
		{"CCM_8", 0},
		{"AES128-GCM", KTLS_AES_128_GCM},
		{"AES_128_GCM", KTLS_AES_128_GCM},
		{"AES256-GCM", KTLS_AES_256_GCM},
		{"AES_256_GCM", KTLS_AES_256_GCM},
		{"AES128-CCM", KTLS_AES_128_CCM},
		{"AES_128_CCM", KTLS_AES_128_CCM},
		{"CHACHA20", KTLS_CHACHA20_POLY1305},
		{"ARIA128-GCM", KTLS_ARIA_128_GCM},
		{"ARIA256-GCM", KTLS_ARIA_256_GCM},
		{"SM4_GCM", KTLS_SM4_GCM},
		{"SM4_CCM", KTLS_SM4_CCM},
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strstr(SSL_CIPHER_get_name(suite), parts[i].part))
			return parts[i].bit;
	return 0;
}

static bool of_tls13(const SSL_CIPHER *suite)
{
	return strncmp(SSL_CIPHER_get_name(suite), "TLS_", 4) == 0;
}

static struct list filter(const struct list *from, uint32_t tls12, uint32_t tls13)
{
	struct list l = {.n = 0};

	for (size_t i = 0; i < from->n; i++)
		if (cipher_of(from->suite[i]) &
		    (of_tls13(from->suite[i]) ? tls13 : tls12))
			l.suite[l.n++] = from->suite[i];
	return l;
}

static void assert_same(const struct list *got, const struct list *want,
			const char *what)
{
	for (size_t i = 0; i < got->n && i < want->n; i++)
		if (got->suite[i] != want->suite[i])
			fail_msg("%s: %s in the place of %s", what,
				 SSL_CIPHER_get_name(got->suite[i]),
				 SSL_CIPHER_get_name(want->suite[i]));
	if (got->n != want->n)
		fail_msg("%s: %zu suites in the place of %zu", what, got->n,
			 want->n);
}

static const char *const lists[] = {
	NULL,
	"ALL:COMPLEMENTOFDEFAULT:@SECLEVEL=0",
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256:"
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA",
	"AES128-SHA:ECDHE-ECDSA-AES256-CCM:ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0",
	"ECDHE-ECDSA-CHACHA20-POLY1305",
	"ECDHE-ECDSA-AES128-CCM:AES256-GCM-SHA384:ARIA:@SECLEVEL=0",
};
static const char *const lists13[] = {
	NULL,
	"",
	"TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
	"TLS_AES_128_CCM_8_SHA256",
	"TLS_AES_128_CCM_8_SHA256:TLS_AES_128_CCM_SHA256",
};
static const int versions[][2] = {
	{0, 0},
	{TLS1_VERSION, TLS1_2_VERSION},
	{TLS1_2_VERSION, TLS1_2_VERSION},
	{TLS1_2_VERSION, TLS1_3_VERSION},
	{TLS1_3_VERSION, 0},
	{TLS1_VERSION, TLS1_1_VERSION},
};
static const uint64_t options[] = {
	0,
	SSL_OP_NO_TLSv1_2,
	SSL_OP_NO_TLSv1_3,
	SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA,
};

struct row {
	const char *list, *list13;
	const int *versions;
	uint64_t options;
	bool server;
};

static SSL_CTX *make(const struct row *row)
{
	SSL_CTX *ctx = SSL_CTX_new(row->server ? TLS_server_method()
					       : TLS_client_method());

	assert_non_null(ctx);
	if (row->list)
		assert_int_equal(SSL_CTX_set_cipher_list(ctx, row->list), 1);
	if (row->list13)
		assert_int_equal(SSL_CTX_set_ciphersuites(ctx, row->list13), 1);
	SSL_CTX_set_min_proto_version(ctx, row->versions[0]);
	SSL_CTX_set_max_proto_version(ctx, row->versions[1]);
	SSL_CTX_set_options(ctx, row->options);
	return ctx;
}

static void check_row(const struct row *row, enum ktls_for whom, uint32_t tls12,
		      uint32_t tls13)
{
	SSL_CTX *ctx = make(row);
	const struct list before = offered(ctx);
	const struct list want = filter(&before, tls12, tls13);
	const int level = SSL_CTX_get_security_level(ctx);
	const long low = SSL_CTX_get_min_proto_version(ctx);
	const long high = SSL_CTX_get_max_proto_version(ctx);
	struct list after;
	char what[300];
	int r;

	snprintf(what, sizeof(what), "%s, %s, %x to %x, options %x",
		 row->list ? row->list : "default",
		 row->list13 ? row->list13 : "default", row->versions[0],
		 row->versions[1], (unsigned int)row->options);
	ERR_clear_error();
	errno = 0;
	r = ktls_ctx_narrow(ctx, whom);
	/* what failed on the way is nobody's error later */
	assert_int_equal(ERR_peek_error(), 0);
	if (r == 0) {
		if (want.n == 0)
			fail_msg("%s: nothing is left, and yet 0", what);
		after = offered(ctx);
		assert_same(&after, &want, what);
		/* a narrow one has nothing to lose */
		assert_int_equal(ktls_ctx_narrow(ctx, whom), 0);
		after = offered(ctx);
		assert_same(&after, &want, what);
	} else {
		if (errno != ENOTSUP || want.n > 0)
			fail_msg("%s: %s, with %zu left", what, strerror(errno),
				 want.n);
		after = offered(ctx);
		assert_same(&after, &before, what);
		assert_int_equal(SSL_CTX_get_min_proto_version(ctx), low);
		assert_int_equal(SSL_CTX_get_max_proto_version(ctx), high);
	}
	assert_int_equal(SSL_CTX_get_security_level(ctx), level);
	assert_int_equal(SSL_CTX_get_options(ctx) & row->options, row->options);
	SSL_CTX_free(ctx);
}

/*
 * Without a version in the middle OpenSSL takes those below it, and those
 * above it once these are gone: such a context has no meaning.
 */
static bool has_hole(const struct row *row)
{
	return (row->options & SSL_OP_NO_TLSv1_2) &&
	       row->versions[0] < TLS1_2_VERSION &&
	       (row->versions[1] == 0 || row->versions[1] > TLS1_2_VERSION);
}

static void check_all(enum ktls_for whom, uint32_t tls12, uint32_t tls13)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (size_t k = 0; k < ARRAY_SIZE(lists13); k++)
			for (size_t v = 0; v < ARRAY_SIZE(versions); v++)
				for (size_t o = 0; o < 2 * ARRAY_SIZE(options);
				     o++) {
					const struct row row = {
						lists[i], lists13[k], versions[v],
						options[o / 2], o & 1};

					if (!has_hole(&row))
						check_row(&row, whom, tls12,
							  tls13);
				}
}

static void device_leaves_aes_gcm_of_tls_1_2(void **state)
{
	const unsigned int calls = fake_count(FAKE_LOOPBACK);

	(void)state;
	check_all(KTLS_FOR_DEVICE, KTLS_AES_128_GCM | KTLS_AES_256_GCM, 0);
	/* that is of Linux, not of this kernel */
	assert_int_equal(fake_count(FAKE_LOOPBACK), calls);
}

static void kernel_leaves_what_it_has(void **state)
{
	(void)state;
	check_all(KTLS_FOR_KERNEL, 255, 63);
}

static void kernel_without_some_leaves_the_others(void **state)
{
	static const unsigned int lacks[] = {
		KTLS_AES_128_GCM, KTLS_CHACHA20_POLY1305 | KTLS_AES_256_GCM,
		255 & ~KTLS_AES_128_CCM, 255};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lacks); i++) {

		fake_reset();
		fake_kernel.lacks = lacks[i];
		(void)host_caps(1);
		check_all(KTLS_FOR_KERNEL, 255 & ~lacks[i], 63 & ~lacks[i]);
	}
}

static void kernel_without_tls_leaves_nothing(void **state)
{
	const struct row row = {.versions = versions[0]};

	(void)state;
	fake_fail(FAKE_SET_ULP, 0, ENOENT);
	(void)host_caps(1);
	check_row(&row, KTLS_FOR_KERNEL, 0, 0);
	fake_heal();
}

static void arguments_are_checked(void **state)
{
	const struct row row = {.versions = versions[0]};
	SSL_CTX *ctx = make(&row);
	const struct list before = offered(ctx);
	struct list after;

	(void)state;
	assert_errno(ktls_ctx_narrow(NULL, KTLS_FOR_KERNEL), EINVAL);
	assert_errno(ktls_ctx_narrow(ctx, (enum ktls_for)0), EINVAL);
	assert_errno(ktls_ctx_narrow(ctx, (enum ktls_for)3), EINVAL);
	after = offered(ctx);
	assert_same(&after, &before, "arguments");
	SSL_CTX_free(ctx);
}

/* Datagrams are not for kernel TLS; nothing becomes of the context. */
static void dtls_is_refused(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		SSL_CTX *ctx = SSL_CTX_new(DTLS_method());
		const struct list before = offered(ctx);
		struct list after;

		if (i >= 2)
			SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION);
		assert_int_equal(ktls_ctx_narrow(ctx, i & 1 ? KTLS_FOR_KERNEL
							    : KTLS_FOR_DEVICE),
				 -1);
		assert_true(errno == EPROTOTYPE || errno == ENOTSUP);
		if (i < 2) {
			after = offered(ctx);
			assert_same(&after, &before, "DTLS");
		}
		ERR_clear_error();
		SSL_CTX_free(ctx);
	}
}

static enum ktls_for whom;

/* Both may do everything; ours is narrowed. */
static void widen(SSL_CTX *ours, SSL_CTX *theirs)
{
	SSL_CTX *const both[] = {ours, theirs};

	for (size_t i = 0; i < 2; i++) {
		SSL_CTX_set_min_proto_version(both[i], 0);
		SSL_CTX_set_max_proto_version(both[i], 0);
	}
	assert_int_equal(ktls_ctx_narrow(ours, whom), 0);
}

static void handshake_is_for_the_device(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		const struct pair_options o = {.server = i & 1,
					       .rsa = i & 2,
					       .tx = KTLS_REQUIRE,
					       .rx = KTLS_REQUIRE,
					       .setup_ctx = widen};
		struct pair p;

		fake_reset();
		fake_kernel.device_tx = fake_kernel.device_rx = true;
		whom = KTLS_FOR_DEVICE;
		pair_start(&p, &o);
		assert_int_equal(pair_info(&p).version, TLS1_2_VERSION);
		assert_non_null(strstr(pair_info(&p).cipher_name, "_GCM_"));
		assert_modes(&p, "device", "device");
		pair_send(&p, 50000, 9000);
		pair_receive(&p, 50000, 9000);
		pair_finish(&p);
	}
}

static void handshake_is_for_the_kernel(void **state)
{
	static const unsigned int lacks[] = {
		0, KTLS_AES_128_GCM | KTLS_AES_256_GCM, 255 & ~KTLS_AES_128_GCM};
	static const char *const names[] = {"TLS_AES_256_GCM_SHA384",
					    "TLS_CHACHA20_POLY1305_SHA256",
					    "TLS_AES_128_GCM_SHA256"};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(lacks); i++) {
		const struct pair_options o = {.server = i & 1,
					       .tx = KTLS_REQUIRE,
					       .rx = KTLS_REQUIRE,
					       .setup_ctx = widen};
		struct pair p;

		fake_reset();
		fake_kernel.lacks = lacks[i / 2];
		(void)host_caps(1);
		whom = KTLS_FOR_KERNEL;
		pair_start(&p, &o);
		assert_string_equal(pair_info(&p).cipher_name, names[i / 2]);
		assert_modes(&p, "kernel", "kernel");
		pair_send(&p, 50000, 9000);
		pair_receive(&p, 50000, 9000);
		pair_finish(&p);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, host_teardown)
static const struct CMUnitTest tests[] = {
	T(device_leaves_aes_gcm_of_tls_1_2),
	T(kernel_leaves_what_it_has),
	T(kernel_without_some_leaves_the_others),
	T(kernel_without_tls_leaves_nothing),
	T(arguments_are_checked),
	T(dtls_is_refused),
	T(handshake_is_for_the_device),
	T(handshake_is_for_the_kernel),
};

int main(void)
{
	const int r = ktest_run("narrow", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
