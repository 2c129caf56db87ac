/* SPDX-License-Identifier: MIT */
/*
 * ktls-doctor: tells whether kernel TLS engages on this host, and what to do
 * where it does not.
 *
 * Shows ktls_probe() and ktls_nic_probe(), and what an operator needs beside
 * them. It needs no privilege and changes nothing; the only packets it sends
 * are those of --host, and those that the probe sends to itself over loopback.
 *
 * Run:   ktls-doctor
 * Test:  ktls-doctor --host www.example.org:443
 *
 * Works on every kernel. Exit status 0: good; 1: with notes; 2: no kernel TLS.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../common/server.h"
#include "doctor.h"

enum { BAD_USAGE = 64 }; /* EX_USAGE of sysexits.h */

static const char usage[] =
	"usage: ktls-doctor [OPTION...]\n"
	"Tell whether kernel TLS engages on this host, and why not.\n"
	"\n"
	"  --host NAME:PORT  connect there with TLS, send no data, and tell "
	"who\n"
	"                    would encrypt\n"
	"  --json            print everything as JSON\n"
	"  --help\n"
	"  --version\n"
	"\n"
	"Lines begin with OK, with NO for what is missing, with NOTE for a "
	"risk\n"
	"or a cost, or with - for what does not matter; -> is what to do.\n"
	"\n"
	"Exit status: 0 when all is well; 1 with a NO or a NOTE; 2 when the "
	"kernel\n"
	"encrypts nothing; 3 when --host gets no connection; 64 for a wrong "
	"command\n"
	"line.\n";

static void __attribute__((noreturn)) bad_usage(void)
{
	fputs("Try ktls-doctor --help.\n", stderr);
	exit(BAD_USAGE);
}

/* NAME:PORT, both of them. */
static bool host_is_good(const char *text)
{
	char copy[300];
	const char *name, *port;

	return strlen(text) < sizeof(copy) && strcpy(copy, text) &&
	       address_split(copy, &name, &port) && *name;
}

static bool parse_options(struct findings *f, int argc, char **argv)
{
	static const struct option longopts[] = {
		{"host", required_argument, NULL, 'H'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		switch (opt) {
		case 'H':
			f->host.name = optarg;
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		case 'V':
			printf("ktls-doctor %s\n", ktls_version());
			exit(0);
		default:
			bad_usage();
		}
	}
	if (optind != argc) {
		warn("takes no arguments, such as \"%s\"", argv[optind]);
		bad_usage();
	}
	if (f->host.name && !host_is_good(f->host.name)) {
		warn("--host takes NAME:PORT, not \"%s\"", f->host.name);
		bad_usage();
	}
	return json;
}

static enum verdict judge(const struct findings *f)
{
	enum verdict verdict = VERDICT_GOOD;

	if (f->host.name && *f->host.error)
		return VERDICT_HOST;
	if (!caps_usable(f))
		return VERDICT_NONE;
	for (size_t i = 0; i < f->report.count; i++)
		if (f->report.checks[i].level >= LEVEL_NOTE)
			verdict = VERDICT_NOTES;
	return verdict;
}

int main(int argc, char **argv)
{
	static struct findings f;
	const char *root = getenv("KTLS_DOCTOR_ROOT"); /* for tests */
	bool json = parse_options(&f, argc, argv);

	files_root(root ? root : "");
	signal(SIGPIPE, SIG_IGN); /* a failed write() has a status instead */

	nics_read(&f.nics);
	check_kernel(&f);
	check_module(&f);
	check_ciphers(&f);
	check_caps(&f);
	check_nics(&f);
	check_openssl(&f);
	check_container(&f);
	check_sysctls(&f);
	check_fixes(&f);
	if (f.host.name)
		check_host(&f);

	f.verdict = judge(&f);
	if (json)
		print_json(stdout, &f);
	else
		print_text(stdout, &f);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		warn("standard output: %s", strerror(errno));
		f.verdict = VERDICT_HOST;
	}
	return (int)f.verdict;
}
