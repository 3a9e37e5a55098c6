// SPDX-License-Identifier: GPL-2.0-only
//
// Workloads for those who have none of their own at hand: builtin:NAME of `scxhost compare`. Each runs in a process of
// its own, as any other workload does.
#pragma once

#include "host/base/result.hpp"
#include "host/measure/figure.hpp"

#include <chrono>
#include <span>
#include <string_view>
#include <vector>

namespace scxhost {

inline constexpr std::string_view kBuiltinWorkload = "builtin:"; // before its name

struct BuiltinWorkload {
    std::string_view name;
    std::string_view summary; // one line, no full stop
    std::vector<Figure> (*run)(std::chrono::nanoseconds time);
};

[[nodiscard]] std::span<const BuiltinWorkload> builtin_workloads();
// kUsage: there is none of this name; the hint has those that there are.
[[nodiscard]] Result<const BuiltinWorkload*> find_builtin_workload(std::string_view name);
// Works for about this time; what came of it. kIo: something that it needs was refused.
[[nodiscard]] Result<std::vector<Figure>> run_builtin_workload(const BuiltinWorkload& workload,
                                                               std::chrono::nanoseconds time);

} // namespace scxhost
