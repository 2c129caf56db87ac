/* SPDX-License-Identifier: MIT */
/* ktls-vm-nic: packets that are lost, and a NIC that goes and comes back. */
#include "nic.h"

#include <stdio.h>
#include <string.h>

enum { EACH = 20, MANY = 10 };

static const size_t sizes[] = {100000, 16384, 1, 150000, 60000, 100};
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static const struct ktls_policy *both(void)
{
	static struct ktls_policy policy[2];

	for (int i = 0; i < 2; i++)
		policy[i] = vt_policy(KTLS_REQUIRE, KTLS_REQUIRE);
	return policy;
}

static void lossy(const struct vt_suite *s, bool passthrough, bool tso)
{
	struct nic_count c;
	struct nic_both b;

	vt_case("%s, one packet of %d is lost%s%s", s->label, EACH,
		passthrough ? ", decrypted by the NIC" : "", tso ? ", TSO" : "");
	nic_count(&c);
	vt_nic_tso(tso);
	vt_nic_set("passthrough", passthrough);
	/* large packets are few */
	vt_nic_set("loss", tso ? 4 : EACH);
	if (nic_both_open(&b, s, both(), NULL)) {
		nic_both_streams(&b, sizes, N_SIZES);
		nic_both_exchange(&b);
	}
	nic_both_close(&b);
	vt_nic_set("loss", 0);
	nic_removed();
	vt_nic_set("passthrough", 0);
	vt_nic_tso(false);
	nic_since(&c);
	for (int i = 0; i < 2; i++) {
		const struct vt_nic *n = &c.nic[i];

		CHECK(n->dropped > 0, "end %d: none of %ld packets dropped", i,
		      n->data);
		CHECK(n->tx_added == 1 && n->rx_added == 1,
		      "end %d: not on the NIC", i);
		CHECK(passthrough ? n->clear > 0 : n->encrypted > 0,
		      "end %d: %ld encrypted, %ld clear", i, n->encrypted,
		      n->clear);
		CHECK(c.stat[i].decrypt_error == 0, "end %d: %ld bad records",
		      i, c.stat[i].decrypt_error);
	}
}

void nic_losses(void)
{
	lossy(NIC_AES128, false, false);
	lossy(NIC_AES128, true, false);
	lossy(NIC_AES256, false, true);
	lossy(NIC_AES128, true, true);
}

static struct nic_count down_count;

/* At the near end; its keys go from the NIC and never come back. */
static void go_down(struct nic_both *b)
{
	struct nic_count c = *(const struct nic_count *)b->arg;
	struct vt_nic_conf conf;
	struct ktls_info info;

	nic_since(&c);
	CHECK(c.nic[0].clear > 0 || c.nic[0].encrypted > 0, "not on the NIC");
	vt_nic_set("passthrough", 0);
	vt_nic_shell(0, "ip link set nicsim0 down");
	c = *(const struct nic_count *)b->arg;
	nic_since(&c);
	CHECK(c.nic[0].tx_removed == 1 && c.nic[0].rx_removed == 1,
	      "%ld and %ld of 1 and 1 removed", c.nic[0].tx_removed,
	      c.nic[0].rx_removed);
	vt_nic_conf(&conf, 0, b->e[0].fd);
	CHECK(strcmp(conf.tx, "hw") == 0 && strcmp(conf.rx, "hw") == 0,
	      "sock_diag says TX %s, RX %s", conf.tx, conf.rx);
	vt_end_info(&b->e[0], &info);
	CHECK(info.tx.mode == vt_nic_mode(true) &&
		      info.rx.mode == vt_nic_mode(true),
	      "tx is %u, rx is %u", info.tx.mode, info.rx.mode);
	vt_nic_shell(0, "ip link set nicsim0 up");
	nic_count(&down_count);
}

static void down(const struct vt_suite *s, bool passthrough)
{
	struct nic_count c;
	struct nic_both b;
	int fd[2];

	vt_case("%s, the link goes down and up%s", s->label,
		passthrough ? ", decrypted by the NIC until then" : "");
	nic_count(&c);
	vt_nic_set("passthrough", passthrough);
	/* much has to be unsent when it goes down */
	vt_tcp_pair_small(fd, 0, 16384);
	if (nic_both_open(&b, s, both(), fd)) {
		nic_both_streams(&b, sizes, N_SIZES);
		b.midway = go_down;
		b.arg = &c;
		nic_both_exchange(&b);
		CHECK(!b.midway, "there was no middle");
	}
	nic_both_close(&b);
	nic_since(&down_count);
	CHECK(down_count.nic[0].encrypted == 0 && down_count.nic[0].clear == 0 &&
		      down_count.nic[0].data > MANY,
	      "of %ld packets the NIC encrypted %ld", down_count.nic[0].data,
	      down_count.nic[0].encrypted);
	CHECK(down_count.nic[1].encrypted > 0, "the far end does not encrypt");
	nic_since(&c);
	CHECK(c.nic[0].tx_added == 1 && c.nic[0].rx_added == 1,
	      "the NIC has had %ld and %ld", c.nic[0].tx_added,
	      c.nic[0].rx_added);
	CHECK(c.stat[0].decrypt_error == 0 && c.stat[1].decrypt_error == 0,
	      "bad records");
	nic_removed();
}

void nic_downs(void)
{
	down(NIC_AES128, false);
	down(NIC_AES256, false);
	down(NIC_AES128, true);
}
