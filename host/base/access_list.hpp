// SPDX-License-Identifier: GPL-2.0-only
//
// Access control lists of files (POSIX ACLs): users and groups who may what a file's owner, group and others say
// nothing about. The kernel's own form of them is an extended attribute of a few bytes, which is written here.
#pragma once

#include "host/base/result.hpp"

#include <sys/types.h>

#include <filesystem>
#include <span>

namespace scxhost {

// Lets these users, and the members of these groups, read and write the file, beside its owner and, with `its_group`,
// its group; nobody else may anything. stat() then shows the mode 0660 in either case: what it shows as the group's is
// the most that anybody on the list may. Errors: kUnsupported, its file system keeps no such lists; kIo,
// kPermission.
[[nodiscard]] Result<> let_in(const std::filesystem::path& file, std::span<const uid_t> users,
                              std::span<const gid_t> groups, bool its_group);

} // namespace scxhost
