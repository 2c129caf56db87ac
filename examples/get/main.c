/* SPDX-License-Identifier: MIT */
/*
 * ktls-get: fetches a file over HTTPS, decrypted by the kernel.
 *
 * Shows libktls in a blocking client: the socket, the name checks and the
 * certificates are set up as for OpenSSL alone; then ktls_handshake(),
 * ktls_write(), ktls_read(). A file that was cut short is never taken for a
 * whole one.
 *
 * Run:   ktls-get -v --cacert cert.pem https://localhost:8443/hello.txt
 * Test:  ktls-get -o page https://www.example.org/
 *
 * Works on every kernel; -v says who decrypted and why. With the module "tls"
 * (modprobe tls) "--tx require --rx require" has the kernel do both.
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
#include <openssl/x509v3.h>

#include <ktls/openssl.h>

#include "../common/client.h"
#include "get.h"

/* Seconds that the server may stay silent, or take nothing from us. */
#define TIME_LIMIT 60

static const char usage[] =
	"usage: ktls-get [OPTION...] URL\n"
	"Fetch an https URL and write it to standard output.\n"
	"\n"
	"  -o FILE              write it there\n"
	"  -v                   say on stderr who encrypted what, and why\n"
	"  --cacert FILE        trust these certificates, PEM, and no others\n"
	"  --insecure           do not verify the server's certificate\n"
	"  --tx auto|off|require   who encrypts what is sent: the kernel "
	"where\n"
	"  --rx auto|off|require   it pays, never the kernel, only the kernel\n"
	"  --tls 1.2|1.3        this version only\n"
	"  --ciphers LIST       for TLS 1.2, in the words of ciphers(1)\n"
	"  --ciphersuites LIST  for TLS 1.3\n"
	"  --help\n"
	"\n"
	"Exit status: 0 for a complete file; 22 when the server says 400 or "
	"more,\n"
	"with its words written out; 2 for a wrong command line; else 1.\n";

struct options {
	const char *url;
	const char *output;
	const char *cacert;
	bool insecure;
	bool verbose;
	struct tls_options tls;
	struct ktls_policy policy;
};

static void parse_options(struct options *o, int argc, char **argv)
{
	static const struct option longopts[] = {
		{"output", required_argument, NULL, 'o'},
		{"verbose", no_argument, NULL, 'v'},
		{"cacert", required_argument, NULL, 'c'},
		{"insecure", no_argument, NULL, 'k'},
		{"tx", required_argument, NULL, 't'},
		{"rx", required_argument, NULL, 'r'},
		{"tls", required_argument, NULL, 'V'},
		{"ciphers", required_argument, NULL, '2'},
		{"ciphersuites", required_argument, NULL, '3'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "o:v", longopts, NULL)) != -1) {
		switch (opt) {
		case 'o':
			o->output = optarg;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'c':
			o->cacert = optarg;
			break;
		case 'k':
			o->insecure = true;
			break;
		case 't':
			parse_use("--tx", optarg, &o->policy.tx);
			break;
		case 'r':
			parse_use("--rx", optarg, &o->policy.rx);
			break;
		case 'V':
			o->tls.version = optarg;
			break;
		case '2':
			o->tls.ciphers = optarg;
			break;
		case '3':
			o->tls.ciphersuites = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs("Try ktls-get --help.\n", stderr);
			exit(2);
		}
	}
	if (optind != argc - 1) {
		fputs("ktls-get takes one URL. Try ktls-get --help.\n", stderr);
		exit(2);
	}
	o->url = argv[optind];
}

/* End the program with what the library knows of the failure in errno. */
void die_of_tls(const char *what, const struct ktls_conn *tls)
{
	char text[160];

	if (errno == EAGAIN)
		die("%s: nothing happened for %d seconds", what, TIME_LIMIT);
	tls_error(text, sizeof(text), tls);
	die("%s: %s", what, text);
}

static SSL_CTX *make_context(const struct options *o)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		die("OpenSSL: %s", openssl_error());
	tls_configure(ctx, &o->tls);
	SSL_CTX_set_verify(ctx, o->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
			   NULL);
	if (o->cacert && SSL_CTX_load_verify_file(ctx, o->cacert) != 1)
		die("--cacert %s: %s", o->cacert, openssl_error());
	if (!o->cacert && SSL_CTX_set_default_verify_paths(ctx) != 1)
		die("no trusted certificates: %s", openssl_error());
	if (ktls_ctx_enable(ctx) < 0)
		die("ktls_ctx_enable: %s", strerror(errno));
	return ctx;
}

