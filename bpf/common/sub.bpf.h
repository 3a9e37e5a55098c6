/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For schedulers above or below others (kernel 7.3, cid form): the table of a parent's children, sets of CPUs to grant
 * capabilities on, and what a parent restores when a child has gone.
 *
 * The parent's part in a policy, which has an arena (SCX_ARENA); `ops` is args->ops and `id` its sub_cgroup_id:
 *
 *	static struct scx_children children;
 *	struct scx_cids SCX_ARENA_GLOBAL all_cids;
 *
 *	init:		scx_children_reset(&children); scx_cids_fill(&all_cids);
 *	sub_attach:	place = scx_children_add(&children, (u64)ops, id); if (place < 0) return place;
 *			scx_child_grant(id, SCX_GRANT_ENQ, &all_cids);
 *	sub_detach:	scx_children_remove(&children, (u64)ops);
 *			scx_cidperf_restore(SCX_CPUPERF_ONE);	(where SCX_GRANT_PERF was granted)
 *	dispatch:	for each place below children.top: id = scx_child_cgroup(&children, place);
 *			if (id && scx_sub_dispatch(id)) return;
 *
 * A child needs nothing from here but the arena, which the kernel asks of every policy that is to be below another one.
 */
#pragma once

#include "arena.bpf.h"

/* A power of two. What has statistics for more, or needs less, says so before it includes this. */
#ifndef SCX_MAX_CHILDREN
#define SCX_MAX_CHILDREN 8
#endif
#define SCX_MAX_CIDS 1024

/*
 * A child is known by its ops. Its cgroup will not do: the next scheduler of a cgroup may be attached before the parent
 * has heard that the one before it is gone (scx_sub_disable() in 7.3.4 unlinks it first and calls sub_detach after that).
 */
struct scx_child {
	u64 ops; /* the address of the child's ops in the kernel; 0: the place is free */
	u64 cgroup_id;
};

struct scx_children {
	struct scx_child at[SCX_MAX_CHILDREN];
	u32 count;
	u32 top; /* nobody has had a place from here on: who looks at all children stops here */
};

static __always_inline void scx_children_reset(struct scx_children *children)
{
	u32 i;

	bpf_for(i, 0, SCX_MAX_CHILDREN) {
		children->at[i].ops = 0;
		children->at[i].cgroup_id = 0;
	}
	children->count = 0;
	children->top = 0;
}

/* The place of a new child, or -ENOSPC. */
static __always_inline s32 scx_children_add(struct scx_children *children, u64 ops, u64 cgroup_id)
{
	u32 i;

	bpf_for(i, 0, SCX_MAX_CHILDREN) {
		/* Before the place is taken: it is at least i by now. */
		__sync_val_compare_and_swap(&children->top, i, i + 1);
		if (__sync_val_compare_and_swap(&children->at[i].ops, 0, ops))
			continue;
		children->at[i].cgroup_id = cgroup_id;
		__sync_fetch_and_add(&children->count, 1);
		return i;
	}
	return -SCX_ENOSPC;
}

/* The place that the child had, free again; -ENOENT. */
static __always_inline s32 scx_children_remove(struct scx_children *children, u64 ops)
{
	u32 i;

	bpf_for(i, 0, SCX_MAX_CHILDREN) {
		if (children->at[i].ops != ops)
			continue;
		children->at[i].cgroup_id = 0;
		__sync_fetch_and_sub(&children->count, 1);
		__sync_lock_test_and_set(&children->at[i].ops, 0);
		return i;
	}
	return -SCX_ENOENT;
}

/* What scx_sub_dispatch() takes; 0: nobody is at this place. */
static __always_inline u64 scx_child_cgroup(const struct scx_children *children, u32 index)
{
	return children->at[index & (SCX_MAX_CHILDREN - 1)].cgroup_id;
}

/* A set of CPUs by topological id: as struct scx_cmask, with room. In the arena, where the kernel wants it. */
struct scx_cids {
	u32 base;
	u32 nr_cids;
	u32 alloc_words;
	u64 bits[SCX_MAX_CIDS / 64 + 1];
};

/* All CPUs. */
static __always_inline void scx_cids_fill(struct scx_cids __arena *cids)
{
	u32 word, nr = scx_bpf_nr_cids();

	cids->base = 0;
	cids->nr_cids = nr;
	cids->alloc_words = SCX_MAX_CIDS / 64 + 1;
	bpf_for(word, 0, SCX_MAX_CIDS / 64) {
		u64 bits = ~0ULL;

		if (word * 64 >= nr)
			bits = 0;
		else if (nr - word * 64 < 64)
			bits = (1ULL << (nr & 63)) - 1;
		cids->bits[word] = bits;
	}
}

#define SCX_GRANT_ENQ_IMMED SCX_ENUM(scx_cap_flags, SCX_CAP_ENQ_IMMED)
#define SCX_GRANT_ENQ SCX_ENUM(scx_cap_flags, SCX_CAP_ENQ)
#define SCX_GRANT_PREEMPT SCX_ENUM(scx_cap_flags, SCX_CAP_PREEMPT)
#define SCX_GRANT_PERF SCX_ENUM(scx_cap_flags, SCX_CAP_PERF)

/*
 * One capability at a time: what the caller does not have itself is refused for all that are asked for together. A
 * capability that is only implied by another one can be used but not handed on, so a child that is to have children of
 * its own is granted each by name.
 */
static __always_inline s32 scx_child_grant(u64 cgroup_id, u64 capability, struct scx_cids __arena *cids)
{
	return scx_bpf_sub_grant(cgroup_id, capability, (const struct scx_cmask __arena *)cids, NULL);
}

/*
 * What a child with SCX_GRANT_PERF asked of CPUs stays when it goes: a parent sets it anew, in sub_detach. Nothing
 * happens where the caller may not set it itself.
 */
static __always_inline void scx_cidperf_restore(u32 perf)
{
	u32 cid, nr = scx_bpf_nr_cids();

	bpf_for(cid, 0, nr)
		scx_bpf_cidperf_set(cid, perf);
}
