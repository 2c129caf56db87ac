/* SPDX-License-Identifier: MIT */
/* What the files of ktls-vm-stall share. */
#ifndef KTLS_STALL_H
#define KTLS_STALL_H

#include "vmtest.h"

enum st_how { ST_WRITE, ST_SENDFILE, ST_SPLICE, ST_HOWS };

/* One connection. Sizes of 0 leave the system's default. */
struct st_scenario {
	int lowat;  /* TCP_NOTSENT_LOWAT */
	int sndbuf; /* SO_SNDBUF */
	int mss;    /* bytes of data in a segment, time stamps not counted */
	uint32_t record_size;
	bool blocking;
	enum st_how how;
	bool tls12;
	bool guard_off;
	bool nodelay; /* of the socket, by the caller */
	bool cork;
	bool watch; /* no call may change the socket's options */

	int ms;	     /* sends for so long, and half a second's worth at most */
	size_t most; /* bytes; 0: VT_DATA */

	/* the reader; eager if all are 0 */
	int rcvbuf;
	int nap_us;	/* after each read, of 16 KiB then */
	size_t stop_at; /* stops reading there for stop_ms */
	int stop_ms;
	int limit_ms; /* without a byte: gives up; 0: VT_WAIT */
	/* both ends of a connection to use in the place of a new one */
	const int *fd;
};

/* What the reader saw of it on the wire. */
struct st_wire {
	size_t bytes;
	size_t records;
	size_t small;	   /* of these, ones with less than record_size */
	size_t large;	   /* and with more */
	int64_t pause_us;  /* the longest wait for a byte */
	size_t pause_at;   /* bytes that had come before it */
	int64_t resume_us; /* the longest one after stop_at */
	size_t halts;	   /* waits of 100 ms and more */
	size_t acks;	 /* waits of 20 to 100 ms: for a delayed ACK, mostly */
	int64_t time_us; /* from the first call to the last byte */
	bool gave_up;
};

struct st_result {
	struct st_wire wire;
	struct ktls_info info;
	size_t sent; /* bytes of the stream */
	bool ok;     /* complete, authentic, and TCP ended as it should */
};

/* Bytes of the wire in a second. */
double st_rate(const struct st_result *r);
const char *st_how_str(enum st_how how);

/* stallwire.c: the reader, a thread that looks at the raw TCP stream */

struct st_reader {
	const struct st_scenario *s;
	struct st_wire wire;
	SSL *ssl; /* decrypts when all has come; NULL: nothing does */
	int fd;
	size_t overhead; /* of a record's plaintext */
	int64_t start_us;
	struct vt_sink sink;
	bool close_notify;
	pthread_t thread;
	size_t parsed;
};

int64_t st_now_us(void);
void st_reader_start(struct st_reader *r);
/* Ends when the sender has closed, or it gave up; closes fd. */
void st_reader_join(struct st_reader *r);

/* stallsend.c: the senders */

/* Two ends of a connection over loopback, [0] being the sender's. */
void st_pair(const struct st_scenario *s, int fd[2]);
/* By libktls; checks what must be true of each connection. */
void st_send_lib(const struct st_scenario *s, struct st_result *r);
/* By the kernel alone, everything in one call where there is such a call. */
void st_send_raw(const struct st_scenario *s, struct st_result *r);

/* stallopt.c: options of TCP that the caller has set */

void st_options(void);

/* stallnet.c: readers that are slow or stop, and networks that lose */

void st_readers(void);
void st_networks(void);

#endif
