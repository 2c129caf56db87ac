/* SPDX-License-Identifier: MIT */
/*
 * ktls-bench-memory [CONNECTIONS]: what an idle connection takes of a server's
 * own memory, by what the allocator has given out; and that all of them still
 * carry data, have a reason and close.
 */
#include "../vm/vmtest.h"

#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/err.h>

enum { MANY = 10000, SAMPLE = 500, LINE = 64, TARGET = 1024 };

struct kind {
	const char *name;
	bool lib;
	bool release; /* SSL_MODE_RELEASE_BUFFERS, or release_ssl */
	bool many;
};

struct side {
	SSL *ssl;
	struct ktls_conn *c;
	int fd;
};

static SSL_CTX *contexts[2]; /* [1]: the server's */
static int listener;
static struct sockaddr_in address;

static void line_of(int i, char line[LINE])
{
	memset(line, '.', LINE);
	snprintf(line, LINE, "connection %d", i);
}

static bool must(bool ok, const char *what)
{
	if (!ok)
		printf("FAILED: %s: %s\n", what, strerror(errno));
	return ok;
}

/* Else each connection waits for an ACK that is late. */
static bool hurry(int fd)
{
	const int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0;
}

/* The clients: one after the other, then each sends a line and reads it. */
static int clients(int count)
{
	SSL **ssl = calloc((size_t)count, sizeof(SSL *));
	char line[LINE], got[LINE];
	bool ok = ssl != NULL;

	for (int i = 0; ok && i < count; i++) {
		const int fd = socket(AF_INET, SOCK_STREAM, 0);

		ssl[i] = SSL_new(contexts[0]);
		ok = must(ssl[i] && fd >= 0 && hurry(fd) &&
				  connect(fd, (struct sockaddr *)&address,
					  sizeof(address)) == 0 &&
				  SSL_set_fd(ssl[i], fd) &&
				  SSL_connect(ssl[i]) == 1,
			  "connect");
		if (ok)
			SSL_set_mode(ssl[i], SSL_MODE_RELEASE_BUFFERS);
		/* both directions move when data have come and gone */
		line_of(i, line);
		ok = ok && must(SSL_write(ssl[i], line, LINE) == LINE, "write");
		ok = ok && must(SSL_read(ssl[i], got, LINE) == LINE &&
					memcmp(line, got, LINE) == 0,
				"read");
	}
	for (int i = 0; ok && i < count; i++) {
		line_of(i + count, line);
		ok = must(SSL_write(ssl[i], line, LINE) == LINE, "write") &&
		     must(SSL_read(ssl[i], got, LINE) == LINE &&
				  memcmp(line, got, LINE) == 0,
			  "read") &&
		     must(SSL_read(ssl[i], got, LINE) == 0 &&
				  SSL_get_shutdown(ssl[i]) ==
					  SSL_RECEIVED_SHUTDOWN,
			  "close_notify");
		SSL_shutdown(ssl[i]);
		close(SSL_get_fd(ssl[i]));
	}
	return ok ? 0 : 1;
}

static bool echo(struct side *s)
{
	char line[LINE];
	size_t have = 0;

	while (have < LINE) {
		const ssize_t n =
			s->c ? ktls_read(s->c, line + have, LINE - have)
			     : SSL_read(s->ssl, line + have, (int)(LINE - have));

		if (!must(n > 0, "a server's read"))
			return false;
		have += (size_t)n;
	}
	return must((s->c ? ktls_write(s->c, line, LINE)
			  : SSL_write(s->ssl, line, LINE)) == LINE,
		    "a server's write");
}

