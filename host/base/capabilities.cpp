// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/capabilities.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace scxhost {
namespace {

using Halves = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

// Of this thread. All empty: the kernel does not say.
Halves ask_kernel() {
    __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    Halves halves = {};
    return ::syscall(SYS_capget, &header, halves.data()) == 0 ? halves : Halves{};
}

CapabilitySet join(const Halves& halves, __u32 __user_cap_data_struct::* set) {
    return halves[0].*set | CapabilitySet{halves[1].*set} << 32;
}

} // namespace

const std::vector<std::string>& capability_names() {
    static const std::vector<std::string> names{"CAP_CHOWN",
                                                "CAP_DAC_OVERRIDE",
                                                "CAP_DAC_READ_SEARCH",
                                                "CAP_FOWNER",
                                                "CAP_FSETID",
                                                "CAP_KILL",
                                                "CAP_SETGID",
                                                "CAP_SETUID",
                                                "CAP_SETPCAP",
                                                "CAP_LINUX_IMMUTABLE",
                                                "CAP_NET_BIND_SERVICE",
                                                "CAP_NET_BROADCAST",
                                                "CAP_NET_ADMIN",
                                                "CAP_NET_RAW",
                                                "CAP_IPC_LOCK",
                                                "CAP_IPC_OWNER",
                                                "CAP_SYS_MODULE",
                                                "CAP_SYS_RAWIO",
                                                "CAP_SYS_CHROOT",
                                                "CAP_SYS_PTRACE",
                                                "CAP_SYS_PACCT",
                                                "CAP_SYS_ADMIN",
                                                "CAP_SYS_BOOT",
                                                "CAP_SYS_NICE",
                                                "CAP_SYS_RESOURCE",
                                                "CAP_SYS_TIME",
                                                "CAP_SYS_TTY_CONFIG",
                                                "CAP_MKNOD",
                                                "CAP_LEASE",
                                                "CAP_AUDIT_WRITE",
                                                "CAP_AUDIT_CONTROL",
                                                "CAP_SETFCAP",
                                                "CAP_MAC_OVERRIDE",
                                                "CAP_MAC_ADMIN",
                                                "CAP_SYSLOG",
                                                "CAP_WAKE_ALARM",
                                                "CAP_BLOCK_SUSPEND",
                                                "CAP_AUDIT_READ",
                                                "CAP_PERFMON",
                                                "CAP_BPF",
                                                "CAP_CHECKPOINT_RESTORE"};
    static_assert(CAP_LAST_CAP == CAP_CHECKPOINT_RESTORE && CAP_CHECKPOINT_RESTORE == 40 && CAP_BPF == 39);
    return names;
}

std::optional<unsigned> find_capability(std::string_view name) {
    const auto found = std::ranges::find(capability_names(), name);
    if (found == capability_names().end())
        return std::nullopt;
    return static_cast<unsigned>(found - capability_names().begin());
}

std::vector<std::string> names_of(CapabilitySet set) {
    std::vector<std::string> names;
    for (unsigned number = 0; number < capability_names().size(); ++number)
        if ((set >> number & 1) != 0)
            names.push_back(capability_names()[number]);
    return names;
}

CapabilitySet permitted_capabilities() {
    return join(ask_kernel(), &__user_cap_data_struct::permitted);
}

CapabilitySet effective_capabilities() {
    return join(ask_kernel(), &__user_cap_data_struct::effective);
}

} // namespace scxhost
