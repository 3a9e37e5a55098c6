/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every rename and every change of signature of sched_ext between 6.16, the oldest supported kernel, and 7.3. Policies
 * call the names defined here. An entry says since which version the newer form exists; it may shrink to that form once
 * the minimum kernel (kernels.list) has reached it.
 *
 * How it works: libbpf cuts "___" and what follows from a kfunc's name before it looks the kfunc up, so one kfunc can
 * be declared with several signatures. Those that the running kernel does not have, or has with other types, stay
 * unresolved, since all are weak, and the verifier drops the branches that would call them. That covers kernels whose
 * BTF describes a kfunc wrongly (7.1 and 7.2 builds that show the hidden `aux` argument), too: there the kfunc counts
 * as missing.
 *
 * Gone before 6.16's successor and not bridged, since 6.16 has the newer name: scx_bpf_dispatch*, scx_bpf_consume and
 * scx_bpf_dispatch_from_dsq* (now scx_bpf_dsq_insert*, scx_bpf_dsq_move_to_local and scx_bpf_dsq_move*).
 */
#pragma once

#include "common.bpf.h"

/* Flags that a kernel may lack: nothing is asked for there. */
#define SCX_ENQ_IMMED SCX_ENUM_OR(scx_enq_flags, SCX_ENQ_IMMED, 0) /* since 7.1 */

/*
 * scx_dsq_insert: since 6.19 the kfunc says whether the task was inserted. Before, it cannot be known here; the kernel
 * itself copes with a task that is gone.
 */
extern bool scx_bpf_dsq_insert___v2___bool(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags) SCX_KFUNC;
extern void scx_bpf_dsq_insert___void(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags) SCX_KFUNC;

static __always_inline bool scx_dsq_insert(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags)
{
	if (bpf_ksym_exists(scx_bpf_dsq_insert___v2___bool))
		return scx_bpf_dsq_insert___v2___bool(p, dsq_id, slice, enq_flags);
	scx_bpf_dsq_insert___void(p, dsq_id, slice, enq_flags);
	return true;
}

/* scx_dsq_insert_vtime: since 6.19 with packed arguments and a result; before, as for scx_dsq_insert. */
extern bool __scx_bpf_dsq_insert_vtime(struct task_struct *p, struct scx_bpf_dsq_insert_vtime_args *args) SCX_KFUNC;
extern void scx_bpf_dsq_insert_vtime___void(struct task_struct *p, u64 dsq_id, u64 slice, u64 vtime,
					    u64 enq_flags) SCX_KFUNC;

static __always_inline bool scx_dsq_insert_vtime(struct task_struct *p, u64 dsq_id, u64 slice, u64 vtime, u64 enq_flags)
{
	if (bpf_ksym_exists(__scx_bpf_dsq_insert_vtime)) {
		struct scx_bpf_dsq_insert_vtime_args args = {
			.dsq_id = dsq_id,
			.slice = slice,
			.vtime = vtime,
			.enq_flags = enq_flags,
		};

		return __scx_bpf_dsq_insert_vtime(p, &args);
	}
	scx_bpf_dsq_insert_vtime___void(p, dsq_id, slice, vtime, enq_flags);
	return true;
}

/* scx_select_cpu_and: since 6.19 with packed arguments. An idle CPU, claimed, or a negative errno. */
extern s32 __scx_bpf_select_cpu_and(struct task_struct *p, const struct cpumask *cpus_allowed,
				    struct scx_bpf_select_cpu_and_args *args) SCX_KFUNC;
extern s32 scx_bpf_select_cpu_and___flat(struct task_struct *p, s32 prev_cpu, u64 wake_flags,
					 const struct cpumask *cpus_allowed, u64 flags) SCX_KFUNC;

