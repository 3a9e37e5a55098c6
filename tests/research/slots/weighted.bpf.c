/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * weighted: one queue in the order of weighted virtual time, as the policy `simple` has it. Attached as it is, it is what
 * the slots are measured against; loaded only, its callbacks go into slots, and `setup` stands in for init.
 */
#include "slots.bpf.h"

char _license[] SEC("license") = "GPL";

const volatile u64 own_dsq = 1;

/* The furthest virtual time that a task has started to run at. */
static u64 vtime_now;

s32 SCX_OP(weighted_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	bool is_idle = false;
	s32 cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &is_idle);

	if (is_idle)
		scx_dsq_insert(p, SCX_DSQ_LOCAL, SLOT_SLICE_NS, 0);
	return cpu;
}

void SCX_OP(weighted_enqueue, struct task_struct *p, u64 enq_flags)
{
	u64 vtime = p->scx.dsq_vtime;

	/* Sleeping, and running under another policy meanwhile, saves up one slice at most. */
	if (scx_time_before(vtime, vtime_now - SLOT_SLICE_NS))
		vtime = vtime_now - SLOT_SLICE_NS;
	scx_dsq_insert_vtime(p, own_dsq, SLOT_SLICE_NS, vtime, enq_flags);
}

void SCX_OP(weighted_dispatch, s32 cpu, struct task_struct *prev)
{
	scx_dsq_move_to_local(own_dsq, 0);
}

void SCX_OP(weighted_running, struct task_struct *p)
{
	if (scx_time_before(vtime_now, p->scx.dsq_vtime))
		vtime_now = p->scx.dsq_vtime;
}

void SCX_OP(weighted_stopping, struct task_struct *p, bool runnable)
{
	u64 left = p->scx.slice < SLOT_SLICE_NS ? p->scx.slice : 0;
	u64 used = (SLOT_SLICE_NS - left) * 100 / p->scx.weight;

	scx_task_set_dsq_vtime(p, p->scx.dsq_vtime + used);
}

void SCX_OP(weighted_enable, struct task_struct *p)
{
	scx_task_set_dsq_vtime(p, vtime_now);
}

s32 SCX_OP_SLEEPABLE(weighted_init)
{
	vtime_now = 0;
	return scx_bpf_create_dsq(own_dsq, -1);
}

SEC("syscall")
int setup(struct slots_request *request)
{
	request->answer = scx_bpf_create_dsq(own_dsq, -1);
	return 0;
}

SCX_OPS(weighted_ops) = {
	.select_cpu = (void *)weighted_select_cpu,
	.enqueue = (void *)weighted_enqueue,
	.dispatch = (void *)weighted_dispatch,
	.running = (void *)weighted_running,
	.stopping = (void *)weighted_stopping,
	.enable = (void *)weighted_enable,
	.init = (void *)weighted_init,
	.timeout_ms = 5000,
	.name = "weighted",
};
