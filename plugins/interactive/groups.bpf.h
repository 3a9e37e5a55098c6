/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cpu.weight: a context for each cgroup that has the cpu controller, and what a task's time costs in it.
 *
 * Within a cgroup tasks with their own weights and the cgroups right below it with theirs compete, of which only those
 * count that have something to run. So a task's part of the machine is the product, over the cgroups from its own up to
 * the root, of
 *
 *	weight / sum of the weights of all that compete there
 *
 * All its tasks have the same factor in that but for their own weight. The inverse of the factor, times the sum of all
 * tasks' weights so that it is 1 on the average, is the cgroup's `cost`: virtual time moves by run time / weight * cost.
 *
 * What a wake-up and a sleep do for it is to move the sum of the runnable tasks' weights of one cgroup. Who competes is
 * looked at every few milliseconds (samples.bpf.h), and costs are worked out from that when a cgroup needs its own.
 */
#pragma once

#include <scxhost/bpf/common.bpf.h>

#include "options.bpf.h"

#define MAX_GROUPS 8192 /* a power of two */
#define GROUP_WORDS (MAX_GROUPS / 64)
#define MAX_GROUP_DEPTH 32
#define ROOT_GROUP 0
#define DEFAULT_WEIGHT 100

#define COST_ONE (1ULL << 20)
#define COST_MIN (1ULL << 8)
#define COST_MAX (1ULL << 32)
#define SUM_MAX (1ULL << 23)
#define VIRTUAL_MAX_NS (1ULL << 31) /* times COST_MAX this fits into 64 bits, and it is beyond all bounds in order.bpf.h */

struct group {
	/* Read by each CPU that runs its tasks, written once a sample. */
	u64 cost;
	u64 sum[2];	   /* of the weights that compete in it, by sample */
	u32 sum_sample[2]; /* which sample that is of; another one: nothing competed */
	u32 cost_sample;   /* the sample that cost is of */
	u32 weight;
	u32 parent;
	u32 unused[3];
	/* Written when its tasks wake up and sleep. */
	u64 load __attribute__((aligned(64))); /* sum of the weights of its runnable tasks, those of cgroups below left out */
};

static struct group groups[MAX_GROUPS];
static u64 groups_taken[GROUP_WORDS];
static u64 groups_active[GROUP_WORDS]; /* had something to run in this sample, or since */

static u32 sample;	    /* the last one that is complete */
static u64 sample_total[2]; /* sum of the weights of all runnable tasks */

struct {
	SCX_GAUGE("Cgroups whose cpu.weight is not the default: with none, cgroups are not looked at")
	SCX_GROUP("cgroup") u64 weighted;
	SCX_COUNTER("Times that it was looked which cgroups have something to run") SCX_GROUP("cgroup") u64 samples;
} group_stats;

/* By the cgroup's id: what init_task is told of the cgroup is good for reading only. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_GROUPS);
	__type(key, u64);
	__type(value, u32);
} groups_by_cgroup SEC(".maps");

static __always_inline struct group *group_at(u32 index)
{
	return &groups[index & (MAX_GROUPS - 1)];
}

/* Cgroups compete, and not all tasks directly. */
static __always_inline bool groups_matter(void)
{
	return cgroups == CGROUPS_ALWAYS || (cgroups == CGROUPS_WEIGHTED && group_stats.weighted);
}

static __always_inline void mark_active(u32 index)
{
	u64 *word = &groups_active[index / 64 & (GROUP_WORDS - 1)];
	u64 bit = 1ULL << (index & 63);

	if (!(*word & bit))
		__sync_fetch_and_or(word, bit);
}

/* What competes in this group, with those who came since the sample: `more`. */
static u64 sum_of(const struct group *group, u32 of_sample, u64 more)
{
	u64 sum = more;

	if (group->sum_sample[of_sample & 1] == of_sample)
		sum += group->sum[of_sample & 1];
	return sum < SUM_MAX ? sum : SUM_MAX;
}

static u64 work_out_cost(u32 index, u32 of_sample)
{
	u64 total = sample_total[of_sample & 1];
	const struct group *group = group_at(index);
	u64 cost = COST_ONE, sum, more;
	u32 i;

	if (!total)
		return COST_ONE;
	/* One that had nothing to run in the sample, and now does: it would have taken part with this. */
	more = group->sum_sample[of_sample & 1] == of_sample ? 0 : group->load ?: DEFAULT_WEIGHT;
	bpf_for(i, 0, MAX_GROUP_DEPTH) {
		sum = sum_of(group, of_sample, more);
		if (index == ROOT_GROUP) {
			cost = cost * sum / total;
			break;
		}
		cost = cost * sum / (group->weight ?: 1);
		if (cost > 1ULL << 40)
			cost = 1ULL << 40;
		more = group->sum_sample[of_sample & 1] == of_sample ? 0 : group->weight;
		index = group->parent;
		group = group_at(index);
	}
	return cost < COST_MIN ? COST_MIN : cost > COST_MAX ? COST_MAX : cost;
}

