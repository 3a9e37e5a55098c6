/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every policy includes: kernel types, libbpf's BPF-side headers, the kfuncs of sched_ext and of BPF itself,
 * and the macros that make a struct_ops callback. Everything here is the same on every supported kernel; what changed
 * its name or signature is in compat.bpf.h, which this file includes.
 */
#pragma once

#include "kernel_types.bpf.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "declare.bpf.h"

#ifndef NULL
#define NULL ((void *)0)
#endif

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#endif

/* Error numbers: the kernel's own, which no header for the BPF target has. */
#define SCX_ENOENT 2
#define SCX_EAGAIN 11
#define SCX_ENOMEM 12
#define SCX_EBUSY 16
#define SCX_EINVAL 22
#define SCX_ENOSPC 28
#define SCX_EOPNOTSUPP 95
#define SCX_EUCLEAN 117

/*
 * A callback of the scheduler; SCX_OP_SLEEPABLE for those that the kernel calls where it may sleep.
 *
 *	void SCX_OP(my_enqueue, struct task_struct *p, u64 enq_flags)
 *	{
 *		...
 *	}
 *
 *	SCX_OPS(my_ops) = {
 *		.enqueue = (void *)my_enqueue,
 *		.name = "my",
 *	};
 *
 * A policy that may be attached again after it was detached resets its state in init: maps and globals keep their
 * content.
 */
#define SCX_OP(name, args...) SEC("struct_ops/" #name) BPF_PROG(name, ##args)
#define SCX_OP_SLEEPABLE(name, args...) SEC("struct_ops.s/" #name) BPF_PROG(name, ##args)
#define SCX_OPS(name) SEC(".struct_ops.link") struct sched_ext_ops name
#define SCX_OPS_CID(name) SEC(".struct_ops.link") struct sched_ext_ops_cid name

/*
 * A global in a data section of its own. For locks: a map value, which a section is, may hold only one. Hidden, since
 * user space must not map memory that holds a lock.
 */
#define SCX_OWN_SECTION(name) SEC(".data." #name) __hidden __attribute__((aligned(8)))

/* The value that the running kernel gives to an enumerator. Not for one that the kernel may lack: see SCX_ENUM_OR. */
#define SCX_ENUM(type, enumerator) bpf_core_enum_value(enum type, enumerator)
/* As above, and `otherwise` on a kernel without it. */
#define SCX_ENUM_OR(type, enumerator, otherwise) \
	(bpf_core_enum_value_exists(enum type, enumerator) ? bpf_core_enum_value(enum type, enumerator) : (otherwise))

#define SCX_SLICE_DFL SCX_ENUM(scx_public_consts, SCX_SLICE_DFL)
#define SCX_SLICE_INF SCX_ENUM(scx_public_consts, SCX_SLICE_INF)
#define SCX_CPUPERF_ONE SCX_ENUM(scx_consts, SCX_CPUPERF_ONE)

#define SCX_DSQ_GLOBAL SCX_ENUM(scx_dsq_id_flags, SCX_DSQ_GLOBAL)
#define SCX_DSQ_LOCAL SCX_ENUM(scx_dsq_id_flags, SCX_DSQ_LOCAL)
#define SCX_DSQ_LOCAL_ON SCX_ENUM(scx_dsq_id_flags, SCX_DSQ_LOCAL_ON)

#define SCX_ENQ_WAKEUP SCX_ENUM(scx_enq_flags, SCX_ENQ_WAKEUP)
#define SCX_ENQ_HEAD SCX_ENUM(scx_enq_flags, SCX_ENQ_HEAD)
#define SCX_ENQ_CPU_SELECTED SCX_ENUM(scx_enq_flags, SCX_ENQ_CPU_SELECTED)
#define SCX_ENQ_PREEMPT SCX_ENUM(scx_enq_flags, SCX_ENQ_PREEMPT)
#define SCX_ENQ_REENQ SCX_ENUM(scx_enq_flags, SCX_ENQ_REENQ)
#define SCX_ENQ_LAST SCX_ENUM(scx_enq_flags, SCX_ENQ_LAST)

#define SCX_TASK_QUEUED SCX_ENUM(scx_ent_flags, SCX_TASK_QUEUED)

#define SCX_DEQ_SLEEP SCX_ENUM(scx_deq_flags, SCX_DEQ_SLEEP)
#define SCX_DEQ_CORE_SCHED_EXEC SCX_ENUM(scx_deq_flags, SCX_DEQ_CORE_SCHED_EXEC)

