/* SPDX-License-Identifier: MIT */
/* Whether a NIC has the keys that the kernel was given, and what follows. */
#include "device.h"

#include <errno.h>
#include <stdatomic.h>

#include "diag.h"
#include "netlink.h"
#include "sys.h"

/* Modules that are missing, or a capability, may come. */
enum { REMEMBER_MS = 10000 };

/*
 * Where sock_diag is not for us: a counter of the namespace that is 0 says
 * that no connection was given to a NIC, ever (net/tls/tls_main.c,
 * do_tls_setsockopt_conf()).
 */
static uint32_t by_counter(const char *stat, const char *name)
{
	const char *p = strstr(stat, name);

	/* one name begins like another, and its value cannot be left out */
	for (; p; p = strstr(p + 1, name)) {
		const char *value = p + strlen(name);

		if (*value != ' ' && *value != '\t')
			continue;
		value += strspn(value, " \t");
		return value[0] == '0' && value[1] == '\n' ? KTLS_MODE_KERNEL
							   : KTLS_MODE_UNKNOWN;
	}
	return KTLS_MODE_UNKNOWN;
}

/* What is known stays: the answer for the other direction may be a lesser one. */
static void note(struct ktls__half *h, uint32_t mode)
{
	if (h->mode != KTLS_MODE_USER && h->told == KTLS_MODE_USER)
		h->told = (uint8_t)mode;
}

static void ask(struct ktls_conn *c)
{
	static _Atomic int64_t refused_until;
	struct ktls__ends ends;
	struct ktls__diag d;
	char stat[2048];
	bool own;
	int64_t until = refused_until;
	int r = -EPERM;

	if (ktls__sys_now() >= until) {
		r = ktls__diag(c->fd, &d);
		until = ktls__sys_now() + REMEMBER_MS;
	}
	if (r == 0) {
		note(&c->tx, d.tx_device ? KTLS_MODE_DEVICE : KTLS_MODE_KERNEL);
		note(&c->rx, d.rx_device ? KTLS_MODE_DEVICE : KTLS_MODE_KERNEL);
		return;
	}
	/* the next question may be answered */
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOBUFS)
		return;
	/* what another namespace has counted is not about this connection */
	own = ktls__netlink_own(c->fd) > 0;
	/* of this thread, as the sockets that it makes are */
	if (!own || ktls__sys_load("/proc/thread-self/net/tls_stat", stat,
				   sizeof(stat)) < 0)
		*stat = '\0';
	/* there is no answer about a connection that is gone, either */
	if (own && (r == -EPERM ||
		    (r == -ENOENT && ktls__netlink_ends(c->fd, &ends) == 0)))
		refused_until = until;
	note(&c->tx, by_counter(stat, "TlsTxDevice"));
	note(&c->rx, by_counter(stat, "TlsRxDevice"));
}

uint32_t ktls__device_mode(struct ktls_conn *c, int dir)
{
	struct ktls__half *h = ktls__half(c, dir);

	if (h->mode == KTLS_MODE_USER)
		return KTLS_MODE_USER;
	if (h->told == KTLS_MODE_USER)
		ask(c);
	return h->told == KTLS_MODE_USER ? KTLS_MODE_UNKNOWN : h->told;
}

void ktls__device_again(struct ktls_conn *c)
{
	if (c->tx.told == KTLS_MODE_UNKNOWN)
		c->tx.told = KTLS_MODE_USER;
	if (c->rx.told == KTLS_MODE_UNKNOWN)
		c->rx.told = KTLS_MODE_USER;
}

static int set(struct ktls_conn *c, int on)
{
	const int r = ktls__sys_setsockopt(
		c->fd, KTLS__SOL_TLS, KTLS__TLS_TX_ZEROCOPY_RO, &on, sizeof(on));

	if (r == 0)
		c->zerocopy = on;
	return r;
}

static uint32_t switch_on(struct ktls_conn *c)
{
	struct ktls__diag d;
	int r;

	switch (ktls__device_mode(c, KTLS_TX)) {
	case KTLS_MODE_UNKNOWN:
		return KTLS_REASON_NO_DIAG;
	case KTLS_MODE_KERNEL:
		return KTLS_REASON_NO_DEVICE;
	}
	r = set(c, 1);
	if (r < 0)
		return r == -ENOPROTOOPT ? KTLS_REASON_NO_KERNEL
					 : KTLS_REASON_SYSTEM;
	r = ktls__diag(c->fd, &d);
	if (r == 0 && d.zerocopy)
		return KTLS_REASON_NONE;
	/* what the kernel does not confirm must not be in effect either */
	(void)set(c, 0);
	return r < 0 ? KTLS_REASON_NO_DIAG : KTLS_REASON_NO_DEVICE;
}

void ktls__device_zerocopy(struct ktls_conn *c)
{
	if (c->tx.mode == KTLS_MODE_USER)
		return;
	ktls__device_again(c);
	if (!c->policy.zerocopy && c->zerocopy)
		(void)set(c, 0);
	else if (c->policy.zerocopy && !c->zerocopy)
		c->zerocopy_reason = switch_on(c);
}

uint32_t ktls__device_reason(const struct ktls_conn *c)
{
	if (c->zerocopy)
		return KTLS_REASON_NONE;
	if (!c->policy.zerocopy)
		return KTLS_REASON_POLICY;
	return c->tx.mode == KTLS_MODE_USER ? c->tx.reason : c->zerocopy_reason;
}
