/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-control: many tickets, warnings and empty records on end. An
 * ordinary number is survived, a flood ends or passes, in little time and
 * memory.
 */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>

enum {
	FLOOD = 1000,
	LIMIT_MS = 10000,
	LIMIT_KB = 16384 /* of memory more than before */
};

static long memory_kb(void)
{
	struct rusage u;

	MUST(getrusage(RUSAGE_SELF, &u) == 0);
	return u.ru_maxrss;
}

struct flood {
	const char *name;
	void (*add)(struct vt_control *c);
	int few; /* so many are survived */
	/* where FLOOD of them must end the connection; else they may pass */
	bool user_ends;
	bool kernel_ends;
};

static void add_empty(struct vt_control *c)
{
	vt_control_add(c, VT_APPLICATION, NULL, 0);
}

/* count of them in one go, then data: 0, or the errno that ended it. */
static int send_many(struct vt_control *c, const struct flood *f, int count)
{
	char what[64];
	int e;

	snprintf(what, sizeof(what), "%d %s", count, f->name);
	if (!vt_control_open(c, what))
		return -1;
	vt_control_data(c, 100);
	vt_control_send(c, 0, c->len);
	e = vt_control_wait(c);
	CHECK(e == 0, "errno %d", e);
	c->len = 0;
	for (int i = 0; i < count; i++)
		f->add(c);
	vt_control_data(c, 1000);
	vt_control_send(c, 0, c->len);
	return vt_control_wait(c);
}

static void flood(struct vt_control *c, const struct flood *f)
{
	const long before = memory_kb();
	const int64_t start = vt_now();
	struct ktls_error error;
	int e;

	e = send_many(c, f, f->few);
	if (e < 0)
		return;
	CHECK(e == 0, "errno %d", e);
	vt_sink_same(&c->got, &c->want, "libktls");
	vt_control_free(c);
	e = send_many(c, f, FLOOD);
	if (e < 0)
		return;
	if (e == 0) {
		CHECK(c->rx == KTLS_OFF ? !f->user_ends : !f->kernel_ends,
		      "a flood is not noticed");
		vt_sink_same(&c->got, &c->want, "libktls");
	} else {
		CHECK(e == EPROTO, "errno %d", e);
		vt_duo_error(&c->d, &error);
		CHECK(error.code == EPROTO, "code %d, alert %d, %s", error.code,
		      error.alert_sent, error.text);
		vt_duo_dead(&c->d, EPROTO);
	}
	CHECK(vt_now() - start < LIMIT_MS, "%lld ms",
	      (long long)(vt_now() - start));
	CHECK(memory_kb() - before < LIMIT_KB, "%ld KB more",
	      memory_kb() - before);
	vt_control_free(c);
}

void vt_flood_cases(struct vt_control *c)
{
	/* OpenSSL takes any number of tickets, the kernel of empty records */
	static const struct flood tickets = {"tickets", vt_control_ticket, 100,
					     false, false};
	static const struct flood warnings = {"warnings", vt_control_warning, 4,
					      true, true};
	static const struct flood empty = {"empty records", add_empty, 30, true,
					   false};

	if (vt_control_tickets(c))
		flood(c, &tickets);
	flood(c, &warnings);
	flood(c, &empty);
}
