/* SPDX-License-Identifier: MIT */
/* --json: everything that was found. Names that are there once stay. */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/opensslv.h>

#include "../common/json.h"
#include "doctor.h"

static void member(FILE *out, const char *name, const char *value)
{
	fprintf(out, "\"%s\":", name);
	json_string(out, value);
}

static const char *level_word(enum level level)
{
	static const char *const words[] = {
		[LEVEL_INFO] = "info",
		[LEVEL_OK] = "ok",
		[LEVEL_NOTE] = "note",
		[LEVEL_NO] = "no",
	};

	return words[level];
}

static const char *truth(bool value)
{
	return value ? "true" : "false";
}

static void print_fixes(FILE *out, const struct kernel *k)
{
	const struct kernel_fix *fix;

	fputc('[', out);
	for (size_t i = 0; (fix = kernel_lacks(k, i)) != NULL; i++) {
		fprintf(out, "%s{", i > 0 ? "," : "");
		member(out, "effect", fix->effect);
		fprintf(out, ",\"fixed\":\"%u.%u.%u\"}", k->upstream[0],
			k->upstream[1], kernel_fixed(k, fix));
	}
	fputc(']', out);
}

static void print_kernel(FILE *out, const struct findings *f)
{
	const struct kernel *k = &f->kernel;
	const struct module *m = &f->module;
	char upstream[40] = "";

	if (k->known)
		snprintf(upstream, sizeof(upstream), "%u.%u.%u", k->upstream[0],
			 k->upstream[1], k->upstream[2]);
	fputs("\"kernel\":{", out);
	member(out, "release", k->release);
	fputc(',', out);
	member(out, "package", k->package);
	fputc(',', out);
	member(out, "upstream", upstream);
	fprintf(out, ",\"fixes_listed\":%s,\"missing_fixes\":",
		truth(kernel_series_listed(k)));
	print_fixes(out, k);
	fprintf(out,
		",\"module_loaded\":%s,\"modules_locked\":%s,"
		"\"takes_modules\":%s,\"module_on_disk\":\"%s\"},",
		truth(m->loaded), truth(m->locked), truth(m->loadable),
		on_disk_name(m->on_disk));
	member(out, "container", m->container);
	fprintf(out, ",\"seccomp\":%d,\n", m->seccomp);
}

static void print_answer(FILE *out, const char *name, int32_t answer)
{
	/* could not be tried: neither */
	fprintf(out, ",\"%s\":%s", name,
		answer < 0 ? "null" : truth(answer == 1));
}

static void print_caps(FILE *out, const struct findings *f)
{
	const struct ktls_caps *c = &f->caps;

	if (!f->probed) {
		fputs("\"kernel_tls\":null,\n", out);
		return;
	}
	fputs("\"kernel_tls\":{", out);
	member(out, "reason", ktls_reason_name((enum ktls_reason)c->reason));
	fputc(',', out);
	member(out, "call", c->call);
	fprintf(out, ",\"errno\":%d,\"disabled\":%s", (int)c->sys_errno,
		truth(c->disabled != 0));
	print_answer(out, "rekey", c->rekey);
	print_answer(out, "no_pad", c->no_pad);
	print_answer(out, "splice", c->splice);
	print_answer(out, "zerocopy", c->zerocopy);
	print_answer(out, "max_payload", c->max_payload);
	print_answer(out, "diag", c->diag);
	fputs("},\n", out);
}

static void print_ciphers(FILE *out, const struct findings *f)
{
	const struct ktls_caps *c = &f->caps;

	fputs("\"ciphers\":{", out);
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
		const uint32_t bit = ciphers[i].bit;

		fprintf(out, "%s\n ", i > 0 ? "," : "");
		json_string(out, ktls_cipher_str(ciphers[i].bit));
		fprintf(out,
			":{\"tls12_tx\":%s,\"tls12_rx\":%s,\"tls13_tx\":%s,"
			"\"tls13_rx\":%s,",
			truth(c->tls12_tx & bit), truth(c->tls12_rx & bit),
			truth(c->tls13_tx & bit), truth(c->tls13_rx & bit));
		member(out, "driver", f->drivers[i].name);
		fprintf(out, ",\"async\":%s}",
			truth((c->async & bit) || f->drivers[i].async));
	}
	fputs("},\n", out);
}

