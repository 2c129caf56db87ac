/* SPDX-License-Identifier: MIT */
/* Hosts of the model, and what the library finds out about them. */
#include "hosts.h"

#include "probe.h"

int host_setup(void **state)
{
	(void)state;
	unsetenv("KTLS_DISABLE");
	fake_reset();
	fake_count_probes = true;
	ktls__probe_forget();
	return 0;
}

int host_teardown(void **state)
{
	host_setup(state);
	fake_count_probes = false;
	return 0;
}

void host_later(void)
{
	static int64_t now;

	now += 20000;
	fake_clock = now;
}

struct ktls_caps host_caps(int again)
{
	struct ktls_caps caps = {.size = sizeof(caps)};

	assert_int_equal(ktls_probe(&caps, again), 0);
	assert_int_equal(caps.size, sizeof(caps));
	assert_int_equal(fake_own_fds(), 0);
	return caps;
}

void host_links(void)
{
	memset(fake_net.links, 0, sizeof(fake_net.links));
	LINK(.index = 1, .name = "lo");
	LINK(.index = 2, .name = "eth0", .driver = "mlx5_core",
	     .features = KTLS_NIC_HW_TX,
	     .available = KTLS_NIC_HW_TX | KTLS_NIC_HW_RX);
}

void host_add(struct fake_link link)
{
	size_t i = 0;

	while (i < FAKE_LINKS && fake_net.links[i].index)
		i++;
	assert_true(i < FAKE_LINKS);
	fake_net.links[i] = link;
}

struct ktls_nic host_nic(const char *name)
{
	struct ktls_nic nic = {.size = sizeof(nic)};

	errno = 0;
	if (ktls_nic_probe(name, -1, &nic) != 0)
		fail_msg("%s: %s", name, strerror(errno));
	assert_int_equal(nic.size, sizeof(nic));
	assert_int_equal(fake_own_fds(), 0);
	return nic;
}
