/* SPDX-License-Identifier: MIT */
/* The parts of ktls-vm-nic. */
#ifndef KTLS_VM_NIC_H
#define KTLS_VM_NIC_H

#include "vmnet.h"

/* TLS 1.2 with these is for the NIC, */
#define NIC_AES128 (&vt_suites[0])
#define NIC_AES256 (&vt_suites[1])
/* these are for the kernel */
#define NIC_CHACHA12 (&vt_suites[2])
#define NIC_TLS13    (&vt_suites[6])
#define NIC_CHACHA13 (&vt_suites[8])

/* Waits until the NIC has no keys left. */
void nic_removed(void);

/* Both ends' counters, and what they have become since. */
struct nic_count {
	struct vt_nic nic[2];
	struct vt_stat stat[2];
};
void nic_count(struct nic_count *c);
void nic_since(struct nic_count *c);

/* nicboth.c: a connection with libktls at both ends; 0 is near, the client */

struct nic_both {
	const struct vt_suite *suite;
	struct vt_end e[2];
	/* once, when a quarter of what is to come has come both ways */
	void (*midway)(struct nic_both *b);
	const void *arg;
};

/* policy: of each end. False: reported; nic_both_close() also then. */
bool nic_both_open(struct nic_both *b, const struct vt_suite *s,
		   const struct ktls_policy *policy, const int pair[2]);
/* What both send. */
void nic_both_streams(struct nic_both *b, const size_t *sizes, size_t n);
bool nic_both_exchange(struct nic_both *b);
/* Closes both, and compares what was accepted with what came. */
bool nic_both_close(struct nic_both *b);

/* the other files nic*.c */
void nic_kinds(void);
void nic_refusals(void);
void nic_losses(void);
void nic_downs(void);
void nic_raw(void);
void nic_closes(void);
void nic_alerts(void);
void nic_opens(void);
void nic_accounts(void);
void nic_rekeys(void);
void nic_zerocopy(void);

/* nicover.c: a program whose connections go over the NIC */
void nic_over(char **argv);

#endif
