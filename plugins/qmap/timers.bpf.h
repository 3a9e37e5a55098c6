/* SPDX-License-Identifier: GPL-2.0-only */
/* What happens by the clock. Timers outlive a scheduler: exit stops them. */
#pragma once

#include "dispatch.bpf.h"

#define CLOCK_MONOTONIC 1

#define MONITOR_NS 1000000000ULL
#define LOWPRI_NS 10000000ULL

enum {
	TIMER_MONITOR,
	TIMER_LOWPRI,
	NR_TIMERS,
};

struct timer_slot {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_TIMERS);
	__type(key, u32);
	__type(value, struct timer_slot);
} timers SEC(".maps");

struct range {
	u64 sum;
	u32 min, max, nr;
};

/* Globals, since the verifier would follow each value of a local counter through the loop. */
static struct range perf_cur_range, perf_target_range;

static void range_add(struct range *range, u32 value)
{
	if (!range->nr || value < range->min)
		range->min = value;
	if (value > range->max)
		range->max = value;
	range->sum += value;
	range->nr++;
}

static u32 range_avg(const struct range *range)
{
	return range->nr ? range->sum / range->nr : 0;
}

/* What CPUs do, and what is asked of them, in 1/1024 of the fastest CPU's best. */
static void monitor_cpuperf(void)
{
	u32 cpu;

	__builtin_memset(&perf_cur_range, 0, sizeof(perf_cur_range));
	__builtin_memset(&perf_target_range, 0, sizeof(perf_target_range));
	bpf_for(cpu, 0, nr_cpus()) {
		cpu_ctx_t *cpuc = cpu_ctx_of(cpu);
		u32 cap;

		if (!cpuc->online)
			continue;
		cap = perf_cap(cpu);
		range_add(&perf_cur_range, perf_cur(cpu) * cap / SCX_CPUPERF_ONE);
		range_add(&perf_target_range, cpuc->perf_target * cap / SCX_CPUPERF_ONE);
	}

	qa.perf_cur_min = perf_cur_range.min;
	qa.perf_cur_max = perf_cur_range.max;
	qa.perf_cur_avg = range_avg(&perf_cur_range);
	qa.perf_target_min = perf_target_range.min;
	qa.perf_target_max = perf_target_range.max;
	qa.perf_target_avg = range_avg(&perf_target_range);
}

static void print_dsq(u64 dsq_id)
{
	struct task_struct *p;

	bpf_for_each(scx_dsq, p, dsq_id, 0)
		bpf_printk("qmap: dsq %llu: %s[%d]", dsq_id, p->comm, p->pid);
}

/* The kernel fills this in its own layout, which CO-RE knows; here is only room enough. */
static u64 events_room[64];

#define print_event(name)							\
({										\
	if (bpf_core_field_exists(events->SCX_EV_##name) && events->SCX_EV_##name)	\
		bpf_printk("qmap: event " #name ": %lld", events->SCX_EV_##name);	\
})

static void print_events(void)
{
	struct scx_event_stats *events = (struct scx_event_stats *)events_room;

	scx_bpf_events(events, sizeof(events_room));
	print_event(SELECT_CPU_FALLBACK);
	print_event(DISPATCH_LOCAL_DSQ_OFFLINE);
	print_event(DISPATCH_KEEP_LAST);
	print_event(ENQ_SKIP_EXITING);
	print_event(ENQ_SKIP_MIGRATION_DISABLED);
	print_event(REENQ_IMMED);
	print_event(REFILL_SLICE_DFL);
	print_event(BYPASS_DURATION);
	print_event(BYPASS_DISPATCH);
	print_event(BYPASS_ACTIVATE);
	print_event(REENQ_REPEAT);
	print_event(SLICE_CLAMPED);
	print_event(SLICE_DENIED);
	print_event(INSERT_NOT_OWNED);
	print_event(SUB_BYPASS_DISPATCH);
	print_event(SUB_FORCED_ADMIT);
	print_event(SUB_PREEMPT_DENIED);
	print_event(SUB_KICK_DENIED);
	print_event(SUB_REENQ_DENIED);
	print_event(SUB_CIDPERF_DENIED);
	print_event(SUB_RESCUE);
}

static int monitor(void *map, u32 *key, struct timer_slot *slot)
{
	bpf_rcu_read_lock();
	dispatch_highpri(true);
	bpf_rcu_read_unlock();

	monitor_cpuperf();

	if (print_dsqs_and_events) {
		bpf_rcu_read_lock();
		print_dsq(SHARED_DSQ);
		print_dsq(HIGHPRI_DSQ);
		print_dsq(LOWPRI_DSQ);
		bpf_rcu_read_unlock();
		print_events();
	}
	bpf_timer_start(&slot->timer, MONITOR_NS, 0);
	return 0;
}

/* Nobody serves LOWPRI: every 10 ms the kernel hands its tasks back to enqueue, which sends them to queue 0. */
static int reenqueue_lowpri(void *map, u32 *key, struct timer_slot *slot)
{
	if (scx_bpf_dsq_nr_queued(LOWPRI_DSQ) > 0)
		scx_dsq_reenq(LOWPRI_DSQ, 0);
	bpf_timer_start(&slot->timer, LOWPRI_NS, 0);
	return 0;
}

static int start_timers(void)
{
	u32 monitor_key = TIMER_MONITOR, lowpri_key = TIMER_LOWPRI;
	struct timer_slot *slot;
	int err;

	slot = bpf_map_lookup_elem(&timers, &monitor_key);
	if (!slot)
		return -SCX_ENOENT;
	/* -EBUSY: it is there since the object was attached before. */
	bpf_timer_init(&slot->timer, &timers, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&slot->timer, monitor);
	err = bpf_timer_start(&slot->timer, MONITOR_NS, 0);
	if (err || !scx_can_reenq())
		return err;

	slot = bpf_map_lookup_elem(&timers, &lowpri_key);
	if (!slot)
		return -SCX_ENOENT;
	bpf_timer_init(&slot->timer, &timers, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&slot->timer, reenqueue_lowpri);
	return bpf_timer_start(&slot->timer, LOWPRI_NS, 0);
}

static void stop_timers(void)
{
	u32 i;

	bpf_for(i, 0, NR_TIMERS) {
		u32 key = i;
		struct timer_slot *slot = bpf_map_lookup_elem(&timers, &key);

		if (slot)
			bpf_timer_cancel(&slot->timer);
	}
}
