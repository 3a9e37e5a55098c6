/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * simple in two forms: by CPU number, as simple.bpf.c has it, and by topological id ("cid"), the only one in which a
 * scheduler can be below another one. The host takes the second form for a branch.
 *
 * What differs is the search for an idle CPU: in the cid form the kernel leaves that to the policy.
 */
#include <scxhost/bpf/arena.bpf.h>

#include "simple.bpf.c"

/* The kernel wants one of each scheduler in this form, to show it sets of CPUs. */
SCX_ARENA(arena, 1 << 10);

#define MAX_CIDS 8192

/* By cid. Idle: and nobody has claimed the CPU since. */
static u32 is_idle[MAX_CIDS], is_offline[MAX_CIDS];

#define flag(flags, cid) (&(flags)[(cid) & (MAX_CIDS - 1)])

static bool claim_idle(const struct task_struct *p, s32 cid)
{
	s32 cpu = scx_bpf_cid_to_cpu(cid);

	return *flag(is_idle, cid) && cpu >= 0 && bpf_cpumask_test_cpu(cpu, p->cpus_ptr) &&
	       __sync_lock_test_and_set(flag(is_idle, cid), 0);
}

s32 SCX_OP(simple_select_cid, struct task_struct *p, s32 prev_cid, u64 wake_flags)
{
	u32 i, nr = scx_bpf_nr_cids();

	/* Ids that are close to each other are CPUs that are. */
	bpf_for(i, 0, nr) {
		s32 cid = ((u32)prev_cid + i) % nr;

		if (!claim_idle(p, cid))
			continue;
		count(direct);
		scx_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
		return cid;
	}
	return prev_cid;
}

void SCX_OP(simple_update_idle, s32 cid, bool idle)
{
	/* A CPU that goes offline is idle once more, for good: a kick would wait there for ever, and the kernel for the kick. */
	idle = idle && !*flag(is_offline, cid);
	__sync_lock_test_and_set(flag(is_idle, cid), idle);
	/* A task that came into the queue after this CPU had looked there, and before this, has found nobody idle. */
	if (idle && use_vtime() && scx_bpf_dsq_nr_queued(VTIME_DSQ) > 0)
		scx_bpf_kick_cid(cid, SCX_KICK_IDLE);
}

void SCX_OP_SLEEPABLE(simple_cid_online, s32 cid)
{
	*flag(is_offline, cid) = 0;
}

void SCX_OP_SLEEPABLE(simple_cid_offline, s32 cid)
{
	*flag(is_offline, cid) = 1;
}

s32 SCX_OP_SLEEPABLE(simple_cid_init)
{
	u32 i, nr = scx_bpf_nr_cids(), nr_online = scx_bpf_nr_online_cids();

	scx_arena_uses(arena);
	bpf_for(i, 0, nr) {
		*flag(is_idle, i) = 0;
		*flag(is_offline, i) = i >= nr_online; /* these have the last ids */
	}
	return ____simple_init(ctx); /* what BPF_PROG calls the function itself */
}

SCX_OPS_CID(simple_cid_ops) = {
	.select_cid = (void *)simple_select_cid,
	.enqueue = (void *)simple_enqueue,
	.dispatch = (void *)simple_dispatch,
	.update_idle = (void *)simple_update_idle,
	.running = (void *)simple_running,
	.stopping = (void *)simple_stopping,
	.enable = (void *)simple_enable,
	.cid_online = (void *)simple_cid_online,
	.cid_offline = (void *)simple_cid_offline,
	.init = (void *)simple_cid_init,
	.exit = (void *)simple_exit,
	.name = "simple",
};
