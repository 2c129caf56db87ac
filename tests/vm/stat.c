/* SPDX-License-Identifier: MIT */
/* The counters of /proc/net/tls_stat. */
#include "vmnet.h"

#include <stdio.h>
#include <string.h>

/* Of the namespace of the calling thread, added up. */
static void add(struct vt_stat *s)
{
	struct {
		const char *name;
		long *value;
	} row[] = {
		{"TlsTxSw", &s->tx_sw},
		{"TlsRxSw", &s->rx_sw},
		{"TlsTxDevice", &s->tx_device},
		{"TlsRxDevice", &s->rx_device},
		{"TlsDecryptError", &s->decrypt_error},
		{"TlsTxRekeyOk", &s->tx_rekey},
		{"TlsRxRekeyOk", &s->rx_rekey},
		{"TlsRxRekeyReceived", &s->rekey_received},
		{"TlsTxRekeyError", &s->tx_rekey_error},
		{"TlsRxRekeyError", &s->rx_rekey_error},
	};
	FILE *f = fopen("/proc/thread-self/net/tls_stat", "re");
	char line[128], name[64];
	long value;

	if (!f)
		return;
	s->there = true;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %ld", name, &value) != 2)
			continue;
		for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
			if (strcmp(name, row[i].name) == 0)
				*row[i].value += value;
	}
	fclose(f);
}

void vt_nic_stat(struct vt_stat *s, int end)
{
	const int here = vt_far_enter(end ? "ktls-far" : "ktls-near");

	memset(s, 0, sizeof(*s));
	add(s);
	vt_far_leave(here);
}

void vt_stat_read(struct vt_stat *s)
{
	int here;

	memset(s, 0, sizeof(*s));
	add(s);
	if (vt_nic_used) {
		here = vt_far_enter("ktls-far");
		add(s);
		vt_far_leave(here);
	}
}

void vt_stat_check(const struct vt_stat *before, int tx, int rx,
		   bool decrypt_errors)
{
	struct vt_stat now;
	long n_tx, n_rx;

	vt_stat_read(&now);
	n_tx = now.tx_sw - before->tx_sw;
	n_rx = now.rx_sw - before->rx_sw;
	if (vt_nic_used) {
		/* which of the two it is depends on the cipher */
		n_tx += now.tx_device - before->tx_device;
		n_rx += now.rx_device - before->rx_device;
	}
	/* the first connection may have loaded the module */
	CHECK(now.there || (tx == 0 && rx == 0), "no /proc/net/tls_stat");
	CHECK(n_tx == tx, "TlsTxSw grew by %ld, not %d", n_tx, tx);
	CHECK(n_rx == rx, "TlsRxSw grew by %ld, not %d", n_rx, rx);
	/* some kernels count one record twice */
	CHECK(decrypt_errors ? now.decrypt_error > before->decrypt_error
			     : now.decrypt_error == before->decrypt_error,
	      "TlsDecryptError grew by %ld",
	      now.decrypt_error - before->decrypt_error);
}
