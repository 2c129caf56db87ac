/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-soak [--seed N] [--count N]: many short connections of random
 * kinds. The seed that is printed makes the same ones again.
 */
#include "vmtest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SIZES = 12 };

static uint64_t state;

/* splitmix64 */
static uint64_t random_below(uint64_t n)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15U);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return (z ^ z >> 31) % n;
}

/* Most are small; now and then one is large. */
static size_t random_sizes(size_t sizes[SIZES])
{
	static const size_t max[] = {3, 100, 5000, 17000, 70000, 20, 1000, 300};
	const size_t n = 1 + random_below(SIZES);

	for (size_t i = 0; i < n; i++)
		sizes[i] = 1 + random_below(max[random_below(8)]);
	return n;
}

static const struct vt_suite *usable[64];
static bool has_kernel[64];
static size_t n_usable;

static void find_suites(bool kernel)
{
	for (size_t i = 0; i < vt_n_suites; i++) {
		if (!vt_suite_known(&vt_suites[i]))
			continue;
		usable[n_usable] = &vt_suites[i];
		has_kernel[n_usable++] =
			kernel && vt_kernel_errno(&vt_suites[i], KTLS_TX) == 0;
	}
}

static int allowed(uint32_t use, bool kernel)
{
	/* where it cannot be, it is not required */
	return use == KTLS_REQUIRE && !kernel ? KTLS_AUTO : (int)use;
}

static int in_kernel(const struct ktls_dir_info *d)
{
	return d->mode == KTLS_MODE_KERNEL;
}

static void one(unsigned int nth)
{
	/* a tiny receive buffer only makes TCP wait for its timers */
	static const int sndbufs[] = {0, 0, 0, 4608, 16384, 65536};
	static const int rcvbufs[] = {0, 0, 0, 0, 32768, 65536};
	const size_t which = random_below(n_usable);
	const struct vt_suite *s = usable[which];
	const bool server = random_below(2), blocking = random_below(2);
	const bool peer_first = random_below(2);
	const bool has = has_kernel[which];
	struct ktls_policy policy =
		vt_policy((uint32_t)allowed((uint32_t)random_below(3), has),
			  (uint32_t)allowed((uint32_t)random_below(3), has));
	SSL_CTX *lib = vt_ctx(s, server, false);
	SSL_CTX *other = vt_ctx(s, !server, false);
	size_t out[SIZES], in[SIZES], n_out = random_sizes(out);
	size_t n_in = random_sizes(in);
	struct ktls_info info = {.size = sizeof(info)};
	struct vt_stat before;
	struct vt_peer p;
	struct vt_end e;
	bool ok = false;
	int fd[2];

	policy.offload_after = random_below(3) ? random_below(100000) : 0;
	policy.budget = random_below(3) ? 2097152 : 1 + random_below(30000);
	vt_case("%u: TLS %s %s %s %s, tx %u rx %u after %llu", nth,
		vt_version_str(s->version), s->label,
		server ? "server" : "client",
		blocking ? "blocking" : "non-blocking", policy.tx, policy.rx,
		(unsigned long long)policy.offload_after);
	MUST(ktls_ctx_enable(lib) == 0);
	vt_stat_read(&before);
	vt_tcp_pair(fd);
	vt_set_sndbuf(fd[server], sndbufs[random_below(6)]);
	vt_set_rcvbuf(fd[!server], rcvbufs[random_below(6)]);
	vt_peer_init(&p, other, fd[!server], !server);
	vt_stream_init(&p.out, random_below(1000), in, n_in);
	p.read_size = random_below(2) ? 0 : 1 + random_below(5000);
	p.start_ms = random_below(4) ? 0 : (int)random_below(30);
	p.after = random_below(2);
	p.closes_first = peer_first;
	vt_end_init(&e, lib, fd[server], server, blocking, &policy);
	vt_stream_init(&e.out, random_below(1000), out, n_out);
	e.duplex = !p.after;
	/* a small budget makes calls short */
	e.interrupts = 1;
	e.in_total = p.out.total;
	p.in_total = e.out.total;
	vt_peer_start(&p);
	if (CHECK(vt_end_handshake(&e) == 0, "errno %d", errno))
		ok = vt_end_exchange(&e) && (!peer_first || vt_end_finished(&e));
	vt_end_info(&e, &info);
	CHECK(vt_end_close(&e) == 0, "ktls_close: errno %d", errno);
	vt_peer_join(&p);
	CHECK(p.close_notify && p.error == 0, "the peer: %s", p.text);
	if (ok) {
		vt_sink_check(&p.in, &e.out, e.out.total, "the peer");
		vt_sink_check(&e.in, &p.out, e.in_total, "libktls");
	}
	vt_stat_check(&before, in_kernel(&info.tx), in_kernel(&info.rx), false);
	SSL_CTX_free(lib);
	SSL_CTX_free(other);
}

int main(int argc, char **argv)
{
	unsigned long long seed = (unsigned long long)time(NULL) * 1000003U +
				  (unsigned long long)getpid();
	unsigned int count = 60;
	const int e = vt_ulp_errno();

	vt_begin("ktls-vm-soak", 600);
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--count") == 0)
			count = (unsigned int)strtoul(argv[i + 1], NULL, 0);
	}
	state = seed;
	vt_note("--seed %llu --count %u", seed, count);
	vt_data_init();
	vt_probed();
	if (e)
		vt_skip("the kernel's part: setsockopt(TCP_ULP): %s",
			strerror(e));
	find_suites(e == 0);
	for (unsigned int i = 0; i < count; i++)
		one(i);
	return vt_end();
}
