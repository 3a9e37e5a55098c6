/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happens by the clock, as long as there are branches and a CPU is not idle: turns that have lasted for too long
 * are cut, weights are read again, and for each window shares are worked out.
 */
#pragma once

#include "idle.bpf.h"

#define CLOCK_MONOTONIC 1

/* A virtual CPU may stand still for a while, and an idle one be taken by two at once: once is nothing. */
#define MAX_OFFENCES 3

struct timer_slot {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct timer_slot);
} timers SEC(".maps");

extern const struct rq runqueues __ksym __weak;

static u32 timer_armed;
static u64 window_began;

static u64 timer_period(void)
{
	return max_turn_ns / 2;
}

static void arm_timer(void)
{
	struct timer_slot *slot;

	if (!children.count || timer_armed || __sync_lock_test_and_set(&timer_armed, 1))
		return;
	slot = bpf_map_lookup_elem(&timers, &(u32){0});
	if (slot)
		bpf_timer_start(&slot->timer, timer_period(), 0);
}

/* Whether a task waits anywhere. A branch's queues cannot be seen, but the kernel counts all tasks by CPU. */
static bool anybody_waits(bool *busy)
{
	bool waits = scx_bpf_dsq_nr_queued(OWN_DSQ) > 0;
	u32 cpu, nr = scx_bpf_nr_cids();

	*busy = false;
	bpf_for(cpu, 0, nr) {
		const struct rq *rq = bpf_per_cpu_ptr(&runqueues, cpu);

		if (turn_of(cpu)->owner != NOBODY)
			*busy = true;
		if (rq && rq->scx.nr_running > 1)
			waits = true;
	}
	return waits;
}

/*
 * A branch whose tasks are there again each time that they were told to leave, or come without being asked time after
 * time, has filled the CPU's own queue. It loses the capability for that, and what is in the queue is handed back to it;
 * see unbar().
 */
static void bar(struct turn *turn, u32 owner, s32 cid)
{
	u32 bit = 1U << owner;

	if (owner == OWN || !exists(owner) || (turn->barred & bit))
		return;
	__sync_fetch_and_or(&turn->barred, bit);
	__sync_fetch_and_add(&row_of(owner)->barred, 1);
	scx_bpf_sub_revoke(scx_child_cgroup(&children, owner - 1), SCX_GRANT_ENQ | SCX_GRANT_PREEMPT, set_of(cid));
}

/* When it is its turn. The kernel carries it out as the CPU chooses a task the next time, which it sees to itself. */
static void unbar(struct turn *turn, u32 owner, s32 cid)
{
	u64 id = scx_child_cgroup(&children, owner - 1);

	__sync_fetch_and_and(&turn->barred, ~(1U << owner));
	scx_bpf_sub_grant(id, SCX_GRANT_ENQ, set_of(cid), NULL);
	if (grant_preempt)
		scx_bpf_sub_grant(id, SCX_GRANT_PREEMPT, set_of(cid), NULL);
}

static void cut_turns(u64 now)
{
	u32 cpu, nr = scx_bpf_nr_cids();

	bpf_for(cpu, 0, nr) {
		struct turn *turn = turn_of(cpu);
		u32 owner = turn->owner;
		s32 cid = scx_bpf_cpu_to_cid(cpu);

		/* The next one is barred at once: two can fill a CPU in turn. */
		if (turn->offences >= MAX_OFFENCES) {
			turn->offences = MAX_OFFENCES - 1;
			bar(turn, turn->offender, cid);
		}
		if (owner >= NR_ENTITIES || scx_time_before(now, turn->started + max_turn_ns))
			continue;
		__sync_fetch_and_add(&row_of(owner)->cut, 1);
		if (turn->cuts++ >= MAX_OFFENCES)
			bar(turn, owner, cid);
		scx_bpf_kick_cid(cid, SCX_KICK_PREEMPT);
	}
}

static void work_out_shares(u64 now)
{
	u64 weights = 0, runs = 0;
	u32 i;

	if (scx_time_before(now, window_began + window_ns))
		return;
	window_began = now;
	bpf_for(i, 0, NR_ENTITIES) {
		u64 run = row_of(i)->run - entity_at(i)->run_before;

		runs += run;
		if (exists(i) && (run || is_active(i)))
			weights += entity_at(i)->weight;
	}
	bpf_for(i, 0, NR_ENTITIES) {
		struct entity *entity = entity_at(i);
		struct row *row = row_of(i);
		u64 run = row->run - entity->run_before;

		entity->run_before = row->run;
		row->had = runs ? run * 1000 / runs : 0;
		row->wanted = exists(i) && weights && (run || is_active(i)) ? entity->weight * 1000 / weights : 0;
	}
}

static int on_timer(void *map, u32 *key, struct timer_slot *slot)
{
	u64 now = scx_bpf_now();
	bool busy, waits;
	u32 i;

	scx_arena_uses(arena);
	timer_armed = 0;
	waits = anybody_waits(&busy);
	if (waits)
		cut_turns(now);
	bpf_for(i, 1, NR_ENTITIES)
		if (exists(i))
			entity_at(i)->weight = weight_of(entity_at(i)->sch);
	work_out_shares(now);
	if (busy || waits)
		arm_timer();
	return 0;
}

static int init_timer(void)
{
	struct timer_slot *slot = bpf_map_lookup_elem(&timers, &(u32){0});

	timer_armed = 0;
	window_began = 0;
	if (!slot)
		return -SCX_ENOENT;
	/* -EBUSY: it is there since the object was attached before. */
	bpf_timer_init(&slot->timer, &timers, CLOCK_MONOTONIC);
	return bpf_timer_set_callback(&slot->timer, on_timer);
}

static void stop_timer(void)
{
	struct timer_slot *slot = bpf_map_lookup_elem(&timers, &(u32){0});

	/* Nobody arms it any more. */
	timer_armed = 1;
	if (slot)
		bpf_timer_cancel(&slot->timer);
}
