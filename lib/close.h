/* SPDX-License-Identifier: MIT */
/* How far ktls_shutdown() has come. */
#ifndef KTLS_CLOSE_H
#define KTLS_CLOSE_H

enum ktls__shutdown {
	KTLS__OPEN = 0,
	KTLS__NOTIFY, /* close_notify is to be made */
	KTLS__FLUSH,  /* it is on its way to the socket */
	KTLS__QUEUE,  /* everything is on its way to TCP */
	KTLS__FIN,    /* TCP has it all; our side is to be closed */
	KTLS__DRAIN,  /* the peer's close is awaited */
	KTLS__DONE
};

#endif
