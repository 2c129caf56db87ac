/* SPDX-License-Identifier: MIT */
/* Parts of ktls-vm-nonblock. */
#ifndef KTLS_VM_NONBLOCK_H
#define KTLS_VM_NONBLOCK_H

#include "vmtest.h"

enum { NB_MSS = 1460 };

/* rawblock.c: what blocking sockets come to without libktls. */
void nb_raw(void);

#endif
