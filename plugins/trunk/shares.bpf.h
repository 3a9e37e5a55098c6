/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who has what share. There is one entity for trunk's own tasks, and one for each branch. Each has a virtual time, which
 * moves on by run time / weight; the one that is furthest behind is served first. README.md has the bounds.
 */
#pragma once

#define SCX_MAX_CHILDREN 16 /* each has a TRUNK_ROW below, and a bit in struct turn */
#include <scxhost/bpf/sub.bpf.h>

#include "options.bpf.h"

/* Entity 0 is trunk's own, and entity i + 1 that of the child at place i. */
#define OWN 0
#define NR_ENTITIES (1 + SCX_MAX_CHILDREN)
#define NOBODY 0xff

#define MAX_DEPTH 4     /* of schedulers: SCX_SUB_MAX_DEPTH in 7.3.4 */
#define MAX_CGROUP_DEPTH 32 /* of cgroups that count between trunk's and a branch's */

#define TRUNK_MAX_CPUS SCX_MAX_CIDS

/* Weights are in these parts of cpu.weight's unit, since those of nested cgroups are multiplied. */
#define WEIGHT_UNIT 100
#define WEIGHT_ONE (100 * WEIGHT_UNIT)

struct entity {
	u64 vtime;   /* run time / weight; of weight 100, ns */
	u64 weight;  /* in 1/WEIGHT_UNIT */
	u64 sch;     /* the branch's struct scx_sched; 0: there is none here */
	u32 running; /* CPUs that its tasks are on */
	u32 empty;   /* it had nothing when it was asked last */
	u64 run_before; /* its run time when the window began */
};

static struct entity entities[NR_ENTITIES];
static struct scx_children children;

/* What the one that is furthest behind has come to, of those that run or wait: it never goes back. */
static u64 vtime_now;

struct row {
	u64 cgroup, run, wanted, had, refused, cut, barred;
};

