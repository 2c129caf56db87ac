/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-stall [NAME=VALUE...]: sending never stops while there is room, and
 * what a socket's options do to TCP costs no throughput. The kernel alone
 * does stop: it hands TCP full records marked with MSG_MORE, which wait there
 * for a whole segment while the socket takes no more (net/tls/tls_sw.c,
 * tls_push_record()), until TCP's persist timer fires, or for ever.
 *
 * Every pair of values of the options is among the scenarios; with
 * KTLS_TEST_LONG=1 all combinations are. NAME=VALUE keeps those that match.
 */
#include "stall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

enum {
	FACTORS = 6,
	MOST = 4,
	SEND_MS = 250, /* time that one transfer takes, about */
	RAW_MS = 400,  /* the same for the kernel alone */
	GIVE_UP_MS = 1000,
	RAW_GIVE_UP_MS = 600,
	PAUSE_US = 100000, /* the persist timer's is 200 ms at least */
	TRIES = 3,
};

static const struct factor {
	const char *name;
	size_t n;
	int value[MOST];
} factors[FACTORS] = {
	{"lowat", 4, {0, 4096, 16384, 65536}},
	{"sndbuf", 4, {0, 4096, 16384, 65536}},
	{"mss", 4, {0, 536, 1448, 8948}},
	{"record", 3, {16384, 4096, 1024}},
	{"blocking", 2, {0, 1}},
	{"how", ST_HOWS, {ST_SENDFILE, ST_SPLICE, ST_WRITE}},
};

/*
 * Where the kernel alone stalls takes three values together, which a cover of
 * pairs need not have; these come first. A place of values, as in factors.
 */
static const unsigned int cliffs[][FACTORS] = {
	{2, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 1, 0}, {1, 0, 0, 0, 0, 0},
	{0, 1, 0, 0, 1, 0}, {0, 2, 0, 0, 0, 0}, {1, 0, 0, 1, 0, 1},
	{0, 2, 0, 0, 1, 1},
};

/* How one value of a factor fared, for the table. */
struct tally {
	unsigned int n;
	unsigned int raw_stalls;
	unsigned int stalls;
	int64_t raw_pause_us;
	int64_t pause_us;
	double ratio; /* the worst */
};

static struct tally tallies[FACTORS][MOST], all;
static char kernel[65];
static size_t n_small, n_records;

static size_t combinations(void)
{
	size_t n = 1;

	for (size_t i = 0; i < FACTORS; i++)
		n *= factors[i].n;
	return n;
}

/* The levels of the nth combination. */
static void combination(size_t nth, unsigned int level[FACTORS])
{
	for (size_t i = FACTORS; i-- > 0;) {
		level[i] = (unsigned int)(nth % factors[i].n);
		nth /= factors[i].n;
	}
}

/* Pairs of values that this combination has and none before had; marks them */
static unsigned int new_pairs(const unsigned int level[FACTORS], bool mark)
{
	static bool seen[FACTORS][MOST][FACTORS][MOST];
	unsigned int n = 0;

	for (size_t i = 0; i < FACTORS; i++)
		for (size_t k = i + 1; k < FACTORS; k++) {
			bool *had = &seen[i][level[i]][k][level[k]];

			n += !*had;
			*had |= mark;
		}
	return n;
}

/* The combination that adds most pairs; false: there are all */
static bool next_of_cover(unsigned int best[FACTORS])
{
	const size_t count = combinations();
	unsigned int most = 0;

	for (size_t i = 0; i < count; i++) {
		unsigned int level[FACTORS], n;

		combination(i, level);
		n = new_pairs(level, false);
		if (n > most) {
			most = n;
			memcpy(best, level, sizeof(level));
		}
	}
	return most > 0 && new_pairs(best, true) == most;
}

static struct st_scenario scenario(const unsigned int level[FACTORS])
{
	int v[FACTORS];

	for (size_t i = 0; i < FACTORS; i++)
		v[i] = factors[i].value[level[i]];
	return (struct st_scenario){
		.lowat = v[0],
		.sndbuf = v[1],
		.mss = v[2],
		.record_size = (uint32_t)v[3],
		.blocking = v[4],
		.how = (enum st_how)v[5],
		/* every other one, whatever the options are */
		.tls12 = (level[0] + level[1] + level[2] + level[3]) % 2,
		.ms = SEND_MS,
		.limit_ms = GIVE_UP_MS,
	};
}

