/* SPDX-License-Identifier: MIT */
/* Modes of a connection, records on its wire, and a stream of calls. */
#include "modes.h"

#include <sys/uio.h>

#include "fake_core.h"

const struct mode modes[] = {
	{"user", KTLS_OFF, 0, false, TLS1_3_VERSION, false, false, DOOR_NEW},
	{"kernel", KTLS_REQUIRE, 0, false, TLS1_3_VERSION, false, false, DOOR_NEW},
	{"moves", KTLS_AUTO, 30000, false, TLS1_3_VERSION, false, false, DOOR_NEW},
	{"user_blocking", KTLS_OFF, 0, true, TLS1_3_VERSION, false, false,
	 DOOR_NEW},
	{"kernel_blocking", KTLS_REQUIRE, 0, true, TLS1_3_VERSION, false, false,
	 DOOR_NEW},
	{"user_1_2", KTLS_OFF, 0, false, TLS1_2_VERSION, false, false, DOOR_NEW},
	{"old_kernel_1_2", KTLS_REQUIRE, 0, false, TLS1_2_VERSION, true, false,
	 DOOR_NEW},
	{"nic_1_2", KTLS_REQUIRE, 0, false, TLS1_2_VERSION, false, true, DOOR_NEW},
	{"nic_blocking_1_2", KTLS_REQUIRE, 0, true, TLS1_2_VERSION, false, true,
	 DOOR_NEW},
	{"adopted", KTLS_REQUIRE, 0, false, TLS1_3_VERSION, false, false,
	 DOOR_ADOPTED},
	{"adopted_user", KTLS_OFF, 0, false, TLS1_3_VERSION, false, false,
	 DOOR_ADOPTED_MEM},
	{"keys_user", KTLS_OFF, 0, false, TLS1_3_VERSION, false, false,
	 DOOR_KEYS_SECRET},
	{"keys_user_blocking_1_2", KTLS_OFF, 0, true, TLS1_2_VERSION, false,
	 false, DOOR_KEYS_KEY},
	{"imported_moves", KTLS_AUTO, 30000, false, TLS1_3_VERSION, false,
	 false, DOOR_IMPORTED},
	{"imported_blocking", KTLS_REQUIRE, 0, true, TLS1_3_VERSION, false,
	 false, DOOR_IMPORTED},
};
const size_t n_modes = ARRAY_SIZE(modes);

static void start(struct pair *p, const struct mode *m, bool tx,
		  size_t capacity, void (*policy)(struct ktls_policy *policy))
{
	const struct pair_options o = {
		.door = m->door,
		.version = m->version,
		.server = tx,
		.blocking = m->blocking,
		.tx = tx ? m->use : KTLS_OFF,
		.rx = tx ? KTLS_OFF : m->use,
		.offload_after = m->after,
		.policy = policy,
		.capacity = 100000,
	};

	fake_reset();
	fake_kernel.old = m->old;
	fake_kernel.device_tx = m->nic;
	pair_start(p, &o);
	fake_socket(p->fd)->capacity = capacity ? capacity : 1 << 20;
	fake_socket(p->peer_fd)->capacity = capacity ? capacity : 1 << 20;
	wire_records(p, NULL, 0);
}

void mode_tx(struct pair *p, const struct mode *m, size_t capacity,
	     void (*policy)(struct ktls_policy *policy))
{
	start(p, m, true, capacity, policy);
}

void mode_rx(struct pair *p, const struct mode *m, size_t capacity,
	     void (*policy)(struct ktls_policy *policy))
{
	start(p, m, false, capacity, policy);
}

bool mode_user(const struct mode *m)
{
	return m->use == KTLS_OFF;
}

bool mode_kernel(const struct mode *m)
{
	return m->use == KTLS_REQUIRE;
}

bool mode_adopted(const struct mode *m)
{
	return m->door == DOOR_ADOPTED || m->door == DOOR_ADOPTED_MEM;
}

size_t wire_records(struct pair *p, size_t *lengths, size_t max)
{
	struct fake_bytes *w = &fake_socket_any(p->fd)->wire;
	const size_t overhead = p->o.version == TLS1_2_VERSION ? 5 + 24 : 5 + 17;
	size_t n = 0;

	assert_no_leak(p);
	/* half a record stays for the next call */
	while (w->len >= 5) {
		const uint8_t *r = w->p + w->off;
		const size_t len = 5 + ((size_t)r[3] << 8 | r[4]);

		if (len > w->len)
			break;
		if (n < max)
			lengths[n] = len - overhead;
		n++;
		fake_take(w, NULL, len);
	}
	return n;
}

void wire_check(struct pair *p, const size_t *want, const char *file, int line)
{
	size_t got[64], n = wire_records(p, got, ARRAY_SIZE(got)), i;

	for (i = 0; i < n && i < ARRAY_SIZE(got) && got[i] == want[i]; i++)
		;
	if (i == n && want[i] == 0)
		return;
	print_error("%s:%d: %zu records:", file, line, n);
	for (i = 0; i < n && i < ARRAY_SIZE(got); i++)
		print_error(" %zu", got[i]);
	print_error("\n");
	fail();
}

void stream_wait(struct pair *p, const char *call)
{
	const struct ktls_error e = pair_error(p);

	if (errno != EAGAIN)
		fail_msg("%s: %s (%s)", call, strerror(errno), e.text);
	if (p->slow)
		fake_elapse(1);
	pair_peer(p);
	pair_peer_ok(p);
}

ssize_t stream_writev(struct pair *p, size_t n, int parts, int flags)
{
	static uint8_t buf[1 << 20];
	static struct iovec iov[1024];
	size_t done = 0;
	ssize_t r;

	assert_true(n <= sizeof(buf) && parts > 0 && parts <= 1024);
	fake_pattern(OURS, p->accepted, buf, n);
	for (int i = 0; i < parts; i++) {
		const size_t k = i < parts - 1 ? n / (size_t)parts : n - done;

		iov[i].iov_base = k > 0 ? buf + done : NULL;
		iov[i].iov_len = k;
		done += k;
	}
	r = ktls_writev(p->conn, iov, parts, flags);
	/* the caller's memory is the caller's again */
	memset(buf, 0xcc, n);
	assert_true(r <= (ssize_t)n && (r != 0 || n == 0));
	if (r > 0)
		p->accepted += (uint64_t)r;
	return r;
}

void stream_send(struct pair *p, size_t n, int parts, int flags)
{
	const uint64_t end = p->accepted + n;

	for (int i = 0; p->accepted < end; i++) {
		const ssize_t r = stream_writev(p, (size_t)(end - p->accepted),
						parts, flags);

		if (r < 0)
			stream_wait(p, "ktls_writev");
		assert_true(i < 100000);
	}
}

static uint32_t seed;

void random_start(uint32_t s)
{
	seed = s;
}

uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(seed >> 8) * n) >> 24);
}
