/* SPDX-License-Identifier: MIT */
/*
 * What a network interface, or the one that a connection's packets leave by,
 * offers to kernel TLS. Stacked interfaces are followed down to the hardware.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <ktls/ktls.h>

#include "compat.h"
#include "netlink.h"
#include "sys.h"

enum {
	DEPTH = 8,	     /* net/core/dev.h, MAX_NEST_DEV */
	FEATURES_MAX = 1024, /* the kernel has 64 bits of them today */
	/* include/uapi/linux/if_bonding.h */
	BOND_XOR = 2,
	BOND_8023AD = 4,
	BOND_LAYER34 = 1
};

struct link {
	int index;
	int below;  /* IFLA_LINK, when it is in this namespace */
	int master; /* what it is a port of */
	unsigned int flags;
	char name[IF_NAMESIZE];
	char kind[16];
	unsigned int bond_mode;
	unsigned int bond_policy;
};

/* The first link that matches: by name, by index or by its master. */
struct search {
	const char *name;
	int index;
	int master;
	struct link *found;
};

static void copy_text(char *to, size_t size, struct ktls__attrs a)
{
	const size_t n = a.len < size ? a.len : size - 1;

	memset(to, 0, size);
	if (a.p)
		memcpy(to, a.p, n);
	to[size - 1] = '\0';
}

static int look_at_link(void *arg, const struct nlmsghdr *answer)
{
	const struct search *s = arg;
	struct ktls__attrs all, info, data;
	struct ifinfomsg m;
	struct link *l = s->found;

	if (answer->nlmsg_type != RTM_NEWLINK ||
	    answer->nlmsg_len < NLMSG_LENGTH(sizeof(m)))
		return 0;
	memcpy(&m, NLMSG_DATA(answer), sizeof(m));
	all = ktls__netlink_attrs(answer, sizeof(m));
	memset(l, 0, sizeof(*l));
	l->index = m.ifi_index;
	l->flags = m.ifi_flags;
	copy_text(l->name, sizeof(l->name),
		  ktls__netlink_find(all, IFLA_IFNAME, 1));
	l->master = (int)ktls__netlink_number(all, IFLA_MASTER, 0);
	/* of another namespace it would be somebody else's number */
	if (!ktls__netlink_find(all, IFLA_LINK_NETNSID, 0).p)
		l->below = (int)ktls__netlink_number(all, IFLA_LINK, 0);
	info = ktls__netlink_find(all, IFLA_LINKINFO, 0);
	copy_text(l->kind, sizeof(l->kind),
		  ktls__netlink_find(info, IFLA_INFO_KIND, 1));
	data = ktls__netlink_find(info, IFLA_INFO_DATA, 0);
	if (strcmp(l->kind, "bond") == 0) {
		l->bond_mode = ktls__netlink_number(data, IFLA_BOND_MODE, 0);
		l->bond_policy =
			ktls__netlink_number(data, IFLA_BOND_XMIT_HASH_POLICY, 0);
	}
	return s->name	  ? strcmp(s->name, l->name) == 0
	       : s->index ? s->index == l->index
			  : s->master == l->master;
}

static int find_link(const struct search *s)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg m;
	} q;
	int r;

	memset(&q, 0, sizeof(q));
	q.h.nlmsg_len = sizeof(q);
	q.h.nlmsg_type = RTM_GETLINK;
	q.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	r = ktls__netlink(NETLINK_ROUTE, &q, sizeof(q), look_at_link,
			  (void *)(uintptr_t)s);
	return r == 0 ? -ENODEV : r > 0 ? 0 : r;
}

static bool has_ports(const struct link *l)
{
	return strcmp(l->kind, "bond") == 0 || strcmp(l->kind, "bridge") == 0 ||
	       strcmp(l->kind, "team") == 0;
}

/*
 * From *l down. drivers/net/bonding/bond_main.c, bond_sk_check() and
 * net/core/dev.c, netdev_sk_get_lowest_dev(): what a socket is taken to.
 */
