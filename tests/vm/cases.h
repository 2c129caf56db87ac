/* SPDX-License-Identifier: MIT */
/* Parts of ktls-vm-cases. */
#ifndef KTLS_VM_CASES_H
#define KTLS_VM_CASES_H

#include "vmtest.h"

extern const struct vt_suite *const vt_tls12;
extern const struct vt_suite *const vt_tls13;

/* Alerts of the peer's and of our own, in either mode. */
void vt_alert_cases(const struct vt_suite *s, uint32_t use);
/* KeyUpdate of a peer. */
void vt_key_update_cases(uint32_t use);
/* What ktls_sendfile() is given. */
void vt_file_cases(struct ktls_policy policy);

#endif
