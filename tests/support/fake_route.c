/* SPDX-License-Identifier: MIT */
/* NETLINK_ROUTE of the model: one route for all, and a table of links. */
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "fake_core.h"
#include "fake_netlink.h"

static void attr32(struct fake_answer *a, uint16_t type, int v)
{
	fake_attr(a, type, &v, sizeof(v));
}

static void put_kind(struct fake_answer *a, const struct fake_link *l)
{
	const size_t nest = fake_nest(a, IFLA_LINKINFO);

	fake_attr(a, IFLA_INFO_KIND, l->kind, strlen(l->kind) + 1);
	if (strcmp(l->kind, "bond") == 0) {
		const uint8_t mode = (uint8_t)l->bond_mode;
		const uint8_t policy = (uint8_t)l->bond_policy;
		const size_t data = fake_nest(a, IFLA_INFO_DATA);

		fake_attr(a, IFLA_BOND_MODE, &mode, 1);
		attr32(a, IFLA_BOND_MIIMON, 100);
		fake_attr(a, IFLA_BOND_XMIT_HASH_POLICY, &policy, 1);
		fake_nest_end(a, data);
	}
	fake_nest_end(a, nest);
}

static void put_link(struct fake_answer *a, const struct fake_link *l,
		     uint16_t flags)
{
	const struct ifinfomsg m = {
		.ifi_type = ARPHRD_ETHER,
		.ifi_index = l->index,
		.ifi_flags = l->down ? IFF_BROADCAST : IFF_BROADCAST | IFF_UP,
	};
	static const struct rtnl_link_stats64 stats;

	fake_message(a, RTM_NEWLINK, flags, &m, sizeof(m));
	fake_attr(a, IFLA_IFNAME, l->name, strlen(l->name) + 1);
	attr32(a, IFLA_MTU, 1500);
	if (l->link)
		attr32(a, IFLA_LINK, l->link);
	if (l->master)
		attr32(a, IFLA_MASTER, l->master);
	fake_attr(a, IFLA_STATS64, &stats, sizeof(stats));
	if (l->kind)
		put_kind(a, l);
}

static int dump_links(struct fake_answer *a)
{
	size_t i = 0;

	for (; i < FAKE_LINKS && fake_net.links[i].index; i++) {
		put_link(a, &fake_net.links[i], NLM_F_MULTI);
		if ((i + 1) % fake_net.links_per_recv == 0)
			fake_queue(a);
	}
	/* NLMSG_DONE comes alone, or behind the last ones */
	fake_message(a, NLMSG_DONE, NLM_F_MULTI, &(int){0}, sizeof(int));
	fake_queue(a);
	return 0;
}

static int get_link(struct fake_answer *a, const struct nlmsghdr *h)
{
	struct ifinfomsg m;
	const char *name = fake_attr_of(h, sizeof(m), IFLA_IFNAME, 1);

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(m)))
		return -EINVAL;
	if (fake_net.links_errno)
		return -fake_net.links_errno;
	if ((h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP)
		return dump_links(a);
	memcpy(&m, NLMSG_DATA(h), sizeof(m));
	if (m.ifi_index <= 0 && !name)
		return -EINVAL;
	for (size_t i = 0; i < FAKE_LINKS && fake_net.links[i].index; i++) {
		const struct fake_link *l = &fake_net.links[i];

		if (m.ifi_index > 0 ? l->index != m.ifi_index
				    : strcmp(l->name, name) != 0)
			continue;
		put_link(a, l, 0);
		fake_queue(a);
		return 0;
	}
	return -ENODEV;
}

/* net/ipv4/route.c, inet_rtm_getroute(), and the same of net/ipv6 */
static int get_route(struct fake_answer *a, const struct nlmsghdr *h)
{
	struct rtmsg m;
	const size_t length = sizeof(struct in6_addr);

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(m)))
		return -EINVAL;
	memcpy(&m, NLMSG_DATA(h), sizeof(m));
	if (m.rtm_family != AF_INET && m.rtm_family != AF_INET6)
		return -EOPNOTSUPP;
	if (h->nlmsg_flags & NLM_F_DUMP)
		fake_broken("all routes of the host are asked for");
	if (!fake_attr_of(h, sizeof(m), RTA_DST,
			  m.rtm_family == AF_INET ? 4 : length))
		fake_broken("a route to no address");
	if (fake_net.route_errno)
		return -fake_net.route_errno;
	m.rtm_table = RT_TABLE_MAIN;
	fake_message(a, RTM_NEWROUTE, 0, &m, sizeof(m));
	attr32(a, RTA_TABLE, RT_TABLE_MAIN);
	if (fake_net.route_if)
		attr32(a, RTA_OIF, fake_net.route_if);
	fake_queue(a);
	return 0;
}

int fake_route(struct fake_answer *a, const struct nlmsghdr *h)
{
	if (h->nlmsg_type == RTM_GETLINK)
		return get_link(a, h);
	if (h->nlmsg_type == RTM_GETROUTE)
		return get_route(a, h);
	return -EOPNOTSUPP;
}
