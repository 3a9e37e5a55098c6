// SPDX-License-Identifier: GPL-2.0-only
//
// What the supervisor tells, as lines for people: in `run` on the terminal, in `swap`, `events` and `top` from another
// process.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace scxhost {

// One event as text, complete lines; empty for one that people learn in another way, or need not know.
[[nodiscard]] std::string describe_event(const nlohmann::json& event, bool colour);
// The same, and of such a one its name and what is known of it.
[[nodiscard]] std::string describe_any_event(const nlohmann::json& event, bool colour);

// A SWAP of docs/control.md in one line: from what to what, the outcome, the gap.
[[nodiscard]] std::string describe_swap(const nlohmann::json& swap);

} // namespace scxhost
