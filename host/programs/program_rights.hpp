// SPDX-License-Identifier: GPL-2.0-only
//
// What hosting other people's programs takes beyond what any scheduler takes (host/kernel/preflight.hpp), looked at
// before anything is started, so that all that is missing is told at once.
#pragma once

#include "host/base/capabilities.hpp"
#include "host/base/result.hpp"

#include <filesystem>

namespace scxhost {

// Where to look; tests look elsewhere.
struct ProgramRightsPaths {
    std::filesystem::path ptrace_scope = "/proc/sys/kernel/yama/ptrace_scope";
    CapabilitySet capabilities = effective_capabilities();
};

// Whether this process may start programs and hold them at their attach: CAP_SYS_ADMIN (a view of the file system of
// their own), CAP_SYS_CHROOT (the way into it), CAP_SYS_PTRACE (what they ask for is read from them, and their map is
// duplicated), which kernel.yama.ptrace_scope=3 takes from everybody, and a cgroup of its own in which it may make
// others. The error is kPermission and names all that is missing; kUnsupported without cgroups of version 2. Makes and
// starts nothing.
[[nodiscard]] Result<> check_program_rights(const ProgramRightsPaths& paths = {});

} // namespace scxhost
