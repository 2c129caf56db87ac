/* SPDX-License-Identifier: MIT */
/*
 * ktls-httpd: an HTTPS server of static files, encrypted by the kernel.
 *
 * Shows libktls in a non-blocking server: many connections on one epoll loop,
 * headers and files by one ktls_sendfilev(), a close that loses no byte, and
 * what ktls_get_info() has to say about each connection (--stats).
 * The SSL_CTX is set up with OpenSSL as in any server; ktls_ctx_enable() is
 * the only line more. conn.c has the rest.
 *
 * Run:   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
 *                -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
 *                -keyout key.pem -out cert.pem
 *        mkdir www; echo hello >www/hello.txt
 *        ktls-httpd --root www --cert cert.pem --key key.pem --stats &
 * Test:  curl --cacert cert.pem https://localhost:8443/hello.txt
 *
 * Works on every kernel. With the module "tls" (modprobe tls) the kernel
 * encrypts files from 128 KiB on; with "--tx require --rx require" all that is
 * sent and received, or the connection is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "httpd.h"

static const char usage[] =
	"usage: ktls-httpd --root DIR --cert FILE --key FILE [OPTION...]\n"
	"Serve the files below DIR over HTTPS.\n"
	"\n"
	"  --root DIR           what to serve\n"
	"  --cert FILE          certificate and its chain, PEM\n"
	"  --key FILE           private key, PEM\n"
	"  --listen ADDR:PORT   default 127.0.0.1:8443; [ADDR]:PORT for IPv6;\n"
	"                       port 0 picks a free one, which is printed\n"
	"  --tx auto|off|require   who encrypts what is sent: the kernel "
	"where\n"
	"  --rx auto|off|require   it pays, never the kernel, only the kernel\n"
	"  --offload-after N    bytes on a connection before auto goes there\n"
	"  --rekey-after N      records under one key of TLS 1.3\n"
	"  --rekey-unsupported fail|user   TLS 1.3 on kernels that cannot\n"
	"                       change keys: in the kernel all the same, or "
	"not\n"
	"  --sndbuf N           SO_SNDBUF of the connections, in bytes\n"
	"  --workers N          processes, default 1\n"
	"  --h2                 HTTP/2 for clients that offer it\n"
	"  --h2-tx auto|off     off: those stay in user space\n"
	"  --zerocopy           let a NIC that encrypts read files in place; "
	"they\n"
	"                       must not change while they are sent\n"
	"  --device             negotiate only what a NIC can encrypt\n"
	"  --metrics ADDR:PORT  counters for Prometheus, at /metrics by plain "
	"HTTP;\n"
	"                       each further worker has the next port\n"
	"  --log err|notice|info|debug   what libktls does, on stderr\n"
	"  --stats              print a line of JSON for each closed "
	"connection\n"
	"  --tls 1.2|1.3        this version only\n"
	"  --ciphers LIST       for TLS 1.2, in the words of ciphers(1)\n"
	"  --ciphersuites LIST  for TLS 1.3\n"
	"  --help\n"
	"\n"
	"SIGTERM or SIGINT: finish the responses that were started, then "
	"exit.\n";

static uint32_t parse_rekey(const char *word)
{
	if (strcmp(word, "fail") == 0)
		return KTLS_REKEY_FAIL;
	if (strcmp(word, "user") == 0)
		return KTLS_REKEY_STAY_IN_USER_SPACE;
	warn("--rekey-unsupported: \"%s\" is neither fail nor user", word);
	exit(2);
}

static bool want_h2(void)
{
	if (h2_available())
		return true;
	warn("--h2: there was no libnghttp2 when this program was built");
	exit(2);
}

static bool parse_h2_tx(const char *word)
{
	if (strcmp(word, "auto") != 0 && strcmp(word, "off") != 0) {
		warn("--h2-tx: \"%s\" is neither auto nor off", word);
		exit(2);
	}
	return word[0] == 'o';
}

static void parse_options(struct config *config, int argc, char **argv)
{
	static const struct option longopts[] = {
		{"root", required_argument, NULL, 'r'},
		{"cert", required_argument, NULL, 'c'},
		{"key", required_argument, NULL, 'k'},
		{"listen", required_argument, NULL, 'l'},
		{"tx", required_argument, NULL, 't'},
		{"rx", required_argument, NULL, 'x'},
		{"offload-after", required_argument, NULL, 'o'},
		{"rekey-after", required_argument, NULL, 'R'},
		{"rekey-unsupported", required_argument, NULL, 'U'},
		{"sndbuf", required_argument, NULL, 'b'},
		{"workers", required_argument, NULL, 'w'},
		{"h2", no_argument, NULL, 'H'},
		{"h2-tx", required_argument, NULL, 'O'},
		{"zerocopy", no_argument, NULL, 'z'},
		{"device", no_argument, NULL, 'd'},
		{"metrics", required_argument, NULL, 'm'},
		{"log", required_argument, NULL, 'L'},
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
		case 'r':
			config->root = optarg;
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
		case 'R':
			parse_number("--rekey-after", optarg, 0, UINT64_MAX,
				     &policy->rekey_after);
			break;
		case 'U':
			policy->rekey_unsupported = parse_rekey(optarg);
			break;
		case 'b':
			parse_number("--sndbuf", optarg, 1, INT_MAX, &number);
			config->sndbuf = (int)number;
			break;
		case 'w':
			parse_number("--workers", optarg, 1, MAX_WORKERS,
				     &number);
			config->workers = (unsigned int)number;
			break;
		case 'H':
			config->h2 = want_h2();
			break;
		case 'O':
			config->h2_off = parse_h2_tx(optarg);
			break;
		case 'z':
			policy->zerocopy = 1;
			break;
		case 'd':
			config->device = true;
			break;
		case 'm':
			config->metrics = optarg;
			break;
		case 'L':
			log_start(optarg);
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
			fputs("Try ktls-httpd --help.\n", stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		warn("unexpected argument \"%s\"", argv[optind]);
		exit(2);
	}
	if (!config->root || !config->cert || !config->key) {
		warn("%s is missing; --help tells more",
		     !config->root   ? "--root DIR, the files to serve,"
		     : !config->cert ? "--cert FILE, the certificate,"
				     : "--key FILE, the private key,");
		exit(2);
	}
}

static void open_sockets(struct config *config)
{
	config->listen_fd =
		listen_on("--listen", config->listen, 0, config->sndbuf);
	for (unsigned int i = 0; i < config->workers; i++) {
		config->metrics_fd[i] = -1;
		if (config->metrics)
			config->metrics_fd[i] =
				listen_on("--metrics", config->metrics, i, 0);
	}
}

int main(int argc, char **argv)
{
	struct config config = {
		.listen = "127.0.0.1:8443",
		.workers = 1,
	};
	int status;

	if (ktls_policy_init(&config.policy, sizeof(config.policy)) < 0)
		die("ktls_policy_init: %s", strerror(errno));
	config.policy.budget = TURN;
	parse_options(&config, argc, argv);

	config.root_fd = open(config.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (config.root_fd < 0)
		die("--root %s: %s", config.root, strerror(errno));
	config.ctx = make_context(&config);
	raise_file_limit();
	open_sockets(&config);
	/* libktls never raises it, but a closed stdout or stderr does */
	signal(SIGPIPE, SIG_IGN);

	status = workers_run(&config);
	SSL_CTX_free(config.ctx);
	close(config.root_fd);
	return status;
}
