/* SPDX-License-Identifier: MIT */
/*
 * Inside ktls-prefork. Who does what:
 *
 *   main.c    options, and the worker processes
 *   accept.c  the acceptor: handshakes, and connections on their way out
 *   pass.c    a socket and its image, from the one process to the other
 */
#ifndef PREFORK_H
#define PREFORK_H

#include <stddef.h>
#include <sys/types.h>

#include "../common/serve.h"

/* What ktls_export() gave; more than it ever needs, with bytes read ahead. */
#define IMAGE_MAX (64 * 1024)

/* main.c: children that have ended; returns how many are left */
unsigned int workers_reap(bool stopping);

/* accept.c: until a signal, or until no worker is left */
int accept_run(const struct config *config, int pair, int signals);

/* pass.c: 0, -1 and errno; receiving, the length, or 0 at the end */
int pass_send(int pair, int fd, const void *image, size_t len);
ssize_t pass_receive(int pair, int *fd, void *image, size_t size);

#endif
