// SPDX-License-Identifier: GPL-2.0-only
//
// One thing that was measured of one run.
#pragma once

#include "host/base/result.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// Which way a figure is to go; of many it is not known.
enum class Better { kUnknown, kLower, kHigher };
[[nodiscard]] std::string_view to_string(Better better); // "", "lower", "higher"

struct Figure {
    std::string name; // "wake-up delay p99"
    std::string unit; // "ms"; may be empty
    Better better = Better::kUnknown;
    double value = 0;
};

// One line, as built-in workloads print them for whoever measures.
[[nodiscard]] std::string format_figures(const std::vector<Figure>& figures);
// kInternal: it is no such line.
[[nodiscard]] Result<std::vector<Figure>> parse_figures(std::string_view line);

} // namespace scxhost
