/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-records: the budget. However fast the other side is, no call takes
 * more bytes than that.
 */
#include "records.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { PIPE_BYTES = 65536, LOTS = 1 << 30, INCOMING = 1000000 };

static const uint64_t budgets[] = {1, 1000, 20000, 65539, 150000};

/* So many bytes to send that a call would have enough to do. */
static size_t work(uint64_t budget)
{
	return budget == 1 ? 40 : (size_t)budget * 4 + 11;
}

static void sends(const struct vt_kind *k)
{
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	struct rec r;
	bool ok = true;

	vt_case("%s: budgets of what is sent", vt_kind_name(k));
	policy.budget = 7;
	if (!rec_open(&r, k, &policy))
		return;
	for (size_t i = 0; ok && i < sizeof(budgets) / sizeof(budgets[0]); i++)
		for (int how = 0; ok && how < VT_METHODS; how++) {
			const size_t n = work(budgets[i]);

			vt_case("%s: a budget of %llu, %s", vt_kind_name(k),
				(unsigned long long)budgets[i],
				rec_how((enum vt_method)how));
			policy.budget = budgets[i];
			rec_set_policy(&r, &policy);
			r.l.most = (size_t)budgets[i];
			r.l.calls = 0;
			ok = vt_line_send(&r.l, (enum vt_method)how, i, n);
			/* nor less, when nobody has to be waited for */
			if (how != VT_SPLICE && how != VT_WRITEV)
				CHECK(!k->blocking ||
					      r.l.calls ==
						      vt_wire_least(n, r.l.most),
				      "%zu calls for %zu bytes", r.l.calls, n);
		}
	rec_close(&r);
	rec_free(&r);
}

/* A call that waits for the peer again and again ends all the same. */
static void slow(const struct vt_kind *k)
{
	struct ktls_policy policy = vt_policy(k->tx, k->rx);
	struct vt_line l;
	int fd[2];

	vt_case("%s: a budget, and a slow peer", vt_kind_name(k));
	policy.budget = 50000;
	vt_tcp_pair_small(fd, 1448, 8192);
	vt_line_init(&l, k, &policy, fd);
	vt_set_sndbuf(l.e.fd, 8192);
	if (!vt_line_start(&l))
		return;
	l.most = 50000;
	for (int how = 0; how < VT_METHODS; how++)
		if (!vt_line_send(&l, (enum vt_method)how, 99, 120000))
			break;
	vt_line_close(&l);
	vt_wire_free(&l.w);
}

struct drain {
	int fd;
	struct vt_sink *sink;
};

/* Empties the pipe as fast as it is filled. */
static void *drain(void *arg)
{
	const struct drain *d = arg;
	static uint8_t buf[PIPE_BYTES];
	ssize_t n;

	while ((n = read(d->fd, buf, sizeof(buf))) > 0)
		vt_sink_add(d->sink, buf, (size_t)n);
	return NULL;
}

static bool wait_out(const struct rec *r, int pipe_fd)
{
	const int events = ktls_wants(r->l.e.c);

	return CHECK(errno == EAGAIN && !r->l.kind->blocking, "errno %d", errno) &&
	       CHECK(events ? vt_poll(r->l.e.fd, events)
			    : vt_poll(pipe_fd, POLLOUT),
		     "no event");
}

static void splices_out(const struct vt_kind *k, uint32_t rx)
{
	const size_t sizes[] = {INCOMING};
	const struct vt_kind kind = {k->suite, k->tx, rx, k->server, k->blocking};
	struct ktls_policy policy = vt_policy(k->tx, rx);
	size_t calls = 0, full = 0;
	pthread_t thread;
	struct drain d;
	struct rec r;
	ssize_t n;
	int fd[2];

	vt_case("%s: budgets of ktls_splice_out", vt_kind_name(&kind));
	rec_init(&r, &kind, &policy, NULL);
	vt_stream_init(&r.l.p.out, 3, sizes, 1);
	r.l.p.closes_first = true;
	if (!vt_line_start(&r.l))
		return;
	MUST(pipe2(fd, O_CLOEXEC) == 0);
	d = (struct drain){fd[0], &r.l.e.in};
	MUST(pthread_create(&thread, NULL, drain, &d) == 0);
	do {
		/* a few calls with each of them */
		policy.budget = budgets[calls++ / 40 % 4];
		MUST(ktls_set_policy(r.l.e.c, &policy) == 0);
		n = ktls_splice_out(r.l.e.c, fd[1], LOTS, 0);
		if (!CHECK(n <= (ssize_t)policy.budget, "%zd of %llu", n,
			   (unsigned long long)policy.budget))
			break;
		full += n == (ssize_t)policy.budget;
	} while (n > 0 || (n < 0 && wait_out(&r, fd[1])));
	CHECK(n == 0, "errno %d", errno);
	CHECK(full > 40, "%zu calls of %zu were full", full, calls);
	close(fd[1]);
	MUST(pthread_join(thread, NULL) == 0);
	close(fd[0]);
	vt_sink_check(&r.l.e.in, &r.l.p.out, INCOMING, "libktls");
	rec_close(&r);
	rec_free(&r);
}

void rec_budget_cases(const struct vt_kind *k)
{
	sends(k);
	slow(k);
	splices_out(k, KTLS_OFF);
	if (k->tx == KTLS_REQUIRE)
		splices_out(k, KTLS_REQUIRE);
}
