/* SPDX-License-Identifier: MIT */
/*
 * Inside ktls-httpd. Who does what:
 *
 *   main.c      options
 *   setup.c     the SSL_CTX
 *   workers.c   worker processes
 *   worker.c    one epoll loop: accepts, time limits, the graceful stop
 *   conn.c      one connection: every call of libktls is here
 *   h2.c        the same for a connection that speaks HTTP/2;
 *               h2_absent.c in its place where there is no libnghttp2
 *   h2_session.c  what it says there, in memory
 *   request.c   reads the head of a request; knows no sockets
 *   ranges.c    reads its Range field
 *   response.c  chooses file, ranges and status, writes the heads
 *   files.c     opens a file below the root, never above it
 *   metrics.c   counters over plain HTTP, in the same epoll loop
 *   log.c       lines of libktls on standard error
 */
#ifndef HTTPD_H
#define HTTPD_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <openssl/ssl.h>

#include <ktls/ktls.h>

#include "../common/server.h"

#define MAX_WORKERS 256

/* Milliseconds. SEND and CLOSE start again when the peer takes bytes. */
#define LIMIT_HANDSHAKE 30000 /* from accept to the end of the handshake */
#define LIMIT_REQUEST	60000 /* idle, or between request's first and last byte */
#define LIMIT_SEND	60000 /* a response whose peer takes nothing */
#define LIMIT_CLOSE	5000  /* waiting for the peer to close, too */
#define LIMIT_STOP	30000 /* from SIGTERM to the end of the process */
#define LIMIT_METRICS	5000  /* a connection that asks for metrics */

/* Bytes of a file that a connection may send in one turn. */
#define TURN (256 * 1024)

#define TICK 10 /* how often to look again where poll cannot tell */

struct config {
	const char *root;
	const char *cert;
	const char *key;
	const char *listen;
	const char *metrics; /* address of the first worker's, or NULL */
	struct tls_options tls;
	struct ktls_policy policy;
	unsigned int workers;
	int sndbuf; /* 0: the kernel's default */
	bool stats;
	bool device; /* negotiate only what a NIC can encrypt */
	bool h2;     /* HTTP/2 for those that offer it, */
	bool h2_off; /* in user space */

	int root_fd;
	int listen_fd;
	int metrics_fd[MAX_WORKERS]; /* or -1 */
	SSL_CTX *ctx;
};

/* The head of a request. Strings point into the buffer it was read to. */
struct request {
	int error; /* 0, or the status to answer before closing */
	enum { METHOD_GET, METHOD_HEAD, METHOD_OTHER, METHOD_UNKNOWN } method;
	bool keep_alive;
	bool http10;
	bool body;	 /* one follows; it is not read as a request */
	char *target;	 /* as sent: path and query */
	char path[1024]; /* decoded, begins with one slash */
	const char *range;
	const char *if_range;
	const char *if_modified_since;
	bool if_none_match;
};

#define MAX_RANGES 32 /* in one request */

/* The head, heads and bodies of all parts, and the line after the last one. */
#define MAX_SPANS (2 * MAX_RANGES + 2)

struct range {
	off_t first;
	off_t end; /* behind the last byte */
};

struct ranges {
	unsigned int count;
	struct range range[MAX_RANGES];
};

/*
 * A response on its way: what ktls_sendfilev() has to send, and how far it
 * has come. The spans point into text and into the file.
 */
struct response {
	int status;
	bool keep_alive;
	int file; /* or -1 */
	struct ktls_cursor cursor;
	int span_count;
	struct ktls_span spans[MAX_SPANS];
	size_t text_len;
	char text[2048 + 192 * MAX_RANGES]; /* short bodies are here too */
};

enum conn_state {
	CONN_HANDSHAKE,
	CONN_READ, /* waits for a request, or is in the middle of its head */
	CONN_SEND, /* has a response to send */
	CONN_H2,   /* reads and sends, until nothing more can come */
	CONN_CLOSE /* says close_notify and waits until everything is gone */
};

