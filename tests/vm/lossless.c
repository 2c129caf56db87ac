/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-lossless [--connections N]: the kernel's close(2) drops bytes that
 * send() accepted (net/tls/tls_main.c, tls_sk_proto_close()); libktls loses
 * none, whatever the socket, the calls and the end are like. Beside each
 * connection of libktls runs one of the kernel alone, whose losses are
 * counted.
 *
 * Covers of every pair of values are run, each another one, until there are
 * enough connections; with KTLS_TEST_LONG=1 all combinations are. With
 * --connections only that part, with synchronous crypto, until there are N.
 */
#include "lossless.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

enum {
	CONNECTIONS = 480, /* with either kind of crypto */
	RAW_EVERY = 8,	   /* in a run of many */
};

struct tally {
	size_t scenarios;
	size_t connections;
	size_t accepted;
	size_t lossy;
	size_t lost;
	size_t raw_connections;
	size_t raw_lossy;
	size_t raw_lost;
	size_t raw_worst;
	int64_t handshake_ms;
	size_t resumed;
};

static char kernel[65];
static size_t raw_lossy;

/* What is not the scenario's, from the number of the connection. */
static void vary(struct ll_scenario *s, uint64_t *random, bool quick)
{
	uint64_t r = ll_random(random);
	const bool large = !quick && r % 8 == 0;

	if (s->size == 1) {
		/* a record for each byte */
		s->most = large ? 300 : 20 + (r >> 24) % 80;
	} else {
		/* enough to fill the buffers of most */
		s->most = !quick && (large || !s->sndbuf || s->sndbuf > 16384)
				  ? 60000 + (r >> 24) % 200000
				  : 30000 + (r >> 24) % 60000;
		/* a fit on one kernel is none on another */
		s->size += r / 8 % 4 ? (r >> 8) % 4096 : 0;
	}
	s->base = (r >> 44) % 65536;
	r = ll_random(random);
	s->rides = r % 2 ? (r >> 4) % 6 : 0;
	s->nap_ms = 1 + (r >> 8) % (quick ? 8 : 40);
	s->one_call = (r >> 32) % 2;
}

static void one(size_t nth, uint64_t *random, struct tally *t, bool many)
{
	struct ll_scenario s = ll_scenario(nth);
	struct ll_result r;

	vary(&s, random, many);
	if (!many || t->connections % RAW_EVERY == 0) {
		vt_case("the kernel alone, %s", ll_name(&s));
		ll_run_raw(&s, &r);
		if (r.accepted > r.received) {
			const size_t lost = r.accepted - r.received;

			t->raw_lossy++;
			t->raw_lost += lost;
			if (lost > t->raw_worst)
				t->raw_worst = lost;
		}
		t->raw_connections++;
	}
	vt_case("%s", ll_name(&s));
	ll_run_lib(&s, &r);
	t->connections++;
	t->accepted += r.accepted;
	t->handshake_ms += r.handshake_ms;
	t->resumed += r.resumed;
	if (r.received != r.accepted) {
		t->lossy++;
		t->lost += r.accepted > r.received ? r.accepted - r.received
						   : r.received - r.accepted;
	}
}

static void table(const char *crypto, const struct tally *t)
{
	printf("table: %s lossless, %s: %zu scenarios, %zu connections, "
	       "%zu bytes accepted; close(2) alone: %zu of %zu connections "
	       "lost bytes, %zu in all, %zu at worst; libktls: %zu "
	       "connections, %zu bytes\n",
	       kernel, crypto, t->scenarios, t->connections, t->accepted,
	       t->raw_lossy, t->raw_connections, t->raw_lost, t->raw_worst,
	       t->lossy, t->lost);
	/* the first of each version is new */
	CHECK(t->resumed + 2 >= t->connections, "%zu of %zu sessions resumed",
	      t->resumed, t->connections);
	printf("%s: %zu of %zu sessions resumed, a handshake took %.1f ms\n",
	       crypto, t->resumed, t->connections,
	       (double)t->handshake_ms / (double)t->connections);
}

static void matrix(const char *crypto, uint64_t random, size_t connections)
{
	const char *text = getenv("KTLS_TEST_LONG");
	const bool many = connections > 0;
	const bool product = !many && text && strcmp(text, "1") == 0;
	bool *had = calloc(ll_count(), 1);
	struct tally t = {0};

	MUST(had != NULL);
	if (product) {
		for (size_t i = 0; i < ll_count(); i++)
			one(i, &random, &t, false);
		t.scenarios = ll_count();
	} else {
		const size_t enough = many ? connections : CONNECTIONS;
		const int64_t start = vt_now();
		struct ll_cover cover = {0};

		while (t.connections < enough) {
			const size_t nth = ll_cover_next(&cover, &random);

			if (nth == ll_count()) {
				/* complete: the next one is another */
				memset(&cover, 0, sizeof(cover));
				continue;
			}
			t.scenarios += !had[nth];
			had[nth] = true;
			one(nth, &random, &t, many);
			if (many && t.connections % 1000 == 0)
				printf("%zu connections after %lld s\n",
				       t.connections,
				       (long long)(vt_now() - start) / 1000);
		}
	}
	free(had);
	table(crypto, &t);
	raw_lossy += t.raw_lossy;
}

int main(int argc, char **argv)
{
	const bool many = argc == 3 && strcmp(argv[1], "--connections") == 0;
	struct utsname uts;
	const int e = vt_ulp_errno();

	vt_begin("ktls-vm-lossless",
		 many || getenv("KTLS_TEST_LONG") ? 14400 : 420);
	if (e) {
		vt_skip("all: setsockopt(TCP_ULP): %s", strerror(e));
		return vt_end();
	}
	MUST(uname(&uts) == 0);
	snprintf(kernel, sizeof(kernel), "%s", uts.release);
	/* packets of 3 segments: more records that TCP has no room for, whole */
	if (unshare(CLONE_NEWNET) == 0)
		MUST(vt_shell("ip link set lo up gso_max_segs 3"));
	vt_data_init();
	matrix("synchronous crypto", 1, many ? strtoul(argv[2], NULL, 10) : 0);
	if (!many) {
		if (vt_async_start("pcrypt") == 0) {
			matrix("pcrypt", 2, 0);
			vt_case("back to synchronous crypto");
			CHECK(vt_async_stop(), "pcrypt stays");
		} else {
			vt_skip("asynchronous crypto: no pcrypt");
		}
		ll_tools();
		ll_network();
	}
	CHECK(raw_lossy > 0, "NOT REPRODUCED: this kernel's close() lost "
			     "nothing; the rest proves little");
	return vt_end();
}
