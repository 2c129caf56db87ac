/* SPDX-License-Identifier: MIT */
/* ktls-vm-close: what close(2) does to a kernel TLS socket without libktls. */
#include "close.h"

#include <sys/socket.h>
#include <unistd.h>

/*
 * Whether a record is left half sent depends on how the sizes of calls and
 * buffers meet, in another way on each kernel; a buffer of 0 is left alone.
 */
const struct vt_shape vt_shapes[VT_SHAPES] = {
	{4608, 16384},	 {65536, 100000}, {0, 16384},
	{16384, 100000}, {131072, 70000}, {16384, 5000},
};

/* Plaintext that comes out of a raw kernel TLS socket up to its end. */
static void *read_raw(void *arg)
{
	static char buf[65536];
	const int fd = *(int *)arg;
	static size_t count;
	ssize_t n;

	count = 0;
	vt_sleep_ms(VT_LATE);
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		count += (size_t)n;
	return &count;
}

/* The kernel alone: bytes that send() accepted and nobody got; -1: cannot */
static long lost_by_kernel(int sndbuf, size_t call)
{
	pthread_t thread;
	size_t accepted = 0;
	void *got;
	int fd[2];
	ssize_t n;

	vt_tcp_pair(fd);
	vt_set_sndbuf(fd[0], sndbuf);
	if (vt_raw_install(fd[0], &vt_suites[0], KTLS_TX) ||
	    vt_raw_install(fd[1], &vt_suites[0], KTLS_RX)) {
		close(fd[0]);
		close(fd[1]);
		return -1;
	}
	vt_set_nonblocking(fd[0], true);
	while (accepted + call < VT_DATA &&
	       (n = send(fd[0], vt_data + accepted, call, MSG_NOSIGNAL)) > 0)
		accepted += (size_t)n;
	MUST(pthread_create(&thread, NULL, read_raw, &fd[1]) == 0);
	close(fd[0]);
	MUST(pthread_join(thread, &got) == 0);
	close(fd[1]);
	return (long)accepted - (long)*(size_t *)got;
}

/* One try of each shape; false: there are no keys to be had. */
static bool try_shapes(unsigned int round, unsigned int *lossy)
{
	for (size_t i = 0; i < VT_SHAPES; i++) {
		/* other sizes each time: a fit on one kernel is none on another */
		const size_t call = vt_shapes[i].call + (size_t)round * 1777;
		const int sndbuf = vt_shapes[i].sndbuf;
		const long lost = lost_by_kernel(sndbuf, call);

		if (lost < 0)
			return false;
		if (lost > 0)
			vt_note("close() alone, SO_SNDBUF %d, %zu bytes a "
				"call: %ld bytes lost",
				sndbuf, call, lost);
		*lossy += lost > 0;
	}
	return true;
}

void vt_close_raw(bool must)
{
	unsigned int lossy = 0;

	vt_case("the kernel alone");
	for (unsigned int round = 0; round < 25 && lossy == 0; round++) {
		if (!try_shapes(round, &lossy)) {
			vt_skip("the kernel's loss: no keys");
			return;
		}
	}
	CHECK(lossy > 0 || !must,
	      "NOT REPRODUCED: this kernel's close() lost nothing; "
	      "the rest of this test proves little");
}
