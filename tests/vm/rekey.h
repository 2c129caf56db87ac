/* SPDX-License-Identifier: MIT */
/* Parts of ktls-vm-rekey. */
#ifndef KTLS_VM_REKEY_H
#define KTLS_VM_REKEY_H

#include "vmtest.h"

/* What a load is like. */
struct rekey_load {
	const char *what;
	struct vt_kind kind;
	int sndbuf;	 /* SO_SNDBUF of the library's end; 0: left alone */
	size_t each;	 /* bytes between the peer's KeyUpdates; 0: none */
	unsigned int by; /* calls between the library's; 0: none */
	const struct ktls_policy *policy;
};

/*
 * Both ends send and receive, and change keys; the line's numbers come out as
 * a table. False: reported.
 */
bool rekey_load(const struct rekey_load *load);
/* One way, by any of the calls that send, with a limit of records. */
void rekey_methods(const struct vt_suite *s, const char *what);
/* A KeyUpdate is the last thing before the end. */
void rekey_close(const struct vt_suite *s);

/* Without the library: what becomes of data behind a KeyUpdate. */
void rekey_raw(bool keys_stay);

/* Messages in several records; can: the kernel can change keys. */
void rekey_parts(const struct vt_suite *s, bool can);

/* Kernels that cannot change keys. */
void rekey_old(void);

#endif
