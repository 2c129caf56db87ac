/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-faults [late|wire|kill]: what goes wrong on the wire and at the
 * other end, in the kernel and in user space: no wrong byte, the documented
 * errno, and no waiting for what will never come.
 */
#include "faults.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

const char *vt_mode_name(const struct vt_mode *m)
{
	static char name[64];

	snprintf(name, sizeof(name), "TLS %s %s %s/%s",
		 vt_version_str(m->suite->version),
		 m->server ? "server" : "client", m->tx ? "kernel" : "user",
		 m->rx ? "kernel" : "user");
	return name;
}

struct ktls_policy vt_mode_policy(const struct vt_mode *m)
{
	return vt_policy(m->tx ? KTLS_REQUIRE : KTLS_OFF,
			 m->rx ? KTLS_REQUIRE : KTLS_OFF);
}

bool vt_mode_open(struct vt_duo *d, const struct vt_mode *m)
{
	const struct ktls_policy policy = vt_mode_policy(m);

	return vt_duo_open(d, m->suite, m->server, &policy);
}

void vt_bad_mac(struct vt_duo *d, const struct vt_mode *m)
{
	/* only OpenSSL could send it, and OpenSSL knows nothing of it */
	const bool silent =
		m->rx && !m->tx && m->suite->version == TLS1_2_VERSION;
	const int expected = silent ? -1 : VT_BAD_RECORD_MAC;
	struct pollfd p = {.fd = d->fd, .events = POLLIN};
	struct ktls_error error;
	int alert;

	vt_duo_error(d, &error);
	CHECK(error.code == EBADMSG && error.alert_sent == expected,
	      "code %d, alert sent %d, %s", error.code, error.alert_sent,
	      error.text);
	if (silent) {
		CHECK(poll(&p, 1, 20) == 0, "the peer got something");
	} else {
		alert = vt_duo_peer_alert(d);
		CHECK(alert == expected, "the peer found alert %d", alert);
	}
	vt_duo_dead(d, EBADMSG);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*cases)(const struct vt_mode *m);
	} parts[] = {
		{"late", vt_late_cases},
		{"wire", vt_wire_cases},
		{"kill", vt_kill_cases},
	};
	const int e = vt_ulp_errno();

	vt_begin("ktls-vm-faults", 600);
	vt_data_init();
	vt_probed();
	for (size_t part = 0; part < sizeof(parts) / sizeof(parts[0]); part++) {
		const int64_t start = vt_now();

		if (argc > 1 && strcmp(argv[1], parts[part].name) != 0)
			continue;
		for (unsigned int i = 0; i < 16; i++) {
			const struct vt_mode m = {
				.suite = &vt_suites[i & 1 ? 6 : 0],
				.tx = i & 2,
				.rx = i & 4,
				.server = i & 8,
			};

			if (!e || (!m.tx && !m.rx))
				parts[part].cases(&m);
		}
		printf("%s: %lld ms\n", parts[part].name,
		       (long long)(vt_now() - start));
	}
	if (e)
		vt_skip("the kernel's part: setsockopt(TCP_ULP): %s",
			strerror(e));
	return vt_end();
}
