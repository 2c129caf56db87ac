/* SPDX-License-Identifier: MIT */
/* Results of a test program, and its time limit. */
#include "vmnet.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *program = "?";
static char label[256] = "start";
static unsigned int checks, failures, skips;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void on_timeout(int sig)
{
	static const char text[] = ": out of time in: ";
	ssize_t n;

	(void)sig;
	n = write(STDOUT_FILENO, program, strlen(program));
	n = write(STDOUT_FILENO, text, sizeof(text) - 1);
	n = write(STDOUT_FILENO, label, strlen(label));
	n = write(STDOUT_FILENO, "\n", 1);
	_exit(n < 0 ? 2 : 1);
}

void vt_begin(const char *name, unsigned int seconds)
{
	struct sigaction sa = {.sa_handler = on_timeout};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL,
			      .sigev_signo = SIGUSR2};
	struct itimerspec limit = {.it_value.tv_sec = seconds};
	timer_t timer;

	program = name;
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* not alarm(), which shares its timer with setitimer() */
	sigaction(SIGUSR2, &sa, NULL);
	MUST(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
	MUST(timer_settime(timer, 0, &limit, NULL) == 0);
	/* the peer's OpenSSL writes with write(2); libktls needs nothing */
	signal(SIGPIPE, SIG_IGN);
	if (getenv("KTLS_VM_NIC"))
		MUST(vt_nic_make() == 0);
}

void vt_case(const char *fmt, ...)
{
	static int64_t last;
	const int64_t now = vt_now();
	va_list ap;

	if (getenv("KTLS_VM_VERBOSE") && last)
		printf("%6lld ms: %s\n", (long long)(now - last), label);
	last = now;
	va_start(ap, fmt);
	vsnprintf(label, sizeof(label), fmt, ap);
	va_end(ap);
}

static void __attribute__((format(printf, 2, 0)))
say(const char *what, const char *fmt, va_list ap)
{
	printf("%s: %s: ", what, program);
	vprintf(fmt, ap);
	printf("\n");
}

void vt_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("skip", fmt, ap);
	va_end(ap);
	skips++;
}

void vt_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("note", fmt, ap);
	va_end(ap);
}

int vt_end(void)
{
	const char *require = getenv("KTLS_TEST_REQUIRE");
	const bool required = require && strstr(require, "vm");

	printf("%s: %u checks, %u failed, %u skipped\n", program, checks,
	       failures, skips);
	if (failures > 0 || (skips > 0 && required))
		return 1;
	return checks == 0 ? 77 : 0;
}

bool vt_checked(bool ok)
{
	pthread_mutex_lock(&lock);
	checks++;
	pthread_mutex_unlock(&lock);
	return ok;
}

bool vt_failed(const char *file, int line, const char *cond, const char *fmt, ...)
{
	const char *name = strrchr(file, '/');
	va_list ap;

	pthread_mutex_lock(&lock);
	failures++;
	printf("FAILED: %s: %s\n  %s:%d: %s: ", program, label,
	       name ? name + 1 : file, line, cond);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	/* what is broken throughout need not be said a thousand times */
	if (failures >= 40) {
		printf("%s: giving up after %u failures\n", program, failures);
		_exit(1);
	}
	pthread_mutex_unlock(&lock);
	return false;
}

void vt_must(bool ok, const char *file, int line, const char *cond)
{
	if (ok)
		return;
	printf("%s: %s: %s:%d: %s: errno %d (%s)\n", program, label, file, line,
	       cond, errno, strerror(errno));
	exit(1);
}

int64_t vt_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void vt_sleep_ms(int ms)
{
	struct timespec t = {.tv_sec = ms / 1000,
			     .tv_nsec = ms % 1000 * 1000000L};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

bool vt_poll(int fd, int events)
{
	const int64_t end = vt_now() + VT_WAIT;
	struct pollfd p = {.fd = fd, .events = (short)events};
	int r;

	do {
		const int64_t left = end - vt_now();

		r = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (r < 0 && errno == EINTR);
	return r > 0;
}

const char *vt_reason(uint32_t reason)
{
	static const char *const names[] = {
		"NONE",	    "HANDSHAKE", "POLICY",
		"DISABLED", "DEFERRED",	 "COST",
		"PENDING",  "NOT_TCP",	 "NOT_ESTABLISHED",
		"NO_ULP",   "ULP_BUSY",	 "NO_KERNEL",
		"VERSION",  "CIPHER",	 "CIPHER_KERNEL",
		"KEYS",	    "KEY_CHECK", "COMPRESSION",
		"PADDING",  "OPENSSL",	 "SYSTEM",
		"REKEY",
	};

	return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "?";
}
