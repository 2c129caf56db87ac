/* SPDX-License-Identifier: MIT */
/* Keeps what failed last on a connection, and turns numbers into words. */
#include "error.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STR_(x) #x
#define STR(x)	STR_(x)

static const struct {
	const char *name;
	const char *text;
} reasons[] = {
	[KTLS_REASON_NONE] = {"NONE", "in the kernel"},
	[KTLS_REASON_HANDSHAKE] = {"HANDSHAKE",
				   "the handshake is not finished"},
	[KTLS_REASON_POLICY] = {"POLICY", "the policy keeps it in user space"},
	[KTLS_REASON_DISABLED] = {"DISABLED",
				  "KTLS_DISABLE=1 is in the environment"},
	[KTLS_REASON_DEFERRED] = {"DEFERRED",
				  "too few bytes so far: below offload_after"},
	[KTLS_REASON_COST] = {"COST",
			      "user space is cheaper for this TLS version"},
	[KTLS_REASON_PENDING] = {"PENDING", "half a record is on its way"},
	[KTLS_REASON_NOT_TCP] = {"NOT_TCP",
				 "the socket is not TCP over IPv4 or IPv6"},
	[KTLS_REASON_NOT_ESTABLISHED] =
		{"NOT_ESTABLISHED", "the TCP connection is not established "
				    "or its peer has closed its side"},
	[KTLS_REASON_NO_ULP] = {"NO_ULP",
				"the kernel has no module \"tls\" loaded and "
				"could not load it (try: modprobe tls)"},
	[KTLS_REASON_ULP_BUSY] = {"ULP_BUSY",
				  "another upper layer protocol is attached to "
				  "the socket"},
	[KTLS_REASON_NO_KERNEL] = {"NO_KERNEL",
				   "the kernel does not know TLS sockets"},
	[KTLS_REASON_VERSION] = {"VERSION",
				 "kernel TLS takes TLS 1.2 and TLS 1.3 only"},
	[KTLS_REASON_CIPHER] = {"CIPHER", "kernel TLS has no such cipher"},
	[KTLS_REASON_CIPHER_KERNEL] = {"CIPHER_KERNEL",
				       "this kernel refused the cipher (is its "
				       "crypto module there?)"},
	[KTLS_REASON_KEYS] = {"KEYS",
			      "no secrets were seen: ktls_ctx_enable() was not "
			      "called on the context, or its keylog callback "
			      "was replaced"},
	[KTLS_REASON_KEY_CHECK] = {"KEY_CHECK",
				   "the derived keys failed on a real record"},
	[KTLS_REASON_COMPRESSION] = {"COMPRESSION",
				     "TLS compression was negotiated"},
	[KTLS_REASON_PADDING] = {"PADDING",
				 "OpenSSL pads our records; the kernel cannot"},
	[KTLS_REASON_OPENSSL] = {"OPENSSL",
				 "libcrypto failed to derive the keys"},
	[KTLS_REASON_SYSTEM] = {"SYSTEM", "a system call failed"},
	[KTLS_REASON_REKEY] = {"REKEY", "the kernel cannot change keys"},
	[KTLS_REASON_NO_DEVICE] = {"NO_DEVICE",
				   "no NIC encrypts this connection"},
	[KTLS_REASON_NO_DIAG] =
		{"NO_DIAG", "the kernel does not say whether a NIC encrypts "
			    "(CAP_NET_ADMIN, or Linux 6.15)"},
};

static_assert(sizeof(reasons) / sizeof(reasons[0]) == KTLS__REASONS, "reasons");

const char *ktls_reason_str(enum ktls_reason reason)
{
	const unsigned int i = (unsigned int)reason;

	return i < KTLS__REASONS ? reasons[i].text : "unknown reason";
}

const char *ktls_reason_name(enum ktls_reason reason)
{
	const unsigned int i = (unsigned int)reason;

	return i < KTLS__REASONS ? reasons[i].name : "UNKNOWN";
}

const char *ktls_mode_str(enum ktls_mode mode)
{
	switch (mode) {
	case KTLS_MODE_USER:
		return "user";
	case KTLS_MODE_KERNEL:
		return "kernel";
	case KTLS_MODE_DEVICE:
		return "device";
	case KTLS_MODE_UNKNOWN:
		return "unknown";
	}
	return "unknown";
}

const char *ktls_version(void)
{
	return STR(KTLS_VERSION_MAJOR) "." STR(KTLS_VERSION_MINOR) "." STR(
		KTLS_VERSION_PATCH);
}

void ktls__error_init(struct ktls__error *e)
{
	memset(e, 0, sizeof(*e));
	e->alert_sent = -1;
	e->alert_received = -1;
}

int ktls__error_set(struct ktls__error *e, int code, const char *call,
		    int sys_errno, unsigned long openssl, const char *text)
{
	e->code = code;
	e->call = call;
	e->sys_errno = sys_errno;
	/* packed in 32 bits, openssl/err.h */
	e->openssl = (uint32_t)openssl;
	e->shown = (uint32_t)openssl;
	e->text = text;
	return -code;
}

bool ktls__error_is_fatal(int code)
{
	switch (code) {
	case EAGAIN:
	case EINTR:
	case ENOMEM:
	case ENOBUFS:
	case EFAULT:
	case EINVAL:
		return false;
	}
	return true;
}

bool ktls__error_is_of_socket(int code)
{
	switch (code) {
	case EPIPE:
	case ECONNRESET:
	case ECONNABORTED:
	case ENOTCONN:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case EBADMSG:
		return true;
	}
	return false;
}
