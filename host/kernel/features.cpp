// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/features.hpp"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <iterator>

namespace scxhost {
namespace {

using enum ProbeKind;
using enum FeatureGroup;

// `since` and `until` are checked against real kernels by tests/vm/kernel_test.cpp.
constexpr Feature kFeatures[] = {
    {kDispatch, "dsq-insert", kKfunc, "scx_bpf_dsq_insert", "", "", "put a task on a dispatch queue"},
    {kDispatch, "dsq-insert-old", kKfunc, "scx_bpf_dispatch", "", "6.16", "the same by its first name"},
    {kDispatch, "dsq-insert-result", kKfunc, "scx_bpf_dsq_insert___v2", "6.19", "",
     "learn whether the insertion worked"},
    {kDispatch, "dsq-insert-vtime", kKfunc, "scx_bpf_dsq_insert_vtime", "", "",
     "put a task on a queue in the order of virtual time"},
    {kDispatch, "dsq-insert-vtime-packed", kKfunc, "__scx_bpf_dsq_insert_vtime", "6.19", "",
     "the same with packed arguments, which makes room for more"},
    {kDispatch, "dsq-create", kKfunc, "scx_bpf_create_dsq", "", "", "queues of the policy's own"},
    {kDispatch, "dsq-move-to-local", kKfunc, "scx_bpf_dsq_move_to_local", "", "",
     "take the next task of a queue for this CPU"},
    {kDispatch, "dsq-move-to-local-flags", kKfunc, "scx_bpf_dsq_move_to_local___v2", "7.1", "",
     "the same with enqueue flags"},
    {kDispatch, "dsq-move", kKfunc, "scx_bpf_dsq_move", "", "", "move a task that an iterator found to another queue"},
    {kDispatch, "dsq-iterator", kKfunc, "bpf_iter_scx_dsq_new", "", "", "walk the tasks of a queue"},
    {kDispatch, "dsq-peek", kKfunc, "scx_bpf_dsq_peek", "6.19", "", "look at a queue's first task without its lock"},
    {kDispatch, "dsq-reenqueue", kKfunc, "scx_bpf_dsq_reenq", "7.1", "", "send a queue's tasks through enqueue again"},
    {kDispatch, "reenqueue-anywhere", kKfunc, "scx_bpf_reenqueue_local___v2", "6.19", "",
     "send a local queue's tasks through enqueue again, outside cpu_release too"},
    {kDispatch, "enqueue-immediate", kEnumerator, "SCX_ENQ_IMMED", "7.1", "",
     "insert only if the task runs at once, else get it back"},

    {kCpus, "select-cpu-and", kKfunc, "scx_bpf_select_cpu_and", "6.16", "",
     "the kernel's choice of an idle CPU, within a mask"},
    {kCpus, "select-cpu-and-packed", kKfunc, "__scx_bpf_select_cpu_and", "6.19", "", "the same with packed arguments"},
    {kCpus, "idle-mask-per-node", kKfunc, "scx_bpf_get_idle_cpumask_node", "", "", "idle CPUs of one NUMA node"},
    {kCpus, "pick-idle-cpu", kKfunc, "scx_bpf_pick_idle_cpu", "", "", "find an idle CPU and claim it"},
    {kCpus, "kick-cpu", kKfunc, "scx_bpf_kick_cpu", "", "", "wake or preempt a CPU"},
    {kCpus, "cpu-performance", kKfunc, "scx_bpf_cpuperf_set", "", "", "ask for a CPU's performance level"},
    {kCpus, "cpu-current-task", kKfunc, "scx_bpf_cpu_curr", "6.18", "", "the task that runs on a CPU"},
    {kCpus, "locked-run-queue", kKfunc, "scx_bpf_locked_rq", "6.18", "", "the run queue that the callback holds"},
    {kCpus, "cid-form", kStruct, "sched_ext_ops_cid", "7.2", "", "CPUs by topological number instead of CPU number"},
    {kCpus, "cid-kick", kKfunc, "scx_bpf_kick_cid", "7.2", "", "wake or preempt a CPU in that form"},
    {kCpus, "fair-server", kMember, "rq.ext_server", "7.0", "", "real-time tasks cannot starve those of sched_ext"},

    {kTasks, "task-slice", kKfunc, "scx_bpf_task_set_slice", "6.19", "", "set a task's slice by a checked call"},
    {kTasks, "task-vtime", kKfunc, "scx_bpf_task_set_dsq_vtime", "6.19", "",
     "set a task's virtual time by a checked call"},
    {kTasks, "task-ids", kKfunc, "scx_bpf_tid_to_task", "7.2", "",
     "numbers for tasks that can be kept in plain memory"},
    {kTasks, "dequeue-reason", kEnumerator, "SCX_DEQ_SCHED_CHANGE", "7.1", "",
     "tell a changed property from a wake-up in dequeue"},
    {kTasks, "rescue", kMember, "sched_ext_ops.rescue_bandwidth_ppt", "7.3", "",
     "bandwidth for tasks that a policy leaves waiting"},

    {kCgroups, "cgroup-weight", kMember, "sched_ext_ops.cgroup_set_weight", "", "", "follow cpu.weight"},
    {kCgroups, "cgroup-bandwidth", kMember, "sched_ext_ops.cgroup_set_bandwidth", "6.17", "", "follow cpu.max"},
    {kCgroups, "cgroup-idle", kMember, "sched_ext_ops.cgroup_set_idle", "6.19", "", "follow cpu.idle"},
    {kCgroups, "cid-form-cgroup", kMember, "sched_ext_ops_cid.cgroup_init", "7.2", "7.2",
     "cgroup callbacks of the cid form"},
    {kCgroups, "cid-form-cpuctl", kMember, "sched_ext_ops_cid.cpuctl_init", "7.3", "", "the same by their later name"},
    {kCgroups, "sub-schedulers", kMember, "sched_ext_ops.sub_attach", "7.1", "",
     "a scheduler below a cgroup; from 7.2 its parent needs the cid form"},
    {kCgroups, "sub-dispatch", kKfunc, "scx_bpf_sub_dispatch", "7.1", "", "offer the CPU to a sub-scheduler"},
    {kCgroups, "sub-capabilities", kKfunc, "scx_bpf_sub_grant", "7.3", "",
     "say what a sub-scheduler may do on which CPUs"},

    {kLifecycle, "sched-ext", kStruct, "sched_ext_ops", "", "", "sched_ext itself"},
    {kLifecycle, "exit", kKfunc, "scx_bpf_exit_bstr", "", "", "leave with a code and a message"},
    {kLifecycle, "error", kKfunc, "scx_bpf_error_bstr", "", "", "leave with an error"},
    {kLifecycle, "exit-initialized", kEnumerator, "SCX_EFLAG_INITIALIZED", "6.18", "",
     "tell a failed init from a later error"},
    {kLifecycle, "exit-cpu", kMember, "scx_exit_info.exit_cpu", "7.2", "", "the CPU on which the error arose"},
    {kLifecycle, "exit-parent", kEnumerator, "SCX_EXIT_PARENT", "7.1", "",
     "a sub-scheduler learns that its parent left"},
    {kLifecycle, "events", kKfunc, "scx_bpf_events", "", "", "the kernel's event counters"},
    {kLifecycle, "private-data", kMember, "sched_ext_ops.priv", "6.16", "",
     "a pointer of the policy's in its struct_ops"},
    {kLifecycle, "program-association", kEnumerator, "BPF_PROG_ASSOC_STRUCT_OPS", "7.0", "",
     "tie tracing and syscall programs to their scheduler"},
    {kLifecycle, "implicit-argument", kFunction, "scx_bpf_dsq_insert_impl", "7.1", "",
     "kfuncs know which scheduler calls them"},
    {kLifecycle, "expedited-rcu", kFile, "/sys/kernel/rcu_expedited", "", "", "the host shortens the gap of a swap"},

    {kBpf, "arena", kEnumerator, "BPF_MAP_TYPE_ARENA", "", "",
     "memory shared with user space, with pointers that both understand"},
    {kBpf, "arena-pages", kKfunc, "bpf_arena_alloc_pages", "", "", "get arena pages where sleeping is allowed"},
    {kBpf, "arena-pages-atomic", kFunction, "bpf_arena_alloc_pages_non_sleepable", "7.0", "",
     "get arena pages anywhere, under a spin lock too"},
    {kBpf, "resilient-spin-lock", kKfunc, "bpf_res_spin_lock", "", "",
     "a lock that reports deadlock and time-out instead of hanging"},
    {kBpf, "timer", kEnumerator, "BPF_FUNC_timer_init", "", "", "timers"},
    {kBpf, "timer-cancel-async", kKfunc, "bpf_timer_cancel_async", "7.0", "", "cancel a timer from any context"},
    {kBpf, "clock", kKfunc, "scx_bpf_now", "", "", "a cheap clock, steady within a callback"},

    {kFlags, "keep-builtin-idle", kEnumerator, "SCX_OPS_KEEP_BUILTIN_IDLE", "", "",
     "the kernel tracks idle CPUs although the policy has update_idle"},
    {kFlags, "enqueue-last", kEnumerator, "SCX_OPS_ENQ_LAST", "", "",
     "enqueue is called for the last runnable task too"},
    {kFlags, "enqueue-exiting", kEnumerator, "SCX_OPS_ENQ_EXITING", "", "", "enqueue is called for exiting tasks too"},
    {kFlags, "switch-partial", kEnumerator, "SCX_OPS_SWITCH_PARTIAL", "", "",
     "only tasks with the SCHED_EXT policy are taken"},
    {kFlags, "enqueue-migration-disabled", kEnumerator, "SCX_OPS_ENQ_MIGRATION_DISABLED", "", "",
     "enqueue is called for tasks that cannot migrate too"},
    {kFlags, "allow-queued-wakeup", kEnumerator, "SCX_OPS_ALLOW_QUEUED_WAKEUP", "", "",
     "wake-ups may be queued to another CPU, without select_cpu's locks"},
    {kFlags, "builtin-idle-per-node", kEnumerator, "SCX_OPS_BUILTIN_IDLE_PER_NODE", "", "",
     "the kernel tracks idle CPUs per NUMA node"},
    {kFlags, "has-cgroup-weight", kEnumerator, "SCX_OPS_HAS_CGROUP_WEIGHT", "", "7.0", "without effect, gone"},
    {kFlags, "always-enqueue-immediate", kEnumerator, "SCX_OPS_ALWAYS_ENQ_IMMED", "7.1", "",
     "every local insertion is immediate"},
    {kFlags, "task-id-lookup", kEnumerator, "SCX_OPS_TID_TO_TASK", "7.2", "", "the kernel keeps the table of task ids"},
};

constexpr std::array<std::string_view, 6> kProbeKinds = {"kfunc", "function", "enumerator", "struct", "member", "file"};
constexpr std::array<std::string_view, 3> kAvailabilities = {"present", "absent", "malformed"};
constexpr std::array<std::string_view, 7> kGroups = {
    "Dispatch queues", "CPUs", "Tasks", "Cgroups and sub-schedulers", "Life of a scheduler", "BPF", "Flags"};

bool exists(const KernelBtf& btf, ProbeKind kind, std::string_view name) {
    switch (kind) {
    case kKfunc:
        return btf.has_kfunc(name);
    case kFunction:
        return btf.has_func(name);
    case kEnumerator:
        return btf.enumerator(name).has_value();
    case kStruct:
        return btf.has_struct(std::string(name));
    case kMember: {
        const std::size_t dot = name.find('.');
        return dot != std::string_view::npos && btf.has_member(std::string(name.substr(0, dot)), name.substr(dot + 1));
    }
    case kFile: {
        std::error_code ignored;
        return std::filesystem::exists(name, ignored);
    }
    }
    return false;
}

} // namespace

std::string_view to_string(ProbeKind kind) {
    return kProbeKinds[static_cast<std::size_t>(kind)];
}
std::string_view to_string(Availability availability) {
    return kAvailabilities[static_cast<std::size_t>(availability)];
}
std::string_view to_string(FeatureGroup group) {
    return kGroups[static_cast<std::size_t>(group)];
}

Availability probe(const KernelBtf& btf, ProbeKind kind, std::string_view name) {
    if (!exists(btf, kind, name))
        return Availability::kAbsent;
    return kind == kKfunc && btf.malformed_kfunc(name) ? Availability::kMalformed : Availability::kPresent;
}

std::string kernels_with(const Feature& feature) {
    if (feature.since.empty())
        return feature.until.empty() ? "all" : "up to " + std::string(feature.until);
    if (feature.until.empty())
        return "from " + std::string(feature.since);
    return feature.since == feature.until ? std::string(feature.since)
                                          : fmt::format("{} to {}", feature.since, feature.until);
}

std::span<const Feature> known_features() {
    return kFeatures;
}

std::vector<FeatureState> probe_features(const KernelBtf& btf) {
    std::vector<FeatureState> states;
    for (const Feature& feature : kFeatures)
        states.push_back({&feature, probe(btf, feature.kind, feature.name)});
    return states;
}

std::string feature_table() {
    std::string table;
    const Feature* previous = nullptr;
    for (const Feature& feature : kFeatures) {
        if (!previous || previous->group != feature.group)
            fmt::format_to(std::back_inserter(table),
                           "{}### {}\n\n| feature | probed | kernels | what for |\n|---|---|---|---|\n",
                           previous ? "\n" : "", to_string(feature.group));
        fmt::format_to(std::back_inserter(table), "| {} | {} `{}` | {} | {} |\n", feature.key, to_string(feature.kind),
                       feature.name, kernels_with(feature), feature.purpose);
        previous = &feature;
    }
    return table;
}

} // namespace scxhost
