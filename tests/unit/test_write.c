/* SPDX-License-Identifier: MIT */
/* ktls_write(): every size in every mode, short counts, EAGAIN anywhere. */
#include "pair.h"

#include <limits.h>

#include <openssl/err.h>

struct row {
	uint32_t tx;
	bool blocking;
	int version;
};

static const struct row rows[] = {
	{KTLS_OFF, false, TLS1_3_VERSION},
	{KTLS_REQUIRE, false, TLS1_3_VERSION},
	{KTLS_OFF, true, TLS1_3_VERSION},
	{KTLS_REQUIRE, true, TLS1_3_VERSION},
	{KTLS_OFF, false, TLS1_2_VERSION},
	{KTLS_REQUIRE, false, TLS1_2_VERSION},
};

static void start(struct pair *p, const struct row *row, size_t capacity)
{
	const struct pair_options o = {.version = row->version,
				       .server = true,
				       .blocking = row->blocking,
				       .tx = row->tx,
				       .rx = KTLS_OFF,
				       .capacity = capacity};

	fake_reset();
	pair_start(p, &o);
}

static void all_sizes_arrive(void **state)
{
	static const size_t sizes[] = {1,     2,     16383, 16384,
				       16385, 32768, 65537, 1 << 20};
	struct pair p;

	start(&p, *state, 100000);
	assert_int_equal(ktls_write(p.conn, NULL, 0), 0);
	assert_int_equal(ktls_write(p.conn, "", 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		pair_send(&p, sizes[i], sizes[i]);
	pair_settle(&p);
	assert_int_equal(pair_info(&p).tx.bytes, p.accepted);
	pair_finish(&p);
}

static void eagain_and_short_counts_anywhere_lose_nothing(void **state)
{
	static const size_t limits[] = {1, 21, 22, 1000, 0};
	static const size_t capacities[] = {1, 30, 5000, 17000};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(capacities); k++) {
			struct pair p;

			start(&p, *state, 100000);
			fake_socket(p.peer_fd)->capacity = capacities[k];
			fake_flaky(true);
			fake_limit(FAKE_SEND, limits[i]);
			fake_limit(FAKE_SENDMSG, limits[i]);
			fake_heal();
			pair_send(&p, 1, 1);
			pair_send(&p, limits[i] == 1 ? 500 : 40000, 17000);
			pair_settle(&p);
			pair_finish(&p);
		}
	}
}

static void blocking_call_takes_all(void **state)
{
	const struct row *row = *state;
	static uint8_t buf[300000];
	struct pair p;

	if (!row->blocking)
		return;
	start(&p, row, 5000);
	fake_pattern(OURS, 0, buf, sizeof(buf));
	assert_int_equal(ktls_write(p.conn, buf, sizeof(buf)), sizeof(buf));
	p.accepted = sizeof(buf);
	pair_settle(&p);
	pair_finish(&p);
}

/* SO_SNDTIMEO, and a signal: what was taken before is what counts. */
static void blocking_call_ends_with_the_timeout_or_a_signal(void **state)
{
	const struct row *row = *state;
	static uint8_t buf[300000];
	ssize_t n;
	struct pair p;

	if (!row->blocking)
		return;
	start(&p, row, 50000);
	p.peer_deaf = true;
	fake_socket(p.fd)->sndtimeo_ms = 250;
	fake_pattern(OURS, 0, buf, sizeof(buf));
	n = ktls_write(p.conn, buf, sizeof(buf));
	assert_true(n > 40000 && n < 70000);
	assert_int_equal(fake_clock, 1250);
	assert_int_equal(fake_poll_timeout, 250);
	p.accepted = (uint64_t)n;
	assert_errno(ktls_write(p.conn, buf, 1), EAGAIN);
	fake_fail(FAKE_POLL, 1, EINTR);
	assert_errno(ktls_write(p.conn, buf + n, 2), EINTR);
	p.peer_deaf = false;
	fake_socket(p.fd)->sndtimeo_ms = 0;
	pair_send(&p, 100000, 100000);
	pair_settle(&p);
	pair_finish(&p);
}

/* What the caller was told is accepted, byte for byte. */
static uint8_t told[300000];
static size_t n_told;

static void collect_and_compare(struct pair *p)
{
	static uint8_t got[300000];
	size_t have = 0;

	for (int i = 0; i < 100000 && have < n_told; i++) {
		size_t n = 0;

		ERR_clear_error();
		if (SSL_read_ex(p->peer, got + have, sizeof(got) - have, &n))
			have += n;
	}
	assert_int_equal(have, n_told);
	assert_memory_equal(got, told, have);
	p->accepted = 0;
	p->peer_deaf = false;
}

/*
 * A caller that has other things to say after each EAGAIN. After a short
 * count it goes on with the next byte, and only then with other data.
 */
