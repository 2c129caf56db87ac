/* SPDX-License-Identifier: MIT */
/*
 * ktls-uring: an HTTPS server of static files on io_uring.
 *
 * Shows how a program that drives its sockets with io_uring uses libktls: the
 * handshake and the close are libktls's, and in between, once the kernel has
 * the keys, requests come by RECVMSG and files go out by SPLICE, from file to
 * pipe to socket. ktls_raw_io() says when, raw.c has the rest. --naive-close
 * shows what is lost when such a program closes its sockets itself.
 *
 * Run:   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
 *                -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
 *                -keyout key.pem -out cert.pem
 *        mkdir www; echo hello >www/hello.txt
 *        ktls-uring --root www --cert cert.pem --key key.pem --stats &
 * Test:  curl --cacert cert.pem https://localhost:8443/hello.txt
 *
 * Needs Linux 5.19, and 6.1 with --mode defer. With the module "tls" (modprobe
 * tls) and "--tx require --rx require" all bytes take the way of io_uring.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "uring.h"

static const char usage[] =
	"usage: ktls-uring --root DIR --cert FILE --key FILE [OPTION...]\n"
	"Serve the files below DIR over HTTPS, with io_uring.\n"
	"\n"
	"  --root DIR           what to serve\n"
	"  --cert FILE          certificate and its chain, PEM\n"
	"  --key FILE           private key, PEM\n"
	"  --listen ADDR:PORT   default 127.0.0.1:8443; [ADDR]:PORT for IPv6;\n"
	"                       port 0 picks a free one, which is printed\n"
	"  --mode defer|default how completions are made known: when they are\n"
	"                       asked for (Linux 6.1), or by interrupting\n"
	"  --tx auto|off|require   who encrypts what is sent: the kernel "
	"where\n"
	"  --rx auto|off|require   it pays, never the kernel, only the kernel\n"
	"  --offload-after N    bytes on a connection before auto goes there\n"
	"  --rekey-after N      records under one key of TLS 1.3\n"
	"  --sndbuf N           SO_SNDBUF of the connections, in bytes\n"
	"  --naive-close        close sockets without libktls, which loses "
	"bytes\n"
	"  --stats              print a line of JSON for each closed "
	"connection\n"
	"  --tls 1.2|1.3        this version only\n"
	"  --ciphers LIST       for TLS 1.2, in the words of ciphers(1)\n"
	"  --ciphersuites LIST  for TLS 1.3\n"
	"  --help\n"
	"\n"
	"SIGTERM or SIGINT: finish the responses that were started, then "
	"exit.\n";

static bool parse_mode(const char *word)
{
	if (strcmp(word, "defer") == 0)
		return true;
	if (strcmp(word, "default") == 0)
		return false;
	warn("--mode takes defer or default, not \"%s\"", word);
	exit(2);
}

static void parse_option(struct options *options, int opt)
{
	struct config *http = &options->http;
	uint64_t number;

	switch (opt) {
	case 'r':
		http->root = optarg;
		break;
	case 'c':
		http->cert = optarg;
		break;
	case 'k':
		http->key = optarg;
		break;
	case 'l':
		http->listen = optarg;
		break;
	case 'm':
		options->defer = parse_mode(optarg);
		break;
	case 't':
		parse_use("--tx", optarg, &http->policy.tx);
		break;
	case 'x':
		parse_use("--rx", optarg, &http->policy.rx);
		break;
	case 'o':
		parse_number("--offload-after", optarg, 0, UINT64_MAX,
			     &http->policy.offload_after);
		break;
	case 'R':
		parse_number("--rekey-after", optarg, 0, UINT64_MAX,
			     &http->policy.rekey_after);
		break;
	case 'b':
		parse_number("--sndbuf", optarg, 1, INT_MAX, &number);
		http->sndbuf = (int)number;
		break;
	case 'n':
		options->naive = true;
		break;
	case 's':
		http->stats = true;
		break;
	case 'v':
		http->tls.version = optarg;
		break;
	case '2':
		http->tls.ciphers = optarg;
		break;
	case '3':
		http->tls.ciphersuites = optarg;
		break;
	case 'h':
		fputs(usage, stdout);
		exit(0);
	default:
		fputs("Try ktls-uring --help.\n", stderr);
		exit(2);
	}
}

static void parse_options(struct options *options, int argc, char **argv)
{
	static const struct option longopts[] = {
		{"root", required_argument, NULL, 'r'},
		{"cert", required_argument, NULL, 'c'},
		{"key", required_argument, NULL, 'k'},
		{"listen", required_argument, NULL, 'l'},
		{"mode", required_argument, NULL, 'm'},
		{"tx", required_argument, NULL, 't'},
		{"rx", required_argument, NULL, 'x'},
		{"offload-after", required_argument, NULL, 'o'},
		{"rekey-after", required_argument, NULL, 'R'},
		{"sndbuf", required_argument, NULL, 'b'},
		{"naive-close", no_argument, NULL, 'n'},
		{"stats", no_argument, NULL, 's'},
		{"tls", required_argument, NULL, 'v'},
		{"ciphers", required_argument, NULL, '2'},
		{"ciphersuites", required_argument, NULL, '3'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const struct config *http = &options->http;
	int opt;

	while ((opt = getopt_long(argc, argv, "", longopts, NULL)) != -1)
		parse_option(options, opt);
	if (optind < argc) {
		warn("unexpected argument \"%s\"", argv[optind]);
		exit(2);
	}
	if (!http->root || !http->cert || !http->key) {
		warn("%s is missing; --help tells more",
		     !http->root   ? "--root DIR, the files to serve,"
		     : !http->cert ? "--cert FILE, the certificate,"
				   : "--key FILE, the private key,");
		exit(2);
	}
}

/* SIGTERM and SIGINT, as a descriptor. */
static int catch_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		die("sigprocmask: %s", strerror(errno));
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		die("signalfd: %s", strerror(errno));
	/* libktls never raises it, but a closed stdout or stderr does */
	signal(SIGPIPE, SIG_IGN);
	return fd;
}

int main(int argc, char **argv)
{
	struct options options = {.http.listen = "127.0.0.1:8443"};
	struct config *http = &options.http;
	int signals, status;

	if (ktls_policy_init(&http->policy, sizeof(http->policy)) < 0)
		die("ktls_policy_init: %s", strerror(errno));
	http->policy.budget = TURN;
	parse_options(&options, argc, argv);

	http->root_fd = open(http->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (http->root_fd < 0)
		die("--root %s: %s", http->root, strerror(errno));
	http->ctx = make_context(http);
	raise_file_limit();
	signals = catch_signals();
	http->listen_fd = listen_on("--listen", http->listen, 0, http->sndbuf);
	print_address("listening", http->listen_fd);

	status = server_run(&options, signals);
	close(http->root_fd);
	SSL_CTX_free(http->ctx);
	return status;
}
