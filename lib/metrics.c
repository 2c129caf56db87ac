/* SPDX-License-Identifier: MIT */
/* ktls_metrics(): the counters as text, in Prometheus' format 0.0.4. */
#include "metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct ktls__metrics ktls__metrics;

/* those of ktls_errors(7); the last one stands for all others */
static const struct {
	int code;
	const char *name;
} failures[KTLS__FAILURES] = {
	{EPROTO, "EPROTO"},
	{EBADMSG, "EBADMSG"},
	{ECONNABORTED, "ECONNABORTED"},
	{ECONNRESET, "ECONNRESET"},
	{EPIPE, "EPIPE"},
	{EKEYEXPIRED, "EKEYEXPIRED"},
	{ENOTSUP, "ENOTSUP"},
	{ETIMEDOUT, "ETIMEDOUT"},
	{0, "other"},
};

void ktls__count_failure(int code)
{
	size_t i = 0;

	while (i < KTLS__FAILURES - 1 && failures[i].code != code)
		i++;
	ktls__count(&ktls__metrics.failures[i], 1);
}

struct text {
	char *buf;
	size_t size;
	size_t len; /* of all of it, whether it fits or not */
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t,
						      const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(t->len < t->size ? t->buf + t->len : NULL,
		      t->len < t->size ? t->size - t->len : 0, format, ap);
	va_end(ap);
	t->len += n > 0 ? (size_t)n : 0;
}

static void family(struct text *t, const char *name, const char *type,
		   const char *help)
{
	put(t, "# HELP libktls_%s %s\n# TYPE libktls_%s %s\n", name, help, name,
	    type);
}

static uint64_t value(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static const char *const direction[2] = {"tx", "rx"};

static void single(struct text *t, const char *name, const char *type,
		   const char *help, uint64_t n)
{
	family(t, name, type, help);
	put(t, "libktls_%s %" PRIu64 "\n", name, n);
}

static void both(struct text *t, const char *name, const char *help,
		 const _Atomic uint64_t counter[2])
{
	family(t, name, "counter", help);
	for (int d = 0; d < 2; d++)
		put(t, "libktls_%s{direction=\"%s\"} %" PRIu64 "\n", name,
		    direction[d], value(&counter[d]));
}

static void refusals(struct text *t)
{
	family(t, "refusals_total", "counter",
	       "Directions that stayed in user space, by reason.");
	for (int d = 0; d < 2; d++)
		for (unsigned int i = 0; i < KTLS__REASONS; i++) {
			const uint64_t n = value(&ktls__metrics.refusals[d][i]);

			if (n > 0)
				put(t,
				    "libktls_refusals_total{direction=\"%s\","
				    "reason=\"%s\"} %" PRIu64 "\n",
				    direction[d],
				    ktls_reason_name((enum ktls_reason)i), n);
		}
}

static void bytes(struct text *t)
{
	static const char *const mode[2] = {"user", "kernel"};

	family(t, "bytes_total", "counter",
	       "Application bytes of connections that have ended.");
	for (int i = 0; i < 4; i++)
		put(t,
		    "libktls_bytes_total{direction=\"%s\",mode=\"%s\"} "
		    "%" PRIu64 "\n",
		    direction[i / 2], mode[i % 2],
		    value(&ktls__metrics.bytes[i / 2][i % 2]));
}

ssize_t ktls_metrics(char *buf, size_t size)
{
	const struct ktls__metrics *m = &ktls__metrics;
	struct text t = {buf, size, 0};
	const uint64_t freed = value(&m->freed), made = value(&m->connections);

	if (!buf && size > 0) {
		errno = EINVAL;
		return -1;
	}
	single(&t, "connections_total", "counter", "Connections made.", made);
	single(&t, "connections_open", "gauge", "Connections at present.",
	       made > freed ? made - freed : 0);
	both(&t, "offloads_total", "Directions that moved to the kernel.",
	     m->offloads);
	refusals(&t);
	both(&t, "rekeys_total", "Keys that followed a KeyUpdate.", m->rekeys);
	bytes(&t);
	both(&t,
	     "again_total", "Calls that found no room or no data; connections that have ended.",
	     m->again);
	single(&t, "guard_pushes_total", "counter",
	       "Pushes of the stall guard; connections that have ended.",
	       value(&m->pushes));
	family(&t, "failures_total", "counter", "Failures of calls, by errno.");
	for (size_t i = 0; i < KTLS__FAILURES; i++)
		put(&t, "libktls_failures_total{error=\"%s\"} %" PRIu64 "\n",
		    failures[i].name, value(&m->failures[i]));
	return (ssize_t)t.len;
}
