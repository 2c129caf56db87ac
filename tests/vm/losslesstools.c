/* SPDX-License-Identifier: MIT */
/* ktls-vm-lossless: openssl s_client and gnutls-cli as the receivers. */
#include "lossless.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TOOL_BYTES = 400000, TOOL_TIMES = 12 };

/* What a receiver writes to its stdout. */
struct output {
	int fd;
	struct vt_sink sink;
	pthread_t thread;
};

static void *read_output(void *arg)
{
	struct output *o = arg;
	static uint8_t buf[65536];
	ssize_t n;

	while ((n = read(o->fd, buf, sizeof(buf))) > 0)
		vt_sink_add(&o->sink, buf, (size_t)n);
	return NULL;
}

/* Its certificate is the test's own: who it is does not matter here. */
static pid_t start(bool gnutls, unsigned int port, int *out)
{
	char number[16], address[32];
	int fd[2];
	pid_t pid;

	snprintf(number, sizeof(number), "%u", port);
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	MUST(pipe2(fd, O_CLOEXEC) == 0);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, STDIN_FILENO);
		dup2(fd[1], STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (gnutls)
			execlp("gnutls-cli", "gnutls-cli", "--insecure",
			       "--logfile=/dev/null", "-p", number, "localhost",
			       NULL);
		else
			execlp("openssl", "openssl", "s_client", "-quiet",
			       "-connect", address, NULL);
		_exit(127);
	}
	close(fd[1]);
	*out = fd[0];
	return pid;
}

static int listener(unsigned int *port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);

	MUST(l >= 0);
	MUST(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0);
	MUST(listen(l, 1) == 0);
	MUST(getsockname(l, (struct sockaddr *)&a, &len) == 0);
	*port = ntohs(a.sin_port);
	return l;
}

static void tool(const struct ll_scenario *s, bool gnutls)
{
	struct ktls_policy policy = vt_policy(KTLS_REQUIRE, KTLS_OFF);
	struct vt_stream stream;
	struct output o = {.fd = -1};
	struct vt_end e;
	size_t accepted = 0;
	unsigned int port;
	int fd, status = -1;
	const int l = listener(&port);
	const pid_t pid = start(gnutls, port, &o.fd);

	vt_sink_init(&o.sink);
	MUST(pthread_create(&o.thread, NULL, read_output, &o) == 0);
	/* one that cannot even start must not be waited for for ever */
	if (CHECK(vt_poll(l, POLLIN), "it does not connect")) {
		fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
		MUST(fd >= 0);
		vt_set_sndbuf(fd, s->sndbuf);
		vt_end_init(&e, ll_server(s->tls12), fd, true, s->blocking,
			    &policy);
		if (CHECK(vt_end_handshake(&e) == 0, "errno %d", errno))
			(void)ll_send(s, e.c, fd, &accepted);
		CHECK(vt_end_close(&e) == 0, "closing: errno %d", errno);
		EVP_MD_CTX_free(e.in.md);
	} else {
		kill(pid, SIGKILL);
	}
	close(l);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0, "it ended with status 0x%x", (unsigned int)status);
	MUST(pthread_join(o.thread, NULL) == 0);
	close(o.fd);
	CHECK(accepted > 0, "nothing was taken");
	vt_stream_init(&stream, s->base, &s->most, 1);
	vt_sink_check(&o.sink, &stream, accepted, "stdout");
}

void ll_tools(void)
{
	for (unsigned int i = 0; i < TOOL_TIMES; i++) {
		const struct ll_scenario s = {
			.tls12 = i / 2 % 2,
			.blocking = i / 4 % 2,
			.how = (enum ll_how)(i % LL_HOWS),
			.sndbuf = i % 3 ? 16384 : 0,
			.size = i % 4 ? 100000 : 16384,
			.base = 100 * i,
			.most = TOOL_BYTES + 1001 * i,
			.rides = i,
		};

		vt_case("%s, %s", i % 2 ? "gnutls-cli" : "openssl s_client",
			ll_name(&s));
		tool(&s, i % 2);
	}
	vt_note("%d connections to openssl s_client and gnutls-cli", TOOL_TIMES);
}
