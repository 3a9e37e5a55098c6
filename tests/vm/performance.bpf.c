/* SPDX-License-Identifier: GPL-2.0-only */
/* What schedulers have asked of a CPU's performance, as the kernel keeps it: for performance_target.hpp. */
#include <scxhost/bpf/common.bpf.h>

char _license[] SEC("license") = "GPL";

extern const struct rq runqueues __ksym;

struct cpu {
	u64 number;
};

/* 0 to 1024, or -1: there is no such CPU. */
SEC("syscall")
s32 performance_target(struct cpu *cpu)
{
	const struct rq *rq = bpf_per_cpu_ptr(&runqueues, (u32)cpu->number);

	return rq ? (s32)rq->scx.cpuperf_target : -1;
}
