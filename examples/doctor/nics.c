/* SPDX-License-Identifier: MIT */
/* Checks of network interfaces: which of them could encrypt. */
#include <net/if.h>
#include <string.h>

#include "doctor.h"

enum { SHOWN = 6 }; /* lines at most: one screen */

bool nic_has_any(const struct nics *nics)
{
	for (size_t i = 0; i < nics->count; i++)
		if (nics->list[i].features | nics->list[i].available)
			return true;
	return false;
}

void nics_read(struct nics *nics)
{
	struct if_nameindex *all = if_nameindex();

	for (struct if_nameindex *i = all; i && i->if_index != 0; i++) {
		struct ktls_nic *nic = &nics->list[nics->count];

		if (nics->count == ARRAY_SIZE(nics->list) ||
		    strcmp(i->if_name, "lo") == 0)
			continue;
		memset(nic, 0, sizeof(*nic));
		nic->size = sizeof(*nic);
		if (ktls_nic_probe(i->if_name, -1, nic) < 0) {
			memset(nic, 0, sizeof(*nic));
			snprintf(nic->name, sizeof(nic->name), "%s", i->if_name);
		}
		nics->count++;
	}
	if (all)
		if_freenameindex(all);
}

static const char *state(const struct ktls_nic *nic, uint32_t feature)
{
	if (nic->features & feature)
		return "on";
	return nic->available & feature ? "off" : "no";
}

enum level nic_describe(char *text, size_t size, const struct ktls_nic *nic)
{
	const bool other = *nic->lower && strcmp(nic->name, nic->lower) != 0;
	char set[128];

	if (!(nic->features | nic->available)) {
		snprintf(text, size, "%s: no TLS offload, the CPU encrypts",
			 nic->name);
		return LEVEL_INFO;
	}
	cipher_set(set, sizeof(set), nic->tls12);
	snprintf(text, size, "%s%s%s (%s%s): TLS offload tx %s, rx %s; %s%s%s%s",
		 nic->name, other ? " on " : "", other ? nic->lower : "",
		 *nic->driver ? nic->driver : "unknown driver",
		 nic->up ? "" : ", down", state(nic, KTLS_NIC_HW_TX),
		 state(nic, KTLS_NIC_HW_RX), "TLS 1.2 ", set,
		 nic->tls13 ? " and TLS 1.3" : "",
		 nic->reached ? "" : "; not from a socket on it");
	if (!nic->reached || !(nic->features & KTLS_NIC_HW_TX) || !nic->up)
		return LEVEL_NOTE;
	return LEVEL_OK;
}

static void advise(struct report *r, const struct ktls_nic *nic)
{
	const uint32_t off = nic->available & ~nic->features;

	if (!nic->reached)
		report_advise(r, "the kernel finds a NIC directly, or below a "
				 "bond in mode balance-xor or 802.3ad with "
				 "xmit_hash_policy layer3+4");
	else if (off & (KTLS_NIC_HW_TX | KTLS_NIC_HW_RX))
		report_advise(
			r, "ethtool -K %s%s%s", nic->lower,
			off & KTLS_NIC_HW_TX ? " tls-hw-tx-offload on" : "",
			off & KTLS_NIC_HW_RX ? " tls-hw-rx-offload on" : "");
}

void check_nics(struct findings *f)
{
	const struct nics *nics = &f->nics;
	struct report *r = &f->report;
	char text[320];
	char plain[160] = "";
	size_t len = 0;
	size_t shown = 0;

	for (size_t i = 0; i < nics->count; i++) {
		const struct ktls_nic *nic = &nics->list[i];

		if ((nic->features | nic->available) && shown++ < SHOWN) {
			enum level level = nic_describe(text, sizeof(text), nic);

			report_add(r, "nic", level, "%s", text);
			advise(r, nic);
		} else if (!(nic->features | nic->available) &&
			   len < sizeof(plain)) {
			len += (size_t)snprintf(plain + len,
						sizeof(plain) - len, "%s%s",
						len > 0 ? ", " : "", nic->name);
		}
	}
	if (shown > SHOWN)
		report_add(r, "nic", LEVEL_INFO, "%zu more, see --json",
			   shown - SHOWN);
	if (*plain)
		report_add(r, "nic", LEVEL_INFO,
			   "%s: no TLS offload, the CPU encrypts", plain);
}
