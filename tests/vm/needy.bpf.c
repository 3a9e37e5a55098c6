/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * needy: a scheduler whose loading program would do more than set options: it knows the machine, gives maps and arrays
 * their sizes, fills both, runs programs, and leaves some out. What of that has arrived is in `seen`.
 */
#include <scxhost/bpf/arena.bpf.h>
#include <scxhost/bpf/common.bpf.h>
#include <scxhost/bpf/exit_info.bpf.h>

char _license[] SEC("license") = "GPL";

#define MAX_CPUS 64

const volatile u32 nr_cpu_ids;
const volatile u32 nr_nodes;
const volatile bool smt_enabled;
const volatile u64 host_pid;
const volatile u64 cpu_capacity[MAX_CPUS];
const volatile u32 cpu_core[MAX_CPUS];
const volatile s32 cpu_sibling[MAX_CPUS];
const volatile u32 cpu_sibling_unsigned[MAX_CPUS];
const volatile u64 preferred_cpus[MAX_CPUS];
const volatile u8 too_few[1];
const volatile bool drop_everything; /* enqueues nothing anywhere, kernel threads included */

const volatile u32 cpu_llc[1] SEC(".rodata.cpu_llc"); /* its loader makes it as long as there are CPUs */
u64 per_cpu_marks[1] SEC(".data.per_cpu_marks");      /* this, too */

struct layer {
	u32 weight;
	char name[16];
	struct {
		u64 quota;
		bool is_open;
	} limits;
	union {
		u32 low;
		u64 high;
	};
	u8 cpus[4];
	u32 flags : 3;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, u32);
	__type(value, struct layer);
} layers SEC(".maps"); /* its loader says how many */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u64);
} starts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__uint(key_size, 16);
	__uint(value_size, 8);
} by_name SEC(".maps");

typedef char name_t[16];
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, name_t);
	__type(value, u32);
} shares SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u64);
} tasks SEC(".maps");

SCX_ARENA(arena, 16);
u64 SCX_ARENA_GLOBAL arena_level;

u32 perf_level = 512;
struct layer tuning;

struct {
	u32 cpu_ids;
	u32 llc_last;
	u64 marks;
	u32 weight;
	u64 quota;
	u64 level;
	u64 start;
	u32 share;
	u32 perf;
	u32 enabled;	   /* how often enable_cpu ran before init */
	u32 enabled_later; /* and after it */
	u32 sum;	   /* of the CPUs that it ran for */
	u32 siblings;	   /* that it was given, -1 left out */
	u32 resets;
	u32 registrations; /* seen by the program that watches for them */
	u32 forks;
	u32 optional_forks;
	u32 ticks;
	bool initialized;
} seen;

SCX_EXIT_INFO(uei);

struct cpu_arg {
	s32 cpu_id;
	s32 sibling_cpu_id;
	u32 level;
};

/* As those that Rust schedulers have: one call for each CPU. */
SEC("syscall")
int enable_cpu(struct cpu_arg *arg)
{
	if (arg->cpu_id < 0 || arg->cpu_id >= (s32)nr_cpu_ids)
		return -SCX_EINVAL;
	if (seen.initialized)
		__sync_fetch_and_add(&seen.enabled_later, 1);
	else
		__sync_fetch_and_add(&seen.enabled, 1);
	seen.sum += arg->cpu_id + arg->level;
	if (arg->sibling_cpu_id >= 0)
		seen.siblings++;
	return 0;
}

SEC("syscall")
int reset(void *context)
{
	seen.resets++;
	return 0;
}

/* The kernel is about to attach a scheduler. */
SEC("fentry/bpf_scx_reg")
int BPF_PROG(watch_registration, void *kdata, void *link)
{
	__sync_fetch_and_add(&seen.registrations, 1);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(watch_forks, struct task_struct *parent, struct task_struct *child)
{
	__sync_fetch_and_add(&seen.forks, 1);
	return 0;
}

SEC("?tp_btf/sched_process_fork")
int BPF_PROG(watch_forks_too, struct task_struct *parent, struct task_struct *child)
{
	__sync_fetch_and_add(&seen.optional_forks, 1);
	return 0;
}

s32 SCX_OP(needy_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	return prev_cpu;
}

void SCX_OP(needy_enqueue, struct task_struct *p, u64 enq_flags)
{
	if (drop_everything)
		return;
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, enq_flags);
}

void SCX_OP(needy_tick, struct task_struct *p)
{
	__sync_fetch_and_add(&seen.ticks, 1);
}

s32 SCX_OP_SLEEPABLE(needy_init)
{
	u32 second = 1;
	struct layer *layer = bpf_map_lookup_elem(&layers, &second);
	u64 *start = bpf_map_lookup_elem(&starts, &second);
	name_t name = "web";
	u32 *share = bpf_map_lookup_elem(&shares, name);
	u32 last = nr_cpu_ids - 1;

	scx_arena_uses(arena);
	scx_exit_info_reset(uei);
	seen.cpu_ids = nr_cpu_ids;
	seen.level = arena_level;
	seen.perf = perf_level;
	if (layer) {
		seen.weight = layer->weight;
		seen.quota = layer->limits.quota;
	}
	if (start)
		seen.start = *start;
	if (share)
		seen.share = *share;
	if (last < MAX_CPUS) {
		seen.llc_last = cpu_core[last];
		seen.marks = cpu_capacity[last];
	}
	seen.initialized = true;
	return 0;
}

void SCX_OP_SLEEPABLE(needy_exit, struct scx_exit_info *info)
{
	seen.initialized = false;
	scx_exit_info_record(uei, info);
}

SCX_OPS(needy_ops) = {
	.select_cpu = (void *)needy_select_cpu,
	.enqueue = (void *)needy_enqueue,
	.tick = (void *)needy_tick,
	.init = (void *)needy_init,
	.exit = (void *)needy_exit,
	.timeout_ms = 20000,
	.name = "needy",
};