static bool stalled(const struct st_result *r)
{
	return r->wire.gave_up || r->wire.pause_us > PAUSE_US;
}

/*
 * Before Linux 6.5 a sender that TCP_NOTSENT_LOWAT wakes every 64 KiB does less
 * at a time for its wakeups than one that fills megabytes: with segments of
 * 8948 bytes the kernel alone has 239 MiB/s of 284 (0.84) at 64 KiB, and libktls
 * 237 of 278 (0.85); 128 KiB are no better.
 */
static double least(const struct st_scenario *s)
{
	int major = 0, minor = 0;

	if (s->sndbuf)
		return 0.5;
	(void)sscanf(kernel, "%d.%d", &major, &minor);
	return major * 100 + minor < 605 ? 0.8 : 0.9;
}

/*
 * A record that is more than the send buffer and less than a segment is all
 * that is under way, and TCP asks for more only when it is acknowledged. The
 * first one comes to a receiver that has just sent its part of the handshake
 * and so delays its ACK by 40 ms (net/ipv4/tcp_input.c, __tcp_ack_snd_check();
 * it does so once, see inet_csk_exit_pingpong_mode()). Nothing a sender can do
 * with that record would change it, so that this one wait does not count: it is
 * about as long as the whole transfer.
 */
static double rate(const struct st_scenario *s, const struct st_result *r)
{
	const int mss = s->mss ? s->mss : 65483; /* of loopback */
	struct st_result own = *r;

	if (s->sndbuf && 2 * s->sndbuf < (int)s->record_size &&
	    mss > (int)s->record_size && r->wire.acks == 1)
		own.wire.time_us -= r->wire.pause_us;
	return st_rate(&own);
}

static void add(struct tally *t, const struct st_result *raw,
		const struct st_result *lib, double ratio)
{
	t->raw_stalls += stalled(raw);
	t->stalls += stalled(lib);
	if (raw->wire.pause_us > t->raw_pause_us)
		t->raw_pause_us = raw->wire.pause_us;
	if (lib->wire.pause_us > t->pause_us)
		t->pause_us = lib->wire.pause_us;
	if (t->n == 0 || ratio < t->ratio)
		t->ratio = ratio;
	t->n++;
}

static void show(const char *who, const struct st_result *r)
{
	printf(" | %s %6.2f MiB/s %4lld ms%s", who, st_rate(r) / 1048576,
	       (long long)r->wire.pause_us / 1000,
	       r->wire.gave_up ? " STUCK"
	       : stalled(r)    ? " STALL"
			       : "");
}

/*
 * A machine that is emulated and shared stops now and then for no reason of
 * ours: what fails is tried again. TCP's timers strike every time.
 */
static void run(const unsigned int level[FACTORS])
{
	struct st_scenario s = scenario(level), base = s, own;
	struct st_result raw, lib, ref;
	double ratio = 0;

	vt_case("lowat %d, sndbuf %d, mss %d, record %u, %s %s, TLS 1.%d",
		s.lowat, s.sndbuf, s.mss, s.record_size,
		s.blocking ? "blocking" : "non-blocking", st_how_str(s.how),
		s.tls12 ? 2 : 3);
	own = s;
	own.ms = RAW_MS;
	own.limit_ms = RAW_GIVE_UP_MS;
	st_send_raw(&own, &raw);
	base.lowat = 0;
	base.sndbuf = 0;
	for (int i = 0; i < TRIES; i++) {
		st_send_lib(&base, &ref);
		st_send_lib(&s, &lib);
		if (!lib.wire.gave_up && !lib.ok)
			break;
		if (rate(&s, &lib) / st_rate(&ref) > ratio)
			ratio = rate(&s, &lib) / st_rate(&ref);
		if (!stalled(&lib) && ratio >= least(&s))
			break;
	}
	printf("%-8s lowat %5d sndbuf %5d mss %4d record %5u %s",
	       st_how_str(s.how), s.lowat, s.sndbuf, s.mss, s.record_size,
	       s.blocking ? "block" : "nonbl");
	show("raw", &raw);
	show("lib", &lib);
	show("defaults", &ref);
	printf(", %.2f | %zu small of %zu, pushes %llu, acks %zu, "
	       "notsent_lowat %u, calls of %llu\n",
	       ratio, lib.wire.small, lib.wire.records,
	       (unsigned long long)lib.info.guard_pushes, lib.wire.acks,
	       lib.info.notsent_lowat, (unsigned long long)lib.info.file_call);
	CHECK(!stalled(&lib), "a pause of %lld ms",
	      (long long)lib.wire.pause_us / 1000);
	/* small buffers slow plain TCP as well: the kernel alone is a measure */
	CHECK(ratio >= least(&s) ||
		      (s.sndbuf && !stalled(&raw) &&
		       st_rate(&lib) >= 0.95 * st_rate(&raw)),
	      "%.2f of the throughput with the defaults", ratio);
	n_small += lib.wire.small;
	n_records += lib.wire.records;
	add(&all, &raw, &lib, ratio);
	for (size_t i = 0; i < FACTORS; i++)
		add(&tallies[i][level[i]], &raw, &lib, ratio);
}

