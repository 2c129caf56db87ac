/* SPDX-License-Identifier: MIT */
/* The ends of the connections that are measured, and who checks what comes. */
#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>

int bench_fd[2];
static SSL_CTX *contexts[2][2];

const struct vt_suite *bench_suite(int version)
{
	for (size_t i = 0; i < vt_n_suites; i++)
		if (vt_suites[i].version == version &&
		    strcmp(vt_suites[i].label, "AES-128-GCM") == 0)
			return &vt_suites[i];
	return NULL;
}

void bench_contexts(void)
{
	for (int i = 0; i < 2; i++) {
		for (int server = 0; server < 2; server++) {
			SSL_CTX *ctx = vt_ctx(bench_suite(TLS1_2_VERSION + i),
					      server, false);

			/* nothing but data after the handshake */
			SSL_CTX_set_num_tickets(ctx, 0);
			contexts[i][server] = ctx;
		}
	}
}

SSL_CTX *bench_ctx(int version, bool server)
{
	return contexts[version - TLS1_2_VERSION][server];
}

bool bench_bad(const char *what)
{
	const int e = errno;

	printf("FAILED: %s: errno %d (%s)\n", what, e, strerror(e));
	ERR_print_errors_fp(stdout);
	return false;
}

bool bench_wait(int fd, int events)
{
	return vt_poll(fd, events) || bench_bad("poll");
}

bool bench_handshake(struct bench_end *e, int version, bool server, bool ktls)
{
	SSL *ssl = SSL_new(bench_ctx(version, server));

	MUST(ssl != NULL);
	e->ssl = ssl;
	MUST(SSL_set_fd(ssl, e->fd) == 1);
	if (ktls)
		SSL_set_options(ssl, SSL_OP_ENABLE_KTLS);
	if ((server ? SSL_accept(ssl) : SSL_connect(ssl)) != 1)
		return bench_bad("handshake");
	return true;
}

bool bench_lib_open(struct bench_end *e, int version, bool server,
		    const struct ktls_policy *policy, int tx, int rx)
{
	struct ktls_info info = {.size = sizeof(info)};
	SSL_CTX *ctx = bench_ctx(version, server);

	MUST(ktls_ctx_enable(ctx) == 0);
	e->ssl = SSL_new(ctx);
	MUST(e->ssl != NULL);
	if (server)
		SSL_set_accept_state(e->ssl);
	else
		SSL_set_connect_state(e->ssl);
	e->c = ktls_conn_new(e->ssl, e->fd, policy);
	MUST(e->c != NULL);
	while (ktls_handshake(e->c) < 0)
		if (errno != EAGAIN || !bench_wait(e->fd, ktls_wants(e->c)))
			return bench_bad("ktls_handshake");
	MUST(ktls_get_info(e->c, &info) == 0);
	errno = 0;
	if ((tx >= 0 && info.tx.mode != (uint32_t)tx) ||
	    (rx >= 0 && info.rx.mode != (uint32_t)rx))
		return bench_bad("ktls_get_info: not where it should be");
	return true;
}

/* Decrypts records of vt_raw_install()'s keys in place; the text's length. */
static size_t open_raw(uint8_t *p, size_t len)
{
	static const uint8_t key[16] = {
		0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a,
		0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a,
	};
	EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
	size_t at = 0, out = 0;
	int n;

	MUST(x != NULL);
	for (uint64_t seq = 0; at + 5 < len; seq++) {
		const size_t body = (size_t)p[at + 3] << 8 | p[at + 4];
		uint8_t iv[12];

		if (at + 5 + body > len || body < 17)
			break;
		/* the explicit half lies before the salt in the kernel's struct */
		memset(iv, 0x5a, sizeof(iv));
		for (int i = 0; i < 8; i++)
			iv[11 - i] ^= (uint8_t)(seq >> (8 * i));
		MUST(EVP_DecryptInit_ex(x, EVP_aes_128_gcm(), NULL, key, iv) == 1);
		MUST(EVP_DecryptUpdate(x, NULL, &n, p + at, 5) == 1);
		MUST(EVP_DecryptUpdate(x, p + out, &n, p + at + 5,
				       (int)body - 16) == 1);
		MUST(EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_SET_TAG, 16,
					 p + at + 5 + body - 16) == 1);
		if (EVP_DecryptFinal_ex(x, p + out + body - 16, &n) != 1)
			break;
		/* one byte is the type; there is no padding */
		out += body - 17;
		at += 5 + body;
	}
	EVP_CIPHER_CTX_free(x);
	return at == len ? out : 0;
}

/* The same of a connection that shook hands, close_notify included. */
static size_t open_tls(SSL *ssl, uint8_t *p, size_t len)
{
	BIO *b = BIO_new_mem_buf(p, (int)len);
	size_t out = 0, n;

	MUST(b != NULL);
	SSL_set0_rbio(ssl, b);
	/* what has been read already gets overwritten */
	while (SSL_read_ex(ssl, p + out, len - out, &n) == 1)
		out += n;
	return SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN ? out : 0;
}

bool bench_ossl_respond(struct bench_end *e, const uint8_t *head, int file,
			off_t at, size_t size)
{
	size_t n = HEAD;

	memcpy(e->buf, head, n);
	do {
		const size_t room = sizeof(e->buf) - n;
		const size_t want = size < room ? size : room;
		const ssize_t got =
			want > 0 ? pread(file, e->buf + n, want, at) : 0;

		if (got < 0 || (got == 0 && want > 0))
			return bench_bad("pread");
		n += (size_t)got;
		if (SSL_write(e->ssl, e->buf, (int)n) != (int)n)
			return bench_bad("SSL_write");
		at += got;
		size -= (size_t)got;
		n = 0;
	} while (size > 0);
	return true;
}

bool bench_lib_respond(struct bench_end *e, const uint8_t *head, int file,
		       off_t at, size_t size)
{
	const struct ktls_span spans[] = {
		{.buf = head, .len = HEAD},
		{.fd = file, .offset = at, .len = size},
	};
	struct ktls_cursor cursor = {.total = 0};
	ssize_t r;

	do
		r = ktls_sendfilev(e->c, spans, 2, &cursor);
	while (r > 0);
	return r == 0 || bench_bad("ktls_sendfilev");
}

bool bench_receive(enum bench_wire wire, size_t warm, size_t total)
{
	const size_t all = warm + total;
	const size_t size = all + all / 16 + 65536;
	struct bench_end e = {.fd = bench_fd[0]};
	uint8_t *p = malloc(size);
	size_t len = 0;
	ssize_t n;

	MUST(p != NULL);
	close(bench_fd[1]);
	if (!bench_handshake(&e, TLS1_3_VERSION, false, false))
		return false;
	while ((n = recv(e.fd, p + len,
			 size - len < 262144 ? size - len : 262144, 0)) > 0)
		len += (size_t)n;
	if (n < 0 || len == size)
		return bench_bad("recv");
	close(e.fd);
	if (wire == TLS)
		len = open_tls(e.ssl, p, len);
	else if (wire == RAW)
		len = open_raw(p, len);
	errno = 0;
	if (len != all || memcmp(p, bench_data, warm) != 0 ||
	    memcmp(p + warm, bench_data, total) != 0) {
		printf("%zu bytes of %zu\n", len, all);
		return bench_bad("not what was sent");
	}
	return true;
}
