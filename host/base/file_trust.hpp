// SPDX-License-Identifier: GPL-2.0-only
//
// Whether a file can be trusted to decide what a privileged process does: nobody but root, and the user who runs the
// process, may be able to change it or to put another one in its place.
#pragma once

#include "host/base/result.hpp"

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>

namespace scxhost {

// Checks a file or folder and every folder on the way to it, through symbolic links: each must belong to root or to
// `user` and must not be writable by group or others. A sticky folder on the way (/tmp) may be writable, since there
// only the owner can replace an entry; then a link in it must belong to root or `user` too.
//
// Returns the path with all links resolved. Open that one: nobody who was not trusted can change what it names. Fails
// with kPermission when something on the way is not trusted, or cannot be searched; kIo when it cannot be examined.
[[nodiscard]] Result<std::filesystem::path> check_trusted(const std::filesystem::path& path, uid_t user = ::geteuid());

// Whether everybody may read a file, or list a folder, by the mode bits of it and of the folders on the way, once links
// are resolved. kPermission: no, with what is closed named; kIo when it cannot be examined.
[[nodiscard]] Result<> check_readable_by_all(const std::filesystem::path& path);

// check_trusted() for a folder, which is made when it is missing, with those on the way to it; `mode` is that of each
// folder made, whatever the umask. Errors: those of check_trusted(); kPermission or kIo when it cannot be made.
[[nodiscard]] Result<std::filesystem::path> make_trusted_folder(const std::filesystem::path& folder, mode_t mode);

} // namespace scxhost
