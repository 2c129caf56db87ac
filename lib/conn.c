/* SPDX-License-Identifier: MIT */
/* A connection's beginning and end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include <ktls/openssl.h>

#include "bio.h"
#include "handshake.h"
#include "policy.h"
#include "result.h"
#include "size.h"
#include "sys.h"

static int check_ssl(SSL *ssl)
{
	if (SSL_is_dtls(ssl))
		return -EPROTOTYPE;
	if (!SSL_in_before(ssl) || SSL_get_ex_data(ssl, ktls__ssl_index()))
		return -EALREADY;
	return 0;
}

static int check_fd(int fd, bool *tcp)
{
	int type = 0, domain = 0, protocol = 0, r;
	socklen_t len = sizeof(type);

	r = ktls__sys_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	if (r < 0)
		return r;
	if (type != SOCK_STREAM)
		return -EPROTOTYPE;
	len = sizeof(domain);
	r = ktls__sys_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	if (r == 0) {
		len = sizeof(protocol);
		r = ktls__sys_getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol,
					 &len);
	}
	*tcp = r == 0 && (domain == AF_INET || domain == AF_INET6) &&
	       protocol == IPPROTO_TCP;
	return 0;
}

static void half_init(struct ktls__half *h, uint32_t asked)
{
	h->asked = asked;
	h->mode = KTLS_MODE_USER;
	h->reason = KTLS_REASON_HANDSHAKE;
	/* until the handshake is over: the last record may be a large ticket */
	h->track.keep_all = asked != KTLS_OFF;
}

/* Takes the SSL over; nothing after this fails. */
static void adopt(struct ktls_conn *c, SSL *ssl)
{
	c->ssl = ssl;
	SSL_up_ref(ssl);
	/* one reference for us, one for SSL_set_bio() to own */
	BIO_up_ref(c->bio);
	SSL_set_bio(ssl, c->bio, c->bio);
	SSL_clear_options(ssl, SSL_OP_ENABLE_KTLS);
	/* else a ticket would end a read early, with data still to be had */
	SSL_set_mode(ssl, SSL_MODE_AUTO_RETRY);
	/* the BIO takes all, whatever SSL_set_max_send_fragment() makes of it */
	SSL_clear_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
	if (c->tx.asked != KTLS_OFF || c->rx.asked != KTLS_OFF)
		/* it would change keys that the kernel may have */
		SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
	c->next_info = SSL_get_info_callback(ssl);
	SSL_set_info_callback(ssl, ktls__info_callback);
}

static int init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int r = -pthread_mutexattr_init(&attr);

	if (r < 0)
		return r;
	r = -pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	if (r == 0)
		r = -pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return r;
}

static int init(struct ktls_conn *c, SSL *ssl, int fd,
		const struct ktls_policy *policy)
{
	const char *disable = getenv("KTLS_DISABLE");
	int r, fl;

	ktls__error_init(&c->error);
	c->fd = fd;
	if (ktls__ssl_index() < 0)
		return -ENOMEM;
	r = ktls__policy_read(policy, &c->policy);
	if (r == 0)
		r = check_ssl(ssl);
	if (r == 0)
		r = check_fd(fd, &c->tcp);
	if (r < 0)
		return r;
	c->disabled = disable && strcmp(disable, "1") == 0;
	c->record_peer = KTLS__RECORD_MAX;
	c->record_kernel = KTLS__RECORD_MAX;
	c->pipe_wanted = -1;
	half_init(&c->tx, c->policy.tx);
	half_init(&c->rx, c->policy.rx);
	c->bio = ktls__bio_new(c);
	if (!c->bio || !SSL_set_ex_data(ssl, ktls__ssl_index(), c))
		return -ENOMEM;
	fl = ktls__sys_getfl(fd);
	r = fl < 0 ? fl : 0;
	if (r == 0 && !(fl & O_NONBLOCK)) {
		r = ktls__sys_setfl(fd, fl | O_NONBLOCK);
		c->restore_fl = r == 0;
	}
	if (r < 0) {
		SSL_set_ex_data(ssl, ktls__ssl_index(), NULL);
		return r;
	}
	adopt(c, ssl);
	ktls__event_new(c);
	return 0;
}

struct ktls_conn *ktls_conn_new(SSL *ssl, int fd, const struct ktls_policy *policy)
{
	struct ktls_conn *c;
	int r;

	if (!ssl) {
		errno = EINVAL;
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	r = c ? init_lock(&c->lock) : -ENOMEM;
	if (r == 0)
		r = init(c, ssl, fd, policy);
	if (r == 0)
		return c;
	if (c)
		BIO_free(c->bio);
	free(c);
	errno = -r;
	return NULL;
}

static void half_free(struct ktls__half *h)
{
	ktls__buf_free(&h->track.last);
}

void ktls_conn_free(struct ktls_conn *c)
{
	const int saved = errno;
	int fl;

	if (!c)
		return;
	ktls__event_free(c);
	/* the caller may still have the SSL: it reaches nothing of ours */
	ktls__bio_detach(c->bio);
	BIO_free(c->bio);
	SSL_set_ex_data(c->ssl, ktls__ssl_index(), NULL);
	if (SSL_get_info_callback(c->ssl) == ktls__info_callback)
		SSL_set_info_callback(c->ssl, c->next_info);
	SSL_free(c->ssl);
	if (!c->detached)
		ktls__size_end(c);
	if (c->restore_fl && !c->detached) {
		fl = ktls__sys_getfl(c->fd);
		if (fl >= 0)
			(void)ktls__sys_setfl(c->fd, fl & ~O_NONBLOCK);
	}
	half_free(&c->tx);
	half_free(&c->rx);
	ktls__buf_free(&c->open);
	ktls__buf_free(&c->out);
	ktls__buf_free(&c->ahead);
	ktls__buf_free(&c->feed);
	ktls__buf_free(&c->control);
	pthread_mutex_destroy(&c->lock);
	explicit_bzero(c, sizeof(*c));
	free(c);
	errno = saved;
}

int ktls_detach(struct ktls_conn *c)
{
	ktls__enter(c);
	if (c)
		c->detached = true;
	return (int)ktls__leave(c, c ? 0 : -EINVAL);
}

int ktls_wants(const struct ktls_conn *c)
{
	ktls__enter(c);
	return (int)ktls__leave(c, c ? ktls__wants(c) : 0);
}
