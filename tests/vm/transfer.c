/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-transfer [LABEL]: every version, cipher, role, mode and kind of
 * socket carries data both ways, and the kernel's counters prove who did it.
 */
#include "vmnet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* Around the edges of a record, of a page and of a pipe. */
static const size_t edges[] = {1,     2,     1023,  16383, 16384,
			       16385, 32768, 65535, 65536, 65537};
static const size_t mib[] = {1024 * 1024};
static const size_t odd_mib[] = {100001, 1024 * 1024, 1};
static const size_t huge[] = {1, 8 * 1024 * 1024};

#define N(a) (sizeof(a) / sizeof((a)[0]))

struct mode {
	const char *name;
	uint32_t tx;
	uint32_t rx;
	bool at_once; /* offload_after is 0 */
};

static const struct mode modes[] = {
	{"off/off", KTLS_OFF, KTLS_OFF, false},
	{"require/off", KTLS_REQUIRE, KTLS_OFF, false},
	{"off/require", KTLS_OFF, KTLS_REQUIRE, false},
	{"require/require", KTLS_REQUIRE, KTLS_REQUIRE, false},
	{"auto at once", KTLS_AUTO, KTLS_AUTO, true},
	{"default", KTLS_AUTO, KTLS_AUTO, false},
};
enum {
	BOTH = 3,
	AT_ONCE = 4,
	DEFAULT = 5,
	FEW = 9 /* sizes of edges: still more than offload_after */
};

/* One connection: what is asked, and what must come of it. */
struct run {
	const struct vt_suite *suite;
	const struct mode *mode;
	bool server;
	bool blocking;
	const size_t *out;
	size_t n_out;
	const size_t *in;
	size_t n_in;
	unsigned int variant;
	struct ktls_info info; /* as it was at the end */
};

static char kernel[65];
static int ulp_errno;
static int tx_errno, rx_errno; /* of the suite at hand */

/* What a direction must be in the end, by what the raw calls said. */
static uint32_t expect(const struct run *r, int dir, int *e, const char **call)
{
	const uint32_t asked = dir == KTLS_TX ? r->mode->tx : r->mode->rx;

	*e = 0;
	*call = NULL;
	if (asked == KTLS_OFF)
		return KTLS_REASON_POLICY;
	if (ulp_errno) {
		*e = ulp_errno;
		*call = "setsockopt(TCP_ULP)";
		return KTLS_REASON_NO_ULP;
	}
	*e = dir == KTLS_TX ? tx_errno : rx_errno;
	if (*e) {
		*call = dir == KTLS_TX ? "setsockopt(TLS_TX)"
				       : "setsockopt(TLS_RX)";
		return KTLS_REASON_CIPHER_KERNEL;
	}
	return KTLS_REASON_NONE;
}

static void check_dir(const struct run *r, const struct ktls_dir_info *d,
		      int dir, uint64_t bytes)
{
	const char *call, *name = dir == KTLS_TX ? "tx" : "rx";
	int e;
	const uint32_t reason = expect(r, dir, &e, &call);
	const bool nic = vt_nic_used && vt_nic_offloads(r->suite);
	const uint32_t mode = reason == KTLS_REASON_NONE ? vt_nic_mode(nic)
							 : KTLS_MODE_USER;

	CHECK(d->mode == mode && d->reason == reason,
	      "%s is %s (%s), not %s (%s)", name,
	      ktls_mode_str((enum ktls_mode)d->mode), vt_reason(d->reason),
	      ktls_mode_str((enum ktls_mode)mode), vt_reason(reason));
	/* what TX has met need not be tried again for RX */
	if (call && dir == KTLS_RX && d->asked == KTLS_AUTO && tx_errno == e &&
	    d->call && strcmp(d->call, "setsockopt(TLS_TX)") == 0)
		call = d->call;
	CHECK(d->sys_errno == e &&
		      (call ? d->call && strcmp(d->call, call) == 0 : !d->call),
	      "%s: %s said %d, not %s %d", name, d->call ? d->call : "nothing",
	      d->sys_errno, call ? call : "nothing", e);
	CHECK(d->bytes == bytes, "%s counts %llu bytes, not %llu", name,
	      (unsigned long long)d->bytes, (unsigned long long)bytes);
	if (mode == KTLS_MODE_USER)
		CHECK(d->kernel_bytes == 0, "%s: %llu kernel bytes", name,
		      (unsigned long long)d->kernel_bytes);
	else if (d->asked == KTLS_REQUIRE || r->mode->at_once)
		CHECK(d->kernel_bytes == bytes,
		      "%s: the kernel had %llu bytes of %llu", name,
		      (unsigned long long)d->kernel_bytes,
		      (unsigned long long)bytes);
	else
		CHECK(d->kernel_bytes > 0 && d->kernel_bytes < bytes,
		      "%s: the kernel had %llu bytes of %llu", name,
		      (unsigned long long)d->kernel_bytes,
		      (unsigned long long)bytes);
}

