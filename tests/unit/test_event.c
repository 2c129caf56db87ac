/* SPDX-License-Identifier: MIT */
/* ktls_set_log(): a line for each event, at its level, and no other. */
#include "updates.h"

#include <syslog.h>

enum { LINES = 64 };

static struct {
	int level;
	char line[400];
	void *arg;
	const struct ktls_conn *conn;
} seen[LINES];
static size_t n_seen;
static int cookie;

/* It does what callbacks do: errno is not as it was. */
static void note(void *arg, const struct ktls_conn *conn, int level,
		 const char *line)
{
	assert_true(n_seen < LINES);
	seen[n_seen].level = level;
	seen[n_seen].arg = arg;
	seen[n_seen].conn = conn;
	assert_true(strlen(line) < sizeof(seen[0].line));
	strcpy(seen[n_seen++].line, line);
	errno = EXDEV;
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	n_seen = 0;
	return ktls_set_log(note, &cookie);
}

static int teardown(void **state)
{
	(void)state;
	fake_reset();
	return ktls_set_log(NULL, NULL);
}

/* One line of text about this connection. */
static void check_line(size_t i, const struct pair *p)
{
	char head[32];

	snprintf(head, sizeof(head), "fd %d: ", p->fd);
	assert_ptr_equal(seen[i].arg, &cookie);
	assert_ptr_equal(seen[i].conn, p->conn);
	if (strncmp(seen[i].line, head, strlen(head)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", seen[i].line, head);
	for (const char *c = seen[i].line; *c; c++)
		if (*c < ' ' || *c > '~')
			fail_msg("\"%s\" is more than a line", seen[i].line);
}

/* The line that has all of these words, once; the rest is forgotten. */
static void assert_said(const struct pair *p, int level, const char *a,
			const char *b)
{
	size_t n = 0;

	for (size_t i = 0; i < n_seen; i++) {
		check_line(i, p);
		if (!strstr(seen[i].line, a) || !strstr(seen[i].line, b))
			continue;
		n++;
		if (seen[i].level != level)
			fail_msg("\"%s\" at level %d", seen[i].line,
				 seen[i].level);
	}
	if (n == 1)
		return;
	for (size_t i = 0; i < n_seen; i++)
		print_message("said: %s\n", seen[i].line);
	fail_msg("%zu lines of \"%s\" and \"%s\"", n, a, b);
}

static void start(struct pair *p, uint32_t tx, uint32_t rx)
{
	const struct pair_options o = {.server = true, .tx = tx, .rx = rx};

	pair_start(p, &o);
}

static void moving_to_the_kernel_is_information(void **state)
{
	struct pair p;

	(void)state;
	start(&p, KTLS_REQUIRE, KTLS_REQUIRE);
	assert_said(&p, LOG_INFO, "tx", "TLSv1.3");
	assert_said(&p, LOG_INFO, "rx", "TLS_AES_256_GCM_SHA384");
	assert_int_equal(n_seen, 2);
	pair_send(&p, 100000, 9000);
	pair_receive(&p, 100000, 9000);
	pair_finish(&p);
	/* what is as it should be is nothing to speak of */
	assert_int_equal(n_seen, 2);
}

static void refusal_has_its_reason_and_level(void **state)
{
	static const struct {
		uint32_t use;
		enum fake_call call;
		int e;
		int level;
		const char *name, *what;
	} rows[] = {
		{KTLS_OFF, FAKE_CALLS, 0, LOG_DEBUG, "POLICY", ""},
		{KTLS_AUTO, FAKE_SET_ULP, ENOENT, LOG_NOTICE, "NO_ULP",
		 "setsockopt(TCP_ULP): No such file"},
		{KTLS_AUTO, FAKE_SET_ULP, EEXIST, LOG_NOTICE, "ULP_BUSY",
		 "File exists"},
		{KTLS_AUTO, FAKE_SET_TLS_TX, EINVAL, LOG_NOTICE,
		 "CIPHER_KERNEL", "setsockopt(TLS_TX): Invalid argument"},
		{KTLS_AUTO, FAKE_SET_TLS_TX, ENOMEM, LOG_NOTICE, "SYSTEM",
		 "Cannot allocate memory"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pair p;

		setup(NULL);
		if (rows[i].call != FAKE_CALLS)
			fake_fail(rows[i].call, 0, rows[i].e);
		start(&p, rows[i].use, KTLS_OFF);
		assert_said(&p, rows[i].level, "tx stays in user space",
			    rows[i].name);
		assert_said(&p, rows[i].level, "tx stays in user space",
			    rows[i].what);
		assert_said(&p, LOG_DEBUG, "rx stays", "POLICY");
		assert_said(&p, rows[i].level, "tx stays",
			    ktls_reason_str(
				    (enum ktls_reason)pair_info(&p).tx.reason));
		assert_int_equal(n_seen, 2);
		fake_heal();
		pair_send(&p, 300000, 9000);
		pair_finish(&p);
		assert_int_equal(n_seen, 2);
	}
}

static void refusal_of_what_is_required_is_an_error(void **state)
{
	const struct pair_options o = {.tx = KTLS_REQUIRE, .rx = KTLS_OFF};
	struct pair p;

	(void)state;
	pair_open(&p, &o);
	fake_fail(FAKE_SET_ULP, 0, ENOENT);
	for (int i = 0; i < 20; i++) {
		if (ktls_handshake(p.conn) == 0)
			fail_msg("it was required");
		if (errno != EAGAIN)
			break;
		pair_peer(&p);
	}
	/* the callback's errno is its own */
	assert_int_equal(errno, ENOTSUP);
	assert_said(&p, LOG_NOTICE, "tx stays", "NO_ULP");
	assert_said(&p, LOG_ERR, pair_error(&p).text, "");
	assert_int_equal(n_seen, 3);
	pair_free(&p);
}

static void new_keys_are_information(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct pair p;

		setup(NULL);
		updates_start(&p, true, i & 1 ? KTLS_REQUIRE : KTLS_OFF,
			      i & 2 ? KTLS_REQUIRE : KTLS_OFF);
		n_seen = 0;
		assert_int_equal(ktls_rekey(p.conn, 1), 0);
		pair_send(&p, 1000, 1000);
		pair_settle(&p);
		pair_receive(&p, 1000, 1000);
		assert_rekeys(&p, 1, 1);
		assert_said(&p, LOG_INFO, "tx has a new key", "");
		assert_said(&p, LOG_INFO, "rx has a new key", "");
		assert_int_equal(n_seen, 2);
		pair_finish(&p);
	}
}

static void failures_are_errors(void **state)
{
	char c;

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		const uint32_t use = i & 1 ? KTLS_REQUIRE : KTLS_OFF;
		int code;
		struct pair p;

		setup(NULL);
		start(&p, use, use);
		n_seen = 0;
		if (i / 2 == 0) {
			fake_raw_fin(p.peer_fd);
			code = ECONNABORTED;
		} else if (i / 2 == 1) {
			fake_raw_reset(p.peer_fd);
			code = ECONNRESET;
		} else {
			uint8_t junk[100] = {23, 3, 3, 0, 95};

			fake_raw_write(p.peer_fd, junk, sizeof(junk));
			code = EBADMSG;
		}
		assert_errno(ktls_read(p.conn, &c, 1), code);
		/* what a peer does, or the network, is no error of ours */
		assert_said(&p, LOG_INFO, pair_error(&p).text, "");
		assert_int_equal(n_seen, 1);
		/* told again by each call, and said once */
		assert_errno(ktls_read(p.conn, &c, 1), code);
		assert_int_equal(n_seen, 1);
		pair_free(&p);
	}
}

/* A peer that has gone without a word is no event of who goes as well. */
static void closing_is_quiet(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		const uint32_t use = i ? KTLS_REQUIRE : KTLS_OFF;
		struct pair p;

		setup(NULL);
		start(&p, use, use);
		n_seen = 0;
		fake_raw_fin(p.peer_fd);
		assert_int_equal(ktls_close(p.conn, 1000), 0);
		p.conn = NULL;
		assert_int_equal(n_seen, 0);
		pair_free(&p);
	}
}

