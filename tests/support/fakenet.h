/* SPDX-License-Identifier: MIT */
/*
 * The model's network: interfaces, routes, small files, and what netlink and
 * ethtool say. Tests write to fake_net; fake_reset() makes it what most hosts
 * have, a loopback and one interface that knows nothing of TLS.
 */
#ifndef FAKENET_H
#define FAKENET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAKE_LINKS = 12, FAKE_TEXTS = 4, FAKE_FEATURES = 61 };

struct fake_link {
	int index;	  /* 0: the table ends */
	const char *name; /* 15 characters at most */
	int link;	  /* IFLA_LINK, 0: none */
	int master;	  /* IFLA_MASTER, 0: none */
	const char *kind; /* IFLA_INFO_KIND, NULL: none */
	int bond_mode;	  /* where kind is "bond" */
	int bond_policy;  /* its xmit_hash_policy */
	bool down;

	const char *driver;    /* NULL: ETHTOOL_GDRVINFO is EOPNOTSUPP */
	unsigned int features; /* enum ktls_nic_feature: active */
	unsigned int available;
	int ethtool_errno; /* of every request */
};

struct fake_net {
	struct fake_link links[FAKE_LINKS];
	size_t links_per_recv; /* messages of a dump in one datagram */
	int links_errno;
	int route_if;	   /* RTA_OIF of every route; 0: none in the answer */
	int route_errno;   /* there is no route */
	bool no_hw_record; /* "tls-hw-record" is gone: Linux 7.2 */
	size_t features;   /* of ETH_SS_FEATURES, up to FAKE_FEATURES */

	bool not_admin; /* before 7.2: no ULP info without CAP_NET_ADMIN */
	int diag_errno;

	/* of all netlink */
	bool nested;	/* nests say NLA_F_NESTED: newer parts of it do */
	bool silent;	/* there is no answer */
	size_t cut;	/* of a datagram no more than these bytes come */
	size_t flip_at; /* and the byte at this place is not what it was */
	uint8_t flip_with;
	/* may change a datagram, or its length, which is at most max */
	void (*garble)(uint8_t *msg, size_t *n, size_t max);

	/* what ktls__sys_load() finds */
	struct {
		const char *path, *text;
	} texts[FAKE_TEXTS];
};
extern struct fake_net fake_net;

/* The port that a socket of the model is bound to. */
uint16_t fake_port(int fd);

#endif
