/* SPDX-License-Identifier: MIT */
/* Inside ktls-vm-uring: one ring, and one entry at a time. */
#ifndef KTLS_VM_URING_H
#define KTLS_VM_URING_H

#include <liburing.h>

#include <ktls/raw.h>

#include "vmtest.h"

enum { VU_BASE = 54321 }; /* of what is sent, in vt_data and vt_file */

extern struct io_uring vu_ring;
extern const char *vu_mode; /* of notification, as messages call it */

struct io_uring_sqe *vu_entry(void);
/* The next completion, or NULL after so many ms. */
struct io_uring_cqe *vu_completion(int ms);
/* What the one entry that is in the ring says; zerocopy ones speak twice. */
int vu_result(void);

/* uringrecv.c: data, a KeyUpdate and close_notify of the peer */
void vu_records(struct vt_duo *d, const struct vt_suite *suite);

#endif
