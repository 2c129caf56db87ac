/* SPDX-License-Identifier: MIT */
/*
 * The decision whether a direction goes to the kernel, and the point of no
 * return. All that can fail happens before the one setsockopt() that installs
 * the key; the direction's reason says why it did not come to that.
 */
#include "offload.h"

#include <errno.h>
#include <poll.h>

#include "absent.h"
#include "account.h"
#include "check.h"
#include "device.h"
#include "keys.h"
#include "open.h"
#include "probe.h"
#include "rekey.h"
#include "result.h"
#include "size.h"
#include "sys.h"

static int refuse(struct ktls_conn *c, struct ktls__half *h, uint32_t reason,
		  const char *call, int sys_errno)
{
	const bool known =
		h->settled && h->reason == reason && h->sys_errno == sys_errno;

	h->reason = (uint8_t)reason;
	h->call = call;
	h->sys_errno = sys_errno;
	h->settled = true;
	h->wanted = false;
	/* wire.c decrypts what is kept; by it a lost number is found, to export */
	h->track.keep_all =
		!c->ssl || (h->track.lost && reason != KTLS_REASON_KEY_CHECK &&
			    ktls__keys_reason(c) == KTLS_REASON_NONE);
	if (ktls__track_aligned(&h->track))
		ktls__track_drop(&h->track);
	if (!known)
		ktls__event_refuse(c, h);
	return -ENOTSUP;
}

/* Not now: ktls__offload_auto() tries again by itself. */
static int defer(struct ktls_conn *c, struct ktls__half *h, short events)
{
	h->reason = KTLS_REASON_PENDING;
	h->wanted = true;
	h->track.keep_all = true;
	return ktls__again(c, events);
}

static int attach(struct ktls_conn *c)
{
	static const char name[] = "tls";
	char found[16] = "";
	const int off = 0;
	socklen_t len = sizeof(found) - 1;
	int r;

	if (c->ulp)
		return 0;
	r = ktls__sys_setsockopt(c->fd, IPPROTO_TCP, KTLS__TCP_ULP, name,
				 sizeof(name) - 1);
	/* a caller that attached it at accept() time did right */
	if (r == -EEXIST &&
	    ktls__sys_getsockopt(c->fd, IPPROTO_TCP, KTLS__TCP_ULP, found,
				 &len) == 0 &&
	    strcmp(found, name) == 0) {
		/* what it has set besides is the policy's to say */
		(void)ktls__sys_setsockopt(c->fd, KTLS__SOL_TLS,
					   KTLS__TLS_TX_ZEROCOPY_RO, &off,
					   sizeof(off));
		r = 0;
	}
	c->ulp = r == 0;
	return r;
}

void ktls__offload_prepare(struct ktls_conn *c)
{
	if (c->tcp && !c->disabled &&
	    (c->tx.asked == KTLS_REQUIRE || c->rx.asked == KTLS_REQUIRE))
		(void)attach(c);
}

static uint32_t prepare(struct ktls_conn *c, int dir, struct ktls__protection *p)
{
	if (c->disabled)
		return KTLS_REASON_DISABLED;
	if (!c->tcp)
		return KTLS_REASON_NOT_TCP;
	if (c->version == KTLS__TLS13 &&
	    c->policy.rekey_unsupported == KTLS_REKEY_STAY_IN_USER_SPACE &&
	    ktls__keys_reason(c) == KTLS_REASON_NONE && ktls__probe_rekey() <= 0)
		return KTLS_REASON_REKEY;
	return ktls__check_keys(c, dir, p);
}

