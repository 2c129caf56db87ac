/* SPDX-License-Identifier: MIT */
/* The simulated NIC of nicsim/: its namespaces, parameters and counters. */
#include "vmnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <linux/tls.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PARAMETERS "/sys/module/nicsim/parameters/"

enum { FAR = (int)0xc0000202 /* 192.0.2.2 */ };

bool vt_nic_used;

const char *vt_nic_name(int end)
{
	return end ? "ktls-far" : "ktls-near";
}

static bool namespaces(void)
{
	static const char *const commands[] = {
		"ip netns add ktls-near",
		"ip netns add ktls-far",
		"ip link set nicsim0 netns ktls-near",
		"ip link set nicsim1 netns ktls-far",
		"ip -n ktls-near link set lo up",
		"ip -n ktls-near addr add 192.0.2.1/24 dev nicsim0",
		"ip -n ktls-near link set nicsim0 up",
		"ip -n ktls-far addr add 192.0.2.2/24 dev nicsim1",
		"ip -n ktls-far link set nicsim1 up",
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!vt_shell(commands[i]))
			return false;
	return true;
}

int vt_nic_make(void)
{
	if (access(PARAMETERS "loss", W_OK) < 0)
		return errno;
	/* a program before this one may have made them */
	if (access("/run/netns/ktls-far", F_OK) < 0 && !namespaces())
		return ENODEV;
	close(vt_far_enter(vt_nic_name(0)));
	vt_nic_used = true;
	return 0;
}

int vt_nic_enter(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	MUST(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	return vt_far_enter(vt_nic_name((int)ntohl(a.sin_addr.s_addr) == FAR));
}

bool vt_nic_offloads(const struct vt_suite *s)
{
	return s->version == TLS1_2_VERSION &&
	       (s->kernel_id == TLS_CIPHER_AES_GCM_128 ||
		s->kernel_id == TLS_CIPHER_AES_GCM_256);
}

uint32_t vt_nic_mode(bool device)
{
	return device ? KTLS_MODE_DEVICE : KTLS_MODE_KERNEL;
}

void vt_nic_read(struct vt_nic *n, int end)
{
	struct {
		const char *name;
		long *value;
	} row[] = {
		{"tx_added", &n->tx_added},   {"tx_removed", &n->tx_removed},
		{"rx_added", &n->rx_added},   {"rx_removed", &n->rx_removed},
		{"refused", &n->refused},     {"resync", &n->resync},
		{"encrypted", &n->encrypted}, {"clear", &n->clear},
		{"failed", &n->failed},	      {"data", &n->data},
		{"dropped", &n->dropped},
	};
	char path[64], name[32];
	size_t known = 0;
	FILE *f;
	long value;

	snprintf(path, sizeof(path), PARAMETERS "nicsim%d", end);
	f = fopen(path, "re");
	MUST(f != NULL);
	memset(n, 0, sizeof(*n));
	while (fscanf(f, "%31s %ld", name, &value) == 2)
		for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
			if (strcmp(name, row[i].name) == 0) {
				*row[i].value = value;
				known++;
			}
	fclose(f);
	MUST(known == sizeof(row) / sizeof(row[0]));
}

void vt_nic_set(const char *name, unsigned int value)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	f = fopen(path, "we");
	MUST(f != NULL);
	MUST(fprintf(f, "%u", value) > 0);
	MUST(fclose(f) == 0);
}

void vt_nic_shell(int end, const char *command)
{
	const int here = vt_far_enter(vt_nic_name(end));

	MUST(vt_shell(command));
	vt_far_leave(here);
}

void vt_nic_tso(bool on)
{
	for (int end = 0; end < 2; end++) {
		const int here = vt_far_enter(vt_nic_name(end));
		const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		struct ethtool_value value = {.cmd = ETHTOOL_STSO, .data = on};
		struct ifreq ifr = {.ifr_data = (void *)&value};

		snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "nicsim%d", end);
		MUST(s >= 0 && ioctl(s, SIOCETHTOOL, &ifr) == 0);
		value = (struct ethtool_value){.cmd = ETHTOOL_GTSO};
		MUST(ioctl(s, SIOCETHTOOL, &ifr) == 0 && value.data == on);
		close(s);
		vt_far_leave(here);
	}
}

void vt_nic_conf(struct vt_nic_conf *conf, int end, int fd)
{
	const int here = vt_far_enter(vt_nic_name(end));
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char command[80], line[1024];
	const char *at;
	FILE *f;

	memset(conf, 0, sizeof(*conf));
	MUST(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	snprintf(command, sizeof(command), "ss -tniH state all sport = :%d",
		 ntohs(a.sin_port));
	f = popen(command, "re");
	MUST(f != NULL);
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, "rxconf:");
		if (at)
			MUST(sscanf(at, "rxconf: %15s txconf: %15s", conf->rx,
				    conf->tx) == 2);
	}
	MUST(pclose(f) == 0);
	vt_far_leave(here);
}
