// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/program_identity.hpp"

#include "host/base/suggest.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>

namespace scxhost {
namespace {

constexpr std::size_t kEntryBytes = 64U << 10U; // of the user database
constexpr int kMaxGroups = 65536;               // NGROUPS_MAX

bool has(CapabilitySet set, unsigned number) {
    return (set >> number & 1) != 0;
}

Result<CapabilitySet> named_set(const std::vector<std::string>& names, CapabilitySet host) {
    CapabilitySet set = 0;
    for (const std::string& name : names) {
        const std::optional<unsigned> number = find_capability(name);
        if (!number)
            return fail(ErrorKind::kConfig, fmt::format("program.capabilities: there is no capability '{}'", name),
                        suggest_word(name, capability_names(), "capabilities"));
        if (!has(host, *number))
            return fail(ErrorKind::kPermission,
                        fmt::format("program.capabilities: the host has no {} to leave to the program", name),
                        "run the host as root; as a service, name it in CapabilityBoundingSet=");
        set |= CapabilitySet{1} << *number;
    }
    return set;
}

Result<> become(ProgramIdentity& identity, const std::string& user, CapabilitySet host) {
    std::string buffer(kEntryBytes, '\0');
    passwd entry{};
    passwd* found = nullptr;
    const int error = ::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr)
        return error == 0 ? fail(ErrorKind::kConfig, fmt::format("program.user: there is no user '{}'", user),
                                 "`getent passwd` lists the users of this machine")
                          : fail_errno(ErrorKind::kIo, fmt::format("program.user: cannot look up '{}'", user), error);
    identity.uid = entry.pw_uid;
    identity.gid = entry.pw_gid;
    if (entry.pw_uid == ::geteuid())
        return {}; // who the host is already
    identity.changes_user = true;
    for (const unsigned needed : {CAP_SETUID, CAP_SETGID})
        if (!has(host, needed))
            return fail(
                ErrorKind::kPermission,
                fmt::format("program.user: the host cannot become '{}' without {}", user, capability_names()[needed]),
                "run the host as root; as a service, name it in CapabilityBoundingSet=");
    int count = 64;
    identity.groups.resize(static_cast<std::size_t>(count));
    while (::getgrouplist(user.c_str(), entry.pw_gid, identity.groups.data(), &count) < 0 && count <= kMaxGroups)
        identity.groups.resize(static_cast<std::size_t>(count));
    identity.groups.resize(static_cast<std::size_t>(count));
    return {};
}

} // namespace

Result<ProgramIdentity> program_identity(const std::string& user, const std::vector<std::string>& capabilities) {
    const CapabilitySet host = permitted_capabilities();
    ProgramIdentity identity;
    if (capabilities.empty()) {
        identity.capabilities = 0;
        for (const char* name : kDefaultProgramCapabilities)
            identity.capabilities |= CapabilitySet{1} << *find_capability(name);
        identity.capabilities &= host;
    } else {
        identity.capabilities = SCXHOST_TRY(named_set(capabilities, host));
    }
    if (!user.empty())
        SCXHOST_TRY(become(identity, user, host));
    return identity;
}

} // namespace scxhost