static void after_eagain_other_data_may_be_sent(void **state)
{
	static const size_t lengths[] = {1, 2, 5000, 20000};
	const struct row *row = *state;
	uint8_t buf[20000], some[256];

	if (row->blocking)
		return;
	for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
		const size_t len = lengths[l];
		unsigned int salt = 0;
		bool kept = false;
		struct pair p;
		uint8_t next = 0;

		start(&p, row, 100000);
		fake_socket(p.peer_fd)->capacity = 999;
		p.peer_deaf = true;
		n_told = 0;
		while (n_told < 10 * len + 1500) {
			ssize_t n;

			memset(buf, (int)(++salt % 251), len);
			if (kept)
				buf[0] = next;
			n = ktls_write(p.conn, buf, len);
			assert_true(n > 0 || errno == EAGAIN);
			kept = n > 0 ? (size_t)n < len : kept;
			if (n > 0) {
				memcpy(told + n_told, buf, (size_t)n);
				n_told += (size_t)n;
				next = buf[n % (ssize_t)len];
			}
			/* the wire moves on now and then, and not by much */
			if (n < 0 || salt % 3 == 0) {
				struct fake_bytes *in =
					&fake_socket(p.peer_fd)->in;
				const size_t k = in->len < 100 ? in->len : 100;

				assert_true(k <= sizeof(some));
				if (SSL_pending(p.peer) == 0 && k > 0)
					SSL_peek(p.peer, some, 1);
			}
			if (n < 0)
				fake_socket(p.peer_fd)->capacity += 333;
			assert_true(salt < 100000);
		}
		fake_socket(p.peer_fd)->capacity = 1 << 20;
		/* any call sends what waits */
		assert_errno(ktls_read(p.conn, some, 1), EAGAIN);
		if (kept) {
			assert_int_equal(ktls_write(p.conn, &next, 1), 1);
			told[n_told++] = next;
		}
		collect_and_compare(&p);
		pair_finish(&p);
	}
}

/* It cannot be held back, so it waits for room before it is encrypted. */
static void single_byte_leaves_no_tail(void **state)
{
	const struct row *row = *state;
	int taken = 0;
	struct pair p;

	if (row->blocking)
		return;
	start(&p, row, 100000);
	fake_socket(p.peer_fd)->capacity = 250;
	p.peer_deaf = true;
	for (int i = 0; i < 20; i++) {
		uint8_t byte;

		fake_pattern(OURS, p.accepted, &byte, 1);
		if (ktls_write(p.conn, &byte, 1) == 1) {
			p.accepted++;
			taken++;
			if (row->tx == KTLS_OFF)
				assert_int_equal(pair_info(&p).unsent, 0);
		} else {
			assert_int_equal(errno, EAGAIN);
			assert_int_equal(ktls_wants(p.conn), POLLOUT);
		}
	}
	assert_true(taken > 5 && taken < 20);
	p.peer_deaf = false;
	pair_settle(&p);
	pair_finish(&p);
}

static void transient_errors_of_send_lose_nothing(void **state)
{
	static const int errors[] = {ENOBUFS, ENOMEM};
	uint8_t buf[20000];

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct pair p;

		start(&p, *state, 100000);
		for (unsigned int nth = 1; nth < 6; nth++) {
			const uint64_t want = p.accepted + 50000;

			fake_fail(FAKE_SEND, nth, errors[i]);
			while (p.accepted < want) {
				ssize_t n;

				fake_pattern(OURS, p.accepted, buf, sizeof(buf));
				n = ktls_write(p.conn, buf, sizeof(buf));
				if (n < 0 && errno == EAGAIN)
					pair_peer(&p);
				else if (n < 0)
					assert_int_equal(errno, errors[i]);
				p.accepted += n > 0 ? (uint64_t)n : 0;
			}
		}
		fake_heal();
		pair_send(&p, 1, 1);
		pair_settle(&p);
		pair_finish(&p);
	}
}

static void short_fragments(struct pair *p)
{
	SSL_set_tlsext_max_fragment_length(p->peer,
					   TLSEXT_max_fragment_length_512);
}

/* RFC 6066: a peer that can take 512 bytes gets no more. */
static void negotiated_fragment_length_is_kept(void **state)
{
	const struct row *row = *state;
	const struct pair_options o = {.version = row->version,
				       .server = true,
				       .tx = row->tx,
				       .rx = KTLS_OFF,
				       .setup_ssl = short_fragments};
	struct pair p;

	fake_reset();
	pair_start(&p, &o);
	fake_take(&fake_socket(p.fd)->wire, NULL, fake_socket(p.fd)->wire.len);
	pair_send(&p, 20000, 20000);
	pair_settle(&p);
	for (struct fake_bytes w = fake_socket(p.fd)->wire; w.len > 0;) {
		const uint8_t *r = w.p + w.off;
		const size_t n = 5 + ((size_t)r[3] << 8 | r[4]);

		assert_true(n <= 512 + 29);
		w.off += n;
		w.len -= n;
	}
	pair_finish(&p);
}

static void arguments_are_checked(void **state)
{
	struct pair p;

	start(&p, *state, 0);
	assert_errno(ktls_write(NULL, "x", 1), EINVAL);
	assert_errno(ktls_write(p.conn, NULL, 1), EINVAL);
	assert_errno(ktls_write(p.conn, "x", (size_t)SSIZE_MAX + 1), EINVAL);
	pair_finish(&p);
	{
		const struct pair_options o = {.tx = KTLS_AUTO};

		pair_open(&p, &o);
		assert_errno(ktls_write(p.conn, "x", 1), ENOTCONN);
		pair_free(&p);
	}
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		void *row = (void *)(uintptr_t)&rows[i];

#define ADD(f)                                                                 \
	ktest_add(&t, f, row, #f "_%s_%s_1_%d",                                \
		  rows[i].tx == KTLS_OFF ? "user" : "kernel",                  \
		  rows[i].blocking ? "blocking" : "nonblocking",               \
		  rows[i].version - TLS1_VERSION)
		ADD(all_sizes_arrive);
		ADD(eagain_and_short_counts_anywhere_lose_nothing);
		ADD(blocking_call_takes_all);
		ADD(blocking_call_ends_with_the_timeout_or_a_signal);
		ADD(after_eagain_other_data_may_be_sent);
		ADD(single_byte_leaves_no_tail);
		ADD(transient_errors_of_send_lose_nothing);
		ADD(negotiated_fragment_length_is_kept);
		ADD(arguments_are_checked);
	}
	r = ktest_run_table("write", &t);
	certs_free();
	return r;
}
