/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * simple: one queue for the whole machine. A task that wakes up goes straight to an idle CPU if there is one; all
 * others wait in the queue, in the order of their weighted virtual time or, with the option `fifo`, of their arrival.
 *
 * The policy to start from: everything that a scheduler must have is here, and nothing else.
 */
#include <scxhost/bpf/common.bpf.h>
#include <scxhost/bpf/exit_info.bpf.h>

char _license[] SEC("license") = "GPL";

/* Options: the host reads these declarations from the object, and sets the values before it loads it. */

SCX_OPTION("fifo", bool, "Run tasks in the order of arrival, whatever their weight")
const volatile bool fifo = false;

SCX_OPTION("slice", duration, "How long a task may run before others get their turn")
SCX_UNIT("ns") SCX_MIN("100us") SCX_MAX("10s") SCX_DEFAULT(SCX_SLICE_DFL)
const volatile u64 slice_ns = 20000000;

SCX_OPTION("partial", bool, "Take only tasks that ask for it (policy SCHED_EXT)")
SCX_SETS_FLAG(SCX_OPS_SWITCH_PARTIAL)
const volatile bool partial = false;

SCX_OPTION("timeout", duration, "A runnable task that waits longer than this ejects the policy")
SCX_UNIT("ms") SCX_MIN("1s") SCX_MAX("30s") SCX_SETS_OPS(timeout_ms)
const volatile u32 timeout_ms = 30000;

SCX_FEATURE(kfunc, scx_bpf_create_dsq, "no queue of its own: tasks run in the order of arrival")
const volatile bool has_own_queue = true;

/* Statistics: one instance per CPU, so that no CPU waits for another to count. The host adds them up. */
struct simple_stats {
	SCX_KEY SCX_COUNTER("Tasks sent straight to an idle CPU") u64 direct;
	SCX_KEY SCX_COUNTER("Tasks that had to wait in the queue") u64 queued;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct simple_stats);
} stats SEC(".maps");

#define count(member)								\
({										\
	struct simple_stats *counters = bpf_map_lookup_elem(&stats, &(u32){0});	\
										\
	if (counters)								\
		counters->member++;						\
})

SCX_EXIT_INFO(uei);

/* A queue in order of virtual time has to be one of our own; for FIFO, the kernel's global one will do. */
#define VTIME_DSQ 0

/* The furthest virtual time that a task has started to run at. */
static u64 vtime_now;

static bool use_vtime(void)
{
	return !fifo && bpf_ksym_exists(scx_bpf_create_dsq);
}

s32 SCX_OP(simple_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	bool is_idle = false;
	s32 cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &is_idle);

	/* An idle CPU needs no queue; enqueue is skipped for this wake-up. */
	if (is_idle) {
		count(direct);
		scx_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
	}
	return cpu;
}

void SCX_OP(simple_enqueue, struct task_struct *p, u64 enq_flags)
{
	u64 vtime = p->scx.dsq_vtime;

	count(queued);
	if (!use_vtime()) {
		scx_dsq_insert(p, SCX_DSQ_GLOBAL, slice_ns, enq_flags);
		return;
	}

	/* Sleeping saves up one slice at most. */
	if (scx_time_before(vtime, vtime_now - slice_ns))
		vtime = vtime_now - slice_ns;
	scx_dsq_insert_vtime(p, VTIME_DSQ, slice_ns, vtime, enq_flags);
}

void SCX_OP(simple_dispatch, s32 cpu, struct task_struct *prev)
{
	/* The kernel looks into the global queue by itself. */
	if (use_vtime())
		scx_dsq_move_to_local(VTIME_DSQ, 0);
}

void SCX_OP(simple_running, struct task_struct *p)
{
	/* Not exact when two CPUs meet here, and it need not be: the next task to run puts it right. */
	if (use_vtime() && scx_time_before(vtime_now, p->scx.dsq_vtime))
		vtime_now = p->scx.dsq_vtime;
}

void SCX_OP(simple_stopping, struct task_struct *p, bool runnable)
{
	/* The kernel lengthens the slice of a task that nobody else waits for: that counts as one whole slice. */
	u64 left = p->scx.slice < slice_ns ? p->scx.slice : 0;
	/* 100 is the weight of nice 0: a task of twice that ages half as fast. */
	u64 used = (slice_ns - left) * 100 / p->scx.weight;

	if (use_vtime())
		scx_task_set_dsq_vtime(p, p->scx.dsq_vtime + used);
}

void SCX_OP(simple_enable, struct task_struct *p)
{
	if (use_vtime())
		scx_task_set_dsq_vtime(p, vtime_now);
}

s32 SCX_OP_SLEEPABLE(simple_init)
{
	/* The same object may be attached again: globals have kept their values. */
	scx_exit_info_reset(uei);
	vtime_now = 0;

	return use_vtime() ? scx_bpf_create_dsq(VTIME_DSQ, -1) : 0;
}

void SCX_OP_SLEEPABLE(simple_exit, struct scx_exit_info *info)
{
	scx_exit_info_record(uei, info);
}

SCX_OPS(simple_ops) = {
	.select_cpu = (void *)simple_select_cpu,
	.enqueue = (void *)simple_enqueue,
	.dispatch = (void *)simple_dispatch,
	.running = (void *)simple_running,
	.stopping = (void *)simple_stopping,
	.enable = (void *)simple_enable,
	.init = (void *)simple_init,
	.exit = (void *)simple_exit,
	.name = "simple",
};