static int descend(struct link *l, uint32_t *reached)
{
	*reached = 1;
	for (int depth = 0; depth < DEPTH; depth++) {
		struct link next;
		struct search s = {.found = &next};
		int r;

		if (has_ports(l))
			s.master = l->index;
		else if (l->below != 0 && l->below != l->index)
			s.index = l->below;
		else
			return 0;
		r = find_link(&s);
		/* no ports yet, or not ours to see: this is the end */
		if (r == -ENODEV)
			return 0;
		if (r < 0)
			return r;
		/* two ends of a cable, each the other's link */
		if (next.below == l->index)
			return 0;
		if (strcmp(l->kind, "bond") != 0 ||
		    l->bond_policy != BOND_LAYER34 ||
		    (l->bond_mode != BOND_XOR && l->bond_mode != BOND_8023AD))
			*reached = 0;
		*l = next;
	}
	return -ELOOP;
}

static const struct {
	const char *name; /* net/ethtool/common.c, netdev_features_strings */
	uint32_t bit;
} known[] = {
	{"tls-hw-tx-offload", KTLS_NIC_HW_TX},
	{"tls-hw-rx-offload", KTLS_NIC_HW_RX},
	{"tls-hw-record", KTLS_NIC_HW_RECORD},
};

static uint32_t feature_bit(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strncmp(known[i].name, name, ETH_GSTRING_LEN) == 0)
			return known[i].bit;
	return 0;
}

static int ask_features(struct ktls_nic *nic, struct ethtool_gstrings *names,
			struct ethtool_gfeatures *bits, uint32_t count)
{
	int r;

	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count;
	bits->cmd = ETHTOOL_GFEATURES;
	bits->size = (count + 31) / 32;
	r = ktls__sys_ethtool(nic->lower, names);
	if (r == 0)
		r = ktls__sys_ethtool(nic->lower, bits);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < count; i++) {
		const char *name =
			(const char *)names->data + i * ETH_GSTRING_LEN;
		const struct ethtool_get_features_block *b =
			&bits->features[i / 32];
		const uint32_t mask = 1U << i % 32;

		if (b->active & mask)
			nic->features |= feature_bit(name);
		if (b->available & mask)
			nic->available |= feature_bit(name);
	}
	return 0;
}

static int read_features(struct ktls_nic *nic)
{
	union {
		struct ethtool_sset_info info;
		uint8_t room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} set = {.info = {.cmd = ETHTOOL_GSSET_INFO,
			  .sset_mask = 1ULL << ETH_SS_FEATURES}};
	struct ethtool_gstrings *names;
	struct ethtool_gfeatures *bits;
	uint32_t count;
	int r = ktls__sys_ethtool(nic->lower, &set);

	/* a kind of interface without any */
	if (r == -EOPNOTSUPP)
		return 0;
	memcpy(&count, set.room + sizeof(set.info), sizeof(count));
	if (r < 0 || set.info.sset_mask == 0 || count > FEATURES_MAX)
		return r;
	names = calloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);
	bits = calloc(1, sizeof(*bits) +
				 (count / 32 + 1) * sizeof(bits->features[0]));
	r = names && bits ? ask_features(nic, names, bits, count) : -ENOMEM;
	free(names);
	free(bits);
	return r;
}

static int examine(struct link *l, struct ktls_nic *nic)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	int r;

	memcpy(nic->name, l->name, sizeof(nic->name));
	r = descend(l, &nic->reached);
	if (r < 0)
		return r;
	memcpy(nic->lower, l->name, sizeof(nic->lower));
	nic->up = (l->flags & IFF_UP) != 0;
	if (ktls__sys_ethtool(nic->lower, &driver) == 0) {
		memcpy(nic->driver, driver.driver, sizeof(nic->driver));
		nic->driver[sizeof(nic->driver) - 1] = '\0';
	}
	r = read_features(nic);
	/* net/tls/tls_main.c, tls_cipher_desc; tls_device.c: TLS 1.2 only */
	if (nic->features | nic->available)
		nic->tls12 = KTLS_AES_128_GCM | KTLS_AES_256_GCM;
	return r;
}

