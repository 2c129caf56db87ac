/* SPDX-License-Identifier: MIT */
/* ktls_nic_probe(): from a name, or a connection's route, to the hardware. */
#include "hosts.h"

#include <netinet/in.h>

enum { XOR = 2, ROUND_ROBIN = 0, LACP = 4, LAYER2 = 0, LAYER34 = 1 };

static int fd[2];

static int setup(void **state)
{
	host_setup(state);
	fake_tcp_pair(fd, 1000);
	host_links();
	return 0;
}

static void interface_is_found_by_name(void **state)
{
	struct ktls_nic nic;

	(void)state;
	for (size_t each = 1; each < 5; each++) {
		fake_net.links_per_recv = each;
		nic = host_nic("eth0");
		assert_string_equal(nic.name, "eth0");
		assert_string_equal(nic.lower, "eth0");
		assert_string_equal(nic.driver, "mlx5_core");
		assert_int_equal(nic.features, KTLS_NIC_HW_TX);
		assert_int_equal(nic.available, KTLS_NIC_HW_TX | KTLS_NIC_HW_RX);
		assert_int_equal(nic.up, 1);
		assert_int_equal(nic.reached, 1);
		assert_int_equal(nic.tls12, KTLS_AES_128_GCM | KTLS_AES_256_GCM);
		assert_int_equal(nic.tls13, 0);
	}
	nic = host_nic("lo");
	assert_int_equal(nic.tls12, 0);
	assert_string_equal(nic.lower, "lo");
	assert_string_equal(nic.driver, "");
	assert_int_equal(nic.features | nic.available, 0);
	fake_net.links[1].down = true;
	fake_net.nested = true;
	assert_int_equal(host_nic("eth0").up, 0);
	assert_int_equal(host_nic("lo").up, 1);
}

static void every_feature_is_told_apart(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 64; i++) {
		fake_net.links[1].features = i % 8;
		fake_net.links[1].available = i / 8;
		fake_net.no_hw_record = false;
		assert_int_equal(host_nic("eth0").features, i % 8);
		assert_int_equal(host_nic("eth0").available, i / 8);
		fake_net.no_hw_record = true;
		assert_int_equal(host_nic("eth0").features, i % 4);
		assert_int_equal(host_nic("eth0").available, i / 8 % 4);
	}
	/* fewer than there are blocks for, or none at all */
	fake_net.links[1].features = fake_net.links[1].available = 7;
	for (size_t n = 0; n <= FAKE_FEATURES; n++) {
		const unsigned int want = n > 60   ? 3
					  : n > 32 ? 3
					  : n > 17 ? KTLS_NIC_HW_RX
						   : 0;

		fake_net.features = n;
		assert_int_equal(host_nic("eth0").features, want);
	}
}

static void route_leads_to_the_interface(void **state)
{
	struct ktls_nic nic = {.size = sizeof(nic)};

	(void)state;
	for (int i = 0; i < 3; i++) {
		fake_socket(fd[0])->domain = i ? AF_INET6 : AF_INET;
		fake_socket(fd[0])->mapped = i == 2;
		fake_net.route_if = 2;
		assert_int_equal(ktls_nic_probe(NULL, fd[0], &nic), 0);
		assert_string_equal(nic.name, "eth0");
		assert_int_equal(nic.features, KTLS_NIC_HW_TX);
		fake_net.route_if = 1;
		assert_int_equal(ktls_nic_probe(NULL, fd[0], &nic), 0);
		assert_string_equal(nic.name, "lo");
		assert_int_equal(fake_own_fds(), 0);
	}
	/* the name has the last word */
	assert_int_equal(ktls_nic_probe("eth0", fd[0], &nic), 0);
	assert_string_equal(nic.name, "eth0");
	/* bound to an interface */
	fake_socket(fd[0])->bound_if = 2;
	assert_int_equal(ktls_nic_probe(NULL, fd[0], &nic), 0);
}

static void vlan_leads_down_but_not_the_kernel(void **state)
{
	struct ktls_nic nic;

	(void)state;
	LINK(.index = 3, .name = "eth0.7", .link = 2, .kind = "vlan",
	     .driver = "802.1Q VLAN Support", .features = 7);
	LINK(.index = 4, .name = "mac0", .link = 3, .kind = "macvlan");
	nic = host_nic("eth0.7");
	assert_string_equal(nic.name, "eth0.7");
	assert_string_equal(nic.lower, "eth0");
	assert_string_equal(nic.driver, "mlx5_core");
	assert_int_equal(nic.features, KTLS_NIC_HW_TX);
	assert_int_equal(nic.reached, 0);
	nic = host_nic("mac0");
	assert_string_equal(nic.lower, "eth0");
	assert_int_equal(nic.reached, 0);
	/* what is down is the lower one */
	fake_net.links[1].down = true;
	assert_int_equal(host_nic("eth0.7").up, 0);
}

