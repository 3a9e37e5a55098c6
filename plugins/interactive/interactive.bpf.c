/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * interactive: one queue for each last-level cache, in the order of a virtual deadline that is early for tasks which
 * run briefly between sleeps. README.md has the idea and the formula. The files, each built on the one before:
 * options, groups (of tasks, by cgroup), tasks (contexts), order (virtual time and deadline), slices, samples (which
 * groups compete), then this one.
 */
#include <scxhost/bpf/common.bpf.h>
#include <scxhost/bpf/exit_info.bpf.h>

#include "options.bpf.h"
#include "groups.bpf.h"
#include "tasks.bpf.h"
#include "order.bpf.h"
#include "slices.bpf.h"
#include "samples.bpf.h"

char _license[] SEC("license") = "GPL";

SCX_EXIT_INFO(uei);

static bool is_per_cpu_kthread(const struct task_struct *p)
{
	return (p->flags & PF_KTHREAD) && p->nr_cpus_allowed == 1;
}

s32 SCX_OP(interactive_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	bool is_idle = false;
	/* The kernel's own order: previous CPU, whole idle core, idle CPU of the cache, of the node, any; and the waker's. */
	s32 cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &is_idle);

	if (is_idle) {
		cpu_ctx_t *cpuc = this_cpu_ctx();

		scx_arena_uses(arena);
		cpuc->idle_hits++;
		if (cpu == prev_cpu)
			cpuc->idle_previous++;
		scx_dsq_insert(p, SCX_DSQ_LOCAL, SLICE_ALONE_NS, 0);
	}
	return cpu;
}

/* Takes the CPU of the task that runs there, if that may be: true when it was taken. */
static bool try_preempt(struct task_struct *p, s32 cpu, u64 deadline, u64 now, u64 enq_flags)
{
	cpu_ctx_t *cpuc = cpu_ctx_of(cpu);
	u64 theirs = cpuc->deadline;

	/* Nothing of ours runs there: the kernel's idle task, or one of another scheduling class. */
	if (!theirs)
		return false;
	if (!scx_time_before(deadline + PREEMPT_MARGIN_NS, theirs)) {
		this_cpu_ctx()->kept_deadline++;
		return false;
	}
	if (now - cpuc->started < PREEMPT_MINIMUM_NS) {
		this_cpu_ctx()->kept_minimum++;
		cut_slice(cpu, cpuc, PREEMPT_MINIMUM_NS, now);
		return false;
	}
	/* One for each time that a task is given the CPU. */
	if (cpuc->preempted || __sync_lock_test_and_set(&cpuc->preempted, 1))
		return false;
	this_cpu_ctx()->preemptions++;
	scx_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu, SLICE_ALONE_NS, enq_flags | SCX_ENQ_PREEMPT);
	return true;
}

/* Two candidates: where it was, and where the one that wakes it runs, if they share the cache. */
static bool preempt_somebody(struct task_struct *p, s32 prev, u64 deadline, u64 now, u64 enq_flags)
{
	s32 here = bpf_get_smp_processor_id();

	if (try_preempt(p, prev, deadline, now, enq_flags))
		return true;
	return here != prev && cpu_ctx_of(here)->domain == cpu_ctx_of(prev)->domain &&
	       bpf_cpumask_test_cpu(here, p->cpus_ptr) && try_preempt(p, here, deadline, now, enq_flags);
}

void SCX_OP(interactive_enqueue, struct task_struct *p, u64 enq_flags)
{
	s32 cpu = scx_bpf_task_cpu(p);
	cpu_ctx_t *cpuc = cpu_ctx_of(cpu);
	bool wakes = enq_flags & SCX_ENQ_WAKEUP;
	u64 now = scx_bpf_now();
	task_ctx_t *taskc;
	u64 deadline;

	taskc = lookup_task_ctx(p);
	if (!taskc)
		return;

	/* It serves this CPU, and others wait for what it does. One that goes on working takes its turn. */
	if (wakes && is_per_cpu_kthread(p)) {
		this_cpu_ctx()->kernel_threads++;
		scx_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu, SLICE_ALONE_NS, enq_flags | SCX_ENQ_PREEMPT);
		return;
	}
	/* The kernel does not ask select_cpu for a task that may run on one CPU only. */
	if (!(enq_flags & SCX_ENQ_CPU_SELECTED) && scx_bpf_test_and_clear_cpu_idle(cpu)) {
		this_cpu_ctx()->idle_pinned++;
		scx_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu, SLICE_ALONE_NS, enq_flags);
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
		return;
	}

	deadline = place(p, taskc, cpuc->domain);
	if (preempt && wakes && preempt_somebody(p, cpu, deadline, now, enq_flags))
		return;

	taskc->queued = now;
	this_cpu_ctx()->queued++;
	if (groups_matter())
		start_samples();
	scx_dsq_insert_vtime(p, cpuc->domain, SLICE_ALONE_NS, deadline, enq_flags);

	/* It thought that it is alone. */
	if (cpuc->deadline && !cpuc->slice)
		cut_slice(cpu, cpuc, slice_among(1, domain_at(cpuc->domain)->nr_cpus), now);

	/* A CPU that looked into the queue just before, and went idle, has not been seen by select_cpu. */
	cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
	if (cpu >= 0) {
		this_cpu_ctx()->idle_late++;
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
	}
}

