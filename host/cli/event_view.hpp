// SPDX-License-Identifier: GPL-2.0-only
//
// What the supervisor tells, as lines for people: in `run` on the terminal, in `swap` and `events` from another
// process.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace scxhost {

// One event as text, complete lines; empty for one that people learn in another way, or need not know.
[[nodiscard]] std::string describe_event(const nlohmann::json& event, bool colour);

} // namespace scxhost
