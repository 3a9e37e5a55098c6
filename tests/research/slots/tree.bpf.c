/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tree: a root in the cid form that has one slot and may have sub-schedulers: only with sub_attach does the kernel want
 * to know which scheduler a slot's program belongs to.
 */
#include "slots.bpf.h"

#include <scxhost/bpf/arena.bpf.h>

char _license[] SEC("license") = "GPL";

struct slots_state state SEC(".data.slots");
struct kfuncs_state counts SEC(".data.kfuncs");

SLOT_ARRAY(enqueue);

/* The kernel takes the cid form only from an object that has an arena, and that one of its callbacks uses. */
SCX_ARENA(arena, 1 << 10);

void SCX_OP(tree_enqueue, struct task_struct *p, u64 enq_flags)
{
	scx_arena_uses(arena);
	bpf_tail_call_static(ctx, &enqueue_slots, 0);

	__sync_fetch_and_add(&state.fallbacks, 1);
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, enq_flags);
}

s32 SCX_OP_SLEEPABLE(tree_sub_attach, struct scx_sub_attach_args *args)
{
	return 0;
}

void SCX_OP_SLEEPABLE(tree_sub_detach, struct scx_sub_detach_args *args)
{
}

void SCX_OP_SLEEPABLE(tree_exit, struct scx_exit_info *info)
{
	bpf_probe_read_kernel_str(state.exit_message, sizeof(state.exit_message), info->msg);
	__sync_lock_test_and_set(&state.exit_kind, (int)info->kind);
}

void SCX_OP(tree_slot_enqueue, struct task_struct *p, u64 enq_flags)
{
	__sync_fetch_and_add(&counts.insert_global.asked, 1);
	if (scx_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, enq_flags))
		__sync_fetch_and_add(&counts.insert_global.done, 1);
}

SCX_OPS_CID(tree_ops) = {
	.enqueue = (void *)tree_enqueue,
	.sub_attach = (void *)tree_sub_attach,
	.sub_detach = (void *)tree_sub_detach,
	.exit = (void *)tree_exit,
	.timeout_ms = 5000,
	.name = "tree",
};

SCX_OPS_CID(tree_slots) = {
	.enqueue = (void *)tree_slot_enqueue,
	.name = "tree_slots",
};
