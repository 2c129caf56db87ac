/* SPDX-License-Identifier: MIT */
/* Hosts of the model, and what the library finds out about them. */
#ifndef HOSTS_H
#define HOSTS_H

#include <errno.h>

#include <ktls/ktls.h>

#include "fakesys.h"
#include "ktest.h"

/* A host of today, of which nothing is known; probing counts. For cmocka. */
int host_setup(void **state);
int host_teardown(void **state);

/* A refusal is remembered for ten seconds: those of before are over. */
void host_later(void);

/* ktls_probe(), which leaves nothing open. */
struct ktls_caps host_caps(int again);

/* Only "lo" and "eth0", number 2, whose NIC is one for kernel TLS. */
void host_links(void);
void host_add(struct fake_link link);
#define LINK(...) host_add((struct fake_link){__VA_ARGS__})
/* ktls_nic_probe() by name, which succeeds. */
struct ktls_nic host_nic(const char *name);

#endif
