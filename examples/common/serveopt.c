/* SPDX-License-Identifier: MIT */
/* What ktls-gnutls and ktls-prefork have in common before they serve. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "serve.h"

static const struct option common[] = {
	{"root", required_argument, NULL, 'r'},
	{"cert", required_argument, NULL, 'c'},
	{"key", required_argument, NULL, 'k'},
	{"listen", required_argument, NULL, 'l'},
	{"tx", required_argument, NULL, 't'},
	{"rx", required_argument, NULL, 'x'},
	{"stats", no_argument, NULL, 's'},
	{"tls", required_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
};

static bool take_common(struct config *config, int opt)
{
	switch (opt) {
	case 'r':
		config->root = optarg;
		return true;
	case 'c':
		config->cert = optarg;
		return true;
	case 'k':
		config->key = optarg;
		return true;
	case 'l':
		config->listen = optarg;
		return true;
	case 't':
		parse_use("--tx", optarg, &config->policy.tx);
		return true;
	case 'x':
		parse_use("--rx", optarg, &config->policy.rx);
		return true;
	case 's':
		config->stats = true;
		return true;
	case 'v':
		config->tls.version = optarg;
		return true;
	}
	return false;
}

static void check(const struct config *config, int argc, char **argv)
{
	if (optind < argc) {
		warn("unexpected argument \"%s\"", argv[optind]);
		exit(2);
	}
	if (config->root && config->cert && config->key)
		return;
	warn("%s is missing; --help tells more",
	     !config->root   ? "--root DIR, the files to serve,"
	     : !config->cert ? "--cert FILE, the certificate,"
			     : "--key FILE, the private key,");
	exit(2);
}

void serve_options(struct config *config, int argc, char **argv,
		   const char *usage, const struct option *own,
		   void (*take)(struct config *config, int opt))
{
	struct option all[ARRAY_SIZE(common) + 8] = {0};
	size_t n = ARRAY_SIZE(common);
	int opt;

	if (ktls_policy_init(&config->policy, sizeof(config->policy)) < 0)
		die("ktls_policy_init: %s", strerror(errno));
	memcpy(all, common, sizeof(common));
	while (own->name && n < ARRAY_SIZE(all) - 1)
		all[n++] = *own++;

	while ((opt = getopt_long(argc, argv, "", all, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage, stdout);
			exit(0);
		}
		if (opt == '?') {
			fprintf(stderr, "Try %s --help.\n",
				program_invocation_short_name);
			exit(2);
		}
		if (!take_common(config, opt))
			take(config, opt);
	}
	check(config, argc, argv);
	config->root_fd = open(config->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (config->root_fd < 0)
		die("--root %s: %s", config->root, strerror(errno));
}

int serve_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* libktls never raises it, but a closed stdout or stderr does */
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		die("signalfd: %s", strerror(errno));
	return fd;
}
