/* SPDX-License-Identifier: MIT */
/*
 * Reads a Range field (RFC 9110 section 14.2). What comes out never overlaps,
 * so no request makes a response much larger than the file. No system calls
 * here.
 */
#include <string.h>
#include <strings.h>

#include "httpd.h"

/* Digits as a number; one too large for a file becomes the largest. */
static const char *parse_offset(const char *s, off_t *offset_out)
{
	const off_t max = (off_t)(UINT64_MAX >> 1);
	off_t n = 0;

	for (; *s >= '0' && *s <= '9'; s++) {
		int digit = *s - '0';

		n = n > (max - digit) / 10 ? max : n * 10 + digit;
	}
	*offset_out = n;
	return s;
}

/* "-N": the last N bytes. Leaves an empty range if there are none. */
static const char *parse_suffix(const char *s, off_t size, struct range *range)
{
	const char *digits = s + 1;
	off_t n;

	s = parse_offset(digits, &n);
	if (s == digits)
		return NULL;
	range->first = n < size ? size - n : 0;
	range->end = size;
	return s;
}

/*
 * "FIRST-LAST", "FIRST-" or "-N". Returns what follows it, or NULL if it is
 * none of these; the range is empty if the file has no byte of it.
 */
static const char *parse_spec(const char *s, off_t size, struct range *range)
{
	const char *digits = s;
	off_t last;

	if (*s == '-')
		return parse_suffix(s, size, range);
	s = parse_offset(digits, &range->first);
	if (s == digits || *s++ != '-')
		return NULL;
	digits = s;
	s = parse_offset(digits, &last);
	if (s != digits && last < range->first)
		return NULL;
	range->end = s == digits || last >= size ? size : last + 1;
	if (range->first >= size)
		range->end = range->first;
	return s;
}

/*
 * Add a range. Those that it overlaps or meets become one with it, at the
 * place of the first of them: section 15.3.7.2 has the others keep the order
 * of the request.
 */
static void add_range(struct ranges *ranges, struct range new)
{
	struct range *r = ranges->range;
	unsigned int place = ranges->count;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < ranges->count; i++) {
		if (r[i].first > new.end || r[i].end < new.first) {
			r[kept++] = r[i];
			continue;
		}
		if (r[i].first < new.first)
			new.first = r[i].first;
		if (r[i].end > new.end)
			new.end = r[i].end;
		if (place == ranges->count)
			place = kept++;
	}
	if (place == ranges->count)
		place = kept++;
	r[place] = new;
	ranges->count = kept;
}

/*
 * The parts that a Range field asks for of a file of the given size: 206 and
 * at least one range; 416: the file has none of them; 200: the field is to be
 * ignored, because it is wrong or has more ranges than anybody needs.
 */
int ranges_parse(struct ranges *ranges, const char *s, off_t size)
{
	unsigned int specs = 0;

	ranges->count = 0;
	if (strncasecmp(s, "bytes=", 6) != 0)
		return 200;
	s += 6;
	while (*s) {
		struct range range;

		/* section 5.6.1.2: a list may have empty elements */
		s += strspn(s, " \t,");
		if (!*s)
			break;
		s = parse_spec(s, size, &range);
		if (!s || ++specs > MAX_RANGES)
			return 200;
		s += strspn(s, " \t");
		if (*s && *s != ',')
			return 200;
		if (range.first < range.end)
			add_range(ranges, range);
	}
	if (specs == 0)
		return 200;
	return ranges->count > 0 ? 206 : 416;
}
