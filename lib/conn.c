/* SPDX-License-Identifier: MIT */
/* A connection's beginning and end, whatever it is made of. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include <ktls/raw.h>

#include "bio.h"
#include "conn.h"
#include "event.h"
#include "policy.h"
#include "result.h"
#include "size.h"
#include "sys.h"

int ktls__conn_key(int fd, int dir, uint16_t key[2])
{
	/* these alone: net/tls/tls_main.c, do_tls_getsockopt_conf() */
	socklen_t len = 2 * sizeof(key[0]);

	return ktls__sys_getsockopt(fd, KTLS__SOL_TLS,
				    dir == KTLS_TX ? KTLS__TLS_TX : KTLS__TLS_RX,
				    key, &len);
}

/* Somebody's keys on it would encrypt what we have encrypted. */
static bool has_keys(int fd)
{
	uint16_t key[2];
	int r = ktls__conn_key(fd, KTLS_TX, key);

	/* "tls" is attached, and has no such key */
	if (r == -EBUSY)
		r = ktls__conn_key(fd, KTLS_RX, key);
	return r == 0;
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
	return *tcp && has_keys(fd) ? -EEXIST : 0;
}

static void half_init(struct ktls__half *h, uint32_t asked)
{
	h->asked = (uint8_t)asked;
	h->mode = KTLS_MODE_USER;
	h->reason = KTLS_REASON_HANDSHAKE;
	/* until the handshake is over: the last record may be a large ticket */
	h->track.keep_all = asked != KTLS_OFF;
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

static int init(struct ktls_conn *c, int fd, const struct ktls_policy *policy,
		bool own_keys)
{
	const char *disable = getenv("KTLS_DISABLE");
	int r;

	ktls__error_init(&c->error);
	c->fd = fd;
	r = ktls__policy_read(policy, &c->policy);
	if (r == 0)
		r = check_fd(fd, &c->tcp);
	/* a connection that comes from another process brings them */
	if (r < 0 && !(r == -EEXIST && own_keys))
		return r;
	c->disabled = disable && strcmp(disable, "1") == 0;
	c->record_peer = KTLS__RECORD_MAX;
	c->record_kernel = KTLS__RECORD_MAX;
	c->pipe_wanted = -1;
	half_init(&c->tx, c->policy.tx);
	half_init(&c->rx, c->policy.rx);
	return 0;
}

int ktls__conn_make(struct ktls_conn **out, int fd,
		    const struct ktls_policy *policy, bool own_keys)
{
	struct ktls_conn *c = calloc(1, sizeof(*c));
	int r = c ? init_lock(&c->lock) : -ENOMEM;

	if (r == 0) {
		r = init(c, fd, policy, own_keys);
		if (r < 0)
			pthread_mutex_destroy(&c->lock);
	}
	if (r < 0) {
		free(c);
		return r;
	}
	*out = c;
	return 0;
}

int ktls__conn_nonblock(struct ktls_conn *c)
{
	const int fl = ktls__sys_getfl(c->fd);
	int r = fl < 0 ? fl : 0;

	if (r == 0 && !(fl & O_NONBLOCK)) {
		r = ktls__sys_setfl(c->fd, fl | O_NONBLOCK);
		c->restore_fl = r == 0;
	}
	return r;
}

static void half_free(struct ktls__half *h)
{
	ktls__buf_free(&h->track.last);
	if (h->own)
		explicit_bzero(h->own, sizeof(*h->own));
	free(h->own);
}

void ktls__conn_wipe(struct ktls_conn *c)
{
	half_free(&c->tx);
	half_free(&c->rx);
	ktls__buf_free(&c->open);
	ktls__buf_free(&c->out);
	ktls__buf_free(&c->early);
	ktls__buf_free(&c->ahead);
	ktls__buf_free(&c->feed);
	ktls__buf_free(&c->control);
	if (c->suite_own)
		free((void *)(uintptr_t)c->suite_name);
	pthread_mutex_destroy(&c->lock);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

void ktls_conn_free(struct ktls_conn *c)
{
	const int saved = errno;
	int fl;

	if (!c)
		return;
	ktls__event_free(c);
	/* it goes on elsewhere: its session is as good as it was */
	if (c->ssl && c->detached)
		SSL_set_shutdown(c->ssl,
				 SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	if (c->ssl)
		ktls__ssl_leave(c);
	if (!c->detached)
		ktls__size_end(c);
	if (c->restore_fl && !c->detached) {
		fl = ktls__sys_getfl(c->fd);
		if (fl >= 0)
			(void)ktls__sys_setfl(c->fd, fl & ~O_NONBLOCK);
	}
	ktls__conn_wipe(c);
	errno = saved;
}

int ktls_detach(struct ktls_conn *c)
{
	ktls__enter(c);
	if (c)
		c->detached = true;
	return (int)ktls__leave(c, c ? 0 : -EINVAL);
}

int ktls_fd(const struct ktls_conn *c)
{
	ktls__enter(c);
	return (int)ktls__leave(c, c ? c->fd : -EINVAL);
}

int ktls_wants(const struct ktls_conn *c)
{
	ktls__enter(c);
	return (int)ktls__leave(c, c ? ktls__wants(c) : 0);
}
