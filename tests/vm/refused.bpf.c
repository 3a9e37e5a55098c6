/* SPDX-License-Identifier: GPL-2.0-only */
/* refused: its enqueue reads an array out of bounds, which the verifier does not let pass. For the tests of the host. */
#include <scxhost/bpf/common.bpf.h>

char _license[] SEC("license") = "GPL";

u64 counts[4];

void SCX_OP(refused_enqueue, struct task_struct *p, u64 enq_flags)
{
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, counts[enq_flags], enq_flags);
}

SCX_OPS(refused_ops) = {
	.enqueue = (void *)refused_enqueue,
	.name = "refused",
};
