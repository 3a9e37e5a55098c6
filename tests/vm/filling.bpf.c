/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * filling: a branch that puts each task into the queue of the CPU that it was on, whoever runs there, with a slice that
 * does not end. As long as that queue has tasks the scheduler above is not asked. What the kernel hands back waits until
 * this policy is asked itself.
 */
#include <scxhost/bpf/arena.bpf.h>
#include <scxhost/bpf/exit_info.bpf.h>

char _license[] SEC("license") = "GPL";

SCX_EXIT_INFO(uei);

#define HANDED_BACK_DSQ 0

/* The kernel wants one of each scheduler in this form, to show it sets of CPUs. */
SCX_ARENA(arena, 64);

SCX_OPTION("sub_cgroup", cgroup, "Attach below this cgroup")
SCX_SETS_OPS(sub_cgroup_id)
const volatile u64 sub_cgroup = 0;

struct filling_stats {
	SCX_COUNTER("Tasks put into the queue of a CPU") SCX_NAME("filled") u64 filled;
	SCX_COUNTER("Tasks that the kernel handed back") SCX_NAME("handed_back") u64 handed_back;
};
struct filling_stats stats;

s32 SCX_OP(filling_select_cid, struct task_struct *p, s32 prev_cid, u64 wake_flags)
{
	return prev_cid;
}

void SCX_OP(filling_enqueue, struct task_struct *p, u64 enq_flags)
{
	if (enq_flags & SCX_ENQ_REENQ) {
		__sync_fetch_and_add(&stats.handed_back, 1);
		scx_dsq_insert(p, HANDED_BACK_DSQ, SCX_SLICE_INF, enq_flags);
		return;
	}
	__sync_fetch_and_add(&stats.filled, 1);
	scx_dsq_insert(p, SCX_DSQ_LOCAL_ON | scx_bpf_task_cid(p), SCX_SLICE_INF, enq_flags);
}

void SCX_OP(filling_dispatch, s32 cid, struct task_struct *prev)
{
	scx_dsq_move_to_local(HANDED_BACK_DSQ, 0);
}

s32 SCX_OP_SLEEPABLE(filling_init)
{
	scx_arena_uses(arena);
	return scx_bpf_create_dsq(HANDED_BACK_DSQ, -1);
}

void SCX_OP_SLEEPABLE(filling_exit, struct scx_exit_info *info)
{
	scx_exit_info_record(uei, info);
}

SCX_OPS_CID(filling_ops) = {
	.select_cid = (void *)filling_select_cid,
	.enqueue = (void *)filling_enqueue,
	.dispatch = (void *)filling_dispatch,
	.init = (void *)filling_init,
	.exit = (void *)filling_exit,
	.name = "filling",
};
