// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/program_rights.hpp"

#include "host/programs/program_cgroup.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/capability.h>

#include <array>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

constexpr std::array<unsigned, 3> kNeededCapabilities = {CAP_SYS_CHROOT, CAP_SYS_PTRACE, CAP_SYS_ADMIN};
constexpr int kNoAttach = 3; // YAMA_SCOPE_NO_ATTACH

} // namespace

Result<> check_program_rights(const ProgramRightsPaths& paths) {
    std::vector<std::string> missing;
    CapabilitySet lacking = 0;
    for (const unsigned needed : kNeededCapabilities)
        if ((paths.capabilities >> needed & 1) == 0)
            lacking |= CapabilitySet{1} << needed;
    if (lacking != 0)
        missing.push_back(fmt::format("it lacks {}", fmt::join(names_of(lacking), " and ")));
    int scope = 0;
    if (std::ifstream file(paths.ptrace_scope); file >> scope && scope >= kNoAttach)
        missing.emplace_back("kernel.yama.ptrace_scope is 3, which lets nobody look into another process until the "
                             "machine is booted anew");
    if (Result<> cgroup = ProgramCgroup::check_base(); !cgroup) {
        if (cgroup.error().kind != ErrorKind::kPermission)
            return cgroup;
        missing.push_back(std::move(cgroup).error().what);
    }
    if (missing.empty())
        return {};
    return fail(ErrorKind::kPermission, fmt::format("this process cannot host programs: {}", fmt::join(missing, "; ")),
                "run the host as root; the packaged service gets these rights with programs.conf (docs/programs.md)");
}

} // namespace scxhost
