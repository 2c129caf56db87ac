/* SPDX-License-Identifier: MIT */
/* Parts of ktls-vm-close. */
#ifndef KTLS_VM_CLOSE_H
#define KTLS_VM_CLOSE_H

#include "vmtest.h"

enum {
	VT_LATE = 120, /* ms after which the readers begin */
	VT_SHAPES = 6
};

struct vt_shape {
	int sndbuf;  /* SO_SNDBUF; 0: left alone */
	size_t call; /* bytes a call */
};

extern const struct vt_shape vt_shapes[VT_SHAPES];

/* That the kernel alone loses bytes in at least one of the shapes. */
void vt_close_raw(bool must);

#endif
