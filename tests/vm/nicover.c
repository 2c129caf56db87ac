/* SPDX-License-Identifier: MIT */
/* ktls-vm-nic over PROGRAM: its connections go over the NIC. */
#include "nic.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Programs that know loopback count on its segments. */
static void mtu(int bytes)
{
	char command[64];

	for (int end = 0; end < 2; end++) {
		snprintf(command, sizeof(command),
			 "ip link set nicsim%d mtu %d", end, bytes);
		vt_nic_shell(end, command);
	}
}

static int run(char **argv)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		setenv("KTLS_VM_NIC", "1", 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void nic_over(char **argv)
{
	struct nic_count c;
	int status;

	vt_case("%s", argv[0]);
	nic_count(&c);
	mtu(65535);
	status = run(argv);
	mtu(1500);
	CHECK(status == 0, "exit status %d", status);
	nic_removed();
	nic_since(&c);
	CHECK(c.nic[0].tx_added + c.nic[1].tx_added > 0, "nothing on the NIC");
	for (int end = 0; end < 2; end++) {
		const struct vt_nic *n = &c.nic[end];
		const struct vt_stat *s = &c.stat[end];

		CHECK(n->tx_added == 0 || n->encrypted > 0,
		      "end %d: %ld directions, no packet encrypted", end,
		      n->tx_added);
		CHECK(n->tx_added == s->tx_device && n->rx_added == s->rx_device,
		      "end %d: the NIC has had %ld and %ld, the kernel says "
		      "%ld and %ld",
		      end, n->tx_added, n->rx_added, s->tx_device, s->rx_device);
		CHECK(n->failed == 0, "end %d: %ld packets not encrypted", end,
		      n->failed);
		vt_note("%s, %s: on the device %ld times TX and %ld times RX, "
			"else %ld and %ld; %ld packets encrypted",
			argv[0], vt_nic_name(end), n->tx_added, n->rx_added,
			s->tx_sw, s->rx_sw, n->encrypted);
	}
}
