/* SPDX-License-Identifier: MIT */
/* Parts of ktls-vm-control. */
#ifndef KTLS_VM_CONTROL_H
#define KTLS_VM_CONTROL_H

#include "vmtest.h"

enum { VT_ALERT = 21, VT_HANDSHAKE = 22, VT_APPLICATION = 23 };

/* A connection whose peer forges its records, and libktls's side of it. */
struct vt_control {
	const struct vt_suite *suite;
	bool server;
	uint32_t tx;
	uint32_t rx;
	struct vt_duo d;
	struct vt_forge f;
	int forge[2];  /* the records come out of [0] */
	uint8_t *wire; /* and wait here */
	size_t len;
	struct vt_sink got;
	struct vt_sink want;
	size_t at; /* where in vt_data the next record begins */
	bool closed;
};

bool vt_control_open(struct vt_control *c, const char *what);
void vt_control_free(struct vt_control *c);
/* One record more for the wire. */
void vt_control_add(struct vt_control *c, uint8_t type, const void *p, size_t n);
/* The same: bytes that have to arrive, an alert, a ticket (TLS 1.3 client). */
void vt_control_data(struct vt_control *c, size_t n);
void vt_control_warning(struct vt_control *c);
void vt_control_ticket(struct vt_control *c);
bool vt_control_tickets(const struct vt_control *c);
/* Bytes from to end of the wire go out, in one call. */
void vt_control_send(struct vt_control *c, size_t from, size_t end);
/* Reads until there is no more: 0, or the errno of the failure. */
int vt_control_read(struct vt_control *c);
/* Until it has all that was to arrive, or its end: the same. */
int vt_control_wait(struct vt_control *c);
/* Tickets that the session callback was given, of all connections. */
extern int vt_control_sessions;

void vt_flood_cases(struct vt_control *c);

#endif
