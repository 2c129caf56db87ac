/* SPDX-License-Identifier: MIT */
/* Kernel TLS by hand, through the seam. */
#include "rawtls.h"

#include <netinet/in.h>

#include "ktest.h"

jmp_buf rawtls_env;
char rawtls_said[200];

enum { PARTS = 16 };

struct tls12_crypto_info_aes_gcm_128 rawtls_info(uint16_t version)
{
	struct tls12_crypto_info_aes_gcm_128 i = {
		.info = {version, TLS_CIPHER_AES_GCM_128},
		.key = {1, 2, 3},
		.rec_seq = {0, 0, 0, 0, 0, 0, 0, 9},
	};

	return i;
}

int rawtls_ulp(int s)
{
	return ktls__sys_setsockopt(s, IPPROTO_TCP, 31, "tls", 3);
}

int rawtls_keys(int s, int name, uint16_t version)
{
	struct tls12_crypto_info_aes_gcm_128 i = rawtls_info(version);

	return ktls__sys_setsockopt(s, 282, name, &i, sizeof(i));
}

void rawtls_pair(int fd[2], size_t capacity, uint16_t version)
{
	fake_tcp_pair(fd, capacity);
	assert_int_equal(rawtls_ulp(fd[0]), 0);
	assert_int_equal(rawtls_ulp(fd[1]), 0);
	assert_int_equal(rawtls_keys(fd[0], TLS_TX, version), 0);
	assert_int_equal(rawtls_keys(fd[1], TLS_RX, version), 0);
}

union control {
	struct cmsghdr c;
	char room[CMSG_SPACE(1)];
};

static void split(struct iovec *iov, void *p, size_t len, int parts)
{
	const size_t each = len / (size_t)parts;

	assert_true(parts > 0 && parts <= PARTS);
	for (int i = 0; i < parts; i++) {
		iov[i].iov_base = (uint8_t *)p + (size_t)i * each;
		iov[i].iov_len = i < parts - 1 ? each : len - (size_t)i * each;
	}
}

ssize_t rawtls_send(int s, uint8_t type, const void *p, size_t len, int parts,
		    int flags)
{
	union control u = {.room = {0}};
	struct iovec iov[PARTS];
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = (size_t)parts,
		.msg_control = type ? &u : NULL,
		.msg_controllen = type ? sizeof(u) : 0,
	};

	split(iov, (void *)(uintptr_t)p, len, parts);
	u.c.cmsg_level = 282;
	u.c.cmsg_type = TLS_SET_RECORD_TYPE;
	u.c.cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(&u.c) = type;
	return ktls__sys_sendmsg(s, &msg, flags);
}

ssize_t rawtls_receive(int s, void *p, size_t len, int parts, uint8_t *type,
		       int *flags)
{
	union control u;
	struct iovec iov[PARTS];
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = (size_t)parts,
		.msg_control = &u,
		.msg_controllen = sizeof(u),
	};
	ssize_t r;

	split(iov, p, len, parts);
	r = ktls__sys_recvmsg(s, &msg);
	*flags = msg.msg_flags;
	*type = msg.msg_controllen ? *CMSG_DATA(&u.c) : 0;
	return r;
}

void rawtls_broken(const char *text)
{
	snprintf(rawtls_said, sizeof(rawtls_said), "%s", text);
	longjmp(rawtls_env, 1);
}
