// SPDX-License-Identifier: GPL-2.0-only
//
// A file that has no place in any folder: bytes that the kernel keeps and that nobody can change any more.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <cstddef>
#include <span>
#include <string>

namespace scxhost {

// Holds `bytes`, sealed, and may be executed. `name` is what /proc/PID/maps shows, as "/memfd:NAME (deleted)". Errors:
// kIo.
[[nodiscard]] Result<UniqueFd> make_memory_file(const std::string& name, std::span<const std::byte> bytes);

} // namespace scxhost
