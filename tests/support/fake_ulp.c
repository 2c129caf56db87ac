/* SPDX-License-Identifier: MIT */
/* The options of the model that net/tls and net/ipv4/tcp_ulp.c have. */
#include "fake_core.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>

/* net/ipv4/tcp_ulp.c */
static int set_ulp(struct fake_socket *s, const void *val, socklen_t len)
{
	if (len != 3 || memcmp(val, "tls", 3) != 0)
		return -ENOENT;
	if (s->protocol != IPPROTO_TCP)
		return -EOPNOTSUPP;
	if (s->ulp || s->ulp_other)
		return -EEXIST;
	if (fake_state_of(s) != FAKE_ESTABLISHED)
		return -ENOTCONN;
	s->ulp = true;
	return 0;
}

/* A key is replaced: only behind a KeyUpdate, and what was made before stays. */
static void changed(struct fake_socket *s, const struct fake_key *k)
{
	bool *due = k == &s->tx ? &s->tx_updated : &s->rx_paused;

	/* RX: the KeyUpdate may have come in two records */
	if (k == &s->tx && !*due && !s->probe)
		fake_broken("a new key without a KeyUpdate");
	if (k == &s->tx && s->open_record.len > 0)
		fake_broken("a new key with a record open");
	*due = false;
	s->rekeys[k == &s->rx]++;
}

/* net/tls/tls_device.c: TLS 1.2 with AES-GCM; everything else is software's */
static bool takes(const struct fake_key *k, bool tx)
{
	return (tx ? fake_kernel.device_tx : fake_kernel.device_rx) &&
	       k->version == 0x0303 && (k->cipher == 51 || k->cipher == 52);
}

/* net/tls/tls_main.c, do_tls_setsockopt_conf() */
static int set_key(struct fake_socket *s, struct fake_key *k,
		   const struct fake_key *other, const void *val, socklen_t len)
{
	struct fake_key new;
	int r;

	if (!s->ulp)
		return -ENOPROTOOPT;
	if (k->on && (fake_kernel.no_rekey || k->version != 0x0304))
		return -EBUSY;
	r = fake_key_set(&new, val, len);
	if (r < 0)
		return r;
	/* net/tls/tls_sw.c, crypto_alloc_aead() */
	if (fake_kernel.lacks >> (new.cipher - 51) & 1)
		return -ENOENT;
	if (k->on && (k->version != new.version || k->cipher != new.cipher))
		return -EINVAL;
	if (other->on &&
	    (other->version != new.version || other->cipher != new.cipher))
		return -EINVAL;
	if (!(s->fl & O_NONBLOCK) && !s->probe)
		fake_broken("keys to a blocking socket");
	if (k->on)
		changed(s, k);
	new.device = takes(&new, k == &s->tx);
	*k = new;
	s->key_at = val;
	s->key_len = len;
	memcpy(s->key_copy, val, len);
	return 0;
}

/*
 * net/tls/tls_main.c, do_tls_setsockopt_tx_payload_len(). Once the keys are
 * there, it looks at the wrong struct where a device encrypts (Linux 7.3).
 */
static int set_payload(struct fake_socket *s, const void *val, socklen_t len)
{
	uint16_t n;

	if (!s->ulp || fake_kernel.no_payload_len)
		return -ENOPROTOOPT;
	if (s->tx.on)
		fake_broken("TLS_TX_MAX_PAYLOAD_LEN behind TLS_TX");
	if (len != sizeof(n))
		return -EINVAL;
	memcpy(&n, val, sizeof(n));
	if (n < 64 || n > FAKE_RECORD)
		return -EINVAL;
	s->tx_max = n;
	return 0;
}

/* net/tls/tls_main.c, do_tls_setsockopt_tx_zc(): with or without keys */
static int set_zerocopy(struct fake_socket *s, const void *val, socklen_t len)
{
	uint32_t on;

	if (!s->ulp || fake_kernel.no_zerocopy)
		return -ENOPROTOOPT;
	if (len != sizeof(on))
		return -EINVAL;
	memcpy(&on, val, sizeof(on));
	if (on > 1)
		return -EINVAL;
	s->zerocopy = on;
	return 0;
}

