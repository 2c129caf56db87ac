/* SPDX-License-Identifier: MIT */
/* What a connection says of itself, and ktls_offload(), which changes it. */
#include <errno.h>
#include <string.h>

#include "account.h"
#include "device.h"
#include "keys.h"
#include "offload.h"
#include "policy.h"
#include "rekey.h"
#include "result.h"
#include "size.h"

static int offload(struct ktls_conn *c, int directions)
{
	static const int order[] = {KTLS_TX, KTLS_RX};
	int result = 0;

	if (!c || directions == 0 || (directions & ~(KTLS_TX | KTLS_RX)))
		return -EINVAL;
	for (size_t i = 0; i < 2; i++) {
		int r;

		if (!(directions & order[i]))
			continue;
		r = ktls__ready(c, order[i]);
		if (r == 0)
			r = ktls__offload(c, order[i]);
		/* each direction is tried; a refusal outweighs a delay */
		if (r < 0 && (result == 0 || result == -EAGAIN))
			result = r;
	}
	return result;
}

int ktls_offload(struct ktls_conn *c, int directions)
{
	ktls__enter(c);
	return (int)ktls__leave(c, offload(c, directions));
}

static int set_policy(struct ktls_conn *c, const struct ktls_policy *policy)
{
	struct ktls_policy p;
	int r = c && policy ? ktls__policy_read(policy, &p) : -EINVAL;

	if (r == 0 && c->detached)
		r = -ENOTCONN;
	/* where a direction is now is ktls_offload()'s to change */
	if (r == 0 && (p.tx != c->policy.tx || p.rx != c->policy.rx))
		r = -EINVAL;
	if (r < 0)
		return r;
	c->policy = p;
	ktls__offload_no_pad(c);
	ktls__device_zerocopy(c);
	ktls__rekey_limit(c, c->tx.mode == KTLS_MODE_KERNEL);
	return 0;
}

int ktls_set_policy(struct ktls_conn *c, const struct ktls_policy *policy)
{
	ktls__enter(c);
	return (int)ktls__leave(c, set_policy(c, policy));
}

static uint32_t sizing(const struct ktls_conn *c)
{
	if (c->tx.mode == KTLS_MODE_USER)
		return KTLS_SIZING_OPENSSL;
	return ktls__size_cut(c) ? KTLS_SIZING_CALLS : KTLS_SIZING_KERNEL;
}

static void fill_sizes(const struct ktls_conn *c, struct ktls_info *i)
{
	const bool kernel = c->tx.mode == KTLS_MODE_KERNEL;

	i->record_size_asked = c->policy.record_size;
	i->record_size = (uint32_t)ktls__size_record(c);
	i->record_limit = (uint32_t)c->record_peer;
	i->record_sizing = sizing(c);
	i->record_ramp = c->policy.record_ramp;
	i->stall_guard_asked = c->policy.stall_guard;
	i->stall_guard = kernel && c->policy.stall_guard != KTLS_OFF;
	if (kernel)
		i->file_call = ktls__size_file(c, 0, 0, c->policy.budget);
	i->notsent_lowat = (uint32_t)c->lowat_raised;
	i->guard_waits = c->guard_waits;
	i->guard_pushes = c->guard_pushes;
	i->expect_no_pad_asked = c->policy.expect_no_pad;
	i->expect_no_pad = c->no_pad;
}

static void fill(struct ktls_conn *c, int dir, struct ktls_dir_info *out)
{
	const struct ktls__half *h = ktls__half(c, dir);

	out->mode = ktls__device_mode(c, dir);
	out->reason = h->reason;
	out->asked = h->asked;
	out->sys_errno = h->sys_errno;
	out->call = h->call;
	out->bytes = h->bytes;
	out->kernel_bytes = h->kernel_bytes;
	out->rekeys = h->rekeys;
	out->key_records = ktls__rekey_records(c, dir);
	out->records = h->records + out->key_records;
	out->alerts = h->alerts;
	out->handshakes = h->handshakes;
	out->again = h->again;
}

static int get_info(struct ktls_conn *c, struct ktls_info *info)
{
	struct ktls_info i;
	int64_t n;

	/* the size that the first release had */
	if (!c || !info || info->size < sizeof(i))
		return -EINVAL;
	memset(&i, 0, sizeof(i));
	i.size = sizeof(i);
	if (c->ssl)
		ktls__keys_note(c);
	i.version = c->version;
	i.cipher = c->suite;
	i.cipher_name = c->suite_name;
	ktls__device_again(c);
	fill(c, KTLS_TX, &i.tx);
	fill(c, KTLS_RX, &i.rx);
	i.offload_after = c->policy.offload_after;
	i.budget = c->policy.budget;
	fill_sizes(c, &i);
	n = ktls__account_unsent(c);
	i.unsent = n > 0 ? (uint64_t)n : 0;
	n = ktls__account_unacked(c);
	i.unacked = n > 0 ? (uint64_t)n : 0;
	i.rekey_after_asked = c->policy.rekey_after;
	i.rekey_after = c->rekey_limit;
	i.rekey_unsupported = c->policy.rekey_unsupported;
	i.zerocopy_asked = c->policy.zerocopy;
	i.zerocopy = c->zerocopy;
	i.zerocopy_reason = ktls__device_reason(c);
	i.release_ssl_asked = c->policy.release_ssl;
	i.release_ssl = !c->ssl;
	memset(info, 0, info->size);
	memcpy(info, &i, sizeof(i));
	return 0;
}

int ktls_get_info(const struct ktls_conn *c, struct ktls_info *info)
{
	ktls__enter(c);
	/* what the kernel says is kept, behind the lock */
	return (int)ktls__leave(
		c, get_info((struct ktls_conn *)(uintptr_t)c, info));
}

static int get_error(const struct ktls_conn *c, struct ktls_error *error)
{
	struct ktls_error e;

	if (!c || !error || error->size < sizeof(e))
		return -EINVAL;
	memset(&e, 0, sizeof(e));
	e.size = sizeof(e);
	e.code = c->error.code;
	e.alert_sent = c->error.alert_sent;
	e.alert_received = c->error.alert_received;
	e.sys_errno = c->error.sys_errno;
	e.call = c->error.call;
	e.openssl = c->error.openssl;
	e.unsent = c->error.unsent;
	ktls__event_error(&c->error, e.text, sizeof(e.text));
	memset(error, 0, error->size);
	memcpy(error, &e, sizeof(e));
	return 0;
}

int ktls_get_error(const struct ktls_conn *c, struct ktls_error *error)
{
	ktls__enter(c);
	return (int)ktls__leave(c, get_error(c, error));
}
