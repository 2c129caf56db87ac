/* SPDX-License-Identifier: MIT */
/*
 * A model of the kernel behind lib/sys.h: pairs of connected TCP sockets with
 * TLS sockets on top, files in memory, a clock. Each socket may be the
 * library's (through ktls__sys_*) or a test's (through fake_raw_*).
 */
#ifndef FAKESYS_H
#define FAKESYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fakenet.h"

/* Every call of the seam; setsockopt and getsockopt by what they are for. */
enum fake_call {
	FAKE_SET_ULP,
	FAKE_SET_TLS_TX,
	FAKE_SET_TLS_RX,
	FAKE_SET_OTHER,
	FAKE_GET_TYPE,
	FAKE_GET_DOMAIN,
	FAKE_GET_PROTOCOL,
	FAKE_GET_ERROR,
	FAKE_GET_TIMEO,
	FAKE_GET_TCP_INFO,
	FAKE_GET_TLS_TX,
	FAKE_GET_ULP,
	FAKE_GET_OTHER,
	FAKE_SEND,
	FAKE_RECV,
	FAKE_SENDMSG,
	FAKE_RECVMSG,
	FAKE_SENDFILE,
	FAKE_GETFL,
	FAKE_SETFL,
	FAKE_SHUTDOWN,
	FAKE_CLOSE,
	FAKE_POLL,
	FAKE_NOW,
	FAKE_PREAD,
	FAKE_LSEEK,
	FAKE_FSTAT,
	FAKE_SIGPIPE_BLOCK,
	FAKE_SIGPIPE_RESTORE,
	FAKE_SIGPIPE_IGNORED,
	FAKE_SET_NODELAY,
	FAKE_GET_NODELAY,
	FAKE_GET_MAXSEG,
	FAKE_SET_CORK,
	FAKE_GET_CORK,
	FAKE_SET_LOWAT, /* TCP_NOTSENT_LOWAT */
	FAKE_GET_LOWAT,
	FAKE_GET_SNDBUF,
	FAKE_SET_PAYLOAD, /* TLS_TX_MAX_PAYLOAD_LEN */
	FAKE_GET_PAYLOAD,
	FAKE_SET_NO_PAD, /* TLS_RX_EXPECT_NO_PAD */
	FAKE_GET_NO_PAD,
	FAKE_SPLICE,
	FAKE_READ,
	FAKE_WRITE,
	FAKE_LOOPBACK,
	FAKE_NEW_PIPE,
	FAKE_GET_TLS_RX,
	FAKE_SET_ZEROCOPY, /* TLS_TX_ZEROCOPY_RO */
	FAKE_GET_ZEROCOPY,
	FAKE_GET_COOKIE,
	FAKE_GET_BOUND, /* SO_BINDTOIFINDEX */
	FAKE_GET_NETNS, /* SO_NETNS_COOKIE */
	FAKE_NETLINK,
	FAKE_NETLINK_SEND,
	FAKE_NETLINK_RECV,
	FAKE_NETLINK_CLOSE,
	FAKE_NAMES,
	FAKE_ETHTOOL,
	FAKE_LOAD,
	FAKE_CALLS
};

struct fake_bytes {
	uint8_t *p;
	size_t off;
	size_t len;
	size_t cap;
};
void fake_put(struct fake_bytes *b, const void *p, size_t n);
/* Takes n bytes of the front to p (NULL: nowhere). */
void fake_take(struct fake_bytes *b, void *p, size_t n);
void fake_drop_all(struct fake_bytes *b);

enum { FAKE_NETNS = 7 };
enum { FAKE_RECORD = 16384, FAKE_KEY = 32, FAKE_IV = 12, FAKE_INFO = 64 };

/* The keys of one direction, as setsockopt(SOL_TLS) gave them. */
struct fake_key {
	bool on;
	bool device; /* a NIC has it, too */
	unsigned int version;
	unsigned int cipher;
	uint8_t key[FAKE_KEY];
	uint8_t iv[FAKE_IV]; /* of TLS 1.2: salt, then next explicit nonce */
	uint64_t seq;
	uint64_t seq0; /* as it was installed */
};

/* A record received and not read to its end yet. */
struct fake_record {
	struct fake_bytes plain;
	size_t at; /* of the record, where plain begins now */
	uint8_t type;
	bool padded;
};

