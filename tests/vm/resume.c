/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-resume: sessions of other people's servers, whose tickets come when
 * receiving is in the kernel, are resumed by the next handshake.
 */
#include "vmtest.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/pem.h>

enum { PORT = 4443, STARTS_MS = 10000, VISITS = 3 };

static const char line[] = "a line for the other side\n";
static const char enil[] = "edis rehto eht rof enil a\n";

struct server {
	const char *name;
	const char *const *argv;
	const char *answer; /* to line */
};

static int connect_to(void)
{
	const struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(fd >= 0);
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static pid_t start(const struct server *s)
{
	const int64_t end = vt_now() + STARTS_MS;
	pid_t pid;
	int fd;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		/* both read their standard input */
		MUST(freopen("/dev/null", "w", stdout) != NULL);
		MUST(freopen("/dev/null", "w", stderr) != NULL);
		execvp(s->argv[0], (char *const *)(uintptr_t)s->argv);
		_exit(127);
	}
	while ((fd = connect_to()) < 0 && vt_now() < end)
		vt_sleep_ms(20);
	CHECK(fd >= 0, "%s does not listen", s->name);
	if (fd >= 0)
		close(fd);
	return pid;
}

/* One line there and back; what is in the kernel is REQUIREd to be. */
static bool talk(struct vt_end *e, const char *answer)
{
	char buf[sizeof(line)];
	size_t have = 0;

	if (!CHECK(ktls_write(e->c, line, sizeof(line) - 1) == sizeof(line) - 1,
		   "ktls_write: errno %d", errno))
		return false;
	while (have < sizeof(line) - 1) {
		const ssize_t n =
			ktls_read(e->c, buf + have, sizeof(line) - 1 - have);

		if (n < 0 && errno == EAGAIN && vt_poll(e->fd, ktls_wants(e->c)))
			continue;
		if (!CHECK(n > 0, "%zd, errno %d, after %zu bytes", n, errno,
			   have))
			return false;
		have += (size_t)n;
	}
	return CHECK(memcmp(buf, answer, have) == 0, "it says %.*s", (int)have,
		     buf);
}

static void visit(SSL_CTX *ctx, const struct server *s, uint32_t use, bool again)
{
	const struct ktls_policy policy = vt_policy(use, use);
	struct ktls_info info;
	struct vt_end e;
	int fd = connect_to();

	if (!CHECK(fd >= 0, "connect: errno %d", errno))
		return;
	vt_sessions = 0;
	vt_resume = again ? vt_session : NULL;
	vt_end_init(&e, ctx, fd, false, false, &policy);
	if (CHECK(vt_end_handshake(&e) == 0, "errno %d", errno)) {
		CHECK(SSL_session_reused(e.ssl) == again, "resumed: %d",
		      SSL_session_reused(e.ssl));
		vt_end_info(&e, &info);
		CHECK((info.rx.mode == KTLS_MODE_KERNEL) == (use == KTLS_REQUIRE),
		      "rx: %s", vt_reason(info.rx.reason));
		/* TLS 1.3: not before something is read */
		if (SSL_version(e.ssl) == TLS1_3_VERSION)
			CHECK(vt_sessions == 0, "%d sessions too early",
			      vt_sessions);
		talk(&e, s->answer);
		if (SSL_version(e.ssl) == TLS1_3_VERSION)
			CHECK(vt_sessions > 0, "no ticket came");
	}
	/* how the server ends is its own business */
	(void)ktls_close(e.c, 2000);
	EVP_MD_CTX_free(e.in.md);
	vt_resume = NULL;
}

static void resumes(const struct server *s, const struct vt_suite *suite,
		    uint32_t use)
{
	SSL_CTX *ctx = vt_ctx(suite, false, false);

	vt_case("%s, TLS %s, use %u", s->name, vt_version_str(suite->version),
		use);
	MUST(ktls_ctx_enable(ctx) == 0);
	vt_keep_sessions(ctx);
	for (int i = 0; i < VISITS; i++)
		if (i == 0 || CHECK(vt_session != NULL, "no session"))
			visit(ctx, s, use, i > 0);
	SSL_SESSION_free(vt_session);
	vt_session = NULL;
	SSL_CTX_free(ctx);
}

/* The certificate that contexts of the test trust, for the servers. */
static void write_pem(void)
{
	SSL_CTX *ctx = vt_ctx(&vt_suites[0], true, false);
	FILE *f = fopen("resume.pem", "we");

	MUST(f != NULL);
	MUST(PEM_write_X509(f, SSL_CTX_get0_certificate(ctx)) == 1);
	MUST(PEM_write_PrivateKey(f, SSL_CTX_get0_privatekey(ctx), NULL, NULL,
				  0, NULL, NULL) == 1);
	MUST(fclose(f) == 0);
	SSL_CTX_free(ctx);
}

int main(void)
{
	static const char *const openssl[] = {
		"openssl",    "s_server", "-accept", "4443", "-cert",
		"resume.pem", "-rev",	  "-quiet",  NULL};
	static const char *const gnutls[] = {
		"gnutls-serv",	  "--port",	"4443",		 "--echo",
		"--x509certfile", "resume.pem", "--x509keyfile", "resume.pem",
		"--quiet",	  NULL};
	static const struct server servers[] = {
		{"openssl s_server", openssl, enil},
		{"gnutls-serv", gnutls, line},
	};
	const int e = vt_ulp_errno();
	int status;

	vt_begin("ktls-vm-resume", 400);
	vt_data_init();
	vt_probed();
	write_pem();
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
		vt_case("%s", servers[i].name);
		const pid_t pid = start(&servers[i]);

		for (int k = 0; k < 4; k++)
			if (!e || k < 2)
				resumes(&servers[i], &vt_suites[k % 2 ? 6 : 0],
					k < 2 ? KTLS_OFF : KTLS_REQUIRE);
		CHECK(waitpid(pid, &status, WNOHANG) == 0, "%s has ended: 0x%x",
		      servers[i].name, (unsigned int)status);
		kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
	}
	if (e)
		vt_skip("the kernel's part: setsockopt(TCP_ULP): %s",
			strerror(e));
	return vt_end();
}
