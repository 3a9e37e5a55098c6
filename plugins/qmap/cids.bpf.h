/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What only the cid form has: qmap's own tracking of idle CPUs, and schedulers below it. Each child gets all that qmap
 * itself has, on all CPUs; qmap offers a CPU to its children in turn when the CPU has gone round the five queues, and
 * when it has nothing else.
 */
#pragma once

#include "cgroups.bpf.h"

void SCX_OP(qmap_update_idle, s32 cid, bool idle)
{
	cpu_ctx_t *cpuc = cpu_ctx_of(cid);

	/*
	 * A CPU that goes offline becomes idle once more, with interrupts off for good. It is not to be claimed; and a kick
	 * that it queued then would never be carried out: the kernel (7.3.4, free_kick_syncs) waits for it at detach, for ever.
	 */
	if (!idle || !cpuc->online) {
		forget_idle(cid);
		return;
	}
	__sync_lock_test_and_set(&cpuc->idle, 1);
	set_idle_bit(cid);
	/* A task that came between the last dispatch and this saw no idle CPU. */
	if (!queues_empty())
		kick(cid, SCX_KICK_IDLE);
}

struct scx_cids SCX_ARENA_GLOBAL all_cids;

s32 SCX_OP_SLEEPABLE(qmap_sub_attach, struct scx_sub_attach_args *args)
{
	u64 id = args->ops->sub_cgroup_id;
	s32 place = scx_children_add(&children, (u64)args->ops, id);

	if (place < 0)
		return place;
	/* What qmap does not have itself is refused, and then not missed here either. */
	scx_child_grant(id, SCX_GRANT_ENQ, &all_cids);
	scx_child_grant(id, SCX_GRANT_PREEMPT, &all_cids);
	scx_child_grant(id, SCX_GRANT_PERF, &all_cids);
	message("sub-scheduler attached below cgroup %llu", id);
	return 0;
}

void SCX_OP_SLEEPABLE(qmap_sub_detach, struct scx_sub_detach_args *args)
{
	u32 cid, nr = nr_cpus();

	if (scx_children_remove(&children, (u64)args->ops) < 0)
		return;
	/* What it asked of CPUs stays, and qmap's tick comes only to those that its own tasks run on. */
	bpf_for(cid, 0, nr) {
		cpu_ctx_t *cpuc = cpu_ctx_of(cid);

		set_perf(cid, cpuc->avg_weight ? cpuc->perf_target : SCX_CPUPERF_ONE);
	}
	message("sub-scheduler below cgroup %llu detached", args->ops->sub_cgroup_id);
}

/* Nobody is below, and no CPU is known to be idle. */
static void reset_cids(void)
{
	u32 word;

	scx_children_reset(&children);
	scx_cids_fill(&all_cids);
	bpf_for(word, 0, QMAP_MAX_CPUS / 64)
		qa.idle_cids[word] = 0;
}
