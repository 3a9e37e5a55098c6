/* SPDX-License-Identifier: GPL-2.0-only */
/* qmap's options, and the kernel features that it uses where they are. */
#pragma once

#include <scxhost/bpf/common.bpf.h>

SCX_OPTION("slice", duration, "Time slice of a task")
SCX_UNIT("ns") SCX_MIN("10us") SCX_MAX("10s") SCX_DEFAULT(SCX_SLICE_DFL)
const volatile u64 slice_ns = 20000000;

/* 16 Mi entries of 32 bytes are what the arena has room for, with some to spare. */
SCX_OPTION("max_tasks", int, "Entries in the slab of task contexts: with more tasks the policy ends")
SCX_MIN("0") SCX_MAX("16777216")
const volatile u32 max_tasks = 16384;

SCX_OPTION("dispatch_batch", int, "Tasks moved to the shared dispatch queue together; 0: one")
SCX_MIN("0") SCX_MAX("32")
const volatile u32 dispatch_batch = 0;

SCX_OPTION("boost_highpri", bool, "Run nice -20 tasks in the shared dispatch queue first; use with a dispatch_batch")
const volatile bool boost_highpri = false;

SCX_OPTION("partial", bool, "Take only tasks that ask for it (policy SCHED_EXT)")
SCX_SETS_FLAG(SCX_OPS_SWITCH_PARTIAL)
const volatile bool partial = false;

SCX_OPTION("always_enq_immed", bool, "A task goes to a CPU's queue only if that CPU can run it at once (kernel 7.1)")
SCX_SETS_FLAG(SCX_OPS_ALWAYS_ENQ_IMMED)
const volatile bool always_enq_immed = false;

SCX_OPTION("sub_cgroup", cgroup, "Attach below this cgroup, under the qmap that runs the machine (kernel 7.3)")
SCX_SETS_OPS(sub_cgroup_id)
const volatile u64 sub_cgroup = 0;

SCX_OPTION("disallow_pid", pid, "Keep this process out of sched_ext; -1: the host itself")
const volatile s32 disallow_pid = 0;

SCX_OPTION("exit_dump_len", size, "Length of the debug dump when the policy is ejected; 0: the kernel's default")
SCX_MAX("1M") SCX_SETS_OPS(exit_dump_len)
const volatile u32 exit_dump_len = 0;

SCX_OPTION("suppress_dump", bool, "Leave the policy's own state out of the debug dump")
const volatile bool suppress_dump = false;

SCX_OPTION("print_dsqs_and_events", bool, "Every second, dispatch queues and event counters to the trace pipe")
const volatile bool print_dsqs_and_events = false;

SCX_OPTION("print_messages", bool, "Cgroup, CPU and sub-scheduler messages to the trace pipe")
const volatile bool print_messages = false;

SCX_OPTION("timeout", duration, "A runnable task that waits longer than this ejects the policy")
SCX_UNIT("ms") SCX_MIN("1s") SCX_MAX("30s") SCX_SETS_OPS(timeout_ms)
const volatile u32 timeout_ms = 30000;

/* Fault knobs. */

SCX_OPTION("error_after", int, "Scheduler error after this many enqueues; 0: never")
SCX_FAULT
const volatile u32 error_after = 0;

SCX_OPTION("stall_user_nth", int, "Lose every Nth user task that is enqueued; 0: none")
SCX_FAULT
const volatile u32 stall_user_nth = 0;

SCX_OPTION("stall_kernel_nth", int, "Lose every Nth kernel thread that is enqueued; 0: none")
SCX_FAULT
const volatile u32 stall_kernel_nth = 0;

SCX_OPTION("dispatch_loop_after", int, "Dispatch without end after this many dispatches; 0: never")
SCX_FAULT
const volatile u32 dispatch_loop_after = 0;

SCX_OPTION("immed_stress_nth", int, "Every Nth enqueue to the previous CPU's queue, busy or not; 0: none")
SCX_FAULT
const volatile u32 immed_stress_nth = 0;

SCX_OPTION("fail_storage_nth", int, "Fail every Nth fork as if there were no memory for the task's storage; 0: none")
SCX_FAULT
const volatile u32 fail_storage_nth = 0;

SCX_FEATURE(kfunc, scx_bpf_sub_grant, "no schedulers below this one, nor this one below another") SCX_FORM_CID
const volatile bool use_cids = false;

SCX_FEATURE(kfunc, scx_bpf_dsq_reenq, "no low-priority queue: tasks of nice 19 share queue 0")
const volatile bool has_dsq_reenq = true;

SCX_FEATURE(enum, SCX_OPS_ALWAYS_ENQ_IMMED, "no immediate enqueue: always_enq_immed has no effect")
const volatile bool has_enq_immed = true;

/* Weak like all kfuncs, but nothing works without these. */
SCX_NEEDS(scx_bpf_create_dsq)
SCX_NEEDS(scx_bpf_error_bstr)
SCX_NEEDS(scx_bpf_dispatch_nr_slots)
SCX_NEEDS(scx_bpf_kick_cpu)
SCX_NEEDS(scx_bpf_pick_idle_cpu)
SCX_NEEDS(scx_bpf_pick_any_cpu)
SCX_NEEDS(scx_bpf_test_and_clear_cpu_idle)
SCX_NEEDS(scx_bpf_cpuperf_cur)
SCX_NEEDS(scx_bpf_cpuperf_cap)
SCX_NEEDS(scx_bpf_cpuperf_set)
SCX_NEEDS(bpf_res_spin_lock_irqsave)
const volatile u32 qmap_build = 1;