static void print_numbers(FILE *out, const uint64_t *numbers, size_t count)
{
	fputc('[', out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s%llu", i > 0 ? "," : "",
			(unsigned long long)numbers[i]);
	fputc(']', out);
}

static void print_system(FILE *out, const struct findings *f)
{
	fputs("\"openssl\":{", out);
	member(out, "running", OpenSSL_version(OPENSSL_VERSION_STRING));
	fputc(',', out);
	member(out, "built", OPENSSL_VERSION_STR);
	fputs("},\n\"sysctls\":{\"tcp_notsent_lowat\":", out);
	print_numbers(out, f->sysctls.notsent_lowat, f->sysctls.notsent_count);
	fputs(",\"tcp_wmem\":", out);
	print_numbers(out, f->sysctls.wmem, f->sysctls.wmem_count);
	fputs("},\n", out);
}

static void print_offload(FILE *out, const struct ktls_nic *nic,
			  const char *name, uint32_t bit)
{
	const char *state = nic->available & bit ? "off" : "no";

	fprintf(out, ",\"%s\":\"%s\"", name, nic->features & bit ? "on" : state);
}

static void print_nic(FILE *out, const struct ktls_nic *nic)
{
	fputc('{', out);
	member(out, "name", nic->name);
	fputc(',', out);
	member(out, "lower", nic->lower);
	fputc(',', out);
	member(out, "driver", nic->driver);
	print_offload(out, nic, "tx", KTLS_NIC_HW_TX);
	print_offload(out, nic, "rx", KTLS_NIC_HW_RX);
	print_offload(out, nic, "record", KTLS_NIC_HW_RECORD);
	fprintf(out, ",\"up\":%s,\"reached\":%s}", truth(nic->up != 0),
		truth(nic->reached != 0));
}

static void print_direction(FILE *out, const char *name,
			    const struct ktls_dir_info *dir)
{
	const enum ktls_reason reason = (enum ktls_reason)dir->reason;

	fprintf(out, ",\"%s\":{", name);
	member(out, "mode", ktls_mode_str((enum ktls_mode)dir->mode));
	fputc(',', out);
	member(out, "reason", ktls_reason_name(reason));
	fputc(',', out);
	member(out, "text", ktls_reason_str(reason));
	fputc(',', out);
	member(out, "call", dir->call);
	fprintf(out, ",\"errno\":%d}", (int)dir->sys_errno);
}

static void print_host(FILE *out, const struct host *h)
{
	fputs("\"host\":", out);
	if (!h->name) {
		fputs("null,\n", out);
		return;
	}
	fputc('{', out);
	member(out, "name", h->name);
	fputc(',', out);
	member(out, "error", h->error);
	if (!*h->error) {
		fputc(',', out);
		member(out, "version", tls_version_name(h->info.version));
		fputc(',', out);
		member(out, "cipher", h->info.cipher_name);
		fputc(',', out);
		member(out, "certificate", h->certificate);
		print_direction(out, "tx", &h->info.tx);
		print_direction(out, "rx", &h->info.rx);
		fputs(",\"nic\":", out);
		if (*h->nic.name)
			print_nic(out, &h->nic);
		else
			fputs("null", out);
	}
	fputs("},\n", out);
}

static void print_checks(FILE *out, const struct report *r)
{
	fputs("\"checks\":[", out);
	for (size_t i = 0; i < r->count; i++) {
		const struct check *c = &r->checks[i];

		fprintf(out, "%s\n {", i > 0 ? "," : "");
		member(out, "id", c->id);
		fputc(',', out);
		member(out, "level", level_word(c->level));
		fputc(',', out);
		member(out, "text", c->text);
		fputc(',', out);
		member(out, "advice", c->advice);
		fputc('}', out);
	}
	fputs("]}\n", out);
}

void print_json(FILE *out, const struct findings *f)
{
	fputc('{', out);
	member(out, "program", "ktls-doctor");
	fputc(',', out);
	member(out, "version", ktls_version());
	fprintf(out, ",\"status\":%d,\n", (int)f->verdict);
	print_kernel(out, f);
	print_caps(out, f);
	print_ciphers(out, f);
	print_system(out, f);
	fputs("\"nics\":[", out);
	for (size_t i = 0; i < f->nics.count; i++) {
		fputs(i > 0 ? "," : "", out);
		print_nic(out, &f->nics.list[i]);
	}
	fputs("],\n", out);
	print_host(out, &f->host);
	print_checks(out, &f->report);
}
