/* SPDX-License-Identifier: MIT */
/*
 * What happens to connections, told to whoever wants to know: the counters,
 * the callback of ktls_set_log(), probe points for tracers.
 */
#ifndef KTLS_EVENT_H
#define KTLS_EVENT_H

#include "state.h"

void ktls__event_new(const struct ktls_conn *c);
void ktls__event_free(const struct ktls_conn *c);
/* A direction moved to the kernel, or did not: its half says why. */
void ktls__event_offload(const struct ktls_conn *c, int dir);
void ktls__event_refuse(const struct ktls_conn *c, const struct ktls__half *h);
void ktls__event_rekey(const struct ktls_conn *c, int dir);
/* The stall guard had to do something for the first time. */
void ktls__event_guard(const struct ktls_conn *c);

/* The last failure in a line; "" when there was none. */
void ktls__event_error(const struct ktls__error *e, char *line, size_t size);
/* ktls__error_set() of the connection's error, and its event. */
int ktls__failed(struct ktls_conn *c, int code, const char *call, int sys_errno,
		 unsigned long openssl, const char *text);

#endif
