/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-faults: the peer's process is killed while we send or receive, with
 * all that we sent read or not, on sockets that block or do not.
 */
#include "faults.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PIECE = 10000,
	MANY = 20,	/* pieces before the end */
	LIMIT_MS = 15000 /* from the beginning to our errno */
};

enum scene {
	READS_ALL,   /* the peer reads what we send */
	READS_NOT,   /* it stops, and we have to wait for room */
	SENDS,	     /* it sends, and ends within a record */
	SENDS_UNREAD /* the same, and what we sent is unread */
};

/* The peer, in a process of its own. */
static void __attribute__((noreturn))
peer(SSL_CTX *ctx, int fd, bool server, enum scene scene)
{
	static uint8_t buf[PIECE + 256];
	struct vt_duo d = {.fd = fd};
	size_t n, done = 0;

	d.ssl = SSL_new(ctx);
	MUST(d.ssl && SSL_set_fd(d.ssl, fd) == 1);
	vt_set_nonblocking(fd, false);
	MUST((server ? SSL_accept(d.ssl) : SSL_connect(d.ssl)) == 1);
	if (scene == READS_ALL || scene == READS_NOT) {
		while (done < MANY * PIECE) {
			MUST(SSL_read_ex(d.ssl, buf, sizeof(buf), &n) == 1);
			done += n;
		}
		if (scene == READS_NOT)
			vt_sleep_ms(100);
	} else {
		for (int i = 0; i < MANY; i++)
			MUST(SSL_write(d.ssl, vt_data + i * PIECE, PIECE) ==
			     PIECE);
		n = vt_duo_catch(&d, vt_data, PIECE, buf, sizeof(buf));
		MUST(send(fd, buf, n / 2, 0) == (ssize_t)(n / 2));
		/* until it has all gone */
		vt_sleep_ms(scene == SENDS_UNREAD ? 100 : 0);
	}
	raise(SIGKILL);
	_exit(1);
}

/* What the file descriptor's kind says after EAGAIN; false: nothing came. */
static bool wait_for(const struct vt_end *e)
{
	return CHECK(!e->blocking, "EAGAIN on a blocking socket") &&
	       CHECK(vt_poll(e->fd, ktls_wants(e->c)), "stalled");
}

/* Sends up to the failure: its errno. */
static int sends(struct vt_end *e)
{
	size_t sent = 0;
	ssize_t n;

	for (;;) {
		n = ktls_write(e->c, vt_data + sent % (VT_DATA / 2), PIECE);
		if (n > 0)
			sent += (size_t)n;
		else if (errno != EAGAIN || !wait_for(e))
			break;
	}
	CHECK(sent >= MANY * PIECE, "only %zu bytes", sent);
	return errno;
}

/* Receives up to the failure: its errno. */
static int receives(struct vt_end *e, bool whole)
{
	static uint8_t buf[65536];
	size_t done = 0;
	ssize_t n;
	int code;

	for (;;) {
		n = ktls_read(e->c, buf, sizeof(buf));
		if (n == 0 || (n < 0 && (errno != EAGAIN || !wait_for(e))))
			break;
		if (n < 0)
			continue;
		if (!CHECK(done + (size_t)n <= MANY * PIECE &&
				   memcmp(buf, vt_data + done, (size_t)n) == 0,
			   "%zd after %zu, or other bytes", n, done))
			break;
		done += (size_t)n;
	}
	code = errno;
	CHECK(n == -1, "an end that was not announced");
	CHECK(done == MANY * PIECE || !whole, "%zu bytes", done);
	return code;
}

static void killed(const struct vt_mode *m, bool blocking, enum scene scene)
{
	static const char *const names[] = {"has read all", "reads no more",
					    "was sending",
					    "was sending and has not read all"};
	SSL_CTX *lib = vt_ctx(m->suite, m->server, false);
	SSL_CTX *other = vt_ctx(m->suite, !m->server, false);
	const struct ktls_policy policy = vt_mode_policy(m);
	const bool sending = scene == READS_ALL || scene == READS_NOT;
	int64_t start;
	struct vt_end e;
	int fd[2], code, status;
	char c = 0;
	pid_t pid;

	vt_case("%s, %s: the peer is killed; it %s", vt_mode_name(m),
		blocking ? "blocking" : "non-blocking", names[scene]);
	MUST(ktls_ctx_enable(lib) == 0);
	/* a peer that only sends would leave them unread */
	SSL_CTX_set_num_tickets(lib, 0);
	vt_tcp_pair_small(fd, 0, scene == READS_NOT ? 65536 : 0);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		close(fd[m->server]);
		peer(other, fd[!m->server], !m->server, scene);
	}
	close(fd[!m->server]);
	vt_end_init(&e, lib, fd[m->server], m->server, blocking, &policy);
	vt_set_sndbuf(e.fd, 65536);
	if (CHECK(vt_end_handshake(&e) == 0, "errno %d", errno)) {
		if (scene == SENDS_UNREAD)
			CHECK(ktls_write(e.c, vt_data, 100) == 100, "errno %d",
			      errno);
		start = vt_now();
		code = sending ? sends(&e) : receives(&e, scene == SENDS);
		if (sending)
			CHECK(code == EPIPE || code == ECONNRESET, "errno %d",
			      code);
		else if (scene == SENDS)
			CHECK(code == ECONNABORTED, "errno %d", code);
		else
			CHECK(code == ECONNRESET || code == ECONNABORTED,
			      "errno %d", code);
		CHECK(vt_now() - start < LIMIT_MS, "%lld ms",
		      (long long)(vt_now() - start));
		CHECK((sending ? ktls_write(e.c, &c, 1)
			       : ktls_read(e.c, &c, 1)) == -1 &&
			      errno == code,
		      "again: errno %d, not %d", errno, code);
	}
	start = vt_now();
	(void)ktls_close(e.c, 1000);
	CHECK(vt_now() - start < LIMIT_MS, "ktls_close took %lld ms",
	      (long long)(vt_now() - start));
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status), "the peer's status: 0x%x", (unsigned)status);
	EVP_MD_CTX_free(e.in.md);
	SSL_CTX_free(lib);
	SSL_CTX_free(other);
}

void vt_kill_cases(const struct vt_mode *m)
{
	for (int scene = READS_ALL; scene <= SENDS_UNREAD; scene++)
		killed(m, m->server, (enum scene)scene);
}
