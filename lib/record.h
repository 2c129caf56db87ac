/* SPDX-License-Identifier: MIT */
/* Typed records to and from a socket whose keys are in the kernel. */
#ifndef KTLS_RECORD_H
#define KTLS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * Sends one record of this type: len on success, a smaller count when the
 * kernel took a part of it, -EAGAIN when it took nothing. An open record of
 * application data is closed first, by TLS_SW.
 */
ssize_t ktls__record_send(int fd, uint8_t type, const void *buf, size_t len);

struct ktls__record_in {
	uint8_t type;
	bool end; /* the record's last byte was delivered */
};

/*
 * Receives application data of one or more records, or bytes of one control
 * record. 0 at the end of the TCP stream; -EINTR after an empty record of
 * application data: call again; -EPROTO when the kernel gave no trustworthy
 * type, or an empty control record; the kernel's errno else.
 */
ssize_t ktls__record_recv(int fd, const struct iovec *iov, int count,
			  struct ktls__record_in *in);

#endif
