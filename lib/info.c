/* SPDX-License-Identifier: MIT */
/* What a connection says of itself, and ktls_offload(), which changes it. */
#include <errno.h>
#include <string.h>

#include "account.h"
#include "offload.h"
#include "result.h"

int ktls_offload(struct ktls_conn *c, int directions)
{
	static const int order[] = {KTLS_TX, KTLS_RX};
	int result = 0;

	if (!c || directions == 0 || (directions & ~(KTLS_TX | KTLS_RX)))
		return (int)ktls__return(-EINVAL);
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
	return (int)ktls__return(result);
}

static void fill(const struct ktls__half *h, struct ktls_dir_info *out)
{
	out->mode = h->mode;
	out->reason = h->reason;
	out->asked = h->asked;
	out->sys_errno = h->sys_errno;
	out->call = h->call;
	out->bytes = h->bytes;
	out->kernel_bytes = h->kernel_bytes;
}

int ktls_get_info(const struct ktls_conn *c, struct ktls_info *info)
{
	struct ktls_info i;
	const SSL_CIPHER *suite;
	int64_t unsent;

	/* the size that the first release had */
	if (!c || !info || info->size < sizeof(i))
		return (int)ktls__return(-EINVAL);
	memset(&i, 0, sizeof(i));
	i.size = sizeof(i);
	suite = SSL_get_current_cipher(c->ssl);
	if (suite) {
		i.version = (uint32_t)SSL_version(c->ssl);
		i.cipher = SSL_CIPHER_get_protocol_id(suite);
		i.cipher_name = SSL_CIPHER_standard_name(suite);
	}
	fill(&c->tx, &i.tx);
	fill(&c->rx, &i.rx);
	i.offload_after = c->policy.offload_after;
	i.budget = c->policy.budget;
	unsent = ktls__account_unsent(c);
	i.unsent = unsent > 0 ? (uint64_t)unsent : 0;
	memset(info, 0, info->size);
	memcpy(info, &i, sizeof(i));
	return 0;
}

int ktls_get_error(const struct ktls_conn *c, struct ktls_error *error)
{
	struct ktls_error e;

	if (!c || !error || error->size < sizeof(e))
		return (int)ktls__return(-EINVAL);
	memset(&e, 0, sizeof(e));
	e.size = sizeof(e);
	e.code = c->error.code;
	e.alert_sent = c->error.alert_sent;
	e.alert_received = c->error.alert_received;
	e.sys_errno = c->error.sys_errno;
	e.call = c->error.call;
	e.openssl = c->error.openssl;
	e.unsent = c->error.unsent;
	memcpy(e.text, c->error.text, sizeof(e.text));
	memset(error, 0, error->size);
	memcpy(error, &e, sizeof(e));
	return 0;
}
