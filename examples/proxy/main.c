/* SPDX-License-Identifier: MIT */
/*
 * ktls-proxy: ends TLS in front of a TCP server, without touching the bytes.
 *
 * Shows libktls between two sockets: ktls_splice_out() and splice(2) take
 * what the client sends to the back-end, splice(2) and ktls_splice_in() what
 * the back-end answers to the client. Each side may end its sending and still
 * receive (ktls_shutdown_write()), an end that was not meant is passed on as
 * a reset, and a peer that takes nothing stops the other one. flow.c has it.
 *
 * Run:   ktls-proxy --connect 127.0.0.1:80 --cert cert.pem --key key.pem &
 * Test:  curl --cacert cert.pem https://localhost:8443/
 *
 * Works on every kernel. With the module "tls" (modprobe tls) the kernel
 * encrypts; with "--tx require --rx require" all that is sent and received,
 * or the connection is refused.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "proxy.h"

static const char usage[] =
	"usage: ktls-proxy --connect ADDR:PORT --cert FILE --key FILE "
	"[OPTION...]\n"
	"Accept TLS connections and pass them on over TCP.\n"
	"\n"
	"  --connect ADDR:PORT  the back-end\n"
	"  --cert FILE          certificate and its chain, PEM\n"
	"  --key FILE           private key, PEM\n"
	"  --listen ADDR:PORT   default 127.0.0.1:8443; [ADDR]:PORT for IPv6;\n"
	"                       port 0 picks a free one, which is printed\n"
	"  --tx auto|off|require   who encrypts what is sent: the kernel "
	"where\n"
	"  --rx auto|off|require   it pays, never the kernel, only the kernel\n"
	"  --offload-after N    bytes on a connection before auto goes there\n"
	"  --sndbuf N           SO_SNDBUF towards clients, in bytes\n"
	"  --idle N             seconds without a byte before a connection is\n"
	"                       given up, default 300\n"
	"  --stats              print a line of JSON for each closed "
	"connection\n"
	"  --tls 1.2|1.3        this version only\n"
	"  --ciphers LIST       for TLS 1.2, in the words of ciphers(1)\n"
	"  --ciphersuites LIST  for TLS 1.3\n"
	"  --help\n"
	"\n"
	"SIGTERM or SIGINT: accept no more, exit when all connections have "
	"ended.\n";

static void check_required(const struct config *config)
{
	const char *missing = NULL;

	if (!config->connect)
		missing = "--connect ADDR:PORT, the back-end,";
	else if (!config->cert)
		missing = "--cert FILE, the certificate,";
	else if (!config->key)
		missing = "--key FILE, the private key,";
	if (!missing)
		return;
	warn("%s is missing; --help tells more", missing);
	exit(2);
}

static void parse_options(struct config *config, int argc, char **argv)
{
	static const struct option longopts[] = {
		{"connect", required_argument, NULL, 'C'},
		{"cert", required_argument, NULL, 'c'},
		{"key", required_argument, NULL, 'k'},
		{"listen", required_argument, NULL, 'l'},
		{"tx", required_argument, NULL, 't'},
		{"rx", required_argument, NULL, 'x'},
		{"offload-after", required_argument, NULL, 'o'},
		{"sndbuf", required_argument, NULL, 'b'},
		{"idle", required_argument, NULL, 'i'},
		{"stats", no_argument, NULL, 's'},
		{"tls", required_argument, NULL, 'v'},
		{"ciphers", required_argument, NULL, '2'},
		{"ciphersuites", required_argument, NULL, '3'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct ktls_policy *policy = &config->policy;
	uint64_t number;
	int opt;

	while ((opt = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		switch (opt) {
		case 'C':
			config->connect = optarg;
			break;
		case 'c':
			config->cert = optarg;
			break;
		case 'k':
			config->key = optarg;
			break;
		case 'l':
			config->listen = optarg;
			break;
		case 't':
			parse_use("--tx", optarg, &policy->tx);
			break;
		case 'x':
			parse_use("--rx", optarg, &policy->rx);
			break;
		case 'o':
			parse_number("--offload-after", optarg, 0, UINT64_MAX,
				     &policy->offload_after);
			break;
		case 'b':
			parse_number("--sndbuf", optarg, 1, INT_MAX, &number);
			config->sndbuf = (int)number;
			break;
		case 'i':
			parse_number("--idle", optarg, 1, INT_MAX, &number);
			config->idle = (int64_t)number * 1000;
			break;
		case 's':
			config->stats = true;
			break;
		case 'v':
			config->tls.version = optarg;
			break;
		case '2':
			config->tls.ciphers = optarg;
			break;
		case '3':
			config->tls.ciphersuites = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs("Try ktls-proxy --help.\n", stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		warn("unexpected argument \"%s\"", argv[optind]);
		exit(2);
	}
	check_required(config);
}

/* SIGTERM and SIGINT, for the epoll loop. */
static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* splice(2) to a back-end that is gone raises it */
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		die("signalfd: %s", strerror(errno));
	return fd;
}

int main(int argc, char **argv)
{
	struct config config = {
		.listen = "127.0.0.1:8443",
		.idle = 300 * 1000,
	};
	int signals;
	int status;

	if (ktls_policy_init(&config.policy, sizeof(config.policy)) < 0)
		die("ktls_policy_init: %s", strerror(errno));
	config.policy.budget = TURN;
	parse_options(&config, argc, argv);

	config.ctx = server_context(&config.tls, config.cert, config.key);
	config.backend = address_parse("--connect", config.connect, 0);
	config.listen_fd = listen_on("--listen", config.listen, 0, config.sndbuf);
	raise_file_limit();
	signals = open_signals();
	print_address("listening", config.listen_fd);

	status = loop_run(&config, signals);
	close(signals);
	freeaddrinfo(config.backend);
	SSL_CTX_free(config.ctx);
	return status;
}
