/* SPDX-License-Identifier: MIT */
/*
 * What the kernel said it lacks, remembered in the SSL_CTX for a while. Each
 * question makes the kernel start modprobe for a process that may load
 * modules, which costs more than the connection.
 */
#ifndef KTLS_ABSENT_H
#define KTLS_ABSENT_H

#include "state.h"

struct ktls__absence {
	uint32_t reason;
	const char *call;
};

/* A module this connection needs was missing a moment ago, or NULL. */
const struct ktls__absence *ktls__absent_known(const struct ktls_conn *c);
/* The kernel has just said ENOENT; reasons that name no module are ignored. */
void ktls__absent_note(const struct ktls_conn *c, uint32_t reason);

#endif
