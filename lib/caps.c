/* SPDX-License-Identifier: MIT */
/* ktls_probe(): all that this host can do, by trying it. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ktls/ktls.h>

#include "compat.h"
#include "diag.h"
#include "probe.h"
#include "sys.h"

/* /proc/crypto has some 300 bytes a driver */
enum { CRYPTO_MAX = 256 * 1024 };

struct attempt {
	struct ktls_caps *caps;
	const struct ktls__cipher *cipher;
	unsigned int version;
	bool passing; /* it failed for a reason that will pass */
	bool absent;  /* its module: for the kernel to look for once */
};

/* The first failure that is an answer. */
static void refused(struct attempt *a, uint32_t reason, const char *call, int r)
{
	a->passing |= reason == KTLS_REASON_SYSTEM;
	if (a->caps->call)
		return;
	a->caps->reason = reason;
	a->caps->sys_errno = -r;
	a->caps->call = call;
}

/* 1 when other ciphers are worth a try. */
static int try_cipher(const int fd[2], void *arg)
{
	struct attempt *a = arg;
	struct ktls_caps *caps = a->caps;
	const bool tls12 = a->version == KTLS__TLS12;
	const uint32_t bit = ktls__cipher_bit(a->cipher);
	int r;

	for (int i = 0; i < 2; i++) {
		r = ktls__probe_attach(fd[i]);
		if (r < 0) {
			refused(a, ktls__probe_ulp_reason(-r),
				"setsockopt(TCP_ULP)", r);
			return 0;
		}
	}
	r = ktls__probe_keys(fd[0], a->cipher, a->version, KTLS__TLS_TX);
	if (r == 0)
		*(tls12 ? &caps->tls12_tx : &caps->tls13_tx) |= bit;
	else
		refused(a, ktls__probe_key_reason(-r), "setsockopt(TLS_TX)", r);
	a->absent = r == -ENOENT;
	if (a->absent)
		return 1;
	r = ktls__probe_keys(fd[1], a->cipher, a->version, KTLS__TLS_RX);
	if (r == 0)
		*(tls12 ? &caps->tls12_rx : &caps->tls13_rx) |= bit;
	else
		refused(a, ktls__probe_key_reason(-r), "setsockopt(TLS_RX)", r);
	return 1;
}

static int try_option(int fd, int name, const void *value, socklen_t size)
{
	const int r = ktls__sys_setsockopt(fd, KTLS__SOL_TLS, name, value, size);

	return r == 0 ? 1 : r == -ENOPROTOOPT ? 0 : r;
}

static int try_options(const int fd[2], void *arg)
{
	const uint16_t payload = KTLS__RECORD_MAX;
	const int on = 1;
	struct ktls_caps *caps = arg;
	struct ktls__diag d;
	int r = ktls__probe_attach(fd[0]);

	if (r < 0)
		return r;
	caps->zerocopy =
		try_option(fd[0], KTLS__TLS_TX_ZEROCOPY_RO, &on, sizeof(on));
	caps->max_payload = try_option(fd[0], KTLS__TLS_TX_MAX_PAYLOAD_LEN,
				       &payload, sizeof(payload));
	r = ktls__diag(fd[0], &d);
	caps->diag = r == 0 ? 1 : r == -EPERM ? 0 : r;
	return 0;
}

/* The value of "key : value" in one paragraph of /proc/crypto. */
static bool field(const char *p, const char *end, const char *key, char *to,
		  size_t size)
{
	const size_t n = strlen(key);

	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		const char *colon;

		if (!eol)
			eol = end;
		colon = memchr(p, ':', (size_t)(eol - p));
		if (colon && strncmp(p, key, n) == 0 &&
		    (p[n] == ' ' || p[n] == ':')) {
			colon += colon + 1 < eol ? 2 : 1;
			snprintf(to, size, "%.*s", (int)(eol - colon), colon);
			return true;
		}
		p = eol + 1;
	}
	return false;
}

/* The driver that a socket would get: the one of highest priority. */
static bool preferred_is_async(const char *text, const char *name, char *driver,
			       size_t size)
{
	long best = -1;
	bool async = false;

	while (*text) {
		const char *end = strstr(text, "\n\n");
		char value[128];

		if (!end)
			end = text + strlen(text);
		if (field(text, end, "name", value, sizeof(value)) &&
		    strcmp(value, name) == 0 &&
		    field(text, end, "priority", value, sizeof(value)) &&
		    strtol(value, NULL, 10) > best) {
			best = strtol(value, NULL, 10);
			field(text, end, "driver", driver, size);
			async = field(text, end, "async", value, sizeof(value)) &&
				strcmp(value, "yes") == 0;
		}
		text = end + strspn(end, "\n");
	}
	return async;
}

