/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long a task may run. Alone, for 20 ms and then again; beside n that wait for the CPU, for a period divided by them
 * all. The kernel looks at slices with its tick only, which may be 10 ms apart: so each CPU has a timer that ends a
 * slice when it is over. It is armed by a task that starts while others wait, or that comes to wait, and left alone when
 * the one that runs stops early: it then finds a slice that is not over, and sets itself to the end of that one.
 */
#pragma once

#include "order.bpf.h"

#define CLOCK_MONOTONIC 1
#define TIMER_PINNED (1ULL << 1) /* BPF_F_TIMER_CPU_PIN: on the CPU that starts it */

#define SLICE_ALONE_NS 20000000ULL
#define PREEMPT_MINIMUM_NS 300000ULL /* what a task may run at least before another takes its CPU */
#define PREEMPT_MARGIN_NS 1000000ULL /* by how much an earlier deadline is clearly earlier */

struct timer_slot {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, INTERACTIVE_MAX_CPUS);
	__type(key, u32);
	__type(value, struct timer_slot);
} timers SEC(".maps");

static u64 slice_among(u32 waiting, u32 cpus)
{
	u64 slice;

	/* The one that runs, and its share of those that wait. */
	slice = period_ns / (1 + (waiting + cpus - 1) / (cpus ?: 1));
	return slice < slice_min_ns ? slice_min_ns : slice;
}

/* True when the task that runs has had its slice and somebody waits. */
static bool slice_is_over(cpu_ctx_t *cpuc, u64 now)
{
	u64 started = cpuc->started;
	s32 waiting;

	if (!cpuc->deadline || scx_time_before(now, started + slice_min_ns))
		return false;
	waiting = scx_bpf_dsq_nr_queued(cpuc->domain);
	return waiting > 0 &&
	       !scx_time_before(now, started + slice_among(waiting, domain_at(cpuc->domain)->nr_cpus));
}

/* May run on another CPU than that whose slice it ends. */
static int on_timer(void *map, u32 *key, struct timer_slot *slot)
{
	s32 cpu = *key;
	cpu_ctx_t *cpuc = cpu_ctx_of(cpu);
	u64 now = scx_bpf_now();
	u64 end = cpuc->started + cpuc->slice;

	scx_arena_uses(arena);
	if (!cpuc->deadline || !cpuc->slice) {
		cpuc->timer_armed = 0;
		return 0;
	}
	if (scx_time_before(now + 50000, end)) {
		bpf_timer_start(&slot->timer, end - now, TIMER_PINNED);
		return 0;
	}
	cpuc->timer_armed = 0;
	if (scx_bpf_dsq_nr_queued(cpuc->domain) > 0) {
		this_cpu_ctx()->slices_timer++;
		scx_bpf_kick_cpu(cpu, SCX_KICK_PREEMPT);
	}
	return 0;
}

static void arm_timer(u32 cpu, cpu_ctx_t *cpuc, u64 ns)
{
	struct timer_slot *slot = bpf_map_lookup_elem(&timers, &cpu);

	if (!slot)
		return;
	cpuc->timer_armed = 1;
	if (bpf_timer_start(&slot->timer, ns, TIMER_PINNED))
		cpuc->timer_armed = 0;
}

/* A task starts on this CPU. */
static void begin_slice(s32 cpu, cpu_ctx_t *cpuc, u64 now)
{
	s32 waiting = scx_bpf_dsq_nr_queued(cpuc->domain);

	if (waiting <= 0) {
		cpuc->slice = 0;
		return;
	}
	cpuc->slice = slice_among(waiting, domain_at(cpuc->domain)->nr_cpus);
	if (!cpuc->timer_armed)
		arm_timer(cpu, cpuc, cpuc->slice);
}

/* What runs on the CPU is to end `slice` after it started: somebody has come who waits for it. */
static void cut_slice(s32 cpu, cpu_ctx_t *cpuc, u64 slice, u64 now)
{
	u64 end = cpuc->started + slice;

	if (cpuc->slice && cpuc->slice <= slice)
		return;
	cpuc->slice = slice;
	this_cpu_ctx()->slices_cut++;
	arm_timer(cpu, cpuc, scx_time_before(now, end) ? end - now : 0);
}

static int init_timers(void)
{
	u32 cpu;

	bpf_for(cpu, 0, scx_bpf_nr_cpu_ids()) {
		u32 key = cpu;
		struct timer_slot *slot = bpf_map_lookup_elem(&timers, &key);

		if (!slot)
			break;
		/* -EBUSY: it is there since the object was attached before. */
		bpf_timer_init(&slot->timer, &timers, CLOCK_MONOTONIC);
		bpf_timer_set_callback(&slot->timer, on_timer);
	}
	return 0;
}

static void stop_timers(void)
{
	u32 cpu;

	bpf_for(cpu, 0, scx_bpf_nr_cpu_ids()) {
		u32 key = cpu;
		struct timer_slot *slot = bpf_map_lookup_elem(&timers, &key);

		if (!slot)
			break;
		bpf_timer_cancel(&slot->timer);
	}
}
