/* SPDX-License-Identifier: MIT */
/* Sessions of GnuTLS, as in any server that uses it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "session.h"

static gnutls_certificate_credentials_t credentials;
static gnutls_priority_t priorities;
static gnutls_datum_t ticket_key;

static void must(int r, const char *what)
{
	if (r < 0)
		die("%s: %s", what, gnutls_strerror(r));
}

/* GnuTLS does not tell which file it could not read, and why. */
static void must_read(const char *option, const char *path)
{
	if (access(path, R_OK) < 0)
		die("%s %s: %s", option, path, strerror(errno));
}

static const char *versions(const struct config *config)
{
	const char *version = config->tls.version;

	if (!version)
		return "-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
	if (parse_version(version) == TLS1_2_VERSION)
		return "-VERS-ALL:+VERS-TLS1.2";
	return "-VERS-ALL:+VERS-TLS1.3";
}

void session_setup(const struct config *config, const char *priority)
{
	char text[1024];
	char what[512];
	int r;

	if (snprintf(text, sizeof(text), "%s:%s", priority, versions(config)) >=
	    (int)sizeof(text))
		die("--priority is too long");
	snprintf(what, sizeof(what), "--priority %s", priority);
	must(gnutls_priority_init(&priorities, text, NULL), what);
	snprintf(what, sizeof(what), "--cert %s, --key %s", config->cert,
		 config->key);
	must(gnutls_certificate_allocate_credentials(&credentials), "GnuTLS");
	r = gnutls_certificate_set_x509_key_file(
		credentials, config->cert, config->key, GNUTLS_X509_FMT_PEM);
	if (r == GNUTLS_E_FILE_ERROR) {
		must_read("--cert", config->cert);
		must_read("--key", config->key);
	}
	must(r, what);
	must(gnutls_session_ticket_key_generate(&ticket_key), "GnuTLS");
}

void session_cleanup(void)
{
	gnutls_free(ticket_key.data);
	gnutls_certificate_free_credentials(credentials);
	gnutls_priority_deinit(priorities);
}

static int setup(gnutls_session_t session, int fd)
{
	static const gnutls_datum_t http11 = {(unsigned char *)"http/1.1", 8};
	int r = gnutls_priority_set(session, priorities);

	if (r == 0)
		r = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE,
					   credentials);
	if (r == 0)
		r = gnutls_session_ticket_enable_server(session, &ticket_key);
	if (r == 0)
		r = gnutls_alpn_set_protocols(session, &http11, 1,
					      GNUTLS_ALPN_MANDATORY);
	gnutls_transport_set_int(session, fd);
	gnutls_handshake_set_timeout(session, LIMIT_HANDSHAKE);
	return r;
}

/* Shake hands on a blocking socket; NULL, and a message, if that fails. */
struct ktls_conn *session_accept(int fd, const struct config *config)
{
	struct told told = {0};
	struct ktls_conn *tls = NULL;
	char error[160] = "";
	gnutls_session_t session;
	int r = gnutls_init(&session, GNUTLS_SERVER);

	if (r < 0) {
		warn("GnuTLS: %s", gnutls_strerror(r));
		return NULL;
	}
	handover_prepare(session, &told);
	r = setup(session, fd);
	if (r == 0) {
		do
			r = gnutls_handshake(session);
		while (r < 0 && !gnutls_error_is_fatal(r));
		if (r < 0)
			gnutls_alert_send_appropriate(session, r);
	}
	if (r == 0)
		tls = handover(session, fd, &config->policy, error,
			       sizeof(error));
	if (!tls)
		warn("a handshake failed: %s",
		     error[0] ? error : gnutls_strerror(r));
	gnutls_deinit(session);
	explicit_bzero(&told, sizeof(told));
	return tls;
}
