/* SPDX-License-Identifier: GPL-2.0-only */
/* Options, and what the policy needs of the kernel. */
#pragma once

#include <scxhost/bpf/common.bpf.h>

SCX_OPTION("period", duration, "Time in which each task that waits at a CPU should run once; it is divided among them")
SCX_UNIT("ns") SCX_MIN("1ms") SCX_MAX("1s")
const volatile u64 period_ns = 12000000;

SCX_OPTION("slice_min", duration, "A slice is not shorter: less means quicker turns and more switches")
SCX_UNIT("ns") SCX_MIN("100us") SCX_MAX("100ms")
const volatile u64 slice_min_ns = 3000000;

SCX_OPTION("preempt", bool, "Let a task that wakes up take the CPU of one with a clearly later deadline")
const volatile bool preempt = true;

enum cgroups {
	CGROUPS_WEIGHTED,
	CGROUPS_ALWAYS,
	CGROUPS_NEVER,
};

SCX_OPTION("cgroups", enum, "When cgroups share by cpu.weight: once one's is not the default, always, or never")
SCX_PREFIX(CGROUPS_)
const volatile enum cgroups cgroups = CGROUPS_WEIGHTED;

SCX_OPTION("max_tasks", int, "Entries in the slab of task contexts: with more tasks the policy ends")
SCX_MIN("1") SCX_MAX("4194304")
const volatile u32 max_tasks = 1048576;

SCX_OPTION("partial", bool, "Take only tasks that ask for it (policy SCHED_EXT)")
SCX_SETS_FLAG(SCX_OPS_SWITCH_PARTIAL)
const volatile bool partial = false;

SCX_OPTION("timeout", duration, "A runnable task that waits longer than this ejects the policy")
SCX_UNIT("ms") SCX_MIN("1s") SCX_MAX("30s") SCX_SETS_OPS(timeout_ms)
const volatile u32 timeout_ms = 30000;

/* Weak like all kfuncs, but nothing works without these. */
SCX_NEEDS(scx_bpf_create_dsq)
SCX_NEEDS(scx_bpf_error_bstr)
SCX_NEEDS(scx_bpf_dsq_nr_queued)
SCX_NEEDS(scx_bpf_kick_cpu)
SCX_NEEDS(bpf_iter_scx_dsq_new)
SCX_NEEDS(scx_bpf_pick_idle_cpu)
SCX_NEEDS(scx_bpf_select_cpu_dfl)
SCX_NEEDS(scx_bpf_test_and_clear_cpu_idle)
SCX_NEEDS(bpf_res_spin_lock_irqsave)
const volatile u32 interactive_build = 1;
