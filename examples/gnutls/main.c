/* SPDX-License-Identifier: MIT */
/*
 * ktls-gnutls: GnuTLS shakes hands, libktls does the rest.
 *
 * Shows libktls with keys that another library negotiated: handover.c turns a
 * session of GnuTLS into a connection with ktls_conn_from_keys(), and after
 * that GnuTLS is not needed any more. Everything blocks, in a thread for each
 * connection; ../common/serve.c has the calls that read, send and close.
 *
 * Run:   mkdir www; echo hello >www/hello.txt
 *        ktls-gnutls --root www --cert cert.pem --key key.pem --stats &
 * Test:  curl --cacert cert.pem https://localhost:8443/hello.txt
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session.h"

enum { THREADS = 256 };

static const char usage[] =
	"usage: ktls-gnutls --root DIR --cert FILE --key FILE [OPTION...]\n"
	"Serve the files below DIR over HTTPS, with handshakes of GnuTLS.\n"
	"\n"
	"  --root DIR           what to serve\n"
	"  --cert FILE          certificate and its chain, PEM\n"
	"  --key FILE           private key, PEM\n"
	"  --listen ADDR:PORT   default 127.0.0.1:8443; [ADDR]:PORT for IPv6;\n"
	"                       port 0 picks a free one, which is printed\n"
	"  --tx auto|off|require   who encrypts what is sent: the kernel "
	"where\n"
	"  --rx auto|off|require   it pays, never the kernel, only the kernel\n"
	"  --stats              print a line of JSON for each closed "
	"connection\n"
	"  --tls 1.2|1.3        this version only\n"
	"  --priority STRING    what GnuTLS may negotiate, in its own words\n"
	"  --help\n"
	"\n"
	"SIGTERM or SIGINT: finish the responses that were started, then "
	"exit.\n";

/* The ciphers that libktls has, too. */
static const char *priority =
	"NORMAL:-CIPHER-ALL:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:"
	"+AES-128-CCM";

static struct config config = {.listen = "127.0.0.1:8443"};
static int stop_pipe[2]; /* hung up when the server stops */
static atomic_uint threads;
static atomic_uint serving; /* of them, those behind their handshake */

static void take_option(struct config *unused, int opt)
{
	(void)unused;
	if (opt == 'p')
		priority = optarg;
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct ktls_conn *tls = session_accept(fd, &config);

	if (tls) {
		atomic_fetch_add(&serving, 1);
		serve_conn(tls, &config, stop_pipe[0], "");
		atomic_fetch_sub(&serving, 1);
	} else {
		close(fd);
	}
	atomic_fetch_sub(&threads, 1);
	return NULL;
}

static void start(int fd)
{
	pthread_t thread;
	int on = 1;
	int error;

	/* Without this the end of a small response waits for an ACK. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	atomic_fetch_add(&threads, 1);
	error = pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd);
	if (error == 0) {
		pthread_detach(thread);
		return;
	}
	warn("pthread_create: %s", strerror(error));
	atomic_fetch_sub(&threads, 1);
	close(fd);
}

/* Accept what is there; false when the system has no room for more. */
static bool accept_some(void)
{
	while (atomic_load(&threads) < THREADS) {
		int fd = accept4(config.listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			start(fd);
		else if (errno == EMFILE || errno == ENFILE ||
			 errno == ENOBUFS || errno == ENOMEM)
			return false;
		else if (errno == EAGAIN)
			return true;
		/* others are about one connection that is no more */
	}
	return true;
}

/* Until SIGTERM or SIGINT. */
static void run(int signals)
{
	struct pollfd fds[2] = {{.fd = signals, .events = POLLIN},
				{.events = POLLIN}};
	struct signalfd_siginfo info;
	bool room = true;

	for (;;) {
		bool accepts = room && atomic_load(&threads) < THREADS;

		fds[1].fd = accepts ? config.listen_fd : -1;
		/* nobody tells of a thread that has ended */
		poll(fds, 2, accepts ? -1 : 10 * TICK);
		room = accept_some();
		while (read(signals, &info, sizeof(info)) == sizeof(info))
			if (info.ssi_signo != SIGCHLD)
				return;
	}
}

/* What has begun comes to its end, or its time is over; returns what is left. */
static unsigned int wait_for_threads(void)
{
	const struct timespec tick = {.tv_nsec = TICK * 1000000L};
	int64_t start = now_ms();
	int64_t now = start;

	while (atomic_load(&threads) > 0 && now < start + LIMIT_STOP) {
		/* handshakes get less time than responses */
		if (now > start + LIMIT_CLOSE && atomic_load(&serving) == 0)
			break;
		nanosleep(&tick, NULL);
		now = now_ms();
	}
	return atomic_load(&serving);
}

int main(int argc, char **argv)
{
	static const struct option own[] = {
		{"priority", required_argument, NULL, 'p'},
		{0},
	};
	int signals, status;

	serve_options(&config, argc, argv, usage, own, take_option);
	session_setup(&config, priority);
	config.listen_fd = listen_on("--listen", config.listen, 0, 0);
	if (pipe2(stop_pipe, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	raise_file_limit();
	signals = serve_signals();
	print_address("listening", config.listen_fd);

	run(signals);
	close(config.listen_fd);
	close(stop_pipe[1]);
	status = stop_status(wait_for_threads(), "response");
	/* threads that are left must not see anything freed */
	if (atomic_load(&threads) > 0)
		_exit(status);
	session_cleanup();
	close(stop_pipe[0]);
	close(signals);
	close(config.root_fd);
	return status;
}