static int look_at_route(void *arg, const struct nlmsghdr *answer)
{
	struct ktls__attrs a = ktls__netlink_attrs(answer, sizeof(struct rtmsg));

	if (answer->nlmsg_type != RTM_NEWROUTE)
		return -EBADMSG;
	*(int *)arg = (int)ktls__netlink_number(a, RTA_OIF, 0);
	return 1;
}

struct route_question {
	struct nlmsghdr h;
	struct rtmsg m;
	uint8_t attrs[4 * 24];
};

static void add(struct route_question *q, unsigned short type, const void *p,
		size_t n)
{
	struct rtattr a = {.rta_len = (unsigned short)RTA_LENGTH(n),
			   .rta_type = type};
	uint8_t *to = (uint8_t *)q + q->h.nlmsg_len;

	memcpy(to, &a, sizeof(a));
	memcpy(to + sizeof(a), p, n);
	q->h.nlmsg_len += (uint32_t)RTA_ALIGN(a.rta_len);
}

/* The address in its shortest form, and its size. */
static size_t address(const struct sockaddr_storage *from, uint8_t to[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (from->ss_family == AF_INET) {
		memcpy(&in, from, sizeof(in));
		memcpy(to, &in.sin_addr, 4);
		return 4;
	}
	memcpy(&in6, from, sizeof(in6));
	memcpy(to, &in6.sin6_addr, 16);
	if (memcmp(to, mapped, sizeof(mapped)) != 0)
		return 16;
	memmove(to, to + sizeof(mapped), 4);
	return 4;
}

static int route_of(int fd, int *index)
{
	struct route_question q;
	struct ktls__ends ends;
	uint8_t src[16], dst[16];
	int mark = 0, r = ktls__netlink_ends(fd, &ends);
	socklen_t len = sizeof(mark);
	size_t n;

	if (r < 0)
		return r;
	memset(&q, 0, sizeof(q));
	q.h.nlmsg_len = NLMSG_LENGTH(sizeof(q.m));
	q.h.nlmsg_type = RTM_GETROUTE;
	q.h.nlmsg_flags = NLM_F_REQUEST;
	n = address(&ends.peer, dst);
	q.m.rtm_family = n == 4 ? AF_INET : AF_INET6;
	q.m.rtm_dst_len = (unsigned char)(n * 8);
	add(&q, RTA_DST, dst, n);
	if (address(&ends.local, src) == n) {
		q.m.rtm_src_len = (unsigned char)(n * 8);
		add(&q, RTA_SRC, src, n);
	}
	if (ends.ifindex != 0)
		add(&q, RTA_OIF, &ends.ifindex, sizeof(ends.ifindex));
	if (ktls__sys_getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &len) == 0 &&
	    mark != 0)
		add(&q, RTA_MARK, &mark, sizeof(mark));
	r = ktls__netlink(NETLINK_ROUTE, &q, q.h.nlmsg_len, look_at_route, index);
	if (r <= 0)
		return r == 0 ? -EBADMSG : r;
	/* another namespace has other routes; before Linux 5.14 nobody knows */
	r = ktls__netlink_own(fd);
	return r == 0 ? -EXDEV : r < 0 && r != -ENOPROTOOPT ? r : 0;
}

static int nic_probe(const char *ifname, int fd, struct ktls_nic *nic)
{
	struct ktls_nic n = {.size = sizeof(n)};
	struct link link;
	struct search s = {.name = ifname, .found = &link};
	int r = 0;

	if (!nic || nic->size < sizeof(n))
		return -EINVAL;
	if (!ifname)
		r = route_of(fd, &s.index);
	if (r == 0)
		r = !ifname && s.index == 0 ? -ENODEV : find_link(&s);
	if (r == 0)
		r = examine(&link, &n);
	if (r < 0)
		return r;
	memset(nic, 0, nic->size);
	memcpy(nic, &n, sizeof(n));
	return 0;
}

int ktls_nic_probe(const char *ifname, int fd, struct ktls_nic *nic)
{
	const int r = nic_probe(ifname, fd, nic);

	if (r == 0)
		return 0;
	errno = -r;
	return -1;
}
