// SPDX-License-Identifier: GPL-2.0-only
//
// A scheduler that takes part in a comparison, as the user names it.
#pragma once

#include "host/base/result.hpp"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

inline constexpr std::string_view kKernelsOwn = "kernel";

struct Contender {
    std::string label;         // as it was named
    std::string what;          // what is to run; empty: no BPF scheduler
    bool is_program = false;   // `what` is a scheduler program
    std::string expected = {}; // of WHAT@CONFIG: the name that the scheduler must have
};

// "kernel", or WHAT as `scxhost swap` takes it, or WHAT@CONFIG: the scheduler WHAT as the configuration CONFIG has it;
// a path that starts with / and ends with none of .toml, .o, .so is a scheduler program. Paths are made absolute. At
// least two, all different. kUsage: it is not so.
[[nodiscard]] Result<std::vector<Contender>> parse_contenders(std::span<const std::string> words);

// The parameters of the control protocol's methods swap and check that name it.
[[nodiscard]] nlohmann::json selection_params(const Contender& contender, std::span<const std::string> plugin_dirs);

// Whose turn it is in a round, from 0: each time the one that was last comes first (A B C, C A B, B C A, …), so that
// after as many rounds as there are schedulers each has had every place.
[[nodiscard]] std::vector<std::size_t> order_of_round(std::size_t round, std::size_t contenders);

} // namespace scxhost
