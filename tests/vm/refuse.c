/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-refuse: each reason for which a direction stays in user space on a
 * kernel that has kernel TLS, and that the connection lives on.
 */
#include "vmtest.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MANY = 150000 /* bytes, more than offload_after */
};

static const struct vt_suite *const tls12 = &vt_suites[0];
static const struct vt_suite *const tls13 = &vt_suites[6];

/* TLS without the kernel's ciphers; the names as OpenSSL has them. */
static const struct vt_suite others[] = {
	{"ECDHE-ECDSA-AES128-SHA256", "CBC", TLS1_2_VERSION, 0, 0, false},
	{"ECDHE-ECDSA-AES256-CCM", "AES-256-CCM", TLS1_2_VERSION, 0, 0, false},
	{"ECDHE-ECDSA-AES128-CCM8", "CCM-8", TLS1_2_VERSION, 0, 0, false},
	{"TLS_AES_128_CCM_8_SHA256", "CCM-8", TLS1_3_VERSION, 0, 0, false},
};
static const struct vt_suite tls11 = {
	"ECDHE-ECDSA-AES128-SHA", "CBC", TLS1_1_VERSION, 0, 0, false};

static void check_dir(const struct ktls_dir_info *d, const char *name,
		      uint32_t reason, const char *call, int e)
{
	const uint32_t mode =
		reason == KTLS_REASON_NONE ? KTLS_MODE_KERNEL : KTLS_MODE_USER;

	CHECK(d->mode == mode && d->reason == reason, "%s: %s, not %s", name,
	      vt_reason(d->reason), vt_reason(reason));
	CHECK(d->sys_errno == e &&
		      (call ? d->call && strcmp(d->call, call) == 0 : !d->call),
	      "%s: %s said %d", name, d->call ? d->call : "nothing",
	      d->sys_errno);
}

static void check_info(struct vt_duo *d, uint32_t tx, uint32_t rx,
		       const char *call, int e)
{
	struct ktls_info info;

	vt_end_info(&d->lib, &info);
	check_dir(&info.tx, "tx", tx, tx == KTLS_REASON_NONE ? NULL : call,
		  tx == KTLS_REASON_NONE ? 0 : e);
	check_dir(&info.rx, "rx", rx, rx == KTLS_REASON_NONE ? NULL : call,
		  rx == KTLS_REASON_NONE ? 0 : e);
}

static struct ktls_policy at_once(void)
{
	struct ktls_policy p = vt_policy(KTLS_AUTO, KTLS_AUTO);

	p.offload_after = 0;
	return p;
}

/*
 * AUTO over these sockets: refused with reason, and the data flows; REQUIRE
 * over the next ones: refused as well, with ENOTSUP.
 */
static void refused(SSL_CTX *lib, SSL_CTX *peer, void (*sockets)(int fd[2]),
		    uint32_t reason, const char *call, int e)
{
	struct ktls_policy policy = at_once();
	struct ktls_error error = {.size = sizeof(error)};
	struct ktls_info info;
	struct vt_stat before;
	struct vt_duo d;
	int fd[2];
	char c = 0;

	vt_stat_read(&before);
	sockets(fd);
	vt_duo_init(&d, lib, peer, fd, true, &policy);
	if (vt_duo_handshake(&d)) {
		vt_end_info(&d.lib, &info);
		check_dir(&info.tx, "tx", reason, call, e);
		check_dir(&info.rx, "rx", reason, call ? info.rx.call : NULL,
			  e);
		vt_duo_to_peer(&d, 11, MANY);
		vt_duo_to_lib(&d, 22, MANY);
		/* EAGAIN: it has to see a record first */
		CHECK(ktls_offload(d.lib.c, KTLS_TX | KTLS_RX) == -1 &&
			      (errno == ENOTSUP || errno == EAGAIN),
		      "ktls_offload: errno %d", errno);
		vt_duo_to_peer(&d, 33, MANY);
		vt_duo_to_lib(&d, 44, MANY);
		check_info(&d, reason, reason, call, e);
		vt_duo_close(&d);
	}
	sockets(fd);
	policy = vt_policy(KTLS_REQUIRE, KTLS_REQUIRE);
	vt_duo_init(&d, lib, peer, fd, true, &policy);
	d.handshake_errno = ENOTSUP;
	CHECK(vt_duo_handshake(&d), "see above");
	check_info(&d, reason, reason, call, e);
	CHECK(ktls_get_error(d.lib.c, &error) == 0 && error.code == ENOTSUP &&
		      error.sys_errno == e,
	      "code %d, sys_errno %d", error.code, error.sys_errno);
	CHECK(ktls_write(d.lib.c, &c, 1) == -1 && errno == ENOTSUP,
	      "ktls_write: errno %d", errno);
	/* the end is in order all the same */
	CHECK(ktls_close(d.lib.c, 0) == 0 || errno == EAGAIN, "errno %d", errno);
	CHECK(vt_duo_peer_read(&d, &c, 1) == 0, "no close_notify");
	/* not closed yet: it waits for the peer's end */
	shutdown(d.fd, SHUT_WR);
	CHECK(ktls_close(d.lib.c, 2000) == 0, "ktls_close: errno %d", errno);
	d.lib.c = NULL;
	vt_duo_drop(&d);
	vt_stat_check(&before, 0, 0, false);
}

