/* SPDX-License-Identifier: MIT */
/*
 * Inside ktls-uring. Who does what:
 *
 *   main.c      options
 *   loop.c      the ring: accepts, completions, the graceful stop
 *   submit.c    submission queue entries of a connection, one at a time
 *   client.c    one connection: its states, and all calls of libktls but
 *   raw.c       the data that its own entries send and receive
 *   ../httpd/   requests, files and responses
 */
#ifndef URING_H
#define URING_H

#include <liburing.h>

#include <ktls/raw.h>

#include "../httpd/httpd.h"

struct options {
	struct config http; /* root, certificate, policy and the like */
	bool defer;	    /* SINGLE_ISSUER | DEFER_TASKRUN */
	bool naive;	    /* close without libktls, which loses bytes */
};

struct server {
	const struct options *options;
	struct io_uring ring;
	int signals;
	int listen_fd;	/* -1: closed, by the stop */
	bool accepting; /* the multishot accept is in the ring */
	bool stopping;
	bool stopped; /* the time for that is over */
	unsigned int cut;
	struct __kernel_timespec pause; /* of accepting */
	struct __kernel_timespec stop;	/* may take so long */
	struct client *first;
};

/* What a connection has in the ring. */
enum op { OP_NONE, OP_WAIT, OP_RECV, OP_SEND, OP_FILL, OP_SPLICE };

struct client {
	struct client *prev; /* in the list of the server */
	struct client *next;
	struct server *server;
	struct ktls_conn *tls;
	int fd;
	enum conn_state state;
	enum op op;
	bool ask;	  /* ktls_read() has to say what happened */
	bool closed;	  /* ktls_shutdown() has come to its end */
	int pipe[2];	  /* from the file to the socket, or -1 */
	size_t piped;	  /* bytes in it */
	int64_t limit;	  /* give up at this time */
	uint64_t unacked; /* bytes the peer had not acknowledged at last look */
	int tick;	  /* ms, where poll cannot tell */
	unsigned int requests;
	uint64_t raw_tx; /* bytes that its own entries sent, */
	uint64_t raw_rx; /* and received */
	char error[160];

	/* of the entry in the ring: they have to stay until it completes */
	struct __kernel_timespec time;
	struct msghdr msg;
	struct iovec iov;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(1)]; /* record's type */

	struct response res;
	size_t in_len;
	char in[8192];
};

/* loop.c */
struct io_uring_sqe *ring_entry(struct server *server, unsigned int together);
int server_run(const struct options *options, int signals);

/* submit.c: STEP_WAIT, always: for what is in the ring to complete */
enum step submit_wait(struct client *c, int events, int64_t ms);
enum step submit_recv(struct client *c, void *buf, size_t len);
enum step submit_send(struct client *c, const void *buf, size_t len, bool more);
enum step submit_fill(struct client *c, int file, off_t offset, size_t len);
enum step submit_splice(struct client *c);
void submit_cancel(struct server *server, void *what);

/* raw.c */
enum step raw_send(struct client *c);
enum step raw_sent(struct client *c, int res);
enum step raw_filled(struct client *c, int res);
enum step raw_received(struct client *c, int res);

/* client.c */
void client_open(struct server *server, int fd);
void client_turn(struct client *c, int res);
void client_free(struct client *c);
void client_error(struct client *c, const char *text);
void client_count(struct client *c, size_t n);
enum step client_closed(struct client *c, ssize_t n);

#endif
