/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fifo: one queue in the order of arrival. It has fewer callbacks than the root has slots: those stay empty.
 */
#include "slots.bpf.h"

char _license[] SEC("license") = "GPL";

const volatile u64 own_dsq = 1;

s32 SCX_OP(fifo_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	bool is_idle = false;
	s32 cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &is_idle);

	if (is_idle)
		scx_dsq_insert(p, SCX_DSQ_LOCAL, SLOT_SLICE_NS, 0);
	return cpu;
}

void SCX_OP(fifo_enqueue, struct task_struct *p, u64 enq_flags)
{
	scx_dsq_insert(p, own_dsq, SLOT_SLICE_NS, enq_flags);
}

void SCX_OP(fifo_dispatch, s32 cpu, struct task_struct *prev)
{
	scx_dsq_move_to_local(own_dsq, 0);
}

s32 SCX_OP_SLEEPABLE(fifo_init)
{
	return scx_bpf_create_dsq(own_dsq, -1);
}

SEC("syscall")
int setup(struct slots_request *request)
{
	request->answer = scx_bpf_create_dsq(own_dsq, -1);
	return 0;
}

SCX_OPS(fifo_ops) = {
	.select_cpu = (void *)fifo_select_cpu,
	.enqueue = (void *)fifo_enqueue,
	.dispatch = (void *)fifo_dispatch,
	.init = (void *)fifo_init,
	.timeout_ms = 5000,
	.name = "fifo",
};
