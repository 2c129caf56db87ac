/* SPDX-License-Identifier: MIT */
/* Takes an https URL apart (RFC 3986). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "get.h"

static void __attribute__((noreturn)) bad(const char *text, const char *why)
{
	warn("%s: %s", text, why);
	exit(2);
}

static void parse_host(struct url *url, const char *text, const char *host,
		       size_t len)
{
	if (len == 0)
		bad(text, "the URL has no host");
	if (len >= sizeof(url->host))
		bad(text, "the host's name is too long");
	memcpy(url->host, host, len);
	url->host[len] = '\0';
}

static void parse_port(struct url *url, const char *text, const char *port,
		       size_t len)
{
	if (len == 0 || len >= sizeof(url->port) ||
	    strspn(port, "0123456789") != len)
		bad(text, "that is not a port");
	memcpy(url->port, port, len);
	url->port[len] = '\0';
	if (atoi(url->port) > 65535)
		bad(text, "that is not a port");
}

/* url points into text afterwards. */
void url_parse(struct url *url, const char *text)
{
	const char *host = text + strlen("https://");
	const char *colon;
	size_t authority;
	size_t len;

	memset(url, 0, sizeof(*url));
	snprintf(url->port, sizeof(url->port), "443");
	if (strncasecmp(text, "https://", strlen("https://")) != 0)
		bad(text, "only https:// URLs work here");
	/* they would end up in the request */
	for (const char *s = text; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			bad(text, "the URL has a space or control character");

	authority = strcspn(host, "/?#");
	if (memchr(host, '@', authority))
		bad(text, "user names in URLs do not work here");
	url->path = host + authority;
	url->path_len = strcspn(url->path, "#");

	if (*host == '[') {
		const char *end = memchr(host, ']', authority);

		if (!end)
			bad(text, "the URL lacks a ]");
		url->v6 = true;
		parse_host(url, text, host + 1, (size_t)(end - host - 1));
		len = (size_t)(end + 1 - host);
	} else {
		colon = memchr(host, ':', authority);
		len = colon ? (size_t)(colon - host) : authority;
		parse_host(url, text, host, len);
	}
	if (len < authority && host[len] != ':')
		bad(text, "there is something between host and port");
	if (len < authority)
		parse_port(url, text, host + len + 1, authority - len - 1);
}
