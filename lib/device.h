/* SPDX-License-Identifier: MIT */
/* Whether a NIC has the keys that the kernel was given, and what follows. */
#ifndef KTLS_DEVICE_H
#define KTLS_DEVICE_H

#include "state.h"

/*
 * enum ktls_mode. The kernel is asked once for each key it was given, and
 * once more after ktls__device_again() where it did not say.
 */
uint32_t ktls__device_mode(struct ktls_conn *c, int dir);
void ktls__device_again(struct ktls_conn *c);

/* Does what the policy says of zerocopy, as far as it has an effect. */
void ktls__device_zerocopy(struct ktls_conn *c);

/* enum ktls_reason: why it is not in effect; KTLS_REASON_NONE when it is */
uint32_t ktls__device_reason(const struct ktls_conn *c);

#endif
