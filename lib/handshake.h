/* SPDX-License-Identifier: MIT */
/* The handshake, and OpenSSL's news of alerts. */
#ifndef KTLS_HANDSHAKE_H
#define KTLS_HANDSHAKE_H

#include "state.h"

/* Our info callback, which calls the caller's. */
void ktls__info_callback(const SSL *ssl, int where, int ret);

#endif
