/* SPDX-License-Identifier: MIT */
/*
 * Alerts and handshake messages where there is no SSL to read them, in user
 * space and behind the kernel: whole, in parts, too many, and wrong.
 */
#include "doors.h"

#include "kdf.h"
#include "keys.h"

enum { GOES_ON = 0, END = -1 };

struct record {
	uint8_t type;
	size_t n;
	const char *p;
};
#define HS(s)                                                                  \
	{                                                                      \
		22, sizeof(s) - 1, s                                           \
	}
#define ALERT(s)                                                               \
	{                                                                      \
		21, sizeof(s) - 1, s                                           \
	}
#define DATA(s)                                                                \
	{                                                                      \
		23, sizeof(s) - 1, s                                           \
	}
#define BAD(alert) .result = EPROTO, .sent = (alert)
#define UPDATE	   "\x18\0\0\1"
#define TICKET	   "\4\0\0\5\1\2\3\4\5"

static const struct line {
	const char *name;
	struct record record[3];
	int result;	       /* or the errno */
	int sent;	       /* the alert that we send */
	unsigned int received; /* and that of the peer */
	bool old;	       /* TLS 1.2 */
	bool client;
	bool new_key;
	const char *peer; /* what it makes of it */
} lines[] = {
	{"ticket", {HS(TICKET)}, .client = true},
	{"ticket_in_parts",
	 {HS("\4\0"), HS("\0\5\1\2\3"), HS("\4\5")},
	 .result = GOES_ON},
	{"two_tickets", {HS(TICKET TICKET)}, .client = true},
	{"ticket_and_a_half",
	 {HS(TICKET "\4\0\0\5\1"), HS("\2\3\4\5")},
	 .result = GOES_ON},
	{"update_in_parts", {HS("\x18\0"), HS("\0\1\0")}, .new_key = true},
	{"update_that_asks", {HS("\x18"), HS("\0\0\1\1")}, .new_key = true},
	{"update_behind_a_ticket", {HS(TICKET UPDATE "\0")}, .new_key = true},
	{"two_updates", {HS(UPDATE "\0" UPDATE "\0")}, BAD(10)},
	{"update_and_a_half", {HS(UPDATE "\0\x18")}, BAD(10)},
	{"update_and_a_ticket", {HS(UPDATE "\0" TICKET)}, BAD(10)},
	{"update_of_no_kind", {HS(UPDATE "\2")}, BAD(47)},
	{"long_update", {HS("\x18\0\0\2\0\0")}, BAD(50)},
	{"empty_update", {HS("\x18\0\0\0")}, BAD(50)},
	{"finished", {HS("\x14\0\0\1\0")}, BAD(10)},
	{"client_hello", {HS("\1\0\0\0")}, BAD(10)},
	{"endless_ticket", {HS("\4\x7f\xff\xff")}, BAD(50)},
	{"alert_in_a_ticket", {HS("\4\0"), ALERT("\1\x5a")}, BAD(10)},
	{"data_in_a_ticket", {HS("\4\0"), DATA("data")}, BAD(10)},
	{"empty_message", {HS("")}, BAD(50)},
	{"empty_alert", {ALERT("")}, BAD(50)},
	{"short_alert", {ALERT("\2")}, BAD(50)},
	{"long_alert", {ALERT("\1\0\0")}, BAD(50)},
	{"unknown_type", {{24, 3, "\1\0\0"}}, BAD(10)},
	{"user_canceled", {ALERT("\1\x5a")}, .received = 90},
	{"warning_of_1_3", {ALERT("\1\x29")}, .result = EPROTO, .received = 41},
	{"fatal_alert", {ALERT("\2\x28")}, .result = EPROTO, .received = 40},
	{"close_notify", {ALERT("\1\0")}, .result = END},
	{"warning", {ALERT("\1\x29")}, .received = 41, .old = true},
	{"fatal_alert_1_2",
	 {ALERT("\2\x28")},
	 .result = EPROTO,
	 .received = 40,
	 .old = true},
	{"close_notify_1_2", {ALERT("\1\0")}, .result = END, .old = true},
	{"update_1_2", {HS(UPDATE "\0")}, BAD(10), .old = true},
	{"hello_request",
	 {HS("\0\0\0\0")},
	 .old = true,
	 .client = true,
	 .peer = "no renegotiation"},
	{"renegotiation",
	 {HS("\1\0\0\1"), HS("x")},
	 .old = true,
	 .peer = "no renegotiation"},
};

