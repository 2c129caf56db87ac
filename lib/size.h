/* SPDX-License-Identifier: MIT */
/* How large records are, and how much one call of the kernel may carry. */
#ifndef KTLS_SIZE_H
#define KTLS_SIZE_H

#include "open.h"
#include "state.h"

/* When the handshake is over: what the peer takes. */
void ktls__size_handshaken(struct ktls_conn *c);
/* Just before TLS_TX, with the ULP in place: lets the kernel cut records. */
void ktls__size_kernel(struct ktls_conn *c);
/* After TLS_TX: what a call of sendfile(2) may carry. */
void ktls__size_calls(struct ktls_conn *c);

/* With a ramp, at the beginning of a call that sends, and after it sent. */
void ktls__size_begin(struct ktls_conn *c);
void ktls__size_sent(struct ktls_conn *c);

/* What the policy and the peer allow. */
static inline size_t ktls__size_steady(const struct ktls_conn *c)
{
	return c->policy.record_size < c->record_peer ? c->policy.record_size
						      : c->record_peer;
}

/* Most bytes of plaintext of the next record. */
static inline size_t ktls__size_record(const struct ktls_conn *c)
{
	const size_t steady = ktls__size_steady(c);
	const size_t max = steady < c->record_kernel ? steady : c->record_kernel;
	const size_t open = ktls__open_length(c);

	if (c->policy.record_ramp == 0 || c->ramp_record == 0 ||
	    c->ramp_record >= max)
		return max;
	/* the record that is open when the ramp ends stays a small one */
	if (c->ramp_sent < open || c->ramp_sent - open < c->policy.record_ramp)
		return c->ramp_record;
	return max;
}

/* True when the kernel's own records would be larger than that. */
static inline bool ktls__size_cut(const struct ktls_conn *c)
{
	return ktls__size_record(c) < c->record_kernel;
}

/*
 * Most bytes, of max, that a call of sendfile(2) from this offset may carry
 * into the kernel with open bytes in its open record.
 */
size_t ktls__size_file(const struct ktls_conn *c, off_t offset, size_t open,
		       size_t max);

/* Lets TCP join the records of left bytes; again: of a file, the last ones. */
void ktls__cork(struct ktls_conn *c, size_t left, bool again);
/* The socket takes no more: TCP is made to send what it may hold back. */
void ktls__push(struct ktls_conn *c);
/* At the end of a call: the socket's options as they were. */
void ktls__uncork(struct ktls_conn *c);
/* At the end of the connection: TCP_NOTSENT_LOWAT as it was. */
void ktls__size_end(const struct ktls_conn *c);

#endif
