/* SPDX-License-Identifier: MIT */
/* ktls_sendfile(): sendfile(2) for a TLS connection, in either mode. */
#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "result.h"
#include "sys.h"
#include "write.h"

/* The file's trouble is not the connection's. */
static ssize_t file_failed(struct ktls_conn *c, int code, const char *call)
{
	return ktls__error_set(&c->error, code, call, code, 0, NULL);
}

/* Read and sent as memory: in user space, and from files without splice. */
static ssize_t step_user(struct ktls_conn *c, const struct ktls__source *src,
			 size_t done, size_t max)
{
	uint8_t buf[KTLS__RECORD_MAX];
	ssize_t n;

	if (max > sizeof(buf))
		max = sizeof(buf);
	n = ktls__sys_pread(src->in_fd, buf, max, src->start + (off_t)done);
	if (n < 0)
		return file_failed(c, (int)-n, "pread");
	return n == 0 ? 0 : ktls__send(c, buf, (size_t)n);
}

/*
 * One record a call. More would make the kernel mark full records with
 * MSG_MORE, which corks them in TCP until its persist timer fires
 * (net/tls/tls_sw.c, tls_push_record(); fs/splice.c, splice_direct_to_actor()).
 */
static ssize_t step_kernel(struct ktls_conn *c, const struct ktls__source *src,
			   size_t done, size_t max)
{
	off_t at = src->start + (off_t)done;
	ssize_t n;

	if (max > c->record_max)
		max = c->record_max;
	ktls__sys_sigpipe_block(src->sigpipe);
	n = ktls__sys_sendfile(c->fd, src->in_fd, &at, max);
	if (n == -EAGAIN)
		return ktls__again(c, POLLOUT);
	/* the file's system has no splice; nothing was taken */
	if (n == -EINVAL || n == -ENOSYS || n == -EOPNOTSUPP)
		return step_user(c, src, done, max);
	if (n < 0 && ktls__error_is_of_socket((int)-n))
		return ktls__fail_tx(c, (int)-n, "sendfile");
	if (n < 0)
		return file_failed(c, (int)-n, "sendfile");
	ktls__kernel_took(c, (size_t)n, max);
	return n;
}

static ssize_t step(struct ktls_conn *c, const struct ktls__source *src,
		    size_t done, size_t max)
{
	if (c->tx.mode == KTLS_MODE_KERNEL && !src->by_read)
		return step_kernel(c, src, done, max);
	return step_user(c, src, done, max);
}

/* *count to what the file has; special files in /proc have a size of 0 */
static int check_file(struct ktls__source *src, size_t *count)
{
	const off_t start = src->start;
	bool sized;
	struct stat st;
	int r = ktls__sys_fstat(src->in_fd, &st);

	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EINVAL;
	if (start < 0)
		return -EINVAL;
	if ((uintmax_t)*count > (uintmax_t)(INT64_MAX - start))
		return -EOVERFLOW;
	/* past its end, sendfile(2) would leave the last record open */
	sized = S_ISREG(st.st_mode) && st.st_size > start;
	if (sized && (uintmax_t)*count > (uintmax_t)(st.st_size - start))
		*count = (size_t)(st.st_size - start);
	/* where the end is unknown, the kernel might leave its record open */
	src->by_read = !sized;
	return 0;
}

static ssize_t transmit(struct ktls_conn *c, struct ktls__source *src,
			size_t count)
{
	const size_t n =
		count < c->policy.budget ? count : (size_t)c->policy.budget;
	struct ktls__sigpipe sigpipe = {.blocked = false};
	ssize_t r;

	src->sigpipe = &sigpipe;
	r = ktls__transmit(c, src, n, count);
	ktls__sys_sigpipe_restore(&sigpipe, c->tx_dead == EPIPE);
	return r;
}

ssize_t ktls_sendfile(struct ktls_conn *c, int in_fd, off_t *offset, size_t count)
{
	struct ktls__source src = {.step = step, .in_fd = in_fd};
	ssize_t r;

	if (!c || count > SSIZE_MAX)
		return ktls__return(-EINVAL);
	r = ktls__ready(c, KTLS_TX);
	if (r < 0)
		return ktls__return(r);
	src.start = offset ? *offset : ktls__sys_lseek(in_fd, 0, SEEK_CUR);
	if (!offset && src.start < 0)
		/* pipes and sockets have no position */
		return ktls__return(src.start == -ESPIPE ? -EINVAL : src.start);
	r = check_file(&src, &count);
	if (r < 0)
		return ktls__return(r);
	if (count > 0)
		r = transmit(c, &src, count);
	if (r > 0 && offset)
		*offset += r;
	else if (r > 0)
		(void)ktls__sys_lseek(in_fd, src.start + r, SEEK_SET);
	return ktls__return(r);
}
