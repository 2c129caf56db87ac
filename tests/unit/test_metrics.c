/* SPDX-License-Identifier: MIT */
/* ktls_metrics(): well-formed text, and counters that are exact. */
#include "updates.h"

enum { TEXT = 32768, SAMPLES = 256 };

static char text[TEXT];

static struct sample {
	char name[128]; /* with its labels */
	unsigned long long value;
} samples[2][SAMPLES];
static size_t n_samples[2];

static bool is_name(const char *p, size_t n)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyz_0123456789";

	return n > 0 && strspn(p, ok) >= n && (*p < '0' || *p > '9');
}

/* {a="b",c="d"}: what is behind it; where it is something else, "". */
static const char *labels(const char *p)
{
	do {
		const size_t n = strcspn(++p, "=");

		if (!is_name(p, n) || p[n] != '=' || p[n + 1] != '"')
			return "";
		p += n + 2;
		/* nothing in them has to be escaped */
		p += strcspn(p, "\"\\\n");
		if (*p++ != '"')
			return "";
	} while (*p == ',');
	return *p == '}' ? p + 1 : "";
}

/* The samples of a family, all of which are behind its two comments. */
static const char *family(const char *p, int which)
{
	char name[64], type[16], help[200];
	int len = 0;

	if (sscanf(p, "# HELP %63s %199[^\n]\n%n", name, help, &len) != 2 ||
	    len == 0)
		fail_msg("no HELP in \"%.60s\"", p);
	p += len;
	len = 0;
	if (sscanf(p, "# TYPE %*s %15s\n%n", type, &len) != 1 || len == 0)
		fail_msg("no TYPE in \"%.60s\"", p);
	assert_int_equal(strncmp(p + 7, name, strlen(name)), 0);
	assert_int_equal(p[7 + strlen(name)], ' ');
	p += len;
	assert_int_equal(strncmp(name, "libktls_", 8), 0);
	assert_true(is_name(name, strlen(name)));
	assert_true(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0);
	/* counters have their ending, and nothing else does */
	assert_int_equal(strcmp(type, "counter") == 0,
			 strlen(name) > 6 &&
				 strcmp(name + strlen(name) - 6, "_total") == 0);
	while (*p && *p != '#') {
		struct sample *s = &samples[which][n_samples[which]];
		const char *begin = p;
		char *end;

		assert_true(n_samples[which] < SAMPLES);
		assert_int_equal(strncmp(p, name, strlen(name)), 0);
		p += strlen(name);
		if (*p == '{')
			p = labels(p);
		assert_int_equal(*p, ' ');
		assert_true((size_t)(p - begin) < sizeof(s->name));
		snprintf(s->name, sizeof(s->name), "%.*s", (int)(p - begin),
			 begin);
		assert_true(p[1] >= '0' && p[1] <= '9');
		s->value = strtoull(p + 1, &end, 10);
		assert_int_equal(*end, '\n');
		p = end + 1;
		for (size_t i = 0; i < n_samples[which]; i++)
			assert_string_not_equal(samples[which][i].name, s->name);
		n_samples[which]++;
	}
	return p;
}

static void look(int which)
{
	const ssize_t n = ktls_metrics(text, sizeof(text));
	const char *p = text;

	assert_true(n > 0 && n < TEXT);
	assert_int_equal(strlen(text), n);
	assert_int_equal(text[n - 1], '\n');
	n_samples[which] = 0;
	while (*p)
		p = family(p, which);
}

static unsigned long long value(int which, const char *name)
{
	for (size_t i = 0; i < n_samples[which]; i++)
		if (strcmp(samples[which][i].name + 8, name) == 0)
			return samples[which][i].value;
	return 0;
}

/* How much it has grown between the two looks. */
static long long moved(const char *name)
{
	return (long long)(value(1, name) - value(0, name));
}