/* The same with contexts of its own. */
static void refused_suite(const struct vt_suite *s, void (*sockets)(int fd[2]),
			  uint32_t reason, const char *call, int e)
{
	SSL_CTX *lib = vt_ctx(s, true, false), *peer = vt_ctx(s, false, false);

	MUST(ktls_ctx_enable(lib) == 0);
	refused(lib, peer, sockets, reason, call, e);
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
}

static void unix_pair(int fd[2])
{
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
}

/* A caller may have attached the ULP at accept(); then it is there already. */
static void attached(uint32_t use)
{
	SSL_CTX *lib = vt_ctx(tls12, true, false);
	SSL_CTX *peer = vt_ctx(tls12, false, false);
	struct ktls_policy policy = vt_policy(use, use);
	struct vt_stat before;
	struct vt_duo d;
	int fd[2];

	vt_case("the caller's ULP, use %u", use);
	policy.offload_after = 0;
	MUST(ktls_ctx_enable(lib) == 0);
	vt_stat_read(&before);
	vt_tcp_pair(fd);
	MUST(setsockopt(fd[1], IPPROTO_TCP, TCP_ULP, "tls", 3) == 0);
	vt_duo_init(&d, lib, peer, fd, true, &policy);
	if (vt_duo_handshake(&d)) {
		check_info(&d, KTLS_REASON_NONE, KTLS_REASON_NONE, NULL, 0);
		vt_duo_to_peer(&d, 11, MANY);
		vt_duo_to_lib(&d, 22, MANY);
		vt_duo_close(&d);
	}
	vt_stat_check(&before, 1, 1, false);
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
}

/* Another ULP than ours; it frames what is sent, so that nothing follows. */
static void occupied(void)
{
	static const char other[] = "espintcp";
	struct vt_duo d;

	vt_case("another ULP");
	if (!vt_duo_open(&d, tls12, true, NULL))
		return;
	if (setsockopt(d.lib.fd, IPPROTO_TCP, TCP_ULP, other,
		       sizeof(other) - 1) == 0) {
		CHECK(ktls_offload(d.lib.c, KTLS_TX | KTLS_RX) == -1 &&
			      errno == ENOTSUP,
		      "ktls_offload: errno %d", errno);
		check_info(&d, KTLS_REASON_ULP_BUSY, KTLS_REASON_ULP_BUSY,
			   "setsockopt(TCP_ULP)", EEXIST);
	} else {
		vt_note("this kernel has no ULP %s: %s", other, strerror(errno));
	}
	vt_duo_drop(&d);
}

static void disabled(void)
{
	struct ktls_policy policy = at_once();
	struct vt_stat before;
	struct vt_duo d;

	vt_case("KTLS_DISABLE=1");
	MUST(setenv("KTLS_DISABLE", "1", 1) == 0);
	refused_suite(tls12, vt_tcp_pair, KTLS_REASON_DISABLED, NULL, 0);
	vt_case("KTLS_DISABLE=0");
	MUST(setenv("KTLS_DISABLE", "0", 1) == 0);
	vt_stat_read(&before);
	if (vt_duo_open(&d, tls12, true, &policy))
		vt_duo_close(&d);
	vt_stat_check(&before, 1, 1, false);
	MUST(unsetenv("KTLS_DISABLE") == 0);
}

static void no_secrets(void)
{
	SSL_CTX *lib = vt_ctx(tls13, true, false);
	SSL_CTX *peer = vt_ctx(tls13, false, false);
	struct ktls_policy policy = vt_policy(KTLS_AUTO, KTLS_OFF);
	struct vt_duo d;
	int fd[2];

	vt_case("ktls_ctx_enable() was not called");
	refused(lib, peer, vt_tcp_pair, KTLS_REASON_KEYS, NULL, 0);
	vt_case("records are padded");
	MUST(ktls_ctx_enable(lib) == 0);
	SSL_CTX_set_block_padding(lib, 512);
	policy.offload_after = 0;
	vt_tcp_pair(fd);
	vt_duo_init(&d, lib, peer, fd, true, &policy);
	if (vt_duo_handshake(&d)) {
		check_info(&d, KTLS_REASON_PADDING, KTLS_REASON_POLICY, NULL, 0);
		vt_duo_to_peer(&d, 11, MANY);
		vt_duo_close(&d);
	}
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
}