static int install(struct ktls_conn *c, int dir, const struct ktls__protection *p)
{
	struct ktls__half *h = ktls__half(c, dir);
	int r = attach(c);

	if (r < 0)
		return refuse(c, h, ktls__probe_ulp_reason(-r),
			      "setsockopt(TCP_ULP)", -r);
	if (dir == KTLS_TX) {
		ktls__size_kernel(c);
		r = ktls__account_start(c, h->track.seq);
		if (r < 0)
			return refuse(c, h, KTLS_REASON_SYSTEM,
				      "getsockopt(TCP_INFO)", -r);
	}
	/* The point of no return: nothing below may fail. */
	r = ktls__key_set(c, dir, p, h->track.seq);
	if (r < 0 && dir == KTLS_TX)
		c->record_kernel = KTLS__RECORD_MAX;
	if (r < 0)
		return refuse(c, h, ktls__probe_key_reason(-r),
			      dir == KTLS_TX ? "setsockopt(TLS_TX)"
					     : "setsockopt(TLS_RX)",
			      -r);
	if (dir == KTLS_TX) {
		memcpy(c->tx_secret, h->secret, sizeof(h->secret));
		if (!c->ssl)
			explicit_bzero(h->secret, sizeof(h->secret));
		ktls__rekey_limit(c, true);
	}
	h->mode = KTLS_MODE_KERNEL;
	h->installed = h->generation;
	if (dir == KTLS_TX) {
		ktls__size_calls(c);
		ktls__device_zerocopy(c);
	} else {
		ktls__offload_no_pad(c);
	}
	h->reason = KTLS_REASON_NONE;
	h->call = NULL;
	h->sys_errno = 0;
	h->settled = true;
	h->wanted = false;
	ktls__buf_free(&h->track.last);
	h->track.kept = false;
	/* ktls__rekey_resume() needs it where there is no secret */
	if (h->own &&
	    (dir == KTLS_TX || h->secret_len > 0 || p->version == KTLS__TLS12)) {
		explicit_bzero(h->own, sizeof(*h->own));
		free(h->own);
		h->own = NULL;
	}
	/* what OpenSSL still writes is translated record by record */
	h->track.keep_all = dir == KTLS_TX;
	ktls__event_offload(c, dir);
	return 0;
}

/* True when OpenSSL has something to finish before its keys can go. */
static bool busy(const struct ktls_conn *c, int dir)
{
	if (!c->ssl)
		return dir == KTLS_RX && c->feed.len > 0;
	return SSL_in_init(c->ssl) ||
	       (dir == KTLS_TX &&
		SSL_get_key_update_type(c->ssl) != SSL_KEY_UPDATE_NONE);
}

int ktls__offload(struct ktls_conn *c, int dir)
{
	struct ktls__half *h = ktls__half(c, dir);
	struct ktls__protection p;
	uint32_t reason;
	int r;

	if (h->mode == KTLS_MODE_KERNEL)
		return 0;
	if (h->asked == KTLS_OFF)
		return refuse(c, h, KTLS_REASON_POLICY, NULL, 0);
	if (dir == KTLS_TX) {
		r = ktls__open_close(c);
		if (r == 0)
			r = ktls__flush(c);
		if (r == -EAGAIN)
			return defer(c, h, POLLOUT);
		if (r < 0)
			return r;
	} else if (!ktls__track_aligned(&h->track) || c->early.len > 0) {
		return defer(c, h, POLLIN);
	}
	/* nothing to poll for: the next records of the caller's data do it */
	if (busy(c, dir))
		return defer(c, h, 0);
	reason = prepare(c, dir, &p);
	if (reason == KTLS_REASON_PENDING)
		r = defer(c, h, 0);
	else if (reason == KTLS_REASON_NONE)
		r = install(c, dir, &p);
	else
		r = refuse(c, h, reason, NULL, 0);
	explicit_bzero(&p, sizeof(p));
	if (r == -ENOTSUP && h->sys_errno == ENOENT)
		ktls__absent_note(c, h->reason);
	return r;
}

void ktls__offload_no_pad(struct ktls_conn *c)
{
	const uint32_t asked = c->policy.expect_no_pad;
	int on;

	if (c->rx.mode == KTLS_MODE_USER || c->version != KTLS__TLS13)
		return;
	on = asked == KTLS_REQUIRE ||
	     (asked == KTLS_AUTO && ktls__probe_no_pad() > 0);
	if (on != c->no_pad && ktls__sys_setsockopt(c->fd, KTLS__SOL_TLS,
						    KTLS__TLS_RX_EXPECT_NO_PAD,
						    &on, sizeof(on)) == 0)
		c->no_pad = on;
}

