/* SPDX-License-Identifier: MIT */
/* --host: makes one connection, sends no data, and looks at what it became. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <ktls/openssl.h>

#include "../common/client.h"
#include "../common/json.h"
#include "../common/server.h"
#include "doctor.h"

/* Seconds that the server may stay silent. */
enum { TIME_LIMIT = 10, CLOSE_MS = 2000 };

static void failed(struct host *h, const char *what, const char *why)
{
	snprintf(h->error, sizeof(h->error), "%s: %s", what, why);
}

static struct ktls_conn *start(struct host *h, SSL *ssl, int fd)
{
	struct ktls_policy policy;
	struct ktls_conn *tls;

	if (ktls_policy_init(&policy, sizeof(policy)) < 0) {
		failed(h, "ktls_policy_init", strerror(errno));
		return NULL;
	}
	policy.offload_after = 0; /* as soon as it can be */
	tls = ktls_conn_new(ssl, fd, &policy);
	if (!tls)
		failed(h, "ktls_conn_new", strerror(errno));
	return tls;
}

/* The connection is up: what is it? */
static void look(struct host *h, const struct ktls_conn *tls, SSL *ssl, int fd)
{
	const long verified = SSL_get_verify_result(ssl);

	h->info.size = sizeof(h->info);
	if (ktls_get_info(tls, &h->info) < 0)
		failed(h, "ktls_get_info", strerror(errno));
	if (verified != X509_V_OK)
		snprintf(h->certificate, sizeof(h->certificate), "%s",
			 X509_verify_cert_error_string(verified));
	h->nic.size = sizeof(h->nic);
	if (ktls_nic_probe(NULL, fd, &h->nic) < 0)
		h->nic.name[0] = '\0';
}

/* fd belongs to the connection from ktls_conn_new() on, else to us. */
static void talk(struct host *h, SSL *ssl, int fd)
{
	struct ktls_conn *tls = start(h, ssl, fd);
	char text[160];

	if (!tls) {
		close(fd);
		return;
	}
	if (ktls_handshake(tls) < 0) {
		const bool silent = errno == EAGAIN;

		tls_error(text, sizeof(text), tls);
		failed(h, "handshake",
		       silent ? "the server does not answer" : text);
	} else {
		look(h, tls, ssl, fd);
	}
	/* there is nothing that could get lost, whatever it says */
	(void)ktls_close(tls, CLOSE_MS);
}

static void visit(struct host *h, SSL_CTX *ctx)
{
	char copy[300];
	const char *name, *port;
	SSL *ssl;
	int fd;

	snprintf(copy, sizeof(copy), "%s", h->name);
	if (!address_split(copy, &name, &port)) {
		snprintf(h->error, sizeof(h->error), "that is not NAME:PORT");
		return;
	}
	ssl = client_ssl(ctx, name);
	if (!ssl) {
		snprintf(h->error, sizeof(h->error), "that is no host's name");
		return;
	}
	fd = client_connect(name, port, TIME_LIMIT, h->error, sizeof(h->error));
	if (fd >= 0)
		talk(h, ssl, fd);
	SSL_free(ssl);
}

/* Who encrypts; where the kernel does not say, by the route's interface. */
static void describe_kernel(char *text, size_t size, const struct host *h,
			    const struct ktls_dir_info *dir)
{
	if (dir->mode != KTLS_MODE_UNKNOWN)
		describe(text, size, dir);
	else if (*h->nic.name && !h->nic.features)
		snprintf(text, size, "kernel; %s encrypts nothing", h->nic.name);
	else
		snprintf(text, size,
			 "kernel, or a NIC: the kernel does not tell us");
}

static void add_direction(struct report *r, const char *id,
			  const struct host *h, const struct ktls_dir_info *dir)
{
	enum level level = LEVEL_NO;
	char text[300];

	if (dir->reason == KTLS_REASON_NONE) {
		describe_kernel(text, sizeof(text), h, dir);
		report_add(r, id, LEVEL_OK, "%s", text);
		return;
	}
	/* a choice, not a lack */
	if (dir->reason == KTLS_REASON_COST)
		level = LEVEL_INFO;
	describe(text, sizeof(text), dir);
	report_add(r, id, level, "%s; reason %s", text,
		   ktls_reason_name((enum ktls_reason)dir->reason));
	if (level == LEVEL_NO)
		report_advise(r, "see the lines above, and ktls_reasons(7)");
}

static void add_checks(struct findings *f)
{
	const struct host *h = &f->host;
	struct report *r = &f->report;
	const char *version = tls_version_name(h->info.version);
	char text[320];

	report_add(r, "host", LEVEL_OK, "%s: %s %s", h->name,
		   version ? version : "unknown version",
		   h->info.cipher_name ? h->info.cipher_name : "");
	if (*h->certificate)
		report_add(r, "certificate", LEVEL_INFO, "not trusted here: %s",
			   h->certificate);
	add_direction(r, "host-tx", h, &h->info.tx);
	add_direction(r, "host-rx", h, &h->info.rx);
	if (*h->nic.name) {
		nic_describe(text, sizeof(text), &h->nic);
		report_add(r, "host-nic", LEVEL_INFO, "%s", text);
	}
}

void check_host(struct findings *f)
{
	struct host *h = &f->host;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	/* a certificate is looked at, but nothing secret is sent that needs it */
	if (!ctx || ktls_ctx_enable(ctx) < 0) {
		failed(h, "OpenSSL", openssl_error());
	} else {
		SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
		SSL_CTX_set_default_verify_paths(ctx);
		visit(h, ctx);
	}
	SSL_CTX_free(ctx);
	if (*h->error)
		report_add(&f->report, "host", LEVEL_NO, "%s: %s", h->name,
			   h->error);
	else
		add_checks(f);
}