static void shake_hands(struct ktls_conn *tls, SSL *ssl, const struct url *url)
{
	struct ktls_info info = {.size = sizeof(info)};
	char tx[400];
	char rx[400];
	long verified;

	if (ktls_handshake(tls) == 0)
		return;
	if (errno == ENOTSUP && ktls_get_info(tls, &info) == 0) {
		describe(tx, sizeof(tx), &info.tx);
		describe(rx, sizeof(rx), &info.rx);
		die("the kernel cannot do what is required: tx=%s rx=%s", tx, rx);
	}
	verified = SSL_get_verify_result(ssl);
	if (verified != X509_V_OK)
		die("%s: its certificate: %s", url->host,
		    X509_verify_cert_error_string(verified));
	die_of_tls("handshake", tls);
}

static void send_request(struct ktls_conn *tls, const struct url *url)
{
	bool has_path = url->path_len > 0 && url->path[0] == '/';
	bool default_port = strcmp(url->port, "443") == 0;
	char *text;
	int len;

	len = asprintf(&text,
		       "GET %s%.*s HTTP/1.1\r\n"
		       "Host: %s%s%s%s%s\r\n"
		       "User-Agent: ktls-get\r\n"
		       "Accept: */*\r\n"
		       "Connection: close\r\n"
		       "\r\n",
		       has_path ? "" : "/", (int)url->path_len, url->path,
		       url->v6 ? "[" : "", url->host, url->v6 ? "]" : "",
		       default_port ? "" : ":", default_port ? "" : url->port);
	if (len < 0)
		die("%s", strerror(ENOMEM));
	for (int sent = 0; sent < len;) {
		ssize_t n = ktls_write(tls, text + sent, (size_t)(len - sent));

		if (n < 0)
			die_of_tls("writing", tls);
		sent += (int)n;
	}
	free(text);
}

static void explain(const struct ktls_conn *tls, SSL *ssl)
{
	struct ktls_info info = {.size = sizeof(info)};
	char tx[400];
	char rx[400];

	if (ktls_get_info(tls, &info) < 0)
		return;
	describe(tx, sizeof(tx), &info.tx);
	describe(rx, sizeof(rx), &info.rx);
	fprintf(stderr, "%s %s tx=%s rx=%s\n", SSL_get_version(ssl),
		info.cipher_name ? info.cipher_name : "-", tx, rx);
}

static int open_output(const char *path)
{
	int fd;

	if (!path || strcmp(path, "-") == 0)
		return STDOUT_FILENO;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

int main(int argc, char **argv)
{
	static struct input in;
	struct options o = {0};
	struct head head;
	struct url url;
	SSL_CTX *ctx;
	char why[400];
	SSL *ssl;
	int fd, out;

	if (ktls_policy_init(&o.policy, sizeof(o.policy)) < 0)
		die("ktls_policy_init: %s", strerror(errno));
	parse_options(&o, argc, argv);
	url_parse(&url, o.url);
	signal(SIGPIPE, SIG_IGN); /* a failed write() has a message instead */

	ctx = make_context(&o);
	ssl = client_ssl(ctx, url.host);
	if (!ssl)
		die("%s is no host's name: %s", url.host, openssl_error());
	fd = client_connect(url.host, url.port, TIME_LIMIT, why, sizeof(why));
	if (fd < 0)
		die("%s port %s: %s", url.host, url.port, why);
	in.tls = ktls_conn_new(ssl, fd, &o.policy);
	if (!in.tls)
		die("ktls_conn_new: %s", strerror(errno));
	shake_hands(in.tls, ssl, &url);

	send_request(in.tls, &url);
	head_read(&in, &head);
	out = open_output(o.output);
	body_write(&in, &head, out);
	if (out != STDOUT_FILENO && close(out) < 0)
		die("%s: %s", o.output, strerror(errno));
	if (o.verbose)
		explain(in.tls, ssl);

	/* All is here: what the server does from now on is its affair. */
	(void)ktls_close(in.tls, 2000);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	if (head.status < 400)
		return 0;
	warn("the server said %d", head.status);
	return 22;
}
