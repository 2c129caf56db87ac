/* SPDX-License-Identifier: MIT */
/* ktls-vm-nic: what goes to the NIC and what does not, and who can tell. */
#include "nic.h"

#include <stdio.h>
#include <string.h>

static const size_t sizes[] = {1, 16384, 70000, 100001, 3, 120000};
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

enum { MSS = 1448 };

struct kind {
	const struct vt_suite *suite;
	uint32_t tx;
	uint32_t rx;
	bool passthrough;
	bool tso;
};

static void mode(const struct ktls_dir_info *d, uint32_t use, bool device,
		 const char *what)
{
	const uint32_t want =
		use == KTLS_OFF ? KTLS_MODE_USER : vt_nic_mode(device);

	CHECK(d->mode == want, "%s is %s", what,
	      ktls_mode_str((enum ktls_mode)d->mode));
}

/* In the middle: everybody who can tell is asked. */
static void ask(struct nic_both *b)
{
	const struct kind *k = b->arg;
	const bool device = vt_nic_offloads(k->suite);
	const char *const on = device ? "hw" : "sw";
	struct vt_nic_conf conf;
	struct ktls_info info;

	for (int i = 0; i < 2; i++) {
		vt_nic_conf(&conf, i, b->e[i].fd);
		CHECK(strcmp(conf.tx, k->tx == KTLS_OFF ? "none" : on) == 0 &&
			      strcmp(conf.rx, k->rx == KTLS_OFF ? "none" : on) ==
				      0,
		      "end %d: sock_diag says TX %s, RX %s", i, conf.tx, conf.rx);
		vt_end_info(&b->e[i], &info);
		mode(&info.tx, k->tx, device, "tx");
		mode(&info.rx, k->rx, device, "rx");
	}
}

static void counted(const struct kind *k, const struct nic_count *c)
{
	const bool device = vt_nic_offloads(k->suite);
	const int tx = k->tx != KTLS_OFF, rx = k->rx != KTLS_OFF;
	size_t total = 0;

	for (size_t i = 0; i < N_SIZES; i++)
		total += sizes[i];
	for (int i = 0; i < 2; i++) {
		const struct vt_nic *n = &c->nic[i];
		const struct vt_stat *s = &c->stat[i];
		const long packets = k->passthrough ? n->clear : n->encrypted;
		const long others = k->passthrough ? n->encrypted : n->clear;
		const long least = k->tso ? 1 : (long)(total / MSS);

		CHECK(n->tx_added == (device && tx) &&
			      n->rx_added == (device && rx) && n->refused == 0,
		      "end %d: the NIC has had %ld TX, %ld RX", i, n->tx_added,
		      n->rx_added);
		CHECK(s->tx_device == n->tx_added && s->rx_device == n->rx_added,
		      "end %d: TlsTxDevice %ld, TlsRxDevice %ld", i,
		      s->tx_device, s->rx_device);
		CHECK(s->tx_sw == (!device && tx) && s->rx_sw == (!device && rx),
		      "end %d: TlsTxSw %ld, TlsRxSw %ld", i, s->tx_sw, s->rx_sw);
		CHECK(s->decrypt_error == 0 && n->failed == 0,
		      "end %d: %ld records, %ld packets failed", i,
		      s->decrypt_error, n->failed);
		CHECK(device && tx ? packets >= least : packets == 0,
		      "end %d: %ld packets, at least %ld were to be", i,
		      packets, least);
		CHECK(others == 0, "end %d: %ld packets of the other kind", i,
		      others);
	}
}

static void kind(const struct kind *k)
{
	const struct ktls_policy policy[2] = {vt_policy(k->tx, k->rx),
					      vt_policy(k->tx, k->rx)};
	struct nic_count c;
	struct nic_both b;

	vt_case("TLS %s %s, use %u/%u%s%s", vt_version_str(k->suite->version),
		k->suite->label, k->tx, k->rx,
		k->passthrough ? ", decrypted by the NIC" : "",
		k->tso ? ", TSO" : "");
	vt_nic_set("passthrough", k->passthrough);
	vt_nic_tso(k->tso);
	nic_count(&c);
	if (nic_both_open(&b, k->suite, policy, NULL)) {
		b.midway = ask;
		b.arg = k;
		nic_both_streams(&b, sizes, N_SIZES);
		nic_both_exchange(&b);
		CHECK(!b.midway, "there was no middle");
	}
	nic_both_close(&b);
	nic_removed();
	nic_since(&c);
	counted(k, &c);
	vt_nic_set("passthrough", 0);
	vt_nic_tso(false);
}

