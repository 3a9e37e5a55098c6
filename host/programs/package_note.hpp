// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <string>

namespace scxhost {

// The version of the package that a program belongs to, as its distribution has written it into the file: a note of
// type 0xcafe1a7e from "FDO" with a JSON object (the UAPI group's package metadata for executable files). At most
// 64 characters of ASCII without spaces; empty where there is none, or none of this kind. `fd` is the open file, whose
// offset stays. Any thread; waits for the file system.
[[nodiscard]] std::string packaged_version(int fd);

} // namespace scxhost