/* Run time that has been divided by the task's weight, in the group's virtual time. */
static u64 costs_in_group(u32 index, u64 ns)
{
	struct group *group = group_at(index);
	u32 now = sample;

	/* Several CPUs may do this at once, and find the same. */
	if (group->cost_sample != now) {
		group->cost = work_out_cost(index, now);
		group->cost_sample = now;
	}
	return (ns < VIRTUAL_MAX_NS ? ns : VIRTUAL_MAX_NS) * (group->cost ?: COST_ONE) / COST_ONE;
}

/* Tasks of a cgroup that there was no room for count as the root's. */
static u32 group_of(u64 cgroup_id)
{
	u32 *group = bpf_map_lookup_elem(&groups_by_cgroup, &cgroup_id);

	return group ? *group : ROOT_GROUP;
}

/*
 * The next free one after that which was taken last, or ROOT_GROUP: the last task of a cgroup may still be on its way out
 * when the cgroup has gone, and then moves the load of an entry that nobody has.
 */
static u32 take_group(void)
{
	static u32 last;
	u32 i;

	bpf_for(i, 1, MAX_GROUPS) {
		u32 index = (last + i) & (MAX_GROUPS - 1);
		u64 bit = 1ULL << (index & 63);

		if (__sync_fetch_and_or(&groups_taken[index / 64 & (GROUP_WORDS - 1)], bit) & bit)
			continue;
		last = index;
		return index;
	}
	return ROOT_GROUP;
}

static void give_group(u32 index)
{
	__sync_fetch_and_and(&groups_taken[index / 64 & (GROUP_WORDS - 1)], ~(1ULL << (index & 63)));
}

static void set_group_weight(struct group *group, u32 weight)
{
	u32 before = __sync_lock_test_and_set(&group->weight, weight);

	if (before == weight)
		return;
	if (before == DEFAULT_WEIGHT)
		__sync_fetch_and_add(&group_stats.weighted, 1);
	else if (weight == DEFAULT_WEIGHT)
		__sync_fetch_and_sub(&group_stats.weighted, 1);
}

/* The kernel brings each cgroup after the one above it, and takes it away before. */
s32 SCX_OP_SLEEPABLE(interactive_cgroup_init, struct cgroup *cgrp, struct scx_cgroup_init_args *args)
{
	u64 id = cgrp->kn->id;
	struct group *group;
	u32 index;

	if (cgrp->level <= 0 || cgrp->level >= MAX_GROUP_DEPTH)
		return 0;
	index = take_group();
	if (index == ROOT_GROUP)
		return 0;
	group = group_at(index);
	group->parent = group_of(cgrp->self.parent->cgroup->kn->id);
	group->sum_sample[0] = group->sum_sample[1] = group->cost_sample = 0;
	/* Its load is what a last task of the cgroup before may still take away: it ends at zero. */
	group->weight = DEFAULT_WEIGHT;
	if (bpf_map_update_elem(&groups_by_cgroup, &id, &index, BPF_ANY))
		give_group(index);
	else
		set_group_weight(group, args->weight);
	return 0;
}

void SCX_OP_SLEEPABLE(interactive_cgroup_exit, struct cgroup *cgrp)
{
	u64 id = cgrp->kn->id;
	u32 index = group_of(id);

	if (index == ROOT_GROUP)
		return;
	set_group_weight(group_at(index), DEFAULT_WEIGHT);
	bpf_map_delete_elem(&groups_by_cgroup, &id);
	give_group(index);
}

void SCX_OP(interactive_cgroup_set_weight, struct cgroup *cgrp, u32 weight)
{
	u32 index = group_of(cgrp->kn->id);

	if (index != ROOT_GROUP)
		set_group_weight(group_at(index), weight);
}

/* The object may have been attached before. */
static void forget_groups(void)
{
	u32 word, bit;

	bpf_for(word, 0, GROUP_WORDS) {
		u64 taken = groups_taken[word & (GROUP_WORDS - 1)];

		/* This is in the gap of a swap: those that nobody had are not touched. */
		if (taken)
			bpf_for(bit, 0, 64)
				if (taken >> (bit & 63) & 1)
					group_at(word * 64 + bit)->load = 0;
		groups_taken[word & (GROUP_WORDS - 1)] = word == 0; /* the root's */
		groups_active[word & (GROUP_WORDS - 1)] = 0;
	}
	/* Nothing has been seen in the sample that this makes the last one: all costs are one. */
	sample_total[0] = sample_total[1] = 0;
	sample += 2;
	group_stats.weighted = 0;
	group_stats.samples = 0;
}
