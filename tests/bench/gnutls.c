/* SPDX-License-Identifier: MIT */
/*
 * The row of GnuTLS. It uses kernel TLS where its configuration says so,
 * which GNUTLS_SYSTEM_PRIORITY_FILE names.
 */
#include "bench.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef KTLS_BENCH_GNUTLS
#include <gnutls/gnutls.h>
#include <gnutls/socket.h>

static gnutls_certificate_credentials_t credentials;

/* GnuTLS takes the certificate of the others in its own way. */
static bool load(void)
{
	SSL_CTX *ctx = bench_ctx(TLS1_3_VERSION, true);
	unsigned char *cert = NULL, *key = NULL;
	const int cert_len = i2d_X509(SSL_CTX_get0_certificate(ctx), &cert);
	const int key_len = i2d_PrivateKey(SSL_CTX_get0_privatekey(ctx), &key);
	const gnutls_datum_t c = {cert, (unsigned int)cert_len};
	const gnutls_datum_t k = {key, (unsigned int)key_len};

	return gnutls_certificate_allocate_credentials(&credentials) == 0 &&
	       gnutls_certificate_set_x509_key_mem(credentials, &c, &k,
						   GNUTLS_X509_FMT_DER) == 0;
}

bool bench_gnutls_open(struct bench_end *e)
{
	static const char priority[] =
		"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM";
	gnutls_session_t s;
	int r;

	errno = 0;
	if (!load() || gnutls_init(&s, GNUTLS_SERVER) != 0 ||
	    gnutls_priority_set_direct(s, priority, NULL) != 0 ||
	    gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, credentials) != 0)
		return bench_bad("gnutls_init");
	gnutls_transport_set_int(s, e->fd);
	do
		r = gnutls_handshake(s);
	while (r < 0 && !gnutls_error_is_fatal(r));
	if (r < 0)
		return bench_bad(gnutls_strerror(r));
	e->gnutls = s;
	/* Debian's of 2023 is built without, whatever the configuration */
	e->where = gnutls_transport_is_ktls_enabled(s) & GNUTLS_KTLS_SEND
			   ? "kernel"
			   : "user space";
	return true;
}

ssize_t bench_gnutls_sendfile(struct bench_end *e, off_t at, size_t n)
{
	/* GnuTLS 3.7 counts an offset from the file's position, so no offset */
	if (lseek(bench_file, at, SEEK_SET) < 0)
		return -1;
	return gnutls_record_send_file(e->gnutls, bench_file, NULL, n);
}

bool bench_gnutls_close(struct bench_end *e)
{
	char c;

	errno = 0;
	return (gnutls_bye(e->gnutls, GNUTLS_SHUT_WR) == 0 &&
		shutdown(e->fd, SHUT_WR) == 0 && read(e->fd, &c, 1) == 0) ||
	       bench_bad("gnutls_bye");
}

const char *bench_gnutls_absent(void)
{
	return NULL;
}
#else
bool bench_gnutls_open(struct bench_end *e)
{
	(void)e;
	return false;
}

ssize_t bench_gnutls_sendfile(struct bench_end *e, off_t at, size_t n)
{
	(void)e;
	(void)at;
	(void)n;
	return -1;
}

bool bench_gnutls_close(struct bench_end *e)
{
	(void)e;
	return false;
}

const char *bench_gnutls_absent(void)
{
	return "built without GnuTLS 3.7.3 or later";
}
#endif
