// SPDX-License-Identifier: GPL-2.0-only
//
// What `scxhost compare` prints, and the process that a built-in workload runs in.
#pragma once

#include "host/cli/command.hpp"
#include "host/compare/comparison.hpp"

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// `scxhost __workload NAME SECONDS`: runs a built-in workload and prints its figures, as format_figures() does. It is
// no command for people.
inline constexpr std::string_view kWorkloadCommand = "__workload";
[[nodiscard]] CommandResult run_workload_command(std::span<const std::string> arguments);

// The table of a comparison: for each figure the medians, their spread, the ratio to the first and what it means.
[[nodiscard]] std::string comparison_table(const ComparisonPlan& plan, const std::vector<ComparedFigure>& figures,
                                           bool colour);
// The same as a page: one file, complete. `time` says when it was.
[[nodiscard]] std::string comparison_page(const ComparisonPlan& plan, const Comparison& comparison,
                                          const std::vector<ComparedFigure>& figures, const std::string& kernel_release,
                                          const std::string& time);
// I/O pressure, for most workloads: nothing to show to people.
[[nodiscard]] bool is_zero_everywhere(const ComparedFigure& figure);
// Three digits, in a form that fits a column: "0.0123", "12.3", "12345".
[[nodiscard]] std::string format_figure(double value);

} // namespace scxhost
