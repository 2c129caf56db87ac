/* SPDX-License-Identifier: MIT */
/*
 * Makes the kernel's AES-GCM asynchronous, as hardware would: pcrypt gives the
 * work to other threads, cryptd to a work queue. Needs root and two modules.
 */
#include "vmtest.h"

#include <errno.h>
#include <linux/cryptouser.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TYPE_AEAD = 3, /* include/linux/crypto.h: CRYPTO_ALG_TYPE_AEAD */
	TYPE_MASK = 0xf,
	PRIORITY = 10000 /* above every driver's */
};

/* The driver that vt_async_start() made, or "". */
static char made[128];

bool vt_async_driver(struct vt_driver *d)
{
	FILE *f = fopen("/proc/crypto", "re");
	char line[256], key[32], value[128];
	struct vt_driver at = {.users = 0};
	bool gcm = false, best = false;
	int most = -1;

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%31s : %127s", key, value) != 2)
			continue;
		if (strcmp(key, "name") == 0) {
			gcm = strcmp(value, "gcm(aes)") == 0;
			best = false;
		} else if (strcmp(key, "driver") == 0) {
			memcpy(at.name, value, sizeof(at.name));
		} else if (gcm && strcmp(key, "priority") == 0 &&
			   atoi(value) > most) {
			most = atoi(value);
			*d = at;
			best = true;
		} else if (best && strcmp(key, "refcnt") == 0) {
			d->users = atoi(value);
		}
	}
	fclose(f);
	return most >= 0;
}

/* One message to the kernel's crypto API; 0 or errno */
static int tell(int what, const char *driver)
{
	struct {
		struct nlmsghdr h;
		struct crypto_user_alg alg;
		struct rtattr a;
		uint32_t priority;
	} q;
	union {
		struct nlmsghdr h;
		char buf[4096];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_CRYPTO);
	int e = EPROTONOSUPPORT;

	if (fd < 0)
		return errno;
	memset(&q, 0, sizeof(q));
	q.h.nlmsg_len = offsetof(typeof(q), a);
	q.h.nlmsg_type = (uint16_t)what;
	q.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	if (what == CRYPTO_MSG_NEWALG) {
		q.h.nlmsg_flags |= NLM_F_CREATE;
		q.h.nlmsg_len = sizeof(q);
		q.alg.cru_type = TYPE_AEAD;
		q.alg.cru_mask = TYPE_MASK;
		q.a.rta_type = CRYPTOCFGA_PRIORITY_VAL;
		q.a.rta_len = RTA_LENGTH(sizeof(q.priority));
		q.priority = PRIORITY;
	}
	snprintf(q.alg.cru_driver_name, sizeof(q.alg.cru_driver_name), "%s",
		 driver);
	if (send(fd, &q, q.h.nlmsg_len, 0) > 0 &&
	    recv(fd, &answer, sizeof(answer), 0) > 0 &&
	    answer.h.nlmsg_type == NLMSG_ERROR)
		e = -((struct nlmsgerr *)NLMSG_DATA(&answer.h))->error;
	close(fd);
	return e;
}

int vt_async_start(const char *with)
{
	/* cryptd takes only what is not asynchronous by name already */
	static const char generic[] =
		"gcm_base(ctr(aes-generic),ghash-generic)";
	struct vt_driver d;
	char name[sizeof(d.name) + 16];
	int e;

	if (getuid() != 0)
		return EPERM;
	if (!vt_async_driver(&d))
		return ENOENT;
	if (strncmp(d.name, "pcrypt(", 7) == 0 ||
	    strncmp(d.name, "cryptd(", 7) == 0)
		return 0;
	snprintf(name, sizeof(name), "%s(%s)", with,
		 strcmp(with, "cryptd") == 0 ? generic : d.name);
	if (strlen(name) >= sizeof(made))
		return ENAMETOOLONG;
	e = tell(CRYPTO_MSG_NEWALG, name);
	if (e)
		return e;
	memcpy(made, name, strlen(name) + 1);
	return vt_async_driver(&d) && strcmp(d.name, made) == 0 ? 0 : ENOTSUP;
}

bool vt_async_stop(void)
{
	struct vt_driver d;

	/* somebody else's stays */
	if (!made[0])
		return true;
	for (int i = 0; i < 100; i++) {
		if (vt_async_driver(&d) && strcmp(d.name, made) != 0) {
			made[0] = '\0';
			return true;
		}
		/* the last socket may still be on its way out */
		if (tell(CRYPTO_MSG_DELALG, made) != 0)
			vt_sleep_ms(20);
	}
	return false;
}
