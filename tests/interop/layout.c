/* SPDX-License-Identifier: MIT */
/*
 * ktls-interop-layout: where the fields of public structs are, as the C
 * compiler has it, for callers who write them down in another language.
 */
#include <stddef.h>
#include <stdio.h>

#include <ktls/raw.h>

#define STRUCT(s) 0, sizeof(struct s), #s, ""
#define FIELD(s, f)                                                            \
	offsetof(struct s, f), sizeof(((struct s *)0)->f), #s, "." #f

static const struct {
	size_t offset;
	size_t size;
	const char *name;
	const char *field;
} rows[] = {
	{STRUCT(ktls_keys)},
	{FIELD(ktls_keys, size)},
	{FIELD(ktls_keys, version)},
	{FIELD(ktls_keys, cipher)},
	{FIELD(ktls_keys, seq)},
	{FIELD(ktls_keys, secret_len)},
	{FIELD(ktls_keys, key_len)},
	{FIELD(ktls_keys, iv_len)},
	{FIELD(ktls_keys, reserved)},
	{FIELD(ktls_keys, secret)},
	{FIELD(ktls_keys, key)},
	{FIELD(ktls_keys, iv)},
	{FIELD(ktls_keys, reserved2)},
	{FIELD(ktls_keys, plain)},
	{FIELD(ktls_keys, plain_len)},
	{FIELD(ktls_keys, wire)},
	{FIELD(ktls_keys, wire_len)},
	{STRUCT(ktls_policy)},
	{FIELD(ktls_policy, size)},
	{FIELD(ktls_policy, tx)},
	{FIELD(ktls_policy, rx)},
	{FIELD(ktls_policy, offload_after)},
	{FIELD(ktls_policy, budget)},
	{FIELD(ktls_policy, record_size)},
	{FIELD(ktls_policy, record_idle)},
	{FIELD(ktls_policy, record_ramp)},
	{FIELD(ktls_policy, stall_guard)},
	{FIELD(ktls_policy, expect_no_pad)},
	{FIELD(ktls_policy, rekey_after)},
	{FIELD(ktls_policy, rekey_unsupported)},
	{FIELD(ktls_policy, zerocopy)},
	{FIELD(ktls_policy, release_ssl)},
	{FIELD(ktls_policy, reserved)},
	{STRUCT(ktls_dir_info)},
	{FIELD(ktls_dir_info, mode)},
	{FIELD(ktls_dir_info, reason)},
	{FIELD(ktls_dir_info, asked)},
	{FIELD(ktls_dir_info, sys_errno)},
	{FIELD(ktls_dir_info, call)},
	{FIELD(ktls_dir_info, bytes)},
	{FIELD(ktls_dir_info, kernel_bytes)},
	{FIELD(ktls_dir_info, rekeys)},
	{FIELD(ktls_dir_info, key_records)},
	{FIELD(ktls_dir_info, records)},
	{FIELD(ktls_dir_info, alerts)},
	{FIELD(ktls_dir_info, handshakes)},
	{FIELD(ktls_dir_info, again)},
	{FIELD(ktls_dir_info, reserved)},
	{STRUCT(ktls_info)},
	{FIELD(ktls_info, size)},
	{FIELD(ktls_info, version)},
	{FIELD(ktls_info, cipher)},
	{FIELD(ktls_info, cipher_name)},
	{FIELD(ktls_info, tx)},
	{FIELD(ktls_info, rx)},
	{FIELD(ktls_info, offload_after)},
	{FIELD(ktls_info, budget)},
	{FIELD(ktls_info, unsent)},
	{FIELD(ktls_info, record_size_asked)},
	{FIELD(ktls_info, record_size)},
	{FIELD(ktls_info, record_limit)},
	{FIELD(ktls_info, record_sizing)},
	{FIELD(ktls_info, record_ramp)},
	{FIELD(ktls_info, stall_guard_asked)},
	{FIELD(ktls_info, stall_guard)},
	{FIELD(ktls_info, notsent_lowat)},
	{FIELD(ktls_info, reserved)},
	{FIELD(ktls_info, file_call)},
	{FIELD(ktls_info, guard_waits)},
	{FIELD(ktls_info, guard_pushes)},
	{FIELD(ktls_info, expect_no_pad_asked)},
	{FIELD(ktls_info, expect_no_pad)},
	{FIELD(ktls_info, unacked)},
	{FIELD(ktls_info, rekey_after_asked)},
	{FIELD(ktls_info, rekey_after)},
	{FIELD(ktls_info, rekey_unsupported)},
	{FIELD(ktls_info, zerocopy_asked)},
	{FIELD(ktls_info, zerocopy)},
	{FIELD(ktls_info, zerocopy_reason)},
	{FIELD(ktls_info, release_ssl_asked)},
	{FIELD(ktls_info, release_ssl)},
	{STRUCT(ktls_error)},
	{FIELD(ktls_error, size)},
	{FIELD(ktls_error, code)},
	{FIELD(ktls_error, alert_sent)},
	{FIELD(ktls_error, alert_received)},
	{FIELD(ktls_error, sys_errno)},
	{FIELD(ktls_error, call)},
	{FIELD(ktls_error, openssl)},
	{FIELD(ktls_error, unsent)},
	{FIELD(ktls_error, text)},
};

int main(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		printf("%s%s %zu %zu\n", rows[i].name, rows[i].field,
		       rows[i].offset, rows[i].size);
	return 0;
}
