// SPDX-License-Identifier: GPL-2.0-only
//
// What is said about a file that a user named and that is not there: one wording for all callers.
#pragma once

#include "host/base/result.hpp"

#include <filesystem>

namespace scxhost {

// "there is no file <path>", with the path as it was given, or that it is a link to nothing. The hint is the file of a
// near name in the same folder, or that the folder is missing. kIo with ENOENT; the caller may know a better kind.
[[nodiscard]] Error missing_file(const std::filesystem::path& path);

} // namespace scxhost
