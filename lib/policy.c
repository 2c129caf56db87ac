/* SPDX-License-Identifier: MIT */
/* Defaults of the policy, and its check. No sockets, no OpenSSL. */
#include "policy.h"

#include <errno.h>
#include <string.h>

enum {
	RECORD_MIN = 512, /* the least that RFC 6066 section 4 lets a peer take */
	RECORD_MAX = 16384 /* RFC 8446 section 5.1 */
};

static const struct ktls_policy defaults = {
	.size = sizeof(struct ktls_policy),
	.tx = KTLS_AUTO,
	.rx = KTLS_AUTO,
	.offload_after = 131072, /* measured: tests/bench/README.md */
	.budget = 2 * 1024 * 1024,
	.record_size = RECORD_MAX,
	.record_idle = 1000,
	.rekey_after = 1 << 24, /* RFC 8446 section 5.5, rounded down */
};

/* the part that the first release had; older callers do not exist */
enum { OLDEST = sizeof(struct ktls_policy) };

int ktls_policy_init(struct ktls_policy *policy, size_t size)
{
	if (!policy || size < OLDEST) {
		errno = EINVAL;
		return -1;
	}
	memset(policy, 0, size);
	memcpy(policy, &defaults, sizeof(defaults));
	policy->size = size;
	return 0;
}

int ktls__policy_read(const struct ktls_policy *from, struct ktls_policy *to)
{
	const uint8_t *tail = (const uint8_t *)from;

	*to = defaults;
	if (!from)
		return 0;
	if (from->size < OLDEST)
		return -EINVAL;
	/* fields we do not know must be at their default, which is 0 */
	for (size_t i = sizeof(*to); i < from->size; i++)
		if (tail[i] != 0)
			return -E2BIG;
	memcpy(to, from, sizeof(*to));
	to->size = sizeof(*to);
	if (to->tx > KTLS_REQUIRE || to->rx > KTLS_REQUIRE || to->budget == 0 ||
	    to->record_size < RECORD_MIN || to->record_size > RECORD_MAX ||
	    to->stall_guard > KTLS_OFF || to->expect_no_pad > KTLS_REQUIRE ||
	    to->rekey_unsupported > KTLS_REKEY_STAY_IN_USER_SPACE ||
	    to->zerocopy > 1 || to->release_ssl > 1 || to->reserved != 0)
		return -EINVAL;
	return 0;
}
