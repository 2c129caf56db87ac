/* SPDX-License-Identifier: MIT */
/* ktls-vm-cases: all kinds of files for ktls_sendfile(). */
#include "cases.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the peer has to read next, by its digest. */
static void expect_bytes(struct vt_duo *d, const void *bytes, size_t n)
{
	uint8_t *got = malloc(n ? n : 1);
	size_t have = 0;
	int r = 1;

	MUST(got != NULL);
	while (have < n && r > 0) {
		r = vt_duo_peer_read(d, got + have, (int)(n - have));
		have += r > 0 ? (size_t)r : 0;
	}
	CHECK(have == n && memcmp(got, bytes, n) == 0,
	      "the peer got %zu bytes of %zu, or others", have, n);
	free(got);
}

/* Sends count bytes from *offset; small enough for the socket's buffer. */
static size_t send_all(struct vt_duo *d, int fd, off_t *offset, size_t count)
{
	size_t done = 0;

	while (done < count) {
		ssize_t n = ktls_sendfile(d->lib.c, fd, offset, count - done);

		if (n < 0 && errno == EAGAIN &&
		    vt_poll(d->lib.fd, ktls_wants(d->lib.c)))
			continue;
		if (!CHECK(n >= 0, "ktls_sendfile: errno %d", errno))
			break;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static void shrinking(struct vt_duo *d)
{
	int fd = memfd_create("shrinking", MFD_CLOEXEC);
	off_t offset = 0;
	size_t n;

	vt_case("a file that shrinks");
	MUST(fd >= 0 && write(fd, vt_data, 30000) == 30000);
	MUST(ktls_sendfile(d->lib.c, fd, &offset, 10000) == 10000);
	MUST(ftruncate(fd, 25000) == 0);
	n = send_all(d, fd, &offset, 20000);
	CHECK(n == 15000 && offset == 25000, "%zu bytes, offset %lld", n,
	      (long long)offset);
	expect_bytes(d, vt_data, 25000);
	MUST(ftruncate(fd, 100) == 0);
	CHECK(ktls_sendfile(d->lib.c, fd, &offset, 10) == 0 && offset == 25000,
	      "behind the end: errno %d, offset %lld", errno, (long long)offset);
	close(fd);
}

static void beyond_2_gib(struct vt_duo *d)
{
	const off_t start = (off_t)3 * 1024 * 1024 * 1024 + 17;
	int fd = memfd_create("sparse", MFD_CLOEXEC);
	off_t offset = start;
	size_t n;

	vt_case("the end of a file of 3 GiB");
	MUST(fd >= 0 && pwrite(fd, vt_data + 3, 100000, start) == 100000);
	/* more than is there */
	n = send_all(d, fd, &offset, 100000);
	CHECK(n == 100000 && offset == start + 100000, "%zu bytes, at %lld", n,
	      (long long)offset);
	expect_bytes(d, vt_data + 3, 100000);
	CHECK(ktls_sendfile(d->lib.c, fd, &offset, (size_t)1 << 40) == 0,
	      "at the end: errno %d", errno);
	offset = start + 99990;
	CHECK(ktls_sendfile(d->lib.c, fd, &offset, (size_t)1 << 40) == 10 &&
		      offset == start + 100000,
	      "beyond the end: errno %d, at %lld", errno, (long long)offset);
	expect_bytes(d, vt_data + 3 + 99990, 10);
	close(fd);
}

static void null_offset(struct vt_duo *d)
{
	int fd = memfd_create("position", MFD_CLOEXEC);
	size_t n;

	vt_case("offset NULL");
	MUST(fd >= 0 && write(fd, vt_data, 50000) == 50000);
	MUST(lseek(fd, 1234, SEEK_SET) == 1234);
	n = send_all(d, fd, NULL, 40001);
	CHECK(n == 40001 && lseek(fd, 0, SEEK_CUR) == 1234 + 40001,
	      "%zu bytes, position %lld", n, (long long)lseek(fd, 0, SEEK_CUR));
	expect_bytes(d, vt_data + 1234, 40001);
	n = send_all(d, fd, NULL, 40001);
	CHECK(n == 50000 - 1234 - 40001 && lseek(fd, 0, SEEK_CUR) == 50000,
	      "%zu bytes, position %lld", n, (long long)lseek(fd, 0, SEEK_CUR));
	expect_bytes(d, vt_data + 1234 + 40001, n);
	close(fd);
}

/* Its size is 0, and splice(2) may not work on it. */
static void procfs(struct vt_duo *d, const char *path)
{
	static char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t offset = 0;
	ssize_t len = 0, r;
	size_t n;

	vt_case("%s", path);
	MUST(fd >= 0);
	while ((r = pread(fd, text + len, sizeof(text) - (size_t)len, len)) > 0)
		len += r;
	/* exactly what there is, then the end */
	n = send_all(d, fd, &offset, (size_t)len);
	CHECK(n == (size_t)len && offset == len, "%zu bytes of %zd, at %lld", n,
	      len, (long long)offset);
	expect_bytes(d, text, n);
	CHECK(ktls_sendfile(d->lib.c, fd, &offset, 1000) == 0,
	      "at the end: errno %d", errno);
	/* more than there is: nothing may stay behind in the kernel */
	offset = 0;
	n = send_all(d, fd, &offset, (size_t)len + 5000);
	CHECK(n == (size_t)len, "%zu bytes of %zd", n, len);
	expect_bytes(d, text, n);
	close(fd);
}

static void refused(struct vt_duo *d)
{
	off_t offset = 0;
	char dir[] = ".";
	int p[2], s[2], fd;

	vt_case("in_fd that is no file");
	MUST(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	MUST(write(p[1], "x", 1) == 1 && write(s[1], "x", 1) == 1);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(fd >= 0);
	const int in[] = {p[0], s[0], fd};

	for (size_t i = 0; i < 3; i++) {
		CHECK(ktls_sendfile(d->lib.c, in[i], &offset, 1) == -1 &&
			      errno == EINVAL,
		      "%zu: errno %d", i, errno);
		CHECK(ktls_sendfile(d->lib.c, in[i], NULL, 1) == -1 &&
			      errno == EINVAL,
		      "%zu, NULL: errno %d", i, errno);
	}
	CHECK(ktls_sendfile(d->lib.c, -1, &offset, 1) == -1 && errno == EBADF,
	      "-1: errno %d", errno);
	CHECK(offset == 0, "the offset moved");
	close(fd);
	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	CHECK(ktls_sendfile(d->lib.c, fd, &offset, 1) == -1, "write-only");
	close(fd);
	for (int i = 0; i < 2; i++) {
		close(p[i]);
		close(s[i]);
	}
}

void vt_file_cases(struct ktls_policy policy)
{
	const struct vt_suite *const suites[] = {vt_tls12, vt_tls13};
	struct vt_duo d;

	for (size_t i = 0; i < 2; i++) {
		vt_case("files, TLS %s", vt_version_str(suites[i]->version));
		if (!vt_duo_open(&d, suites[i], true, &policy))
			return;
		shrinking(&d);
		beyond_2_gib(&d);
		null_offset(&d);
		procfs(&d, "/proc/cpuinfo");
		procfs(&d, "/proc/version");
		refused(&d);
		/* after all of these the connection is as good as new */
		vt_case("after the files");
		vt_duo_to_peer(&d, 100, 200000);
		vt_duo_to_lib(&d, 200, 20000);
		vt_duo_close(&d);
	}
}
