/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who runs on each CPU. The kernel calls trunk's own callbacks for trunk's own tasks only, and a branch puts tasks on
 * CPUs without asking. So a tracer looks at every switch of a CPU from one task to another, as long as there are
 * branches.
 */
#pragma once

#include "shares.bpf.h"

#define FEW_TURNS 8

/* trunk's own struct scx_sched: it may itself be below another scheduler. Known from the first task on. */
static u64 own_sched;

/* It is on a run queue, under sched_ext. */
static bool is_runnable(const struct task_struct *p)
{
	return p->scx.flags & SCX_TASK_QUEUED;
}

/* The branch right below trunk that this scheduler is, or is below. */
static u32 branch_of(struct scx_sched *sched)
{
	struct scx_sched *own = bpf_core_cast((void *)own_sched, struct scx_sched);
	s32 level = own->level;
	const u64 *ancestors;
	u64 branch;
	u32 i;

	if (!own_sched || level < 0 || level >= MAX_DEPTH || sched->level <= level)
		return NOBODY;
	/* An index that is no constant is for memory only, as which the kernel takes anything that has no type. */
	ancestors = bpf_rdonly_cast(sched->ancestors, 0);
	branch = ancestors[level + 1];
	bpf_for(i, 1, nr_entities())
		if (entity_at(i)->sch == branch)
			return i;
	return NOBODY;
}

static u32 owner_of(struct task_struct *p)
{
	struct scx_sched *sched = p->scx.sched;

	if (!is_runnable(p) || !sched)
		return NOBODY;
	return (u64)sched == own_sched ? OWN : branch_of(sched);
}

/*
 * A branch comes to a CPU that it was not given, or for longer than it was: it has filled the CPU's own queue. That is
 * nobody's loss as long as it is behind the others, and happens to anybody once in a while: what counts is how often
 * within a few turns.
 */
static void note_arrival(struct turn *turn, u32 owner, u64 now)
{
	if (owner == OWN || owner >= NR_ENTITIES || grant_preempt)
		return;
	if (!scx_time_before(vtime_now, entity_at(owner)->vtime))
		return;
	if (owner == turn->invited && scx_time_before(now, turn->started + max_turn_ns))
		return;
	if (scx_time_before(turn->offended + FEW_TURNS * max_turn_ns, now))
		turn->offences = 0;
	if (!turn->offences)
		turn->offended = now;
	turn->offences++;
	turn->offender = owner;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(trunk_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct turn *turn = this_turn();
	u32 owner = NOBODY, before = turn->owner;
	u64 now;

	if (!children.count && before == NOBODY)
		return 0;
	now = scx_bpf_now();
	charge(turn, now);
	if (children.count)
		owner = owner_of(next);
	if (owner == before)
		return 0;
	/* The owner is nobody as well when another class of scheduler has the CPU. */
	if (!prev->pid)
		begin_turn(turn, now);
	else
		note_arrival(turn, owner, now);
	if (before < NR_ENTITIES)
		__sync_fetch_and_sub(&entity_at(before)->running, 1);
	if (owner < NR_ENTITIES)
		__sync_fetch_and_add(&entity_at(owner)->running, 1);
	turn->owner = owner;
	return 0;
}

/*
 * The weight of a branch: cpu.weight of its cgroup, and of those between that and trunk's own, in parts of 100. One
 * without the cpu controller counts as 100.
 */
static u64 weight_of(u64 sch)
{
	struct scx_sched *sched = bpf_core_cast((void *)sch, struct scx_sched);
	struct cgroup *cgrp = sched->cgrp, *top = NULL;
	u64 weight = WEIGHT_ONE;
	u32 i;

	if (own_sched)
		top = bpf_core_cast((void *)own_sched, struct scx_sched)->cgrp;
	bpf_for(i, 0, MAX_CGROUP_DEPTH) {
		struct cgroup_subsys_state *css, *parent;

		if (!cgrp || cgrp == top)
			break;
		css = cgrp->subsys[SCX_ENUM(cgroup_subsys_id, cpu_cgrp_id) & 15];
		if (css)
			weight = weight * bpf_core_cast(css, struct task_group)->scx.weight / 100;
		parent = cgrp->self.parent;
		if (!parent)
			break;
		cgrp = parent->cgroup;
	}
	return weight ?: 1;
}
