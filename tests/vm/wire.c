/* SPDX-License-Identifier: MIT */
/* Counts the records that come to an end with OpenSSL, by their headers. */
#include "vmtest.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 5, TAG = 16, EXPLICIT_NONCE = 8, APPLICATION_DATA = 23 };

/* RFC 5288 section 3, RFC 7905 section 2, RFC 8446 section 5.2 */
static size_t overhead(const SSL *ssl)
{
	const SSL_CIPHER *c = SSL_get_current_cipher(ssl);

	if (SSL_version(ssl) == TLS1_3_VERSION)
		return TAG + 1;
	if (c && strstr(SSL_CIPHER_get_name(c), "CHACHA20"))
		return TAG;
	return TAG + EXPLICIT_NONCE;
}

static void data_record(struct vt_wire *w, const SSL *ssl)
{
	const size_t n = w->length - overhead(ssl);

	if (w->count < VT_WIRE_MAX)
		w->sizes[w->count] = (uint16_t)n;
	w->count++;
	w->bytes += n;
	if (n > w->largest)
		w->largest = n;
}

/* OpenSSL shows each record's header, and in TLS 1.3 the type inside. */
static void seen(int sent, int version, int type, const void *buf, size_t len,
		 SSL *ssl, void *arg)
{
	const uint8_t *p = buf;
	struct vt_wire *w = arg;

	(void)version;
	if (sent)
		return;
	if (type == SSL3_RT_HEADER && len == HEADER) {
		w->length = (size_t)p[3] << 8 | p[4];
		if (SSL_version(ssl) != TLS1_3_VERSION && p[0] == APPLICATION_DATA)
			data_record(w, ssl);
	} else if (type == SSL3_RT_INNER_CONTENT_TYPE && len == 1 &&
		   p[0] == APPLICATION_DATA) {
		data_record(w, ssl);
	}
}

void vt_wire_watch(struct vt_wire *w, SSL *ssl)
{
	memset(w, 0, sizeof(*w));
	w->sizes = calloc(VT_WIRE_MAX, sizeof(*w->sizes));
	MUST(w->sizes != NULL);
	SSL_set_msg_callback(ssl, seen);
	SSL_set_msg_callback_arg(ssl, w);
}

void vt_wire_free(struct vt_wire *w)
{
	free(w->sizes);
	w->sizes = NULL;
}

size_t vt_wire_least(size_t n, size_t size)
{
	return (n + size - 1) / size;
}