/* Every sample that has moved is one of these. */
static void assert_only(const char *const *names, size_t n)
{
	for (size_t i = 0; i < n_samples[1]; i++) {
		const struct sample *s = &samples[1][i];
		bool known = moved(s->name + 8) == 0;

		for (size_t k = 0; k < n && !known; k++)
			known = strncmp(s->name + 8, names[k],
					strlen(names[k])) == 0;
		if (!known)
			fail_msg("%s has moved by %lld", s->name,
				 moved(s->name + 8));
	}
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	look(0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

static void sizes_are_those_of_snprintf(void **state)
{
	const ssize_t n = ktls_metrics(NULL, 0);
	char *whole = malloc((size_t)n + 2), *part = malloc((size_t)n + 2);

	(void)state;
	assert_true(n > 100 && whole && part);
	assert_int_equal(ktls_metrics(whole, (size_t)n + 2), n);
	assert_int_equal(strlen(whole), n);
	for (size_t size = 0; size <= (size_t)n + 1; size++) {
		memset(part, 0x55, (size_t)n + 2);
		assert_int_equal(ktls_metrics(part, size), n);
		if (size > 0) {
			const size_t fits =
				size - 1 < (size_t)n ? size - 1 : (size_t)n;

			assert_int_equal(part[fits], '\0');
			assert_memory_equal(part, whole, fits);
		}
		assert_int_equal(part[size], 0x55);
	}
	assert_errno(ktls_metrics(NULL, 1), EINVAL);
	free(whole);
	free(part);
}

static void connections_come_and_go(void **state)
{
	static const char *const names[] = {"connections_", "refusals_total",
					    "again_total"};
	const struct pair_options o = {.tx = KTLS_OFF, .rx = KTLS_OFF};
	struct ktls_policy policy;
	struct pair p, q;

	(void)state;
	pair_open(&p, &o);
	look(1);
	assert_int_equal(moved("connections_open"), 1);
	assert_only(names, 1);
	pair_handshake(&p);
	pair_open(&q, &o);
	look(1);
	assert_int_equal(moved("connections_total"), 2);
	assert_int_equal(moved("connections_open"), 2);
	/* those that could not be made are none */
	assert_int_equal(ktls_policy_init(&policy, sizeof(policy)), 0);
	assert_null(ktls_conn_new(q.ssl, -1, &policy));
	assert_null(ktls_conn_new(NULL, p.fd, NULL));
	look(1);
	assert_int_equal(moved("connections_total"), 2);
	assert_int_equal(moved("connections_open"), 2);
	pair_finish(&p);
	ktls_conn_free(q.conn);
	q.conn = NULL;
	look(1);
	assert_int_equal(moved("connections_total"), 2);
	assert_int_equal(moved("connections_open"), 0);
	assert_only(names, 3);
	pair_free(&q);
}

static void bytes_are_counted_by_mode(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		const bool tx = i & 1, rx = i & 2;
		const struct pair_options o = {
			.version = i & 4 ? TLS1_2_VERSION : TLS1_3_VERSION,
			.tx = tx ? KTLS_REQUIRE : KTLS_OFF,
			.rx = rx ? KTLS_REQUIRE : KTLS_OFF};
		struct pair p;

		setup(NULL);
		pair_start(&p, &o);
		pair_send(&p, 123457, 9000);
		pair_receive(&p, 65431, 9000);
		look(1);
		assert_int_equal(moved("offloads_total{direction=\"tx\"}"), tx);
		assert_int_equal(moved("offloads_total{direction=\"rx\"}"), rx);
		assert_int_equal(moved("refusals_total{direction=\"tx\","
				       "reason=\"POLICY\"}"),
				 !tx);
		assert_int_equal(moved("refusals_total{direction=\"rx\","
				       "reason=\"POLICY\"}"),
				 !rx);
		pair_finish(&p);
		look(1);
		assert_int_equal(
			moved("bytes_total{direction=\"tx\",mode=\"user\"}"),
			tx ? 0 : 123457);
		assert_int_equal(
			moved("bytes_total{direction=\"tx\",mode=\"kernel\"}"),
			tx ? 123457 : 0);
		assert_int_equal(
			moved("bytes_total{direction=\"rx\",mode=\"user\"}"),
			rx ? 0 : 65431);
		assert_int_equal(
			moved("bytes_total{direction=\"rx\",mode=\"kernel\"}"),
			rx ? 65431 : 0);
	}
}

/* In the middle of it, TX moves: both have their part. */
static void bytes_are_split_where_it_moves(void **state)
{
	const struct pair_options o = {.offload_after = 50000, .rx = KTLS_OFF};
	uint64_t kernel;
	struct pair p;

	(void)state;
	pair_start(&p, &o);
	pair_send(&p, 200000, 9000);
	kernel = pair_info(&p).tx.kernel_bytes;
	assert_in_range(kernel, 100000, 199999);
	pair_finish(&p);
	look(1);
	assert_int_equal(moved("bytes_total{direction=\"tx\",mode=\"user\"}"),
			 200000 - kernel);
	assert_int_equal(moved("bytes_total{direction=\"tx\",mode=\"kernel\"}"),
			 kernel);
}

static void refusals_have_their_reason(void **state)
{
	static const struct {
		enum fake_call call;
		int e;
		const char *name;
	} rows[] = {
		{FAKE_SET_ULP, ENOENT, "NO_ULP"},
		{FAKE_SET_TLS_TX, EINVAL, "CIPHER_KERNEL"},
		{FAKE_SET_TLS_TX, ENOMEM, "SYSTEM"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct pair_options o = {.rx = KTLS_OFF};
		char name[80];
		struct pair p;

		setup(NULL);
		fake_fail(rows[i].call, 0, rows[i].e);
		pair_start(&p, &o);
		pair_send(&p, 100000, 9000);
		look(1);
		snprintf(name, sizeof(name),
			 "refusals_total{direction=\"tx\",reason=\"%s\"}",
			 rows[i].name);
		assert_int_equal(moved(name), 1);
		pair_finish(&p);
	}
}

static void rekeys_are_counted_by_direction(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct pair p;

		setup(NULL);
		updates_start(&p, true, i & 1 ? KTLS_REQUIRE : KTLS_OFF,
			      i & 2 ? KTLS_REQUIRE : KTLS_OFF);
		for (int k = 0; k < 3; k++) {
			assert_int_equal(ktls_rekey(p.conn, 0), 0);
			pair_send(&p, 1000, 1000);
			pair_settle(&p);
		}
		updates_send(&p, false);
		pair_receive(&p, 1000, 1000);
		look(1);
		assert_int_equal(moved("rekeys_total{direction=\"tx\"}"), 3);
		assert_int_equal(moved("rekeys_total{direction=\"rx\"}"), 1);
		pair_finish(&p);
	}
}

static void failures_are_counted_by_errno(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		const uint32_t use = i ? KTLS_REQUIRE : KTLS_OFF;
		const struct pair_options o = {.tx = use, .rx = use};
		uint8_t junk[100] = {23, 3, 3, 0, 95};
		struct pair p;
		char c;

		setup(NULL);
		pair_start(&p, &o);
		fake_raw_write(p.peer_fd, junk, sizeof(junk));
		for (int k = 0; k < 3; k++)
			assert_errno(ktls_read(p.conn, &c, 1), EBADMSG);
		look(1);
		assert_int_equal(moved("failures_total{error=\"EBADMSG\"}"), 1);
		pair_free(&p);
		setup(NULL);
		pair_start(&p, &o);
		fake_raw_fin(p.peer_fd);
		for (int k = 0; k < 3; k++)
			assert_errno(ktls_read(p.conn, &c, 1), ECONNABORTED);
		look(1);
		assert_int_equal(
			moved("failures_total{error=\"ECONNABORTED\"}"), 1);
		pair_free(&p);
		setup(NULL);
		pair_start(&p, &o);
		fake_socket(p.fd)->so_error = EHOSTUNREACH;
		assert_errno(ktls_write(p.conn, "x", 1), EHOSTUNREACH);
		look(1);
		assert_int_equal(moved("failures_total{error=\"other\"}"), 1);
		pair_free(&p);
	}
}

