/* SPDX-License-Identifier: MIT */
/*
 * The modes in which the new calls are tested, records on the wire, and a
 * stream of the pattern that any of the calls may continue.
 */
#ifndef MODES_H
#define MODES_H

#include "pair.h"

struct mode {
	const char *name;
	uint32_t use;	/* enum ktls_use, of the direction that is tested */
	uint64_t after; /* AUTO: offload_after, in the middle of the test */
	bool blocking;
	int version;
	bool old; /* a kernel before 6.5 */
	bool nic; /* that encrypts what is sent */
	enum pair_door door;
};
extern const struct mode modes[];
extern const size_t n_modes;

/* A server that sends, or a client that receives; capacity 0: 1 MiB. */
void mode_tx(struct pair *p, const struct mode *m, size_t capacity,
	     void (*policy)(struct ktls_policy *policy));
void mode_rx(struct pair *p, const struct mode *m, size_t capacity,
	     void (*policy)(struct ktls_policy *policy));
/* True from the beginning to the end. */
bool mode_user(const struct mode *m);
bool mode_kernel(const struct mode *m);
/* Some bytes have gone each way, which count for the library. */
bool mode_adopted(const struct mode *m);

/* Lengths of the plaintext in the records sent since the last call. */
size_t wire_records(struct pair *p, size_t *lengths, size_t max);
/* These and no others; the last one is 0. */
#define assert_records(p, ...)                                                 \
	do {                                                                   \
		const size_t want_[] = {__VA_ARGS__, 0};                       \
		wire_check(p, want_, __FILE__, __LINE__);                      \
	} while (0)
void wire_check(struct pair *p, const size_t *want, const char *file, int line);
/* None was made. */
#define assert_no_records(p) assert_int_equal(wire_records(p, NULL, 0), 0)

/* After EAGAIN: the peer does what it can, and time passes. */
void stream_wait(struct pair *p, const char *call);
/* The next bytes of the stream, by one call of ktls_writev() and its result. */
ssize_t stream_writev(struct pair *p, size_t n, int parts, int flags);
/* The same until all are accepted. */
void stream_send(struct pair *p, size_t n, int parts, int flags);
/* Number of the generator that tests share: the same in every run. */
uint32_t random_below(uint32_t n);
void random_start(uint32_t seed);

#endif
