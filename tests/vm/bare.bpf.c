/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bare: a scheduler as people have them who never heard of this host. Nothing of bpf/common: declarations of its own,
 * knobs without tags, statistics in the customary places, exit information in the customary layout, enumerators to be
 * filled in, and programs beside the scheduler. It also asks for more than any kernel has.
 */
typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

enum bpf_map_type {
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
};

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct {
	int pid;
};

enum scx_exit_kind {
	SCX_EXIT_NONE,
};

struct scx_exit_info {
	enum scx_exit_kind kind;
	__s64 exit_code;
	const char *reason;
	char *msg;
	char *dump;
};

struct sched_ext_ops {
	__s32 (*select_cpu)(struct task_struct *p, __s32 prev_cpu, __u64 wake_flags);
	void (*enqueue)(struct task_struct *p, __u64 enq_flags);
	__s32 (*init)(void);
	void (*exit)(struct scx_exit_info *info);
	void (*teleport)(struct task_struct *p); /* no kernel has it */
	__u64 flags;
	__u32 timeout_ms;
	__u32 exit_dump_len;
	__u64 hotplug_seq;
	char name[128];
};

#pragma clang attribute pop

extern bool scx_bpf_dsq_insert___v2___says(struct task_struct *p, __u64 dsq_id, __u64 slice,
					   __u64 enq_flags) __ksym __weak;
extern void scx_bpf_dsq_insert___silent(struct task_struct *p, __u64 dsq_id, __u64 slice, __u64 enq_flags) __ksym __weak;

/* The running kernel's, once somebody has filled them in. */
const volatile __u64 __SCX_DSQ_GLOBAL __weak;

enum bare_mode {
	BARE_CALM,
	BARE_WILD = 5,
};

struct bare_tuning {
	__u32 fail_after; /* enqueues a task nowhere after so many; 0 never */
	struct {
		bool on;
		__s16 level;
	} debug;
};

const volatile __u64 slice_us = 20000;
const volatile enum bare_mode mode = BARE_CALM;
const volatile char label[16] = "bare";
const volatile __u32 shares[4] = { 1, 2, 3, 4 };
const volatile struct bare_tuning tuning = {};
const volatile __u32 late SEC(".rodata.late") = 7;
const volatile __u16 weights[3][2] = { { 1, 2 }, { 3, 4 } };
const volatile __u64 table[2000] = { 5 };

/* What of the knobs has reached the programs. */
struct {
	__u64 slice_us;
	__u32 mode;
	__u32 share;
	__u32 late;
	__u8 letter;
	__s16 level;
	bool debug;
	__u16 weight;
	__u64 entry;
} seen;

struct {
	__u64 enqueued;
	__u64 forks;	/* since the tracing program was attached */
	__u64 attaches; /* schedulers that came while the tracing program was attached */
} counts;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps"); /* 0: woken up, 1: enqueued */

char uei_dump[1] SEC(".data.uei_dump");
const volatile __u32 uei_dump_len;
struct {
	int kind;
	__s64 exit_code;
	char reason[128];
	char msg[1024];
} uei SEC(".data");

static void count(__u32 which)
{
	__u64 *counter = bpf_map_lookup_elem(&stats, &which);

	if (counter)
		++*counter;
}

SEC("struct_ops/bare_select_cpu")
__s32 BPF_PROG(bare_select_cpu, struct task_struct *p, __s32 prev_cpu, __u64 wake_flags)
{
	count(0);
	return prev_cpu;
}

SEC("struct_ops/bare_enqueue")
void BPF_PROG(bare_enqueue, struct task_struct *p, __u64 enq_flags)
{
	__u64 nr = __sync_fetch_and_add(&counts.enqueued, 1);
	__u64 queue = __SCX_DSQ_GLOBAL;

	count(1);
	if (tuning.fail_after && nr >= tuning.fail_after)
		queue = 4711;
	if (bpf_ksym_exists(scx_bpf_dsq_insert___v2___says))
		scx_bpf_dsq_insert___v2___says(p, queue, slice_us * 1000, enq_flags);
	else
		scx_bpf_dsq_insert___silent(p, queue, slice_us * 1000, enq_flags);
}

SEC("struct_ops/bare_teleport")
void BPF_PROG(bare_teleport, struct task_struct *p)
{
}

SEC("struct_ops.s/bare_init")
__s32 BPF_PROG(bare_init)
{
	seen.slice_us = slice_us;
	seen.mode = mode;
	seen.share = shares[2];
	seen.weight = weights[1][0];
	seen.entry = table[1999];
	seen.late = late;
	seen.letter = label[0];
	seen.level = tuning.debug.level;
	seen.debug = tuning.debug.on;
	return 0;
}

SEC("struct_ops.s/bare_exit")
void BPF_PROG(bare_exit, struct scx_exit_info *info)
{
	bpf_probe_read_kernel_str(uei.reason, sizeof(uei.reason), info->reason);
	bpf_probe_read_kernel_str(uei.msg, sizeof(uei.msg), info->msg);
	bpf_probe_read_kernel_str(uei_dump, uei_dump_len, info->dump);
	uei.exit_code = info->exit_code;
	__sync_val_compare_and_swap(&uei.kind, uei.kind, info->kind);
}

SEC(".struct_ops.link")
struct sched_ext_ops bare_ops = {
	.select_cpu = (void *)bare_select_cpu,
	.enqueue = (void *)bare_enqueue,
	.init = (void *)bare_init,
	.exit = (void *)bare_exit,
	.teleport = (void *)bare_teleport,
	.flags = 1ULL << 50, /* no kernel has it */
	.timeout_ms = 20000,
	.name = "bare",
};

SEC("tp_btf/sched_process_fork")
int BPF_PROG(bare_fork, struct task_struct *parent, struct task_struct *child)
{
	__sync_fetch_and_add(&counts.forks, 1);
	return 0;
}

/* The kernel is about to attach a scheduler, and this one's tracing programs are still there. */
SEC("fentry/bpf_struct_ops_link_create")
int BPF_PROG(bare_successor)
{
	__sync_fetch_and_add(&counts.attaches, 1);
	return 0;
}

SEC("syscall")
int bare_ask(void *context)
{
	return (int)seen.slice_us;
}
