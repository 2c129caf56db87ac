/* SPDX-License-Identifier: MIT */
/*
 * ktls-interop-rekey CERT KEY FILE: a GnuTLS server that sends the file to one
 * client, changes its keys six times meanwhile, and asks the client to do the
 * same every other time. gnutls-serv has no command for it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

enum { UPDATES = 6, PIECE = 10000, WAIT_MS = 60000 };

static void must(bool ok, const char *what, int r)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", what, r < 0 ? gnutls_strerror(r) : "failed");
	exit(1);
}

static int accept_one(void)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(a);
	const int s = socket(AF_INET, SOCK_STREAM, 0);
	int fd;

	must(s >= 0 && bind(s, (struct sockaddr *)&a, sizeof(a)) == 0 &&
		     listen(s, 1) == 0 &&
		     getsockname(s, (struct sockaddr *)&a, &len) == 0,
	     "listen", 0);
	printf("listening on 127.0.0.1:%d\n", ntohs(a.sin_port));
	fflush(stdout);
	fd = accept(s, NULL, NULL);
	must(fd >= 0, "accept", 0);
	close(s);
	return fd;
}

static void send_all(gnutls_session_t tls, const void *p, size_t n)
{
	const char *at = p;
	ssize_t r;

	for (; n > 0; n -= (size_t)r, at += r) {
		do
			r = gnutls_record_send(tls, at, n);
		while (r == GNUTLS_E_INTERRUPTED || r == GNUTLS_E_AGAIN);
		must(r > 0, "gnutls_record_send", (int)r);
	}
}

static void update(gnutls_session_t tls, unsigned int number)
{
	const int r =
		gnutls_session_key_update(tls, number % 2 ? 0 : GNUTLS_KU_PEER);

	must(r == 0, "gnutls_session_key_update", r);
}

static void send_file(gnutls_session_t tls, FILE *f)
{
	static char buf[PIECE];
	unsigned int updates = 0;
	char head[200];
	long size, done = 0;
	size_t n;

	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	snprintf(head, sizeof(head),
		 "HTTP/1.1 200 OK\r\nContent-Length: %ld\r\n"
		 "Connection: close\r\n\r\n",
		 size);
	send_all(tls, head, strlen(head));
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0) {
		if (done >= size * (updates + 1) / (UPDATES + 2) &&
		    updates < UPDATES)
			update(tls, updates++);
		send_all(tls, buf, n);
		done += (long)n;
	}
	printf("%u updates\n", updates);
}

int main(int argc, char **argv)
{
	gnutls_certificate_credentials_t cred;
	gnutls_session_t tls;
	char buf[4096];
	size_t got = 0;
	FILE *f;
	ssize_t r;
	int fd;

	must(argc == 4, "usage: ktls-interop-rekey CERT KEY FILE", 0);
	f = fopen(argv[3], "rb");
	must(f != NULL, argv[3], 0);
	must(gnutls_certificate_allocate_credentials(&cred) == 0, "memory", 0);
	r = gnutls_certificate_set_x509_key_file(cred, argv[1], argv[2],
						 GNUTLS_X509_FMT_PEM);
	must(r >= 0, argv[1], (int)r);
	fd = accept_one();
	must(gnutls_init(&tls, GNUTLS_SERVER) == 0, "memory", 0);
	gnutls_priority_set_direct(tls, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
	gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, cred);
	gnutls_transport_set_int(tls, fd);
	gnutls_handshake_set_timeout(tls, WAIT_MS);
	do
		r = gnutls_handshake(tls);
	while (r < 0 && !gnutls_error_is_fatal((int)r));
	must(r == 0, "gnutls_handshake", (int)r);
	do {
		r = gnutls_record_recv(tls, buf + got, sizeof(buf) - 1 - got);
		must(r > 0 || (r < 0 && !gnutls_error_is_fatal((int)r)),
		     "the request", (int)r);
		got += r > 0 ? (size_t)r : 0;
		buf[got] = '\0';
	} while (!strstr(buf, "\r\n\r\n"));
	send_file(tls, f);
	gnutls_bye(tls, GNUTLS_SHUT_WR);
	/* the client's answers, and its end */
	do
		r = gnutls_record_recv(tls, buf, sizeof(buf));
	while (r > 0 || (r < 0 && !gnutls_error_is_fatal((int)r)));
	must(r == 0, "the client's end", (int)r);
	gnutls_deinit(tls);
	close(fd);
	gnutls_certificate_free_credentials(cred);
	fclose(f);
	return 0;
}
