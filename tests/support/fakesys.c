/* SPDX-License-Identifier: MIT */
/* The seam lib/sys.h on the model: counting, failing, and the clock. */
#include "fake_core.h"

#include <errno.h>
#include <poll.h>

#include "ktest.h"
#include "fake_seam.h"

struct fake_kernel fake_kernel;
int64_t fake_clock;
short fake_poll_events;
int fake_poll_timeout;
void (*fake_around)(bool enter);
bool fake_count_probes;
void (*fake_on_broken)(const char *text);

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
	if (fake_on_broken)
		fake_on_broken(text);
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
	fake_pipes_reset();
	fake_net_reset();
	memset(&fake_kernel, 0, sizeof(fake_kernel));
	memset(calls, 0, sizeof(calls));
	fake_heal();
	fake_script_recvmsg(NULL);
	poll_hook = NULL;
	fake_count_probes = false;
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

/* What the library tries on a connection of its own is not the test's. */
static bool exempt(void)
{
	return !fake_count_probes && fake_own_sockets() > 0;
}

int fake_enter(enum fake_call call)
{
	if (fake_around)
		fake_around(true);
	if (exempt())
		return 0;
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

int fake_enter_pipe(enum fake_call call, size_t *n)
{
	if (!exempt() && calls[call].limit && *n > calls[call].limit)
		*n = calls[call].limit;
	return fake_enter(call);
}

int fake_enter_io(enum fake_call call, size_t *n)
{
	int r = fake_enter_pipe(call, n);

	/* one of no bytes has done its work, whatever it says */
	if (r == 0 && *n > 0 && flaky && !exempt()) {
		calls[call].toggle = !calls[call].toggle;
		if (calls[call].toggle)
			return -EAGAIN;
	}
	return r;
}

int64_t ktls__sys_now(void)
{
	fake_enter(FAKE_NOW);
	fake_leave(0);
	return fake_clock;
}

void fake_elapse(int ms)
{
	fake_clock += ms;
	fake_workers();
}

static short ready_now(int fd, short events)
{
	if (fake_pipe_of(fd))
		return fake_pipe_ready(fd, events);
	/* -1 only sleeps */
	if (!fake_socket(fd))
		return fd < 0 ? 0 : POLLNVAL;
	return fake_ready(fake_socket(fd), events);
}

static int sleep_until(int fd, short events, int timeout_ms)
{
	for (int tries = 0; tries < 10000; tries++) {
		short ready;

		if (poll_hook)
			poll_hook(poll_arg);
		ready = ready_now(fd, events);
		if (ready)
			return ready;
		if (timeout_ms >= 0) {
			fake_elapse(timeout_ms);
			return 0;
		}
		fake_elapse(1);
	}
	fake_broken("poll(%d, -1) would never return", events);
}

int ktls__sys_poll(int fd, short events, int timeout_ms)
{
	int r = fake_enter(FAKE_POLL);

	fake_poll_events = events;
	fake_poll_timeout = timeout_ms;
	if (r == 0)
		r = sleep_until(fd, events, timeout_ms);
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

void ktls__sys_sigpipe_restore(struct ktls__sigpipe *s)
{
	fake_enter(FAKE_SIGPIPE_RESTORE);
	if (s->raised != sigpipe_raised && s->blocked)
		fake_broken("a SIGPIPE is %s",
			    s->raised ? "waited for in vain" : "left pending");
	sigpipe_raised = false;
	s->blocked = false;
	sigpipe_blocked = false;
	fake_leave(0);
}

bool ktls__sys_sigpipe_ignored(void)
{
	fake_enter(FAKE_SIGPIPE_IGNORED);
	fake_leave(0);
	return fake_kernel.sigpipe_ignored;
}

void fake_sigpipe_check(const char *call)
{
	if (!sigpipe_blocked && !fake_kernel.sigpipe_ignored)
		fake_broken("%s could raise SIGPIPE", call);
}

/* A blocked signal becomes pending, even where it is ignored. */
void fake_raise_sigpipe(void)
{
	sigpipe_raised = sigpipe_raised || sigpipe_blocked;
}

size_t fake_own_fds(void)
{
	return fake_own_sockets() + fake_own_pipes() + fake_own_netlinks();
}
