/* SPDX-License-Identifier: MIT */
/*
 * What this kernel does right, found by doing it on a connection of our own
 * over loopback, once in a process. Safe in all threads.
 */
#ifndef KTLS_PROBE_H
#define KTLS_PROBE_H

/*
 * 1: TLS_RX_EXPECT_NO_PAD delivers the right bytes; 0: it does not, or is not
 * there; -errno: it could not be tried.
 */
int ktls__probe_no_pad(void);
/* 1: keys of TLS 1.3 can be changed, from Linux 6.14; 0, -errno as above. */
int ktls__probe_rekey(void);
/* 1: splice(2) from a TLS socket loses nothing; 0, -errno as above. */
int ktls__probe_splice(void);

/* The next calls try again. */
void ktls__probe_forget(void);

#endif
