/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * my_sched: a task that wakes up goes straight to an idle CPU if there is one; all others wait in one queue for the whole
 * machine, the kernel's global one, in the order of their arrival.
 */
#include <scxhost/bpf/common.bpf.h>
#include <scxhost/bpf/exit_info.bpf.h>

char _license[] SEC("license") = "GPL";

SCX_OPTION("slice", duration, "How long a task may run before others get their turn")
SCX_UNIT("ns") SCX_MIN("100us") SCX_MAX("1s")
const volatile u64 slice_ns = 5000000;

SCX_OPTION("direct", bool, "Send a task that wakes up straight to an idle CPU, past the queue")
const volatile bool direct = true;

struct my_sched_stats {
	SCX_COUNTER("Tasks sent straight to an idle CPU") u64 direct;
	SCX_COUNTER("Tasks that had to wait in the queue") u64 queued;
} stats;

SCX_EXIT_INFO(uei);

s32 SCX_OP(my_sched_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	bool is_idle = false;
	s32 cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &is_idle);

	if (is_idle && direct) {
		__sync_fetch_and_add(&stats.direct, 1);
		scx_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
	}
	return cpu;
}

void SCX_OP(my_sched_enqueue, struct task_struct *p, u64 enq_flags)
{
	__sync_fetch_and_add(&stats.queued, 1);
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, slice_ns, enq_flags);
}

s32 SCX_OP_SLEEPABLE(my_sched_init)
{
	scx_exit_info_reset(uei); /* the same object may be attached again */
	return 0;
}

void SCX_OP_SLEEPABLE(my_sched_exit, struct scx_exit_info *info)
{
	scx_exit_info_record(uei, info);
}

SCX_OPS(my_sched_ops) = {
	.select_cpu = (void *)my_sched_select_cpu,
	.enqueue = (void *)my_sched_enqueue,
	.init = (void *)my_sched_init,
	.exit = (void *)my_sched_exit,
	.name = "my_sched",
};
