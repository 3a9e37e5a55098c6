/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel types that policies use, and of each struct only the members that they use: CO-RE moves every access to
 * where the running kernel has the member, and the loader matches struct_ops members by name. So a build does not
 * depend on the kernel of the machine that it is done on. A policy that needs more than this includes its own
 * vmlinux.h first; this file then stands back.
 *
 * Enumerators are here for their names. Their values differ between kernels: common.bpf.h looks them up at load time.
 */
#pragma once

#ifndef __VMLINUX_H__

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

typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;
typedef _Bool bool;
typedef int pid_t;

enum { false = 0, true = 1 };

/* The bpf(2) interface: values are fixed. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
	BPF_MAP_TYPE_ARENA = 33,
};

enum {
	BPF_F_NO_PREALLOC = 1U << 0,
	BPF_F_MMAPABLE = 1U << 10,
};

enum {
	BPF_ANY = 0,
	BPF_EXIST = 2,
};

enum {
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1ULL << 0,
};

struct bpf_res_spin_lock {
	u32 val;
};

struct bpf_timer {
	__u64 __opaque[2];
} __attribute__((aligned(8)));

struct bpf_iter_num {
	__u64 __opaque[1];
} __attribute__((aligned(8)));

struct bpf_iter_scx_dsq {
	u64 __opaque[6];
} __attribute__((aligned(8)));

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Not a mere declaration: a kfunc's prototype must match the kernel's, where this is a struct. */
struct cpumask {
	unsigned long bits[1];
};

