/* SPDX-License-Identifier: MIT */
/*
 * libktls: TLS connections whose record layer runs in the Linux kernel.
 *
 * The caller configures an SSL of OpenSSL 3 or later as before, gives it to
 * ktls_conn_new() of <ktls/openssl.h>, and from then on uses the calls below
 * in the place of read(2), write(2) and sendfile(2). Where the kernel cannot
 * encrypt, the same calls do it in user space with the same results, and
 * ktls_get_info() says why. libktls(7) is the place to start reading.
 *
 * Two threads may use a connection, one that receives and one that sends
 * (libktls(7)); ktls_conn_free() and ktls_close() are for the last one.
 * Calls that return ssize_t or int return -1 and set errno when they fail;
 * on success errno is not touched in any way that callers may rely on.
 */
#ifndef KTLS_KTLS_H
#define KTLS_KTLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef KTLS_BUILDING
#define KTLS_API __attribute__((visibility("default")))
#else
#define KTLS_API
#endif
#define KTLS_MUST_CHECK __attribute__((warn_unused_result))

#ifdef __cplusplus
extern "C" {
#endif

#define KTLS_VERSION_MAJOR 0
#define KTLS_VERSION_MINOR 1
#define KTLS_VERSION_PATCH 0

struct ktls_conn;

/* The two directions of a connection, to be combined with |. */
enum ktls_direction {
	KTLS_TX = 1, /* what we send */
	KTLS_RX = 2  /* what we receive */
};

/* What a policy says of the kernel in one direction. */
enum ktls_use {
	KTLS_AUTO = 0,	 /* where it is possible and not dearer */
	KTLS_OFF = 1,	 /* never */
	KTLS_REQUIRE = 2 /* always: ktls_handshake() fails with ENOTSUP else */
};

/* Who encrypts, or decrypts, one direction of a connection. */
enum ktls_mode {
	KTLS_MODE_USER = 0,   /* OpenSSL, in this process */
	KTLS_MODE_KERNEL = 1, /* the kernel's TLS module, on the CPU */
	KTLS_MODE_DEVICE = 2, /* the kernel gave the keys to the NIC, too */
	KTLS_MODE_UNKNOWN = 3 /* kernel or device: the kernel does not say */
};

/*
 * Why a direction is not in the kernel, or zerocopy not in effect. Numbers
 * never change their meaning; new ones are added at the end. ktls_reasons(7)
 * says what to do about each.
 */
enum ktls_reason {
	KTLS_REASON_NONE = 0,	     /* it is in the kernel */
	KTLS_REASON_HANDSHAKE,	     /* the handshake is not finished */
	KTLS_REASON_POLICY,	     /* the policy says KTLS_OFF */
	KTLS_REASON_DISABLED,	     /* KTLS_DISABLE=1 in the environment */
	KTLS_REASON_DEFERRED,	     /* fewer bytes than offload_after */
	KTLS_REASON_COST,	     /* AUTO: user space is cheaper here */
	KTLS_REASON_PENDING,	     /* half a record is on its way */
	KTLS_REASON_NOT_TCP,	     /* the socket is not TCP over IP */
	KTLS_REASON_NOT_ESTABLISHED, /* TCP_ULP: ENOTCONN, peer has closed */
	KTLS_REASON_NO_ULP,	     /* TCP_ULP: ENOENT, no module "tls" */
	KTLS_REASON_ULP_BUSY,	     /* TCP_ULP: EEXIST, somebody else's ULP */
	KTLS_REASON_NO_KERNEL,	     /* the kernel does not know the option */
	KTLS_REASON_VERSION,	     /* neither TLS 1.2 nor TLS 1.3 */
	KTLS_REASON_CIPHER,	     /* kernel TLS has no such cipher */
	KTLS_REASON_CIPHER_KERNEL,   /* this kernel refused the cipher */
	KTLS_REASON_KEYS,	     /* no secrets seen: ktls_ctx_enable() */
	KTLS_REASON_KEY_CHECK,	     /* derived keys failed on a real record */
	KTLS_REASON_COMPRESSION,     /* TLS compression was negotiated */
	KTLS_REASON_PADDING,	     /* OpenSSL pads our records */
	KTLS_REASON_OPENSSL,	     /* libcrypto failed to derive the keys */
	KTLS_REASON_SYSTEM,	     /* another errno: see sys_errno */
	KTLS_REASON_REKEY,	     /* policy: the kernel cannot change keys */
	KTLS_REASON_NO_DEVICE,	     /* zerocopy: no NIC encrypts this */
	KTLS_REASON_NO_DIAG	     /* zerocopy: the kernel does not say */
};

/* What becomes of TLS 1.3 where the kernel cannot change keys. */
enum ktls_rekey_unsupported {
	KTLS_REKEY_FAIL = 0, /* a KeyUpdate ends the connection: EKEYEXPIRED */
	KTLS_REKEY_STAY_IN_USER_SPACE = 1 /* none of it goes to the kernel */
};

/*
 * What the caller wishes for one connection. Fill it with ktls_policy_init(),
 * then change fields. The struct grows at its end; size says which part of it
 * the caller knows.
 */
struct ktls_policy {
	size_t size;		/* sizeof(struct ktls_policy) */
	uint32_t tx;		/* enum ktls_use */
	uint32_t rx;		/* enum ktls_use */
	uint64_t offload_after; /* AUTO: bytes; default 131072 */
	uint64_t budget;	/* bytes of one call, default 2097152 */
	uint32_t record_size;	/* bytes of a record sent, 512 to 16384 */
	uint32_t record_idle; /* ms; then the ramp begins anew; default 1000 */
	uint64_t record_ramp; /* bytes in records of one segment; default 0 */
	uint32_t stall_guard; /* enum ktls_use: AUTO or OFF */
	uint32_t expect_no_pad; /* enum ktls_use, RX of TLS 1.3 */
	uint64_t rekey_after; /* records under one key, default 2^24; 0: any */
	uint32_t rekey_unsupported; /* enum ktls_rekey_unsupported */
	uint32_t zerocopy; /* 1: the NIC may read files in place; default 0 */
	uint32_t release_ssl; /* 1: the SSL goes when the kernel has both */
	uint32_t reserved;    /* 0 */
};

/* For the flags of a call that sends. */
enum ktls_flags {
	KTLS_MORE = 1 /* more follows: the last record may stay open */
};

/*
 * A part of what ktls_sendfilev() sends: len bytes at buf, or, when buf is
 * NULL, len bytes of the file fd from offset on.
 */
struct ktls_span {
	const void *buf;
	size_t len;
	off_t offset;
	int fd;
	int reserved; /* 0 */
};

/* How far ktls_sendfilev() has come. All zeros is the beginning. */
struct ktls_cursor {
	uint64_t total; /* bytes accepted, of all spans together */
	uint64_t done;	/* bytes accepted of the span at hand */
	int span;	/* its number; that of the spans: all are sent */
	int reserved;	/* 0 */
};

/* How record_size comes about. */
enum ktls_sizing {
	KTLS_SIZING_OPENSSL = 0, /* TX in user space: OpenSSL's records */
	KTLS_SIZING_KERNEL = 1,	 /* the kernel cuts the records */
	KTLS_SIZING_CALLS = 2	 /* a call of the kernel for each record */
};

/* One direction of a connection, as ktls_get_info() finds it. */
struct ktls_dir_info {
	uint32_t mode;	       /* enum ktls_mode */
	uint32_t reason;       /* enum ktls_reason */
	uint32_t asked;	       /* enum ktls_use, from the policy */
	int32_t sys_errno;     /* errno of the call that refused, or 0 */
	const char *call;      /* the call that refused, or NULL; static */
	uint64_t bytes;	       /* application bytes accepted, or delivered */
	uint64_t kernel_bytes; /* of these, the ones the kernel took care of */
	uint64_t rekeys;       /* KeyUpdates since the handshake */
	uint64_t key_records;  /* records under the present key */
	uint64_t records;      /* records under all keys since the handshake */
	uint64_t alerts;       /* control records the kernel carried: alerts, */
	uint64_t handshakes;   /* and tickets, KeyUpdates and the like */
	uint64_t again;	       /* calls that found no room, or no data */
	uint64_t reserved[4];
};

struct ktls_info {
	size_t size;	  /* set by the caller, sizeof(struct ktls_info) */
	uint32_t version; /* 0x0303 TLS 1.2, 0x0304 TLS 1.3, 0 none yet */
	uint32_t cipher;  /* IANA number of the cipher suite, or 0 */
	const char *cipher_name; /* IANA name, or NULL; the connection's */
	struct ktls_dir_info tx;
	struct ktls_dir_info rx;
	uint64_t offload_after; /* in effect */
	uint64_t budget;	/* in effect */
	uint64_t unsent;	/* wire bytes accepted, but not yet in TCP */

	uint32_t record_size_asked; /* from the policy */
	uint32_t record_size;	    /* in effect for the next record */
	uint32_t record_limit;	    /* of the peer, RFC 6066; else 16384 */
	uint32_t record_sizing;	    /* enum ktls_sizing */
	uint64_t record_ramp;	    /* in effect: bytes, 0: off */

	uint32_t stall_guard_asked; /* enum ktls_use */
	uint32_t stall_guard;	    /* 1: it is at work on TX */
	uint32_t notsent_lowat;	    /* TCP_NOTSENT_LOWAT it has set, 0: none */
	uint32_t reserved;
	uint64_t file_call;    /* most bytes of one sendfile(2) or splice(2) */
	uint64_t guard_waits;  /* times that the socket took no more */
	uint64_t guard_pushes; /* of these, in which TCP was pushed */

	uint32_t expect_no_pad_asked; /* enum ktls_use */
	uint32_t expect_no_pad;	      /* 1: TLS_RX_EXPECT_NO_PAD is set */

	uint64_t unacked; /* wire bytes in TCP that the peer has not acked */
	uint64_t rekey_after_asked; /* from the policy */
	uint64_t rekey_after;	    /* in effect: records, 0: any number */
	uint32_t rekey_unsupported; /* enum ktls_rekey_unsupported */

	uint32_t zerocopy_asked;  /* from the policy */
	uint32_t zerocopy;	  /* 1: in effect, by the kernel's own word */
	uint32_t zerocopy_reason; /* enum ktls_reason: why not */

	uint32_t release_ssl_asked; /* from the policy */
	uint32_t release_ssl;	    /* 1: there is no SSL behind it any more */
};

/* The last failure of a connection. EAGAIN is not a failure. */
struct ktls_error {
	size_t size;	    /* set by the caller, sizeof(struct ktls_error) */
	int32_t code;	    /* errno as the call set it, 0: none yet */
	int32_t alert_sent; /* TLS AlertDescription, or -1 */
	int32_t alert_received; /* the same */
	int32_t sys_errno;	/* errno of the system call behind it, or 0 */
	const char *call;	/* what failed: "SSL_read", "sendmsg"; static */
	uint64_t openssl;	/* first error of OpenSSL's queue, or 0 */
	uint64_t unsent;	/* wire bytes accepted, but not yet in TCP */
	char text[160];		/* one line for a log, never secret */
};

/* The ciphers of kernel TLS; a number can be a set of them. */
enum ktls_cipher {
	KTLS_AES_128_GCM = 1,
	KTLS_AES_256_GCM = 2,
	KTLS_AES_128_CCM = 4,
	KTLS_CHACHA20_POLY1305 = 8,
	KTLS_SM4_GCM = 16,
	KTLS_SM4_CCM = 32,
	KTLS_ARIA_128_GCM = 64, /* TLS 1.2 only */
	KTLS_ARIA_256_GCM = 128 /* TLS 1.2 only */
};

/*
 * What this host can do, found by doing it on a connection over loopback.
 * Answers are 1, 0, or -errno when it could not be tried.
 */
struct ktls_caps {
	size_t size;	   /* set by the caller, sizeof(struct ktls_caps) */
	uint32_t reason;   /* enum ktls_reason: why there is no kernel TLS */
	int32_t sys_errno; /* of the call that refused, or 0 */
	const char *call;  /* that call, or NULL; static */
	uint32_t tls12_tx; /* sets of enum ktls_cipher */
	uint32_t tls12_rx;
	uint32_t tls13_tx;
	uint32_t tls13_rx;
	uint32_t async;	     /* of them, those whose driver is asynchronous */
	uint32_t disabled;   /* 1: KTLS_DISABLE=1 is in the environment */
	int32_t rekey;	     /* keys of TLS 1.3 can be changed */
	int32_t no_pad;	     /* TLS_RX_EXPECT_NO_PAD gives the right bytes */
	int32_t splice;	     /* splice(2) from the socket loses nothing */
	int32_t zerocopy;    /* TLS_TX_ZEROCOPY_RO is there; a NIC has to be */
	int32_t max_payload; /* TLS_TX_MAX_PAYLOAD_LEN: short records cost less */
	int32_t diag;	     /* the kernel says whether a NIC is at work */
	char async_drivers[256]; /* their names, separated by spaces */
};

/* What a network interface offers to kernel TLS; a set. */
enum ktls_nic_feature {
	KTLS_NIC_HW_TX = 1,    /* ethtool: tls-hw-tx-offload */
	KTLS_NIC_HW_RX = 2,    /* tls-hw-rx-offload */
	KTLS_NIC_HW_RECORD = 4 /* tls-hw-record, gone from Linux 7.2 on */
};

struct ktls_nic {
	size_t size;	    /* set by the caller, sizeof(struct ktls_nic) */
	char name[16];	    /* the interface asked about, or of the route */
	char lower[16];	    /* the one below it that features are of, or name */
	char driver[32];    /* of lower, or "" */
	uint32_t features;  /* enum ktls_nic_feature, switched on */
	uint32_t available; /* those that can be switched on: ethtool -K */
	uint32_t up;	    /* 1: lower is up */
	uint32_t reached; /* 1: the kernel finds lower from a socket on name */
	uint32_t tls12;	  /* sets of enum ktls_cipher that Linux, to 7.3, */
	uint32_t tls13;	  /* gives to a NIC */
};

KTLS_API int ktls_policy_init(struct ktls_policy *policy, size_t size);

KTLS_API void ktls_conn_free(struct ktls_conn *conn);

KTLS_API KTLS_MUST_CHECK int ktls_handshake(struct ktls_conn *conn);
KTLS_API int ktls_wants(const struct ktls_conn *conn);

KTLS_API KTLS_MUST_CHECK ssize_t ktls_read(struct ktls_conn *conn, void *buf,
					   size_t len);
KTLS_API KTLS_MUST_CHECK ssize_t ktls_write(struct ktls_conn *conn,
					    const void *buf, size_t len);
KTLS_API KTLS_MUST_CHECK ssize_t ktls_sendfile(struct ktls_conn *conn, int in_fd,
					       off_t *offset, size_t count);
KTLS_API size_t ktls_pending(const struct ktls_conn *conn);

KTLS_API KTLS_MUST_CHECK ssize_t ktls_readv(struct ktls_conn *conn,
					    const struct iovec *iov, int iovcnt);
KTLS_API KTLS_MUST_CHECK ssize_t ktls_peek(struct ktls_conn *conn, void *buf,
					   size_t len);
KTLS_API KTLS_MUST_CHECK ssize_t ktls_writev(struct ktls_conn *conn,
					     const struct iovec *iov,
					     int iovcnt, int flags);
KTLS_API KTLS_MUST_CHECK ssize_t ktls_sendfilev(struct ktls_conn *conn,
						const struct ktls_span *spans,
						int count,
						struct ktls_cursor *cursor);
KTLS_API KTLS_MUST_CHECK ssize_t ktls_splice_in(struct ktls_conn *conn,
						int pipe_fd, size_t len,
						int flags);
KTLS_API KTLS_MUST_CHECK ssize_t ktls_splice_out(struct ktls_conn *conn,
						 int pipe_fd, size_t len,
						 int flags);

KTLS_API int ktls_offload(struct ktls_conn *conn, int directions);
KTLS_API int ktls_set_policy(struct ktls_conn *conn,
			     const struct ktls_policy *policy);

KTLS_API int ktls_rekey(struct ktls_conn *conn, int request_peer);

KTLS_API int ktls_flush(struct ktls_conn *conn, int timeout_ms);
KTLS_API int ktls_shutdown_write(struct ktls_conn *conn, int timeout_ms);
KTLS_API int ktls_shutdown(struct ktls_conn *conn, int timeout_ms);
KTLS_API int ktls_close(struct ktls_conn *conn, int timeout_ms);
KTLS_API int ktls_detach(struct ktls_conn *conn);

KTLS_API int ktls_get_info(const struct ktls_conn *conn, struct ktls_info *info);
KTLS_API int ktls_get_error(const struct ktls_conn *conn,
			    struct ktls_error *error);
KTLS_API const char *ktls_reason_str(enum ktls_reason reason);
KTLS_API const char *ktls_reason_name(enum ktls_reason reason);
KTLS_API const char *ktls_mode_str(enum ktls_mode mode);
KTLS_API const char *ktls_cipher_str(enum ktls_cipher cipher);
KTLS_API const char *ktls_version(void);

/* again: not what was found before, but what is true now */
KTLS_API int ktls_probe(struct ktls_caps *caps, int again);
/* of the interface, or, when ifname is NULL, of the route that fd's peer has */
KTLS_API int ktls_nic_probe(const char *ifname, int fd, struct ktls_nic *nic);

/* level is one of syslog(3)'s; line has no newline and is never secret */
typedef void ktls_log_fn(void *arg, const struct ktls_conn *conn, int level,
			 const char *line);
KTLS_API int ktls_set_log(ktls_log_fn *fn, void *arg);
/* As snprintf(3) does: the length of all of it, of which size bytes fit. */
KTLS_API ssize_t ktls_metrics(char *buf, size_t size);

#ifdef __cplusplus
}
#endif

#endif
