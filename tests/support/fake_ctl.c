/* SPDX-License-Identifier: MIT */
/* The calls of lib/sys.h that move no bytes. */
#include "fake_seam.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

enum {
	TLS_LEVEL = 282,
	OPT_TLS_TX = 1,
	OPT_TLS_RX = 2,
	OPT_TCP_INFO = 11,
	OPT_TCP_ULP = 31,
	STATE_ESTABLISHED = 1,
	STATE_FIN_WAIT1 = 4,
	STATE_CLOSE = 7,
	STATE_CLOSE_WAIT = 8,
	STATE_LAST_ACK = 9
};

static int state_of(const struct fake_socket *s)
{
	if (s->tcpi_state)
		return s->tcpi_state;
	if (s->error)
		return STATE_CLOSE;
	if (s->peer->fin_sent)
		return s->fin_sent ? STATE_LAST_ACK : STATE_CLOSE_WAIT;
	return s->fin_sent ? STATE_FIN_WAIT1 : STATE_ESTABLISHED;
}

/* net/ipv4/tcp_ulp.c */
static int set_ulp(struct fake_socket *s, const void *val, socklen_t len)
{
	if (len != 3 || memcmp(val, "tls", 3) != 0)
		return -ENOENT;
	if (s->protocol != IPPROTO_TCP)
		return -EOPNOTSUPP;
	if (s->ulp || s->ulp_other)
		return -EEXIST;
	if (state_of(s) != STATE_ESTABLISHED)
		return -ENOTCONN;
	s->ulp = true;
	return 0;
}

/* net/tls/tls_main.c, do_tls_setsockopt_conf(), before rekeying came */
static int set_key(struct fake_socket *s, struct fake_key *k,
		   const struct fake_key *other, const void *val, socklen_t len)
{
	struct fake_key new;
	int r;

	if (!s->ulp)
		return -ENOPROTOOPT;
	if (k->on)
		return -EBUSY;
	r = fake_key_set(&new, val, len);
	if (r < 0)
		return r;
	if (other->on &&
	    (other->version != new.version || other->cipher != new.cipher))
		return -EINVAL;
	if (!(s->fl & O_NONBLOCK))
		fake_broken("keys to a blocking socket");
	*k = new;
	s->key_at = val;
	s->key_len = len;
	memcpy(s->key_copy, val, len);
	return 0;
}

int ktls__sys_setsockopt(int fd, int level, int name, const void *val,
			 socklen_t len)
{
	const bool ulp = level == IPPROTO_TCP && name == OPT_TCP_ULP;
	const bool tx = level == TLS_LEVEL && name == OPT_TLS_TX;
	const bool rx = level == TLS_LEVEL && name == OPT_TLS_RX;
	struct fake_socket *s = fake_socket(fd);
	int r = fake_enter(ulp	? FAKE_SET_ULP
			   : tx ? FAKE_SET_TLS_TX
			   : rx ? FAKE_SET_TLS_RX
				: FAKE_SET_OTHER);

	if (r == 0 && !s)
		r = -EBADF;
	if (r == 0)
		r = ulp	 ? set_ulp(s, val, len)
		    : tx ? set_key(s, &s->tx, &s->rx, val, len)
		    : rx ? set_key(s, &s->rx, &s->tx, val, len)
			 : -ENOPROTOOPT;
	return (int)fake_leave(r);
}

static int get_int(int value, void *val, socklen_t *len)
{
	if (*len < sizeof(value))
		return -EINVAL;
	memcpy(val, &value, sizeof(value));
	*len = sizeof(value);
	return 0;
}

static int get_timeo(int ms, void *val, socklen_t *len)
{
	const struct timeval tv = {.tv_sec = ms / 1000,
				   .tv_usec = ms % 1000 * 1000};

	if (*len < sizeof(tv))
		return -EINVAL;
	memcpy(val, &tv, sizeof(tv));
	*len = sizeof(tv);
	return 0;
}

/* Half of what the peer has not read was not sent yet. */
static int get_tcp_info(struct fake_socket *s, void *val, socklen_t *len)
{
	const size_t queued = s->peer->in.len;
	struct tcp_info info = {
		.tcpi_state = (uint8_t)state_of(s),
		.tcpi_notsent_bytes = (uint32_t)(queued / 2),
		.tcpi_bytes_sent = s->handed - queued / 2 + s->retrans,
		.tcpi_bytes_acked = s->handed - queued,
		.tcpi_bytes_retrans = s->retrans,
	};
	size_t n = s->tcpi_len ? s->tcpi_len : sizeof(info);

	/* something is always lost on the way: who ignores it is wrong */
	s->retrans += 1317;
	if (n > *len)
		n = *len;
	memcpy(val, &info, n);
	*len = (socklen_t)n;
	return 0;
}

static int get_key(const struct fake_socket *s, void *val, socklen_t *len)
{
	uint8_t info[FAKE_INFO];
	size_t n;

	if (!s->ulp)
		return -ENOPROTOOPT;
	if (!s->tx.on)
		return -EBUSY;
	n = fake_key_get(&s->tx, info);
	if (*len != n)
		return -EINVAL;
	memcpy(val, info, n);
	return 0;
}