static bool has_word(const char *list, const char *word)
{
	const size_t n = strlen(word);

	for (; *list; list += strspn(list, " ")) {
		const size_t k = strcspn(list, " ");

		if (k == n && memcmp(list, word, n) == 0)
			return true;
		list += k;
	}
	return false;
}

static void find_async(struct ktls_caps *caps)
{
	const uint32_t usable = caps->tls12_tx | caps->tls12_rx |
				caps->tls13_tx | caps->tls13_rx;
	char *text = malloc(CRYPTO_MAX), driver[128] = "";
	const struct ktls__cipher *c;

	if (text && ktls__sys_load("/proc/crypto", text, CRYPTO_MAX) > 0)
		for (size_t i = 0; (c = ktls__cipher_at(i)); i++) {
			const size_t n = strlen(caps->async_drivers);

			if (!(usable & ktls__cipher_bit(c)) ||
			    !preferred_is_async(text, c->kernel, driver,
						sizeof(driver)))
				continue;
			caps->async |= ktls__cipher_bit(c);
			if (!has_word(caps->async_drivers, driver) &&
			    n + (n > 0) + strlen(driver) <
				    sizeof(caps->async_drivers))
				snprintf(caps->async_drivers + n,
					 sizeof(caps->async_drivers) - n,
					 "%s%s", n ? " " : "", driver);
		}
	free(text);
}

/* 0, or the errno of a host that has no connection to try it on. */
static int find(struct ktls_caps *caps, bool again, bool *passing)
{
	struct attempt a = {.caps = caps, .version = KTLS__TLS13};
	int r = 1;

	memset(caps, 0, sizeof(*caps));
	caps->size = sizeof(*caps);
	for (size_t i = 0; r > 0 && (a.cipher = ktls__cipher_at(i)); i++) {
		a.version = KTLS__TLS12;
		r = ktls__probe_try(try_cipher, &a);
		if (r <= 0 || a.absent || a.cipher->tls12_only)
			continue;
		a.version = KTLS__TLS13;
		r = ktls__probe_try(try_cipher, &a);
	}
	if (r < 0)
		return r;
	if (caps->tls12_tx || caps->tls13_tx) {
		/* one cipher that is missing is no reason */
		caps->reason = KTLS_REASON_NONE;
		caps->sys_errno = 0;
		caps->call = NULL;
	}
	if (again)
		ktls__probe_again();
	caps->rekey = ktls__probe_rekey();
	caps->no_pad = ktls__probe_no_pad();
	caps->splice = ktls__probe_splice();
	r = ktls__probe_try(try_options, caps);
	if (r < 0)
		caps->zerocopy = caps->max_payload = caps->diag = r;
	find_async(caps);
	/* and modules may be loaded later */
	*passing = a.passing || caps->reason || caps->rekey < 0 ||
		   caps->no_pad < 0 || caps->splice < 0 || caps->zerocopy < 0 ||
		   caps->max_payload < 0 || caps->diag == -EMFILE ||
		   caps->diag == -ENFILE || caps->diag == -ENOMEM ||
		   caps->diag == -ENOBUFS || r < 0;
	return 0;
}

static int probe(struct ktls_caps *caps, bool again)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct ktls_caps known;
	static bool is_known;
	const char *disable = getenv("KTLS_DISABLE");
	struct ktls_caps found;
	bool passing = false;
	int r = 0;

	if (!caps || caps->size < sizeof(found))
		return -EINVAL;
	pthread_mutex_lock(&lock);
	if (again || !is_known) {
		r = find(&found, again, &passing);
		if (r == 0) {
			known = found;
			is_known = !passing;
		}
	}
	if (r == 0) {
		memset(caps, 0, caps->size);
		memcpy(caps, &known, sizeof(known));
		caps->disabled = disable && strcmp(disable, "1") == 0;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

int ktls_probe(struct ktls_caps *caps, int again)
{
	const int r = probe(caps, again != 0);

	if (r == 0)
		return 0;
	errno = -r;
	return -1;
}
