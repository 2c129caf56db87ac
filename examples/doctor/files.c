/* SPDX-License-Identifier: MIT */
/* Reads files of /proc and the like, below a root that tests choose. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"

static const char *root_dir = "";

void files_root(const char *root)
{
	root_dir = root;
}

static bool path_of(char *full, size_t size, const char *path)
{
	const int len = snprintf(full, size, "%s%s", root_dir, path);

	return len >= 0 && (size_t)len < size;
}

bool file_exists(const char *path)
{
	char full[PATH_MAX];

	return path_of(full, sizeof(full), path) && access(full, F_OK) == 0;
}

bool file_read(const char *path, char *text, size_t size)
{
	char full[PATH_MAX];
	size_t len = 0;
	ssize_t n;
	int fd;

	text[0] = '\0';
	if (!path_of(full, sizeof(full), path))
		return false;
	/* what it is, nobody knows: a FIFO must not stop us */
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return false;
	do {
		n = read(fd, text + len, size - 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while (len < size - 1 && (n > 0 || (n < 0 && errno == EINTR)));
	close(fd);
	text[len] = '\0';
	/* nor is there a string beyond a NUL */
	return *text != '\0';
}

size_t numbers_parse(const char *text, uint64_t *numbers, size_t max)
{
	size_t count = 0;

	while (count < max) {
		unsigned long long number;
		char *end;

		text += strspn(text, " \t\n");
		if (*text < '0' || *text > '9')
			break;
		errno = 0;
		number = strtoull(text, &end, 10);
		if (errno != 0 || (*end && !strchr(" \t\n", *end)))
			break;
		numbers[count++] = number;
		text = end;
	}
	return count;
}

bool field_find(const char *text, const char *name, char *value, size_t size)
{
	const size_t len = strlen(name);

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		const char *p = text;
		size_t n;

		if (strncmp(p, name, len) != 0)
			continue;
		p += len;
		p += strspn(p, " \t");
		if (*p != ':')
			continue;
		p++;
		p += strspn(p, " \t");
		n = strcspn(p, "\n");
		while (n > 0 && strchr(" \t\r", p[n - 1]))
			n--;
		snprintf(value, size, "%.*s", (int)n, p);
		return true;
	}
	return false;
}
