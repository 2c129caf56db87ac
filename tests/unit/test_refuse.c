/* SPDX-License-Identifier: MIT */
/*
 * Every way in which the kernel refuses a direction: what ktls_get_info()
 * says, and that the connection goes on in user space as if nothing had been.
 */
#include "pair.h"

#include <sys/socket.h>

struct row {
	enum fake_call call;
	int error;
	int directions; /* that are refused */
	uint32_t reason;
	const char *name;
};

static const struct row rows[] = {
	{FAKE_SET_ULP, ENOENT, 3, KTLS_REASON_NO_ULP, "setsockopt(TCP_ULP)"},
	{FAKE_SET_ULP, ENOTCONN, 3, KTLS_REASON_NOT_ESTABLISHED,
	 "setsockopt(TCP_ULP)"},
	{FAKE_SET_ULP, EEXIST, 3, KTLS_REASON_ULP_BUSY, "setsockopt(TCP_ULP)"},
	{FAKE_SET_ULP, ENOPROTOOPT, 3, KTLS_REASON_NO_KERNEL,
	 "setsockopt(TCP_ULP)"},
	{FAKE_SET_ULP, EPERM, 3, KTLS_REASON_SYSTEM, "setsockopt(TCP_ULP)"},
	{FAKE_SET_ULP, ENOMEM, 3, KTLS_REASON_SYSTEM, "setsockopt(TCP_ULP)"},
	{FAKE_GET_TCP_INFO, EINVAL, KTLS_TX, KTLS_REASON_SYSTEM,
	 "getsockopt(TCP_INFO)"},
	{FAKE_GET_TCP_INFO, ENOPROTOOPT, KTLS_TX, KTLS_REASON_SYSTEM,
	 "getsockopt(TCP_INFO)"},
	/* a missing module is missing for both: RX does not ask again */
	{FAKE_SET_TLS_TX, ENOENT, 3, KTLS_REASON_CIPHER_KERNEL,
	 "setsockopt(TLS_TX)"},
	{FAKE_SET_TLS_TX, EINVAL, KTLS_TX, KTLS_REASON_CIPHER_KERNEL,
	 "setsockopt(TLS_TX)"},
	{FAKE_SET_TLS_TX, ENOPROTOOPT, KTLS_TX, KTLS_REASON_NO_KERNEL,
	 "setsockopt(TLS_TX)"},
	{FAKE_SET_TLS_TX, EBUSY, KTLS_TX, KTLS_REASON_SYSTEM,
	 "setsockopt(TLS_TX)"},
	{FAKE_SET_TLS_TX, ENOMEM, KTLS_TX, KTLS_REASON_SYSTEM,
	 "setsockopt(TLS_TX)"},
	{FAKE_SET_TLS_TX, EFAULT, KTLS_TX, KTLS_REASON_SYSTEM,
	 "setsockopt(TLS_TX)"},
	{FAKE_SET_TLS_RX, ENOENT, KTLS_RX, KTLS_REASON_CIPHER_KERNEL,
	 "setsockopt(TLS_RX)"},
	{FAKE_SET_TLS_RX, EINVAL, KTLS_RX, KTLS_REASON_CIPHER_KERNEL,
	 "setsockopt(TLS_RX)"},
	{FAKE_SET_TLS_RX, ENOPROTOOPT, KTLS_RX, KTLS_REASON_NO_KERNEL,
	 "setsockopt(TLS_RX)"},
	{FAKE_SET_TLS_RX, ENOMEM, KTLS_RX, KTLS_REASON_SYSTEM,
	 "setsockopt(TLS_RX)"},
};

static void check_info(const struct ktls_dir_info *i, const struct row *row,
		       bool refused)
{
	assert_int_equal(i->mode, refused ? KTLS_MODE_USER : KTLS_MODE_KERNEL);
	assert_int_equal(i->reason, refused ? row->reason : KTLS_REASON_NONE);
	assert_int_equal(i->sys_errno, refused ? row->error : 0);
	if (refused)
		assert_string_equal(i->call, row->name);
	else
		assert_null(i->call);
}

static void check_both(struct pair *p, const struct row *row)
{
	const struct ktls_info i = pair_info(p);

	check_info(&i.tx, row, row->directions & KTLS_TX);
	check_info(&i.rx, row, row->directions & KTLS_RX);
}

static void auto_goes_on_in_user_space(void **state)
{
	const struct row *row = *state;

	for (int mode = 0; mode < 4; mode++) {
		const struct pair_options o = {.version = TLS1_2_VERSION,
					       .server = mode & 1,
					       .blocking = mode & 2,
					       .capacity = 30000};
		struct pair p;

		fake_reset();
		fake_fail(row->call, 0, row->error);
		if (row->error == EEXIST)
			fake_heal();
		pair_open(&p, &o);
		fake_socket(p.fd)->ulp_other = row->error == EEXIST;
		pair_handshake(&p);
		check_both(&p, row);
		fake_heal();
		pair_send(&p, 140000, 65536);
		pair_receive(&p, 140000, 65536);
		pair_settle(&p);
		/* it has its answer and does not ask again */
		check_both(&p, row);
		pair_finish(&p);
	}
}

