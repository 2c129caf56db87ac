/* SPDX-License-Identifier: MIT */
/* What comes on a connection that has no SSL, beside application data. */
#ifndef KTLS_MESSAGE_H
#define KTLS_MESSAGE_H

#include "state.h"

/* control or empty records on end: a flood, not a session */
enum { KTLS__CONTROL_RUN = 128 };

/*
 * The content of a control record, in c->control. 0 when reading can go on, or
 * c->closed is set; else the connection's failure.
 */
int ktls__message(struct ktls_conn *c);

/* True between the parts of a handshake message, where nothing may come. */
bool ktls__message_open(const struct ktls_conn *c);

/*
 * RX in user space: the data of one record goes behind what c->ahead has. Their
 * length, 0 after close_notify, or as ktls__receive() has it.
 */
ssize_t ktls__message_receive(struct ktls_conn *c);

#endif
