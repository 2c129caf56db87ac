/* SPDX-License-Identifier: MIT */
/* Connections in every mix of kernel and user space, from start to end. */
#include "pair.h"

struct row {
	const struct suite *suite;
	enum pair_door door;
	bool server, blocking;
	uint32_t tx, rx;
};

static void sizes_both_ways(struct pair *p)
{
	static const size_t sizes[] = {1,     16383, 16384, 16385,
				       40000, 65536, 300000};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		pair_send(p, sizes[i], sizes[i]);
		pair_receive(p, sizes[i], 20000);
	}
}

static bool has_ssl(const struct row *row)
{
	if (row->door == DOOR_RELEASED)
		return row->tx == KTLS_OFF || row->rx == KTLS_OFF;
	return row->door < DOOR_KEYS_SECRET;
}

static void transfer_is_equal_and_closes(void **state)
{
	const struct row *row = *state;
	const struct pair_options o = {
		.door = row->door,
		.version = row->suite->version,
		.suite = row->suite->name,
		.server = row->server,
		.blocking = row->blocking,
		.tx = row->tx,
		.rx = row->rx,
		.capacity = 50000,
	};
	struct pair p;

	fake_reset();
	pair_start(&p, &o);
	assert_modes(&p, row->tx == KTLS_OFF ? "user" : "kernel",
		     row->rx == KTLS_OFF ? "user" : "kernel");
	sizes_both_ways(&p);
	pair_settle(&p);
	assert_int_equal(pair_info(&p).tx.bytes - p.before_tx, p.accepted);
	assert_int_equal(pair_info(&p).rx.bytes - p.before_rx, p.got);
	assert_int_equal(pair_info(&p).tx.kernel_bytes - p.kernel_tx,
			 row->tx == KTLS_OFF ? 0 : p.accepted);
	assert_int_equal(pair_info(&p).rx.kernel_bytes - p.kernel_rx,
			 row->rx == KTLS_OFF ? 0 : p.got);
	assert_int_equal(pair_info(&p).release_ssl, !has_ssl(row));
	pair_finish(&p);
}

static struct ktest_table table;

/* mix: bits of the role, blocking or not, TX and RX in the kernel */
static void add(enum pair_door door, const struct suite *suite, unsigned int mix)
{
	static struct row rows[ARRAY_SIZE(table.tests)];
	static const char *const use[] = {"auto", "user", "kernel"};
	struct row *row = &rows[table.n];

	*row = (struct row){
		.suite = suite,
		.door = door,
		.server = mix & 1,
		.blocking = mix & 2,
		.tx = mix & 4 ? KTLS_REQUIRE : KTLS_OFF,
		.rx = mix & 8 ? KTLS_REQUIRE : KTLS_OFF,
	};
	ktest_add(&table, transfer_is_equal_and_closes, row,
		  "%s_%s_%s_tx_%s_rx_%s_%s_is_equal", pair_doors[door],
		  suite->name, row->server ? "server" : "client", use[row->tx],
		  use[row->rx], row->blocking ? "blocking" : "nonblocking");
}

int main(void)
{
	int r;

	for (size_t i = 0; i < n_suites; i++) {
		/* SM4 is where libssl has it */
		if (!suites[i].kernel || !suite_usable(&suites[i]))
			continue;
		for (unsigned int m = 0; m < 16; m++)
			add(DOOR_NEW, &suites[i], m);
		/* roles and ways to wait in turn */
		for (unsigned int m = 0; m < 4 * (DOORS - 1); m++)
			add(1 + m / 4, &suites[i],
			    (m & 3) << 2 | (m / 4 + m + i) % 4);
	}
	r = ktest_run_table("modes", &table);
	certs_free();
	return r;
}
