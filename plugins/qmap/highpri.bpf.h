/* SPDX-License-Identifier: GPL-2.0-only */
/* High priority: marked tasks overtake in the shared dispatch queue. */
#pragma once

#include "enqueue.bpf.h"

/* Of the next task to go to HIGHPRI. Not in the arena: timer callbacks may not use atomics there. */
static u64 highpri_vtime;

/* Takes marked tasks out of SHARED, in their order, with twice the slice. */
static void gather_highpri(void)
{
	struct task_struct *p;

	bpf_for_each(scx_dsq, p, SHARED_DSQ, 0) {
		task_ctx_t *taskc = find_task_ctx(p);

		if (!taskc || !taskc->highpri)
			continue;
		scx_bpf_dsq_move_set_slice(SCX_ITERATOR, slice_ns * 2);
		scx_bpf_dsq_move_set_vtime(SCX_ITERATOR, __sync_fetch_and_add(&highpri_vtime, 1));
		scx_bpf_dsq_move_vtime(SCX_ITERATOR, p, HIGHPRI_DSQ, 0);
	}
}

/*
 * Sends high-priority tasks to CPUs where they may run, ahead of what is there, until this CPU has one; true then.
 */
static bool dispatch_highpri(bool from_timer)
{
	s32 here = this_cpu();
	cpu_ctx_t *cpuc = cpu_ctx_of(here);
	struct task_struct *p;

	if (!boost_highpri)
		return false;
	gather_highpri();

	bpf_for_each(scx_dsq, p, HIGHPRI_DSQ, 0) {
		s32 cpu = here;

		if (!may_run_on(p, cpu))
			cpu = pick_any(p);
		if (!scx_bpf_dsq_move(SCX_ITERATOR, p, SCX_DSQ_LOCAL_ON | cpu, SCX_ENQ_PREEMPT)) {
			cpuc->expedited_lost++;
			continue;
		}
		if (from_timer)
			cpuc->expedited_from_timer++;
		if (cpu != here) {
			cpuc->expedited_remote++;
			continue;
		}
		cpuc->expedited_local++;
		return true;
	}
	return false;
}
