/* SPDX-License-Identifier: MIT */
/* What the end of a handshake sets in motion. */
#ifndef KTLS_HANDSHAKE_H
#define KTLS_HANDSHAKE_H

#include "state.h"

/* The SSL's handshake is over. */
void ktls__handshaken(struct ktls_conn *c);

#endif
