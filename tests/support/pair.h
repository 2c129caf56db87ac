/* SPDX-License-Identifier: MIT */
/*
 * A connection of the library's on the model kernel, and its peer: plain
 * OpenSSL on the other socket. What flows is checked byte by byte.
 */
#ifndef PAIR_H
#define PAIR_H

#include <errno.h>
#include <poll.h>

#include <openssl/ssl.h>

#include <ktls/openssl.h>

#include "certs.h"
#include "fakesys.h"
#include "ktest.h"

enum {
	OURS = 101,  /* the pattern of what the library sends */
	THEIRS = 202 /* and of what its peer sends */
};

struct pair;

struct pair_options {
	int version;	   /* 0: TLS 1.3 */
	const char *suite; /* OpenSSL's name; NULL: the default */
	bool server;	   /* the library's role */
	bool blocking;
	bool plain_ctx; /* without ktls_ctx_enable() */
	bool rsa;
	uint32_t tx, rx; /* enum ktls_use */
	uint64_t offload_after;
	uint64_t budget;			    /* 0: the default */
	void (*policy)(struct ktls_policy *policy); /* has the last word */
	size_t capacity; /* of each direction; 0: 1 MiB */
	/* on the contexts, and on the SSLs, before anything is made of them */
	void (*setup_ctx)(SSL_CTX *ours, SSL_CTX *theirs);
	void (*setup_ssl)(struct pair *p);
	/* contexts of an earlier connection are used again */
	SSL_CTX *ctx, *peer_ctx;
};

struct pair {
	struct pair_options o;
	SSL_CTX *ctx, *peer_ctx;
	SSL *ssl, *peer; /* ssl is a reference of our own */
	int fd, peer_fd;
	struct ktls_conn *conn;

	uint64_t accepted;  /* bytes the library said it took */
	uint64_t peer_got;  /* of them, bytes the peer has read */
	uint64_t peer_sent; /* bytes the peer has written */
	uint64_t got;	    /* of them, bytes the library delivered */
	uint64_t peer_todo; /* bytes the peer writes as soon as it can */
	size_t peer_max;    /* bytes of one SSL_write() of the peer's */
	bool peer_deaf;	    /* it does not read */
	bool slow;	    /* a millisecond passes in each round of waiting */
	bool peer_closes;   /* it answers close_notify with its own and FIN */
	bool peer_closed;   /* it saw close_notify */
	bool peer_eof;	    /* it saw the end of TCP */
	uint64_t injected;  /* records of pair_inject() not read yet */
	int peer_error;	    /* SSL_get_error() that ended it */
	int peer_errno;
	char peer_text[160]; /* OpenSSL's words for it */
};

/* Up to ktls_conn_new(). */
void pair_open(struct pair *p, const struct pair_options *o);
/* Both sides' handshake, which must succeed. */
void pair_handshake(struct pair *p);
/* pair_open() and pair_handshake(), and what is in flight digested. */
void pair_start(struct pair *p, const struct pair_options *o);
/* The peer does what it can: handshake, read, write, close. */
void pair_peer(void *p);

/* Fails the test when something has ended the peer. */
void pair_peer_ok(const struct pair *p);

/* Sends n more bytes of the pattern in calls of at most chunk bytes. */
void pair_send(struct pair *p, uint64_t n, size_t chunk);
/* n more bytes of the peer's are delivered, by reads of at most chunk. */
void pair_receive(struct pair *p, uint64_t n, size_t chunk);
/* Everything accepted so far arrives at the peer. */
void pair_settle(struct pair *p);
/*
 * Closes in good order and checks that nothing was lost and nothing leaked.
 * The sockets can be looked at until the next fake_reset().
 */
void pair_finish(struct pair *p);
/* A record that the kernel's keys make, as if the peer had sent it. */
void pair_inject(struct pair *p, uint8_t type, const void *data, size_t n);
/* Frees everything, whatever state it is in. */
void pair_free(struct pair *p);

struct ktls_info pair_info(const struct pair *p);
struct ktls_error pair_error(const struct pair *p);

#define assert_modes(p, tx_, rx_)                                              \
	do {                                                                   \
		const struct ktls_info i_ = pair_info(p);                      \
		assert_string_equal(ktls_mode_str(i_.tx.mode), tx_);           \
		assert_string_equal(ktls_mode_str(i_.rx.mode), rx_);           \
	} while (0)
#define assert_no_leak(p) assert_ptr_equal(fake_leaks((p)->fd), NULL)

/* pair_tls.c: the OpenSSL side */
SSL_CTX *pair_ctx(const struct pair_options *o, bool server);
void pair_bio(SSL *ssl, int fd);

/* A version and suite, and what the kernel calls it (0: has none). */
struct suite {
	int version;
	const char *name;
	unsigned int kernel;
};
extern const struct suite suites[];
extern const size_t n_suites;
/* Whether this libssl negotiates it. */
bool suite_usable(const struct suite *s);

#endif
