/* SPDX-License-Identifier: MIT */
/* Connects to the back-end, at the first of its addresses that answers. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy.h"

/* Begin, or ask how it went; returns 0, EINPROGRESS or what has failed. */
static int try_address(struct session *s)
{
	const struct addrinfo *ai = s->address;
	int on = 1;

	if (s->backend.fd < 0) {
		s->backend.fd =
			socket(ai->ai_family,
			       ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (s->backend.fd < 0)
			return errno;
		/* what the client has sent in one piece is not held back */
		setsockopt(s->backend.fd, IPPROTO_TCP, TCP_NODELAY, &on,
			   sizeof(on));
	}
	if (connect(s->backend.fd, ai->ai_addr, ai->ai_addrlen) == 0 ||
	    errno == EISCONN)
		return 0;
	return errno == EALREADY ? EINPROGRESS : errno;
}

/* Give up on the address at hand. */
void backend_next_address(struct session *s, int error)
{
	char text[96];

	address_format(text, sizeof(text), s->address->ai_addr,
		       s->address->ai_addrlen);
	s->error[0] = '\0'; /* the last address has the last word */
	session_error(s, text, strerror(error));
	if (s->backend.fd >= 0)
		close(s->backend.fd); /* which takes it out of the epoll set */
	s->backend.fd = -1;
	s->backend.polled = 0;
	s->address = s->address->ai_next;
	s->limit = now_ms() + LIMIT_CONNECT;
}

/* Returns 1 when connected, 0 to be called again, -1 when nobody answers. */
int backend_connect(struct session *s)
{
	while (s->address) {
		int error = try_address(s);

		if (error == 0) {
			s->error[0] = '\0';
			return 1;
		}
		if (error == EINPROGRESS) {
			s->backend.wants = POLLOUT;
			return 0;
		}
		backend_next_address(s, error);
	}
	warn("no back-end: %s", s->error);
	s->client.reset = true;
	return -1;
}
