/* SPDX-License-Identifier: MIT */
/* Records on a wire that changes them, and what both ends say of it. */
#include "vmtest.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include <openssl/err.h>

size_t vt_duo_catch(struct vt_duo *d, const void *p, size_t n, uint8_t *to,
		    size_t max)
{
	BIO *mem = BIO_new(BIO_s_mem()), *wire = SSL_get_wbio(d->ssl);
	int len;

	MUST(mem && BIO_up_ref(wire));
	SSL_set0_wbio(d->ssl, mem);
	MUST(SSL_write(d->ssl, p, (int)n) == (int)n);
	MUST(BIO_pending(mem) <= (int)max);
	len = BIO_read(mem, to, (int)max);
	MUST(len > 0);
	SSL_set0_wbio(d->ssl, wire);
	return (size_t)len;
}

void vt_duo_error(const struct vt_duo *d, struct ktls_error *error)
{
	memset(error, 0, sizeof(*error));
	error->size = sizeof(*error);
	MUST(ktls_get_error(d->lib.c, error) == 0);
}

void vt_duo_dead(struct vt_duo *d, int code)
{
	char c = 0;

	for (int i = 0; i < 2; i++) {
		CHECK(ktls_read(d->lib.c, &c, 1) == -1 && errno == code,
		      "ktls_read again: errno %d", errno);
		CHECK(ktls_write(d->lib.c, &c, 1) == -1 && errno == code,
		      "ktls_write: errno %d", errno);
	}
	CHECK(ktls_close(d->lib.c, 1000) == -1 && errno == code,
	      "ktls_close: errno %d", errno);
	d->lib.c = NULL;
}

int vt_duo_peer_alert(struct vt_duo *d)
{
	struct pollfd p = {.fd = d->fd, .events = POLLIN};
	char c;
	unsigned long e;

	ERR_clear_error();
	if (poll(&p, 1, 2000) <= 0)
		return -1;
	if (vt_duo_peer_read(d, &c, 1) >= 0)
		return -1;
	e = ERR_peek_error();
	if (ERR_GET_LIB(e) != ERR_LIB_SSL ||
	    ERR_GET_REASON(e) < SSL_AD_REASON_OFFSET)
		return -1;
	return ERR_GET_REASON(e) - SSL_AD_REASON_OFFSET;
}