/* KTLS_REQUIRE cannot be. */
static int required(struct ktls_conn *c, const struct ktls__half *h)
{
	c->refused = true;
	return ktls__failed(c, ENOTSUP, h->call ? h->call : "ktls_handshake",
			    h->sys_errno, 0,
			    ktls_reason_str((enum ktls_reason)h->reason));
}

/*
 * KTLS_AUTO goes by cost. Receiving TLS 1.3 in the kernel is dearer than in
 * user space: for the inner content type it decrypts to a buffer of its own
 * and copies (net/tls/tls_sw.c, tls_sw_recvmsg(), zc_capable). It is cheaper
 * when it may expect that records are not padded.
 */
static bool worth_it(const struct ktls_conn *c, int dir)
{
	int r;

	/* what cannot be moved at all has a better reason than its cost */
	if (dir == KTLS_TX || c->policy.expect_no_pad == KTLS_REQUIRE ||
	    ktls__keys_reason(c) != KTLS_REASON_NONE || c->version == KTLS__TLS12)
		return true;
	if (c->policy.expect_no_pad == KTLS_OFF)
		return false;
	r = ktls__probe_no_pad();
	/* what the kernel does not have is a better reason, too */
	return r > 0 || ((r == -ENOENT || r == -ENOPROTOOPT) && !c->ulp);
}

int ktls__offload_auto(struct ktls_conn *c, int dir, uint64_t n)
{
	struct ktls__half *h = ktls__half(c, dir);
	const struct ktls__absence *missing;
	int r;

	if (!h->wanted && (h->settled || (c->policy.offload_after > h->bytes &&
					  n < c->policy.offload_after - h->bytes)))
		return 0;
	missing = h->wanted ? NULL : ktls__absent_known(c);
	if (missing) {
		refuse(c, h, missing->reason, missing->call, ENOENT);
		return 0;
	}
	if (!h->wanted && h->asked == KTLS_AUTO && !worth_it(c, dir)) {
		refuse(c, h, KTLS_REASON_COST, NULL, 0);
		return 0;
	}
	r = ktls__offload(c, dir);
	/* a direction that waits for a whole record goes on in user space */
	if (r == -EAGAIN && c->out.len == 0)
		return 0;
	if (r == -ENOTSUP)
		return h->asked == KTLS_REQUIRE ? required(c, h) : 0;
	return r;
}

static int start(struct ktls_conn *c, int dir)
{
	struct ktls__half *h = ktls__half(c, dir);
	int r;

	if (h->mode == KTLS_MODE_KERNEL)
		return 0;
	h->reason = KTLS_REASON_DEFERRED;
	if (h->asked == KTLS_OFF || (h->asked == KTLS_AUTO && c->disabled)) {
		refuse(c, h,
		       h->asked == KTLS_OFF ? KTLS_REASON_POLICY
					    : KTLS_REASON_DISABLED,
		       NULL, 0);
		return 0;
	}
	if (h->asked == KTLS_AUTO)
		return c->policy.offload_after == 0
			       ? ktls__offload_auto(c, dir, 0)
			       : 0;
	r = ktls__offload(c, dir);
	/* a record of it has to be seen first */
	if (r == -EAGAIN && (h->track.lost || c->early.len > 0 || !c->ssl))
		return 0;
	if (r == -EAGAIN)
		/* the handshake ends between records: one was not kept */
		r = refuse(c, h, KTLS_REASON_SYSTEM, "malloc", ENOMEM);
	return r == -ENOTSUP ? required(c, h) : r;
}

int ktls__offload_start(struct ktls_conn *c)
{
	/* both, so that each direction has its reason */
	const int tx = start(c, KTLS_TX), rx = start(c, KTLS_RX);

	return tx < 0 ? tx : rx;
}
