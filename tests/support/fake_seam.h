/* SPDX-License-Identifier: MIT */
/* Between the functions of lib/sys.h and the model behind them. */
#ifndef FAKE_SEAM_H
#define FAKE_SEAM_H

#include "sys.h"

#include "fake_core.h"

/* Each call begins with one of these: 0, or the -errno it has to fail with. */
int fake_enter(enum fake_call call);
/* *n is shortened by fake_limit(). */
int fake_enter_io(enum fake_call call, size_t *n);
/* The same for pipes, which fake_flaky() leaves alone. */
int fake_enter_pipe(enum fake_call call, size_t *n);
/* And ends with this one, which returns r. */
ssize_t fake_leave(ssize_t r);

/* Fails the test when call could raise a SIGPIPE that ends the process. */
void fake_sigpipe_check(const char *call);
/* One is raised. */
void fake_raise_sigpipe(void);

#endif
