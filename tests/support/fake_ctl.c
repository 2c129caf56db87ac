/* SPDX-License-Identifier: MIT */
/* The calls of lib/sys.h that move no bytes. */
#include "fake_seam.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int ktls__sys_getfl(int fd)
{
	const struct fake_socket *s = fake_socket(fd);
	const struct fake_pipe *p = fake_pipe_of(fd);
	int r = fake_enter(FAKE_GETFL);

	if (r == 0 && s)
		r = s->fl;
	else if (r == 0 && p)
		r = (fake_pipe_end(fd) ? O_WRONLY : O_RDONLY) |
		    (p->nonblock ? O_NONBLOCK : 0);
	else if (r == 0)
		r = -EBADF;
	return (int)fake_leave(r);
}

int ktls__sys_setfl(int fd, int flags)
{
	struct fake_socket *s = fake_socket(fd);
	int r = fake_enter(FAKE_SETFL);

	if (r == 0 && s)
		s->fl = flags;
	return (int)fake_leave(r == 0 && !s ? -EBADF : r);
}

int ktls__sys_shutdown_wr(int fd)
{
	struct fake_socket *s = fake_socket(fd);
	int r = fake_enter(FAKE_SHUTDOWN);

	if (r == 0)
		r = s ? fake_shutdown(s) : -EBADF;
	return (int)fake_leave(r);
}

int ktls__sys_close(int fd)
{
	struct fake_socket *s = fake_socket(fd);
	int r;

	if (fake_is_netlink(fd))
		return fake_netlink_close(fd);
	r = fake_enter(FAKE_CLOSE);
	/* the descriptor is gone, whatever close() says */
	if (s)
		fake_close(s);
	else if (fake_pipe_of(fd))
		fake_pipe_close(fd);
	else if (r == 0)
		r = -EBADF;
	return (int)fake_leave(r);
}

off_t ktls__sys_lseek(int fd, off_t offset, int whence)
{
	struct fake_file *f = fake_file_of(fd);
	off_t r = fake_enter(FAKE_LSEEK);

	if (r == 0 && (fake_pipe_of(fd) || fake_socket(fd)))
		r = -ESPIPE;
	else if (r == 0 && !f)
		r = -EBADF;
	else if (r == 0 && (f->kind == FAKE_PIPE || f->kind == FAKE_SOCKET))
		r = -ESPIPE;
	if (r == 0) {
		if (whence == SEEK_SET)
			f->position = offset;
		r = f->position;
	}
	return fake_leave(r);
}

int ktls__sys_fstat(int fd, struct stat *st)
{
	static const mode_t modes[] = {
		[FAKE_REGULAR] = S_IFREG, [FAKE_BLOCK] = S_IFBLK,
		[FAKE_PIPE] = S_IFIFO,	  [FAKE_DIRECTORY] = S_IFDIR,
		[FAKE_SOCKET] = S_IFSOCK,
	};
	struct fake_file *f = fake_file_of(fd);
	enum fake_file_kind kind = FAKE_PIPE;
	int r = fake_enter(FAKE_FSTAT);

	if (f)
		kind = f->kind;
	else if (fake_socket(fd))
		kind = FAKE_SOCKET;
	else if (r == 0 && !fake_pipe_of(fd))
		r = -EBADF;
	if (r == 0) {
		memset(st, 0, sizeof(*st));
		st->st_mode = modes[kind] | 0644;
		if (kind == FAKE_REGULAR)
			st->st_size = f->shown >= 0 ? f->shown : f->size;
	}
	return (int)fake_leave(r);
}

int ktls__sys_outq(int fd)
{
	const struct fake_socket *s = fake_socket(fd);

	return s ? (int)fake_queued(s) : -EBADF;
}

int ktls__sys_loopback(int fd[2])
{
	const int r = fake_enter(FAKE_LOOPBACK);

	if (r == 0) {
		fake_tcp_pair(fd, 1 << 20);
		for (int i = 0; i < 2; i++) {
			fake_socket(fd[i])->probe = true;
			fake_socket(fd[i])->fl &= ~O_NONBLOCK;
		}
	}
	return (int)fake_leave(r);
}