static void require_says_enotsup(void **state)
{
	const struct row *row = *state;
	const struct pair_options o = {.tx = KTLS_REQUIRE, .rx = KTLS_REQUIRE};
	struct ktls_error e;
	struct pair p;
	char buf[8];

	fake_reset();
	fake_fail(row->call, 0, row->error);
	pair_open(&p, &o);
	if (row->error == EEXIST) {
		fake_heal();
		fake_socket(p.fd)->ulp_other = true;
	}
	while (ktls_handshake(p.conn) != 0 && errno == EAGAIN)
		pair_peer(&p);
	assert_int_equal(errno, ENOTSUP);
	e = pair_error(&p);
	assert_int_equal(e.code, ENOTSUP);
	assert_int_equal(e.sys_errno, row->error);
	assert_string_equal(e.call, row->name);
	/* who requires it asks for each direction */
	if (row->call != FAKE_SET_TLS_TX || row->error != ENOENT)
		check_both(&p, row);
	fake_heal();
	/* it stays so, but can be closed in good order */
	assert_errno(ktls_handshake(p.conn), ENOTSUP);
	assert_errno(ktls_write(p.conn, "x", 1), ENOTSUP);
	assert_errno(ktls_read(p.conn, buf, sizeof(buf)), ENOTSUP);
	assert_errno(ktls_sendfile(p.conn, 2000, NULL, 1), ENOTSUP);
	pair_finish(&p);
}

static struct ktls_info info_of(const struct pair_options *o)
{
	struct ktls_info i;
	struct pair p;

	pair_start(&p, o);
	i = pair_info(&p);
	pair_send(&p, 5000, 5000);
	pair_receive(&p, 5000, 5000);
	pair_finish(&p);
	return i;
}

static void environment_disables(void **state)
{
	const struct pair_options o = {.version = TLS1_2_VERSION};
	struct ktls_info i;

	(void)state;
	fake_reset();
	setenv("KTLS_DISABLE", "1", 1);
	i = info_of(&o);
	assert_int_equal(i.tx.reason, KTLS_REASON_DISABLED);
	assert_int_equal(i.rx.reason, KTLS_REASON_DISABLED);
	assert_int_equal(fake_count(FAKE_SET_ULP), 0);
	setenv("KTLS_DISABLE", "0", 1);
	i = info_of(&o);
	assert_int_equal(i.tx.reason, KTLS_REASON_NONE);
	unsetenv("KTLS_DISABLE");
}

static void suites_unknown_to_the_kernel_are_reason_cipher(void **state)
{
	(void)state;
	for (size_t n = 0; n < n_suites; n++) {
		const struct pair_options o = {.version = suites[n].version,
					       .suite = suites[n].name};

		if (suites[n].kernel || !suite_usable(&suites[n]))
			continue;
		fake_reset();
		assert_int_equal(info_of(&o).tx.reason, KTLS_REASON_CIPHER);
		assert_int_equal(fake_count(FAKE_SET_ULP), 0);
	}
}

static void old_versions_are_reason_version(void **state)
{
	const struct pair_options o = {.version = TLS1_1_VERSION};

	(void)state;
	fake_reset();
	assert_int_equal(info_of(&o).tx.reason, KTLS_REASON_VERSION);
}

static void policy_off_is_reason_policy(void **state)
{
	const struct pair_options o = {.tx = KTLS_OFF, .rx = KTLS_OFF};
	const struct ktls_info i = (fake_reset(), info_of(&o));

	(void)state;
	assert_int_equal(i.tx.reason, KTLS_REASON_POLICY);
	assert_int_equal(i.rx.reason, KTLS_REASON_POLICY);
	assert_int_equal(i.tx.asked, KTLS_OFF);
}

static void auto_receiving_of_tls13_is_reason_cost(void **state)
{
	const struct pair_options o = {.server = true};
	struct ktls_info i;

	(void)state;
	for (int n = 0; n < 2; n++) {
		fake_reset();
		fake_kernel.no_pad_bug = n == 0;
		fake_kernel.no_expect_no_pad = n == 1;
		i = info_of(&o);
		assert_int_equal(i.tx.reason, KTLS_REASON_NONE);
		assert_int_equal(i.rx.reason, KTLS_REASON_COST);
	}
}

static void other_sockets_are_reason_not_tcp(void **state)
{
	static const int what[][2] = {
		{AF_UNIX, 0}, {AF_INET, 132}, {AF_INET6, 262}};

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(what); n++) {
		const struct pair_options o = {.version = TLS1_2_VERSION};
		struct pair p;

		fake_reset();
		pair_open(&p, &o);
		ktls_conn_free(p.conn);
		SSL_free(p.ssl);
		p.ssl = SSL_new(p.ctx);
		SSL_set_connect_state(p.ssl);
		fake_socket(p.fd)->domain = what[n][0];
		fake_socket(p.fd)->protocol = what[n][1];
		p.conn = ktls_conn_new(p.ssl, p.fd, NULL);
		assert_non_null(p.conn);
		pair_handshake(&p);
		pair_send(&p, 140000, 140000);
		assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_NOT_TCP);
		assert_int_equal(fake_count(FAKE_SET_ULP), 0);
		pair_finish(&p);
	}
}

