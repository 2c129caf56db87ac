/* SPDX-License-Identifier: MIT */
/* Cipher suites, contexts and sockets of the tests, and the kernel's view. */
#include "vmnet.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

enum {
	SIZE_128 = 40, /* sizeof(struct tls12_crypto_info_*) */
	SIZE_256 = 56
};

/* The numbers are linux/tls.h's; older headers lack the later ones. */
const struct vt_suite vt_suites[] = {
	{"ECDHE-ECDSA-AES128-GCM-SHA256", "AES-128-GCM", TLS1_2_VERSION, 51,
	 SIZE_128, false},
	{"ECDHE-ECDSA-AES256-GCM-SHA384", "AES-256-GCM", TLS1_2_VERSION, 52,
	 SIZE_256, false},
	{"ECDHE-ECDSA-CHACHA20-POLY1305", "CHACHA20-POLY1305", TLS1_2_VERSION,
	 54, SIZE_256, true},
	{"ECDHE-ECDSA-AES128-CCM", "AES-128-CCM", TLS1_2_VERSION, 53, SIZE_128,
	 true},
	{"ECDHE-ECDSA-ARIA128-GCM-SHA256", "ARIA-128-GCM", TLS1_2_VERSION, 57,
	 SIZE_128, true},
	{"ECDHE-ECDSA-ARIA256-GCM-SHA384", "ARIA-256-GCM", TLS1_2_VERSION, 58,
	 SIZE_256, true},
	{"TLS_AES_128_GCM_SHA256", "AES-128-GCM", TLS1_3_VERSION, 51, SIZE_128,
	 false},
	{"TLS_AES_256_GCM_SHA384", "AES-256-GCM", TLS1_3_VERSION, 52, SIZE_256,
	 false},
	{"TLS_CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305", TLS1_3_VERSION,
	 54, SIZE_256, true},
	{"TLS_AES_128_CCM_SHA256", "AES-128-CCM", TLS1_3_VERSION, 53, SIZE_128,
	 true},
	{"TLS_SM4_GCM_SM3", "SM4-GCM", TLS1_3_VERSION, 55, SIZE_128, false},
	{"TLS_SM4_CCM_SM3", "SM4-CCM", TLS1_3_VERSION, 56, SIZE_128, false},
};
const size_t vt_n_suites = sizeof(vt_suites) / sizeof(vt_suites[0]);

const char *vt_version_str(int version)
{
	return version == TLS1_3_VERSION ? "1.3" : "1.2";
}

static int set_suite(SSL_CTX *ctx, const struct vt_suite *s)
{
	if (s->version == TLS1_3_VERSION)
		return SSL_CTX_set_ciphersuites(ctx, s->name);
	return SSL_CTX_set_cipher_list(ctx, s->name);
}

bool vt_suite_known(const struct vt_suite *s)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	int r;

	MUST(ctx != NULL);
	/* SSL_CTX_set_ciphersuites() of OpenSSL 3 skips what it has not got */
	r = set_suite(ctx, s);
	if (r == 1) {
		STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(ctx);

		r = 0;
		for (int i = 0; i < sk_SSL_CIPHER_num(all); i++)
			if (strcmp(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i)),
				   s->name) == 0)
				r = 1;
	}
	SSL_CTX_free(ctx);
	return r == 1;
}

int vt_raw_install(int fd, const struct vt_suite *s, int direction)
{
	uint8_t info[SIZE_256] = {0};
	const uint16_t head[2] = {(uint16_t)s->version, s->kernel_id};

	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3) < 0 && errno != EEXIST)
		return errno;
	/* a key, its IV and a record number that both ends have */
	memset(info, 0x5a, sizeof(info));
	memcpy(info, head, sizeof(head));
	memset(info + s->kernel_size - 8, 0, 8);
	if (setsockopt(fd, SOL_TLS, direction == KTLS_TX ? TLS_TX : TLS_RX,
		       info, s->kernel_size) < 0)
		return errno;
	return 0;
}

