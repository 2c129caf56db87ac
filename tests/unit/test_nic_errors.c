/* SPDX-License-Identifier: MIT */
/* ktls_nic_probe() where it fails, and where it is told nonsense. */
#include "hosts.h"

#include <sys/socket.h>

static int fd[2];

static int setup(void **state)
{
	host_setup(state);
	fake_tcp_pair(fd, 1000);
	host_links();
	return 0;
}

static void arguments_are_checked(void **state)
{
	struct ktls_nic nic = {.size = sizeof(nic)};
	struct {
		struct ktls_nic now;
		uint64_t later[3];
	} grown;

	(void)state;
	assert_errno(ktls_nic_probe("eth0", -1, NULL), EINVAL);
	nic.size = sizeof(nic) - 1;
	assert_errno(ktls_nic_probe("eth0", -1, &nic), EINVAL);
	nic.size = 0;
	assert_errno(ktls_nic_probe("eth0", -1, &nic), EINVAL);
	memset(&grown, 0xff, sizeof(grown));
	grown.now.size = sizeof(grown);
	assert_int_equal(ktls_nic_probe("eth0", -1, &grown.now), 0);
	assert_int_equal(grown.now.size, sizeof(nic));
	assert_int_equal(grown.later[0] | grown.later[1] | grown.later[2], 0);
	assert_string_equal(grown.now.name, "eth0");
}

static void unknown_names_are_enodev(void **state)
{
	static const char *const names[] = {
		"",	 "eth1",
		"eth",	 "eth00",
		"eth0 ", "a-name-that-is-longer-than-any-interface-has"};
	struct ktls_nic nic;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		memset(&nic, 0x55, sizeof(nic));
		nic.size = sizeof(nic);
		assert_errno(ktls_nic_probe(names[i], -1, &nic), ENODEV);
		/* nothing is written */
		assert_int_equal(nic.size, sizeof(nic));
		assert_int_equal(nic.features, 0x55555555);
		assert_int_equal(fake_own_fds(), 0);
	}
	/* of 15 characters, the most there are */
	LINK(.index = 9, .name = "enp0s31f6abcdef");
	assert_string_equal(host_nic("enp0s31f6abcdef").name,
			    "enp0s31f6abcdef");
	assert_errno(ktls_nic_probe("enp0s31f6abcdefg", -1, &nic), ENODEV);
}

static void socket_without_a_route_is_an_error(void **state)
{
	struct ktls_nic nic = {.size = sizeof(nic)};
	int pipe[2];

	(void)state;
	fake_net.route_errno = ENETUNREACH;
	assert_errno(ktls_nic_probe(NULL, fd[0], &nic), ENETUNREACH);
	fake_net.route_errno = 0;
	fake_net.route_if = 0;
	assert_errno(ktls_nic_probe(NULL, fd[0], &nic), ENODEV);
	fake_net.route_if = 77;
	assert_errno(ktls_nic_probe(NULL, fd[0], &nic), ENODEV);
	fake_net.route_if = 2;
	/* of another namespace, whose interfaces have the same numbers */
	fake_socket(fd[0])->netns++;
	assert_errno(ktls_nic_probe(NULL, fd[0], &nic), EXDEV);
	fake_socket(fd[0])->netns--;
	assert_int_equal(ktls_nic_probe(NULL, fd[0], &nic), 0);
	assert_errno(ktls_nic_probe(NULL, -1, &nic), EBADF);
	assert_errno(ktls_nic_probe(NULL, 999, &nic), EBADF);
	fake_pipe(pipe, FAKE_SLOTS);
	assert_errno(ktls_nic_probe(NULL, pipe[0], &nic), ENOTSOCK);
	assert_errno(ktls_nic_probe(NULL, fake_file(FAKE_REGULAR, 1, 1), &nic),
		     ENOTSOCK);
	fake_socket(fd[1])->domain = AF_UNIX;
	assert_errno(ktls_nic_probe(NULL, fd[1], &nic), EPROTOTYPE);
	fake_raw_reset(fd[1]);
	assert_errno(ktls_nic_probe(NULL, fd[0], &nic), ENOTCONN);
	assert_int_equal(fake_own_fds(), 0);
}