void nic_kinds(void)
{
	static const struct kind kinds[] = {
		{NIC_AES128, KTLS_REQUIRE, KTLS_REQUIRE, false, false},
		{NIC_AES128, KTLS_REQUIRE, KTLS_REQUIRE, true, false},
		{NIC_AES128, KTLS_REQUIRE, KTLS_REQUIRE, false, true},
		{NIC_AES128, KTLS_REQUIRE, KTLS_REQUIRE, true, true},
		{NIC_AES128, KTLS_REQUIRE, KTLS_OFF, false, false},
		{NIC_AES128, KTLS_OFF, KTLS_REQUIRE, false, false},
		{NIC_AES256, KTLS_REQUIRE, KTLS_REQUIRE, false, false},
		{NIC_AES256, KTLS_REQUIRE, KTLS_REQUIRE, true, false},
		{NIC_CHACHA12, KTLS_REQUIRE, KTLS_REQUIRE, false, false},
		{NIC_TLS13, KTLS_REQUIRE, KTLS_REQUIRE, false, false},
		{NIC_CHACHA13, KTLS_REQUIRE, KTLS_REQUIRE, false, false},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		kind(&kinds[i]);
}

/* The NIC has no room for the keys: the kernel encrypts, and nobody minds. */
static void refusal(const struct vt_suite *s, bool server, unsigned int times)
{
	const struct ktls_policy policy = vt_policy(KTLS_REQUIRE, KTLS_REQUIRE);
	const bool rx = times == 1;
	struct vt_nic_conf conf;
	struct ktls_info info;
	struct nic_count c;
	struct vt_duo d;

	vt_case("the NIC refuses %u, TLS 1.2 %s %s", times, s->label,
		server ? "server" : "client");
	nic_count(&c);
	vt_nic_set("refuse", times);
	if (!vt_duo_open(&d, s, server, &policy))
		return;
	vt_duo_to_peer(&d, 5, 200000);
	vt_duo_to_lib(&d, 6, 200000);
	vt_nic_conf(&conf, server, d.lib.fd);
	/* TX comes first */
	CHECK(strcmp(conf.tx, "sw") == 0 && strcmp(conf.rx, rx ? "hw" : "sw") == 0,
	      "sock_diag says TX %s, RX %s", conf.tx, conf.rx);
	vt_end_info(&d.lib, &info);
	mode(&info.tx, KTLS_REQUIRE, false, "tx");
	mode(&info.rx, KTLS_REQUIRE, rx, "rx");
	vt_duo_close(&d);
	nic_since(&c);
	CHECK(c.nic[server].refused == (long)times &&
		      c.nic[server].tx_added == 0 && c.nic[server].rx_added == rx,
	      "it has refused %ld, taken %ld and %ld", c.nic[server].refused,
	      c.nic[server].tx_added, c.nic[server].rx_added);
	CHECK(c.stat[server].tx_sw == 1 && c.stat[server].rx_sw == !rx &&
		      c.stat[server].tx_device == 0 &&
		      c.stat[server].rx_device == rx,
	      "TlsTxSw %ld, TlsRxSw %ld, TlsTxDevice %ld, TlsRxDevice %ld",
	      c.stat[server].tx_sw, c.stat[server].rx_sw,
	      c.stat[server].tx_device, c.stat[server].rx_device);
	CHECK(c.nic[server].encrypted == 0, "%ld packets encrypted",
	      c.nic[server].encrypted);
	vt_nic_set("refuse", 0);
}

void nic_refusals(void)
{
	for (unsigned int i = 0; i < 4; i++)
		refusal(i < 2 ? NIC_AES128 : NIC_AES256, i % 2, i % 2 + 1);
	refusal(NIC_AES128, true, 1);
	refusal(NIC_AES128, false, 2);
}