static int get_ulp(const struct fake_socket *s, void *val, socklen_t *len)
{
	char name[16] = "";

	if (s->ulp || s->ulp_other)
		strcpy(name, s->ulp ? "tls" : "other");
	else
		*len = 0;
	if (*len > sizeof(name))
		*len = sizeof(name);
	memcpy(val, name, *len);
	return 0;
}

static enum fake_call getter(int level, int name)
{
	if (level == SOL_SOCKET) {
		switch (name) {
		case SO_TYPE:
			return FAKE_GET_TYPE;
		case SO_DOMAIN:
			return FAKE_GET_DOMAIN;
		case SO_PROTOCOL:
			return FAKE_GET_PROTOCOL;
		case SO_ERROR:
			return FAKE_GET_ERROR;
		case SO_RCVTIMEO:
		case SO_SNDTIMEO:
			return FAKE_GET_TIMEO;
		}
	}
	if (level == IPPROTO_TCP && name == OPT_TCP_INFO)
		return FAKE_GET_TCP_INFO;
	if (level == IPPROTO_TCP && name == OPT_TCP_ULP)
		return FAKE_GET_ULP;
	if (level == TLS_LEVEL && name == OPT_TLS_TX)
		return FAKE_GET_TLS_TX;
	return FAKE_GET_OTHER;
}

static int get(struct fake_socket *s, enum fake_call what, int name, void *val,
	       socklen_t *len)
{
	if (!s)
		return -EBADF;
	if (what == FAKE_GET_TYPE)
		return get_int(s->type, val, len);
	if (what == FAKE_GET_DOMAIN)
		return get_int(s->domain, val, len);
	if (what == FAKE_GET_PROTOCOL)
		return get_int(s->protocol, val, len);
	if (what == FAKE_GET_ERROR) {
		const int e = s->so_error;

		s->so_error = 0;
		return get_int(e, val, len);
	}
	if (what == FAKE_GET_TIMEO)
		return get_timeo(name == SO_RCVTIMEO ? s->rcvtimeo_ms
						     : s->sndtimeo_ms,
				 val, len);
	if (what == FAKE_GET_TCP_INFO)
		return get_tcp_info(s, val, len);
	if (what == FAKE_GET_ULP)
		return get_ulp(s, val, len);
	if (what == FAKE_GET_TLS_TX)
		return get_key(s, val, len);
	return -ENOPROTOOPT;
}

int ktls__sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	const enum fake_call what = getter(level, name);
	int r = fake_enter(what);

	if (r == 0)
		r = get(fake_socket(fd), what, name, val, len);
	return (int)fake_leave(r);
}

int ktls__sys_getfl(int fd)
{
	struct fake_socket *s = fake_socket(fd);
	int r = fake_enter(FAKE_GETFL);

	if (r == 0)
		r = s ? s->fl : -EBADF;
	return (int)fake_leave(r);
}

int ktls__sys_setfl(int fd, int flags)
{
	struct fake_socket *s = fake_socket(fd);
	int r = fake_enter(FAKE_SETFL);

	if (r == 0 && s)
		s->fl = flags;
	return (int)fake_leave(r == 0 && !s ? -EBADF : r);
}

int ktls__sys_shutdown_wr(int fd)
{
	struct fake_socket *s = fake_socket(fd);
	int r = fake_enter(FAKE_SHUTDOWN);

	if (r == 0)
		r = s ? fake_shutdown(s) : -EBADF;
	return (int)fake_leave(r);
}

int ktls__sys_close(int fd)
{
	struct fake_socket *s = fake_socket(fd);
	int r = fake_enter(FAKE_CLOSE);

	/* the descriptor is gone, whatever close() says */
	if (s)
		fake_close(s);
	return (int)fake_leave(r == 0 && !s ? -EBADF : r);
}

off_t ktls__sys_lseek(int fd, off_t offset, int whence)
{
	struct fake_file *f = fake_file_of(fd);
	off_t r = fake_enter(FAKE_LSEEK);

	if (r == 0 && !f)
		r = -EBADF;
	else if (r == 0 && (f->kind == FAKE_PIPE || f->kind == FAKE_SOCKET))
		r = -ESPIPE;
	if (r == 0) {
		if (whence == SEEK_SET)
			f->position = offset;
		r = f->position;
	}
	return fake_leave(r);
}

int ktls__sys_fstat(int fd, struct stat *st)
{
	static const mode_t modes[] = {
		[FAKE_REGULAR] = S_IFREG, [FAKE_BLOCK] = S_IFBLK,
		[FAKE_PIPE] = S_IFIFO,	  [FAKE_DIRECTORY] = S_IFDIR,
		[FAKE_SOCKET] = S_IFSOCK,
	};
	struct fake_file *f = fake_file_of(fd);
	int r = fake_enter(FAKE_FSTAT);

	if (r == 0 && !f)
		r = -EBADF;
	if (r == 0) {
		memset(st, 0, sizeof(*st));
		st->st_mode = modes[f->kind] | 0644;
		if (f->kind == FAKE_REGULAR)
			st->st_size = f->shown >= 0 ? f->shown : f->size;
	}
	return (int)fake_leave(r);
}

int ktls__sys_outq(int fd)
{
	const struct fake_socket *s = fake_socket(fd);

	return s ? (int)s->peer->in.len : -EBADF;
}
