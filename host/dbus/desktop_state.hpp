// SPDX-License-Identifier: GPL-2.0-only
//
// What runs, in the words of the interface org.scx.Loader.
#pragma once

#include "host/config/desktop.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace scxhost {

struct DesktopState {
    std::string scheduler = "unknown"; // that is: none
    std::uint32_t mode = 0;
    std::vector<std::string> args; // those that a client gave

    friend bool operator==(const DesktopState&, const DesktopState&) = default;
};

// What a client has chosen, and as which run of the kernel's it came up.
struct DesktopRun {
    std::uint64_t enable_seq = 0;
    DesktopState state;
    DesktopChoice choice;
};

// `status`: the host's. What runs as `chosen` says is what was chosen; else what is configured is compared with it, by
// the plugin or configuration and then by as many options as possible. What is not configured has its own name.
[[nodiscard]] DesktopState desktop_state(const nlohmann::json& status, const std::vector<DesktopScheduler>& schedulers,
                                         const DesktopRun& chosen);

// The enable_seq of what runs by the host's view; 0: nothing does.
[[nodiscard]] std::uint64_t running_seq(const nlohmann::json& status);

} // namespace scxhost
