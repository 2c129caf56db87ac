/* SPDX-License-Identifier: MIT */
/* A network between two namespaces, where packets can be delayed and lost. */
#include "vmnet.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

bool vt_shell(const char *command)
{
	const int status = system(command);

	if (status != 0)
		printf("status 0x%x: %s\n", (unsigned int)status, command);
	return status == 0;
}

int vt_far_make(void)
{
	static const char *const commands[] = {
		"ip link set lo up",
		"ip netns add ktls-far",
		"ip link add ka type veth peer name kb netns ktls-far",
		"ip addr add 192.0.2.1/24 dev ka",
		"ip link set ka up",
		"ip -n ktls-far addr add 192.0.2.2/24 dev kb",
		"ip -n ktls-far link set kb up",
	};

	if (unshare(CLONE_NEWNET) < 0)
		return errno;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!vt_shell(commands[i]))
			return ENODEV;
	return 0;
}

int vt_far_enter(const char *name)
{
	const int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	char path[64];
	int there;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	there = open(path, O_RDONLY | O_CLOEXEC);
	MUST(here >= 0 && there >= 0);
	MUST(setns(there, CLONE_NEWNET) == 0);
	close(there);
	return here;
}

void vt_far_leave(int here)
{
	MUST(setns(here, CLONE_NEWNET) == 0);
	close(here);
}

int vt_far_socket(struct sockaddr_in *a)
{
	const int here = vt_far_enter("ktls-far");
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(fd >= 0);
	vt_far_leave(here);
	*a = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0xc0000202), /* 192.0.2.2 */
	};
	return fd;
}

void vt_far_pair(int fd[2], int sndbuf, int lowat)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	const int l = vt_far_socket(&a);

	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(fd[0] >= 0);
	vt_set_sndbuf(fd[0], sndbuf);
	if (lowat)
		MUST(setsockopt(fd[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat,
				sizeof(lowat)) == 0);
	MUST(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0);
	MUST(listen(l, 1) == 0);
	MUST(getsockname(l, (struct sockaddr *)&a, &len) == 0);
	MUST(connect(fd[0], (struct sockaddr *)&a, sizeof(a)) == 0);
	fd[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	MUST(fd[1] >= 0);
	close(l);
}