static void tcp_over_ipv6_is_tcp(void **state)
{
	const struct pair_options o = {.version = TLS1_2_VERSION};
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &o);
	ktls_conn_free(p.conn);
	SSL_free(p.ssl);
	p.ssl = SSL_new(p.ctx);
	SSL_set_connect_state(p.ssl);
	fake_socket(p.fd)->domain = AF_INET6;
	p.conn = ktls_conn_new(p.ssl, p.fd, NULL);
	pair_handshake(&p);
	pair_send(&p, 140000, 140000);
	assert_modes(&p, "kernel", "user");
	pair_finish(&p);
}

static void kernel_without_bytes_in_tcp_info_keeps_tx_in_user_space(void **state)
{
	const struct pair_options o = {.version = TLS1_2_VERSION};
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &o);
	/* tcpi_bytes_acked came with Linux 4.1 */
	fake_socket(p.fd)->tcpi_len = 120;
	pair_handshake(&p);
	assert_int_equal(pair_info(&p).tx.reason, KTLS_REASON_SYSTEM);
	assert_int_equal(pair_info(&p).tx.sys_errno, EOPNOTSUPP);
	assert_modes(&p, "user", "kernel");
	pair_send(&p, 1000, 1000);
	pair_finish(&p);
}

/* Each question may start modprobe: AUTO asks once in ten seconds. */
static void missing_module_is_asked_for_now_and_then(void **state)
{
	static const enum fake_call calls[] = {FAKE_SET_ULP, FAKE_SET_TLS_TX};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		struct pair_options o = {.rx = KTLS_OFF};
		unsigned int asked = 0;
		struct pair first, p;

		fake_reset();
		fake_fail(calls[i], 0, ENOENT);
		pair_start(&first, &o);
		o.ctx = first.ctx;
		o.peer_ctx = first.peer_ctx;
		for (int n = 0; n < 4; n++) {
			/* the contexts must outlive the socket */
			pair_start(&p, &o);
			assert_int_equal(pair_info(&p).tx.sys_errno, ENOENT);
			assert_int_equal(pair_info(&p).tx.reason,
					 calls[i] == FAKE_SET_ULP
						 ? KTLS_REASON_NO_ULP
						 : KTLS_REASON_CIPHER_KERNEL);
			asked = fake_count(calls[i]);
			assert_int_equal(asked, n == 3 ? 2 : 1);
			fake_clock += n == 2 ? 4001 : 3000;
			ktls_conn_free(p.conn);
			SSL_free(p.ssl);
			SSL_free(p.peer);
			SSL_CTX_free(p.ctx);
			SSL_CTX_free(p.peer_ctx);
		}
		/* who requires it wants to know */
		o.tx = KTLS_REQUIRE;
		fake_heal();
		pair_start(&p, &o);
		assert_modes(&p, "kernel", "user");
		ktls_conn_free(first.conn);
		SSL_free(first.ssl);
		SSL_free(first.peer);
		SSL_CTX_free(first.ctx);
		SSL_CTX_free(first.peer_ctx);
		pair_finish(&p);
	}
}

/* A caller that attached it at accept() time did right. */
static void ulp_of_the_caller_is_used(void **state)
{
	const struct pair_options o = {.tx = KTLS_REQUIRE, .rx = KTLS_REQUIRE};
	struct pair p;

	(void)state;
	fake_reset();
	pair_open(&p, &o);
	fake_socket(p.fd)->ulp = true;
	pair_handshake(&p);
	assert_modes(&p, "kernel", "kernel");
	pair_finish(&p);
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		void *row = (void *)(uintptr_t)&rows[i];

		ktest_add(&t, auto_goes_on_in_user_space, row,
			  "%s_%s_goes_on_in_user_space", rows[i].name,
			  strerrorname_np(rows[i].error));
		ktest_add(&t, require_says_enotsup, row,
			  "%s_%s_require_says_enotsup", rows[i].name,
			  strerrorname_np(rows[i].error));
	}
#define ADD(f) ktest_add(&t, f, NULL, #f)
	ADD(environment_disables);
	ADD(suites_unknown_to_the_kernel_are_reason_cipher);
	ADD(old_versions_are_reason_version);
	ADD(policy_off_is_reason_policy);
	ADD(auto_receiving_of_tls13_is_reason_cost);
	ADD(other_sockets_are_reason_not_tcp);
	ADD(tcp_over_ipv6_is_tcp);
	ADD(kernel_without_bytes_in_tcp_info_keeps_tx_in_user_space);
	ADD(ulp_of_the_caller_is_used);
	ADD(missing_module_is_asked_for_now_and_then);
	r = ktest_run_table("refuse", &t);
	certs_free();
	return r;
}
