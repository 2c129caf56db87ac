/* SPDX-License-Identifier: MIT */
/* What a connection consists of. conn.c makes and frees it. */
#ifndef KTLS_STATE_H
#define KTLS_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "aead.h"
#include "buf.h"
#include "compat.h"
#include "error.h"
#include "kdf.h"

/* Follows the records of one direction as they pass through the BIO. */
struct ktls__track {
	uint8_t header[KTLS__HEADER];
	size_t have;	       /* bytes of the header seen */
	size_t left;	       /* bytes of the body still to come */
	uint64_t seq;	       /* records seen under the present key */
	struct ktls__buf last; /* the last record, where it was kept */
	bool keeping;	       /* the present record is being kept */
	bool kept;	       /* last is whole, and number seq - 1 */
	bool keep_all;	       /* large records too */
};

struct ktls__half {
	struct ktls__track track;
	uint8_t secret[KTLS__SECRET_MAX]; /* TLS 1.3 traffic secret */
	size_t secret_len;
	unsigned int generation; /* how often OpenSSL changed the key */
	unsigned int installed;	 /* the generation the kernel has */

	uint32_t asked; /* enum ktls_use */
	uint32_t mode;
	uint32_t reason;
	const char *call; /* what refused, with its errno */
	int sys_errno;
	bool settled; /* AUTO has its answer and does not try again */
	bool wanted;  /* to be moved as soon as no record is half done */

	uint64_t bytes;
	uint64_t kernel_bytes;
};

struct ktls_conn {
	SSL *ssl;
	BIO *bio;
	void (*next_info)(const SSL *, int, int); /* the caller's callback */
	int fd;
	struct ktls_policy policy;
	struct ktls__error error;

	struct ktls__half tx;
	struct ktls__half rx;

	/*
	 * TX in user space: ciphertext the socket has not taken yet.
	 * TX in the kernel: control records not taken yet, each as type,
	 * length (2 bytes, big-endian) and content.
	 */
	struct ktls__buf out;
	struct ktls__buf feed;	  /* records for OpenSSL, not for the wire */
	struct ktls__buf control; /* a control record the kernel gave in parts */
	uint8_t control_type;	  /* of control, while it is not empty */

	/* TX in the kernel: see account.c */
	uint64_t handed0;
	uint64_t seq0;
	uint64_t plain;
	size_t record_max; /* bytes the peer takes in a record, RFC 6066 */

	int bio_tx_errno; /* what the socket said to the BIO */
	int bio_rx_errno;
	int wants;	/* of the last EAGAIN */
	int dead;	/* errno of the failure nothing can follow */
	int tx_dead;	/* the same for what we send */
	int shutdown;	/* enum ktls__shutdown */
	size_t drained; /* bytes of the peer's thrown away by shutdown */
	uint8_t credit; /* bytes accepted that no call has reported yet */

	bool tcp;	 /* TCP over IPv4 or IPv6 */
	bool ulp;	 /* TCP_ULP "tls" is attached */
	bool disabled;	 /* KTLS_DISABLE=1 */
	bool restore_fl; /* the fd was blocking; so are the calls */
	bool handshaken;
	bool sealed;	/* an alert of ours ended TX in user space */
	bool refused;	/* KTLS_REQUIRE failed */
	bool eof;	/* the peer closed TCP */
	bool closed;	/* the peer sent close_notify */
	bool delivered; /* when the peer was gone, TCP had it all */
};

/* The index under which the SSL knows its connection; -1: no memory. */
int ktls__ssl_index(void);

static inline struct ktls__half *ktls__half(struct ktls_conn *c, int dir)
{
	return dir == KTLS_TX ? &c->tx : &c->rx;
}

#endif