struct fake_socket {
	int fd;
	bool open;
	struct fake_socket *peer;
	int type, domain, protocol, fl;
	int rcvtimeo_ms, sndtimeo_ms;

	struct fake_bytes in; /* what the peer's TCP has been handed for us */
	size_t capacity;      /* of in; the peer's TCP then has no room */
	bool fin_sent;
	/*
	 * Corked by TCP_CORK, or, where corks is true, by MSG_MORE on a full
	 * record, as a call leaves it that met a full queue: less than a
	 * segment stays in held, and only a push gets it out.
	 */
	bool corks;
	struct fake_bytes held;
	int nodelay, cork, lowat;
	int mss, sndbuf;
	bool probe; /* made by ktls__sys_loopback() */
	uint64_t cookie;
	uint64_t netns; /* FAKE_NETNS: that of the process */
	int bound_if;	/* the interface it is bound to, 0: any */
	bool mapped;	/* AF_INET6: its addresses are of IPv4 */
	int error;	/* ECONNRESET or EPIPE for every later call */
	int so_error;	/* for the next send, or SO_ERROR */

	bool ulp;
	bool ulp_other; /* another ULP is attached: EEXIST */
	struct fake_key tx, rx;
	struct fake_bytes open_record; /* plaintext, MSG_MORE */
	size_t open_pages;	       /* of it, those that were spliced */
	struct fake_bytes tx_list;     /* records that TCP has not got */
	bool lazy;		       /* tx_list moves with time only */
	size_t tx_max;		       /* TLS_TX_MAX_PAYLOAD_LEN */
	struct fake_record parked;
	bool parked_any; /* an empty record can be parked, too */
	bool rx_no_pad;	 /* TLS_RX_EXPECT_NO_PAD */
	bool zerocopy;	 /* TLS_TX_ZEROCOPY_RO, which only a NIC minds */
	int rx_error;
	bool rx_paused;		 /* a KeyUpdate came: EKEYEXPIRED */
	uint8_t message_head[4]; /* of the handshake message going out */
	size_t message_have;	 /* of it, in records already */
	bool tx_updated;	 /* a KeyUpdate went: TLS_TX is due */
	unsigned int rekeys[2];	 /* of TX and RX */

	uint64_t handed;  /* bytes that TCP was given, ever */
	uint64_t retrans; /* bytes it says it has sent twice */
	int tcpi_state;	  /* overrides the state in TCP_INFO when not 0 */
	size_t tcpi_len;  /* as an old kernel's; 0: the whole struct */

	/* what the tests look at */
	struct fake_bytes wire; /* every byte handed to TCP */
	const void *key_at;	/* where the last crypto_info was in memory */
	size_t key_len;
	uint8_t key_copy[FAKE_INFO];
	bool reset_at_close; /* it was closed with unread data */
	size_t lost;	     /* bytes accepted and dropped at the end */
};

/* What kind of kernel it is; fake_reset() makes it one of today. */
struct fake_kernel {
	bool old; /* before 6.5: sendpage, and no MSG_EOR */
	bool no_payload_len;
	bool no_expect_no_pad;
	bool no_zerocopy;   /* before 5.19 */
	unsigned int lacks; /* crypto modules: enum ktls_cipher */
	bool device_tx;	    /* the NIC takes TLS 1.2 with AES-GCM */
	bool device_rx;
	bool no_pad_bug;      /* CVE-2026-74611 */
	bool splice_drops;    /* what a full pipe has no room for */
	bool may_stall;	      /* MSG_MORE on a full record is no failure */
	bool async;	      /* closing a record says EINPROGRESS */
	bool no_rekey;	      /* before 6.14: keys are set once */
	bool sigpipe_ignored; /* by the process */
};
extern struct fake_kernel fake_kernel;

/* Everything as at the start: nothing open, nothing counted. */
void fake_reset(void);

/* Two connected sockets; each direction holds capacity bytes. */
void fake_tcp_pair(int fd[2], size_t capacity);
/* NULL when it is not open; the second finds closed ones as well. */
struct fake_socket *fake_socket(int fd);
struct fake_socket *fake_socket_any(int fd);

/* The test's side: not counted, never made to fail; -errno. */
ssize_t fake_raw_read(int fd, void *buf, size_t len);
ssize_t fake_raw_write(int fd, const void *buf, size_t len);
void fake_raw_fin(int fd);
void fake_raw_reset(int fd);

