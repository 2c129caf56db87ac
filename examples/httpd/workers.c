/* SPDX-License-Identifier: MIT */
/*
 * Worker processes, which share the listening socket. The parent starts them,
 * starts another one when one dies, and passes SIGTERM on. A single worker is
 * the process itself.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "httpd.h"

/* The signals that stop the server; SIGCHLD is for the parent alone. */
static sigset_t signal_set(bool with_sigchld)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (with_sigchld)
		sigaddset(&set, SIGCHLD);
	return set;
}

/* number: that of the worker, and of its socket for metrics */
static int serve(const struct config *config, unsigned int number)
{
	sigset_t set = signal_set(false);
	int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	int status;

	if (signals < 0)
		die("signalfd: %s", strerror(errno));
	status = worker_run(config, signals, config->metrics_fd[number]);
	close(signals);
	return status;
}

/* The sockets for metrics that are not this worker's; all: its own, too. */
static void close_metrics(const struct config *config, unsigned int number,
			  bool all)
{
	for (unsigned int i = 0; i < config->workers; i++)
		if (config->metrics_fd[i] >= 0 && (all || i != number))
			close(config->metrics_fd[i]);
}

static pid_t start_worker(const struct config *config, unsigned int number)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		warn("fork: %s", strerror(errno));
	if (pid != 0)
		return pid;

	/* should the parent be killed, nobody else would stop us */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		exit(1);
	close_metrics(config, number, false);
	exit(serve(config, number));
}

/* Start those workers that do not run. */
static void fill(const struct config *config, pid_t *pids)
{
	for (unsigned int i = 0; i < config->workers; i++)
		if (pids[i] <= 0)
			pids[i] = start_worker(config, i);
}

/* Note the end of children; returns whether one ended with a failure. */
static bool reap(const struct config *config, pid_t *pids, bool stopping)
{
	bool failed = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (unsigned int i = 0; i < config->workers; i++)
			if (pids[i] == pid)
				pids[i] = 0;
		if (!stopping)
			warn("worker %d ended unexpectedly", (int)pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			failed = true;
	}
	return failed;
}

static void signal_all(const struct config *config, const pid_t *pids)
{
	for (unsigned int i = 0; i < config->workers; i++)
		if (pids[i] > 0)
			kill(pids[i], SIGTERM);
}

static bool all_ended(const struct config *config, const pid_t *pids)
{
	for (unsigned int i = 0; i < config->workers; i++)
		if (pids[i] > 0)
			return false;
	return true;
}

static int supervise(const struct config *config)
{
	const struct timespec second = {.tv_sec = 1};
	sigset_t set = signal_set(true);
	pid_t pids[MAX_WORKERS] = {0};
	bool stopping = false;
	bool failed = false;

	fill(config, pids);
	while (!stopping || !all_ended(config, pids)) {
		/* the time limit is for a fork() that has failed */
		int signal = sigtimedwait(&set, NULL, &second);

		if (signal == SIGTERM || signal == SIGINT) {
			if (!stopping) {
				close(config->listen_fd);
				close_metrics(config, 0, true);
			}
			stopping = true;
			signal_all(config, pids);
		}
		if (reap(config, pids, stopping) && stopping)
			failed = true;
		/* once a second at most, should they die at once */
		if (!stopping && signal < 0)
			fill(config, pids);
	}
	return failed ? 1 : 0;
}

/* Serve until a signal; returns the exit status. */
int workers_run(const struct config *config)
{
	sigset_t set = signal_set(config->workers > 1);

	sigprocmask(SIG_BLOCK, &set, NULL);
	print_address("listening", config->listen_fd);
	for (unsigned int i = 0; config->metrics && i < config->workers; i++)
		print_address("metrics", config->metrics_fd[i]);
	return config->workers > 1 ? supervise(config) : serve(config, 0);
}