static __always_inline s32 scx_select_cpu_and(struct task_struct *p, s32 prev_cpu, u64 wake_flags,
					      const struct cpumask *cpus_allowed, u64 flags)
{
	if (bpf_ksym_exists(__scx_bpf_select_cpu_and)) {
		struct scx_bpf_select_cpu_and_args args = {
			.prev_cpu = prev_cpu,
			.wake_flags = wake_flags,
			.flags = flags,
		};

		return __scx_bpf_select_cpu_and(p, cpus_allowed, &args);
	}
	return scx_bpf_select_cpu_and___flat(p, prev_cpu, wake_flags, cpus_allowed, flags);
}

/* scx_task_set_slice, scx_task_set_dsq_vtime: kfuncs since 6.19; the members are writable before. */
extern bool scx_bpf_task_set_slice(struct task_struct *p, u64 slice) SCX_KFUNC;
extern bool scx_bpf_task_set_dsq_vtime(struct task_struct *p, u64 vtime) SCX_KFUNC;

static __always_inline void scx_task_set_slice(struct task_struct *p, u64 slice)
{
	if (bpf_ksym_exists(scx_bpf_task_set_slice))
		scx_bpf_task_set_slice(p, slice);
	else
		p->scx.slice = slice;
}

static __always_inline void scx_task_set_dsq_vtime(struct task_struct *p, u64 vtime)
{
	if (bpf_ksym_exists(scx_bpf_task_set_dsq_vtime))
		scx_bpf_task_set_dsq_vtime(p, vtime);
	else
		p->scx.dsq_vtime = vtime;
}

/* scx_dsq_move_to_local: since 7.1 with enqueue flags; without, they are dropped. */
extern bool scx_bpf_dsq_move_to_local___v2___flags(u64 dsq_id, u64 enq_flags) SCX_KFUNC;
extern bool scx_bpf_dsq_move_to_local___plain(u64 dsq_id) SCX_KFUNC;

static __always_inline bool scx_dsq_move_to_local(u64 dsq_id, u64 enq_flags)
{
	if (bpf_ksym_exists(scx_bpf_dsq_move_to_local___v2___flags))
		return scx_bpf_dsq_move_to_local___v2___flags(dsq_id, enq_flags);
	return scx_bpf_dsq_move_to_local___plain(dsq_id);
}

/* scx_dsq_reenq: since 7.1. Without it nothing happens: ask scx_can_reenq() where a task's progress depends on it. */
extern void scx_bpf_dsq_reenq(u64 dsq_id, u64 reenq_flags) SCX_KFUNC;

static __always_inline bool scx_can_reenq(void)
{
	return bpf_ksym_exists(scx_bpf_dsq_reenq);
}

static __always_inline void scx_dsq_reenq(u64 dsq_id, u64 reenq_flags)
{
	if (bpf_ksym_exists(scx_bpf_dsq_reenq))
		scx_bpf_dsq_reenq(dsq_id, reenq_flags);
}

/* scx_sub_dispatch: since 7.1. Offers the CPU to a sub-scheduler; true when it dispatched something. */
extern bool scx_bpf_sub_dispatch(u64 cgroup_id) SCX_KFUNC;

static __always_inline bool scx_sub_dispatch(u64 cgroup_id)
{
	if (bpf_ksym_exists(scx_bpf_sub_dispatch))
		return scx_bpf_sub_dispatch(cgroup_id);
	return false;
}

/* scx_cpu_curr: since 6.18; before, through the run queue. Under RCU. */
extern struct task_struct *scx_bpf_cpu_curr(s32 cpu) SCX_KFUNC;
extern struct rq *scx_bpf_cpu_rq(s32 cpu) SCX_KFUNC;

static __always_inline struct task_struct *scx_cpu_curr(s32 cpu)
{
	struct rq *rq;

	if (bpf_ksym_exists(scx_bpf_cpu_curr))
		return scx_bpf_cpu_curr(cpu);
	rq = scx_bpf_cpu_rq(cpu);
	return rq ? rq->curr : NULL;
}

/*
 * Without a declaration here, since an object either has the callback or not: ops.cgroup_set_bandwidth (6.17),
 * ops.cgroup_set_idle (6.19), ops.sub_attach and ops.sub_detach (7.1). The host clears members of the struct_ops that
 * the running kernel lacks, and says so.
 */
