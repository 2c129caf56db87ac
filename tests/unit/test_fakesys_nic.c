/* SPDX-License-Identifier: MIT */
/* The model's interfaces: routes, links, ethtool, and files read whole. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include "ktest.h"
#include "rawtls.h"

static int route;
static _Alignas(8) uint8_t got[16384];

static int setup(void **state)
{
	static const struct fake_link more[] = {
		{.index = 3, .name = "eth1", .master = 5, .driver = "mlx5_core"},
		{.index = 4, .name = "eth1.7", .link = 3, .kind = "vlan"},
		{.index = 5,
		 .name = "bond0",
		 .kind = "bond",
		 .bond_mode = 4,
		 .bond_policy = 1,
		 .down = true},
	};

	(void)state;
	fake_reset();
	memcpy(fake_net.links + 2, more, sizeof(more));
	route = ktls__sys_netlink(NETLINK_ROUTE);
	assert_true(route >= 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

/* A request of a fixed part and one attribute, or none when n is 0. */
static void ask(int type, int flags, const void *fixed, size_t len, int attr,
		const void *p, size_t n)
{
	_Alignas(8) uint8_t buf[128] = {0};
	struct nlmsghdr *h = (void *)buf;
	struct rtattr *a;

	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_len = (uint32_t)NLMSG_LENGTH(len);
	memcpy(NLMSG_DATA(h), fixed, len);
	if (n > 0) {
		a = (void *)(buf + NLMSG_ALIGN(h->nlmsg_len));
		a->rta_type = (uint16_t)attr;
		a->rta_len = (uint16_t)RTA_LENGTH(n);
		memcpy(RTA_DATA(a), p, n);
		h->nlmsg_len = (uint32_t)(NLMSG_ALIGN(h->nlmsg_len) +
					  RTA_ALIGN(a->rta_len));
	}
	assert_int_equal(ktls__sys_send(route, buf, h->nlmsg_len), h->nlmsg_len);
}

static int error(void)
{
	const struct nlmsghdr *h = (const void *)got;

	return h->nlmsg_type == NLMSG_ERROR
		       ? ((const struct nlmsgerr *)NLMSG_DATA(h))->error
		       : 0;
}

static const struct rtattr *find(const struct rtattr *a, size_t n, int type)
{
	for (; RTA_OK(a, n); a = RTA_NEXT(a, n))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

static const struct rtattr *attr(const struct nlmsghdr *h, size_t fixed, int type)
{
	const size_t at = NLMSG_ALIGN(NLMSG_LENGTH(fixed));

	return find((const void *)((const uint8_t *)h + at), h->nlmsg_len - at,
		    type);
}

static const struct rtattr *in(const struct rtattr *nest, int type)
{
	return nest ? find(RTA_DATA(nest), RTA_PAYLOAD(nest), type) : NULL;
}

static int number(const struct rtattr *a)
{
	int v = -1;

	if (a)
		memcpy(&v, RTA_DATA(a), sizeof(v));
	return v;
}

static int octet(const struct rtattr *a)
{
	return a ? *(const uint8_t *)RTA_DATA(a) : -1;
}

static void route_has_its_interface(void **state)
{
	const struct rtmsg m4 = {.rtm_family = AF_INET, .rtm_dst_len = 32};
	const struct rtmsg m6 = {.rtm_family = AF_INET6, .rtm_dst_len = 128};
	const uint8_t to[16] = {10, 1, 2, 3};
	const struct nlmsghdr *h = (const void *)got;

	(void)state;
	ask(RTM_GETROUTE, 0, &m4, sizeof(m4), RTA_DST, to, 4);
	assert_true(ktls__sys_recv(route, got, sizeof(got)) > 0);
	assert_int_equal(h->nlmsg_type, RTM_NEWROUTE);
	assert_int_equal(number(attr(h, sizeof(m4), RTA_OIF)), 2);
	fake_net.route_if = 4;
	ask(RTM_GETROUTE, 0, &m6, sizeof(m6), RTA_DST, to, 16);
	assert_true(ktls__sys_recv(route, got, sizeof(got)) > 0);
	assert_int_equal(number(attr(h, sizeof(m6), RTA_OIF)), 4);
	fake_net.route_if = 0;
	ask(RTM_GETROUTE, 0, &m4, sizeof(m4), RTA_DST, to, 4);
	assert_true(ktls__sys_recv(route, got, sizeof(got)) > 0);
	assert_null(attr(h, sizeof(m4), RTA_OIF));
	fake_net.route_errno = ENETUNREACH;
	ask(RTM_GETROUTE, 0, &m4, sizeof(m4), RTA_DST, to, 4);
	assert_true(ktls__sys_recv(route, got, sizeof(got)) > 0);
	assert_int_equal(error(), -ENETUNREACH);
	assert_broken(ask(RTM_GETROUTE, 0, &m6, sizeof(m6), RTA_DST, to, 4),
		      "no address");
	assert_broken(
		ask(RTM_GETROUTE, NLM_F_DUMP, &m4, sizeof(m4), RTA_DST, to, 4),
		"all routes");
	ask(RTM_NEWROUTE, 0, &m4, sizeof(m4), RTA_DST, to, 4);
	assert_true(ktls__sys_recv(route, got, sizeof(got)) > 0);
	assert_int_equal(error(), -EOPNOTSUPP);
}

static void check_link(const struct nlmsghdr *h, const struct fake_link *l)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	const struct rtattr *info = attr(h, sizeof(*m), IFLA_LINKINFO);

	assert_int_equal(h->nlmsg_type, RTM_NEWLINK);
	assert_int_equal(m->ifi_index, l->index);
	assert_int_equal(!(m->ifi_flags & IFF_UP), l->down);
	assert_string_equal(RTA_DATA(attr(h, sizeof(*m), IFLA_IFNAME)), l->name);
	assert_int_equal(number(attr(h, sizeof(*m), IFLA_LINK)),
			 l->link ? l->link : -1);
	assert_int_equal(number(attr(h, sizeof(*m), IFLA_MASTER)),
			 l->master ? l->master : -1);
	assert_int_equal(info == NULL, l->kind == NULL);
	if (info)
		assert_string_equal(RTA_DATA(in(info, IFLA_INFO_KIND)), l->kind);
	if (info && strcmp(l->kind, "bond") == 0) {
		const struct rtattr *data = in(info, IFLA_INFO_DATA);

		assert_int_equal(octet(in(data, IFLA_BOND_MODE)), 4);
		assert_int_equal(octet(in(data, IFLA_BOND_XMIT_HASH_POLICY)), 1);
	}
}

