/* SPDX-License-Identifier: MIT */
/* Moving a direction into the kernel. */
#ifndef KTLS_OFFLOAD_H
#define KTLS_OFFLOAD_H

#include "state.h"

/*
 * Moves one direction now, whatever the threshold says. 0 when it is in the
 * kernel; -EAGAIN when half a record is on its way (wants noted; RX moves by
 * itself at the next ktls__offload_auto()); -ENOTSUP when it is refused, with
 * the reason in the direction and the connection as it was; the connection's
 * failure else.
 */
int ktls__offload(struct ktls_conn *c, int dir);

/*
 * What the policy says before n more bytes go out, or after bytes came in:
 * moves the direction when it is time. 0 also when it stays in user space;
 * -EAGAIN and failures as above.
 */
int ktls__offload_auto(struct ktls_conn *c, int dir, uint64_t n);

/* At the end of the handshake: 0, -ENOTSUP when KTLS_REQUIRE cannot be. */
int ktls__offload_start(struct ktls_conn *c);

/* RX in the kernel: TLS_RX_EXPECT_NO_PAD as the policy has it now. */
void ktls__offload_no_pad(struct ktls_conn *c);

/* Attaches the ULP early for KTLS_REQUIRE: later the peer may have closed. */
void ktls__offload_prepare(struct ktls_conn *c);

#endif
