/* SPDX-License-Identifier: MIT */
/*
 * ktls-vm-rekey: handshake messages in parts. The kernel takes each record
 * that begins with byte 24 for a KeyUpdate (net/tls/tls_sw.c,
 * tls_check_pending_rekey()) and waits for a key.
 */
#include "rekey.h"

#include <errno.h>
#include <string.h>

enum { HANDSHAKE = 22, DATA = 23 };

struct parts {
	struct vt_duo d;
	struct vt_forge f;
};

static bool start(struct parts *p, const struct vt_suite *s)
{
	const struct ktls_policy policy = vt_policy(KTLS_OFF, KTLS_REQUIRE);
	SSL_CTX *lib = vt_ctx(s, false, false), *peer = vt_ctx(s, true, false);
	bool ok;

	vt_forge_ctx(peer);
	ok = vt_duo_open_ctx(&p->d, lib, peer, false, &policy);
	SSL_CTX_free(lib);
	SSL_CTX_free(peer);
	if (ok)
		vt_forge_init(&p->f, p->d.ssl, p->d.fd);
	return ok;
}

static void end(struct parts *p, uint64_t rekeys)
{
	struct ktls_info info;
	char text[9];
	ssize_t n;

	vt_forge_send(&p->f, DATA, "the data", 9, 0);
	n = vt_duo_lib_read(&p->d, text, sizeof(text));
	CHECK(n == 9 && strcmp(text, "the data") == 0,
	      "ktls_read: %zd, errno %d", n, errno);
	vt_end_info(&p->d.lib, &info);
	CHECK(info.rx.mode == KTLS_MODE_KERNEL && info.rx.rekeys == rekeys,
	      "%llu rekeys", (unsigned long long)info.rx.rekeys);
	vt_duo_drop(&p->d);
}

void rekey_parts(const struct vt_suite *s, bool can)
{
	static const uint8_t update[] = {24, 0, 0, 1, 0};
	static const uint8_t ticket[] = {4, 0, 0,  18, 0, 0, 0, 60, 1, 2, 3,
					 4, 1, 24, 0,  4, 1, 2, 3,  4, 0, 0};
	struct parts p;

	vt_case("a ticket in two records");
	if (start(&p, s)) {
		vt_forge_send(&p.f, HANDSHAKE, ticket, 13, 0);
		vt_forge_send(&p.f, HANDSHAKE, ticket + 13, sizeof(ticket) - 13,
			      0);
		end(&p, 0);
	}
	for (size_t cut = 1; cut < sizeof(update) && can; cut++) {
		vt_case("a KeyUpdate in two records, cut at %zu", cut);
		if (!start(&p, s))
			continue;
		vt_forge_send(&p.f, HANDSHAKE, update, cut, 0);
		vt_forge_send(&p.f, HANDSHAKE, update + cut,
			      sizeof(update) - cut, 0);
		vt_forge_rekey(&p.f);
		end(&p, 1);
	}
}
