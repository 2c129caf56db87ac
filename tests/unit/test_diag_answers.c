/* SPDX-License-Identifier: MIT */
/* Answers of sock_diag that are broken, or not what was asked for. */
#include "hosts.h"
#include "pair.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "diag.h"

static int teardown(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

/* Both directions in the kernel, with a NIC or not. */
static void start(struct pair *p, bool device)
{
	const struct pair_options o = {.version = TLS1_2_VERSION,
				       .tx = KTLS_REQUIRE,
				       .rx = KTLS_REQUIRE};

	fake_reset();
	host_later();
	fake_kernel.device_tx = fake_kernel.device_rx = device;
	pair_start(p, &o);
}

/* Any beginning of an answer: no word of a NIC that was not in it. */
static void answers_that_are_cut_are_unknown(void **state)
{
	unsigned int unknown = 0, device = 0;
	struct pair p;

	(void)state;
	start(&p, true);
	for (size_t n = 0; n < 600; n++) {
		struct ktls__diag d;
		int r;

		fake_net.cut = n;
		r = ktls__diag(p.fd, &d);
		assert_true(r <= 0);
		unknown += r < 0;
		device += r == 0 && d.tx_device;
		assert_int_equal(fake_own_fds(), 0);
		/* the length that is in the message is its own, not this one */
		if (r == 0)
			assert_true(d.tx_device && d.rx_device);
	}
	assert_true(unknown > 100 && device > 100);
	fake_net.cut = SIZE_MAX;
	assert_modes(&p, "device", "device");
	pair_finish(&p);
}

/* Every byte of it changed: it ends, and reads nothing that is not there. */
static void garbage_does_no_harm(void **state)
{
	static const uint8_t with[] = {0x01, 0x80, 0xff, 0x10, 0x03};
	struct pair p;

	(void)state;
	start(&p, false);
	for (size_t k = 0; k < ARRAY_SIZE(with); k++) {
		fake_net.flip_with = with[k];
		for (size_t n = 0; n < 600; n++) {
			struct ktls__diag d;

			fake_net.flip_at = n;
			assert_true(ktls__diag(p.fd, &d) <= 0);
			assert_int_equal(fake_own_fds(), 0);
		}
	}
	pair_finish(&p);
}

/* A whole message, and then another of which only a part is there. */
static void grow(uint8_t *msg, size_t *n, size_t max)
{
	const struct nlmsghdr next = {.nlmsg_len = 4000,
				      .nlmsg_type = SOCK_DIAG_BY_FAMILY};

	assert_true(*n + sizeof(next) < max);
	memcpy(msg + *n, &next, sizeof(next));
	*n += sizeof(next);
}

static void as_error(uint8_t *msg, size_t *n, size_t max)
{
	struct nlmsghdr h;

	(void)max;
	memcpy(&h, msg, sizeof(h));
	h.nlmsg_type = NLMSG_ERROR;
	h.nlmsg_len = sizeof(h) + 2;
	memcpy(msg, &h, sizeof(h));
	*n = h.nlmsg_len;
}

/* An acknowledgement, which nobody asked for: it is no answer. */
static void as_ack(uint8_t *msg, size_t *n, size_t max)
{
	struct nlmsghdr h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct nlmsgerr)),
			     .nlmsg_type = NLMSG_ERROR};

	(void)max;
	memset(msg, 0, h.nlmsg_len);
	memcpy(msg, &h, sizeof(h));
	*n = h.nlmsg_len;
}

static void as_other(uint8_t *msg, size_t *n, size_t max)
{
	const uint16_t type = 0x1234;

	(void)n;
	(void)max;
	memcpy(msg + 4, &type, sizeof(type));
}

static void answers_of_another_kind_are_unknown(void **state)
{
	static void (*const kinds[])(uint8_t *, size_t *,
				     size_t) = {as_error, as_ack, as_other};
	struct ktls__diag d;
	struct pair p;

	(void)state;
	start(&p, true);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		fake_net.garble = kinds[i];
		assert_true(ktls__diag(p.fd, &d) < 0);
		assert_modes(&p, "unknown", "unknown");
		assert_int_equal(fake_own_fds(), 0);
	}
	fake_net.garble = grow;
	assert_true(ktls__diag(p.fd, &d) <= 0);
	assert_int_equal(fake_own_fds(), 0);
	fake_net.garble = NULL;
	pair_finish(&p);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)
static const struct CMUnitTest tests[] = {
	T(answers_that_are_cut_are_unknown),
	T(garbage_does_no_harm),
	T(answers_of_another_kind_are_unknown),
};

int main(void)
{
	const int r = ktest_run("diag_answers", tests, ARRAY_SIZE(tests));

	certs_free();
	return r;
}
