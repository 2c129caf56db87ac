/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-nic [PART]: connections whose records a network card encrypts, or
 * seems to have decrypted: that of nicsim/.
 *
 * ktls-vm-nic over PROGRAM [ARG...]: those of another program.
 */
#include "nic.h"

#include <stdio.h>
#include <string.h>

void nic_removed(void)
{
	const int64_t end = vt_now() + VT_WAIT;
	struct vt_nic n[2];
	bool all;

	do {
		all = true;
		for (int i = 0; i < 2; i++) {
			vt_nic_read(&n[i], i);
			all &= n[i].tx_added == n[i].tx_removed &&
			       n[i].rx_added == n[i].rx_removed;
		}
		if (!all)
			vt_sleep_ms(5);
	} while (!all && vt_now() < end);
	CHECK(all,
	      "of the keys of %ld and %ld, %ld and %ld, only %ld and %ld, "
	      "%ld and %ld are removed",
	      n[0].tx_added, n[0].rx_added, n[1].tx_added, n[1].rx_added,
	      n[0].tx_removed, n[0].rx_removed, n[1].tx_removed, n[1].rx_removed);
}

void nic_count(struct nic_count *c)
{
	for (int end = 0; end < 2; end++) {
		vt_nic_read(&c->nic[end], end);
		vt_nic_stat(&c->stat[end], end);
	}
}

static void subtract(long *now, const long *before, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(long); i++)
		now[i] -= before[i];
}

void nic_since(struct nic_count *c)
{
	struct nic_count now;

	nic_count(&now);
	for (int end = 0; end < 2; end++) {
		/* both are numbers and nothing else */
		subtract(&now.nic[end].tx_added, &c->nic[end].tx_added,
			 sizeof(now.nic[end]));
		subtract(&now.stat[end].tx_sw, &c->stat[end].tx_sw,
			 offsetof(struct vt_stat, there));
	}
	*c = now;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*cases)(void);
	} parts[] = {
		{"kinds", nic_kinds},	    {"refusals", nic_refusals},
		{"losses", nic_losses},	    {"downs", nic_downs},
		{"raw", nic_raw},	    {"closes", nic_closes},
		{"alerts", nic_alerts},	    {"opens", nic_opens},
		{"accounts", nic_accounts}, {"rekeys", nic_rekeys},
		{"zerocopy", nic_zerocopy},
	};
	int e;

	vt_begin("ktls-vm-nic", 200);
	e = vt_nic_make();
	if (e) {
		vt_skip("no module nicsim: %s", strerror(e));
		return vt_end();
	}
	if (argc > 2 && strcmp(argv[1], "over") == 0) {
		nic_over(argv + 2);
		return vt_end();
	}
	vt_data_init();
	vt_probed();
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const int64_t start = vt_now();

		if (argc > 1 && strcmp(argv[1], parts[i].name) != 0)
			continue;
		parts[i].cases();
		printf("%s: %lld ms\n", parts[i].name,
		       (long long)(vt_now() - start));
	}
	return vt_end();
}
