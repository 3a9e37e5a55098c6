/* SPDX-License-Identifier: GPL-2.0-only */
/* no_scheduler: a good BPF object that has no sched_ext_ops. */
#include <scxhost/bpf/common.bpf.h>

char _license[] SEC("license") = "GPL";

const volatile u64 slice_ns = 1;
u64 counter;

SEC("syscall")
int count(void *context)
{
	return counter += slice_ns;
}
