/* SPDX-License-Identifier: MIT */
/* Ancillary data: what is trusted, and what is not. */
#include <errno.h>
#include <sys/socket.h>

#include "ktest.h"

#include "compat.h"
#include "fakesys.h"
#include "record.h"

static const struct fake_reply good = {
	.result = 5,
	.flags = MSG_EOR,
	.cmsg = true,
	.level = KTLS__SOL_TLS,
	.type = KTLS__GET_RECORD_TYPE,
	.cmsg_data = 1,
	.value = 22,
};

static ssize_t receive(const struct fake_reply *reply, struct ktls__record_in *in)
{
	char buf[64];
	const struct iovec iov = {buf, sizeof(buf)};
	int fd[2];

	fake_reset();
	fake_tcp_pair(fd, 100);
	fake_script_recvmsg(reply);
	return ktls__record_recv(fd[0], &iov, 1, in);
}

static void good_record_has_type_and_end(void **state)
{
	struct ktls__record_in in;
	struct fake_reply r = good;

	(void)state;
	assert_int_equal(receive(&r, &in), 5);
	assert_int_equal(in.type, 22);
	assert_true(in.end);
	r.flags = 0;
	assert_int_equal(receive(&r, &in), 5);
	assert_false(in.end);
}

static void type_that_cannot_be_trusted_is_eproto(void **state)
{
	struct ktls__record_in in;
	struct fake_reply r = good;

	(void)state;
	r.cmsg = false;
	assert_int_equal(receive(&r, &in), -EPROTO);
	r = good;
	r.level = SOL_SOCKET;
	assert_int_equal(receive(&r, &in), -EPROTO);
	r = good;
	r.type = KTLS__SET_RECORD_TYPE;
	assert_int_equal(receive(&r, &in), -EPROTO);
	r = good;
	r.cmsg_data = 0;
	assert_int_equal(receive(&r, &in), -EPROTO);
	r = good;
	r.cmsg_data = 2;
	assert_int_equal(receive(&r, &in), -EPROTO);
	r = good;
	r.flags |= MSG_CTRUNC;
	assert_int_equal(receive(&r, &in), -EPROTO);
}

static void too_long_control_data_is_eproto(void **state)
{
	struct ktls__record_in in;
	struct fake_reply r = good;

	(void)state;
	/* does not fit: the kernel says MSG_CTRUNC and gives none */
	for (r.cmsg_data = 2; r.cmsg_data <= 8; r.cmsg_data++)
		assert_int_equal(receive(&r, &in), -EPROTO);
}

static void empty_records_are_data_only(void **state)
{
	struct ktls__record_in in;
	struct fake_reply r = good;

	(void)state;
	r.result = 0;
	assert_int_equal(receive(&r, &in), -EPROTO);
	r.value = 21;
	assert_int_equal(receive(&r, &in), -EPROTO);
	r.value = 23;
	assert_int_equal(receive(&r, &in), -EINTR);
}

static void end_of_stream_is_0(void **state)
{
	const struct fake_reply r = {.result = 0};
	struct ktls__record_in in;

	(void)state;
	assert_int_equal(receive(&r, &in), 0);
}

static void errors_of_the_kernel_pass(void **state)
{
	static const int errors[] = {EAGAIN, EBADMSG, EMSGSIZE,
				     EIO,    EINVAL,  ECONNRESET};
	struct ktls__record_in in;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		const struct fake_reply r = {.result = -errors[i]};

		assert_int_equal(receive(&r, &in), -errors[i]);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(good_record_has_type_and_end),
	cmocka_unit_test(type_that_cannot_be_trusted_is_eproto),
	cmocka_unit_test(too_long_control_data_is_eproto),
	cmocka_unit_test(empty_records_are_data_only),
	cmocka_unit_test(end_of_stream_is_0),
	cmocka_unit_test(errors_of_the_kernel_pass),
};

KTEST_MAIN("record", tests)
