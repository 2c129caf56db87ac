/* SPDX-License-Identifier: MIT */
/* struct ktls_policy: defaults, and checking what a caller gives. */
#ifndef KTLS_POLICY_H
#define KTLS_POLICY_H

#include <ktls/ktls.h>

/* The caller's policy (NULL: defaults) to ours; 0, -EINVAL or -E2BIG. */
int ktls__policy_read(const struct ktls_policy *from, struct ktls_policy *to);

#endif
