// SPDX-License-Identifier: GPL-2.0-only
//
// Who a hosted program is: its user and groups, and the capabilities that it keeps. Never more than the host has.
#pragma once

#include "host/base/capabilities.hpp"
#include "host/base/result.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace scxhost {

struct ProgramIdentity {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;                      // beside gid
    bool changes_user = false;                      // else it stays who the host is, groups and all
    CapabilitySet capabilities = ~CapabilitySet{0}; // of those that the host has
};

// What a program keeps when nothing else is said. Tried in guests on 6.16 to 7.3: BPF and PERFMON load and attach a
// scheduler and its tracing programs; the rest is what schedulers' user-space halves do beside that: SYS_NICE for their
// own threads' policies, SYS_RESOURCE and IPC_LOCK for the limit of locked memory and its use, SYSLOG for addresses in
// /proc/kallsyms, DAC_OVERRIDE for files that are not root's.
inline constexpr const char* kDefaultProgramCapabilities[] = {
    "CAP_BPF", "CAP_PERFMON", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_IPC_LOCK", "CAP_SYSLOG", "CAP_DAC_OVERRIDE"};

// `user` is a name; empty: as the host. `capabilities` are names; empty: the default. Asks the user database, which may
// wait. Errors: kConfig, there is no such user or capability; kPermission, the host lacks a capability that is named,
// or those that it takes to become the user.
Result<ProgramIdentity> program_identity(const std::string& user, const std::vector<std::string>& capabilities);

} // namespace scxhost