static bool open_side(const struct kind *k, struct side *s)
{
	struct ktls_policy policy;

	s->fd = accept(listener, NULL, NULL);
	s->ssl = SSL_new(contexts[1]);
	if (!must(s->fd >= 0 && s->ssl && hurry(s->fd), "accept"))
		return false;
	SSL_set_accept_state(s->ssl);
	if (!k->lib) {
		if (k->release)
			SSL_set_mode(s->ssl, SSL_MODE_RELEASE_BUFFERS);
		return must(SSL_set_fd(s->ssl, s->fd) && SSL_accept(s->ssl) == 1,
			    "SSL_accept") &&
		       echo(s);
	}
	MUST(ktls_policy_init(&policy, sizeof(policy)) == 0);
	policy.tx = KTLS_REQUIRE;
	policy.rx = KTLS_REQUIRE;
	policy.release_ssl = k->release;
	s->c = ktls_conn_new(s->ssl, s->fd, &policy);
	SSL_free(s->ssl);
	s->ssl = NULL;
	return must(s->c && ktls_handshake(s->c) == 0, "ktls_handshake") &&
	       echo(s);
}

static bool close_side(const struct kind *k, struct side *s)
{
	struct ktls_info info = {.size = sizeof(info)};
	bool ok = echo(s);

	if (s->c && ok)
		ok = must(ktls_get_info(s->c, &info) == 0 &&
				  info.release_ssl == k->release &&
				  info.tx.mode != KTLS_MODE_USER &&
				  info.rx.mode != KTLS_MODE_USER,
			  "ktls_get_info");
	if (s->c)
		return must(ktls_close(s->c, 5000) == 0, "ktls_close") && ok;
	SSL_shutdown(s->ssl);
	SSL_free(s->ssl);
	close(s->fd);
	return ok;
}

/* Bytes that the allocator has given out. */
static size_t used(void)
{
	const struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static bool row(const struct kind *k, int many)
{
	const int count = k->many ? many : SAMPLE;
	struct side *sides = calloc((size_t)count, sizeof(*sides));
	size_t before, bytes;
	bool ok = sides != NULL;
	int status = 1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		_exit(clients(count));
	/* what is made once has been made by the first one */
	ok = ok && open_side(k, &sides[0]);
	before = used();
	for (int i = 1; ok && i < count; i++)
		ok = open_side(k, &sides[i]);
	bytes = (used() - before) / (size_t)(count > 1 ? count - 1 : 1);
	for (int i = 0; ok && i < count; i++)
		ok = close_side(k, &sides[i]);
	free(sides);
	if (!ok)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ok = ok && must(status == 0, "the clients");
	if (ok)
		printf("%-48s %7d connections %8zu bytes%s\n", k->name, count,
		       bytes,
		       !k->lib || !k->release ? ""
		       : bytes <= TARGET      ? "  <= 1024: met"
					      : "  <= 1024: MISSED");
	return ok;
}

int main(int argc, char **argv)
{
	static const struct kind kinds[] = {
		{"OpenSSL", false, false, false},
		{"OpenSSL, SSL_MODE_RELEASE_BUFFERS", false, true, false},
		{"libktls", true, false, false},
		{"libktls, release_ssl", true, true, true},
	};
	const int many = argc > 1 ? atoi(argv[1]) : MANY;
	const rlim_t most = (rlim_t)(many > SAMPLE ? many : SAMPLE) + 100;
	const struct rlimit files = {most, most};
	socklen_t len = sizeof(address);
	bool ok = true;

	alarm(900);
	signal(SIGPIPE, SIG_IGN);
	MUST(many > 0 && setrlimit(RLIMIT_NOFILE, &files) == 0);
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	MUST(listen(listener, 128) == 0);
	MUST(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
	for (size_t i = 0; i < vt_n_suites; i++)
		if (vt_suites[i].version == TLS1_3_VERSION && !contexts[0])
			for (int server = 0; server < 2; server++)
				contexts[server] = vt_ctx(&vt_suites[i],
							  server != 0, false);
	SSL_CTX_set_num_tickets(contexts[1], 0);
	MUST(ktls_ctx_enable(contexts[1]) == 0);
	puts("memory: user-space bytes of an idle connection, TLS 1.3");
	for (size_t i = 0; ok && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		ok = row(&kinds[i], many);
	return ok ? 0 : 1;
}
