/* SPDX-License-Identifier: MIT */
/*
 * The numbers of the kernel's TLS interface. They are our own and not taken
 * from <linux/tls.h>, so that what the library can do is decided by the kernel
 * it runs on and not by the headers it was built with; cipher.c checks them
 * against the header where that one has them.
 */
#ifndef KTLS_COMPAT_H
#define KTLS_COMPAT_H

#include <netinet/in.h>

/* include/uapi/linux/tcp.h */
enum {
	KTLS__TCP_NODELAY = 1,
	KTLS__TCP_MAXSEG = 2,
	KTLS__TCP_CORK = 3,
	KTLS__TCP_INFO = 11,
	KTLS__TCP_NOTSENT_LOWAT = 25,
	KTLS__TCP_ULP = 31
};

/* include/linux/socket.h, include/uapi/linux/tls.h */
#define KTLS__SOL_TLS 282

enum {
	KTLS__TLS_TX = 1,
	KTLS__TLS_RX = 2,
	KTLS__TLS_TX_ZEROCOPY_RO = 3, /* Linux 5.19 */
	KTLS__TLS_RX_EXPECT_NO_PAD = 4,
	KTLS__TLS_TX_MAX_PAYLOAD_LEN = 5 /* Linux 6.19 */
};

/* include/uapi/asm-generic/socket.h, Linux 5.14 */
enum { KTLS__SO_NETNS_COOKIE = 71 };
/* the same, Linux 4.12: the number of the socket, not used twice */
enum { KTLS__SO_COOKIE = 57 };

/* ancillary data of level SOL_TLS: one byte, the TLS ContentType */
enum { KTLS__SET_RECORD_TYPE = 1, KTLS__GET_RECORD_TYPE = 2 };

/* RFC 8446 section 5.1, ContentType */
enum {
	KTLS__CHANGE_CIPHER_SPEC = 20,
	KTLS__ALERT = 21,
	KTLS__HANDSHAKE = 22,
	KTLS__APPLICATION_DATA = 23
};
/* and of a handshake message, section 4 */
enum { KTLS__KEY_UPDATE = 24 };

/* RFC 8446 section 6, AlertLevel and AlertDescription */
enum {
	KTLS__WARNING = 1,
	KTLS__FATAL = 2,
	KTLS__CLOSE_NOTIFY = 0,
	KTLS__BAD_RECORD_MAC = 20,
	KTLS__RECORD_OVERFLOW = 22,
	KTLS__DECODE_ERROR = 50,
	KTLS__INTERNAL_ERROR = 80
};

enum {
	KTLS__TLS12 = 0x0303,
	KTLS__TLS13 = 0x0304,
	KTLS__HEADER = 5,	   /* bytes of a record's header */
	KTLS__TAG = 16,		   /* bytes of every kernel cipher's tag */
	KTLS__RECORD_MAX = 16384,  /* plaintext, RFC 8446 section 5.1 */
	KTLS__EXPANSION_MAX = 2048 /* ciphertext, RFC 5246 section 6.2.3 */
};

#endif
