/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * slots: a root scheduler without a policy of its own. Each callback ends in a tail call into the selected bank; what
 * comes after is for a slot that is empty. A policy is changed by a store to state.bank while everything runs.
 */
#include "slots.bpf.h"

char _license[] SEC("license") = "GPL";

/* Tail calls with the bank as index, instead of a branch to one of two direct jumps. */
const volatile bool indirect = false;

struct slots_state state SEC(".data.slots");

SLOT_ARRAY(select_cpu);
SLOT_ARRAY(enqueue);
SLOT_ARRAY(dispatch);
SLOT_ARRAY(running);
SLOT_ARRAY(stopping);
SLOT_ARRAY(enable);

/* With a constant index the kernel's JIT makes a direct jump of it, which it patches when the element is stored. */
#define slot_call(callback)								\
({											\
	u32 bank = *(volatile u32 *)&state.bank;					\
											\
	if (indirect)									\
		bpf_tail_call(ctx, &callback##_slots, bank);				\
	else if (bank)									\
		bpf_tail_call_static(ctx, &callback##_slots, 1);			\
	else										\
		bpf_tail_call_static(ctx, &callback##_slots, 0);			\
})

s32 SCX_OP(slots_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	bool is_idle = false;
	s32 cpu;

	slot_call(select_cpu);

	cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &is_idle);
	if (is_idle)
		scx_dsq_insert(p, SCX_DSQ_LOCAL, SCX_SLICE_DFL, 0);
	return cpu;
}

void SCX_OP(slots_enqueue, struct task_struct *p, u64 enq_flags)
{
	slot_call(enqueue);

	__sync_fetch_and_add(&state.fallbacks, 1);
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, enq_flags);
}

void SCX_OP(slots_dispatch, s32 cpu, struct task_struct *prev)
{
	u64 drain_dsq = *(volatile u64 *)&state.drain_dsq;

	/* The queue of a policy that has gone: nobody else knows it. */
	if (drain_dsq && scx_dsq_move_to_local(drain_dsq, 0))
		return;
	slot_call(dispatch);
}

void SCX_OP(slots_running, struct task_struct *p)
{
	slot_call(running);
}

void SCX_OP(slots_stopping, struct task_struct *p, bool runnable)
{
	slot_call(stopping);
}

void SCX_OP(slots_enable, struct task_struct *p)
{
	slot_call(enable);
}

s32 SCX_OP_SLEEPABLE(slots_init)
{
	state.exit_kind = 0;
	return 0;
}

void SCX_OP_SLEEPABLE(slots_exit, struct scx_exit_info *info)
{
	bpf_probe_read_kernel_str(state.exit_message, sizeof(state.exit_message), info->msg);
	__sync_lock_test_and_set(&state.exit_kind, (int)info->kind);
}

SEC("syscall")
int slots_count_queued(struct slots_request *request)
{
	request->answer = scx_bpf_dsq_nr_queued(request->dsq);
	return 0;
}

SEC("syscall")
int slots_reenqueue(struct slots_request *request)
{
	request->answer = scx_can_reenq();
	scx_dsq_reenq(request->dsq, 0);
	return 0;
}

SCX_OPS(slots_ops) = {
	.select_cpu = (void *)slots_select_cpu,
	.enqueue = (void *)slots_enqueue,
	.dispatch = (void *)slots_dispatch,
	.running = (void *)slots_running,
	.stopping = (void *)slots_stopping,
	.enable = (void *)slots_enable,
	.init = (void *)slots_init,
	.exit = (void *)slots_exit,
	.timeout_ms = 5000,
	.name = "slots",
};