static void links_come_in_several_datagrams(void **state)
{
	const struct ifinfomsg m = {.ifi_family = AF_UNSPEC};

	(void)state;
	for (size_t each = 1; each < 8; each++) {
		const size_t want = each < 5 ? 5 / each + 1 : each == 5 ? 2 : 1;
		size_t links = 0, datagrams = 0;
		bool done = false;

		fake_net.links_per_recv = each;
		fake_net.nested = each & 1;
		ask(RTM_GETLINK, NLM_F_DUMP, &m, sizeof(m), 0, NULL, 0);
		while (!done) {
			size_t n =
				(size_t)ktls__sys_recv(route, got, sizeof(got));
			const struct nlmsghdr *h = (const void *)got;

			assert_true(n <= sizeof(got));
			for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
				assert_true(h->nlmsg_flags & NLM_F_MULTI);
				assert_false(done);
				done = h->nlmsg_type == NLMSG_DONE;
				if (!done)
					check_link(h, &fake_net.links[links++]);
			}
			datagrams++;
		}
		assert_int_equal(links, 5);
		assert_int_equal(datagrams, want);
		assert_int_equal(ktls__sys_recv(route, got, 1), -EAGAIN);
	}
	fake_net.links_errno = EPERM;
	ask(RTM_GETLINK, NLM_F_DUMP, &m, sizeof(m), 0, NULL, 0);
	assert_true(ktls__sys_recv(route, got, sizeof(got)) > 0);
	assert_int_equal(error(), -EPERM);
}

static void one_link_is_found(void **state)
{
	struct ifinfomsg m = {.ifi_index = 4};

	(void)state;
	ask(RTM_GETLINK, 0, &m, sizeof(m), 0, NULL, 0);
	assert_true(ktls__sys_recv(route, got, sizeof(got)) > 0);
	check_link((const void *)got, &fake_net.links[3]);
	m.ifi_index = 0;
	ask(RTM_GETLINK, 0, &m, sizeof(m), IFLA_IFNAME, "bond0", 6);
	assert_true(ktls__sys_recv(route, got, sizeof(got)) > 0);
	check_link((const void *)got, &fake_net.links[4]);
	ask(RTM_GETLINK, 0, &m, sizeof(m), IFLA_IFNAME, "bond1", 6);
	assert_true(ktls__sys_recv(route, got, sizeof(got)) > 0);
	assert_int_equal(error(), -ENODEV);
}

static size_t count_features(void)
{
	union {
		struct ethtool_sset_info info;
		uint32_t room[5];
	} u = {.info = {.cmd = ETHTOOL_GSSET_INFO,
			.sset_mask = 1 << ETH_SS_FEATURES}};

	assert_int_equal(ktls__sys_ethtool("eth0", &u), 0);
	assert_int_equal(u.info.sset_mask, 1 << ETH_SS_FEATURES);
	return u.room[sizeof(u.info) / sizeof(u.room[0])];
}