/* Once for a connection, however often it has to be done. */
static void stall_guard_is_for_debugging(void **state)
{
	struct pair p;

	(void)state;
	for (int i = 0; i < 2; i++) {
		setup(NULL);
		mode_tx(&p, &modes[1], 30000, NULL);
		n_seen = 0;
		/* nobody reads */
		while (pair_info(&p).guard_pushes == 0)
			(void)!stream_writev(&p, 50000, 1, 0);
		assert_int_equal(pair_info(&p).guard_pushes, 1);
		assert_said(&p, LOG_DEBUG, "TCP is pushed", "");
		/* a push that fails is none, and no event */
		if (i)
			fake_fail(FAKE_SET_NODELAY, 0, ENOMEM);
		pair_send(&p, 500000, 50000);
		assert_true(pair_info(&p).guard_waits > 2);
		assert_int_equal(n_seen, 1);
		fake_heal();
		pair_finish(&p);
	}
}

static void nothing_is_said_without_a_callback(void **state)
{
	struct pair p;

	(void)state;
	assert_int_equal(ktls_set_log(NULL, &cookie), 0);
	start(&p, KTLS_REQUIRE, KTLS_OFF);
	fake_raw_reset(p.peer_fd);
	assert_errno(ktls_write(p.conn, "x", 1), ECONNRESET);
	assert_int_equal(n_seen, 0);
	/* and from then on, when there is one */
	assert_int_equal(ktls_set_log(note, &cookie), 0);
	pair_free(&p);
	start(&p, KTLS_REQUIRE, KTLS_OFF);
	assert_int_equal(n_seen, 2);
	pair_finish(&p);
}

