/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * central: one CPU decides for all. Tasks wait in one queue, in the order of their weighted virtual time; the central CPU
 * takes them out and puts each on a CPU that is free. There a task runs until it sleeps or until the central CPU finds
 * that it has run for a slice while others wait: its slice is without end, so that a CPU which the kernel was told to
 * keep free of its tick (nohz_full=) has none. README.md has what that is good for, and what it costs.
 *
 * The decisions are made in two places: in the central CPU's dispatch, when somebody asks for one, and in a timer, which
 * makes all of them again, so that nothing is lost when the central CPU is kept from its dispatch.
 */
#include <scxhost/bpf/common.bpf.h>
#include <scxhost/bpf/exit_info.bpf.h>

char _license[] SEC("license") = "GPL";

SCX_OPTION("cpu", int, "The CPU that decides; when it is offline, the first one that is not")
SCX_MIN("0") SCX_MAX("1023")
const volatile u32 wanted_cpu = 0;

SCX_OPTION("slice", duration, "How long a task may run while others wait for its CPU")
SCX_UNIT("ns") SCX_MIN("1ms") SCX_MAX("1s")
const volatile u64 slice_ns = 20000000;

SCX_OPTION("interval", duration, "Time between two looks of the central CPU at all others")
SCX_UNIT("ns") SCX_MIN("100us") SCX_MAX("100ms")
const volatile u64 interval_ns = 1000000;

SCX_OPTION("partial", bool, "Take only tasks that ask for it (policy SCHED_EXT)")
SCX_SETS_FLAG(SCX_OPS_SWITCH_PARTIAL)
const volatile bool partial = false;

SCX_OPTION("timeout", duration, "A runnable task that waits longer than this ejects the policy")
SCX_UNIT("ms") SCX_MIN("1s") SCX_MAX("30s") SCX_SETS_OPS(timeout_ms)
const volatile u32 timeout_ms = 30000;

/* Weak like all kfuncs, but nothing works without these. */
SCX_NEEDS(scx_bpf_create_dsq)
SCX_NEEDS(scx_bpf_dsq_move)
SCX_NEEDS(scx_bpf_dsq_nr_queued)
SCX_NEEDS(scx_bpf_error_bstr)
SCX_NEEDS(scx_bpf_get_idle_cpumask)
SCX_NEEDS(scx_bpf_get_online_cpumask)
SCX_NEEDS(scx_bpf_kick_cpu)
SCX_NEEDS(scx_bpf_pick_idle_cpu)
SCX_NEEDS(scx_bpf_test_and_clear_cpu_idle)
const volatile u32 central_build = 1;

#define CENTRAL_MAX_CPUS 1024
#define WAITING_DSQ 0
#define CLOCK_MONOTONIC 1
#define BPF_F_TIMER_CPU_PIN (1ULL << 1)

/* Tasks that a decision passes over, because they may not run where there is room, before it is left to the next one. */
#define MAX_PASSED_OVER 128

struct central_stats {
	SCX_KEY SCX_COUNTER("Tasks that a CPU asked for and was given by the central CPU") u64 given;
	SCX_KEY SCX_COUNTER("Tasks that the timer gave to an idle CPU") u64 given_by_timer;
	SCX_COUNTER("Tasks that ran on the central CPU, since no other one was free") u64 kept;
	SCX_COUNTER("Tasks that a CPU took by itself, since the central one had not looked for two intervals") u64 self_served;
	SCX_COUNTER("Tasks that may run on one CPU only") u64 pinned;
	SCX_COUNTER("Wake-ups of kernel threads that serve one CPU") u64 kernel_threads;
	SCX_KEY SCX_COUNTER("Tasks that had run for a slice and gave way to one that waited") u64 preempted;
	SCX_COUNTER("Decisions that were left to the next one, with tasks in the way that may run elsewhere only") u64 cut_short;
	SCX_COUNTER("Looks of the timer on another CPU than the central one") u64 away;
	SCX_KEY SCX_COUNTER("Scheduler ticks that met a task of this policy") u64 ticks;
	SCX_KEY SCX_GAUGE("Ticks (jiffies) for which such tasks ran, less those that met one") s64 ticks_saved;
	SCX_KEY SCX_GAUGE("The central CPU") u64 central;
};

