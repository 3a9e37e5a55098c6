/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why the kernel took the policy out: the exit callback copies it to memory that the host has mapped. Layout and names
 * are the customary ones of sched_ext schedulers, so that the host reads everybody's objects alike.
 *
 *	SCX_EXIT_INFO(uei);
 *
 *	void SCX_OP_SLEEPABLE(my_exit, struct scx_exit_info *info)
 *	{
 *		scx_exit_info_record(uei, info);
 *	}
 *
 * and scx_exit_info_reset(uei) in init, for a policy that is attached again.
 */
#pragma once

#include "common.bpf.h"

struct scx_user_exit_info {
	int kind; /* of enum scx_exit_kind; written last: not zero means that the rest is complete */
	s64 exit_code;
	char reason[128];
	char msg[1024];
};

/*
 * The dump is a section of its own: before load, the host grows it to the length that it wants and writes that length
 * to <name>_dump_len. As compiled there is no dump.
 */
#define SCX_EXIT_INFO(name)						\
	struct scx_user_exit_info name SEC(".data");			\
	char name##_dump[1] SEC(".data." #name "_dump");		\
	const volatile u32 name##_dump_len

#define scx_exit_info_record(name, info)								\
({													\
	bpf_probe_read_kernel_str(name.reason, sizeof(name.reason), (info)->reason);			\
	bpf_probe_read_kernel_str(name.msg, sizeof(name.msg), (info)->msg);				\
	if (name##_dump_len)										\
		bpf_probe_read_kernel_str(name##_dump, name##_dump_len, (info)->dump);			\
	if (bpf_core_field_exists((info)->exit_code))							\
		name.exit_code = (info)->exit_code;							\
	/* an atomic exchange is a full barrier */							\
	__sync_lock_test_and_set(&name.kind, (int)(info)->kind);					\
})

#define scx_exit_info_reset(name) __sync_lock_test_and_set(&name.kind, 0)
