/* SPDX-License-Identifier: MIT */
/*
 * Runs the two processes of a row and measures one. Where the machine's clock
 * counts instructions, the CPU time of a process does too. System calls are
 * counted by tracing it in a run of its own: nothing escapes that, neither
 * OpenSSL's calls nor the library's.
 */
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct bench_run mine; /* in the measured process */
static double started;

static double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A call that nobody else makes tells the tracer where a span begins or ends */
static void mark(void)
{
	syscall(SYS_getppid);
}

void bench_start(void)
{
	started = cpu_now();
	mark();
}

void bench_stop(void)
{
	mark();
	MUST(mine.spans < SPANS);
	mine.cost[mine.spans++] = cpu_now() - started;
}

void bench_eager(void)
{
	const struct sched_param p = {.sched_priority = 1};

	/* not allowed everywhere; results are of use only in a guest anyway */
	(void)sched_setscheduler(0, SCHED_FIFO, &p);
}

void bench_lazy(void)
{
	const struct sched_param p = {.sched_priority = 0};

	(void)sched_setscheduler(0, SCHED_IDLE, &p);
}

static uint64_t calls_by_number[1024];

/* Until pid has ended: its status. */
static int trace(pid_t pid, uint64_t *calls)
{
	struct __ptrace_syscall_info info;
	bool inside = false;
	int status, deliver = 0;

	MUST(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	MUST(ptrace(PTRACE_SETOPTIONS, pid, NULL,
		    PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
	for (;;) {
		MUST(ptrace(PTRACE_SYSCALL, pid, NULL, deliver) == 0);
		MUST(waitpid(pid, &status, 0) == pid);
		if (!WIFSTOPPED(status))
			return status;
		deliver = 0;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
			deliver = WSTOPSIG(status);
			continue;
		}
		MUST(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) >
		     0);
		if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
			continue;
		if (info.entry.nr == SYS_getppid)
			inside = !inside;
		else if (inside && info.entry.nr < 1024) {
			++*calls;
			calls_by_number[info.entry.nr]++;
		}
	}
}

static pid_t start(bool (*run)(const void *), const void *arg, bool traced,
		   int out)
{
	const pid_t pid = fork();
	bool ok;

	MUST(pid >= 0);
	if (pid > 0)
		return pid;
	if (traced) {
		MUST(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
		raise(SIGSTOP);
	}
	ok = run(arg);
	if (out >= 0)
		ok = write(out, &mine, sizeof(mine)) == sizeof(mine) && ok;
	fflush(stdout);
	_exit(ok ? 0 : 1);
}

struct bench_run bench_pair(bool (*measured)(const void *),
			    bool (*other)(const void *), const void *arg,
			    bool counted)
{
	struct bench_run r = {.ok = false};
	int p[2], status[2];
	uint64_t calls = 0;
	pid_t pid[2];
	bool got;

	fflush(stdout);
	MUST(pipe(p) == 0);
	vt_tcp_pair(bench_fd);
	pid[1] = start(other, arg, false, -1);
	pid[0] = start(measured, arg, counted, p[1]);
	close(bench_fd[0]);
	close(bench_fd[1]);
	close(p[1]);
	if (counted)
		status[0] = trace(pid[0], &calls);
	got = read(p[0], &r, sizeof(r)) == sizeof(r);
	close(p[0]);
	if (!counted)
		MUST(waitpid(pid[0], &status[0], 0) == pid[0]);
	MUST(waitpid(pid[1], &status[1], 0) == pid[1]);
	r.calls = calls;
	r.ok = got && r.spans > 0 && status[0] == 0 && status[1] == 0;
	return r;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Which calls they were, for whoever asks why. */
static void name_calls(double units)
{
	for (int i = 0; i < 1024; i++)
		if (calls_by_number[i] > 0)
			printf("calls\t%d\t%.2f\n", i,
			       (double)calls_by_number[i] / units);
}

void bench_report(const char *section, const char *name, double units,
		  bool (*measured)(const void *), bool (*other)(const void *),
		  const void *arg)
{
	double cost[SPANS * 8];
	size_t n = 0;

	if (bench_counting) {
		struct bench_run r;

		memset(calls_by_number, 0, sizeof(calls_by_number));
		r = bench_pair(measured, other, arg, true);
		if (!CHECK(r.ok, "%s", name))
			return;
		printf("count\t%s\t%s\t%.3f\n", section, name,
		       (double)r.calls / units / (double)r.spans);
		if (getenv("KTLS_BENCH_CALLS"))
			name_calls(units * (double)r.spans);
		return;
	}
	for (int i = 0; i < bench_times; i++) {
		const struct bench_run r =
			bench_pair(measured, other, arg, false);

		if (!CHECK(r.ok, "%s", name))
			return;
		for (size_t k = 0; k < r.spans && n < SPANS * 8; k++)
			cost[n++] = r.cost[k] / units;
	}
	qsort(cost, n, sizeof(cost[0]), by_value);
	printf("cost\t%s\t%s\t%.0f\t%.0f\t%.0f\n", section, name, cost[n / 2],
	       cost[0], cost[n - 1]);
	fflush(stdout);
}

void bench_where(const char *section, const char *name, const char *where)
{
	printf("where\t%s\t%s\t%s\n", section, name, where);
}

void bench_skip(const char *section, const char *name, const char *why)
{
	printf("skipped\t%s\t%s\t%s\n", section, name, why);
}
