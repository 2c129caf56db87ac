/* SPDX-License-Identifier: MIT */
/* Parts of ktls-vm-faults. */
#ifndef KTLS_VM_FAULTS_H
#define KTLS_VM_FAULTS_H

#include "vmtest.h"

enum {
	VT_BAD_RECORD_MAC = 20,
	VT_WIRE_RECORD = VT_RECORD + 256 /* bytes of a record at most */
};

/* Of the mode at hand; use is true for REQUIRE. */
struct vt_mode {
	const struct vt_suite *suite;
	bool server;
	bool tx;
	bool rx;
};

/* "TLS 1.2 server kernel/user" */
const char *vt_mode_name(const struct vt_mode *m);
struct ktls_policy vt_mode_policy(const struct vt_mode *m);
bool vt_mode_open(struct vt_duo *d, const struct vt_mode *m);
/*
 * That the connection failed with EBADMSG and tells so for good, and that the
 * peer gets the alert where one can be sent. Closes it.
 */
void vt_bad_mac(struct vt_duo *d, const struct vt_mode *m);

/* A damaged record behind good ones, in one read. */
void vt_late_cases(const struct vt_mode *m);
/* Records that are damaged, repeated, swapped, lost, cut off. */
void vt_wire_cases(const struct vt_mode *m);
/* The peer's process or its connection ends. */
void vt_kill_cases(const struct vt_mode *m);

#endif