int vt_ulp_errno(void)
{
	int fd[2], e = 0;

	vt_tcp_pair(fd);
	if (setsockopt(fd[0], IPPROTO_TCP, TCP_ULP, "tls", 3) < 0)
		e = errno;
	close(fd[0]);
	close(fd[1]);
	return e;
}

int vt_kernel_errno(const struct vt_suite *s, int direction)
{
	int fd[2], e;

	vt_tcp_pair(fd);
	e = vt_raw_install(fd[0], s, direction);
	close(fd[0]);
	close(fd[1]);
	return e;
}

int vt_rekey_errno(void)
{
	const struct vt_suite *s = &vt_suites[6];
	int fd[2], e;

	vt_tcp_pair(fd);
	MUST(vt_raw_install(fd[0], s, KTLS_TX) == 0);
	e = vt_raw_install(fd[0], s, KTLS_TX);
	close(fd[0]);
	close(fd[1]);
	return e;
}

/* A key and a certificate that signs itself, made once. */
static EVP_PKEY *key;
static X509 *cert;

static void make_cert(void)
{
	static const unsigned char name[] = "libktls test";
	X509_NAME *subject;

	if (cert)
		return;
	key = EVP_EC_gen("P-256");
	MUST(key != NULL);
	cert = X509_new();
	MUST(cert != NULL);
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -86400);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_set_pubkey(cert, key);
	subject = X509_get_subject_name(cert);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0);
	X509_set_issuer_name(cert, subject);
	MUST(X509_sign(cert, key, EVP_sha256()) > 0);
}

SSL_CTX *vt_ctx(const struct vt_suite *s, bool server, bool verify)
{
	SSL_CTX *ctx =
		SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

	make_cert();
	MUST(ctx != NULL);
	/* old and short things are among what libktls has to refuse */
	SSL_CTX_set_security_level(ctx, 0);
	MUST(SSL_CTX_set_min_proto_version(ctx, s->version) == 1);
	MUST(SSL_CTX_set_max_proto_version(ctx, s->version) == 1);
	MUST(set_suite(ctx, s) == 1);
	if (server || verify) {
		MUST(SSL_CTX_use_certificate(ctx, cert) == 1);
		MUST(SSL_CTX_use_PrivateKey(ctx, key) == 1);
	}
	MUST(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) == 1);
	if (!server)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	else if (verify)
		SSL_CTX_set_verify(
			ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			NULL);
	MUST(SSL_CTX_set_session_id_context(ctx, (const uint8_t *)"vm", 2) == 1);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return ctx;
}

void vt_tcp_pair(int fd[2])
{
	vt_tcp_pair_small(fd, 0, 0);
}

void vt_tcp_pair_small(int fd[2], int mss, int rcvbuf)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(a);
	int l, on = 1;

	l = vt_nic_used ? vt_far_socket(&a)
			: socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(l >= 0);
	MUST(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0);
	MUST(listen(l, 1) == 0);
	MUST(getsockname(l, (struct sockaddr *)&a, &len) == 0);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(fd[0] >= 0);
	vt_set_rcvbuf(l, rcvbuf);
	vt_set_rcvbuf(fd[0], rcvbuf);
	if (mss)
		MUST(setsockopt(fd[0], IPPROTO_TCP, TCP_MAXSEG, &mss,
				sizeof(mss)) == 0);
	MUST(connect(fd[0], (struct sockaddr *)&a, sizeof(a)) == 0);
	fd[1] = accept(l, NULL, NULL);
	MUST(fd[1] >= 0);
	close(l);
	for (int i = 0; i < 2; i++)
		setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void vt_set_nonblocking(int fd, bool on)
{
	int fl = fcntl(fd, F_GETFL);

	MUST(fl >= 0);
	fl = on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK;
	MUST(fcntl(fd, F_SETFL, fl) == 0);
}

void vt_set_sndbuf(int fd, int bytes)
{
	if (bytes > 0)
		MUST(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes,
				sizeof(bytes)) == 0);
}

void vt_set_rcvbuf(int fd, int bytes)
{
	if (bytes > 0)
		MUST(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes,
				sizeof(bytes)) == 0);
}
