/* SPDX-License-Identifier: MIT */
/* The parts of ktls-vm-records. */
#ifndef KTLS_VM_RECORDS_H
#define KTLS_VM_RECORDS_H

#include "vmtest.h"

enum { REC_PARTS = 40 };

/* Some bytes, sent by one method in as few calls as it takes. */
struct rec_part {
	enum vt_method how;
	size_t n;
	size_t size;  /* what a record had at most */
	size_t extra; /* records that the method may take beyond the least */
	size_t first; /* on the wire: which record is the first one */
	size_t count; /* and how many there are */
};

struct rec {
	struct vt_line l;
	struct rec_part part[REC_PARTS];
	int parts;
};

/* A connection that takes megabytes without waiting. */
void rec_init(struct rec *r, const struct vt_kind *k,
	      const struct ktls_policy *policy, const int pair[2]);
bool rec_open(struct rec *r, const struct vt_kind *k,
	      const struct ktls_policy *policy);
/* By the size that ktls_get_info() says. */
bool rec_send(struct rec *r, enum vt_method how, size_t base, size_t n);
/* By each method; their bytes begin in the middle of a page. */
bool rec_send_all(struct rec *r, size_t n);
/* Closes, and checks sizes and numbers of each part. */
bool rec_close(struct rec *r);
void rec_free(struct rec *r);
/* After the close: the sizes of all records, in order. */
void rec_sizes(const struct rec *r, const uint16_t *sizes, size_t n);

/*
 * That records have so many bytes at most by now; fixed: such a size was
 * known when TX went to the kernel, which has had it since then if it can.
 */
void rec_expect(const struct rec *r, size_t size, bool fixed);
/* Whether this kernel knows TLS_TX_MAX_PAYLOAD_LEN. */
bool rec_kernel_cuts(void);
const char *rec_how(enum vt_method how);
void rec_set_policy(struct rec *r, const struct ktls_policy *policy);

void rec_live_cases(const struct vt_kind *k);
void rec_limit_cases(const struct vt_kind *k);
void rec_ramp_cases(const struct vt_kind *k);
void rec_budget_cases(const struct vt_kind *k);

#endif
