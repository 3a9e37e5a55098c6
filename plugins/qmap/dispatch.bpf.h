/* SPDX-License-Identifier: GPL-2.0-only */
/* What an idle CPU gets. */
#pragma once

#include <scxhost/bpf/sub.bpf.h>

#include "highpri.bpf.h"

static struct scx_children children;

static u64 dispatches_seen;

/* Counts where a task came from: the five counters follow one another. */
static __always_inline void count_dispatch(cpu_ctx_t *cpuc, u32 index)
{
	__u64 __arena *from_queue = &cpuc->from_queue0;

	cpuc->dispatched++;
	from_queue[index]++;
}

/* Moves the task at a place of a queue to SHARED. False when it has gone. */
static bool dispatch_place(u64 place, u32 index, s32 cpu, cpu_ctx_t *cpuc)
{
	task_ctx_t *taskc;
	struct task_struct *p = queue_claim(place, cpuc, &taskc);

	if (!p)
		return false;
	qa.core_sched_head_seqs[index] = taskc->core_sched_seq;
	count_dispatch(cpuc, index);
	scx_dsq_insert(p, SHARED_DSQ, slice_ns, 0);
	/* Nobody may come to look for it in SHARED: call where it has been. */
	if (!may_run_on(p, cpu))
		kick(task_cpu(p), 0);
	bpf_task_release(p);
	return true;
}

/* Offers the CPU to one sub-scheduler after the other, each time to another one first. */
static bool dispatch_subs(cpu_ctx_t *cpuc)
{
	u32 i;

	if (!use_cids || !children.count)
		return false;
	bpf_for(i, 0, children.top) {
		u64 id;

		if (++cpuc->sub_cursor >= children.top)
			cpuc->sub_cursor = 0;
		id = scx_child_cgroup(&children, cpuc->sub_cursor);
		if (id && scx_sub_dispatch(id))
			return true;
	}
	return false;
}

/*
 * Serves the queues from this CPU's cursor on: queue i gives 2^i tasks before the cursor moves. True when the batch is
 * full, and something was offered to this CPU.
 */
static bool dispatch_queues(s32 cpu, cpu_ctx_t *cpuc)
{
	u32 batch = dispatch_batch ?: 1;
	u32 turn;
	u64 place;
	int i;

	if (queues_empty()) {
		cpuc->left = 0;
		return false;
	}
	bpf_for(turn, 0, QMAP_QUEUES) {
		u32 index;
		void *queue;

		if (!cpuc->left) {
			cpuc->cursor = (cpuc->cursor + 1) % QMAP_QUEUES;
			cpuc->left = 1 << cpuc->cursor;
			/* Once a round: children must not starve behind tasks that never sleep. */
			if (!cpuc->cursor && dispatch_subs(cpuc))
				return true;
		}
		index = cpuc->cursor;
		if (!qa.queue_lengths[index]) {
			cpuc->left = 0;
			continue;
		}
		queue = queue_of(index);
		if (!queue)
			break;

		bpf_for(i, 0, QUEUE_LENGTH) {
			if (!queue_get(index, queue, &place))
				break;
			if (!dispatch_place(place, index, cpu, cpuc))
				continue;
			cpuc->left--;
			batch--;
			if (!batch || !scx_bpf_dispatch_nr_slots()) {
				if (!dispatch_highpri(false))
					scx_dsq_move_to_local(SHARED_DSQ, 0);
				return true;
			}
			if (!cpuc->left)
				break;
		}
		cpuc->left = 0;
	}
	return false;
}

/*
 * The endless-dispatch knob: kthreadd sleeps nearly always, so to dispatch it gives the CPU nothing, and the kernel
 * asks again.
 */
static bool dispatch_without_end(void)
{
	struct task_struct *p;

	if (!dispatch_loop_after || __sync_fetch_and_add(&dispatches_seen, 1) < dispatch_loop_after)
		return false;
	p = bpf_task_from_pid(2);
	if (!p)
		return false;
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, slice_ns, 0);
	bpf_task_release(p);
	return true;
}

void SCX_OP(qmap_dispatch, s32 cpu, struct task_struct *prev)
{
	cpu_ctx_t *cpuc = cpu_ctx_of(cpu);
	task_ctx_t *taskc;

	if (dispatch_highpri(false))
		return;
	if (!(boost_highpri && qa.highpri_queued) && scx_dsq_move_to_local(SHARED_DSQ, 0))
		return;
	if (dispatch_without_end())
		return;
	if (dispatch_queues(cpu, cpuc))
		return;

	if (dispatch_subs(cpuc))
		return;

	/* Nothing else: the previous task runs on, as if it had been enqueued and taken at once. */
	if (prev) {
		taskc = find_task_ctx(prev);
		if (taskc)
			taskc->core_sched_seq = next_core_sched_seq(weight_to_queue(prev->scx.weight));
	}
}

/* The weights of the tasks that run on a CPU choose its performance: a quarter of its best for each queue above 0. */
void SCX_OP(qmap_tick, struct task_struct *p)
{
	/* Not this CPU: for one without a tick (nohz_full) another one ticks (sched_tick_remote() in 7.3.4). */
	s32 cpu = task_cpu(p);
	cpu_ctx_t *cpuc = cpu_ctx_of(cpu);

	cpuc->avg_weight = cpuc->avg_weight * 3 / 4 + p->scx.weight / 4;
	cpuc->perf_target = weight_to_queue(cpuc->avg_weight) * SCX_CPUPERF_ONE / 4;
	set_perf(cpu, cpuc->perf_target);
}