#define SCX_KICK_IDLE SCX_ENUM(scx_kick_flags, SCX_KICK_IDLE)
#define SCX_KICK_PREEMPT SCX_ENUM(scx_kick_flags, SCX_KICK_PREEMPT)

/*
 * Kfuncs are declared weak throughout: a kernel that lacks one then loads the object as long as no program that is
 * loaded reaches the call. bpf_ksym_exists() tells; the verifier drops the branch that is not taken.
 */
#define SCX_KFUNC __weak __ksym

/* Dispatch queues */
extern s32 scx_bpf_create_dsq(u64 dsq_id, s32 node) SCX_KFUNC; /* sleepable callbacks only */
extern void scx_bpf_destroy_dsq(u64 dsq_id) SCX_KFUNC;
extern s32 scx_bpf_dsq_nr_queued(u64 dsq_id) SCX_KFUNC;
extern u32 scx_bpf_dispatch_nr_slots(void) SCX_KFUNC;
extern void scx_bpf_dispatch_cancel(void) SCX_KFUNC;
extern bool scx_bpf_dsq_move(struct bpf_iter_scx_dsq *it, struct task_struct *p, u64 dsq_id, u64 enq_flags) SCX_KFUNC;
extern bool scx_bpf_dsq_move_vtime(struct bpf_iter_scx_dsq *it, struct task_struct *p, u64 dsq_id,
				   u64 enq_flags) SCX_KFUNC;
extern void scx_bpf_dsq_move_set_slice(struct bpf_iter_scx_dsq *it, u64 slice) SCX_KFUNC;
extern void scx_bpf_dsq_move_set_vtime(struct bpf_iter_scx_dsq *it, u64 vtime) SCX_KFUNC;
extern int bpf_iter_scx_dsq_new(struct bpf_iter_scx_dsq *it, u64 dsq_id, u64 flags) SCX_KFUNC;
extern struct task_struct *bpf_iter_scx_dsq_next(struct bpf_iter_scx_dsq *it) SCX_KFUNC;
extern void bpf_iter_scx_dsq_destroy(struct bpf_iter_scx_dsq *it) SCX_KFUNC;

/* The iterator itself, within bpf_for_each(): scx_bpf_dsq_move*() want it. */
#define SCX_ITERATOR (&___it)

/* CPUs */
extern s32 scx_bpf_select_cpu_dfl(struct task_struct *p, s32 prev_cpu, u64 wake_flags, bool *is_idle) SCX_KFUNC;
extern bool scx_bpf_test_and_clear_cpu_idle(s32 cpu) SCX_KFUNC;
extern s32 scx_bpf_pick_idle_cpu(const struct cpumask *cpus_allowed, u64 flags) SCX_KFUNC;
extern s32 scx_bpf_pick_any_cpu(const struct cpumask *cpus_allowed, u64 flags) SCX_KFUNC;
extern void scx_bpf_kick_cpu(s32 cpu, u64 flags) SCX_KFUNC;
extern u32 scx_bpf_nr_cpu_ids(void) SCX_KFUNC;
extern const struct cpumask *scx_bpf_get_online_cpumask(void) SCX_KFUNC;
extern void scx_bpf_put_cpumask(const struct cpumask *cpumask) SCX_KFUNC;
extern const struct cpumask *scx_bpf_get_idle_cpumask(void) SCX_KFUNC;
extern void scx_bpf_put_idle_cpumask(const struct cpumask *cpumask) SCX_KFUNC;
extern u32 scx_bpf_cpuperf_cap(s32 cpu) SCX_KFUNC;
extern u32 scx_bpf_cpuperf_cur(s32 cpu) SCX_KFUNC;
extern void scx_bpf_cpuperf_set(s32 cpu, u32 perf) SCX_KFUNC;

/* CPUs by topological id (7.2), for schedulers in the cid form */
extern u32 scx_bpf_nr_cids(void) SCX_KFUNC;
extern u32 scx_bpf_nr_online_cids(void) SCX_KFUNC;
extern s32 scx_bpf_this_cid(void) SCX_KFUNC;
extern s32 scx_bpf_task_cid(const struct task_struct *p) SCX_KFUNC;
extern s32 scx_bpf_cid_to_cpu(s32 cid) SCX_KFUNC;
extern s32 scx_bpf_cpu_to_cid(s32 cpu) SCX_KFUNC;
extern void scx_bpf_kick_cid(s32 cid, u64 flags) SCX_KFUNC;
extern u32 scx_bpf_cidperf_cap(s32 cid) SCX_KFUNC;
extern u32 scx_bpf_cidperf_cur(s32 cid) SCX_KFUNC;
extern s32 scx_bpf_cidperf_set(s32 cid, u32 perf) SCX_KFUNC;

