/* SPDX-License-Identifier: MIT */
/* The real calls about interfaces, names and files: what hosts have in common. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ktest.h"

#include "sys.h"

static void names_are_those_of_the_socket(void **state)
{
	struct sockaddr_storage local, peer;
	const struct sockaddr_in *l = (const void *)&local;
	const struct sockaddr_in *p = (const void *)&peer;
	in_port_t port;
	int fd[2], pipe_fd[2];

	(void)state;
	assert_int_equal(ktls__sys_loopback(fd), 0);
	assert_int_equal(ktls__sys_names(fd[0], &local, &peer), 0);
	assert_int_equal(l->sin_family, AF_INET);
	assert_int_equal(ntohl(l->sin_addr.s_addr), INADDR_LOOPBACK);
	assert_int_equal(ntohl(p->sin_addr.s_addr), INADDR_LOOPBACK);
	port = p->sin_port;
	assert_int_equal(ktls__sys_names(fd[1], &local, &peer), 0);
	assert_int_equal(l->sin_port, port);
	ktls__sys_close(fd[0]);
	ktls__sys_close(fd[1]);
	assert_int_equal(ktls__sys_names(fd[0], &local, &peer), -EBADF);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ktls__sys_names(fd[0], &local, &peer), -ENOTCONN);
	close(fd[0]);
	assert_int_equal(pipe(pipe_fd), 0);
	assert_int_equal(ktls__sys_names(pipe_fd[0], &local, &peer), -ENOTSOCK);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void files_are_loaded_as_far_as_they_fit(void **state)
{
	const int fd = memfd_create("text", MFD_CLOEXEC);
	char path[32], buf[16];
	ssize_t n;

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(ktls__sys_load(path, buf, sizeof(buf)), 10);
	assert_string_equal(buf, "0123456789");
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(ktls__sys_load(path, buf, 5), 4);
	assert_string_equal(buf, "0123");
	assert_int_equal(buf[5], 'x');
	assert_int_equal(ktls__sys_load(path, buf, 11), 10);
	assert_int_equal(ktls__sys_load(path, buf, 1), 0);
	assert_string_equal(buf, "");
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ktls__sys_load(path, buf, 5), 0);
	assert_string_equal(buf, "");
	close(fd);
	assert_int_equal(ktls__sys_load(path, buf, 5), -ENOENT);
	assert_int_equal(ktls__sys_load("/proc", buf, 5), -EISDIR);
	/* /proc gives it in parts, and says nothing of its length */
	n = ktls__sys_load("/proc/self/stat", buf, sizeof(buf));
	assert_int_equal(n, sizeof(buf) - 1);
	assert_int_equal(strtol(buf, NULL, 10), getpid());
}

static void ethtool_knows_its_interfaces(void **state)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	uint32_t cmd = 0xffffffff;

	(void)state;
	assert_int_equal(ktls__sys_ethtool("no-such-if", &info), -ENODEV);
	/* one that is cut to 15 characters would be another one */
	assert_int_equal(ktls__sys_ethtool("lo-and-behold-it-is-too-long", &info),
			 -ENODEV);
	assert_true(ktls__sys_ethtool("lo", &cmd) < 0);
}

/* The kernel answers within the call, and what it says is whole. */
static void netlink_answers_at_once(void **state)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg m;
	} q = {.h = {.nlmsg_len = sizeof(q),
		     .nlmsg_type = RTM_GETLINK,
		     .nlmsg_flags = NLM_F_REQUEST},
	       .m = {.ifi_index = 1}};
	static _Alignas(8) char buf[32768];
	const struct nlmsghdr *h = (const void *)buf;
	const int fd = ktls__sys_netlink(NETLINK_ROUTE);
	ssize_t n;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ktls__sys_recv(fd, buf, sizeof(buf)), -EAGAIN);
	assert_int_equal(ktls__sys_send(fd, &q, sizeof(q)), sizeof(q));
	n = ktls__sys_recv(fd, buf, sizeof(buf));
	assert_true(NLMSG_OK(h, (size_t)n));
	assert_int_equal(h->nlmsg_type, RTM_NEWLINK);
	assert_int_equal(((const struct ifinfomsg *)NLMSG_DATA(h))->ifi_index, 1);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(ktls__sys_close(fd), 0);
	assert_true(ktls__sys_netlink(9999) < 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(names_are_those_of_the_socket),
	cmocka_unit_test(files_are_loaded_as_far_as_they_fit),
	cmocka_unit_test(ethtool_knows_its_interfaces),
	cmocka_unit_test(netlink_answers_at_once),
};

KTEST_MAIN("sys_net", tests)
