/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who is next: virtual time, and the deadline made of it.
 *
 *	deadline = vtime + usual / weight
 *
 * vtime advances by run time / weight, where groups matter times what that costs in the task's group. A domain's own
 * virtual time is that of the task which started furthest on; a task's is held between LAG behind it, which is what
 * sleeping earns at most, and DEBT before it. One that waits for its turn is behind by what it asks for, too: a light one
 * that asks for much waits long, and would lose what is due to it. What has been queued keeps its key, and the domain's
 * time never stands still: so everything queued becomes the earliest some time.
 */
#pragma once

#include "tasks.bpf.h"

#define LAG_NS 20000000ULL	 /* of virtual time: what a task that sleeps can save up, and a deadline be behind */
#define DEBT_NS 200000000ULL	 /* ... and what one can owe, whatever its weight */
#define USUAL_MAX_NS 20000000ULL /* a task that runs longer between sleeps is no later for it */
#define WALL_SHARE 20		 /* a domain's virtual time moves at least by this part of the clock */
#define WALL_STEP_NS 1000000ULL

#define CPUS_WITHOUT_CACHE 16

static u32 nr_domains;

/* Of the kernel, for each CPU: a number for its last-level cache (kernel/sched/topology.c). */
extern const int sd_llc_id __ksym __weak;

/* Run time in virtual time. 100 is the weight of nice 0. */
static u64 weighted(const struct task_struct *p, const task_ctx_t *taskc, u64 ns)
{
	u64 virtual = ns * 100 / (p->scx.weight ?: 1);

	return groups_matter() ? costs_in_group(taskc->group, virtual) : virtual;
}

/* Brings a task's virtual time into the domain, and into its bounds. Returns its deadline. */
static u64 place(struct task_struct *p, task_ctx_t *taskc, u32 index)
{
	u64 vtime = domain_at(index)->vtime;
	bool slept = !taskc->run && !taskc->queued;
	u64 usual = taskc->usual;
	u64 mine = taskc->vtime;
	u64 least;

	/* Between caches what travels is the distance. */
	if (taskc->domain != index) {
		mine += vtime - domain_at(taskc->domain)->vtime;
		taskc->domain = index;
	}
	if (usual < taskc->run)
		usual = taskc->run;
	if (usual > USUAL_MAX_NS)
		usual = USUAL_MAX_NS;
	usual = weighted(p, taskc, usual);
	if (usual > DEBT_NS)
		usual = DEBT_NS;

	least = vtime - LAG_NS - (slept ? 0 : usual);
	if (scx_time_before(mine, least))
		mine = least;
	else if (scx_time_before(vtime + DEBT_NS, mine))
		mine = vtime + DEBT_NS;
	taskc->vtime = mine;
	return mine + usual;
}

/* A task starts at this virtual time. Not exact when two CPUs meet here, and it need not be. */
static void advance(domain_t *domain, u64 vtime, u64 now)
{
	u64 past = now - domain->vtime_wall;

	if (past > WALL_STEP_NS && !scx_time_before(now, domain->vtime_wall)) {
		domain->vtime_wall = now;
		domain->vtime += past / WALL_SHARE;
	}
	if (scx_time_before(domain->vtime, vtime))
		domain->vtime = vtime;
}

static void charge(struct task_struct *p, task_ctx_t *taskc, u64 ran)
{
	taskc->run += ran;
	taskc->vtime += weighted(p, taskc, ran);
}

/* The kernel's number of the CPU's last-level cache, or a negative one. */
static s32 llc_of(u32 cpu)
{
	const int *id;

	if (!bpf_ksym_exists(&sd_llc_id))
		return -1;
	id = bpf_per_cpu_ptr(&sd_llc_id, cpu);
	return id ? *id : -1;
}

static s32 llc_ids[INTERACTIVE_MAX_DOMAINS];

/* The domain of this cache, a new one if need be. */
static u32 domain_of_llc(s32 llc)
{
	u32 i;

	bpf_for(i, 0, INTERACTIVE_MAX_DOMAINS) {
		if (i >= nr_domains) {
			llc_ids[i] = llc;
			nr_domains = i + 1;
			return i;
		}
		if (llc_ids[i] == llc)
			return i;
	}
	return 0;
}

/*
 * Which CPUs share a queue. Where each CPU is said to have a last-level cache for itself, as in many virtual machines,
 * or nothing is said, CPUs go by sixteen.
 */
static int find_domains(void)
{
	u32 cpu, i, nr = scx_bpf_nr_cpu_ids();
	u64 now = scx_bpf_now();

	nr_domains = 0;
	bpf_for(cpu, 0, nr)
		cpu_ctx_of(cpu)->domain = domain_of_llc(llc_of(cpu));
	if (nr_domains == 1 || nr_domains * 2 > nr) {
		nr_domains = (nr + CPUS_WITHOUT_CACHE - 1) / CPUS_WITHOUT_CACHE;
		bpf_for(cpu, 0, nr)
			cpu_ctx_of(cpu)->domain = cpu / CPUS_WITHOUT_CACHE;
	}
	bpf_for(i, 0, INTERACTIVE_MAX_DOMAINS) {
		domain_at(i)->vtime = 0;
		domain_at(i)->vtime_wall = now;
		domain_at(i)->nr_cpus = 0;
	}
	bpf_for(cpu, 0, nr)
		domain_at(cpu_ctx_of(cpu)->domain)->nr_cpus++;
	return 0;
}