/* Only the central CPU and who helps itself write here. What other CPUs count, they count in their cpu_state. */
struct central_stats stats;

/* What runs on each CPU. A cache line of its own: the CPU writes it, and the central one reads it. */
struct cpu_state {
	u64 started;  /* scx_bpf_now() as the task began to run; 0: none of ours runs */
	u64 jiffies;  /* the same by the kernel's jiffies */
	u64 ran;      /* jiffies for which tasks have run before */
	u64 ticks;    /* that met a task */
	u64 pinned, kernel_threads; /* that were enqueued here */
	u64 unused[2];
};

static struct cpu_state cpu_states[CENTRAL_MAX_CPUS] __attribute__((aligned(64)));

/* Read by the user-space half as well. */
s32 central_cpu;
static u64 vtime_now;
static u64 last_look;
static u32 is_asked;

SCX_EXIT_INFO(uei);

struct timer_slot {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct timer_slot);
} timers SEC(".maps");

/* init makes sure that there are not more CPUs. */
static __always_inline struct cpu_state *state_of(s32 cpu)
{
	return &cpu_states[cpu & (CENTRAL_MAX_CPUS - 1)];
}

#define count(member) __sync_fetch_and_add(&stats.member, 1)

/* At most one request is under way: the central CPU looks at everything. */
static void ask_central(void)
{
	if (!is_asked && !__sync_lock_test_and_set(&is_asked, 1))
		scx_bpf_kick_cpu(central_cpu, SCX_KICK_PREEMPT);
}

/* Claims an idle CPU for the task, the central one only if there is no other. Negative: none is idle. */
static s32 claim_idle(const struct task_struct *p)
{
	s32 cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0), other;

	if (cpu != central_cpu)
		return cpu;
	other = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
	if (other < 0)
		return cpu;
	scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE); /* the claim is to end */
	return other;
}

/* Gives waiting tasks to idle CPUs: what both places that decide do first. */
static void give_to_idle(bool from_timer)
{
	struct task_struct *p;
	u32 passed_over = 0;

	is_asked = 0;
	last_look = scx_bpf_now();
	bpf_for_each(scx_dsq, p, WAITING_DSQ, 0) {
		s32 cpu = claim_idle(p);

		/* In dispatch the central CPU itself is not idle any more, and takes its own task after this. */
		if (cpu < 0) {
			if (++passed_over < MAX_PASSED_OVER)
				continue;
			count(cut_short);
			break;
		}
		if (scx_bpf_dsq_move(SCX_ITERATOR, p, SCX_DSQ_LOCAL_ON | cpu, 0)) {
			if (from_timer)
				count(given_by_timer);
			else
				count(given);
		}
		/* Also when somebody else had the task: the claim is to end. */
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
	}
}

/* Puts the first waiting task that may run there on the CPU's own queue. False: there is none. */
static bool give_to(s32 cpu)
{
	struct task_struct *p;
	u32 passed_over = 0;

	bpf_for_each(scx_dsq, p, WAITING_DSQ, 0) {
		if (bpf_cpumask_test_cpu(cpu, p->cpus_ptr) && scx_bpf_dsq_move(SCX_ITERATOR, p, SCX_DSQ_LOCAL_ON | cpu, 0))
			return true;
		if (++passed_over >= MAX_PASSED_OVER) {
			count(cut_short);
			break;
		}
	}
	return false;
}

