/* SPDX-License-Identifier: MIT */
/* The other ends of pipes: who writes what is sent, and reads what came. */
#ifndef PIPES_H
#define PIPES_H

#include "modes.h"

/* Who writes the stream of the connection to a pipe. */
struct feed {
	struct pair *p;
	int fd[2];
	uint64_t fed;
	uint64_t todo;
	size_t slot; /* most bytes of one */
	bool random;
};
void feed_open(struct feed *f, struct pair *p, size_t slots, uint64_t todo);
/* As much as there is room for; at the end the writer goes. */
void feed(struct feed *f);
/* The same, and the peer: for fake_on_poll(). */
void feed_and_peer(void *arg);
/* Until the end of the pipe, as an event loop does it. */
void feed_run(struct feed *f, size_t len, int flags);

/* Who reads the stream of the peer from a pipe. */
struct drain {
	struct pair *p;
	int fd[2];
	bool slow; /* some bytes at a time */
};
void drain_open(struct drain *d, struct pair *p, size_t slots, bool nonblock);
void drain(struct drain *d);
void drain_and_peer(void *arg);
/* n bytes of the peer's get to the pipe and are read from it. */
void drain_run(struct drain *d, uint64_t n, size_t len);

#endif
