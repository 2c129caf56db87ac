/* SPDX-License-Identifier: MIT */
/* What the files of ktls-vm-lossless share. */
#ifndef KTLS_LOSSLESS_H
#define KTLS_LOSSLESS_H

#include "vmtest.h"

enum ll_how { LL_WRITE, LL_SENDFILE, LL_SPLICE, LL_HOWS };

/* What there is at the end besides the call that closes. */
enum ll_end {
	LL_AT_ONCE,
	LL_SIGNALS, /* SIGALRM every few ms, without SA_RESTART */
	LL_ASLEEP,  /* the reader, for nap_ms from the beginning */
	LL_ENDS
};

/* One connection. Sizes of 0 leave the system's default. */
struct ll_scenario {
	bool tls12;
	int sndbuf;  /* SO_SNDBUF */
	int mss;     /* bytes of data in a segment, time stamps not counted */
	size_t size; /* bytes a call */
	enum ll_how how;
	bool blocking;
	enum ll_end end;

	/* these are not the scenario's, and vary from one try to the next */
	size_t base; /* where in vt_data it begins */
	size_t most; /* bytes after which it closes, if it was never full */
	unsigned int rides; /* times that a full socket is waited for, first */
	int nap_ms;
	bool one_call; /* ktls_close() with a deadline, whatever the socket */
	/* both ends to use in the place of new ones; [0] sends */
	const int *fd;
};

struct ll_result {
	size_t accepted; /* as the calls said */
	size_t received;
	int64_t handshake_ms; /* of libktls; and whether it resumed a session */
	bool resumed;
};

/* losslessplan.c: which scenarios there are */

enum { LL_FACTORS = 7, LL_LEVELS = 5 };

/* Pairs of values that scenarios of this cover have had. */
struct ll_cover {
	bool seen[LL_FACTORS][LL_LEVELS][LL_FACTORS][LL_LEVELS];
};

/* splitmix64 */
uint64_t ll_random(uint64_t *state);
/* Of all combinations of values. */
size_t ll_count(void);
struct ll_scenario ll_scenario(size_t nth);
/*
 * The number of one that adds as many pairs of values as any does, chosen at
 * random; ll_count(): the cover is complete.
 */
size_t ll_cover_next(struct ll_cover *cover, uint64_t *random);

/* losslesssend.c: the senders, and how they close */

/* By libktls; checks that everything arrives. */
void ll_run_lib(const struct ll_scenario *s, struct ll_result *r);
/* By the kernel alone and close(2); what arrives is only counted. */
void ll_run_raw(const struct ll_scenario *s, struct ll_result *r);
/*
 * Sends by libktls what s says; *accepted is how much that was. False: see
 * output.
 */
bool ll_send(const struct ll_scenario *s, struct ktls_conn *c, int fd,
	     size_t *accepted);
/* A server for this version, with libktls; made once. */
SSL_CTX *ll_server(bool tls12);
const struct vt_suite *ll_suite(bool tls12);
const char *ll_name(const struct ll_scenario *s);

/* losslessnet.c: a network that loses and reorders */

void ll_network(void);

/* losslesstools.c: other implementations as the receiver */

void ll_tools(void);

#endif
