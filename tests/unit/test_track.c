/* SPDX-License-Identifier: MIT */
/* Following records: in random pieces, across new keys, and in the BIO. */
#include "pair.h"

#include "bio.h"

enum { STREAM = 400000, RECORDS = 200 };

static uint8_t stream[STREAM];
static size_t ends[RECORDS + 1]; /* where each record ends */
static size_t n_records, n_stream;

static uint32_t rng = 1;

static uint32_t rnd(uint32_t below)
{
	rng = rng * 1664525 + 1013904223;
	return (rng >> 8) % below;
}

/* Random records; one in ten is a ChangeCipherSpec where ccs is wanted. */
static void make_stream(bool ccs)
{
	n_stream = 0;
	n_records = 0;
	while (n_records < RECORDS) {
		const size_t len = rnd(4) ? rnd(300) : rnd(8000);
		uint8_t *p = stream + n_stream;

		if (n_stream + 5 + len > STREAM)
			break;
		p[0] = ccs && rnd(10) == 0 ? 20 : 23;
		p[1] = p[2] = 3;
		p[3] = (uint8_t)(len >> 8);
		p[4] = (uint8_t)len;
		memset(p + 5, (int)n_records, len);
		n_stream += 5 + len;
		ends[++n_records] = n_stream;
	}
}

static void check_at(const struct ktls__track *t, size_t off)
{
	size_t i = 0;
	uint64_t seq = 0;

	while (i < n_records && ends[i + 1] <= off) {
		seq = stream[ends[i]] == 20 ? 0 : seq + 1;
		i++;
	}
	assert_int_equal(t->seq, seq);
	assert_int_equal(ktls__track_aligned(t), ends[i] == off);
	if (ends[i] == off || off - ends[i] < 5)
		assert_int_equal(ktls__track_want(t), 5 - (off - ends[i]));
	else
		assert_int_equal(ktls__track_want(t), ends[i + 1] - off);
}

static void random_pieces_are_counted_exactly(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		struct ktls__track t = {.keep_all = round & 1};
		size_t off = 0;

		make_stream(round % 3 == 0);
		while (off < n_stream) {
			size_t k = 1 + rnd(round % 4 ? 5000 : 7);

			if (k > n_stream - off)
				k = n_stream - off;
			ktls__track(&t, stream + off, k);
			off += k;
			if (rnd(8) == 0 || off == n_stream)
				check_at(&t, off);
		}
		ktls__buf_free(&t.last);
	}
}

static void last_record_is_kept_whole(void **state)
{
	(void)state;
	for (int all = 0; all < 2; all++) {
		struct ktls__track t = {.keep_all = all};

		make_stream(false);
		for (size_t i = 0; i < n_records; i++) {
			const size_t len = ends[i + 1] - ends[i];
			const size_t cut = rnd((uint32_t)len);

			ktls__track(&t, stream + ends[i], cut);
			assert_true(cut < 5 || !t.kept);
			ktls__track(&t, stream + ends[i] + cut, len - cut);
			/* a large one only when it is wanted */
			assert_int_equal(t.kept, all || len <= 2048 + 5);
			if (!t.kept)
				continue;
			assert_int_equal(t.last.len, len);
			assert_memory_equal(ktls__buf_data(&t.last),
					    stream + ends[i], len);
		}
		ktls__buf_free(&t.last);
	}
}

static void new_key_counts_from_0(void **state)
{
	struct ktls__track t = {.keep_all = true};

	(void)state;
	make_stream(false);
	ktls__track(&t, stream, ends[3]);
	assert_int_equal(t.seq, 3);
	assert_true(t.kept);
	ktls__track_rekey(&t);
	assert_int_equal(t.seq, 0);
	/* what was kept is of the old key */
	assert_false(t.kept);
	ktls__track(&t, stream + ends[3], ends[4] - ends[3]);
	assert_int_equal(t.seq, 1);
	ktls__buf_free(&t.last);
}

static void change_cipher_spec_counts_from_0(void **state)
{
	static const uint8_t ccs[] = {20, 3, 3, 0, 1, 1};
	struct ktls__track t = {.keep_all = true};

	(void)state;
	make_stream(false);
	ktls__track(&t, stream, ends[2]);
	for (size_t i = 0; i < sizeof(ccs); i++)
		ktls__track(&t, ccs + i, 1);
	assert_int_equal(t.seq, 0);
	assert_false(t.kept);
	assert_true(ktls__track_aligned(&t));
	ktls__buf_free(&t.last);
}

