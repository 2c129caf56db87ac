/* SPDX-License-Identifier: MIT */
/* In the place of h2.c where there is no libnghttp2: nothing selects h2. */
#include "httpd.h"

bool h2_available(void)
{
	return false;
}

enum step h2_start(struct conn *conn)
{
	(void)conn;
	return STEP_GONE;
}

enum step h2_turn(struct conn *conn)
{
	(void)conn;
	return STEP_GONE;
}

bool h2_busy(const struct h2 *h2)
{
	(void)h2;
	return false;
}

bool h2_stop(struct h2 *h2)
{
	(void)h2;
	return false;
}

void h2_free(struct h2 *h2)
{
	(void)h2;
}
