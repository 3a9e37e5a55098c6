/* SPDX-License-Identifier: GPL-2.0-only */
/* What qmap adds to the kernel's debug dump. */
#pragma once

#include "dispatch.bpf.h"

/*
 * A queue can only be read by taking from it. The dump may be of a living scheduler (SysRq-D), so what is taken is put
 * back: once around, to a mark put at the end before.
 */
static void dump_queue(u32 index)
{
	u64 mark = 0, place;
	void *queue = queue_of(index);
	int i;

	if (!queue)
		return;
	scx_dump("qmap: queue %u:", index);
	if (!queue_put(index, queue, mark)) {
		scx_dump(" full\n");
		return;
	}
	bpf_for(i, 0, QUEUE_LENGTH) {
		if (!queue_get(index, queue, &place) || place == mark)
			break;
		scx_dump(" %d", (s32)place);
		queue_put(index, queue, place);
	}
	scx_dump("\n");
}

void SCX_OP(qmap_dump, struct scx_dump_ctx *dump)
{
	u32 index;

	if (suppress_dump)
		return;
	bpf_for(index, 0, QMAP_QUEUES)
		dump_queue(index);
	scx_dump("qmap: task contexts: %llu in use, at most %llu, of %llu; %llu pages\n", qa.task_ctxs.in_use,
		 qa.task_ctxs.high_water, qa.task_ctxs.capacity, qa.task_ctxs.pages);
}

void SCX_OP(qmap_dump_cpu, struct scx_dump_ctx *dump, s32 cpu, bool idle)
{
	cpu_ctx_t *cpuc = cpu_ctx_of(cpu);

	if (suppress_dump || idle)
		return;
	scx_dump("qmap: queue %u, %u more from it; average weight %u, performance %u", cpuc->cursor, cpuc->left,
		 cpuc->avg_weight, cpuc->perf_target);
}

void SCX_OP(qmap_dump_task, struct scx_dump_ctx *dump, struct task_struct *p)
{
	task_ctx_t *taskc;

	if (suppress_dump)
		return;
	taskc = find_task_ctx(p);
	if (!taskc)
		return;
	scx_dump("qmap: force_local %d, core_sched_seq %llu, highpri %d, in a queue %d", taskc->force_local,
		 taskc->core_sched_seq, taskc->highpri, taskc->ticket != 0);
}