static void read_ahead(SSL_CTX *ours, SSL_CTX *theirs)
{
	(void)theirs;
	SSL_CTX_set_read_ahead(ours, 1);
	SSL_CTX_set_default_read_buffer_len(ours, 65536);
}

/* Whatever OpenSSL would like to read, RX can move after every record. */
static void read_ahead_never_crosses_a_record(void **state)
{
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		const struct pair_options o = {.version = version,
					       .server = true,
					       .tx = KTLS_OFF,
					       .offload_after = UINT64_MAX,
					       .setup_ctx = read_ahead};
		struct pair p;

		(void)state;
		fake_reset();
		pair_start(&p, &o);
		p.peer_max = 1000;
		p.peer_todo = 5000;
		pair_peer(&p);
		/* all five are there; one is read */
		pair_receive(&p, 1000, 4096);
		assert_int_equal(ktls_pending(p.conn), 0);
		assert_true(ktls__track_aligned(&p.conn->rx.track));
		assert_int_equal(ktls_offload(p.conn, KTLS_RX), 0);
		pair_receive(&p, 9000, 4096);
		assert_int_equal(pair_info(&p).rx.kernel_bytes, 9000);
		pair_finish(&p);
	}
}

static void no_tickets(SSL_CTX *ours, SSL_CTX *theirs)
{
	SSL_CTX_set_num_tickets(ours, 0);
	SSL_CTX_set_num_tickets(theirs, 0);
}

/* The model's queue holds odd numbers: records are cut everywhere. */
static void records_cut_by_tcp_are_followed(void **state)
{
	static const size_t capacities[] = {1, 3, 5, 7, 64, 1001};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(capacities); i++) {
		const struct pair_options o = {
			.server = i & 1,
			.version = i & 2 ? TLS1_2_VERSION : TLS1_3_VERSION,
			.offload_after = 3000,
			.tx = KTLS_AUTO,
			.rx = KTLS_OFF,
			.capacity = capacities[i],
			/* they would fill the queue before anybody reads */
			.setup_ctx = no_tickets,
		};
		struct pair p;

		fake_reset();
		pair_start(&p, &o);
		for (size_t k = 0; k < 20; k++) {
			pair_send(&p, 1 + 37 * k, 400);
			pair_receive(&p, 1 + 37 * k, 400);
		}
		pair_send(&p, 3000, 3000);
		assert_modes(&p, "kernel", "user");
		pair_send(&p, 3000, 3000);
		pair_settle(&p);
		pair_finish(&p);
	}
}

/* A peer that does not read cannot make us gather for ever. */
static void what_waits_for_the_socket_has_a_limit(void **state)
{
	const struct pair_options o = {.tx = KTLS_OFF, .rx = KTLS_OFF};
	static const uint8_t record[1005] = {22, 3, 3, 1000 >> 8, 1000 & 255};
	size_t total = 0;
	struct pair p;
	BIO *bio;

	(void)state;
	fake_reset();
	pair_start(&p, &o);
	bio = SSL_get_wbio(p.ssl);
	fake_socket(p.peer_fd)->capacity = 0;
	while (BIO_write(bio, record, sizeof(record)) == sizeof(record)) {
		total += sizeof(record);
		assert_true(total < 1 << 20);
	}
	assert_true(BIO_should_retry(bio));
	assert_true(total > 256 * 1024);
	assert_int_equal(pair_info(&p).unsent, total);
	pair_free(&p);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(random_pieces_are_counted_exactly),
	cmocka_unit_test(last_record_is_kept_whole),
	cmocka_unit_test(new_key_counts_from_0),
	cmocka_unit_test(change_cipher_spec_counts_from_0),
	cmocka_unit_test(read_ahead_never_crosses_a_record),
	cmocka_unit_test(records_cut_by_tcp_are_followed),
	cmocka_unit_test(what_waits_for_the_socket_has_a_limit),
};

int main(void)
{
	const int r = ktest_run("track", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
