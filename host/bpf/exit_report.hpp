// SPDX-License-Identifier: GPL-2.0-only
//
// How a scheduler left: the kernel's exit information, as the policy's exit callback recorded it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace scxhost {

// enum scx_exit_kind (kernel/sched/ext). Numbers are checked against the kernel's BTF by the guest tests.
enum class ExitKind : std::uint32_t {
    kNone = 0,
    kDone = 1,
    kUnreg = 64,            // we detached it, or the process that held it died
    kUnregBpf = 65,         // the policy called scx_bpf_exit
    kUnregKernel = 66,      // the kernel: CPU hotplug, cgroup gone
    kSysrq = 67,            // the operator pressed SysRq-S
    kParent = 68,           // from 7.1: the parent of a sub-scheduler left
    kParentKill = 69,       // from 7.3: the parent of a sub-scheduler ended it
    kError = 1024,          // misuse of the interface
    kErrorBpf = 1025,       // the policy called scx_bpf_error
    kErrorStall = 1026,     // the watchdog
    kErrorReenqueue = 1027, // from 7.3: a task was enqueued again too often without running
    kErrorRescue = 1028     // from 7.3: tasks that it left waiting needed too much rescue time
};

struct ExitReport {
    std::uint32_t kind = 0; // ExitKind, or a number that this host does not know
    std::int64_t exit_code = 0;
    std::string reason;
    std::string message;
    std::string dump;

    [[nodiscard]] bool left() const { return kind > static_cast<std::uint32_t>(ExitKind::kDone); }
    [[nodiscard]] bool is_error() const { return kind >= static_cast<std::uint32_t>(ExitKind::kError); }
    // The kernel or the policy asks to be started again (SCX_ECODE_ACT_RESTART).
    [[nodiscard]] bool asks_for_restart() const;
    // Because a CPU came or went (SCX_ECODE_RSN_HOTPLUG).
    [[nodiscard]] bool is_hotplug() const;

    // "ERROR_STALL", or "kind 4711".
    [[nodiscard]] std::string kind_name() const;
};

} // namespace scxhost