/* Ends what has run for a slice where somebody waits: in the CPU's own queue, or in the common one. */
static void preempt_where_others_wait(void)
{
	u64 now = scx_bpf_now(), jiffies = bpf_jiffies64();
	u64 ran = 0, ticks = 0, pinned = 0, kernel_threads = 0;
	u32 cpu;

	bpf_for(cpu, 0, scx_bpf_nr_cpu_ids()) {
		struct cpu_state *state = state_of(cpu);
		u64 started = state->started;

		ran += state->ran;
		ticks += state->ticks;
		pinned += state->pinned;
		kernel_threads += state->kernel_threads;
		if (!started)
			continue;
		ran += jiffies - state->jiffies;
		if (scx_time_before(now, started + slice_ns))
			continue;
		if (scx_bpf_dsq_nr_queued(SCX_DSQ_LOCAL_ON | cpu) == 0 &&
		    (scx_bpf_dsq_nr_queued(WAITING_DSQ) == 0 || !give_to(cpu)))
			continue;
		count(preempted);
		scx_bpf_kick_cpu(cpu, SCX_KICK_PREEMPT);
	}
	stats.ticks = ticks;
	stats.ticks_saved = ran - ticks;
	stats.pinned = pinned;
	stats.kernel_threads = kernel_threads;
}

static int look_at_all(void *map, u32 *key, struct timer_slot *slot)
{
	bool is_central = (s32)bpf_get_smp_processor_id() == central_cpu;

	bpf_rcu_read_lock();
	give_to_idle(true);
	preempt_where_others_wait();
	bpf_rcu_read_unlock();
	if (!is_central)
		count(away);
	bpf_timer_start(&slot->timer, interval_ns, is_central ? BPF_F_TIMER_CPU_PIN : 0);
	return 0;
}

static bool is_per_cpu_kthread(const struct task_struct *p)
{
	return (p->flags & PF_KTHREAD) && p->nr_cpus_allowed == 1;
}

/* Where it was: the choice is made later, and on another CPU. */
s32 SCX_OP(central_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	return prev_cpu;
}

void SCX_OP(central_enqueue, struct task_struct *p, u64 enq_flags)
{
	const struct cpumask *idle;
	u64 vtime = p->scx.dsq_vtime;
	bool is_room;

	/* There is nothing to decide. */
	if (p->nr_cpus_allowed == 1) {
		s32 cpu = scx_bpf_task_cpu(p);

		if (is_per_cpu_kthread(p)) {
			state_of(bpf_get_smp_processor_id())->kernel_threads++;
			scx_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu, SCX_SLICE_INF, enq_flags | SCX_ENQ_PREEMPT);
			return;
		}
		state_of(bpf_get_smp_processor_id())->pinned++;
		scx_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu, SCX_SLICE_INF, enq_flags);
		if (scx_bpf_test_and_clear_cpu_idle(cpu))
			scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
		return;
	}

	/* Sleeping saves up one slice at most. */
	if (scx_time_before(vtime, vtime_now - slice_ns))
		vtime = vtime_now - slice_ns;
	scx_dsq_insert_vtime(p, WAITING_DSQ, SCX_SLICE_INF, vtime, enq_flags);

	/* Where no CPU is free the central one has nothing to decide yet, and is not disturbed. */
	idle = scx_bpf_get_idle_cpumask();
	is_room = bpf_cpumask_intersects(p->cpus_ptr, idle);
	scx_bpf_put_idle_cpumask(idle);
	if (is_room)
		ask_central();
}

void SCX_OP(central_dispatch, s32 cpu, struct task_struct *prev)
{
	if (cpu == central_cpu) {
		give_to_idle(false);
		if (scx_dsq_move_to_local(WAITING_DSQ, 0)) {
			count(kept);
			return;
		}
	} else if (scx_bpf_dsq_nr_queued(WAITING_DSQ) > 0) {
		if (scx_time_before(scx_bpf_now(), last_look + 2 * interval_ns)) {
			ask_central();
		} else if (scx_dsq_move_to_local(WAITING_DSQ, 0)) {
			count(self_served);
			return;
		}
	}
	/* Nothing for this CPU: what ran goes on, and needs no tick. */
	if (prev && (prev->scx.flags & SCX_TASK_QUEUED))
		scx_task_set_slice(prev, SCX_SLICE_INF);
}

