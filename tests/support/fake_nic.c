/* SPDX-License-Identifier: MIT */
/* ethtool of the model, by its ioctl, and files that are read whole. */
#include "fake_seam.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <stdio.h>
#include <string.h>

enum {
	HW_TX = 1, /* enum ktls_nic_feature */
	HW_RX = 2,
	HW_RECORD = 4,
	PER_BLOCK = 32
};

/*
 * Their numbers are not the same in any two versions of Linux; here they are
 * in both blocks.
 */
static const struct {
	size_t number;
	const char *name;
	unsigned int bit;
} named[] = {
	{3, "tx-checksum-ip-generic", 0}, {17, "tls-hw-rx-offload", HW_RX},
	{31, "rx-checksum", 0},		  {32, "tls-hw-tx-offload", HW_TX},
	{60, "tls-hw-record", HW_RECORD},
};

static const char *feature(size_t number, unsigned int *bit)
{
	*bit = 0;
	for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++) {
		if (named[i].number != number)
			continue;
		if (named[i].bit == HW_RECORD && fake_net.no_hw_record)
			continue;
		*bit = named[i].bit;
		return named[i].name;
	}
	/* there are names that begin with others' */
	return number == 5 ? "tls-hw-tx-offload-x" : number == 9 ? "" : "other";
}

/* net/ethtool/ioctl.c, ethtool_get_sset_info() */
static int get_sset_info(struct ethtool_sset_info *info)
{
	const bool asked = info->sset_mask >> ETH_SS_FEATURES & 1;

	info->sset_mask = asked ? 1u << ETH_SS_FEATURES : 0;
	if (asked)
		info->data[0] = (uint32_t)fake_net.features;
	return 0;
}

/* ethtool_get_strings(): as many as there are, whatever the caller has */
static int get_strings(struct ethtool_gstrings *strings)
{
	unsigned int bit;

	if (strings->string_set != ETH_SS_FEATURES)
		return -EOPNOTSUPP;
	strings->len = (uint32_t)fake_net.features;
	for (size_t i = 0; i < fake_net.features; i++) {
		uint8_t *to = strings->data + i * ETH_GSTRING_LEN;

		memset(to, 0, ETH_GSTRING_LEN);
		memcpy(to, feature(i, &bit), strlen(feature(i, &bit)));
	}
	return 0;
}

/* ethtool_get_features(): no more blocks than the caller has room for */
static int get_features(const struct fake_link *l, struct ethtool_gfeatures *f)
{
	const size_t blocks = (fake_net.features + PER_BLOCK - 1) / PER_BLOCK;
	const size_t room = f->size < blocks ? f->size : blocks;

	f->size = (uint32_t)blocks;
	memset(f->features, 0, room * sizeof(f->features[0]));
	for (size_t i = 0; i < room * PER_BLOCK; i++) {
		struct ethtool_get_features_block *b =
			&f->features[i / PER_BLOCK];
		const uint32_t mask = 1u << i % PER_BLOCK;
		unsigned int bit;

		(void)feature(i, &bit);
		/* what has no bit of ours is on: who takes that is wrong */
		if (bit == 0 || (l->features & bit))
			b->active |= mask;
		if (bit == 0 || (l->available & bit))
			b->available |= mask;
		b->requested = b->active;
	}
	return 0;
}

static int get_driver(const struct fake_link *l, struct ethtool_drvinfo *info)
{
	if (!l->driver)
		return -EOPNOTSUPP;
	memset(info, 0, sizeof(*info));
	info->cmd = ETHTOOL_GDRVINFO;
	snprintf(info->driver, sizeof(info->driver), "%s", l->driver);
	return 0;
}

static const struct fake_link *link_of(const char *name)
{
	for (size_t i = 0; i < FAKE_LINKS && fake_net.links[i].index; i++)
		if (strcmp(fake_net.links[i].name, name) == 0)
			return &fake_net.links[i];
	return NULL;
}

static int ethtool(const char *name, void *request)
{
	const struct fake_link *l = link_of(name);
	uint32_t cmd;

	if (!l)
		return -ENODEV;
	if (l->ethtool_errno)
		return -l->ethtool_errno;
	memcpy(&cmd, request, sizeof(cmd));
	if (cmd == ETHTOOL_GSSET_INFO)
		return get_sset_info(request);
	if (cmd == ETHTOOL_GSTRINGS)
		return get_strings(request);
	if (cmd == ETHTOOL_GFEATURES)
		return get_features(l, request);
	if (cmd == ETHTOOL_GDRVINFO)
		return get_driver(l, request);
	return -EOPNOTSUPP;
}

int ktls__sys_ethtool(const char *ifname, void *request)
{
	int r = fake_enter(FAKE_ETHTOOL);

	if (r == 0)
		r = ethtool(ifname, request);
	return (int)fake_leave(r);
}

ssize_t ktls__sys_load(const char *path, char *buf, size_t size)
{
	ssize_t r = fake_enter(FAKE_LOAD);
	size_t i = 0;

	if (r == 0) {
		while (i < FAKE_TEXTS && fake_net.texts[i].path &&
		       strcmp(fake_net.texts[i].path, path) != 0)
			i++;
		if (i == FAKE_TEXTS || !fake_net.texts[i].path)
			r = -ENOENT;
	}
	if (r == 0) {
		const char *text = fake_net.texts[i].text;
		size_t n = strlen(text);

		if (n > size - 1)
			n = size - 1;
		memcpy(buf, text, n);
		buf[n] = '\0';
		r = (ssize_t)n;
	}
	return fake_leave(r);
}