static void ethtool_says_what_it_can(void **state)
{
	struct ktls_nic nic = {.size = sizeof(nic)};

	(void)state;
	fake_net.links[1].driver = NULL;
	nic = host_nic("eth0");
	assert_string_equal(nic.driver, "");
	assert_int_equal(nic.features, KTLS_NIC_HW_TX);
	fake_net.links[1].driver = "a-driver-of-31-characters-it-is";
	assert_string_equal(host_nic("eth0").driver,
			    "a-driver-of-31-characters-it-is");
	fake_net.links[1].ethtool_errno = EOPNOTSUPP;
	nic = host_nic("eth0");
	assert_string_equal(nic.driver, "");
	assert_int_equal(nic.features | nic.available, 0);
	/* gone in the meantime, or not ours to ask */
	fake_net.links[1].ethtool_errno = ENODEV;
	assert_errno(ktls_nic_probe("eth0", -1, &nic), ENODEV);
	fake_net.links[1].ethtool_errno = EPERM;
	assert_errno(ktls_nic_probe("eth0", -1, &nic), EPERM);
	fake_net.links[1].ethtool_errno = 0;
	for (unsigned int nth = 1; nth < 5; nth++) {
		fake_fail(FAKE_ETHTOOL, nth, EIO);
		/* a driver without a name is no failure */
		if (nth == 1)
			assert_string_equal(host_nic("eth0").driver, "");
		else
			assert_errno(ktls_nic_probe("eth0", -1, &nic), EIO);
	}
}

static void failures_are_errnos(void **state)
{
	static const enum fake_call calls[] = {FAKE_NETLINK, FAKE_NETLINK_SEND,
					       FAKE_NETLINK_RECV};
	struct ktls_nic nic = {.size = sizeof(nic)};

	(void)state;
	LINK(.index = 3, .name = "eth0.7", .link = 2, .kind = "vlan");
	fake_net.route_if = 3;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		for (unsigned int nth = 1; nth < 4; nth++) {
			fake_fail(calls[i], nth, ENOBUFS);
			assert_errno(ktls_nic_probe(NULL, fd[0], &nic), ENOBUFS);
			assert_int_equal(fake_own_fds(), 0);
		}
		fake_heal();
	}
	fake_fail(FAKE_NAMES, 1, ENOMEM);
	assert_errno(ktls_nic_probe(NULL, fd[0], &nic), ENOMEM);
	fake_net.links_errno = EPERM;
	assert_errno(ktls_nic_probe(NULL, fd[0], &nic), EPERM);
	assert_int_equal(fake_own_fds(), 0);
	assert_int_equal(fake_count(FAKE_SET_OTHER), 0);
}

/* It ends; and what it says of names is text. */
static void garbage_does_no_harm(void **state)
{
	static const uint8_t with[] = {0x01, 0x80, 0xff, 0x20};
	struct ktls_nic nic = {.size = sizeof(nic)};

	(void)state;
	LINK(.index = 3, .name = "bond0", .kind = "bond", .bond_mode = 2);
	fake_net.links[1].master = 3;
	for (size_t n = 0; n < 1200; n += 3) {
		fake_net.cut = n;
		nic.size = sizeof(nic);
		(void)ktls_nic_probe(NULL, fd[0], &nic);
		(void)ktls_nic_probe("bond0", -1, &nic);
		assert_int_equal(fake_own_fds(), 0);
	}
	fake_net.cut = SIZE_MAX;
	for (size_t k = 0; k < ARRAY_SIZE(with); k++) {
		fake_net.flip_with = with[k];
		for (size_t n = 0; n < 1200; n++) {
			fake_net.flip_at = n;
			nic.size = sizeof(nic);
			(void)ktls_nic_probe(NULL, fd[0], &nic);
			(void)ktls_nic_probe("bond0", -1, &nic);
			assert_true(strnlen(nic.name, 16) < 16);
			assert_true(strnlen(nic.lower, 16) < 16);
			assert_true(strnlen(nic.driver, 32) < 32);
			assert_int_equal(fake_own_fds(), 0);
		}
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, host_teardown)
static const struct CMUnitTest tests[] = {
	T(arguments_are_checked),
	T(unknown_names_are_enodev),
	T(socket_without_a_route_is_an_error),
	T(ethtool_says_what_it_can),
	T(failures_are_errnos),
	T(garbage_does_no_harm),
};

KTEST_MAIN("nic_errors", tests)
