/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * faulty: a policy that leaves in every way the kernel knows, chosen by its option, for the tests of the host. Until its
 * fault comes it runs tasks from the kernel's global queue.
 */
#include <scxhost/bpf/common.bpf.h>
#include <scxhost/bpf/exit_info.bpf.h>

#include "faulty.h"

char _license[] SEC("license") = "GPL";

SCX_OPTION("fault", enum, "What goes wrong") SCX_PREFIX(FAULT_) SCX_FAULT
const volatile enum fault fault = FAULT_NONE;

SCX_OPTION("after", int, "Tasks that are enqueued before it goes wrong") SCX_FAULT
const volatile u64 after = 100;

SCX_OPTION("throws", enum, "The callback of the user-space half that throws") SCX_PREFIX(THROWS_) SCX_FAULT
const volatile enum throws throws = THROWS_NOTHING;

SCX_OPTION("timeout", duration, "A runnable task that waits longer than this ejects the policy")
SCX_UNIT("ms") SCX_MIN("1s") SCX_MAX("30s") SCX_SETS_OPS(timeout_ms)
const volatile u32 timeout_ms = 30000;

struct faulty_stats {
	SCX_COUNTER("Tasks enqueued") u64 enqueued;
};
struct faulty_stats stats;

SCX_EXIT_INFO(uei);

/* No direct dispatch to an idle CPU: each task that wakes up is enqueued, so that the fault comes on an idle machine too. */
s32 SCX_OP(faulty_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	return prev_cpu;
}

void SCX_OP(faulty_enqueue, struct task_struct *p, u64 enq_flags)
{
	u64 nr = __sync_fetch_and_add(&stats.enqueued, 1);

	/* The user-space half has given its thread this name. */
	if (fault == FAULT_DETACHING && p->comm[0] == '!')
		scx_error("faulty: error while detaching");

	if (nr >= after) {
		switch (fault) {
		case FAULT_ERROR:
			scx_error("faulty: error after %llu tasks", nr);
			break;
		case FAULT_MISUSE:
			scx_dsq_insert(p, 4711, SCX_SLICE_DFL, enq_flags);
			return;
		case FAULT_STALL:
			/* Lost: nobody will run it. Kernel threads go on, or the guest would stop altogether. */
			if (!(p->flags & PF_KTHREAD))
				return;
			break;
		case FAULT_EXIT:
			scx_exit(42, "faulty: leaving");
			break;
		case FAULT_RESTART:
			scx_exit(1LL << 48, "faulty: once more");
			break;
		default:
			break;
		}
	}
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, enq_flags);
}

s32 SCX_OP_SLEEPABLE(faulty_init_task, struct task_struct *p, struct scx_init_task_args *args)
{
	return fault == FAULT_INIT_TASK ? -SCX_ENOMEM : 0;
}

s32 SCX_OP_SLEEPABLE(faulty_init)
{
	scx_exit_info_reset(uei);
	if (fault == FAULT_INIT) {
		scx_error("faulty: init refuses");
		return -SCX_EINVAL;
	}
	return 0;
}

void SCX_OP_SLEEPABLE(faulty_exit, struct scx_exit_info *info)
{
	scx_exit_info_record(uei, info);
}

SCX_OPS(faulty_ops) = {
	.select_cpu = (void *)faulty_select_cpu,
	.enqueue = (void *)faulty_enqueue,
	.init_task = (void *)faulty_init_task,
	.init = (void *)faulty_init,
	.exit = (void *)faulty_exit,
	.name = "faulty",
};