/* The same for each entity, under names of its own, since statistics of one name are added up. */
#define TRUNK_ROW(name, whose)									\
	struct {										\
		SCX_GAUGE("Id of the cgroup of " whose "; 0: none") SCX_NAME(#name "_cgroup")	\
		SCX_GROUP(#name) u64 cgroup;							\
		SCX_COUNTER("Time that tasks of " whose " have run") SCX_NAME(#name "_run")	\
		SCX_UNIT("ns") SCX_GROUP(#name) u64 run;					\
		SCX_GAUGE("Share of CPU time that is due to it, of those that had or wanted any in the last window, in 1/1000") \
		SCX_NAME(#name "_wanted") SCX_GROUP(#name) u64 wanted;				\
		SCX_KEY SCX_GAUGE("Share of CPU time that it had in the last window, in 1/1000")	\
		SCX_NAME(#name "_had") SCX_GROUP(#name) u64 had;				\
		SCX_COUNTER("Times that it was offered a CPU and had nothing") SCX_NAME(#name "_refused") \
		SCX_GROUP(#name) u64 refused;							\
		SCX_COUNTER("Turns that were cut at max_turn") SCX_NAME(#name "_cut")		\
		SCX_GROUP(#name) u64 cut;							\
		SCX_COUNTER("Times that it was barred from a CPU that it did not leave, or came to without being asked") \
		SCX_NAME(#name "_barred") SCX_GROUP(#name) u64 barred;				\
	} name;

struct {
	TRUNK_ROW(own, "trunk itself")
	TRUNK_ROW(branch1, "branch 1")
	TRUNK_ROW(branch2, "branch 2")
	TRUNK_ROW(branch3, "branch 3")
	TRUNK_ROW(branch4, "branch 4")
	TRUNK_ROW(branch5, "branch 5")
	TRUNK_ROW(branch6, "branch 6")
	TRUNK_ROW(branch7, "branch 7")
	TRUNK_ROW(branch8, "branch 8")
	TRUNK_ROW(branch9, "branch 9")
	TRUNK_ROW(branch10, "branch 10")
	TRUNK_ROW(branch11, "branch 11")
	TRUNK_ROW(branch12, "branch 12")
	TRUNK_ROW(branch13, "branch 13")
	TRUNK_ROW(branch14, "branch 14")
	TRUNK_ROW(branch15, "branch 15")
	TRUNK_ROW(branch16, "branch 16")
} rows;

static __always_inline struct row *row_of(u32 index)
{
	return (struct row *)&rows + (index < NR_ENTITIES ? index : OWN);
}

static __always_inline struct entity *entity_at(u32 index)
{
	return &entities[index < NR_ENTITIES ? index : OWN];
}

/* Entities from here on have never been there, so that nothing that is done for each CPU grows with the room. */
static __always_inline u32 nr_entities(void)
{
	return 1 + children.top;
}

static bool exists(u32 index)
{
	return index == OWN || entity_at(index)->sch;
}

/* What runs on each CPU, by the kernel's number of it. A cache line, written by that CPU. */
struct turn {
	u64 since;    /* up to when its time is charged */
	u64 started;  /* when the CPU asked last, or was idle */
	u64 offended; /* when the first of the offences was */
	u64 own_since; /* when the task of trunk's own that runs began */
	u32 owner;    /* entity, or NOBODY */
	u32 cuts;     /* how often since then what ran was told to go: once should do */
	u32 barred;   /* entities that may not put tasks here by themselves, a bit each */
	u32 invited;  /* entity that was given the CPU last */
	u32 offender; /* branch that came last without having been */
	u32 offences; /* how often any did */
	u32 unused[2];
};

static struct turn turns[TRUNK_MAX_CPUS] __attribute__((aligned(64)));

static __always_inline struct turn *turn_of(u32 cpu)
{
	return &turns[cpu & (TRUNK_MAX_CPUS - 1)];
}

static __always_inline struct turn *this_turn(void)
{
	return turn_of(bpf_get_smp_processor_id());
}

static void begin_turn(struct turn *turn, u64 now)
{
	turn->started = now;
	turn->cuts = 0;
}

/* CPU time of this entity in virtual time. */
static u64 weighted(const struct entity *entity, u64 ns)
{
	return ns * WEIGHT_ONE / (entity->weight ?: 1);
}

/*
 * Charges what has run on this CPU since it was charged last. Where nobody waits a task may run for long without coming
 * by here; that took nothing from anybody, so no more than a window of it counts.
 */
static void charge(struct turn *turn, u64 now)
{
	u32 owner = turn->owner;
	u64 ran = now - turn->since;
	struct entity *entity;

	turn->since = now;
	if (owner >= NR_ENTITIES || (s64)ran <= 0)
		return;
	entity = entity_at(owner);
	__sync_fetch_and_add(&row_of(owner)->run, ran);
	if (ran > window_ns)
		ran = window_ns;
	__sync_fetch_and_add(&entity->vtime, weighted(entity, ran));
}

/* It wants CPU time: its tasks run, or it has not said that there are none. */
static bool is_active(u32 index)
{
	const struct entity *entity = entity_at(index);

	return exists(index) && (entity->running || !entity->empty);
}

/*
 * Moves the common virtual time on to that of the last of those that wait for a CPU. One whose tasks all run has what it
 * can use, however far it is behind: a heavy one with a single task, or one that may be on few CPUs. It counts only where
 * nobody waits.
 */
static void advance(void)
{
	u64 least = 0;
	bool found = false, waits = false;
	u32 i;

	bpf_for(i, 0, nr_entities()) {
		bool has_more = !entity_at(i)->empty;
		u64 vtime = entity_at(i)->vtime;

		if (!is_active(i) || (waits && !has_more))
			continue;
		if (!found || (has_more && !waits) || scx_time_before(vtime, least))
			least = vtime;
		found = true;
		waits = has_more;
	}
	if (found && scx_time_before(vtime_now, least))
		vtime_now = least;
}

/* Its virtual time, no further behind than a window of one CPU's time is worth, and no further ahead than of all. */
static u64 bounded_vtime(const struct entity *entity)
{
	u64 span = weighted(entity, window_ns);
	u64 vtime = entity->vtime;
	u64 ahead = span * scx_bpf_nr_cids();

	if (scx_time_before(vtime, vtime_now - span))
		return vtime_now - span;
	if (scx_time_before(vtime_now + ahead, vtime))
		return vtime_now + ahead;
	return vtime;
}

/* The one that is furthest behind of those that are not in `passed`; NOBODY. */
static u32 furthest_behind(u32 passed)
{
	u32 found = NOBODY, i;
	u64 least = 0;

	bpf_for(i, 0, nr_entities()) {
		u64 vtime;

		if ((passed >> i & 1) || !exists(i))
			continue;
		vtime = bounded_vtime(entity_at(i));
		if (found == NOBODY || scx_time_before(vtime, least)) {
			found = i;
			least = vtime;
		}
	}
	return found;
}

/* Makes the bound true when it is given the CPU. */
static void settle(struct entity *entity)
{
	u64 vtime = entity->vtime;
	u64 bounded = bounded_vtime(entity);

	if (bounded != vtime)
		__sync_val_compare_and_swap(&entity->vtime, vtime, bounded);
}
