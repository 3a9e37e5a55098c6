// SPDX-License-Identifier: GPL-2.0-only
//
// Whoever may look at a host learns how it does. What programs wrote, with which arguments they were started, the
// kernel's dumps, which name everybody's threads, and the verifier's log are for root and the host's group.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace scxhost {

// Takes them out of an answer or an event, in whatever they stand.
void drop_private(nlohmann::json& value);
// Whether it is an event that has nothing else.
[[nodiscard]] bool is_private(const nlohmann::json& event);

} // namespace scxhost
