/* SPDX-License-Identifier: MIT */
/* Addresses of servers: from the command line, to a socket, and as text. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

bool port_is_good(const char *port)
{
	const size_t len = strspn(port, "0123456789");

	return len > 0 && len <= 5 && !port[len] && atoi(port) <= 65535;
}

/* Take "ADDR:PORT" apart, in place; ADDR may be empty, or in brackets. */
bool address_split(char *text, const char **host, const char **port)
{
	char *colon = strrchr(text, ':');

	/* getaddrinfo() takes numbers beyond 65535 modulo that */
	if (!colon || !port_is_good(colon + 1))
		return false;
	*colon = '\0';
	*host = text;
	*port = colon + 1;
	if (text[0] == '[' && colon > text + 1 && colon[-1] == ']') {
		colon[-1] = '\0';
		*host = text + 1;
	}
	return true;
}

/* The addresses that an option's argument means; for freeaddrinfo(). */
struct addrinfo *address_parse(const char *option, const char *text, int flags)
{
	struct addrinfo hints = {
		.ai_flags = flags,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *ai;
	char copy[256];
	const char *host;
	const char *port;
	int error;

	snprintf(copy, sizeof(copy), "%s", text);
	if (!address_split(copy, &host, &port)) {
		warn("%s takes ADDR:PORT, not \"%s\"", option, text);
		exit(2);
	}
	error = getaddrinfo(*host ? host : NULL, port, &hints, &ai);
	if (error != 0)
		die("%s %s: %s", option, text, gai_strerror(error));
	return ai;
}

/* "ADDR:PORT" in numbers. */
void address_format(char *text, size_t size, const struct sockaddr *addr,
		    socklen_t len)
{
	bool v6 = addr->sa_family == AF_INET6;
	char host[64];
	char port[16];

	if (getnameinfo(addr, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(text, size, "unknown address");
	else
		snprintf(text, size, "%s%s%s:%s", v6 ? "[" : "", host,
			 v6 ? "]" : "", port);
}

/* "WHAT on ADDR:PORT": where port 0 has led. */
void print_address(const char *what, int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char text[96];

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		die("cannot find the address of the listening socket");
	address_format(text, sizeof(text), (struct sockaddr *)&addr, len);
	printf("%s on %s\n", what, text);
	fflush(stdout);
}

static int bind_to(const struct addrinfo *ai, int sndbuf)
{
	int on = 1;
	int fd = socket(ai->ai_family,
			ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* connections inherit it, and it is there before their first byte */
	if (sndbuf > 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, 512) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The port number that many further on; 0, any port, stays what it is. */
static void move_port(char *text, size_t size, unsigned int number)
{
	char *port = strrchr(text, ':');

	if (!port || !port_is_good(port + 1) || atoi(port + 1) == 0)
		return;
	port++;
	snprintf(port, size - (size_t)(port - text), "%d",
		 atoi(port) + (int)number);
}

/*
 * The socket that an option's argument means, or the end of the program.
 * number: of several sockets which one, each has the port behind the last.
 */
int listen_on(const char *option, const char *text, unsigned int number,
	      int sndbuf)
{
	struct addrinfo *ai;
	char place[256];
	int fd;

	snprintf(place, sizeof(place), "%s", text);
	if (number > 0)
		move_port(place, sizeof(place), number);
	ai = address_parse(option, place, AI_PASSIVE);
	fd = bind_to(ai, sndbuf);
	if (fd < 0)
		die("%s %s: %s", option, place, strerror(errno));
	freeaddrinfo(ai);
	return fd;
}
