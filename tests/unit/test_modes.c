/* SPDX-License-Identifier: MIT */
/* Connections in every mix of kernel and user space, from start to end. */
#include "pair.h"

struct row {
	const struct suite *suite;
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

static void transfer_is_equal_and_closes(void **state)
{
	const struct row *row = *state;
	const struct pair_options o = {
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
	assert_int_equal(pair_info(&p).tx.bytes, p.accepted);
	assert_int_equal(pair_info(&p).rx.bytes, p.got);
	assert_int_equal(pair_info(&p).tx.kernel_bytes,
			 row->tx == KTLS_OFF ? 0 : p.accepted);
	assert_int_equal(pair_info(&p).rx.kernel_bytes,
			 row->rx == KTLS_OFF ? 0 : p.got);
	pair_finish(&p);
}

int main(void)
{
	static struct ktest_table table;
	static struct row rows[512];
	static const char *const use[] = {"auto", "user", "kernel"};
	int r;

	for (size_t i = 0; i < n_suites; i++) {
		/* SM4 is where libssl has it */
		if (!suites[i].kernel || !suite_usable(&suites[i]))
			continue;
		for (unsigned int m = 0; m < 16; m++) {
			struct row *row = &rows[table.n];

			*row = (struct row){
				.suite = &suites[i],
				.server = m & 1,
				.blocking = m & 2,
				.tx = m & 4 ? KTLS_REQUIRE : KTLS_OFF,
				.rx = m & 8 ? KTLS_REQUIRE : KTLS_OFF,
			};
			ktest_add(&table, transfer_is_equal_and_closes, row,
				  "%s_%s_tx_%s_rx_%s_%s_is_equal",
				  row->suite->name,
				  row->server ? "server" : "client",
				  use[row->tx], use[row->rx],
				  row->blocking ? "blocking" : "nonblocking");
		}
	}
	r = ktest_run_table("modes", &table);
	certs_free();
	return r;
}
