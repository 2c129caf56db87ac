/* SPDX-License-Identifier: MIT */
/*
 * Inside ktls-proxy. Who does what:
 *
 *   main.c     options
 *   loop.c     the epoll loop: accepts, time limits, the graceful stop
 *   session.c  one client and its back-end, from accept to close
 *   flow.c     moves bytes from one of them to the other, with splice
 *   backend.c  connects to the back-end
 */
#ifndef PROXY_H
#define PROXY_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/ssl.h>

#include <ktls/ktls.h>

#include "../common/server.h"

/* Milliseconds. Those of a session that moves bytes are --idle. */
#define LIMIT_HANDSHAKE 30000 /* from accept to the end of the handshake */
#define LIMIT_CONNECT	10000 /* for each address of the back-end */
#define LIMIT_CLOSE	5000  /* waiting for the client to close, too */
#define LIMIT_STOP	30000 /* from SIGTERM to the end of the process */

/* Bytes that a session may move in one turn, in each direction. */
#define TURN (256 * 1024)

#define TICK 10 /* how often to look again where poll cannot tell */

struct config {
	const char *listen;
	const char *connect;
	const char *cert;
	const char *key;
	struct tls_options tls;
	struct ktls_policy policy;
	int64_t idle; /* milliseconds */
	int sndbuf;   /* 0: the kernel's default */
	bool stats;

	int listen_fd;
	struct addrinfo *backend;
	SSL_CTX *ctx;
};

/* The client's connection, or the back-end's. */
struct end {
	int fd;		 /* or -1 */
	short wants;	 /* POLLIN and POLLOUT, from the turn before */
	uint32_t polled; /* what epoll was told, 0: it doesn't know the fd */
	int unacked;	 /* bytes the peer had not acknowledged at last look */
	bool reset;	 /* do not let its end look like a clean one */
};

enum flow_state {
	FLOW_OPEN,
	FLOW_ENDED, /* the sender has said so, what the pipe holds is left */
	FLOW_DONE   /* the receiver knows, too */
};

/* One direction. All that waits is in its pipe: that bounds the memory. */
struct flow {
	enum flow_state state;
	int out;     /* of the pipe: here we read, */
	int in;	     /* here we write */
	size_t held; /* bytes that the pipe has */
	uint64_t bytes;
};

enum session_state {
	SESSION_HANDSHAKE,
	SESSION_CONNECT, /* to the back-end */
	SESSION_FLOW,
	SESSION_CLOSE /* both flows are done: waits for the client to close */
};

struct loop;

struct session {
	struct session *prev; /* in the loop's list */
	struct session *next;
	struct session *ready_next; /* of those with events */
	struct loop *loop;
	enum session_state state;
	struct ktls_conn *tls;
	struct end client;
	struct end backend;
	const struct addrinfo *address; /* of the back-end, at hand */
	struct flow up;			/* from client to back-end */
	struct flow down;		/* from back-end to client */
	uint32_t events;		/* from epoll, for the next turn */
	bool tick;     /* it waits for more than poll can tell */
	int64_t limit; /* give up at this time */
	char error[256];
};

struct loop {
	const struct config *config;
	int epoll;
	int signals;
	bool listening; /* the listening socket is in the epoll set */
	bool tick;	/* a session waits for one */
	bool stopping;
	int64_t listen_again; /* after EMFILE and the like */
	int64_t stop_limit;
	unsigned int cut; /* sessions which the stop did not wait for */
	unsigned int count;
	unsigned int max; /* sessions for which there are descriptors */
	struct session *first;
	struct session *ready;
};

/* loop.c */
int loop_run(const struct config *config, int signals);

/* session.c */
bool session_open(struct loop *loop, int fd);
void session_turn(struct session *s);
void session_check_limit(struct session *s, int64_t now);
bool session_cut(struct session *s);
void session_look(const struct session *s);
void session_error(struct session *s, const char *who, const char *text);

/* flow.c: these return 0, or -1 with the session's error set */
int flow_open(struct flow *flow);
void flow_close(struct flow *flow);
int flow_up(struct session *s);
int flow_down(struct session *s);
int flow_backend_failed(struct session *s, int error);

/* backend.c */
int backend_connect(struct session *s);
void backend_next_address(struct session *s, int error);

#endif
