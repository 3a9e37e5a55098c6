/* SPDX-License-Identifier: GPL-2.0-only */
/* counts: statistics of every width, fold and place, for tests that write the numbers themselves. Nothing loads it. */
#include <scxhost/bpf/common.bpf.h>

char _license[] SEC("license") = "GPL";

struct counts {
	SCX_GAUGE("One byte") u8 byte_u;
	SCX_GAUGE("One byte") s8 byte_s;
	SCX_GAUGE("A truth value") bool truth;
	SCX_GAUGE("Two bytes") u16 half_u;
	SCX_GAUGE("Two bytes") s16 half_s;
	SCX_GAUGE("Four bytes") u32 word_u;
	SCX_GAUGE("Four bytes") s32 word_s;
	SCX_COUNTER("Eight bytes") u64 long_u;
	SCX_GAUGE("Eight bytes") s64 long_s;
	SCX_COUNTER("Added up") u64 total[3];
	SCX_GAUGE("The highest") SCX_FOLD(max) s32 highest[3];
	SCX_GAUGE("The lowest") SCX_FOLD(min) s32 lowest[3];
	SCX_GAUGE("The mean") SCX_FOLD(avg) s32 mean[3];
};
struct counts numbers;

/* Four bytes longer than a multiple of eight: the kernel rounds the value up, so that the tail must be stepped over. */
struct each_cpu {
	SCX_COUNTER("Added up over CPUs and entries") u32 hits;
	SCX_GAUGE("The highest of all") SCX_FOLD(max) u32 depth;
	SCX_GAUGE("The lowest of all") SCX_FOLD(min) s32 room;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct each_cpu);
} places SEC(".maps");

void SCX_OP(counts_enqueue, struct task_struct *p, u64 enq_flags)
{
	numbers.long_u++;
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, enq_flags);
}

SCX_OPS(counts_ops) = {
	.enqueue = (void *)counts_enqueue,
	.name = "counts",
};
