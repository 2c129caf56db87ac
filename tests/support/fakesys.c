/* SPDX-License-Identifier: MIT */
/* The seam lib/sys.h on the model: counting, failing, and the clock. */
#include "fake_core.h"

#include <errno.h>
#include <poll.h>

#include "ktest.h"
#include "fake_seam.h"

int64_t fake_clock;
short fake_poll_events;
int fake_poll_timeout;
void (*fake_around)(bool enter);

static struct {
	unsigned int count;
	unsigned int fail_at; /* of count */
	bool fail_all;
	int fail_errno;
	size_t limit;
	bool toggle;
} calls[FAKE_CALLS];
static bool flaky;
static void (*poll_hook)(void *);
static void *poll_arg;
static bool sigpipe_blocked;
static bool sigpipe_raised;

void fake_broken(const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (fake_around)
		fake_around(false);
	fail_msg("the model: %s", text);
	abort();
}

void fake_heal(void)
{
	for (size_t i = 0; i < FAKE_CALLS; i++) {
		calls[i].fail_at = 0;
		calls[i].fail_all = false;
		calls[i].limit = 0;
		calls[i].toggle = false;
	}
	flaky = false;
}

void fake_reset(void)
{
	fake_sockets_reset();
	fake_files_reset();
	memset(calls, 0, sizeof(calls));
	fake_heal();
	fake_script_recvmsg(NULL);
	poll_hook = NULL;
	sigpipe_blocked = false;
	sigpipe_raised = false;
	fake_clock = 1000;
}

unsigned int fake_count(enum fake_call call)
{
	return calls[call].count;
}

void fake_fail(enum fake_call call, unsigned int nth, int e)
{
	calls[call].fail_errno = e;
	calls[call].fail_all = nth == 0;
	calls[call].fail_at = nth == 0 ? 0 : calls[call].count + nth;
}

void fake_limit(enum fake_call call, size_t max)
{
	calls[call].limit = max;
}

void fake_flaky(bool on)
{
	flaky = on;
}

void fake_on_poll(void (*hook)(void *), void *arg)
{
	poll_hook = hook;
	poll_arg = arg;
}

int fake_enter(enum fake_call call)
{
	if (fake_around)
		fake_around(true);
	calls[call].count++;
	if (calls[call].fail_all || calls[call].fail_at == calls[call].count)
		return -calls[call].fail_errno;
	return 0;
}

ssize_t fake_leave(ssize_t r)
{
	if (fake_around)
		fake_around(false);
	return r;
}

int fake_enter_io(enum fake_call call, size_t *n)
{
	int r = fake_enter(call);

	if (r == 0 && flaky) {
		calls[call].toggle = !calls[call].toggle;
		if (calls[call].toggle)
			return -EAGAIN;
	}
	if (calls[call].limit && *n > calls[call].limit)
		*n = calls[call].limit;
	return r;
}

int64_t ktls__sys_now(void)
{
	fake_enter(FAKE_NOW);
	fake_leave(0);
	return fake_clock;
}

/* Time passes: the workers of both ends have run. */
static void elapse(struct fake_socket *s, int ms)
{
	fake_clock += ms;
	fake_push(s);
	fake_push(s->peer);
}

void fake_elapse(int fd, int ms)
{
	elapse(fake_socket(fd), ms);
}

static int sleep_until(struct fake_socket *s, short events, int timeout_ms)
{
	for (int tries = 0; tries < 10000; tries++) {
		short ready;

		if (poll_hook)
			poll_hook(poll_arg);
		ready = fake_ready(s, events);
		if (ready)
			return ready;
		if (timeout_ms >= 0) {
			elapse(s, timeout_ms);
			return 0;
		}
		elapse(s, 1);
	}
	fake_broken("poll(%d, -1) would never return", events);
}

int ktls__sys_poll(int fd, short events, int timeout_ms)
{
	int r = fake_enter(FAKE_POLL);

	fake_poll_events = events;
	fake_poll_timeout = timeout_ms;
	if (r == 0)
		r = sleep_until(fake_socket(fd), events, timeout_ms);
	return (int)fake_leave(r);
}

/* The second call of either does nothing, as in lib/sys.c. */
void ktls__sys_sigpipe_block(struct ktls__sigpipe *s)
{
	fake_enter(FAKE_SIGPIPE_BLOCK);
	s->blocked = true;
	sigpipe_blocked = true;
	fake_leave(0);
}

void ktls__sys_sigpipe_restore(struct ktls__sigpipe *s, bool raised)
{
	fake_enter(FAKE_SIGPIPE_RESTORE);
	if (raised != sigpipe_raised && s->blocked)
		fake_broken("a SIGPIPE is %s",
			    raised ? "waited for in vain" : "left pending");
	sigpipe_raised = false;
	s->blocked = false;
	sigpipe_blocked = false;
	fake_leave(0);
}

void fake_raise_sigpipe(void)
{
	sigpipe_raised = true;
}

bool fake_sigpipe_blocked(void)
{
	return sigpipe_blocked;
}
