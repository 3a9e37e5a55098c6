/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * wakeups: how long tasks wait from their wake-up until they run, how long the CPUs' run queues are, and how often tasks
 * change the CPU. It listens to the scheduler core's tracepoints, which are the same whatever schedules, and belongs to
 * no scheduler. All tasks of the machine count; counters only grow, and the reader takes differences.
 */
#include <scxhost/bpf/kernel_types.bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "wakeups.h"

char _license[] SEC("license") = "GPL";

extern struct rq runqueues __ksym;

/* When a task was woken that has not run since; 0: none is waited for. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u64);
} woken SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WAKEUPS_BUCKETS);
	__type(key, u32);
	__type(value, u64);
} delays SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WAKEUPS_LENGTHS);
	__type(key, u32);
	__type(value, u64);
} lengths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} migrations SEC(".maps");

/* Of a CPU's queue: since when it has been how long. */
struct queue {
	u64 since;
	u32 length;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct queue);
} queues SEC(".maps");

static void add(void *map, u32 key, u64 value)
{
	u64 *counter = bpf_map_lookup_elem(map, &key);

	if (counter)
		*counter += value;
}

/* The highest bit that is set; there is one. */
static u32 highest_bit(u64 value)
{
	u32 bit = 0;

	for (u32 step = 32; step > 0; step >>= 1)
		if (value >> (bit + step))
			bit += step;
	return bit;
}

static u32 bucket_of(u64 ns)
{
	u32 bit, bucket;

	if (ns < WAKEUPS_SUB)
		return ns;
	bit = highest_bit(ns);
	bucket = (bit - WAKEUPS_SUB_BITS + 1) * WAKEUPS_SUB + ((ns >> (bit - WAKEUPS_SUB_BITS)) & (WAKEUPS_SUB - 1));
	return bucket < WAKEUPS_BUCKETS ? bucket : WAKEUPS_BUCKETS - 1;
}

static int note_wakeup(struct task_struct *p)
{
	u64 *when = bpf_task_storage_get(&woken, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	/* The first one counts: a task that is woken again before it has run still waits. */
	if (when && *when == 0)
		*when = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *p)
{
	return note_wakeup(p);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(on_wakeup_new, struct task_struct *p)
{
	return note_wakeup(p);
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(on_migrate, struct task_struct *p, int cpu)
{
	add(&migrations, 0, 1);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	u64 now = bpf_ktime_get_ns();
	struct rq *rq = bpf_this_cpu_ptr(&runqueues);
	struct queue *queue;
	u32 zero = 0, length;
	u64 *when;

	queue = bpf_map_lookup_elem(&queues, &zero);
	if (queue) {
		length = queue->length;
		if (queue->since)
			add(&lengths, length < WAKEUPS_LENGTHS ? length : WAKEUPS_LENGTHS - 1, now - queue->since);
		queue->since = now;
		queue->length = rq->nr_running;
	}
	/* Woken while it ran still: it never waited. */
	if (prev->pid) {
		when = bpf_task_storage_get(&woken, prev, 0, 0);
		if (when)
			*when = 0;
	}
	if (next->pid) {
		when = bpf_task_storage_get(&woken, next, 0, 0);
		if (when && *when) {
			add(&delays, bucket_of(now - *when), 1);
			*when = 0;
		}
	}
	return 0;
}
