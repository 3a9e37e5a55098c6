/* SPDX-License-Identifier: GPL-2.0-only */
/* lost: a scheduler with a program for a tracepoint that no kernel has. */
#include <scxhost/bpf/common.bpf.h>

char _license[] SEC("license") = "GPL";

void SCX_OP(lost_enqueue, struct task_struct *p, u64 enq_flags)
{
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, enq_flags);
}

SCX_OPS(lost_ops) = {
	.enqueue = (void *)lost_enqueue,
	.name = "lost",
};

SEC("tp/nosuch/event")
int lost_probe(void *context)
{
	return 0;
}