/* 1 active, 2 available; -1: the interface has no such feature */
static int feature(const char *ifname, const char *name, uint32_t blocks)
{
	static union {
		struct ethtool_gstrings head;
		char room[sizeof(struct ethtool_gstrings) +
			  FAKE_FEATURES * ETH_GSTRING_LEN];
	} s;
	union {
		struct ethtool_gfeatures head;
		uint32_t room[2 + 4 * 4]; /* of four blocks */
	} f;

	memset(&f, 0, sizeof(f));
	f.head.cmd = ETHTOOL_GFEATURES;
	f.head.size = blocks;
	s.head.cmd = ETHTOOL_GSTRINGS;
	s.head.string_set = ETH_SS_FEATURES;
	s.head.len = FAKE_FEATURES;
	assert_int_equal(ktls__sys_ethtool(ifname, &s), 0);
	assert_int_equal(ktls__sys_ethtool(ifname, &f), 0);
	assert_int_equal(f.head.size, (fake_net.features + 31) / 32);
	for (size_t i = 0; i < s.head.len; i++) {
		/* available, requested, active, never changed */
		const uint32_t *block = f.room + 2 + i / 32 * 4;

		if (strcmp(s.room + sizeof(s.head) + i * ETH_GSTRING_LEN,
			   name) == 0)
			return (int)((block[2] >> i % 32 & 1) |
				     (block[0] >> i % 32 & 1) << 1);
	}
	return -1;
}

static void features_are_in_two_blocks(void **state)
{
	(void)state;
	assert_int_equal(count_features(), FAKE_FEATURES);
	assert_int_equal(feature("eth0", "tls-hw-tx-offload", 2), 0);
	assert_int_equal(feature("eth0", "rx-checksum", 2), 3);
	fake_net.links[1].available = 7;
	fake_net.links[1].features = 5;
	assert_int_equal(feature("eth0", "tls-hw-tx-offload", 2), 3);
	assert_int_equal(feature("eth0", "tls-hw-rx-offload", 2), 2);
	assert_int_equal(feature("eth0", "tls-hw-record", 2), 3);
	assert_int_equal(feature("lo", "tls-hw-tx-offload", 2), 0);
	/* no more than there is room for */
	assert_int_equal(feature("eth0", "tls-hw-tx-offload", 1), 0);
	fake_net.no_hw_record = true;
	assert_int_equal(feature("eth0", "tls-hw-record", 2), -1);
	fake_net.features = 20;
	assert_int_equal(count_features(), 20);
	assert_int_equal(feature("eth0", "tls-hw-tx-offload", 2), -1);
	assert_int_equal(feature("eth0", "tls-hw-rx-offload", 2), 2);
}

static void drivers_have_names(void **state)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	uint32_t cmd = ETHTOOL_GLINK;

	(void)state;
	assert_int_equal(ktls__sys_ethtool("eth1", &info), 0);
	assert_string_equal(info.driver, "mlx5_core");
	assert_int_equal(ktls__sys_ethtool("lo", &info), -EOPNOTSUPP);
	assert_int_equal(ktls__sys_ethtool("eth9", &info), -ENODEV);
	assert_int_equal(ktls__sys_ethtool("eth0", &cmd), -EOPNOTSUPP);
	fake_net.links[1].ethtool_errno = EPERM;
	assert_int_equal(ktls__sys_ethtool("eth0", &info), -EPERM);
	assert_int_equal(fake_count(FAKE_ETHTOOL), 5);
}

static void files_are_read_whole(void **state)
{
	char buf[20];

	(void)state;
	assert_int_equal(ktls__sys_load("/proc/crypto", buf, 20), -ENOENT);
	fake_net.texts[0].path = "/proc/other";
	fake_net.texts[0].text = "";
	fake_net.texts[1].path = "/proc/crypto";
	fake_net.texts[1].text = "name : gcm(aes)";
	assert_int_equal(ktls__sys_load("/proc/crypto", buf, 20), 15);
	assert_string_equal(buf, "name : gcm(aes)");
	assert_int_equal(ktls__sys_load("/proc/crypto", buf, 5), 4);
	assert_string_equal(buf, "name");
	assert_int_equal(ktls__sys_load("/proc/other", buf, 1), 0);
	assert_string_equal(buf, "");
	fake_fail(FAKE_LOAD, 1, EACCES);
	assert_int_equal(ktls__sys_load("/proc/crypto", buf, 5), -EACCES);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(route_has_its_interface), T(links_come_in_several_datagrams),
	T(one_link_is_found),	    T(features_are_in_two_blocks),
	T(drivers_have_names),	    T(files_are_read_whole),
};

KTEST_MAIN("fakesys_nic", tests)
