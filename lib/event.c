/* SPDX-License-Identifier: MIT */
/*
 * What happens to connections, told to whoever wants to know: the counters,
 * the callback of ktls_set_log(), probe points for tracers.
 */
#include "event.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <syslog.h>

#include <openssl/err.h>

#include "metrics.h"

#ifdef KTLS_HAVE_SDT
#include <sys/sdt.h>
#define PROBE(name, c, a, b)                                                   \
	DTRACE_PROBE3(libktls, name, (c)->fd, (long)(a), (long)(b))
#else
#define PROBE(name, c, a, b) ((void)(c), (void)(a), (void)(b))
#endif

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static ktls_log_fn *log_fn;
static void *log_arg;
static atomic_bool logging;
/* the callback is running in this thread */
static _Thread_local bool inside;

int ktls_set_log(ktls_log_fn *fn, void *arg)
{
	if (inside) {
		errno = EDEADLK;
		return -1;
	}
	pthread_rwlock_wrlock(&lock);
	log_fn = fn;
	log_arg = arg;
	atomic_store(&logging, fn != NULL);
	pthread_rwlock_unlock(&lock);
	return 0;
}

/* Nothing is said of what the callback itself sets off. */
__attribute__((format(printf, 3, 4))) static void
say(const struct ktls_conn *c, int level, const char *format, ...)
{
	char line[320];
	va_list ap;
	int n;

	if (inside || !atomic_load_explicit(&logging, memory_order_relaxed))
		return;
	n = snprintf(line, sizeof(line), "fd %d: ", c->fd);
	va_start(ap, format);
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, ap);
	va_end(ap);
	pthread_rwlock_rdlock(&lock);
	inside = true;
	if (log_fn)
		log_fn(log_arg, c, level, line);
	inside = false;
	pthread_rwlock_unlock(&lock);
}

static const char *word(int dir)
{
	return dir == KTLS_TX ? "tx" : "rx";
}

static int index_of(int dir)
{
	return dir == KTLS_TX ? 0 : 1;
}

void ktls__event_new(const struct ktls_conn *c)
{
	ktls__count(&ktls__metrics.connections, 1);
	PROBE(conn_new, c, 0, 0);
}

static void count_half(const struct ktls__half *h, int d)
{
	/* the kernel may have a byte that no call has reported: the credit */
	ktls__count(&ktls__metrics.bytes[d][0],
		    h->bytes > h->kernel_bytes ? h->bytes - h->kernel_bytes : 0);
	ktls__count(&ktls__metrics.bytes[d][1], h->kernel_bytes);
	ktls__count(&ktls__metrics.again[d], h->again);
}

void ktls__event_free(const struct ktls_conn *c)
{
	count_half(&c->tx, 0);
	count_half(&c->rx, 1);
	ktls__count(&ktls__metrics.pushes, c->guard_pushes);
	ktls__count(&ktls__metrics.freed, 1);
	PROBE(conn_free, c, c->tx.bytes, c->rx.bytes);
}

void ktls__event_offload(const struct ktls_conn *c, int dir)
{
	ktls__count(&ktls__metrics.offloads[index_of(dir)], 1);
	PROBE(offload, c, dir, c->version);
	say(c, LOG_INFO, "%s goes through the kernel: TLSv1.%u, %s", word(dir),
	    c->version - 0x301U, c->suite_name ? c->suite_name : c->cipher->name);
}

static int level_of(const struct ktls__half *h)
{
	switch (h->reason) {
	case KTLS_REASON_POLICY:
	case KTLS_REASON_DISABLED:
	case KTLS_REASON_COST:
		return LOG_DEBUG;
	}
	return LOG_NOTICE;
}

void ktls__event_refuse(const struct ktls_conn *c, const struct ktls__half *h)
{
	const int dir = h == &c->tx ? KTLS_TX : KTLS_RX;
	const enum ktls_reason reason = (enum ktls_reason)h->reason;
	char words[64];

	ktls__count(&ktls__metrics.refusals[index_of(dir)][reason], 1);
	PROBE(refuse, c, dir, reason);
	say(c, level_of(h), "%s stays in user space: %s (%s)%s%s%s%s",
	    word(dir), ktls_reason_str(reason), ktls_reason_name(reason),
	    h->call ? ", " : "", h->call ? h->call : "", h->sys_errno ? ": " : "",
	    h->sys_errno ? strerror_r(h->sys_errno, words, sizeof(words)) : "");
}

void ktls__event_rekey(const struct ktls_conn *c, int dir)
{
	ktls__count(&ktls__metrics.rekeys[index_of(dir)], 1);
	PROBE(rekey, c, dir, 0);
	say(c, LOG_INFO, "%s has a new key", word(dir));
}

void ktls__event_guard(const struct ktls_conn *c)
{
	PROBE(guard, c, c->guard_waits, c->lowat_raised);
	say(c, LOG_DEBUG, "the socket takes no more: TCP is pushed%s",
	    c->lowat_raised ? ", and TCP_NOTSENT_LOWAT was raised" : "");
}

void ktls__event_error(const struct ktls__error *e, char *line, size_t size)
{
	char words[120];
	const char *text = e->text;

	if (e->shown) {
		ERR_error_string_n(e->shown, words, sizeof(words));
		text = words;
	} else if (!text) {
		/* GNU's returns the text and may ignore words */
		text = strerror_r(e->sys_errno ? e->sys_errno : e->code, words,
				  sizeof(words));
	}
	snprintf(line, size, "%s%s%s", e->code ? e->call : "",
		 e->code ? ": " : "", e->code ? text : "");
}

int ktls__failed(struct ktls_conn *c, int code, const char *call, int sys_errno,
		 unsigned long openssl, const char *text)
{
	const bool known =
		c->error.told && c->error.code == code && c->error.call == call;
	const int r =
		ktls__error_set(&c->error, code, call, sys_errno, openssl, text);
	char line[160];

	c->error.told = known || !c->quiet;
	if (known || c->quiet)
		return r;
	ktls__count_failure(code);
	PROBE(fail, c, code, sys_errno);
	ktls__event_error(&c->error, line, sizeof(line));
	/* what a peer or the network does is no error of this host */
	say(c,
	    ktls__error_is_of_socket(code) || code == EPROTO ? LOG_INFO : LOG_ERR,
	    "%s", line);
	return r;
}
