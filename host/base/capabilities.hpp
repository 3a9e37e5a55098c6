// SPDX-License-Identifier: GPL-2.0-only
//
// The kernel's capabilities by name, and sets of them as it keeps them: one bit for each, by number.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

using CapabilitySet = std::uint64_t;

// In the order of their numbers, spelled as in linux/capability.h: "CAP_CHOWN", …
[[nodiscard]] const std::vector<std::string>& capability_names();
[[nodiscard]] std::optional<unsigned> find_capability(std::string_view name);
// Those of the set that have a name, in the order of their numbers.
[[nodiscard]] std::vector<std::string> names_of(CapabilitySet set);

// What this thread may have effective; empty when the kernel does not say.
[[nodiscard]] CapabilitySet permitted_capabilities();
// What it has effective now; empty when the kernel does not say.
[[nodiscard]] CapabilitySet effective_capabilities();

} // namespace scxhost