unsigned int fake_count(enum fake_call call);
/* Whether the calls between a loopback pair and its end count and fail, too. */
extern bool fake_count_probes;
/* The nth call from now (1: the next one; 0: all of them) fails with e. */
void fake_fail(enum fake_call call, unsigned int nth, int e);
/* No call of this kind moves more than max bytes; 0: no limit. */
void fake_limit(enum fake_call call, size_t max);
/* Every other call that moves bytes of a socket says EAGAIN. */
void fake_flaky(bool on);
/* No fake_fail(), no fake_limit(), no fake_flaky() any more. */
void fake_heal(void);

/* What recvmsg() is to give once, in the place of the socket's bytes. */
struct fake_reply {
	ssize_t result;
	int flags;
	bool cmsg;
	int level, type;
	size_t cmsg_data;
	uint8_t value;
};
void fake_script_recvmsg(const struct fake_reply *reply);

/*
 * Called by each poll() before it looks: the rest of the world runs. Where
 * nothing can wake a poll() without a timeout the test fails.
 */
void fake_on_poll(void (*hook)(void *), void *arg);
extern int64_t fake_clock; /* ms */
/* Time passes: what is lazy moves. */
void fake_elapse(int ms);
/* What the last poll() asked for. */
extern short fake_poll_events;
extern int fake_poll_timeout;

/* Told when the library enters the kernel and leaves it; or NULL. */
extern void (*fake_around)(bool enter);

/*
 * Byte number offset of stream seed. Every 16 bytes hold FAKE_MAGIC, so that
 * fake_leaks() finds 23 or more of them wherever they are.
 */
#define FAKE_MAGIC "kTLSdata"
void fake_pattern(uint64_t seed, uint64_t offset, void *buf, size_t n);
/* The first byte of buf that is not the pattern's; n when all are. */
size_t fake_pattern_check(uint64_t seed, uint64_t offset, const void *buf,
			  size_t n);

/* What is wrong on the wire of fd, or NULL: plaintext, or broken records. */
const char *fake_leaks(int fd);

/* Sockets, netlink ones too, and pipes that the library made and has not closed. */
size_t fake_own_fds(void);

enum fake_file_kind {
	FAKE_REGULAR,
	FAKE_BLOCK,
	FAKE_PIPE,
	FAKE_DIRECTORY,
	FAKE_SOCKET
};
struct fake_file {
	int fd;
	bool open;
	enum fake_file_kind kind;
	uint64_t seed;	  /* its content is this pattern */
	uint64_t shift;	  /* from this byte of the pattern on */
	int64_t size;	  /* as fstat says; see shown */
	int64_t shown;	  /* st_size where it differs, -1 where not */
	int64_t position; /* of the descriptor */
	int splice_errno; /* sendfile() fails with it; 0: works */
	int64_t bad_at;	  /* reading this byte is EIO; -1: none is */
	int64_t cut_at;	  /* when this byte was read the file ends there */
};
int fake_file(enum fake_file_kind kind, uint64_t seed, int64_t size);
struct fake_file *fake_file_of(int fd);

/*
 * A pipe is a queue of slots, each of which holds bytes of one page, or, from
 * a socket, of several in a row.
 */
enum { FAKE_PAGE = 4096, FAKE_SLOTS = 16, FAKE_SLOTS_MAX = 64 };
struct fake_pipe {
	struct fake_bytes data;
	struct {
		size_t len;
		size_t end;  /* of the bytes in the page */
		bool merges; /* a small write may be added */
	} slot[FAKE_SLOTS_MAX];
	size_t n;
	size_t slots;
	int fd[2];
	bool open[2]; /* reader, writer */
	bool nonblock;
	bool own; /* made by the library */
};
/* As pipe(2) makes it: two blocking ends, to read and to write. */
void fake_pipe(int fd[2], size_t slots);
struct fake_pipe *fake_pipe_of(int fd);
/* The test's side: not counted, never made to fail. */
ssize_t fake_pipe_read(int fd, void *buf, size_t n);
/* Slots of each bytes, that nothing is added to: how many bytes had room. */
size_t fake_pipe_fill(int fd, const void *buf, size_t n, size_t each);
void fake_pipe_close(int fd);

#endif