/* Tasks, time, events */
extern bool scx_bpf_task_running(const struct task_struct *p) SCX_KFUNC;
extern s32 scx_bpf_task_cpu(const struct task_struct *p) SCX_KFUNC;
extern struct cgroup *scx_bpf_task_cgroup(struct task_struct *p) SCX_KFUNC;
extern u64 scx_bpf_now(void) SCX_KFUNC;
extern void scx_bpf_events(struct scx_event_stats *events, unsigned long events__sz) SCX_KFUNC;

/* Ends; texts (used through the macros below) */
extern void scx_bpf_error_bstr(char *fmt, unsigned long long *data, u32 data__sz) SCX_KFUNC;
extern void scx_bpf_exit_bstr(s64 exit_code, char *fmt, unsigned long long *data, u32 data__sz) SCX_KFUNC;
extern void scx_bpf_dump_bstr(char *fmt, unsigned long long *data, u32 data__sz) SCX_KFUNC;

/* BPF itself */
extern int bpf_res_spin_lock(struct bpf_res_spin_lock *lock) SCX_KFUNC;
extern void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock) SCX_KFUNC;
extern int bpf_res_spin_lock_irqsave(struct bpf_res_spin_lock *lock, unsigned long *flags__irq_flag) SCX_KFUNC;
extern void bpf_res_spin_unlock_irqrestore(struct bpf_res_spin_lock *lock, unsigned long *flags__irq_flag) SCX_KFUNC;
extern void bpf_local_irq_save(unsigned long *flags__irq_flag) SCX_KFUNC;
extern void bpf_local_irq_restore(unsigned long *flags__irq_flag) SCX_KFUNC;
extern struct task_struct *bpf_task_from_pid(s32 pid) SCX_KFUNC;
extern struct task_struct *bpf_task_acquire(struct task_struct *p) SCX_KFUNC;
extern void bpf_task_release(struct task_struct *p) SCX_KFUNC;
extern struct cgroup *bpf_cgroup_from_id(u64 cgid) SCX_KFUNC;
extern void bpf_cgroup_release(struct cgroup *cgrp) SCX_KFUNC;
extern bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *cpumask) SCX_KFUNC;
extern bool bpf_cpumask_intersects(const struct cpumask *src1, const struct cpumask *src2) SCX_KFUNC;
extern u32 bpf_cpumask_first(const struct cpumask *cpumask) SCX_KFUNC;
extern u32 bpf_cpumask_any_distribute(const struct cpumask *cpumask) SCX_KFUNC;
extern void bpf_rcu_read_lock(void) SCX_KFUNC;
extern void bpf_rcu_read_unlock(void) SCX_KFUNC;

/* Calls function(..., format, parameters, bytes): at least one parameter, since the verifier refuses an empty array. */
#define SCX_FORMAT_CALL(function, first, fmt, args...)					\
({											\
	static char scx_format[] = fmt;							\
	unsigned long long scx_parameters[___bpf_narg(args) ?: 1] = {};			\
											\
	_Pragma("clang diagnostic push")						\
	_Pragma("clang diagnostic ignored \"-Wint-conversion\"")			\
	___bpf_fill(scx_parameters, args);						\
	_Pragma("clang diagnostic pop")							\
	function(first scx_format, scx_parameters, sizeof(scx_parameters));		\
})
#define SCX_FIRST(argument) argument,

/* Ejects the policy with an error and this text; the host reports it and goes back to the last good one. */
#define scx_error(fmt, args...) SCX_FORMAT_CALL(scx_bpf_error_bstr, , fmt, ##args)
/* Ends the policy on its own account, with a code and a text. */
#define scx_exit(code, fmt, args...) SCX_FORMAT_CALL(scx_bpf_exit_bstr, SCX_FIRST(code), fmt, ##args)
/* Adds to the dump, from the dump callbacks only. */
#define scx_dump(fmt, args...) SCX_FORMAT_CALL(scx_bpf_dump_bstr, , fmt, ##args)

/* `a` is before `b`, in counters that wrap. */
static __always_inline bool scx_time_before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

#include "compat.bpf.h"
