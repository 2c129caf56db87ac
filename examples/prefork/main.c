/* SPDX-License-Identifier: MIT */
/*
 * ktls-prefork: one process shakes hands, others serve the files.
 *
 * Shows how a TLS connection changes its process: ktls_export() gives what a
 * connection is beside its socket, the two go over a UNIX socket, and
 * ktls_import() makes a connection of them again, whether its keys are in the
 * kernel or not. accept.c is the one side of it, serve() here the other.
 * Workers are forked before the private key is read: they never have it.
 *
 * Run:   mkdir www; echo hello >www/hello.txt
 *        ktls-prefork --root www --cert cert.pem --key key.pem --stats &
 * Test:  curl --cacert cert.pem https://localhost:8443/hello.txt
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include <ktls/raw.h>

#include "prefork.h"

static const char usage[] =
	"usage: ktls-prefork --root DIR --cert FILE --key FILE [OPTION...]\n"
	"Serve the files below DIR over HTTPS: one process shakes hands, and "
	"passes\n"
	"the connections to others.\n"
	"\n"
	"  --root DIR           what to serve\n"
	"  --cert FILE          certificate and its chain, PEM\n"
	"  --key FILE           private key, PEM\n"
	"  --listen ADDR:PORT   default 127.0.0.1:8443; [ADDR]:PORT for IPv6;\n"
	"                       port 0 picks a free one, which is printed\n"
	"  --workers N          processes that serve, each one connection at "
	"a\n"
	"                       time; default 4\n"
	"  --tx auto|off|require   who encrypts what is sent: the kernel "
	"where\n"
	"  --rx auto|off|require   it pays, never the kernel, only the kernel\n"
	"  --stats              print a line of JSON for each closed "
	"connection\n"
	"  --tls 1.2|1.3        this version only\n"
	"  --ciphers LIST       for TLS 1.2, in the words of ciphers(1);\n"
	"                       default: those that can change the process\n"
	"  --ciphersuites LIST  for TLS 1.3\n"
	"  --help\n"
	"\n"
	"SIGTERM or SIGINT: finish the responses that were started, then "
	"exit.\n";

/*
 * OpenSSL's default for TLS 1.2, but for what ktls_export() cannot hand on:
 * all that is not AEAD. Such a client gets an alert, not a handshake for
 * nothing.
 */
static const char ciphers[] = "DEFAULT:!SHA1:!SHA256:!SHA384";

static pid_t pids[MAX_WORKERS];

static void take_option(struct config *config, int opt)
{
	uint64_t number;

	switch (opt) {
	case 'w':
		parse_number("--workers", optarg, 1, MAX_WORKERS, &number);
		config->workers = (unsigned int)number;
		break;
	case '2':
		config->tls.ciphers = optarg;
		break;
	case '3':
		config->tls.ciphersuites = optarg;
		break;
	}
}

/* What a worker was given: a connection again, and served to its end. */
static void serve(const struct config *config, int pair, int fd, uint8_t *image,
		  size_t len)
{
	struct ktls_conn *tls;
	char who[32];
	int flags = fcntl(fd, F_GETFL);

	/* this process waits in each call; the other one did not */
	if (flags >= 0)
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	tls = ktls_import(fd, image, len, &config->policy);
	explicit_bzero(image, len);
	if (!tls) {
		warn("ktls_import: %s", strerror(errno));
		close(fd);
		return;
	}
	snprintf(who, sizeof(who), ",\"worker\":%d", (int)getpid());
	serve_conn(tls, config, pair, who);
}

static void __attribute__((noreturn)) work(const struct config *config, int pair)
{
	static uint8_t image[IMAGE_MAX];
	ssize_t n;
	int fd;

	close(config->listen_fd);
	/* 0: the acceptor has closed its end, and all it sent was taken */
	while ((n = pass_receive(pair, &fd, image, sizeof(image))) != 0) {
		if (n > 0)
			serve(config, pair, fd, image, (size_t)n);
		else if (errno == EMSGSIZE)
			warn("a connection came without its image or socket");
		else
			die("recvmsg: %s", strerror(errno));
	}
	exit(0);
}

static void start_workers(const struct config *config, const int pair[2])
{
	for (unsigned int i = 0; i < config->workers; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork: %s", strerror(errno));
		if (pids[i] == 0) {
			close(pair[0]);
			work(config, pair[1]);
		}
	}
	close(pair[1]);
}

unsigned int workers_reap(bool stopping)
{
	unsigned int left = 0;

	for (unsigned int i = 0; i < MAX_WORKERS; i++) {
		if (pids[i] <= 0)
			continue;
		if (waitpid(pids[i], NULL, WNOHANG) == 0) {
			left++;
			continue;
		}
		if (!stopping)
			warn("worker %d ended unexpectedly", (int)pids[i]);
		pids[i] = 0;
	}
	return left;
}

/* They end by themselves; returns how many did not. */
static unsigned int stop_workers(void)
{
	const struct timespec tick = {.tv_nsec = TICK * 1000000L};
	int64_t limit = now_ms() + LIMIT_STOP;
	unsigned int left;

	while ((left = workers_reap(true)) > 0 && now_ms() < limit)
		nanosleep(&tick, NULL);
	for (unsigned int i = 0; left > 0 && i < MAX_WORKERS; i++)
		if (pids[i] > 0)
			kill(pids[i], SIGKILL);
	return left;
}

int main(int argc, char **argv)
{
	static const struct option own[] = {
		{"workers", required_argument, NULL, 'w'},
		{"ciphers", required_argument, NULL, '2'},
		{"ciphersuites", required_argument, NULL, '3'},
		{0},
	};
	struct config config = {
		.listen = "127.0.0.1:8443",
		.workers = 4,
		.tls.ciphers = ciphers,
	};
	int pair[2];
	int signals;
	int status, stopped;

	serve_options(&config, argc, argv, usage, own, take_option);
	config.listen_fd = listen_on("--listen", config.listen, 0, 0);
	/* messages, not a stream; blocking for the workers, see pass_send() */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair: %s", strerror(errno));
	raise_file_limit();
	signals = serve_signals();
	start_workers(&config, pair);

	config.ctx = server_context(&config.tls, config.cert, config.key);
	print_address("listening", config.listen_fd);
	status = accept_run(&config, pair[0], signals);
	/* the workers' sign to come to an end */
	close(pair[0]);
	stopped = stop_status(stop_workers(), "response");
	close(signals);
	close(config.root_fd);
	SSL_CTX_free(config.ctx);
	return stopped ? stopped : status;
}
