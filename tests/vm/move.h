/* SPDX-License-Identifier: MIT */
/* The parts of ktls-vm-move. */
#ifndef KTLS_VM_MOVE_H
#define KTLS_VM_MOVE_H

#include "vmtest.h"

/* As many records as l->least and the short counts explain, no more. */
void vt_records_full(const struct vt_line *l);
/* Bytes that the pipe holds. */
size_t vt_pipe_level(int fd);

void vt_writev_cases(const struct vt_kind *k);
void vt_spans_cases(const struct vt_kind *k);
void vt_splice_in_cases(const struct vt_kind *k);
void vt_splice_out_cases(const struct vt_kind *k);
void vt_readv_cases(const struct vt_kind *k);
void vt_empty_cases(const struct vt_kind *k);
void vt_flush_cases(const struct vt_kind *k);

#endif