/*
 * The task has the CPU from now on, with a slice of its own. `first`: it comes before those that wait. Otherwise its time
 * says nothing of theirs: a light one that has a CPU to itself would take the domain's along, and all others would be late
 * alike, whatever their weights.
 */
static void begin_turn(s32 cpu, const task_ctx_t *taskc, u64 deadline, u64 now, bool first)
{
	cpu_ctx_t *cpuc = cpu_ctx_of(cpu);
	domain_t *domain = domain_at(cpuc->domain);

	cpuc->deadline = deadline;
	advance(domain, first ? taskc->vtime : domain->vtime, now);
	cpuc->started = now;
	cpuc->preempted = 0;
	begin_slice(cpu, cpuc, now);
}

/* Charges the task that runs for what it has run, whether or not it goes on. */
static void end_turn(struct task_struct *p, task_ctx_t *taskc, cpu_ctx_t *cpuc, u64 now)
{
	/* Clocks of two CPUs, where a core's sibling asks. */
	if (!scx_time_before(now, cpuc->started))
		charge(p, taskc, now - cpuc->started);
	cpuc->started = now;
}

/* Somebody waits in the queue whose deadline is not later than this. */
static bool waits_before(u32 domain, u64 deadline)
{
	bool before = false;
	struct task_struct *p;

	if (scx_bpf_dsq_nr_queued(domain) <= 0)
		return false;
	bpf_for_each(scx_dsq, p, domain, 0) {
		before = !scx_time_before(deadline, p->scx.dsq_vtime);
		break;
	}
	return before;
}

void SCX_OP(interactive_dispatch, s32 cpu, struct task_struct *prev)
{
	cpu_ctx_t *cpuc = cpu_ctx_of(cpu);
	u32 own = cpuc->domain, i;
	task_ctx_t *taskc = NULL;
	u64 now = scx_bpf_now();
	u64 deadline = 0;

	scx_arena_uses(arena);
	/*
	 * The task that has had its slice is not in the queue yet. Where it is the first all the same it goes on, or heavy
	 * ones would have to give a turn to somebody after each of theirs.
	 */
	if (prev && (prev->scx.flags & SCX_TASK_QUEUED))
		taskc = lookup_task_ctx(prev);
	if (taskc) {
		end_turn(prev, taskc, cpuc, now);
		deadline = place(prev, taskc, own);
		if (!waits_before(own, deadline)) {
			cpuc->gone_on++;
			begin_turn(cpu, taskc, deadline, now, scx_bpf_dsq_nr_queued(own) > 0);
			return;
		}
	}
	if (scx_dsq_move_to_local(own, 0)) {
		cpuc->taken++;
		return;
	}
	/* A task that goes on is better for the cache than one that is brought here. */
	if (taskc) {
		begin_turn(cpu, taskc, deadline, now, false);
		return;
	}
	bpf_for(i, 1, INTERACTIVE_MAX_DOMAINS) {
		u32 other = own + i;

		if (i >= nr_domains)
			break;
		if (other >= nr_domains)
			other -= nr_domains;
		if (scx_dsq_move_to_local(other, 0)) {
			cpuc->stolen++;
			return;
		}
	}
}

void SCX_OP(interactive_runnable, struct task_struct *p, u64 enq_flags)
{
	task_ctx_t *taskc = lookup_task_ctx(p);

	if (!taskc)
		return;
	if (enq_flags & SCX_ENQ_WAKEUP)
		taskc->run = 0;
	if (groups_matter())
		join_load(p, taskc);
}

static void count_wait(cpu_ctx_t *cpuc, task_ctx_t *taskc, u64 now)
{
	u64 waited = now - taskc->queued;
	/* One that never sleeps is known by what it runs, not by what was expected of it. */
	u64 usual = taskc->usual > taskc->run ? taskc->usual : taskc->run;

	if (!taskc->queued || scx_time_before(now, taskc->queued))
		return;
	taskc->queued = 0;
	if (usual < 1000000) {
		if (waited > cpuc->wait_short)
			cpuc->wait_short = waited;
	} else if (usual < 10000000) {
		if (waited > cpuc->wait_medium)
			cpuc->wait_medium = waited;
	} else if (waited > cpuc->wait_long) {
		cpuc->wait_long = waited;
	}
}

