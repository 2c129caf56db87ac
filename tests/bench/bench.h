/* SPDX-License-Identifier: MIT */
/*
 * What the parts of ktls-bench share. Each row is a transfer, or a number of
 * requests, between two processes; one of them is measured: the instructions
 * it runs, in the kernel too, and the system calls it makes.
 */
#ifndef KTLS_BENCH_H
#define KTLS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <openssl/ssl.h>

#include <ktls/openssl.h>

#include "../vm/vmtest.h"

enum {
	MIB = 1 << 20,
	WARM = 128 * 1024, /* sent first, on each connection, and not counted */
	HEAD = 300,	   /* bytes before the file in a response */
	CHUNK = 16384,	   /* a record, and what OpenSSL is given at once */
	WHOLE = 1 << 30,   /* bytes of a call: everything there is */
	SPANS = 64	   /* measured spans of one run, at most */
};

/* measure.c: two processes, and what one of them costs */

struct bench_run {
	double cost[SPANS]; /* instructions, of each measured span */
	size_t spans;
	uint64_t calls; /* system calls of all spans, if they were counted */
	bool ok;
};

/* In the measured process, around what counts. */
void bench_start(void);
void bench_stop(void);
/*
 * Forks twice and waits: measured() and other() return whether all was well.
 * With counted, system calls are counted, and the costs mean nothing.
 */
struct bench_run bench_pair(bool (*measured)(const void *),
			    bool (*other)(const void *), const void *arg,
			    bool counted);

/*
 * In the other process: it always runs first when it can, or only when the
 * measured one waits. Either way all runs are alike, to a thousandth.
 */
void bench_eager(void);
void bench_lazy(void);

/*
 * A row's result: the median of what was measured, and how far it strays;
 * for one of the units that a measured span has.
 */
void bench_report(const char *section, const char *name, double units,
		  bool (*measured)(const void *), bool (*other)(const void *),
		  const void *arg);
void bench_skip(const char *section, const char *name, const char *why);
/* Is this row among the ones asked for? */
bool bench_wanted(const char *section, const char *name);

/* main.c: what is sent, and how much of it */

extern const uint8_t *bench_data; /* as many bytes as are ever sent at once */
extern int bench_file;		  /* a file with the same bytes */
extern size_t bench_total;	  /* bytes of a transfer */
extern int bench_times;		  /* transfers of a row */
extern bool bench_counting;	  /* this is the run that counts calls */

/* link.c: the ends of a connection */

/*
 * What is on the wire after a handshake, which all have: TCP's acknowledgements
 * depend on how a connection began, and so do the segments, and the costs.
 */
enum bench_wire {
	PLAIN, /* no TLS */
	RAW,   /* kernel TLS with keys made up */
	TLS    /* what the handshake was for */
};

struct bench_end {
	int fd;
	bool nonblocking;
	SSL *ssl;
	struct ktls_conn *c;
	void *gnutls;
	const char *where; /* it encrypts, if the row's name does not say */
	int pipe[2], in_pipe;
	uint8_t buf[CHUNK];
};

/* The pair that both processes of a row inherit; [0] is the client's. */
extern int bench_fd[2];
const struct vt_suite *bench_suite(int version);
/* Made before the processes part, so that both have one certificate. */
void bench_contexts(void);
SSL_CTX *bench_ctx(int version, bool server);
/* A handshake by OpenSSL, with its own kernel TLS or without. */
bool bench_handshake(struct bench_end *e, int version, bool server, bool ktls);
/* A handshake by libktls; true when the directions are where they should be. */
bool bench_lib_open(struct bench_end *e, int version, bool server,
		    const struct ktls_policy *policy, int tx, int rx);
/*
 * The other end of what sends: shakes hands, reads all there is as it is on
 * the wire, then decrypts and compares it.
 */
bool bench_receive(enum bench_wire wire, size_t warm, size_t total);
/*
 * A response as OpenSSL is best given it: records are filled, the first one
 * with the head and the beginning of the file.
 */
bool bench_ossl_respond(struct bench_end *e, const uint8_t *head, int file,
			off_t at, size_t size);
/* The same with libktls. */
bool bench_lib_respond(struct bench_end *e, const uint8_t *head, int file,
		       off_t at, size_t size);

/* backend.c: one exchange, through libktls or OpenSSL alone */

struct bench_backend {
	bool (*open)(struct bench_end *e, bool server,
		     const struct ktls_policy *policy);
	ssize_t (*read)(struct bench_end *e, void *p, size_t n);
	bool (*write)(struct bench_end *e, const struct iovec *v, int count);
	bool (*respond)(struct bench_end *e, const uint8_t *head, int file,
			off_t at, size_t size);
	void (*close)(struct bench_end *e);
};

extern const struct bench_backend bench_lib;
extern const struct bench_backend bench_ossl;
/* a callback that does nothing in SSL_CTX_set_keylog_callback() */
extern const struct bench_backend bench_ossl_keylog;
/* that, and an end as ktls_close() makes it */
extern const struct bench_backend bench_ossl_careful;

void bench_listen(void);
int bench_accept(void);
int bench_connect(void);

/* Waits for events after a call that said EAGAIN. */
bool bench_wait(int fd, int events);
/* For a row whose name does not say it. */
void bench_where(const char *section, const char *name, const char *where);
/* Says what failed, and returns false. */
bool bench_bad(const char *what);

/* send.c, receive.c, requests.c, http.c: the rows */
void bench_send(void);
void bench_recv(void);
void bench_requests(void);
void bench_http(void);

/* gnutls.c */
bool bench_gnutls_open(struct bench_end *e);
ssize_t bench_gnutls_sendfile(struct bench_end *e, off_t at, size_t n);
bool bench_gnutls_close(struct bench_end *e);
/* Why it cannot, or NULL; before the processes part. */
const char *bench_gnutls_absent(void);

#endif
