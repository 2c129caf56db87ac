/* SPDX-License-Identifier: MIT */
/* The keys of a direction in user space, for those who go on with them. */
#ifndef KTLS_CHECK_H
#define KTLS_CHECK_H

#include "state.h"

/*
 * Keys ready to go on with in another place, checked against the direction's
 * last record. A reason: KTLS_REASON_PENDING when there is no such record yet.
 * The caller wipes p.
 */
uint32_t ktls__check_keys(struct ktls_conn *c, int dir,
			  struct ktls__protection *p);

#endif