void SCX_OP(interactive_running, struct task_struct *p)
{
	s32 cpu = scx_bpf_task_cpu(p);
	cpu_ctx_t *cpuc = cpu_ctx_of(cpu);
	u64 now = scx_bpf_now();
	task_ctx_t *taskc;

	taskc = lookup_task_ctx(p);
	if (!taskc)
		return;
	if (groups_matter())
		join_load(p, taskc);
	begin_turn(cpu, taskc, place(p, taskc, cpuc->domain), now, true);
	count_wait(cpuc, taskc, now);
}

void SCX_OP(interactive_stopping, struct task_struct *p, bool runnable)
{
	cpu_ctx_t *cpuc = cpu_ctx_of(scx_bpf_task_cpu(p));
	task_ctx_t *taskc;

	taskc = lookup_task_ctx(p);
	if (!taskc)
		return;
	cpuc->deadline = 0;
	end_turn(p, taskc, cpuc, scx_bpf_now());
	if (runnable)
		return;
	leave_load(taskc);
	taskc->usual = (taskc->usual * 3 + taskc->run) / 4;
}

void SCX_OP(interactive_tick, struct task_struct *p)
{
	cpu_ctx_t *cpuc = cpu_ctx_of(scx_bpf_task_cpu(p));

	scx_arena_uses(arena);
	if (slice_is_over(cpuc, scx_bpf_now())) {
		cpuc->slices_tick++;
		scx_task_set_slice(p, 0);
	}
}

void SCX_OP(interactive_enable, struct task_struct *p)
{
	cpu_ctx_t *cpuc = cpu_ctx_of(scx_bpf_task_cpu(p));
	task_ctx_t *taskc;

	taskc = lookup_task_ctx(p);
	if (!taskc)
		return;
	/* A child begins with a debt, so that forking does not earn time. */
	taskc->domain = cpuc->domain;
	taskc->vtime = domain_at(cpuc->domain)->vtime + weighted(p, taskc, USUAL_NEW_NS);
}

s32 SCX_OP_SLEEPABLE(interactive_init)
{
	u32 cpu, word, i;
	int err;

	scx_exit_info_reset(uei);
	if (scx_bpf_nr_cpu_ids() > INTERACTIVE_MAX_CPUS) {
		scx_error("%u CPUs are more than the %d that there is room for", scx_bpf_nr_cpu_ids(), INTERACTIVE_MAX_CPUS);
		return -SCX_EINVAL;
	}
	/* The object may have been attached before: nothing of that may stay. */
	bpf_for(cpu, 0, scx_bpf_nr_cpu_ids()) {
		u64 __arena *words = (u64 __arena *)cpu_ctx_of(cpu);

		bpf_for(word, 0, sizeof(struct cpu_ctx) / sizeof(u64))
			words[word] = 0;
	}
	forget_groups();
	err = find_domains();
	if (err)
		return err;
	bpf_for(i, 0, INTERACTIVE_MAX_DOMAINS) {
		if (i >= nr_domains)
			break;
		err = scx_bpf_create_dsq(i, -1);
		if (err)
			return err;
	}
	err = task_ctxs_init(max_tasks);
	if (err) {
		scx_error("no pages for the task_ctx slab (%d)", err);
		return -SCX_ENOMEM;
	}
	err = init_samples();
	return err ?: init_timers();
}

void SCX_OP_SLEEPABLE(interactive_exit, struct scx_exit_info *info)
{
	stop_timers();
	stop_samples();
	scx_exit_info_record(uei, info);
}

SCX_OPS(interactive_ops) = {
	.select_cpu = (void *)interactive_select_cpu,
	.enqueue = (void *)interactive_enqueue,
	.dispatch = (void *)interactive_dispatch,
	.runnable = (void *)interactive_runnable,
	.running = (void *)interactive_running,
	.stopping = (void *)interactive_stopping,
	.tick = (void *)interactive_tick,
	.enable = (void *)interactive_enable,
	.disable = (void *)interactive_disable,
	.init_task = (void *)interactive_init_task,
	.exit_task = (void *)interactive_exit_task,
	.cgroup_init = (void *)interactive_cgroup_init,
	.cgroup_exit = (void *)interactive_cgroup_exit,
	.cgroup_move = (void *)interactive_cgroup_move,
	.cgroup_set_weight = (void *)interactive_cgroup_set_weight,
	.init = (void *)interactive_init,
	.exit = (void *)interactive_exit,
	.name = "interactive",
};