static void bond_is_reached_with_layer3_4_only(void **state)
{
	static const struct {
		int mode, policy;
		bool reached;
	} rows[] = {
		{XOR, LAYER34, true},
		{LACP, LAYER34, true},
		{XOR, LAYER2, false},
		{LACP, LAYER2, false},
		{ROUND_ROBIN, LAYER34, false},
		{1, LAYER34, false},
		{LACP, 4, false},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct ktls_nic nic;

		setup(NULL);
		fake_net.nested = i & 1;
		LINK(.index = 5, .name = "bond0", .kind = "bond",
		     .bond_mode = rows[i / 2].mode,
		     .bond_policy = rows[i / 2].policy);
		fake_net.links[1].master = 5;
		LINK(.index = 6, .name = "bond0.9", .kind = "vlan", .link = 5);
		nic = host_nic("bond0");
		assert_string_equal(nic.name, "bond0");
		assert_string_equal(nic.lower, "eth0");
		assert_int_equal(nic.reached, rows[i / 2].reached);
		assert_int_equal(nic.features, KTLS_NIC_HW_TX);
		nic = host_nic("bond0.9");
		assert_string_equal(nic.lower, "eth0");
		assert_int_equal(nic.reached, 0);
		/* a port on its own is reached */
		assert_int_equal(host_nic("eth0").reached, 1);
	}
}

/* IFLA_INFO_DATA of other kinds has numbers of its own. */
static void bridge_leads_down_but_not_the_kernel(void **state)
{
	struct ktls_nic nic;

	(void)state;
	LINK(.index = 5, .name = "br0", .kind = "bridge");
	nic = host_nic("br0");
	assert_string_equal(nic.lower, "br0");
	assert_int_equal(nic.features, 0);
	fake_net.links[1].master = 5;
	nic = host_nic("br0");
	assert_string_equal(nic.lower, "eth0");
	assert_int_equal(nic.reached, 0);
	setup(NULL);
	LINK(.index = 5, .name = "bond0", .kind = "bond", .bond_mode = LACP,
	     .bond_policy = LAYER34, .features = 0);
	nic = host_nic("bond0");
	assert_string_equal(nic.lower, "bond0");
}

/* Its IFLA_LINK is the other end, not what is below. */
static void veth_has_nothing_below(void **state)
{
	struct ktls_nic nic;

	(void)state;
	LINK(.index = 3, .name = "veth0", .kind = "veth", .link = 4,
	     .driver = "veth");
	LINK(.index = 4, .name = "veth1", .kind = "veth", .link = 3);
	nic = host_nic("veth0");
	assert_string_equal(nic.lower, "veth0");
	assert_string_equal(nic.driver, "veth");
	assert_int_equal(nic.reached, 1);
}

/* What is below may be in another namespace, or name itself. */
static void interface_below_that_is_not_there_is_the_end(void **state)
{
	struct ktls_nic nic;

	(void)state;
	LINK(.index = 3, .name = "mac0", .kind = "macvlan", .link = 88,
	     .driver = "macvlan");
	nic = host_nic("mac0");
	assert_string_equal(nic.lower, "mac0");
	assert_string_equal(nic.driver, "macvlan");
	LINK(.index = 4, .name = "tun0", .kind = "tun", .link = 4);
	nic = host_nic("tun0");
	assert_string_equal(nic.lower, "tun0");
	assert_int_equal(nic.reached, 1);
}

static void loops_end(void **state)
{
	struct ktls_nic nic = {.size = sizeof(nic)};

	(void)state;
	LINK(.index = 3, .name = "a", .kind = "vlan", .link = 4);
	LINK(.index = 4, .name = "b", .kind = "vlan", .link = 5);
	LINK(.index = 5, .name = "c", .kind = "vlan", .link = 3);
	assert_errno(ktls_nic_probe("a", -1, &nic), ELOOP);
	LINK(.index = 6, .name = "bond0", .kind = "bond", .master = 6);
	assert_errno(ktls_nic_probe("bond0", -1, &nic), ELOOP);
	assert_int_equal(fake_own_fds(), 0);
	/* eight of them, as many as the kernel stacks, are no loop */
	setup(NULL);
	LINK(.index = 10, .name = "v1", .kind = "vlan", .link = 2);
	for (int i = 11; i < 17; i++) {
		static char names[7][8];

		snprintf(names[i - 11], 8, "v%d", i - 9);
		LINK(.index = i, .name = names[i - 11], .kind = "vlan",
		     .link = i - 1);
	}
	assert_string_equal(host_nic("v7").lower, "eth0");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, host_teardown)
static const struct CMUnitTest tests[] = {
	T(interface_is_found_by_name),
	T(every_feature_is_told_apart),
	T(route_leads_to_the_interface),
	T(vlan_leads_down_but_not_the_kernel),
	T(bond_is_reached_with_layer3_4_only),
	T(bridge_leads_down_but_not_the_kernel),
	T(veth_has_nothing_below),
	T(interface_below_that_is_not_there_is_the_end),
	T(loops_end),
};

KTEST_MAIN("nic", tests)
