/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-nic: new keys of TLS 1.3. The NIC has none of that version, so that
 * it depends on the kernel alone whether they can be changed.
 */
#include "nic.h"

#include <errno.h>

enum { TIMES = 3, BYTES = 50000 };

static void rekey(const struct vt_suite *s, bool server, bool can)
{
	const struct ktls_policy policy = vt_policy(KTLS_REQUIRE, KTLS_REQUIRE);
	const int rekeys = can ? TIMES : 0;
	struct ktls_info info;
	struct nic_count c;
	struct vt_duo d;
	int r;

	vt_case("TLS 1.3 %s %s: ktls_rekey", s->label,
		server ? "server" : "client");
	nic_count(&c);
	if (!vt_duo_open(&d, s, server, &policy))
		return;
	for (size_t i = 0; i < TIMES; i++) {
		r = ktls_rekey(d.lib.c, 1);
		CHECK(can ? r == 0 : r == -1 && errno == ENOTSUP,
		      "ktls_rekey: %d, errno %d", r, errno);
		vt_duo_to_peer(&d, i, BYTES);
		vt_duo_to_lib(&d, i + 9, BYTES);
	}
	vt_end_info(&d.lib, &info);
	CHECK(info.tx.rekeys == (uint64_t)rekeys &&
		      info.rx.rekeys == (uint64_t)rekeys,
	      "%llu and %llu, not %d", (unsigned long long)info.tx.rekeys,
	      (unsigned long long)info.rx.rekeys, rekeys);
	CHECK(info.tx.mode == vt_nic_mode(false) &&
		      info.rx.mode == vt_nic_mode(false),
	      "modes %u and %u", info.tx.mode, info.rx.mode);
	vt_duo_close(&d);
	nic_since(&c);
	CHECK(c.stat[server].tx_rekey == rekeys &&
		      c.stat[server].rx_rekey == rekeys,
	      "the kernel counts %ld and %ld", c.stat[server].tx_rekey,
	      c.stat[server].rx_rekey);
	CHECK(c.nic[server].tx_added == 0 && c.nic[server].rx_added == 0 &&
		      c.nic[server].encrypted == 0,
	      "the NIC had a part in it");
}

void nic_rekeys(void)
{
	const bool can = vt_rekey_errno() == 0;

	for (int server = 0; server < 2; server++) {
		rekey(NIC_TLS13, server, can);
		rekey(NIC_CHACHA13, server, can);
	}
}
