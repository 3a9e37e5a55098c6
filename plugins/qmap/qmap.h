/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What both halves of qmap know: the struct at the base of the arena. The BPF half writes it, user space only reads.
 */
#pragma once

#include <scxhost/bpf/arena_slab.h>

#define QMAP_QUEUES 5
#define QMAP_MAX_CPUS 1024

/* Per CPU, and written by that CPU only. */
struct cpu_ctx {
	__u32 cursor;	   /* the queue that it takes tasks from */
	__u32 left;	   /* how many it may still take before the cursor moves on */
	__u32 avg_weight;  /* of the tasks that its ticks met; 3/4 old, 1/4 new */
	__u32 perf_target; /* what it asks of cpufreq, in 1/1024 */

	SCX_KEY SCX_COUNTER("Tasks appended to one of the five queues") __u64 enqueued;
	SCX_KEY SCX_COUNTER("Tasks taken from one of the five queues") __u64 dispatched;
	SCX_KEY SCX_GAUGE("Tasks in the five queues") __s64 waiting;
	SCX_COUNTER("Tasks that the kernel handed back to be queued again") __u64 reenqueued;
	SCX_COUNTER("... of these, on CPU 0") __u64 reenqueued_cpu0;
	SCX_COUNTER("Tasks that left the policy's hands; from kernel 7.1 on, also to run") __u64 dequeued;
	SCX_COUNTER("... of these, to run by core scheduling's choice") __u64 core_sched_execed;
	SCX_KEY SCX_COUNTER("Tasks sent from enqueue straight to an idle CPU") __u64 direct_from_enqueue;

	SCX_COUNTER("High-priority tasks run ahead here") SCX_GROUP("highpri") __u64 expedited_local;
	SCX_COUNTER("High-priority tasks sent ahead to another CPU") SCX_GROUP("highpri") __u64 expedited_remote;
	SCX_COUNTER("... of both, by the timer") SCX_GROUP("highpri") __u64 expedited_from_timer;
	SCX_COUNTER("High-priority tasks that were gone when their turn came") SCX_GROUP("highpri") __u64 expedited_lost;

	SCX_COUNTER("Tasks from queue 0 (weight up to 25)") SCX_GROUP("queues") __u64 from_queue0;
	SCX_COUNTER("Tasks from queue 1 (up to 50)") SCX_GROUP("queues") __u64 from_queue1;
	SCX_COUNTER("Tasks from queue 2 (below 200)") SCX_GROUP("queues") __u64 from_queue2;
	SCX_COUNTER("Tasks from queue 3 (below 400)") SCX_GROUP("queues") __u64 from_queue3;
	SCX_COUNTER("Tasks from queue 4 (400 and more)") SCX_GROUP("queues") __u64 from_queue4;

	__u32 online;
	__u32 sub_cursor; /* the sub-scheduler that it served last */
	__u32 idle;	  /* cid form: whether it can be claimed */
	__u32 unused;
	__u64 padding[3]; /* to whole cache lines */
};

struct qmap_arena {
	struct cpu_ctx cpu_ctxs[QMAP_MAX_CPUS];

	/* Places in each queue, left ones included: an empty queue need not be asked. */
	__u64 queue_lengths[QMAP_QUEUES];

	/* Each queue's sequence numbers: of the task that was taken last, and for the next one that comes. */
	__u64 core_sched_head_seqs[QMAP_QUEUES];
	__u64 core_sched_tail_seqs[QMAP_QUEUES];

	SCX_GAUGE("High-priority tasks in the queues") SCX_GROUP("highpri") __s64 highpri_queued;

	SCX_GAUGE("Current performance of CPUs, in 1/1024: the lowest") SCX_GROUP("cpuperf") __u32 perf_cur_min;
	SCX_GAUGE("... the average") SCX_GROUP("cpuperf") __u32 perf_cur_avg;
	SCX_GAUGE("... the highest") SCX_GROUP("cpuperf") __u32 perf_cur_max;
	SCX_GAUGE("Performance that is asked for: the lowest") SCX_GROUP("cpuperf") __u32 perf_target_min;
	SCX_GAUGE("... the average") SCX_GROUP("cpuperf") __u32 perf_target_avg;
	SCX_GAUGE("... the highest") SCX_GROUP("cpuperf") __u32 perf_target_max;

	/* Cid form only. */
	__u64 idle_cids[QMAP_MAX_CPUS / 64];

	struct scx_slab task_ctxs; /* the tasks' contexts; the free list's head is in it */
};
