// SPDX-License-Identifier: GPL-2.0-only
//
// Access control lists of files (POSIX ACLs): users who may what a file's owner, group and others say nothing about.
// The kernel's own form of them is an extended attribute of a few bytes, which is written here.
#pragma once

#include "host/base/result.hpp"

#include <sys/types.h>

#include <filesystem>
#include <span>

namespace scxhost {

// Lets these users read and write the file, beside its owner and its group; nobody else may anything. stat() then shows
// the mode 0660. Errors: kUnsupported, its file system keeps no such lists; kIo, kPermission.
[[nodiscard]] Result<> let_users_in(const std::filesystem::path& file, std::span<const uid_t> users);

} // namespace scxhost