static void table_line(const char *name, const char *value, const struct tally *t)
{
	printf("table: %s stall %s=%s: %u scenarios, stalled raw %u, "
	       "libktls %u, worst pause raw %lld ms, libktls %lld ms, "
	       "least ratio %.2f\n",
	       kernel, name, value, t->n, t->raw_stalls, t->stalls,
	       (long long)t->raw_pause_us / 1000, (long long)t->pause_us / 1000,
	       t->ratio);
}

static void table(void)
{
	for (size_t i = 0; i < FACTORS; i++)
		for (size_t k = 0; k < factors[i].n; k++) {
			const int v = factors[i].value[k];
			char text[16];

			snprintf(text, sizeof(text), "%d", v);
			if (tallies[i][k].n)
				table_line(factors[i].name,
					   i == FACTORS - 1
						   ? st_how_str((enum st_how)v)
					   : v || i == 4 ? text
							 : "default",
					   &tallies[i][k]);
		}
	table_line("all", "all", &all);
	printf("table: %s stall: %zu of %zu records smaller than they might "
	       "be\n",
	       kernel, n_small, n_records);
}

/* Is this one asked for by NAME=VALUE... ? */
static bool wanted(const unsigned int level[FACTORS], int argc, char **argv)
{
	for (int a = 1; a < argc; a++)
		for (size_t i = 0; i < FACTORS; i++) {
			const size_t len = strlen(factors[i].name);

			if (strncmp(argv[a], factors[i].name, len) == 0 &&
			    argv[a][len] == '=' &&
			    atoi(argv[a] + len + 1) != factors[i].value[level[i]])
				return false;
		}
	return true;
}

static void matrix(int argc, char **argv)
{
	const char *text = getenv("KTLS_TEST_LONG");
	const bool product = (text && strcmp(text, "1") == 0) || argc > 1;
	unsigned int level[FACTORS];

	if (!product) {
		for (size_t i = 0; i < sizeof(cliffs) / sizeof(cliffs[0]); i++) {
			memcpy(level, cliffs[i], sizeof(level));
			(void)new_pairs(level, true);
			run(level);
		}
		while (next_of_cover(level))
			run(level);
		return;
	}
	for (size_t i = 0; i < combinations(); i++) {
		combination(i, level);
		if (wanted(level, argc, argv))
			run(level);
	}
}

int main(int argc, char **argv)
{
	struct utsname uts;
	const int e = vt_ulp_errno();

	vt_begin("ktls-vm-stall", getenv("KTLS_TEST_LONG") ? 36000 : 600);
	if (e) {
		vt_skip("all: setsockopt(TCP_ULP): %s", strerror(e));
		return vt_end();
	}
	MUST(uname(&uts) == 0);
	snprintf(kernel, sizeof(kernel), "%s", uts.release);
	vt_data_init();
	matrix(argc, argv);
	table();
	if (argc == 1) {
		st_options();
		st_readers();
		st_networks();
	}
	CHECK(all.raw_stalls > 0, "NOT REPRODUCED: the kernel alone never "
				  "stalled; the rest proves little");
	return vt_end();
}