void SCX_OP(central_running, struct task_struct *p)
{
	struct cpu_state *state = state_of(scx_bpf_task_cpu(p));

	/* Not exact when two CPUs meet here, and it need not be. */
	if (scx_time_before(vtime_now, p->scx.dsq_vtime))
		vtime_now = p->scx.dsq_vtime;
	state->jiffies = bpf_jiffies64();
	state->started = scx_bpf_now();
}

void SCX_OP(central_stopping, struct task_struct *p, bool runnable)
{
	struct cpu_state *state = state_of(scx_bpf_task_cpu(p));
	u64 used = scx_bpf_now() - state->started;

	state->ran += bpf_jiffies64() - state->jiffies;
	state->started = 0;
	/* 100 is the weight of nice 0. */
	scx_task_set_dsq_vtime(p, p->scx.dsq_vtime + used * 100 / p->scx.weight);
}

void SCX_OP(central_tick, struct task_struct *p)
{
	/* Not this CPU: a CPU without a tick is looked after by another one, once a second. */
	state_of(scx_bpf_task_cpu(p))->ticks++;
}

void SCX_OP(central_enable, struct task_struct *p)
{
	scx_task_set_dsq_vtime(p, vtime_now);
}

/* The CPU that was asked for, or the first one that is online. */
static s32 choose_central(void)
{
	const struct cpumask *online = scx_bpf_get_online_cpumask();
	u32 cpu = wanted_cpu;

	if (cpu >= scx_bpf_nr_cpu_ids() || !bpf_cpumask_test_cpu(cpu, online))
		cpu = bpf_cpumask_first(online);
	scx_bpf_put_cpumask(online);
	return cpu;
}

/* For the user-space half, which runs it on the central CPU: the timer stays where it is started. */
SEC("syscall")
int central_pin_timer(void *unused)
{
	u32 key = 0;
	struct timer_slot *slot = bpf_map_lookup_elem(&timers, &key);

	return slot ? bpf_timer_start(&slot->timer, interval_ns, BPF_F_TIMER_CPU_PIN) : -SCX_ENOENT;
}

s32 SCX_OP_SLEEPABLE(central_init)
{
	u32 key = 0, cpu;
	struct timer_slot *slot = bpf_map_lookup_elem(&timers, &key);
	int err;

	scx_exit_info_reset(uei);
	if (scx_bpf_nr_cpu_ids() > CENTRAL_MAX_CPUS) {
		scx_error("%u CPUs are more than the %d that there is room for", scx_bpf_nr_cpu_ids(), CENTRAL_MAX_CPUS);
		return -SCX_EINVAL;
	}
	if (!slot)
		return -SCX_ENOENT;
	/* The object may have been attached before: nothing of that may stay. */
	__builtin_memset(&stats, 0, sizeof(stats));
	bpf_for(cpu, 0, CENTRAL_MAX_CPUS)
		__builtin_memset(state_of(cpu), 0, sizeof(struct cpu_state));
	vtime_now = 0;
	is_asked = 0;
	last_look = scx_bpf_now();
	central_cpu = choose_central();
	stats.central = central_cpu;

	err = scx_bpf_create_dsq(WAITING_DSQ, -1);
	if (err)
		return err;
	/* -EBUSY: it is there since the object was attached before. */
	bpf_timer_init(&slot->timer, &timers, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&slot->timer, look_at_all);
	return bpf_timer_start(&slot->timer, interval_ns, 0);
}

void SCX_OP_SLEEPABLE(central_exit, struct scx_exit_info *info)
{
	u32 key = 0;
	struct timer_slot *slot = bpf_map_lookup_elem(&timers, &key);

	if (slot)
		bpf_timer_cancel(&slot->timer);
	scx_exit_info_record(uei, info);
}

SCX_OPS(central_ops) = {
	.select_cpu = (void *)central_select_cpu,
	.enqueue = (void *)central_enqueue,
	.dispatch = (void *)central_dispatch,
	.running = (void *)central_running,
	.stopping = (void *)central_stopping,
	.tick = (void *)central_tick,
	.enable = (void *)central_enable,
	.init = (void *)central_init,
	.exit = (void *)central_exit,
	.name = "central",
};