static const struct way {
	enum pair_door door;
	uint32_t tx, rx;
} ways[] = {
	{DOOR_KEYS_SECRET, KTLS_OFF, KTLS_OFF},
	{DOOR_KEYS_SECRET, KTLS_REQUIRE, KTLS_REQUIRE},
	{DOOR_KEYS_SECRET, KTLS_OFF, KTLS_REQUIRE},
	{DOOR_KEYS_SECRET, KTLS_REQUIRE, KTLS_OFF},
	{DOOR_IMPORTED, KTLS_REQUIRE, KTLS_REQUIRE},
	{DOOR_RELEASED, KTLS_REQUIRE, KTLS_REQUIRE},
};

static void start(struct pair *p, const struct way *way, bool old, bool client)
{
	const struct pair_options o = {.door = way->door,
				       .tx = way->tx,
				       .rx = way->rx,
				       .version = old ? TLS1_2_VERSION
						      : TLS1_3_VERSION,
				       .server = !client};

	fake_reset();
	pair_start(p, &o);
	pair_receive(p, 10, 10);
	p->peer_key.seq++;
	assert_int_equal(pair_info(p).release_ssl, 1);
}

/* What the peer sends with from now on, in user space. */
static void next_key(struct pair *p)
{
	const bool server = !p->o.server;
	const struct ktls__cipher *cipher = ktls__cipher_find("AES-256-GCM");
	struct ktls__keys keys;

	p->injected = 0;
	if (fake_socket(p->fd)->rx.on)
		return;
	assert_int_equal(
		ktls__kdf_update("SHA384", p->secrets.secret[server], 48), 0);
	assert_int_equal(ktls__kdf_tls13(cipher, "SHA384",
					 p->secrets.secret[server], 48, &keys),
			 0);
	memcpy(p->peer_key.key, keys.key, 32);
	memcpy(p->peer_key.iv, keys.iv, 12);
	p->peer_key.seq = 0;
}

/* 100 bytes each way. */
static void goes_on(struct pair *p)
{
	uint8_t sent[100], buf[100];

	if (fake_socket(p->fd)->rx.on)
		p->injected = 0;
	fake_pattern(THEIRS, 10, sent, 100);
	pair_inject(p, 23, sent, 100);
	assert_int_equal(ktls_read(p->conn, buf, 100), 100);
	assert_memory_equal(buf, sent, 100);
	pair_send(p, 100, 100);
	pair_settle(p);
	pair_peer_ok(p);
}

static void ends(struct pair *p, const struct line *l)
{
	uint8_t buf[100];

	for (int i = 0; i < 3; i++)
		assert_errno(ktls_read(p->conn, buf, 100), l->result);
	assert_errno(ktls_write(p->conn, "x", 1), l->result);
	assert_int_equal(pair_error(p).code, l->result);
	pair_peer(p);
	/* it got the alert, and nothing else */
	assert_int_equal(pair_error(p).alert_sent, l->sent ? l->sent : -1);
	assert_true(p->peer_error == (l->sent ? SSL_ERROR_SSL : 0));
	if (l->sent)
		assert_non_null(strstr(p->peer_text, "alert"));
}

static void run(const struct line *l, const struct way *way)
{
	uint8_t buf[100];
	struct pair p;
	ssize_t n;

	start(&p, way, l->old, l->client);
	for (size_t i = 0; i < ARRAY_SIZE(l->record); i++)
		if (l->record[i].p)
			pair_inject(&p, l->record[i].type, l->record[i].p,
				    l->record[i].n);
	errno = 0;
	n = ktls_read(p.conn, buf, 100);
	assert_int_equal(n, l->result == END ? 0 : -1);
	if (l->result == GOES_ON)
		assert_int_equal(errno, EAGAIN);
	if (l->received)
		assert_int_equal(pair_error(&p).alert_received, l->received);
	if (l->new_key)
		next_key(&p);
	if (l->result > 0)
		ends(&p, l);
	else if (l->result == END)
		assert_int_equal(ktls_read(p.conn, buf, 100), 0);
	else if (!l->peer)
		goes_on(&p);
	pair_peer(&p);
	if (l->peer)
		assert_non_null(strstr(p.peer_text, l->peer));
	if (l->new_key)
		assert_int_equal(pair_info(&p).rx.rekeys, 1);
	assert_no_leak(&p);
	pair_free(&p);
}

