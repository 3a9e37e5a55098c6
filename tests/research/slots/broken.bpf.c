/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * broken: a policy for slots with faults on purpose, to see what of them the root survives.
 */
#include "slots.bpf.h"

char _license[] SEC("license") = "GPL";

const volatile u64 own_dsq = 1;
const volatile u32 fault = SLOTS_FAULT_NONE;
/* The fault shows at this enqueue, so that the policy has run well before. */
const volatile u32 fault_after = 100;
/* Where SLOTS_FAULT_GIVE_UP goes. */
const volatile u32 other_bank = 0;

/* The root's own: the loader puts the root's map in the place of this one. */
struct slots_state state SEC(".data.slots");

static u32 nr_enqueued;

static bool has_fault(u32 which)
{
	return fault == which && nr_enqueued > fault_after;
}

void SCX_OP(broken_enqueue, struct task_struct *p, u64 enq_flags)
{
	__sync_fetch_and_add(&nr_enqueued, 1);

	if (has_fault(SLOTS_FAULT_ERROR)) {
		scx_error("broken on purpose");
		return;
	}
	if (has_fault(SLOTS_FAULT_MISUSE)) {
		scx_dsq_insert(p, own_dsq + 1000, SLOT_SLICE_NS, enq_flags);
		return;
	}
	if (has_fault(SLOTS_FAULT_GIVE_UP)) {
		/* This task too must run; the queue's others are the root's to drain. */
		scx_dsq_insert(p, SCX_DSQ_GLOBAL, SLOT_SLICE_NS, enq_flags);
		state.drain_dsq = own_dsq;
		__sync_lock_test_and_set(&state.forced_bank, 2 - other_bank);
		__sync_lock_test_and_set(&state.bank, other_bank);
		return;
	}
	scx_dsq_insert(p, own_dsq, SLOT_SLICE_NS, enq_flags);
}

void SCX_OP(broken_dispatch, s32 cpu, struct task_struct *prev)
{
	if (!has_fault(SLOTS_FAULT_LOSE))
		scx_dsq_move_to_local(own_dsq, 0);
}

SEC("syscall")
int setup(struct slots_request *request)
{
	request->answer = scx_bpf_create_dsq(own_dsq, -1);
	return 0;
}

SCX_OPS(broken_ops) = {
	.enqueue = (void *)broken_enqueue,
	.dispatch = (void *)broken_dispatch,
	.name = "broken",
};
