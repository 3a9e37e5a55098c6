/* SPDX-License-Identifier: GPL-2.0-only */
/* lying: a scheduler whose tag says other than its variable. */
#include <scxhost/bpf/common.bpf.h>

char _license[] SEC("license") = "GPL";

SCX_OPTION("slice", string, "Said to be a text")
const volatile u64 slice_ns = 20000000;

void SCX_OP(lying_enqueue, struct task_struct *p, u64 enq_flags)
{
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, slice_ns, enq_flags);
}

SCX_OPS(lying_ops) = {
	.enqueue = (void *)lying_enqueue,
	.name = "lying",
};
