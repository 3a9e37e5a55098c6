// SPDX-License-Identifier: GPL-2.0-only
//
// A thread that is somebody else: the kernel keeps credentials for each thread, only the C library makes them the same
// in all. Needs root.
#pragma once

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <functional>
#include <thread>
#include <vector>

namespace scxhost {

inline void as_other_user(uid_t uid, gid_t gid, const std::vector<gid_t>& groups, const std::function<void()>& action) {
    std::thread([&] {
        ASSERT_EQ(::syscall(SYS_setgroups, groups.size(), groups.data()), 0);
        ASSERT_EQ(::syscall(SYS_setresgid, gid, gid, gid), 0);
        ASSERT_EQ(::syscall(SYS_setresuid, uid, uid, uid), 0);
        action();
    }).join();
}

} // namespace scxhost