struct kernfs_node {
	u64 id;
	const char *name;
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

enum cgroup_subsys_id {
	cpu_cgrp_id,
	CGROUP_SUBSYS_COUNT,
};

struct cgroup {
	struct cgroup_subsys_state self;
	int level; /* 0: the root */
	struct kernfs_node *kn;
	struct cgroup_subsys_state *subsys[CGROUP_SUBSYS_COUNT];
};

/* 7.1 */
struct scx_task_group {
	u32 weight;
};

struct task_group {
	struct cgroup_subsys_state css;
	struct scx_task_group scx;
};

struct scx_sched;

struct sched_ext_entity {
	struct scx_sched *sched; /* 7.1 */
	u32 flags;
	u32 weight;
	s32 sticky_cpu;
	u64 slice;
	u64 dsq_vtime;
	bool disallow;
};

struct task_struct {
	unsigned int flags;
	unsigned int policy;
	int nr_cpus_allowed;
	const struct cpumask *cpus_ptr;
	struct sched_ext_entity scx;
	pid_t pid;
	pid_t tgid;
	char comm[16];
};

struct scx_rq {
	u32 nr_running;
	u32 cpuperf_target;
};

struct rq {
	unsigned int nr_running;
	int cpu;
	struct task_struct *curr;
	struct scx_rq scx;
};

#pragma clang attribute pop

#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000

#define SCHED_EXT 7

/* Arguments of sched_ext callbacks. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

enum scx_exit_kind {
	SCX_EXIT_NONE,
};

struct scx_exit_info {
	enum scx_exit_kind kind;
	s64 exit_code;
	const char *reason;
	char *msg;
	char *dump;
};

struct scx_init_task_args {
	bool fork;
	struct cgroup *cgroup;
};

struct scx_exit_task_args {
	bool cancelled;
};

struct scx_dump_ctx {
	enum scx_exit_kind kind;
	s64 exit_code;
	const char *reason;
	u64 at_ns;
	u64 at_jiffies;
};

struct scx_cgroup_init_args {
	u32 weight;
	u64 bw_period_us;
	u64 bw_quota_us;
	u64 bw_burst_us;
};

struct scx_cpu_acquire_args {
};

struct scx_cpu_release_args {
	struct task_struct *task;
};

/* 7.1 */
struct scx_sub_attach_args {
	struct sched_ext_ops *ops;
	char *cgroup_path;
};

struct scx_sub_detach_args {
	struct sched_ext_ops *ops;
	char *cgroup_path;
};

/* 7.2: a set of CPUs by topological id */
struct scx_cmask {
	u32 base;
	u32 nr_cids;
	u32 alloc_words;
	u64 bits[];
};

struct scx_event_stats {
	s64 SCX_EV_SELECT_CPU_FALLBACK;
	s64 SCX_EV_DISPATCH_LOCAL_DSQ_OFFLINE;
	s64 SCX_EV_DISPATCH_KEEP_LAST;
	s64 SCX_EV_ENQ_SKIP_EXITING;
	s64 SCX_EV_ENQ_SKIP_MIGRATION_DISABLED;
	s64 SCX_EV_REENQ_IMMED; /* 7.1 */
	s64 SCX_EV_REFILL_SLICE_DFL;
	s64 SCX_EV_BYPASS_DURATION;
	s64 SCX_EV_BYPASS_DISPATCH;
	s64 SCX_EV_BYPASS_ACTIVATE;
	/* 7.1 to 7.3 brought these. */
	s64 SCX_EV_REENQ_REPEAT;
	s64 SCX_EV_SLICE_CLAMPED;
	s64 SCX_EV_SLICE_DENIED;
	s64 SCX_EV_INSERT_NOT_OWNED;
	s64 SCX_EV_SUB_BYPASS_DISPATCH;
	s64 SCX_EV_SUB_FORCED_ADMIT;
	s64 SCX_EV_SUB_PREEMPT_DENIED;
	s64 SCX_EV_SUB_KICK_DENIED;
	s64 SCX_EV_SUB_REENQ_DENIED;
	s64 SCX_EV_SUB_CIDPERF_DENIED;
	s64 SCX_EV_SUB_RESCUE;
};

/* 6.19: arguments packed, since kfuncs take five at most */
struct scx_bpf_dsq_insert_vtime_args {
	u64 dsq_id;
	u64 slice;
	u64 vtime;
	u64 enq_flags;
};

struct scx_bpf_select_cpu_and_args {
	s32 prev_cpu;
	u64 wake_flags;
	u64 flags;
};

#pragma clang attribute pop

enum scx_public_consts {
	SCX_SLICE_DFL = 20000000ULL,
	SCX_SLICE_INF = ~0ULL,
};

enum scx_consts {
	SCX_CPUPERF_ONE = 1024,
};

enum scx_dsq_id_flags {
	SCX_DSQ_GLOBAL = 1ULL << 63 | 1,
	SCX_DSQ_LOCAL = 1ULL << 63 | 2,
	SCX_DSQ_LOCAL_ON = 3ULL << 62,
	SCX_DSQ_LOCAL_CPU_MASK = 0xffffffffULL,
};

enum scx_ops_flags {
	SCX_OPS_KEEP_BUILTIN_IDLE = 1ULL << 0,
	SCX_OPS_ENQ_LAST = 1ULL << 1,
	SCX_OPS_ENQ_EXITING = 1ULL << 2,
	SCX_OPS_SWITCH_PARTIAL = 1ULL << 3,
	SCX_OPS_ENQ_MIGRATION_DISABLED = 1ULL << 4,
	SCX_OPS_ALWAYS_ENQ_IMMED = 1ULL << 7, /* 7.1 */
};

enum scx_enq_flags {
	SCX_ENQ_WAKEUP = 1ULL << 0,
	SCX_ENQ_HEAD = 1ULL << 16,
	SCX_ENQ_CPU_SELECTED = 1ULL << 20,
	SCX_ENQ_PREEMPT = 1ULL << 32,
	SCX_ENQ_IMMED = 1ULL << 33, /* 7.1 */
	SCX_ENQ_REENQ = 1ULL << 40,
	SCX_ENQ_LAST = 1ULL << 41,
};

enum scx_deq_flags {
	SCX_DEQ_SLEEP = 1ULL << 0,
	SCX_DEQ_CORE_SCHED_EXEC = 1ULL << 32,
	SCX_DEQ_SCHED_CHANGE = 1ULL << 33, /* 7.1 */
};

enum scx_kick_flags {
	SCX_KICK_IDLE = 1ULL << 0,
	SCX_KICK_PREEMPT = 1ULL << 1,
	SCX_KICK_WAIT = 1ULL << 2,
};

enum scx_ent_flags {
	SCX_TASK_QUEUED = 1 << 0,
};

enum scx_pick_idle_cpu_flags {
	SCX_PICK_IDLE_CORE = 1ULL << 0,
};

/* 7.3: what a parent lets a sub-scheduler do on a CPU */
enum scx_cap_flags {
	SCX_CAP_ENQ_IMMED = 1 << 0,
	SCX_CAP_ENQ = 1 << 1,
	SCX_CAP_PREEMPT = 1 << 2,
	SCX_CAP_PERF = 1 << 3,
};

/* The scheduler itself. "Sleepable" callbacks are defined with SCX_OP_SLEEPABLE (common.bpf.h), all others with SCX_OP. */
struct sched_ext_ops {
	s32 (*select_cpu)(struct task_struct *p, s32 prev_cpu, u64 wake_flags);
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*dequeue)(struct task_struct *p, u64 deq_flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*tick)(struct task_struct *p);
	void (*runnable)(struct task_struct *p, u64 enq_flags);
	void (*running)(struct task_struct *p);
	void (*stopping)(struct task_struct *p, bool runnable);
	void (*quiescent)(struct task_struct *p, u64 deq_flags);
	bool (*yield)(struct task_struct *from, struct task_struct *to);
	bool (*core_sched_before)(struct task_struct *a, struct task_struct *b);
	void (*set_weight)(struct task_struct *p, u32 weight);
	void (*set_cpumask)(struct task_struct *p, const struct cpumask *cpumask);
	void (*update_idle)(s32 cpu, bool idle);
	s32 (*init_task)(struct task_struct *p, struct scx_init_task_args *args); /* sleepable */
	void (*exit_task)(struct task_struct *p, struct scx_exit_task_args *args);
	void (*enable)(struct task_struct *p);
	void (*disable)(struct task_struct *p);
	void (*dump)(struct scx_dump_ctx *dump);
	void (*dump_cpu)(struct scx_dump_ctx *dump, s32 cpu, bool idle);
	void (*dump_task)(struct scx_dump_ctx *dump, struct task_struct *p);
	s32 (*cgroup_init)(struct cgroup *cgrp, struct scx_cgroup_init_args *args); /* sleepable */
	void (*cgroup_exit)(struct cgroup *cgrp);				    /* sleepable */
	s32 (*cgroup_prep_move)(struct task_struct *p, struct cgroup *from, struct cgroup *to); /* sleepable */
	void (*cgroup_move)(struct task_struct *p, struct cgroup *from, struct cgroup *to);
	void (*cgroup_cancel_move)(struct task_struct *p, struct cgroup *from, struct cgroup *to);
	void (*cgroup_set_weight)(struct cgroup *cgrp, u32 weight);
	void (*cgroup_set_bandwidth)(struct cgroup *cgrp, u64 period_us, u64 quota_us, u64 burst_us); /* 6.17 */
	void (*cgroup_set_idle)(struct cgroup *cgrp, bool idle);				      /* 6.19 */
	s32 (*sub_attach)(struct scx_sub_attach_args *args);  /* 7.1, sleepable */
	void (*sub_detach)(struct scx_sub_detach_args *args); /* 7.1, sleepable */
	void (*cpu_online)(s32 cpu);			      /* sleepable */
	void (*cpu_offline)(s32 cpu);			      /* sleepable */
	s32 (*init)(void);				      /* sleepable */
	void (*exit)(struct scx_exit_info *info);	      /* sleepable */
	void (*cpu_acquire)(s32 cpu, struct scx_cpu_acquire_args *args);
	void (*cpu_release)(s32 cpu, struct scx_cpu_release_args *args);
	u32 dispatch_max_batch;
	u64 flags;
	u32 timeout_ms;
	u32 exit_dump_len;
	u64 hotplug_seq;
	u64 sub_cgroup_id; /* 7.1; as a child, in the cid form only since 7.2 */
	char name[128];
} __attribute__((preserve_access_index));

