/* SPDX-License-Identifier: MIT */
/* What a connection consists of. conn.c makes and frees it. */
#ifndef KTLS_STATE_H
#define KTLS_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "aead.h"
#include "buf.h"
#include "compat.h"
#include "error.h"
#include "kdf.h"
#include "track.h"

struct ktls__half {
	struct ktls__track track;
	uint8_t secret[KTLS__SECRET_MAX]; /* TLS 1.3 traffic secret */
	/* without an SSL: keys, and the next nonce, for records in user space */
	struct ktls__keys *own;
	unsigned int generation; /* how often OpenSSL changed the key */
	unsigned int installed;	 /* the generation the kernel has */
	uint32_t rekeys;	 /* KeyUpdates since the handshake */
	uint32_t alerts;	 /* control records that the kernel carried, */
	uint32_t handshakes;

	const char *call; /* what refused, with its errno */
	int sys_errno;
	uint8_t asked; /* enum ktls_use */
	uint8_t mode;
	uint8_t reason;
	uint8_t told; /* by the kernel of its key, enum ktls_mode; USER: no */
	bool settled; /* AUTO has its answer and does not try again */
	uint8_t secret_len;
	bool wanted; /* to be moved as soon as no record is half done */

	uint64_t bytes;
	uint64_t kernel_bytes;
	uint64_t records; /* under the keys before the present one */
	uint64_t again;	  /* times that there was no room, or no data */
};

/* How far ktls_shutdown() has come. */
enum ktls__shutdown {
	KTLS__OPEN = 0,
	KTLS__NOTIFY, /* close_notify is to be made */
	KTLS__FLUSH,  /* it is on its way to the socket */
	KTLS__QUEUE,  /* everything is on its way to TCP */
	KTLS__FIN,    /* TCP has it all; our side is to be closed */
	KTLS__DRAIN,  /* the peer's close is awaited */
	KTLS__DONE
};

struct ktls_conn {
	/*
	 * Held by every public call, except while it waits. Recursive: what
	 * OpenSSL calls back may ask the connection.
	 */
	pthread_mutex_t lock;
	unsigned int depth; /* public calls that have not returned */
	/* NULL: none was there, or it has been released; see wire.c */
	SSL *ssl;
	BIO *bio;
	void (*next_info)(const SSL *, int, int); /* the caller's callback */
	int fd;
	/* of the session, see ktls__keys_note() */
	uint16_t version; /* 0: none yet */
	uint16_t suite;
	const char *suite_name;
	const struct ktls__cipher *cipher; /* NULL: the kernel has none */
	struct ktls_policy policy;
	struct ktls__error error;

	struct ktls__half tx;
	struct ktls__half rx;

	/* TX in user space: plaintext of the open record; see open.h */
	struct ktls__buf open;
	/*
	 * TX in user space: ciphertext the socket has not taken yet.
	 * TX in the kernel: control records not taken yet, each as type,
	 * length (2 bytes, big-endian) and content.
	 */
	struct ktls__buf out;
	struct ktls__buf early; /* records, read before the socket was ours */
	struct ktls__buf ahead; /* plaintext that was read ahead */
	/* records for OpenSSL; without it, a part of a handshake message */
	struct ktls__buf feed;
	struct ktls__buf control; /* a control record the kernel gave in parts */
	uint64_t controls;	  /* how often some of one came */
	uint64_t shown;		  /* rx.kernel_bytes when OpenSSL saw some */

	/* TX in the kernel: see account.c */
	uint64_t handed0;
	uint64_t seq0;	  /* the first record number of the present key */
	uint64_t records; /* made under the keys before it */
	uint64_t plain;
	uint32_t open_kernel; /* bytes in the kernel's open record, at most */

	/* see rekey.c */
	uint64_t rekey_limit; /* records under one key; 0: any number */
	uint64_t rekey_room;  /* of them, those that are left at least */
	uint8_t tx_secret[KTLS__SECRET_MAX]; /* of the kernel's key for TX */
	uint32_t old_key;   /* bytes of out that go under the key before */
	bool rekey;	    /* a KeyUpdate of ours is to be made, */
	bool rekey_request; /* which asks the peer for one */

	/* see size.c */
	uint32_t record_peer;	/* bytes the peer takes in a record, RFC 6066 */
	uint32_t record_kernel; /* bytes at which the kernel ends a record */
	uint32_t ramp_record; /* the size of small records; 0: not known yet */
	uint64_t ramp_sent;   /* bytes since the ramp began */
	int64_t ramp_last;    /* ms: when the last call ended that sent */
	int sndbuf;	      /* SO_SNDBUF when last looked at; 0: never */
	int lowat;	      /* TCP_NOTSENT_LOWAT of the caller, */
	int lowat_raised;     /* and what it is now; 0: as it was */
	uint64_t guard_waits;
	uint64_t guard_pushes;

	short bio_tx_errno; /* what the socket said to the BIO */
	short bio_rx_errno;
	short wants;	 /* of the last EAGAIN */
	int pipe_wanted; /* or the pipe it was about; -1: none */
	short pipe_events;
	int dead;	  /* errno of the failure nothing can follow */
	int tx_dead;	  /* the same for what we send */
	uint32_t drained; /* bytes of the peer's thrown away by shutdown */
	uint8_t shutdown; /* enum ktls__shutdown */
	uint8_t credit;	  /* bytes accepted that no call has reported yet */
	bool credit_gone; /* it came from a pipe, which has it no more */

	uint8_t control_type; /* of control, while it is not empty */
	bool tcp;	      /* TCP over IPv4 or IPv6 */
	bool ulp;	      /* TCP_ULP "tls" is attached */
	bool disabled;	      /* KTLS_DISABLE=1 */
	bool restore_fl;      /* the fd was blocking; so are the calls */
	bool handshaken;
	bool sealed;		  /* an alert of ours ended TX in user space */
	bool refused;		  /* KTLS_REQUIRE failed */
	bool detached;		  /* another process goes on with the socket */
	bool eof;		  /* the peer closed TCP */
	bool closed;		  /* the peer sent close_notify */
	bool delivered;		  /* when the peer was gone, TCP had it all */
	bool no_pad;		  /* TLS_RX_EXPECT_NO_PAD is set */
	bool quiet;		  /* failures matter to nobody: close drains */
	bool zerocopy;		  /* TLS_TX_ZEROCOPY_RO is set, and in effect */
	uint32_t zerocopy_reason; /* why not, with TX in the kernel */
	bool splice_known;	  /* whether splice(2) from it loses nothing, */
	bool may_splice;
	bool whole_pipes; /* sendfile(2) may carry several records */
	bool corked;	  /* TCP_CORK is set, by us */
	bool nagle;	  /* TCP_NODELAY was not set, and is now */
	bool sigpipe_ignored;
	bool suite_own; /* suite_name is to be freed */
	bool inside;	/* an adopted SSL may have records that it has read */
	bool hold;	/* the caller may be sending: receiving sends nothing */
	bool silent;	/* the SSL that is gone was not to send close_notify */
};

static inline void ktls__control_count(struct ktls__half *h, uint8_t type)
{
	h->alerts += type == KTLS__ALERT;
	h->handshakes += type == KTLS__HANDSHAKE;
}

/* The index under which the SSL knows its connection; -1: no memory. */
int ktls__ssl_index(void);

static inline struct ktls__half *ktls__half(struct ktls_conn *c, int dir)
{
	return dir == KTLS_TX ? &c->tx : &c->rx;
}

#endif
