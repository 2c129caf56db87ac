/* SPDX-License-Identifier: MIT */
/* Checks of what ktls_probe() has tried, beyond module and ciphers. */
#include <string.h>

#include "doctor.h"

#define AES_GCM (KTLS_AES_128_GCM | KTLS_AES_256_GCM)

/* Is there a connection that the kernel would encrypt at all? */
bool caps_usable(const struct findings *f)
{
	const struct ktls_caps *c = &f->caps;

	return f->probed && c->reason == KTLS_REASON_NONE &&
	       ((c->tls12_tx | c->tls12_rx | c->tls13_tx | c->tls13_rx) & AES_GCM);
}

/* One answer of the probe, and what it means. */
struct feature {
	const char *id;
	int32_t answer;
	enum level level_no;
	const char *yes, *no, *advice;
};

static void add_feature(struct report *r, const struct feature *feature)
{
	if (feature->answer == 1) {
		report_add(r, feature->id, LEVEL_OK, "%s", feature->yes);
	} else if (feature->answer == 0) {
		report_add(r, feature->id, feature->level_no, "%s", feature->no);
		if (feature->advice)
			report_advise(r, "%s", feature->advice);
	} else {
		report_add(r, feature->id, LEVEL_INFO, "could not be tried: %s",
			   strerror(-feature->answer));
	}
}

void check_caps(struct findings *f)
{
	const struct ktls_caps *c = &f->caps;
	const bool nic = nic_has_any(&f->nics);
	const struct feature features[] = {
		{"new-keys", c->rekey, LEVEL_NOTE,
		 "a KeyUpdate of TLS 1.3 is possible", "a KeyUpdate of TLS 1.3 ends the connection; few peers send one",
		 "Linux 6.14 can; or rekey_unsupported (ktls_policy_init(3)), "
		 "or "
		 "TLS 1.2"},
		{"no-pad", c->no_pad, LEVEL_NO,
		 "TLS_RX_EXPECT_NO_PAD gives the right bytes",
		 "TLS_RX_EXPECT_NO_PAD gives wrong bytes: libktls does "
		 "without, "
		 "which is slower",
		 "Linux 6.1.191, 6.12.114 or newer is right; CVE-2026-74611"},
		{"splice", c->splice, LEVEL_NO, "from a socket loses no byte",
		 "from a socket loses bytes: libktls copies instead",
		 "Linux 6.1.189, 6.12.112 or newer is right; programs without "
		 "libktls must not splice"},
		{"payload", c->max_payload, LEVEL_INFO,
		 "short records cost no more calls",
		 "short records (record_ramp) take a call each; Linux 6.19 is "
		 "better",
		 NULL},
		{"zerocopy", c->zerocopy, LEVEL_INFO,
		 nic ? "possible where a NIC encrypts"
		     : "the option is there, no NIC for it",
		 "this kernel has no zerocopy from files", NULL},
		{"diag", c->diag, nic ? LEVEL_NOTE : LEVEL_INFO,
		 "the kernel tells whether a NIC is at work",
		 nic ? "the kernel does not tell us whether a NIC is at work"
		     : "the kernel does not tell whether a NIC is at work; "
		       "none "
		       "is",
		 nic ? "Linux 6.15, or CAP_NET_ADMIN and the module tcp_diag"
		     : NULL},
	};

	if (!f->probed || c->reason != KTLS_REASON_NONE)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		add_feature(&f->report, &features[i]);
}
