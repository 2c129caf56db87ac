/* SPDX-License-Identifier: MIT */
/*
 * Opens a file below the root, never above it: neither "..", nor an absolute
 * path, nor a symbolic link leads out. openat2(2) has the kernel see to that
 * while it walks; where it is missing, no symbolic link is followed at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "httpd.h"

/* O_NONBLOCK: a FIFO without a writer must not stop the server. */
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/* Whether one of the components is "..". */
static bool climbs(const char *path)
{
	while (*path) {
		path += strspn(path, "/");
		size_t n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.')
			return true;
		path += n;
	}
	return false;
}

/* One component after the other, each a real directory. */
static int open_by_steps(int root_fd, const char *path)
{
	int dir = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);

	while (dir >= 0) {
		char name[NAME_MAX + 1];
		size_t n = strcspn(path, "/");
		bool last = path[n] == '\0';
		int fd;

		if (n >= sizeof(name)) {
			close(dir);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		fd = openat(dir, n > 0 ? name : ".",
			    OPEN_FLAGS | O_NOFOLLOW | (last ? 0 : O_DIRECTORY));
		close(dir);
		if (last)
			return fd;
		dir = fd;
		path += n + 1;
	}
	return -1;
}

static int open_beneath(int root_fd, const char *path)
{
	struct open_how how = {
		.flags = OPEN_FLAGS,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, root_fd, *path ? path : ".", &how,
			      sizeof(how));

	/* EPERM: older containers refuse system calls that they don't know */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = open_by_steps(root_fd, path);
	return fd;
}

/*
 * Open the file that path means, which begins with a slash. Returns the
 * descriptor and fills st; or -1 and errno, where EISDIR says that path is a
 * directory's without the slash at its end.
 */
int files_open(int root_fd, const char *path, struct stat *st)
{
	char name[1024 + sizeof("index.html")];
	size_t len;
	int error = EACCES;
	int fd;

	if (climbs(path))
		goto refuse;
	path += strspn(path, "/");
	len = strlen(path);
	if (len >= 1024) {
		error = ENAMETOOLONG;
		goto refuse;
	}
	memcpy(name, path, len + 1);
	if (len == 0 || path[len - 1] == '/')
		memcpy(name + len, "index.html", sizeof("index.html"));

	fd = open_beneath(root_fd, name);
	if (fd < 0)
		return -1;
	if (fstat(fd, st) == 0) {
		if (S_ISREG(st->st_mode))
			return fd;
		if (S_ISDIR(st->st_mode))
			error = EISDIR;
	}
	close(fd);
refuse:
	errno = error;
	return -1;
}

const char *files_type(const char *path)
{
	static const struct {
		const char *suffix;
		const char *type;
	} types[] = {
		{".css", "text/css; charset=utf-8"},
		{".gif", "image/gif"},
		{".gz", "application/gzip"},
		{".htm", "text/html; charset=utf-8"},
		{".html", "text/html; charset=utf-8"},
		{".ico", "image/x-icon"},
		{".jpeg", "image/jpeg"},
		{".jpg", "image/jpeg"},
		{".js", "text/javascript; charset=utf-8"},
		{".json", "application/json"},
		{".md", "text/markdown; charset=utf-8"},
		{".mp4", "video/mp4"},
		{".pdf", "application/pdf"},
		{".png", "image/png"},
		{".svg", "image/svg+xml"},
		{".txt", "text/plain; charset=utf-8"},
		{".wasm", "application/wasm"},
		{".webm", "video/webm"},
		{".webp", "image/webp"},
		{".woff2", "font/woff2"},
		{".xml", "application/xml"},
		{".zip", "application/zip"},
	};
	const char *dot = strrchr(path, '.');

	if (path[strlen(path) - 1] == '/')
		dot = ".html";
	for (size_t i = 0; dot && i < sizeof(types) / sizeof(*types); i++)
		if (strcasecmp(dot, types[i].suffix) == 0)
			return types[i].type;
	return "application/octet-stream";
}
