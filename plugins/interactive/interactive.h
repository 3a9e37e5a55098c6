/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The struct at the base of interactive's arena. The BPF half writes it, user space only reads.
 */
#pragma once

#include <scxhost/bpf/arena_slab.h>

#define INTERACTIVE_MAX_CPUS 1024
#define INTERACTIVE_MAX_DOMAINS 128

/*
 * Per CPU. Counters are written by that CPU only. What runs there is written by that CPU and read by others, which need
 * no more than a good guess; only `preempted` is exchanged by several.
 */
struct cpu_ctx {
	__u64 started;	 /* when the task that runs was given the CPU; ns */
	__u64 slice;	 /* how long it may run while others wait; ns */
	__u64 deadline;	 /* its key; 0: nothing that may be preempted runs */
	__u64 timer_armed;
	__u32 preempted; /* the task that runs has been told to make room */
	__u32 domain;

	SCX_COUNTER("Wake-ups sent straight to an idle CPU") SCX_GROUP("idle") __u64 idle_hits;
	SCX_COUNTER("... that was the task's previous one") SCX_GROUP("idle") __u64 idle_previous;
	SCX_COUNTER("Tasks that may run on one CPU only, and found it idle") SCX_GROUP("idle") __u64 idle_pinned;
	SCX_COUNTER("CPUs that went idle while a task was being queued, and were called back") SCX_GROUP("idle")
	__u64 idle_late;

	SCX_COUNTER("Tasks that had to wait in a queue") SCX_GROUP("queue") __u64 queued;
	SCX_COUNTER("Tasks taken from the CPU's own queue") SCX_GROUP("queue") __u64 taken;
	SCX_COUNTER("Tasks that went on after their slice, since nobody with an earlier deadline waited") SCX_GROUP("queue")
	__u64 gone_on;
	SCX_COUNTER("Tasks taken from the queue of another last-level cache") SCX_GROUP("queue") __u64 stolen;

	SCX_COUNTER("Wake-ups that took the CPU of a task with a later deadline") SCX_GROUP("preempt") __u64 preemptions;
	SCX_COUNTER("... that a task with an earlier or near deadline kept") SCX_GROUP("preempt") __u64 kept_deadline;
	SCX_COUNTER("... that a task kept since it had just begun") SCX_GROUP("preempt") __u64 kept_minimum;
	SCX_COUNTER("Wake-ups of kernel threads that serve one CPU") SCX_GROUP("preempt") __u64 kernel_threads;
	SCX_COUNTER("Slices made shorter since somebody came to wait") SCX_GROUP("preempt") __u64 slices_cut;
	SCX_COUNTER("Slices ended by the CPU's timer") SCX_GROUP("preempt") __u64 slices_timer;
	SCX_COUNTER("Slices ended by the tick, since somebody had come to wait") SCX_GROUP("preempt") __u64 slices_tick;

	SCX_GAUGE("Longest wait in a queue of a task that runs less than 1 ms between sleeps") SCX_GROUP("wait")
	SCX_UNIT("ns") SCX_FOLD(max) __u64 wait_short;
	SCX_GAUGE("... less than 10 ms") SCX_GROUP("wait") SCX_UNIT("ns") SCX_FOLD(max) __u64 wait_medium;
	SCX_GAUGE("... longer") SCX_GROUP("wait") SCX_UNIT("ns") SCX_FOLD(max) __u64 wait_long;
	__u64 padding[1]; /* to whole cache lines */
};

/* CPUs that share a last-level cache, and their queue. */
struct domain {
	__u64 vtime;	  /* the furthest virtual time that a task has started to run at */
	__u64 vtime_wall; /* when time by itself last moved it; ns */
	__u32 nr_cpus;
	__u32 unused;
	__u64 padding[5];
};

struct interactive_arena {
	struct cpu_ctx cpu_ctxs[INTERACTIVE_MAX_CPUS];
	struct domain domains[INTERACTIVE_MAX_DOMAINS];
	struct scx_slab task_ctxs;
};