/* net/tls/tls_main.c, do_tls_setsockopt_no_pad() */
static int set_no_pad(struct fake_socket *s, const void *val, socklen_t len)
{
	uint32_t on;

	if (!s->ulp || fake_kernel.no_expect_no_pad)
		return -ENOPROTOOPT;
	if (!s->rx.on || s->rx.version != 0x0304 || len < sizeof(on))
		return -EINVAL;
	memcpy(&on, val, sizeof(on));
	if (on > 1)
		return -EINVAL;
	s->rx_no_pad = on;
	return 0;
}

/* net/tls/tls_main.c, do_tls_getsockopt_conf(): of the head alone, or all */
static int get_key(const struct fake_socket *s, const struct fake_key *k,
		   void *val, socklen_t *len)
{
	enum { HEAD = 4 };
	uint8_t info[FAKE_INFO];
	size_t n;

	if (!s->ulp)
		return -ENOPROTOOPT;
	if (*len < HEAD)
		return -EINVAL;
	if (!k->on)
		return -EBUSY;
	n = fake_key_get(k, info);
	if (*len == HEAD)
		n = HEAD;
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

static int get_payload(const struct fake_socket *s, void *val, socklen_t *len)
{
	const uint16_t n = (uint16_t)s->tx_max;

	if (!s->ulp || fake_kernel.no_payload_len)
		return -ENOPROTOOPT;
	if (*len < sizeof(n))
		return -EINVAL;
	memcpy(val, &n, sizeof(n));
	*len = sizeof(n);
	return 0;
}

static int get_zerocopy(const struct fake_socket *s, void *val, socklen_t *len)
{
	const int on = s->zerocopy;

	if (!s->ulp || fake_kernel.no_zerocopy)
		return -ENOPROTOOPT;
	if (*len != sizeof(on))
		return -EINVAL;
	memcpy(val, &on, sizeof(on));
	return 0;
}

static int get_no_pad(const struct fake_socket *s, void *val, socklen_t *len)
{
	const int on = s->rx_no_pad;

	if (!s->ulp || fake_kernel.no_expect_no_pad)
		return -ENOPROTOOPT;
	if (*len < sizeof(on))
		return -EINVAL;
	memcpy(val, &on, sizeof(on));
	*len = sizeof(on);
	return 0;
}

int fake_tls_set(struct fake_socket *s, enum fake_call what, const void *val,
		 socklen_t len)
{
	if (what == FAKE_SET_ULP)
		return set_ulp(s, val, len);
	if (what == FAKE_SET_TLS_TX)
		return set_key(s, &s->tx, &s->rx, val, len);
	if (what == FAKE_SET_TLS_RX)
		return set_key(s, &s->rx, &s->tx, val, len);
	if (what == FAKE_SET_PAYLOAD)
		return set_payload(s, val, len);
	if (what == FAKE_SET_ZEROCOPY)
		return set_zerocopy(s, val, len);
	if (what == FAKE_SET_NO_PAD)
		return set_no_pad(s, val, len);
	return -ENOPROTOOPT;
}

int fake_tls_get(const struct fake_socket *s, enum fake_call what, void *val,
		 socklen_t *len)
{
	if (what == FAKE_GET_ULP)
		return get_ulp(s, val, len);
	if (what == FAKE_GET_TLS_TX)
		return get_key(s, &s->tx, val, len);
	if (what == FAKE_GET_TLS_RX)
		return get_key(s, &s->rx, val, len);
	if (what == FAKE_GET_PAYLOAD)
		return get_payload(s, val, len);
	if (what == FAKE_GET_ZEROCOPY)
		return get_zerocopy(s, val, len);
	if (what == FAKE_GET_NO_PAD)
		return get_no_pad(s, val, len);
	return -ENOPROTOOPT;
}
