// SPDX-License-Identifier: GPL-2.0-only
//
// Cgroups (version 2) by name.
#pragma once

#include "host/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace scxhost {

// Where version 2 is mounted by convention.
inline constexpr std::string_view kCgroupRoot = "/sys/fs/cgroup";

// The kernel's id of the cgroup whose folder is `name`: a path below kCgroupRoot, with or without that in front. In a
// cgroup namespace, or under another mount, it is the folder that is seen there; the id is the kernel's in any case.
// Errors: kConfig: no such folder, one outside of the cgroups' file system, or ".." in the name.
[[nodiscard]] Result<std::uint64_t> find_cgroup(std::string_view name);

// Threads in the cgroup and those below it. nullopt: there is no such cgroup, or it has too many parts to look at.
[[nodiscard]] std::optional<std::size_t> count_threads(std::string_view name);

} // namespace scxhost
