/* SPDX-License-Identifier: GPL-2.0-only */
/* zoo: a scheduler with an option of every kind, for tests that open it and set its options. Nothing ever loads it. */
#include <scxhost/bpf/common.bpf.h>
#include <scxhost/bpf/exit_info.bpf.h>

char _license[] SEC("license") = "GPL";

enum zoo_mode {
	ZOO_MODE_CALM,
	ZOO_MODE_WILD = 7,
};

SCX_OPTION("flag", bool, "A truth value")
SCX_SETS_FLAG(SCX_OPS_SWITCH_PARTIAL)
const volatile bool flag = false;

SCX_OPTION("count", int, "A number with limits")
SCX_MIN("1") SCX_MAX("100")
const volatile u32 count = 10;

SCX_OPTION("small", int, "A number as large as its variable")
const volatile s8 small = -1;

SCX_OPTION("large", int, "A number of 64 bits without a sign")
const volatile u64 large = 0;

SCX_OPTION("slice", duration, "A time in nanoseconds")
SCX_UNIT("ns") SCX_MIN("1us") SCX_MAX("1s") SCX_DEFAULT(SCX_SLICE_DFL)
const volatile u64 slice_ns = 20000000;

SCX_OPTION("timeout", duration, "A time in milliseconds, for the kernel")
SCX_UNIT("ms") SCX_MAX("30s") SCX_SETS_OPS(timeout_ms)
const volatile u32 timeout_ms = 5000;

SCX_OPTION("room", size, "A size")
SCX_MAX("1M")
const volatile u32 room = 4096;

SCX_OPTION("mode", enum, "One of a few")
SCX_PREFIX(ZOO_MODE_)
const volatile enum zoo_mode mode = ZOO_MODE_CALM;

SCX_OPTION("title", string, "A text")
const volatile char title[8] = "zoo";

SCX_OPTION("process", pid, "A process")
const volatile s32 process = 0;

SCX_OPTION("cpus", cpus, "A list of CPUs")
const volatile u64 cpus[2] = { 0xf };

SCX_OPTION("cgroup", cgroup, "A cgroup")
const volatile u64 cgroup_id = 0;

SCX_OPTION("weights", ints, "Some numbers")
const volatile s16 weights[3] = { 1, -2, 3 };

struct zoo_stats {
	SCX_COUNTER("Tasks enqueued") u64 enqueued;
};
struct zoo_stats stats;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} places SEC(".maps");

SCX_EXIT_INFO(uei);

void SCX_OP(zoo_enqueue, struct task_struct *p, u64 enq_flags)
{
	stats.enqueued++;
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, slice_ns, enq_flags);
}

void SCX_OP_SLEEPABLE(zoo_exit, struct scx_exit_info *info)
{
	scx_exit_info_record(uei, info);
}

SCX_OPS(zoo_ops) = {
	.enqueue = (void *)zoo_enqueue,
	.exit = (void *)zoo_exit,
	.name = "zoo",
};