static void waits_and_pushes_are_those_of_the_connection(void **state)
{
	struct ktls_info i;
	struct pair p;
	char c;

	(void)state;
	mode_tx(&p, &modes[1], 30000, NULL);
	pair_send(&p, 500000, 50000);
	assert_errno(ktls_read(p.conn, &c, 1), EAGAIN);
	i = pair_info(&p);
	assert_true(i.guard_pushes > 0 && i.tx.again > 0 && i.rx.again > 0);
	look(1);
	/* they are those of connections that have ended */
	assert_int_equal(moved("guard_pushes_total"), 0);
	ktls_conn_free(p.conn);
	p.conn = NULL;
	look(1);
	assert_int_equal(moved("guard_pushes_total"), i.guard_pushes);
	assert_int_equal(moved("again_total{direction=\"tx\"}"), i.tx.again);
	assert_int_equal(moved("again_total{direction=\"rx\"}"), i.rx.again);
	pair_free(&p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(sizes_are_those_of_snprintf),
	T(connections_come_and_go),
	T(bytes_are_counted_by_mode),
	T(bytes_are_split_where_it_moves),
	T(refusals_have_their_reason),
	T(rekeys_are_counted_by_direction),
	T(failures_are_counted_by_errno),
	T(waits_and_pushes_are_those_of_the_connection),
};

int main(void)
{
	const int r = ktest_run("metrics", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
