/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-close: makes the kernel's AES-GCM asynchronous, as hardware would:
 * pcrypt gives the work to other threads. Needs root and two modules.
 */
#include "close.h"

#include <linux/cryptouser.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TYPE_AEAD = 3, /* include/linux/crypto.h: CRYPTO_ALG_TYPE_AEAD */
	TYPE_MASK = 0xf
};

/* The driver that gcm(aes) is at present, the one of the highest priority. */
static bool find_driver(char *driver, size_t size)
{
	FILE *f = fopen("/proc/crypto", "re");
	char line[256], key[32], value[128], this_driver[128] = "";
	bool gcm = false;
	int best = -1;

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%31s : %127s", key, value) != 2)
			continue;
		if (strcmp(key, "name") == 0)
			gcm = strcmp(value, "gcm(aes)") == 0;
		else if (strcmp(key, "driver") == 0)
			memcpy(this_driver, value, sizeof(this_driver));
		else if (gcm && strcmp(key, "priority") == 0 &&
			 atoi(value) > best) {
			best = atoi(value);
			snprintf(driver, size, "%s", this_driver);
		}
	}
	fclose(f);
	return best >= 0;
}

/* One message to the kernel's crypto API; 0 or errno */
static int tell(int what, const char *driver)
{
	struct {
		struct nlmsghdr h;
		struct crypto_user_alg alg;
	} q;
	union {
		struct nlmsghdr h;
		char buf[4096];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_CRYPTO);
	int e = -1;

	if (fd < 0)
		return -1;
	memset(&q, 0, sizeof(q));
	q.h.nlmsg_len = sizeof(q);
	q.h.nlmsg_type = (uint16_t)what;
	q.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	if (what == CRYPTO_MSG_NEWALG) {
		q.h.nlmsg_flags |= NLM_F_CREATE;
		q.alg.cru_type = TYPE_AEAD;
		q.alg.cru_mask = TYPE_MASK;
	}
	snprintf(q.alg.cru_driver_name, sizeof(q.alg.cru_driver_name), "%s",
		 driver);
	if (send(fd, &q, sizeof(q), 0) > 0 &&
	    recv(fd, &answer, sizeof(answer), 0) > 0 &&
	    answer.h.nlmsg_type == NLMSG_ERROR)
		e = -((struct nlmsgerr *)NLMSG_DATA(&answer.h))->error;
	close(fd);
	return e;
}

bool vt_async_start(void)
{
	char driver[64], name[80];

	if (getuid() != 0 || !find_driver(driver, sizeof(driver)))
		return false;
	if (strncmp(driver, "pcrypt(", 7) == 0)
		return true;
	snprintf(name, sizeof(name), "pcrypt(%s)", driver);
	if (tell(CRYPTO_MSG_NEWALG, name) != 0)
		return false;
	return find_driver(driver, sizeof(driver)) &&
	       strncmp(driver, "pcrypt(", 7) == 0;
}

bool vt_async_stop(void)
{
	char driver[64];

	for (int i = 0; i < 100; i++) {
		if (find_driver(driver, sizeof(driver)) &&
		    strncmp(driver, "pcrypt(", 7) != 0)
			return true;
		/* the last socket may still be on its way out */
		if (tell(CRYPTO_MSG_DELALG, driver) != 0)
			vt_sleep_ms(20);
	}
	return false;
}
