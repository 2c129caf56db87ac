/* SPDX-License-Identifier: MIT */
/* The memory of missing kernel modules, one clock value for each. */
#include "absent.h"

#include "keys.h"
#include "sys.h"

/* What is missing may be there later: administrators load modules. */
enum { REMEMBER_MS = 10000 };

static _Atomic int64_t *until(const struct ktls_conn *c, uint32_t reason)
{
	struct ktls__context *ctx = ktls__keys_context(c);

	if (!ctx)
		return NULL;
	if (reason == KTLS_REASON_NO_ULP)
		return &ctx->absent[KTLS__ABSENT_ULP];
	if (reason != KTLS_REASON_CIPHER_KERNEL ||
	    ktls__keys_reason(c) != KTLS_REASON_NONE)
		return NULL;
	return &ctx->absent[KTLS__ABSENT_CIPHER + c->cipher->id];
}

const struct ktls__absence *ktls__absent_known(const struct ktls_conn *c)
{
	static const struct ktls__absence all[] = {
		{KTLS_REASON_NO_ULP, "setsockopt(TCP_ULP)"},
		{KTLS_REASON_CIPHER_KERNEL, "setsockopt(TLS_TX)"},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const _Atomic int64_t *t = until(c, all[i].reason);

		if (t && *t > 0 && ktls__sys_now() < *t)
			return &all[i];
	}
	return NULL;
}

void ktls__absent_note(const struct ktls_conn *c, uint32_t reason)
{
	_Atomic int64_t *t = until(c, reason);

	if (t)
		*t = ktls__sys_now() + REMEMBER_MS;
}