/* The peer has sent its FIN when the data makes it worth while to switch. */
static void half_closed(const struct vt_suite *s)
{
	struct ktls_info info;
	struct vt_stat before;
	struct vt_duo d;
	char c;

	vt_case("TLS %s: the peer is half-closed before AUTO switches",
		vt_version_str(s->version));
	vt_stat_read(&before);
	if (!vt_duo_open(&d, s, true, NULL))
		return;
	vt_duo_to_lib(&d, 1, 100);
	vt_duo_to_peer(&d, 1, 100);
	SSL_shutdown(d.ssl);
	shutdown(d.fd, SHUT_WR);
	CHECK(vt_duo_lib_read(&d, &c, 1) == 0, "errno %d", errno);
	vt_duo_to_peer(&d, 2, MANY);
	vt_end_info(&d.lib, &info);
	check_dir(&info.tx, "tx", KTLS_REASON_NOT_ESTABLISHED,
		  "setsockopt(TCP_ULP)", ENOTCONN);
	/* receiving was never tried */
	check_dir(&info.rx, "rx", KTLS_REASON_DEFERRED, NULL, 0);
	vt_duo_to_peer(&d, 3, MANY);
	CHECK(ktls_close(d.lib.c, VT_WAIT) == 0, "errno %d", errno);
	d.lib.c = NULL;
	CHECK(vt_duo_peer_read(&d, &c, 1) == 0, "no close_notify");
	vt_duo_drop(&d);
	vt_stat_check(&before, 0, 0, false);
}

/* It has sent its FIN before our handshake is over: REQUIRE still works. */
static void half_closed_early(uint32_t use)
{
	SSL_CTX *lib = vt_ctx(tls13, true, false);
	SSL_CTX *peer = vt_ctx(tls13, false, false);
	struct ktls_policy policy = vt_policy(use, KTLS_OFF);
	const bool require = use == KTLS_REQUIRE;
	struct ktls_info info;
	struct vt_stat before;
	struct vt_duo d;
	char buf[16];
	int fd[2];

	vt_case("half-closed within the handshake, use %u", use);
	policy.offload_after = 0;
	MUST(ktls_ctx_enable(lib) == 0);
	vt_stat_read(&before);
	vt_tcp_pair(fd);
	vt_duo_init(&d, lib, peer, fd, true, &policy);
	MUST(SSL_do_handshake(d.ssl) < 0);
	MUST(vt_poll(d.lib.fd, 1));
	CHECK(ktls_handshake(d.lib.c) == -1 && errno == EAGAIN, "errno %d",
	      errno);
	while (SSL_do_handshake(d.ssl) != 1)
		MUST(vt_poll(d.fd, 1));
	MUST(SSL_write(d.ssl, "request", 7) == 7);
	SSL_shutdown(d.ssl);
	shutdown(d.fd, SHUT_WR);
	MUST(vt_poll(d.lib.fd, 1));
	CHECK(ktls_handshake(d.lib.c) == 0, "errno %d", errno);
	vt_end_info(&d.lib, &info);
	check_dir(&info.tx, "tx",
		  require ? KTLS_REASON_NONE : KTLS_REASON_NOT_ESTABLISHED,
		  require ? NULL : "setsockopt(TCP_ULP)", require ? 0 : ENOTCONN);
	CHECK(vt_duo_lib_read(&d, buf, sizeof(buf)) == 7, "the request");
	CHECK(vt_duo_lib_read(&d, buf, sizeof(buf)) == 0, "close_notify");
	vt_duo_to_peer(&d, 5, MANY);
	CHECK(ktls_close(d.lib.c, VT_WAIT) == 0, "errno %d", errno);
	d.lib.c = NULL;
	CHECK(vt_duo_peer_read(&d, buf, 1) == 0, "no close_notify");
	vt_duo_drop(&d);
	vt_stat_check(&before, require, 0, false);
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
}

/* In a process of its own, for a user who cannot load modules. */
static void without_module(void)
{
	int status = 0;
	pid_t pid;

	vt_case("no module");
	if (getuid() != 0 || system("rmmod tls 2>/dev/null") != 0) {
		vt_skip("without the module: cannot unload it here");
		return;
	}
	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		MUST(setgid(1000) == 0 && setuid(1000) == 0);
		refused_suite(tls12, vt_tcp_pair, KTLS_REASON_NO_ULP,
			      "setsockopt(TCP_ULP)", ENOENT);
		_exit(vt_end());
	}
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0, "the process without the module: 0x%x", status);
	CHECK(system("modprobe tls") == 0, "cannot load it again");
}

int main(void)
{
	int e;

	vt_begin("ktls-vm-refuse", 400);
	vt_data_init();
	vt_probed();
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		vt_case("cipher %s", others[i].name);
		refused_suite(&others[i], vt_tcp_pair, KTLS_REASON_CIPHER, NULL,
			      0);
	}
	vt_case("TLS 1.1");
	refused_suite(&tls11, vt_tcp_pair, KTLS_REASON_VERSION, NULL, 0);
	vt_case("AF_UNIX");
	refused_suite(tls12, unix_pair, KTLS_REASON_NOT_TCP, NULL, 0);
	e = vt_ulp_errno();
	if (e) {
		vt_skip("the kernel's part: setsockopt(TCP_ULP): %s",
			strerror(e));
		return vt_end();
	}
	attached(KTLS_AUTO);
	attached(KTLS_REQUIRE);
	occupied();
	disabled();
	no_secrets();
	half_closed(tls12);
	half_closed(tls13);
	half_closed_early(KTLS_REQUIRE);
	half_closed_early(KTLS_AUTO);
	without_module();
	return vt_end();
}
