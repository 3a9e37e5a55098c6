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

static const struct scx_cmask __arena *all_cids(void)
{
	return (const struct scx_cmask __arena *)&qa.all_cids;
}

s32 SCX_OP_SLEEPABLE(qmap_sub_attach, struct scx_sub_attach_args *args)
{
	u64 id = args->ops->sub_cgroup_id;
	u32 i;

	bpf_for(i, 0, QMAP_MAX_SUBS) {
		if (__sync_val_compare_and_swap(&qa.sub_cgroup_ids[i], 0, id))
			continue;
		__sync_fetch_and_add(&qa.nr_subs, 1);
		/* What qmap does not have itself is refused, and then not missed here either. */
		scx_bpf_sub_grant(id, SCX_ENUM(scx_cap_flags, SCX_CAP_ENQ), all_cids(), NULL);
		scx_bpf_sub_grant(id, SCX_ENUM(scx_cap_flags, SCX_CAP_PREEMPT), all_cids(), NULL);
		scx_bpf_sub_grant(id, SCX_ENUM(scx_cap_flags, SCX_CAP_PERF), all_cids(), NULL);
		message("sub-scheduler attached below cgroup %llu", id);
		return 0;
	}
	return -SCX_ENOSPC;
}

void SCX_OP_SLEEPABLE(qmap_sub_detach, struct scx_sub_detach_args *args)
{
	u64 id = args->ops->sub_cgroup_id;
	u32 i;

	bpf_for(i, 0, QMAP_MAX_SUBS) {
		if (__sync_val_compare_and_swap(&qa.sub_cgroup_ids[i], id, 0) != id)
			continue;
		__sync_fetch_and_sub(&qa.nr_subs, 1);
		message("sub-scheduler below cgroup %llu detached", id);
	}
}

/* The set of all CPUs, in the form that the kernel wants. */
static void fill_all_cids(void)
{
	u32 word, nr = nr_cpus();

	qa.all_cids.base = 0;
	qa.all_cids.nr_cids = nr;
	qa.all_cids.alloc_words = QMAP_MAX_CPUS / 64 + 1;
	bpf_for(word, 0, QMAP_MAX_CPUS / 64) {
		u64 bits = ~0ULL;

		if (word * 64 >= nr)
			bits = 0;
		else if (nr - word * 64 < 64)
			bits = (1ULL << (nr & 63)) - 1;
		qa.all_cids.bits[word] = bits;
		qa.idle_cids[word] = 0;
	}
}