/* What a part of a turn has come to. */
enum step {
	STEP_AGAIN, /* go on at once, maybe in another state */
	STEP_WAIT,  /* go on when conn->wants comes true */
	STEP_GONE   /* the connection is over */
};

struct worker;
struct h2;

struct conn {
	struct conn *prev; /* in the list of the worker */
	struct conn *next;
	struct worker *worker;
	struct ktls_conn *tls;
	SSL *ssl;      /* of tls, to ask it for what was negotiated */
	struct h2 *h2; /* or NULL: it is HTTP/1.1 */
	int fd;
	enum conn_state state;
	short wants;   /* POLLIN and POLLOUT, from the turn before; 0: a tick */
	short polled;  /* what epoll was told to wait for */
	int64_t limit; /* give up at this time */
	int unacked;   /* bytes the peer had not acknowledged at last look */
	unsigned int requests;
	char error[160];
	struct response res;
	size_t in_len;
	char in[8192];
};

struct conn_list {
	struct conn *first;
};

struct metrics;

struct worker {
	const struct config *config;
	int epoll;
	int signals;
	bool listening; /* the listening socket is in the epoll set */
	bool signalled;
	bool stopping;
	bool tick; /* a closing connection waits for more than POLLIN */
	int64_t listen_again; /* after EMFILE and the like */
	int64_t stop_limit;
	unsigned int cut; /* responses which the stop did not wait for */
	struct conn_list open;
	struct conn_list closing;
	struct metrics *metrics; /* or NULL */
};

/* setup.c */
SSL_CTX *make_context(const struct config *config);

/* workers.c */
int workers_run(const struct config *config);

/* worker.c */
int worker_run(const struct config *config, int signals, int metrics_fd);
void conn_list_move(struct conn *conn, struct conn_list *from,
		    struct conn_list *to);

/* conn.c */
struct conn *conn_open(struct worker *worker, int fd);
void conn_turn(struct conn *conn);
void conn_check_limit(struct conn *conn, int64_t now);
void conn_stop(struct conn *conn);
void conn_free(struct conn *conn);
/* and for h2.c: */
void conn_set_error(struct conn *conn, const char *text);
void conn_set_state(struct conn *conn, enum conn_state state);
void conn_look(const struct conn *conn);
enum step conn_blocked_or_failed(struct conn *conn);
enum step conn_input_ended(struct conn *conn, bool failed);

/* h2.c; those that take a struct h2 are for any connection, NULL is HTTP/1.1 */
bool h2_available(void);
enum step h2_start(struct conn *conn);
enum step h2_turn(struct conn *conn);
bool h2_busy(const struct h2 *h2);
bool h2_stop(struct h2 *h2);
void h2_free(struct h2 *h2);

/* h2_session.c */
struct h2 *h2_new(struct conn *conn);
bool h2_receive(struct h2 *h2, const void *buf, size_t len);
ssize_t h2_output(struct h2 *h2, const void **data);
void h2_sent(struct h2 *h2, size_t len);
bool h2_over(const struct h2 *h2);

/* request.c */
size_t request_parse(struct request *req, char *buf, size_t len, size_t size);

/* ranges.c */
int ranges_parse(struct ranges *ranges, const char *s, off_t size);

/* response.c */
void response_make(struct response *res, const struct request *req,
		   const struct config *config);
void response_make_status(struct response *res, const struct request *req,
			  int status);
void response_make_memory(struct response *res, const struct request *req,
			  const char *type, const char *body, size_t len);
void response_drop(struct response *res);

/* files.c */
int files_open(int root_fd, const char *path, struct stat *st);
const char *files_type(const char *path);

/* metrics.c */
struct metrics *metrics_start(int listen_fd, int epoll);
void metrics_turn(struct metrics *m);
void metrics_check_limits(struct metrics *m, int64_t now);
void metrics_stop(struct metrics *m);
void metrics_free(struct metrics *m);

/* log.c */
void log_start(const char *text);

#endif
