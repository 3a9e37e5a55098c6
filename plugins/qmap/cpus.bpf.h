/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CPUs, by number or by topological id. Kernels that can have schedulers below schedulers want both in the cid form: the
 * same callbacks, but every CPU is a "cid", and each policy keeps track of idle CPUs by itself. qmap serves both from
 * one source. Here, and nowhere else, stands what differs: to the rest of the policy a CPU is a number that it hands back.
 *
 * `use_cids` is constant when the verifier looks, so that the other form's branches vanish.
 */
#pragma once

#include "tasks.bpf.h"

static u32 nr_cpus(void)
{
	return use_cids ? scx_bpf_nr_cids() : scx_bpf_nr_cpu_ids();
}

static s32 this_cpu(void)
{
	return use_cids ? scx_bpf_this_cid() : (s32)bpf_get_smp_processor_id();
}

static s32 task_cpu(struct task_struct *p)
{
	return use_cids ? scx_bpf_task_cid(p) : scx_bpf_task_cpu(p);
}

static bool may_run_on(struct task_struct *p, s32 cpu)
{
	if (use_cids)
		cpu = scx_bpf_cid_to_cpu(cpu);
	return cpu >= 0 && bpf_cpumask_test_cpu(cpu, p->cpus_ptr);
}

static void kick(s32 cpu, u64 flags)
{
	if (use_cids)
		scx_bpf_kick_cid(cpu, flags);
	else
		scx_bpf_kick_cpu(cpu, flags);
}

/*
 * A CPU is idle when its context says so: an exchange there claims it. The bits are where to look. (Not the bits alone:
 * x86 has no fetch-and-and for the arena.)
 */
static u64 __arena *idle_word(s32 cid)
{
	return &qa.idle_cids[(cid & (QMAP_MAX_CPUS - 1)) / 64];
}

static void set_idle_bit(s32 cid)
{
	__sync_fetch_and_or(idle_word(cid), 1ULL << (cid & 63));
}

static void clear_idle_bit(s32 cid)
{
	__sync_fetch_and_and(idle_word(cid), ~(1ULL << (cid & 63)));
}

static void forget_idle(s32 cid)
{
	__sync_lock_test_and_set(&cpu_ctx_of(cid)->idle, 0);
	clear_idle_bit(cid);
}

/* True when the CPU was idle and is now ours: nobody else gets it until it has been idle again. */
static bool claim_idle(s32 cpu)
{
	cpu_ctx_t *cpuc = cpu_ctx_of(cpu);

	if (!use_cids)
		return scx_bpf_test_and_clear_cpu_idle(cpu);
	if (!cpuc->idle || !__sync_lock_test_and_set(&cpuc->idle, 0))
		return false;
	clear_idle_bit(cpu);
	return true;
}

/* Claims an idle one of 64 CPUs. */
static s32 claim_idle_of_word(struct task_struct *p, u32 word)
{
	u64 idle = qa.idle_cids[word & (QMAP_MAX_CPUS / 64 - 1)];
	int i;

	if (!idle)
		return -1;
	bpf_for(i, 0, 64) {
		s32 cid = word * 64 + i;

		if (!(idle >> i))
			break;
		if ((idle >> i & 1) && may_run_on(p, cid) && claim_idle(cid))
			return cid;
	}
	return -1;
}

/* An idle CPU where the task may run, claimed, or a negative number. */
static s32 claim_any_idle(struct task_struct *p)
{
	u32 word, nr;

	if (!use_cids)
		return scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
	nr = nr_cpus();
	if (nr <= 64)
		return claim_idle_of_word(p, 0);
	bpf_for(word, 0, QMAP_MAX_CPUS / 64) {
		s32 cid;

		if (word * 64 >= nr)
			break;
		cid = claim_idle_of_word(p, word);
		if (cid >= 0)
			return cid;
	}
	return -1;
}

/* A CPU where the task may run: idle if possible. */
static s32 pick_any(struct task_struct *p)
{
	s32 cid;

	if (!use_cids)
		return scx_bpf_pick_any_cpu(p->cpus_ptr, 0);
	cid = claim_any_idle(p);
	return cid >= 0 ? cid : scx_bpf_cpu_to_cid(bpf_cpumask_any_distribute(p->cpus_ptr));
}

/* Performance of the CPU, in 1/1024. */
static u32 perf_cap(s32 cpu)
{
	return use_cids ? scx_bpf_cidperf_cap(cpu) : scx_bpf_cpuperf_cap(cpu);
}

static u32 perf_cur(s32 cpu)
{
	return use_cids ? scx_bpf_cidperf_cur(cpu) : scx_bpf_cpuperf_cur(cpu);
}

static void set_perf(s32 cpu, u32 perf)
{
	if (use_cids)
		scx_bpf_cidperf_set(cpu, perf);
	else
		scx_bpf_cpuperf_set(cpu, perf);
}

/* Which CPUs are there: asked at init, then told by the kernel. */
static void find_online(void)
{
	u32 cpu;

	if (use_cids) {
		/* CPUs that are offline when the ids are dealt come last. */
		bpf_for(cpu, 0, nr_cpus())
			cpu_ctx_of(cpu)->online = cpu < scx_bpf_nr_online_cids();
	} else {
		const struct cpumask *online = scx_bpf_get_online_cpumask();

		bpf_for(cpu, 0, nr_cpus())
			cpu_ctx_of(cpu)->online = bpf_cpumask_test_cpu(cpu, online);
		scx_bpf_put_cpumask(online);
	}
}