static void line_has_its_result(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		run(*state, &ways[i]);
}

/* Between records: what no record begins with. */
static void header_that_is_none(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t n;
		int e;
	} headers[] = {
		{{20, 3, 3, 0, 0}, 5, EPROTO},
		{{20, 3, 3, 0, 1, 1}, 6, EPROTO},
		{{24, 3, 3, 0, 3}, 5, EPROTO},
		{{0}, 1, EPROTO},
		{{23, 2, 3, 0, 3}, 5, EPROTO},
		{{23, 3, 4, 0, 3}, 5, EPROTO},
		{{23, 3, 3, 0xff, 0xff}, 5, EPROTO},
		{{23, 3, 3, 0, 0}, 5, EBADMSG},
		{{23, 3, 3, 0, 3, 1, 2, 3}, 8, EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(headers); i++) {
		const size_t k = i / 2;
		struct fake_bytes *wire;
		uint8_t buf[100];
		struct pair p;

		start(&p, &ways[0], i & 1, false);
		wire = &fake_socket(p.peer_fd)->wire;
		wire->off = wire->len = 0;
		p.peer_todo = 20;
		pair_peer(&p);
		assert_int_equal(ktls_read(p.conn, buf, 100), 20);
		assert_int_equal(fake_raw_write(p.peer_fd, headers[k].bytes,
						headers[k].n),
				 headers[k].n);
		/* the same records again, if the numbers began again */
		assert_true(wire->len > 20);
		assert_true(fake_raw_write(p.peer_fd, wire->p, wire->len) > 0);
		for (int n = 0; n < 3; n++)
			assert_errno(ktls_read(p.conn, buf, 100), headers[k].e);
		pair_free(&p);
	}
}

/* Nothing is lost by a call that found no memory, wherever in a record. */
static void transient_errors_pass(void **state)
{
	static const int errors[] = {ENOMEM, ENOBUFS};

	(void)state;
	for (unsigned int nth = 1; nth < 60; nth++) {
		const int e = errors[nth & 1];
		bool failed = false;
		uint8_t buf[50];
		struct pair p;

		start(&p, &ways[0], false, false);
		p.peer_todo = 100;
		pair_peer(&p);
		fake_limit(FAKE_RECV, 3);
		fake_fail(FAKE_RECV, nth, e);
		while (p.got < 110) {
			const ssize_t n = ktls_read(p.conn, buf, sizeof(buf));

			if (n < 0) {
				assert_int_equal(errno, e);
				assert_false(failed);
				failed = true;
				continue;
			}
			assert_int_equal(fake_pattern_check(THEIRS, p.got, buf,
							    (size_t)n),
					 n);
			p.got += (uint64_t)n;
		}
		/* two for the header, 39 for the rest */
		assert_int_equal(failed, nth <= 41);
		fake_heal();
		doors_talk(&p);
		pair_finish(&p);
	}
}

/* With keys alone nothing can follow them. */
static void update_without_a_secret_is_the_end(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		const struct way way = {DOOR_KEYS_KEY,
					i & 1 ? KTLS_REQUIRE : KTLS_OFF,
					i & 2 ? KTLS_REQUIRE : KTLS_OFF};
		uint8_t buf[10];
		struct pair p;

		start(&p, &way, false, false);
		assert_errno(ktls_rekey(p.conn, 1), ENOTSUP);
		pair_send(&p, 10, 10);
		assert_int_equal(SSL_key_update(p.peer, 1), 1);
		assert_int_equal(SSL_do_handshake(p.peer), 1);
		for (int n = 0; n < 3; n++)
			assert_errno(ktls_read(p.conn, buf, 10), EKEYEXPIRED);
		assert_int_equal(pair_error(&p).alert_sent, 80);
		pair_free(&p);
	}
}

int main(void)
{
	static struct ktest_table t;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		ktest_add(&t, line_has_its_result, (void *)(uintptr_t)&lines[i],
			  "%s", lines[i].name);
	ktest_add(&t, header_that_is_none, NULL, "header_that_is_none");
	ktest_add(&t, transient_errors_pass, NULL, "transient_errors_pass");
	ktest_add(&t, update_without_a_secret_is_the_end, NULL,
		  "update_without_a_secret_is_the_end");
	r = ktest_run_table("message", &t);
	certs_free();
	return r;
}