static int kernel_directions(const struct run *r, int dir)
{
	const char *call;
	int e;

	return expect(r, dir, &e, &call) == KTLS_REASON_NONE;
}

/* KTLS_REQUIRE that cannot be: says so, moves nothing, ends in order. */
static void check_refusal(struct run *r, struct vt_end *e)
{
	struct ktls_error error = {.size = sizeof(error)};
	char c = 'x';

	CHECK(errno == ENOTSUP, "ktls_handshake: errno %d", errno);
	vt_end_info(e, &r->info);
	check_dir(r, &r->info.tx, KTLS_TX, 0);
	check_dir(r, &r->info.rx, KTLS_RX, 0);
	CHECK(ktls_get_error(e->c, &error) == 0 && error.code == ENOTSUP &&
		      error.sys_errno != 0,
	      "code %d, sys_errno %d", error.code, error.sys_errno);
	CHECK(ktls_write(e->c, &c, 1) == -1 && errno == ENOTSUP,
	      "ktls_write: errno %d", errno);
	CHECK(ktls_read(e->c, &c, 1) == -1 && errno == ENOTSUP,
	      "ktls_read: errno %d", errno);
}

/* The handshake and the data; true when it went as it should. */
static bool carry(struct run *r, struct vt_end *e, bool peer_first)
{
	const bool fails =
		(r->mode->tx == KTLS_REQUIRE || r->mode->rx == KTLS_REQUIRE) &&
		(kernel_directions(r, KTLS_TX) < (r->mode->tx == KTLS_REQUIRE) ||
		 kernel_directions(r, KTLS_RX) < (r->mode->rx == KTLS_REQUIRE));

	if (vt_end_handshake(e) < 0) {
		if (CHECK(fails, "ktls_handshake: errno %d", errno))
			check_refusal(r, e);
		return false;
	}
	if (!CHECK(!fails, "KTLS_REQUIRE got what the kernel has not"))
		return false;
	if (!vt_end_exchange(e) || (peer_first && !vt_end_finished(e)))
		return false;
	vt_end_info(e, &r->info);
	CHECK(r->info.version == (uint32_t)r->suite->version, "version 0x%x",
	      r->info.version);
	check_dir(r, &r->info.tx, KTLS_TX, e->out.total);
	check_dir(r, &r->info.rx, KTLS_RX, e->in_total);
	return true;
}

static void run(struct run *r, SSL_CTX *lib, SSL_CTX *other)
{
	struct ktls_policy policy = vt_policy(r->mode->tx, r->mode->rx);
	/* every order of the ends, spread over the combinations */
	const bool duplex = r->variant & 1, peer_first = r->variant & 2;
	struct vt_stat before;
	struct vt_peer p;
	struct vt_end e;
	bool ok;
	int fd[2], tx, rx;

	vt_case("TLS %s %s %s %s %s%s%s, %zu sizes",
		vt_version_str(r->suite->version), r->suite->label,
		r->server ? "server" : "client", r->mode->name,
		r->blocking ? "blocking" : "non-blocking",
		duplex ? ", duplex" : "", peer_first ? ", peer first" : "",
		r->n_out);
	if (r->mode->at_once)
		policy.offload_after = 0;
	vt_stat_read(&before);
	vt_tcp_pair(fd);
	vt_peer_init(&p, other, fd[!r->server], !r->server);
	vt_stream_init(&p.out, 12345, r->in, r->n_in);
	vt_end_init(&e, lib, fd[r->server], r->server, r->blocking,
		    r->mode == &modes[DEFAULT] ? NULL : &policy);
	vt_stream_init(&e.out, 777, r->out, r->n_out);
	e.duplex = duplex;
	e.in_total = p.out.total;
	p.in_total = e.out.total;
	p.after = !duplex;
	p.closes_first = peer_first;
	vt_peer_start(&p);
	ok = carry(r, &e, peer_first);
	CHECK(vt_end_close(&e) == 0, "ktls_close: errno %d", errno);
	vt_peer_join(&p);
	CHECK(p.error == 0 && !p.eof, "peer: %s%s", p.text,
	      p.eof ? " end of TCP without close_notify" : "");
	CHECK(p.close_notify, "the peer saw no close_notify");
	vt_sink_check(&p.in, &e.out, ok ? e.out.total : 0, "the peer");
	vt_sink_check(&e.in, &p.out, ok ? e.in_total : 0, "libktls");
	tx = kernel_directions(r, KTLS_TX);
	rx = kernel_directions(r, KTLS_RX);
	vt_stat_check(&before, tx, rx, 0);
}

