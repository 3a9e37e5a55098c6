/* SPDX-License-Identifier: GPL-2.0-only */
/* two_ops: two schedulers in one object; somebody has to choose. */
#include <scxhost/bpf/common.bpf.h>

char _license[] SEC("license") = "GPL";

void SCX_OP(two_enqueue, struct task_struct *p, u64 enq_flags)
{
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, enq_flags);
}

SCX_OPS(first_ops) = {
	.enqueue = (void *)two_enqueue,
	.name = "first",
};

SCX_OPS(second_ops) = {
	.enqueue = (void *)two_enqueue,
	.name = "second",
};
