// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/exit_report.hpp"

#include <fmt/format.h>

#include <array>

namespace scxhost {
namespace {

// enum scx_exit_code: bits 32-47 are the reason, bits 48-63 the action; the low half belongs to the policy.
constexpr std::uint64_t kReasonHotplug = 1ULL << 32U;
constexpr std::uint64_t kActionRestart = 1ULL << 48U;

constexpr std::array<std::pair<ExitKind, std::string_view>, 13> kNames = {{
    {ExitKind::kNone, "NONE"},
    {ExitKind::kDone, "DONE"},
    {ExitKind::kUnreg, "UNREG"},
    {ExitKind::kUnregBpf, "UNREG_BPF"},
    {ExitKind::kUnregKernel, "UNREG_KERN"},
    {ExitKind::kSysrq, "SYSRQ"},
    {ExitKind::kParent, "PARENT"},
    {ExitKind::kParentKill, "PARENT_KILL"},
    {ExitKind::kError, "ERROR"},
    {ExitKind::kErrorBpf, "ERROR_BPF"},
    {ExitKind::kErrorStall, "ERROR_STALL"},
    {ExitKind::kErrorReenqueue, "ERROR_REENQ"},
    {ExitKind::kErrorRescue, "ERROR_RESCUE"},
}};

} // namespace

bool ExitReport::asks_for_restart() const {
    return (static_cast<std::uint64_t>(exit_code) & kActionRestart) != 0;
}

bool ExitReport::is_hotplug() const {
    return (static_cast<std::uint64_t>(exit_code) & kReasonHotplug) != 0;
}

std::string ExitReport::kind_name() const {
    for (const auto& [value, name] : kNames)
        if (static_cast<std::uint32_t>(value) == kind)
            return std::string(name);
    return fmt::format("kind {}", kind);
}

} // namespace scxhost
