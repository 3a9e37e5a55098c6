// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/namespaces.hpp"

#include <sys/stat.h>

namespace scxhost {
namespace {

// The inodes of the initial namespaces' files; the kernel fixes them (include/linux/proc_ns.h).
constexpr ino_t kInitialUserNamespace = 0xEFFFFFFD;
constexpr ino_t kInitialPidNamespace = 0xEFFFFFFC;

bool is_inode(const char* path, ino_t inode) {
    struct stat status = {};
    return ::stat(path, &status) != 0 || status.st_ino == inode;
}

} // namespace

bool in_initial_user_namespace() {
    return is_inode("/proc/self/ns/user", kInitialUserNamespace);
}

bool in_initial_pid_namespace() {
    return is_inode("/proc/self/ns/pid", kInitialPidNamespace);
}

} // namespace scxhost