static const char *found(const struct ktls_dir_info *d, char *buf, size_t size)
{
	if (d->mode != KTLS_MODE_USER)
		return "kernel";
	snprintf(buf, size, "user(%s%s%s)", vt_reason(d->reason),
		 d->sys_errno ? "," : "",
		 d->sys_errno ? strerrorname_np(d->sys_errno) : "");
	return buf;
}

/* All connections of one suite and role; the data of the table. */
static void run_role(const struct vt_suite *s, unsigned int nth, bool server,
		     struct ktls_info *table)
{
	SSL_CTX *lib = vt_ctx(s, server, false);
	SSL_CTX *other = vt_ctx(s, !server, false);
	const bool user = ulp_errno || tx_errno || rx_errno;
	struct run r = {.suite = s,
			.server = server,
			.out = edges,
			.in = edges,
			.n_out = N(edges),
			.n_in = N(edges)};

	MUST(ktls_ctx_enable(lib) == 0);
	/* libktls must not let OpenSSL have what the kernel is to decrypt */
	SSL_CTX_set_read_ahead(lib, server);
	/* where emulation is slow, all sizes in one direction at a time */
	if (s->slow || user) {
		if (server)
			r.n_in = FEW;
		else
			r.n_out = FEW;
	}
	for (unsigned int i = 0; i < 2 * N(modes); i++) {
		r.mode = &modes[i / 2];
		r.blocking = i % 2;
		/* slow: each attempt makes the kernel run modprobe(8) */
		if (user && !ulp_errno &&
		    (i / 2 % 2 != server || i % 2 != i / 4 % 2))
			continue;
		r.variant = i + i / 2 + nth + server;
		run(&r, lib, other);
		/* KTLS_REQUIRE both ways says most */
		if (i / 2 == BOTH)
			*table = r.info;
	}
	/* larger ones where the mode can be had at all */
	r.mode = user ? &modes[AT_ONCE] : &modes[BOTH];
	r.out = server ? mib : odd_mib;
	r.n_out = server ? N(mib) : N(odd_mib);
	r.in = server ? odd_mib : mib;
	r.n_in = server ? N(odd_mib) : N(mib);
	r.blocking = (nth + server) % 2;
	r.variant = nth / 2;
	run(&r, lib, other);
	if (server) {
		r.out = huge;
		r.n_out = N(huge);
		r.in = edges;
		r.n_in = 1;
		r.blocking = nth % 2;
		r.variant = 0;
		run(&r, lib, other);
	}
	SSL_CTX_free(lib);
	SSL_CTX_free(other);
}

int main(int argc, char **argv)
{
	struct ktls_info table[32];
	struct utsname uts;
	bool used[32] = {false};
	char tx[64], rx[64];

	vt_begin("ktls-vm-transfer", 400);
	vt_data_init();
	vt_probed();
	MUST(uname(&uts) == 0);
	snprintf(kernel, sizeof(kernel), "%s", uts.release);
	ulp_errno = vt_ulp_errno();
	if (ulp_errno)
		vt_skip("the kernel's part: setsockopt(TCP_ULP): %s",
			strerror(ulp_errno));
	MUST(vt_n_suites <= N(table));
	memset(table, 0, sizeof(table));
	for (size_t i = 0; i < vt_n_suites; i++) {
		const struct vt_suite *s = &vt_suites[i];
		const int64_t start = vt_now();

		if (argc > 1 && strcmp(argv[1], s->label) != 0)
			continue;
		if (!vt_suite_known(s)) {
			vt_note("this OpenSSL does not negotiate %s", s->label);
			continue;
		}
		tx_errno = ulp_errno ? 0 : vt_kernel_errno(s, KTLS_TX);
		rx_errno = ulp_errno ? 0 : vt_kernel_errno(s, KTLS_RX);
		for (int server = 0; server < 2; server++)
			run_role(s, (unsigned int)i, server, &table[i]);
		used[i] = true;
		printf("TLS %s %s: %lld ms\n", vt_version_str(s->version),
		       s->label, (long long)(vt_now() - start));
	}
	for (size_t i = 0; i < vt_n_suites; i++)
		if (used[i])
			printf("table: %s %s %s tx=%s rx=%s\n", kernel,
			       vt_version_str(vt_suites[i].version),
			       vt_suites[i].label,
			       found(&table[i].tx, tx, sizeof(tx)),
			       found(&table[i].rx, rx, sizeof(rx)));
	return vt_end();
}
