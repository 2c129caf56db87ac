/* SPDX-License-Identifier: MIT */
/* What the parts of the model share. */
#ifndef FAKE_CORE_H
#define FAKE_CORE_H

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
/* Hands up to n bytes to TCP; how many it took. */
size_t fake_hand(struct fake_socket *s, const uint8_t *p, size_t n);
/* -errno of a send that cannot be, which it may say once only; or 0. */
int fake_send_error(struct fake_socket *s);
/* The readiness of poll(2). */
short fake_ready(const struct fake_socket *s, short events);
void fake_sockets_reset(void);
ssize_t fake_plain_send(struct fake_socket *s, const void *p, size_t n);
ssize_t fake_plain_recv(struct fake_socket *s, void *p, size_t n);
int fake_close(struct fake_socket *s);
int fake_shutdown(struct fake_socket *s);

/* fake_tls.c: TLS_SW */
void fake_push(struct fake_socket *s);
ssize_t fake_tls_send(struct fake_socket *s, uint8_t type, const uint8_t *p,
		      size_t n, bool more);
/* The type the call is about is *type, 0 when none is known yet. */
ssize_t fake_tls_recv(struct fake_socket *s, uint8_t *p, size_t n,
		      uint8_t *type, bool cmsg, bool *eor);
bool fake_tls_readable(const struct fake_socket *s);

/* fake_file.c */
void fake_files_reset(void);
/* Reads at off; the number of bytes, or -errno. */
ssize_t fake_file_read(struct fake_file *f, void *p, size_t n, int64_t off);

/* Ends the test: the library did what it must never do. */
void fake_broken(const char *fmt, ...) __attribute__((noreturn))
__attribute__((format(printf, 1, 2)));

#endif
