/* SPDX-License-Identifier: MIT */
/* Keeps the checks, and prints them on one screen. */
#include <stdarg.h>
#include <string.h>

#include "doctor.h"

enum { COLUMNS = 80, INDENT = 19 };

void report_add(struct report *r, const char *id, enum level level,
		const char *format, ...)
{
	struct check *c;
	va_list args;

	if (r->count == ARRAY_SIZE(r->checks))
		return;
	c = &r->checks[r->count++];
	c->id = id;
	c->level = level;
	va_start(args, format);
	vsnprintf(c->text, sizeof(c->text), format, args);
	va_end(args);
}

void report_advise(struct report *r, const char *format, ...)
{
	struct check *c;
	va_list args;

	if (r->count == 0)
		return;
	c = &r->checks[r->count - 1];
	va_start(args, format);
	vsnprintf(c->advice, sizeof(c->advice), format, args);
	va_end(args);
}

static const char *level_name(enum level level)
{
	static const char *const names[] = {
		[LEVEL_INFO] = "-",
		[LEVEL_OK] = "OK",
		[LEVEL_NOTE] = "NOTE",
		[LEVEL_NO] = "NO",
	};

	return names[level];
}

static const char *verdict_text(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_GOOD:
		return "Kernel TLS engages here.";
	case VERDICT_NOTES:
		return "Kernel TLS engages here; mind the lines with NO and "
		       "NOTE.";
	case VERDICT_NONE:
		return "Kernel TLS does not engage here: libktls encrypts in "
		       "user space.";
	case VERDICT_HOST:
		break;
	}
	return "There was no connection to look at.";
}

/* What others wrote may be in it: nothing that moves a terminal's cursor. */
static void print_word(FILE *out, const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const unsigned char c = (unsigned char)word[i];

		fputc(c < ' ' || c >= 0x7f ? '?' : c, out);
	}
}

/* Words from column INDENT on, as many lines as they take. */
static void wrap(FILE *out, const char *text)
{
	size_t column = INDENT;

	while (*(text += strspn(text, " "))) {
		size_t len = strcspn(text, " ");

		if (len > COLUMNS - INDENT)
			len = COLUMNS - INDENT;
		if (column > INDENT && column + 1 + len > COLUMNS) {
			fprintf(out, "\n%*s", INDENT, "");
			column = INDENT;
		} else if (column > INDENT) {
			fputc(' ', out);
			column++;
		}
		print_word(out, text, len);
		column += len;
		text += len;
	}
	fputc('\n', out);
}

void print_text(FILE *out, const struct findings *f)
{
	for (size_t i = 0; i < f->report.count; i++) {
		const struct check *c = &f->report.checks[i];

		fprintf(out, "%-4s %-14s", level_name(c->level), c->id);
		wrap(out, c->text);
		if (*c->advice) {
			fprintf(out, "%*s-> ", INDENT - 3, "");
			wrap(out, c->advice);
		}
		if (strcmp(c->id, "ciphers") == 0)
			ciphers_print(out, f);
	}
	fprintf(out, "%s\n", verdict_text(f->verdict));
}
