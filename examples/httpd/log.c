/* SPDX-License-Identifier: MIT */
/* What libktls has to say, on standard error: --log. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "httpd.h"

static const struct {
	const char *word;
	int level;
} levels[] = {
	{"err", LOG_ERR},
	{"notice", LOG_NOTICE},
	{"info", LOG_INFO},
	{"debug", LOG_DEBUG},
};

static int most; /* the level beyond which nothing is printed */

static const char *word_of(int level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (levels[i].level >= level)
			return levels[i].word;
	return "debug";
}

/*
 * Called in the middle of a call of libktls: a reader of standard error that
 * has stopped must not stop the server, so that lines may be lost.
 */
static void print_line(void *arg, const struct ktls_conn *conn, int level,
		       const char *line)
{
	struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
	char text[512];
	int len;

	(void)arg;
	(void)conn;
	if (level > most || poll(&out, 1, 0) != 1)
		return;
	len = snprintf(text, sizeof(text), "%s: %s: %s\n",
		       program_invocation_short_name, word_of(level), line);
	if (len >= (int)sizeof(text)) {
		len = (int)sizeof(text) - 1;
		text[len - 1] = '\n';
	}
	/* no one to tell if this fails */
	if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0)
		return;
}

/* The argument of --log; a wrong one ends the program. */
void log_start(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(text, levels[i].word) != 0)
			continue;
		most = levels[i].level;
		if (ktls_set_log(print_line, NULL) < 0)
			die("ktls_set_log: %s", strerror(errno));
		return;
	}
	warn("--log takes err, notice, info or debug, not \"%s\"", text);
	exit(2);
}