/*
 * 7.2: the same scheduler, with topological ids in place of CPU numbers. Cgroup callbacks are named as here since 7.3.
 */
struct sched_ext_ops_cid {
	s32 (*select_cid)(struct task_struct *p, s32 prev_cid, u64 wake_flags);
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*dequeue)(struct task_struct *p, u64 deq_flags);
	void (*dispatch)(s32 cid, struct task_struct *prev);
	void (*tick)(struct task_struct *p);
	void (*running)(struct task_struct *p);
	void (*stopping)(struct task_struct *p, bool runnable);
	void (*enable)(struct task_struct *p);
	bool (*core_sched_before)(struct task_struct *a, struct task_struct *b);
	void (*update_idle)(s32 cid, bool idle);
	s32 (*init_task)(struct task_struct *p, struct scx_init_task_args *args); /* sleepable */
	void (*exit_task)(struct task_struct *p, struct scx_exit_task_args *args);
	void (*dump)(struct scx_dump_ctx *dump);
	void (*dump_cid)(struct scx_dump_ctx *dump, s32 cid, bool idle);
	void (*dump_task)(struct scx_dump_ctx *dump, struct task_struct *p);
	s32 (*cpuctl_init)(struct cgroup *cgrp, struct scx_cgroup_init_args *args); /* sleepable */
	void (*cpuctl_move)(struct task_struct *p, struct cgroup *from, struct cgroup *to);
	void (*cpuctl_set_weight)(struct cgroup *cgrp, u32 weight);
	void (*cpuctl_set_bandwidth)(struct cgroup *cgrp, u64 period_us, u64 quota_us, u64 burst_us);
	s32 (*sub_attach)(struct scx_sub_attach_args *args);  /* sleepable */
	void (*sub_detach)(struct scx_sub_detach_args *args); /* sleepable */
	void (*cid_online)(s32 cid);			      /* sleepable */
	void (*cid_offline)(s32 cid);			      /* sleepable */
	s32 (*init)(void);				      /* sleepable */
	void (*exit)(struct scx_exit_info *info);	      /* sleepable */
	u32 dispatch_max_batch;
	u64 flags;
	u32 timeout_ms;
	u32 exit_dump_len;
	u64 hotplug_seq;
	u64 sub_cgroup_id;
	char name[128];
} __attribute__((preserve_access_index));

/* A scheduler as the kernel has it (7.1). Its `ops` are the ones that a parent's sub_attach is shown. */
struct scx_sched {
	struct sched_ext_ops ops;
	s32 level; /* 0: the root */
	struct cgroup *cgrp;
	struct scx_sched *ancestors[]; /* by level, itself included */
} __attribute__((preserve_access_index));

#endif /* __VMLINUX_H__ */
