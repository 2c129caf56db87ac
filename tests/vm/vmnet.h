/* SPDX-License-Identifier: MIT */
/*
 * Networks between two namespaces: what far.c and nicnet.c have in common, and
 * the NIC of nicsim/ that offloads TLS. The client's end of each connection is
 * nicsim0 in the namespace "ktls-near", the server's is nicsim1 in "ktls-far".
 */
#ifndef KTLS_VMNET_H
#define KTLS_VMNET_H

#include <netinet/in.h>

#include "vmtest.h"

/* far.c */

/* Moves the thread to the namespace; what it returns is for the way back. */
int vt_far_enter(const char *name);
void vt_far_leave(int here);
/* A TCP socket in "ktls-far", and the address that it has there. */
int vt_far_socket(struct sockaddr_in *a);

/* nicnet.c */

/* What the module has counted at one end since it was loaded. */
struct vt_nic {
	long tx_added; /* directions whose keys it was given */
	long tx_removed;
	long rx_added;
	long rx_removed;
	long refused;
	long resync;
	long encrypted; /* packets */
	long clear;	/* sent in the clear, as if encrypted */
	long failed;
	long data; /* packets with data, of any kind */
	long dropped;
};

/* vt_tcp_pair() goes over it; see vt_nic_make(). */
extern bool vt_nic_used;

/*
 * The NIC's ends get their namespaces, and the thread goes to the near one;
 * errno or 0. vt_begin() does it where KTLS_VM_NIC is in the environment.
 */
int vt_nic_make(void);
/* Goes to the namespace of the socket, as vt_far_enter() does. */
int vt_nic_enter(int fd);
/* What the NIC takes: TLS 1.2 with AES-GCM. */
bool vt_nic_offloads(const struct vt_suite *s);
/* What ktls_get_info() says of a direction in the kernel, or on the NIC. */
uint32_t vt_nic_mode(bool device);
/* end: 0 near, 1 far */
const char *vt_nic_name(int end);
void vt_nic_read(struct vt_nic *n, int end);
void vt_nic_stat(struct vt_stat *s, int end);
/* A parameter of the module. */
void vt_nic_set(const char *name, unsigned int value);
/* With sh, in the end's namespace. */
void vt_nic_shell(int end, const char *command);
/* Segmentation by the NIC. */
void vt_nic_tso(bool on);
/* What sock_diag(7) says of the socket at this end: "sw", "hw", ... */
struct vt_nic_conf {
	char tx[16];
	char rx[16];
};
void vt_nic_conf(struct vt_nic_conf *conf, int end, int fd);

#endif
