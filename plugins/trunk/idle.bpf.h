/* SPDX-License-Identifier: GPL-2.0-only */
/* Idle CPUs: in the cid form a policy keeps track of them by itself. */
#pragma once

#include "owners.bpf.h"

#define OWN_DSQ 0

SCX_ARENA(arena, 64);

struct scx_cids SCX_ARENA_GLOBAL all_cids;

/* For each CPU the set of it alone, in the kernel's form: a set's words begin at whole multiples of 64. */
struct one_cid {
	u32 base;
	u32 nr_cids;
	u32 alloc_words;
	u64 bits[2]; /* the kernel wants one word more than would do, since a set may begin within a word */
};

struct one_cid SCX_ARENA_GLOBAL one_cids[TRUNK_MAX_CPUS];

static const struct scx_cmask __arena *set_of(s32 cid)
{
	return (const struct scx_cmask __arena *)&one_cids[cid & (TRUNK_MAX_CPUS - 1)];
}

static u64 idle_bits[TRUNK_MAX_CPUS / 64];
static bool online[TRUNK_MAX_CPUS];

static void arm_timer(void);

static u64 *idle_word(s32 cid)
{
	return &idle_bits[(u32)cid / 64 & (TRUNK_MAX_CPUS / 64 - 1)];
}

/* True when the CPU was idle and is now ours: nobody else of trunk's gets it until it has been idle again. */
static bool claim_idle(s32 cid)
{
	u64 bit = 1ULL << (cid & 63);

	return (*idle_word(cid) & bit) && (__sync_fetch_and_and(idle_word(cid), ~bit) & bit);
}

static bool may_run_on(struct task_struct *p, s32 cid)
{
	s32 cpu = scx_bpf_cid_to_cpu(cid);

	return cpu >= 0 && bpf_cpumask_test_cpu(cpu, p->cpus_ptr);
}

/* An idle CPU where the task may run, claimed, `first` before all others; or a negative number. */
static s32 claim_idle_for(struct task_struct *p, s32 first)
{
	u32 word, nr = scx_bpf_nr_cids();
	int i;

	if (first >= 0 && may_run_on(p, first) && claim_idle(first))
		return first;
	bpf_for(word, 0, TRUNK_MAX_CPUS / 64) {
		u64 idle;

		if (word * 64 >= nr)
			break;
		idle = idle_bits[word & (TRUNK_MAX_CPUS / 64 - 1)];
		if (!idle)
			continue;
		bpf_for(i, 0, 64) {
			s32 cid = word * 64 + i;

			if (!(idle >> i))
				break;
			if ((idle >> i & 1) && may_run_on(p, cid) && claim_idle(cid))
				return cid;
		}
	}
	return -1;
}

void SCX_OP(trunk_update_idle, s32 cid, bool idle)
{
	u64 bit = 1ULL << (cid & 63);

	/* A kick that a CPU queues as it goes offline is never carried out, and the kernel waits for it at detach (7.3.4). */
	if (!idle || !online[cid & (TRUNK_MAX_CPUS - 1)]) {
		__sync_fetch_and_and(idle_word(cid), ~bit);
		arm_timer();
		return;
	}
	__sync_fetch_and_or(idle_word(cid), bit);
	/* A task that came between the last dispatch and this saw no idle CPU. */
	if (scx_bpf_dsq_nr_queued(OWN_DSQ) > 0)
		scx_bpf_kick_cid(cid, SCX_KICK_IDLE);
}

void SCX_OP_SLEEPABLE(trunk_cid_online, s32 cid)
{
	online[cid & (TRUNK_MAX_CPUS - 1)] = true;
}

void SCX_OP_SLEEPABLE(trunk_cid_offline, s32 cid)
{
	online[cid & (TRUNK_MAX_CPUS - 1)] = false;
	__sync_fetch_and_and(idle_word(cid), ~(1ULL << (cid & 63)));
}

static void idle_reset(void)
{
	u32 i;

	bpf_for(i, 0, TRUNK_MAX_CPUS / 64)
		idle_bits[i] = 0;
	bpf_for(i, 0, TRUNK_MAX_CPUS) {
		one_cids[i].base = i;
		one_cids[i].nr_cids = 1;
		one_cids[i].alloc_words = 2;
		one_cids[i].bits[0] = 1ULL << (i & 63);
	}
	/* CPUs that are offline when the ids are dealt come last. */
	bpf_for(i, 0, TRUNK_MAX_CPUS)
		online[i] = i < scx_bpf_nr_online_cids();
}
