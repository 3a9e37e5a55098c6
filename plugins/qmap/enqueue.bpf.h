/* SPDX-License-Identifier: GPL-2.0-only */
/* How tasks come and go: select_cpu, enqueue, dequeue. */
#pragma once

#include "queues.bpf.h"

/* The dispatch queues. LOWPRI is only served by the kernel's re-enqueueing: see timers.bpf.h. */
enum {
	SHARED_DSQ = 0,
	HIGHPRI_DSQ = 1,
	LOWPRI_DSQ = 2,
};

static u32 user_tasks_seen, kernel_tasks_seen, enqueues_seen, immed_stress_seen;

/* A task sent to a CPU that is busy would only come back. */
static bool immed_only(void)
{
	return always_enq_immed && bpf_core_enum_value_exists(enum scx_ops_flags, SCX_OPS_ALWAYS_ENQ_IMMED);
}

/*
 * A CPU that can run the task now, claimed, or -1. A kernel thread that belongs to one CPU need not wait until that is
 * idle. A user's task must: two of them that wake each other would keep all others from that CPU for good.
 */
static s32 pick_direct_cpu(struct task_struct *p, s32 prev_cpu)
{
	if (p->nr_cpus_allowed == 1 && (p->flags & PF_KTHREAD) && !immed_only())
		return prev_cpu;
	if (claim_idle(prev_cpu))
		return prev_cpu;
	return claim_any_idle(p);
}

s32 SCX_OP(qmap_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	task_ctx_t *taskc = lookup_task_ctx(p);
	s32 cpu;

	if (!taskc || is_lowpri(p))
		return prev_cpu;
	cpu = pick_direct_cpu(p, prev_cpu);
	if (cpu < 0)
		return prev_cpu;
	taskc->force_local = true;
	return cpu;
}

static bool lose_on_purpose(struct task_struct *p)
{
	if (p->flags & PF_KTHREAD)
		return is_nth(&kernel_tasks_seen, stall_kernel_nth);
	return is_nth(&user_tasks_seen, stall_user_nth);
}

void SCX_OP(qmap_enqueue, struct task_struct *p, u64 enq_flags)
{
	u32 index = weight_to_queue(p->scx.weight);
	bool reenqueued = enq_flags & SCX_ENQ_REENQ;
	task_ctx_t *taskc;
	s32 cpu;

	if (reenqueued) {
		cpu_ctx_t *cpuc = this_cpu_ctx();

		cpuc->reenqueued++;
		if (!task_cpu(p))
			cpuc->reenqueued_cpu0++;
	}
	if (lose_on_purpose(p))
		return;
	if (error_after && __sync_add_and_fetch(&enqueues_seen, 1) == error_after)
		scx_error("error_after: an error on purpose, after %u enqueues", error_after);

	taskc = lookup_task_ctx(p);
	if (!taskc)
		return;
	leave_queue(taskc);
	taskc->core_sched_seq = next_core_sched_seq(index);

	if (is_nth(&immed_stress_seen, immed_stress_nth)) {
		taskc->force_local = false;
		scx_dsq_insert(p, SCX_DSQ_LOCAL_ON | task_cpu(p), slice_ns, enq_flags);
		return;
	}

	/* select_cpu has found an idle CPU. */
	if (taskc->force_local) {
		taskc->force_local = false;
		scx_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, enq_flags);
		return;
	}

	if (is_lowpri(p) && scx_can_reenq() && !reenqueued) {
		scx_dsq_insert(p, LOWPRI_DSQ, slice_ns, enq_flags);
		return;
	}

	/* The kernel does not ask select_cpu for a task that may run on one CPU only, or that did not sleep. */
	if (!(enq_flags & SCX_ENQ_CPU_SELECTED) && !is_lowpri(p)) {
		cpu = pick_direct_cpu(p, task_cpu(p));
		if (cpu >= 0) {
			this_cpu_ctx()->direct_from_enqueue++;
			scx_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu, slice_ns, enq_flags);
			return;
		}
	}

	/*
	 * Its CPU was taken away: not to the end of a queue again, but to where the next free CPU looks first. LOWPRI's
	 * wait their turn: two of them that never sleep would always have one there, and nothing else would ever run.
	 */
	if (reenqueued && !is_lowpri(p))
		scx_dsq_insert(p, SHARED_DSQ, slice_ns, enq_flags);
	else if (!queue_push(p, taskc, index))
		scx_dsq_insert(p, SCX_DSQ_GLOBAL, slice_ns, enq_flags);

	/* The kernel calls nobody for it. A CPU that is just going idle cannot be claimed yet: let its own look again. */
	if (reenqueued) {
		cpu = claim_any_idle(p);
		kick(cpu >= 0 ? cpu : task_cpu(p), SCX_KICK_IDLE);
	}
}

void SCX_OP(qmap_dequeue, struct task_struct *p, u64 deq_flags)
{
	cpu_ctx_t *cpuc = this_cpu_ctx();
	task_ctx_t *taskc;

	cpuc->dequeued++;
	if (deq_flags & SCX_DEQ_CORE_SCHED_EXEC)
		cpuc->core_sched_execed++;
	/* From 7.1 on also, without a flag, when a task that qmap has dispatched comes to run: it is in no queue. */
	if (!deq_flags && bpf_core_enum_value_exists(enum scx_deq_flags, SCX_DEQ_SCHED_CHANGE))
		return;
	taskc = lookup_task_ctx(p);
	if (taskc)
		leave_queue(taskc);
}
