/* SPDX-License-Identifier: MIT */
/*
 * The other ways into libktls, and out of it: keys that another TLS library
 * negotiated, connections that go to another process, and callers that drive
 * the socket themselves, as io_uring does. No type of OpenSSL is needed.
 */
#ifndef KTLS_RAW_H
#define KTLS_RAW_H

#include <ktls/ktls.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What protects the records of one direction. Either secret_len is not 0, of
 * TLS 1.3, and secret is the direction's traffic secret, from which key and
 * IV follow, and the keys after them; or key and iv are given. ktls_raw(3)
 * has the lengths, and what other libraries call them.
 */
struct ktls_keys {
	size_t size;	     /* sizeof(struct ktls_keys) */
	uint32_t version;    /* 0x0303 TLS 1.2, 0x0304 TLS 1.3 */
	uint32_t cipher;     /* enum ktls_cipher */
	uint64_t seq;	     /* number of the next record under this key */
	uint32_t secret_len; /* bytes of secret, or 0 */
	uint32_t key_len;    /* bytes of key, or 0 */
	uint32_t iv_len;     /* bytes of iv: 12; 4: the salt of TLS 1.2 */
	uint32_t reserved;   /* 0 */
	uint8_t secret[48];
	uint8_t key[32];
	uint8_t iv[12];
	uint8_t reserved2[4]; /* 0 */
	/* receiving: what the other library has read of the socket, and ... */
	const void *plain; /* decrypted, but not given to anybody */
	size_t plain_len;
	const void *wire; /* not decrypted: whole records, or parts of one */
	size_t wire_len;
};

/* tx: what we send; rx: what we receive; both of one version and cipher. */
KTLS_API KTLS_MUST_CHECK struct ktls_conn *
ktls_conn_from_keys(int fd, const struct ktls_keys *tx,
		    const struct ktls_keys *rx, const struct ktls_policy *policy);

/*
 * All that another process needs beside the socket, as bytes that are as
 * secret as a key. With size 0 only their number; else the connection is the
 * other process's from then on.
 */
KTLS_API ssize_t ktls_export(struct ktls_conn *conn, void *buf, size_t size);
KTLS_API KTLS_MUST_CHECK struct ktls_conn *
ktls_import(int fd, const void *buf, size_t len,
	    const struct ktls_policy *policy);

KTLS_API int ktls_fd(const struct ktls_conn *conn);
/*
 * The directions, KTLS_TX | KTLS_RX, in which the caller may use the socket
 * itself for now: what it writes there becomes records, what it reads there
 * is of records.
 */
KTLS_API int ktls_raw_io(const struct ktls_conn *conn);

/* A record that the kernel gave, as ktls_cmsg_parse() finds it. */
enum ktls_record {
	KTLS_RECORD_ALERT = 21, /* RFC 8446 section 5.1, ContentType */
	KTLS_RECORD_HANDSHAKE = 22,
	KTLS_RECORD_DATA = 23,
	KTLS_RECORD_END = 256 /* or'ed to it: its last byte was delivered */
};
/* Of the control data and msg_flags of a recvmsg(2); -1 with errno EPROTO. */
KTLS_API int ktls_cmsg_parse(const void *control, size_t len, int msg_flags);

/* The caller's own calls sent n bytes of application data. */
KTLS_API int ktls_raw_sent(struct ktls_conn *conn, size_t n);
/*
 * They received len bytes of this record. As ktls_read(): len for application
 * data, 0 for the peer's close_notify; -1 and EAGAIN for what is done with.
 */
KTLS_API ssize_t ktls_raw_received(struct ktls_conn *conn, int record,
				   const void *buf, size_t len);

#ifdef __cplusplus
}
#endif

#endif
