/* SPDX-License-Identifier: GPL-2.0-only */
/* Options, and what the policy needs of the kernel. */
#pragma once

#include <scxhost/bpf/common.bpf.h>

SCX_OPTION("own_weight", int, "Weight of trunk's own tasks beside its branches', which have their cgroup's cpu.weight")
SCX_MIN("1") SCX_MAX("10000")
const volatile u32 own_weight = 100;

SCX_OPTION("window", duration, "Time in which shares are to be true: what was missed or had before it is forgotten")
SCX_UNIT("ns") SCX_MIN("10ms") SCX_MAX("10s")
const volatile u64 window_ns = 200000000;

SCX_OPTION("max_turn", duration, "How long a branch may keep a CPU while others wait")
SCX_UNIT("ns") SCX_MIN("1ms") SCX_MAX("1s")
const volatile u64 max_turn_ns = 20000000;

SCX_OPTION("slice", duration, "Time slice of trunk's own tasks")
SCX_UNIT("ns") SCX_MIN("100us") SCX_MAX("1s")
const volatile u64 slice_ns = 5000000;

SCX_OPTION("grant_preempt", bool, "Let branches take a CPU from what runs there, whosever it is")
const volatile bool grant_preempt = false;

SCX_OPTION("grant_perf", bool, "Let branches set the performance of CPUs; the last one that does is heard")
const volatile bool grant_perf = false;

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
SCX_NEEDS(scx_bpf_kick_cid)
SCX_NEEDS(scx_bpf_sub_dispatch)
SCX_NEEDS(scx_bpf_sub_grant)
SCX_NEEDS(scx_bpf_sub_revoke)
const volatile u32 trunk_build = 1;
