/* SPDX-License-Identifier: MIT */
/*
 * What the programs that test libktls on a real kernel share. One end of each
 * connection is libktls, by its public calls alone; the other is OpenSSL with
 * a socket BIO of its own.
 */
#ifndef KTLS_VMTEST_H
#define KTLS_VMTEST_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include <ktls/openssl.h>

enum {
	VT_RECORD = 16384,
	VT_DATA = 9 * 1024 * 1024, /* bytes of vt_data and of vt_file */
	VT_WAIT = 20000,	   /* ms without an event: stalled */
	VT_DIGEST = 64
};

/* report.c: results */

/* Name of the program and its time limit; call it first. */
void vt_begin(const char *name, unsigned int seconds);
/* Names what is being tested, for messages. */
void vt_case(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A part that cannot run here: a failure if KTLS_TEST_REQUIRE has "vm". */
void vt_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void vt_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The program's exit status, with a line that sums up. */
int vt_end(void);

/* The arguments are evaluated after the condition: errno is what it left. */
#define CHECK(cond, ...)                                                       \
	vt_checked((cond) || vt_failed(__FILE__, __LINE__, #cond, __VA_ARGS__))
bool vt_checked(bool ok); /* counts, and returns ok */
bool vt_failed(const char *file, int line, const char *cond, const char *fmt,
	       ...) __attribute__((format(printf, 4, 5)));
/* What no test is about, such as memory: ends the program. */
#define MUST(cond) vt_must((cond), __FILE__, __LINE__, #cond)
void vt_must(bool ok, const char *file, int line, const char *cond);

int64_t vt_now(void);
void vt_sleep_ms(int ms);
/* Waits for events, VT_WAIT at most; false: nothing came. */
bool vt_poll(int fd, int events);
const char *vt_reason(uint32_t reason);

/* stat.c: the kernel's counters; over nicsim, of both ends together */

struct vt_stat {
	long tx_sw;
	long rx_sw;
	long tx_device;
	long rx_device;
	long decrypt_error;
	/* of keys, from Linux 6.14 on */
	long tx_rekey;
	long rx_rekey;
	long rekey_received;
	long tx_rekey_error;
	long rx_rekey_error;
	bool there; /* the kernel has /proc/net/tls_stat */
};

void vt_stat_read(struct vt_stat *s);
/* That exactly so many directions went to the kernel since then. */
void vt_stat_check(const struct vt_stat *before, int tx, int rx,
		   bool decrypt_errors);

/* suite.c: ciphers, contexts, and what this kernel can do with them */

struct vt_suite {
	const char *name;  /* as OpenSSL calls it */
	const char *label; /* as the table of results does */
	int version;
	uint16_t kernel_id; /* linux/tls.h */
	uint16_t kernel_size;
	bool slow; /* in an emulated machine */
};

extern const struct vt_suite vt_suites[];
extern const size_t vt_n_suites;

/* True when this OpenSSL can be told to use it. */
bool vt_suite_known(const struct vt_suite *s);
const char *vt_version_str(int version);

/* errno of setsockopt(TCP_ULP) on a fresh connection, or 0 */
int vt_ulp_errno(void);
/* errno of setsockopt(TLS_TX or TLS_RX) with made-up keys, or 0 */
int vt_kernel_errno(const struct vt_suite *s, int direction);
/*
 * Makes a raw kernel TLS direction without a handshake, all keys alike.
 * Returns errno or 0.
 */
int vt_raw_install(int fd, const struct vt_suite *s, int direction);
/* errno of a second setsockopt(TLS_TX) on one socket, or 0 */
int vt_rekey_errno(void);

/*
 * A context for this suite alone, with a certificate and trust in it;
 * peer_verify asks for the other side's certificate.
 */
SSL_CTX *vt_ctx(const struct vt_suite *s, bool server, bool verify);

/* Two ends of a TCP connection over loopback; [0] connected, [1] accepted. */
void vt_tcp_pair(int fd[2]);
/* With segments and receive buffers of so many bytes at most; 0: any. */
void vt_tcp_pair_small(int fd[2], int mss, int rcvbuf);
void vt_set_nonblocking(int fd, bool on);
void vt_set_sndbuf(int fd, int bytes);
void vt_set_rcvbuf(int fd, int bytes);

/* far.c: a network of its own for the tests, as root */

/* Runs it with sh; a failure is printed. */
bool vt_shell(const char *command);
/*
 * Moves the calling thread to a namespace with the device ka, which leads to
 * kb in another one, "ktls-far"; errno or 0.
 */
int vt_far_make(void);
/*
 * A connection from this namespace, [0], to that one, [1]; SO_SNDBUF and
 * TCP_NOTSENT_LOWAT of the first, 0: left alone.
 */
void vt_far_pair(int fd[2], int sndbuf, int lowat);

/* stream.c: what is sent, and its digest */

extern const uint8_t *vt_data; /* VT_DATA bytes without a pattern */
extern int vt_file;	       /* a file with the same bytes */

struct vt_stream {
	size_t base; /* where in vt_data it begins */
	size_t total;
	size_t pos;
	const size_t *sizes; /* lengths of calls; the last one repeats */
	size_t n_sizes;
};

struct vt_sink {
	EVP_MD_CTX *md;
	size_t count;
};

void vt_data_init(void);
/* A stream as long as the sizes add up to. */
void vt_stream_init(struct vt_stream *s, size_t base, const size_t *sizes,
		    size_t n);
/* The rest of the call that pos is in, and its number. */
size_t vt_stream_next(const struct vt_stream *s, size_t *number);

void vt_sink_init(struct vt_sink *k);
void vt_sink_add(struct vt_sink *k, const void *p, size_t n);
/* That it got the first length bytes of s, by their digest; frees k. */
bool vt_sink_check(struct vt_sink *k, const struct vt_stream *s, size_t length,
		   const char *whose);
/* That both got the same; frees both. */
bool vt_sink_same(struct vt_sink *got, struct vt_sink *want, const char *whose);

/* peer.c: the other end, a thread with OpenSSL */

struct vt_peer {
	SSL *ssl;
	int fd;
	struct vt_stream out;
	size_t in_total;     /* what it waits for before it sends, if after */
	bool after;	     /* sends when everything has come */
	bool closes_first;   /* close_notify as soon as both ways are done */
	bool half_closes;    /* goes on sending after the other's end */
	bool only_handshake; /* then ends, and closes nothing */
	int start_ms;	     /* begins to read so much later */
	int pause_us;	     /* sleeps so long after each read */
	int hold;	     /* stops until this fd is readable; 0: no */
	size_t hold_at;	     /* bytes after which it does */
	size_t read_size;    /* 0: a record */
	size_t rekey_each;   /* bytes between its KeyUpdates; 0: none */
	unsigned int rekeys; /* so many */
	size_t rekey_at;     /* the byte of the next one */

	struct vt_sink in;
	bool handshaken;
	bool close_notify; /* has come from the other end, authenticated */
	bool eof;	   /* TCP ended without it */
	int error;	   /* errno, or EPROTO for OpenSSL's */
	char text[160];
	pthread_t thread;
};

/* Fills in defaults and the SSL; the peer owns fd from here on. */
void vt_peer_init(struct vt_peer *p, SSL_CTX *ctx, int fd, bool server);
void vt_peer_start(struct vt_peer *p);
/* Waits for its end, and frees what it had. */
void vt_peer_join(struct vt_peer *p);

/* end.c: the end with libktls */

struct vt_end {
	struct ktls_conn *c;
	SSL *ssl; /* as long as there is c */
	int fd;
	bool blocking;
	bool duplex;	   /* receives while it sends */
	bool only_write;   /* no ktls_sendfile() */
	size_t interrupts; /* calls that said EINTR */
	struct vt_stream out;
	struct vt_sink in;
	size_t in_total;
};

/* What clients made by vt_end_init() resume, or NULL. */
extern SSL_SESSION *vt_resume;
/*
 * The last session that a client was given, and how many, of contexts for
 * which this was called; whoever is done with it frees it.
 */
extern SSL_SESSION *vt_session;
extern int vt_sessions;
void vt_keep_sessions(SSL_CTX *ctx);

/* A connection over fd, which is made blocking or not. */
void vt_end_init(struct vt_end *e, SSL_CTX *ctx, int fd, bool server,
		 bool blocking, const struct ktls_policy *policy);
/* 0, or -1 with errno; EAGAIN is waited for. */
int vt_end_handshake(struct vt_end *e);
/* One call's worth of out; bytes, or -1 with errno */
ssize_t vt_end_send(struct vt_end *e);
ssize_t vt_end_recv(struct vt_end *e);
/* All of out is accepted and in_total bytes have come; false: see output. */
bool vt_end_exchange(struct vt_end *e);
/* Reads close_notify. */
bool vt_end_finished(struct vt_end *e);
/* ktls_close() as the socket's kind wants it: 0, or -1 with errno. */
int vt_end_close(struct vt_end *e);
void vt_end_info(const struct vt_end *e, struct ktls_info *info);

struct ktls_policy vt_policy(uint32_t tx, uint32_t rx);

/* duo.c: both ends in one thread, step by step */

struct vt_duo {
	struct vt_end lib;
	SSL *ssl; /* the peer's, non-blocking */
	int fd;
	int handshake_errno; /* ktls_handshake() has to end so; 0: well */
};

/* Over sockets of the caller's, before the handshake; fd[0] is the client's. */
void vt_duo_init(struct vt_duo *d, SSL_CTX *lib, SSL_CTX *peer, const int fd[2],
		 bool lib_server, const struct ktls_policy *policy);
bool vt_duo_handshake(struct vt_duo *d);
/* Connects and shakes hands; false: reported, and freed. */
bool vt_duo_open(struct vt_duo *d, const struct vt_suite *s, bool lib_server,
		 const struct ktls_policy *policy);
bool vt_duo_open_ctx(struct vt_duo *d, SSL_CTX *lib, SSL_CTX *peer,
		     bool lib_server, const struct ktls_policy *policy);
/* That n bytes of vt_data at base get from one end to the other. */
bool vt_duo_to_peer(struct vt_duo *d, size_t base, size_t n);
bool vt_duo_to_lib(struct vt_duo *d, size_t base, size_t n);
/* SSL_read() of the peer, waiting: bytes, 0 at close_notify, or -1. */
int vt_duo_peer_read(struct vt_duo *d, void *buf, int len);
/* ktls_read(), waiting: bytes, 0 at close_notify, or -1 with errno. */
ssize_t vt_duo_lib_read(struct vt_duo *d, void *buf, size_t len);
/* Both close, each seeing the other's close_notify. */
void vt_duo_close(struct vt_duo *d);
/* Frees what is left, without a word to the other side. */
void vt_duo_drop(struct vt_duo *d);
/*
 * A first connection, so that the library has its answers about this kernel:
 * its probes use TLS sockets, which the kernel counts as well.
 */
void vt_probed(void);

/* failed.c: connections that fail */

/* n bytes that the peer sends, as they would be on the wire. */
size_t vt_duo_catch(struct vt_duo *d, const void *p, size_t n, uint8_t *to,
		    size_t max);
void vt_duo_error(const struct vt_duo *d, struct ktls_error *error);
/* After a fatal failure every call repeats it, and close just closes. */
void vt_duo_dead(struct vt_duo *d, int code);
/* The alert that the peer finds; -1: none. */
int vt_duo_peer_alert(struct vt_duo *d);

/* async.c: what the kernel's AES-GCM is */

struct vt_driver {
	char name[128];
	int users; /* references; each key that is in the kernel has one */
};

/* What gcm(aes) is at present, the driver of the highest priority. */
bool vt_async_driver(struct vt_driver *d);
/*
 * Asynchronous crypto from here on, by "pcrypt" or "cryptd": 0 or errno. One
 * that is at work already stays.
 */
int vt_async_start(const char *with);
/* Undoes it; false: it stays. */
bool vt_async_stop(void);

/* wire.c: the records as the other end gets them */

enum { VT_WIRE_MAX = 65536 };

/* Of application data; lengths are those of the plaintext. */
struct vt_wire {
	size_t count;
	size_t bytes;
	size_t largest;
	size_t length;	 /* of the record at hand */
	uint16_t *sizes; /* of the first VT_WIRE_MAX */
};

void vt_wire_watch(struct vt_wire *w, SSL *ssl);
void vt_wire_free(struct vt_wire *w);
/* Records that n bytes take at least. */
size_t vt_wire_least(size_t n, size_t size);

/* forge.c: records that OpenSSL never sends, AES-128-GCM */

struct vt_forge {
	int fd;
	int version;
	uint8_t secret[32]; /* TLS 1.3 */
	uint8_t key[16];
	uint8_t iv[12];
	uint64_t seq;
};

/* Before the handshake, of the context of the end that will forge. */
void vt_forge_ctx(SSL_CTX *ctx);
/* After it, and before that end has sent any data. */
void vt_forge_init(struct vt_forge *f, SSL *ssl, int fd);
/* TLS 1.3: the keys behind a KeyUpdate. */
void vt_forge_rekey(struct vt_forge *f);
void vt_forge_send(struct vt_forge *f, uint8_t type, const void *p, size_t n,
		   size_t padding);

/* line.c: libktls on one end, a thread that counts records on the other */

struct vt_kind {
	const struct vt_suite *suite;
	uint32_t tx;
	uint32_t rx;
	bool server;
	bool blocking;
};

struct vt_line {
	const struct vt_kind *kind;
	struct vt_end e;
	struct vt_peer p;
	struct vt_wire w;
	struct vt_sink want; /* what was accepted */
	size_t shorts;	     /* calls that took less than they were given */
	size_t least;	     /* records that the calls take at least */
	size_t calls;	     /* of vt_line_send() that took something */
	size_t most;	     /* bytes that one of them may take; 0: any */
	bool cut;	     /* ends without close_notify */
};

enum vt_method {
	VT_WRITE,
	VT_WRITEV,
	VT_FILE,
	VT_SPANS,
	VT_SPLICE,
	VT_METHODS
};

const char *vt_kind_name(const struct vt_kind *k);
/* Then change fields of e and p, and start; pair: made by vt_tcp_pair(). */
void vt_line_init(struct vt_line *l, const struct vt_kind *k,
		  const struct ktls_policy *policy, const int pair[2]);
/* False: reported, and freed. */
bool vt_line_start(struct vt_line *l);
bool vt_line_open(struct vt_line *l, const struct vt_kind *k);
/* Before the start: small buffers, small segments, a peer that is late. */
void vt_line_init_slow(struct vt_line *l, const struct vt_kind *k);
/* After a call that returned -1: whether to make it again, by now. */
bool vt_line_again(struct vt_line *l, const char *call);
/* That n bytes at p were accepted, of asked. */
void vt_line_took(struct vt_line *l, const void *p, size_t n, size_t asked);
/* Sends n bytes of vt_data from base on. */
bool vt_line_send(struct vt_line *l, enum vt_method how, size_t base, size_t n);
/* Closes, and checks what came; the wire's numbers stay until it is freed. */
void vt_line_close(struct vt_line *l);

#endif
