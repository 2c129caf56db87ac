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
#include <ktls/raw.h>

#include "certs.h"
#include "fakesys.h"
#include "ktest.h"

enum {
	OURS = 101,  /* the pattern of what the library sends */
	THEIRS = 202 /* and of what its peer sends */
};

struct pair;

/* The ways into the library; see pair_door.c. */
enum pair_door {
	DOOR_NEW,	  /* ktls_conn_new(), and the library's handshake */
	DOOR_ADOPTED,	  /* after it, over a BIO of the socket */
	DOOR_ADOPTED_MEM, /* with memory BIOs that are not empty */
	DOOR_KEYS_SECRET, /* ktls_conn_from_keys(): TLS 1.3 with secrets */
	DOOR_KEYS_KEY,
	DOOR_IMPORTED, /* ktls_export() and ktls_import() */
	DOOR_RELEASED, /* release_ssl, and no reference of the caller's */
	DOORS
};
extern const char *const pair_doors[DOORS];

struct pair_options {
	enum pair_door door;
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
	struct ktls_policy policy; /* conn was made with */
	/* of the last door: bytes that are in no number below */
	uint64_t before_tx, before_rx;
	uint64_t kernel_tx, kernel_rx; /* of them, the kernel's */
	struct fake_key peer_key; /* of DOOR_KEYS_*: what the peer sends with */
	struct pair_secrets {
		uint8_t secret[2][64]; /* TLS 1.3: by whether of the server */
		size_t len[2];
	} secrets;

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
/* Both sides' handshake, which must succeed, and the door. */
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
/*
 * A record that the kernel's keys make, as if the peer had sent it; in user
 * space those of DOOR_KEYS_*, behind which the peer sends no more itself.
 */
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

/* pair_door.c: what is before ktls_conn_new(), and behind the handshake */
void door_prepare(struct pair *p);
void door_open(struct pair *p);
void door_handshake(struct pair *p);
void door_enter(struct pair *p);
/* OpenSSL's handshake on our side, too, up to its end there. */
void door_shake(struct pair *p);
/* What waits on the socket, but for the last bytes, to the memory BIO. */
void door_fill(struct pair *p, size_t leave);
/* The keys that the two sides agreed upon, for ktls_conn_from_keys(). */
struct ktls_keys door_keys(struct pair *p, int dir, bool secret);
/* Flushed, exported, and detached: the image; free() it. */
void *door_export(struct pair *p, size_t *n);
/* The connection goes through an image of it. */
void door_import(struct pair *p);
/* After EAGAIN of our side. */
void pair_wait(struct pair *p, const char *call);

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
