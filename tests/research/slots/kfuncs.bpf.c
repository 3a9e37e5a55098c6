/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kfuncs: a policy for slots that calls each kfunc of interest in turn and counts what came of it. What it inserts runs
 * only if the calls worked, so that a load that comes to its end is part of the answer.
 */
#include "slots.bpf.h"

char _license[] SEC("license") = "GPL";

const volatile u64 own_dsq = 1;
#define FIFO_DSQ own_dsq
#define VTIME_DSQ (own_dsq + 1)

struct kfuncs_state state SEC(".data.kfuncs");

static u32 turn;

#define count(what, worked)						\
({									\
	__sync_fetch_and_add(&state.what.asked, 1);			\
	__sync_fetch_and_add(&state.what.done, (worked) ? 1 : 0);	\
})

s32 SCX_OP(kfuncs_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	bool is_idle = false;
	s32 cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &is_idle);

	count(select_cpu_dfl, cpu >= 0);
	if (is_idle && (turn & 8))
		count(insert_local, scx_dsq_insert(p, SCX_DSQ_LOCAL, SLOT_SLICE_NS, 0));
	return cpu;
}

void SCX_OP(kfuncs_enqueue, struct task_struct *p, u64 enq_flags)
{
	switch (__sync_fetch_and_add(&turn, 1) % 4) {
	case 0:
		count(insert_global, scx_dsq_insert(p, SCX_DSQ_GLOBAL, SLOT_SLICE_NS, enq_flags));
		break;
	case 1:
		count(insert_vtime, scx_dsq_insert_vtime(p, VTIME_DSQ, SLOT_SLICE_NS, p->scx.dsq_vtime, enq_flags));
		break;
	default:
		count(insert_fifo, scx_dsq_insert(p, FIFO_DSQ, SLOT_SLICE_NS, enq_flags));
		break;
	}
	scx_bpf_kick_cpu(scx_bpf_task_cpu(p), SCX_KICK_IDLE);
	count(kick_cpu, true);
}

void SCX_OP(kfuncs_dispatch, s32 cpu, struct task_struct *prev)
{
	struct task_struct *p;

	if (scx_bpf_dsq_nr_queued(FIFO_DSQ) > 0)
		count(move_to_local, scx_dsq_move_to_local(FIFO_DSQ, 0));

	bpf_for_each(scx_dsq, p, VTIME_DSQ, 0) {
		count(move, scx_bpf_dsq_move(SCX_ITERATOR, p, SCX_DSQ_GLOBAL, 0));
		break;
	}
}

void SCX_OP(kfuncs_running, struct task_struct *p)
{
	/* Enough to see the effect of: the tasks of the other queue are handed back to enqueue. */
	if (scx_can_reenq() && turn % 64 == 0) {
		scx_dsq_reenq(FIFO_DSQ, 0);
		count(reenq, true);
	}
}

void SCX_OP(kfuncs_stopping, struct task_struct *p, bool runnable)
{
	u64 vtime = p->scx.dsq_vtime + 1000;

	scx_task_set_dsq_vtime(p, vtime);
	count(set_vtime, p->scx.dsq_vtime == vtime);
}

SEC("syscall")
int setup(struct slots_request *request)
{
	request->answer = scx_bpf_create_dsq(FIFO_DSQ, -1) ?: scx_bpf_create_dsq(VTIME_DSQ, -1);
	return 0;
}

SCX_OPS(kfuncs_ops) = {
	.select_cpu = (void *)kfuncs_select_cpu,
	.enqueue = (void *)kfuncs_enqueue,
	.dispatch = (void *)kfuncs_dispatch,
	.running = (void *)kfuncs_running,
	.stopping = (void *)kfuncs_stopping,
	.name = "kfuncs",
};
