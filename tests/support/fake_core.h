/* SPDX-License-Identifier: MIT */
/* What the parts of the model share. */
#ifndef FAKE_CORE_H
#define FAKE_CORE_H

#include <sys/socket.h>

#include "fakesys.h"

/* fake_crypto.c: the kernel's record layer, nothing of it from lib/ */

/* Takes a struct tls12_crypto_info_*; 0, or -EINVAL. */
int fake_key_set(struct fake_key *k, const void *info, size_t len);
/* The same struct as getsockopt() gives it; its length. */
size_t fake_key_get(const struct fake_key *k, uint8_t info[FAKE_INFO]);
size_t fake_overhead(const struct fake_key *k);
/* One record to the end of out. */
void fake_seal(struct fake_key *k, uint8_t type, const uint8_t *p, size_t n,
	       struct fake_bytes *out);
/* One whole record to plain; -EBADMSG. */
int fake_open(struct fake_key *k, const uint8_t *rec, size_t n, uint8_t *type,
	      struct fake_bytes *plain);

/* fake_tcp.c */
size_t fake_room(const struct fake_socket *s);
/* Bytes in the send queue, on their way or held back. */
size_t fake_queued(const struct fake_socket *s);
/* What was held back goes out. */
void fake_uncork(struct fake_socket *s);
/* The same at the end of a call, unless TCP_CORK is set. */
void fake_call_done(struct fake_socket *s);
/* Time passes: the workers of all sockets run. */
void fake_workers(void);
/* Hands up to n bytes to TCP; how many it took. */
size_t fake_hand(struct fake_socket *s, const uint8_t *p, size_t n);
/* -errno of a send that cannot be, which it may say once only; or 0. */
int fake_send_error(struct fake_socket *s);
/* The readiness of poll(2). */
short fake_ready(const struct fake_socket *s, short events);
void fake_sockets_reset(void);
ssize_t fake_plain_send(struct fake_socket *s, const void *p, size_t n);
ssize_t fake_plain_recv(struct fake_socket *s, void *p, size_t n);
size_t fake_own_sockets(void);
int fake_close(struct fake_socket *s);
int fake_shutdown(struct fake_socket *s);

/* fake_opt.c */
enum { FAKE_ESTABLISHED = 1 };
/* As TCP_INFO has it. */
int fake_state_of(const struct fake_socket *s);

/* fake_ulp.c */
int fake_tls_set(struct fake_socket *s, enum fake_call what, const void *val,
		 socklen_t len);
int fake_tls_get(const struct fake_socket *s, enum fake_call what, void *val,
		 socklen_t *len);

/* fake_tls.c: TLS_SW */
void fake_push(struct fake_socket *s);
/* The same by the kernel's worker, which says nothing of more to come. */
void fake_worker(struct fake_socket *s);
/* more: the last record stays open, if it is not full. */
ssize_t fake_tls_send(struct fake_socket *s, uint8_t type, const uint8_t *p,
		      size_t n, bool more);
/*
 * What a type does before its record: closes the one that is open. That has
 * been done when -EAGAIN or -EINPROGRESS say how far it has come.
 */
int fake_tls_close_record(struct fake_socket *s);
int fake_tls_device_end(struct fake_socket *s);
/* Fails the test when MSG_MORE comes with n bytes that fill a record. */
void fake_tls_more(const struct fake_socket *s, size_t n);
/* As fake_tls_send() of data that are one fragment, of which 17 fit. */
ssize_t fake_tls_page(struct fake_socket *s, const uint8_t *p, size_t n,
		      bool more);

/* How recvmsg() is called, and what it says. */
struct fake_recv {
	bool cmsg; /* there is room for the type */
	bool eor;
	uint8_t type; /* 0: none is known yet */
};
ssize_t fake_tls_recv(struct fake_socket *s, uint8_t *p, size_t n,
		      struct fake_recv *how);
/* The first record that waits: NULL, with 0 or -errno in *r. */
struct fake_record *fake_tls_first(struct fake_socket *s, int *r);
/* Takes n bytes of it. */
void fake_tls_take(struct fake_socket *s, size_t n);
bool fake_tls_readable(const struct fake_socket *s);

/* fake_pipe.c */
void fake_pipes_reset(void);
size_t fake_own_pipes(void);
/* 0: the end to read; 1: the end to write; -1: none of either. */
int fake_pipe_end(int fd);
/* The readiness of poll(2). */
short fake_pipe_ready(int fd, short events);
size_t fake_pipe_free(const struct fake_pipe *p);
/* n bytes to a slot of their own; merges: more may join them. */
void fake_pipe_add(struct fake_pipe *p, const void *buf, size_t n, bool merges);
/* Takes n bytes of the front to buf (NULL: nowhere). */
void fake_pipe_take(struct fake_pipe *p, void *buf, size_t n);

/* fake_netlink.c */
void fake_net_reset(void);
bool fake_is_netlink(int fd);
size_t fake_own_netlinks(void);
ssize_t fake_netlink_send(int fd, const void *buf, size_t len);
ssize_t fake_netlink_recv(int fd, void *buf, size_t len);
int fake_netlink_close(int fd);

/* fake_file.c */
void fake_files_reset(void);
/* Reads at off; the number of bytes, or -errno. */
ssize_t fake_file_read(struct fake_file *f, void *p, size_t n, int64_t off);

/* Ends the test: the library did what it must never do. */
void fake_broken(const char *fmt, ...) __attribute__((noreturn))
__attribute__((format(printf, 1, 2)));
/* Told of it instead, to leave by longjmp(3); or NULL. */
extern void (*fake_on_broken)(const char *text);

#endif