static int calls;

static void busy(void *arg, const struct ktls_conn *conn, int level,
		 const char *line)
{
	struct ktls_info info = {.size = sizeof(info)};
	char buf[100];

	(void)level;
	calls++;
	assert_non_null(line);
	assert_errno(ktls_set_log(NULL, NULL), EDEADLK);
	assert_true(ktls_metrics(buf, sizeof(buf)) > 0);
	assert_int_equal(ktls_get_info(conn, &info), 0);
	assert_ptr_equal(arg, &calls);
}

static void callback_may_ask_but_not_change(void **state)
{
	struct pair p;

	(void)state;
	calls = 0;
	assert_int_equal(ktls_set_log(busy, &calls), 0);
	start(&p, KTLS_REQUIRE, KTLS_REQUIRE);
	assert_int_equal(calls, 2);
	pair_finish(&p);
}

/* The secrets of the connection, in hexadecimal, as its keylog has them. */
static char secrets[8][200];
static size_t n_secrets;

static void keylog(const SSL *ssl, const char *line)
{
	(void)ssl;
	assert_true(n_secrets < ARRAY_SIZE(secrets));
	snprintf(secrets[n_secrets++], sizeof(secrets[0]), "%s",
		 strrchr(line, ' ') + 1);
}

static void keep_secrets(SSL_CTX *ours, SSL_CTX *theirs)
{
	(void)ours;
	SSL_CTX_set_keylog_callback(theirs, keylog);
}

static void no_line_is_secret(void **state)
{
	const struct pair_options o = {.tx = KTLS_REQUIRE,
				       .rx = KTLS_REQUIRE,
				       .setup_ctx = keep_secrets};
	struct pair p;

	(void)state;
	n_secrets = 0;
	pair_start(&p, &o);
	pair_receive(&p, 1000, 1000);
	assert_int_equal(ktls_rekey(p.conn, 0), 0);
	fake_raw_reset(p.peer_fd);
	(void)!ktls_write(p.conn, "x", 1);
	assert_true(n_seen >= 3 && n_secrets >= 4);
	for (size_t i = 0; i < n_seen; i++) {
		check_line(i, &p);
		for (size_t k = 0; k < n_secrets; k++) {
			secrets[k][8] = '\0';
			assert_null(strcasestr(seen[i].line, secrets[k]));
		}
	}
	pair_free(&p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(moving_to_the_kernel_is_information),
	T(refusal_has_its_reason_and_level),
	T(refusal_of_what_is_required_is_an_error),
	T(new_keys_are_information),
	T(failures_are_errors),
	T(closing_is_quiet),
	T(stall_guard_is_for_debugging),
	T(nothing_is_said_without_a_callback),
	T(callback_may_ask_but_not_change),
	T(no_line_is_secret),
};

int main(void)
{
	const int r = ktest_run("event", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
