// SPDX-License-Identifier: GPL-2.0-only
//
// What inotify says about a path, without an event loop; what follows from it is tested with FileWatcher.
#include "host/base/path_watches.hpp"
#include "host/base/unique_fd.hpp"
#include "tests/support/other_user.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class PathWatchesTest : public testing::Test {
protected:
    PathWatches watch(const fs::path& path) { return watch_path(inotify_.get(), path); }

    // Whether anything that was told since the last call concerns the path.
    bool concerned(const PathWatches& watches) {
        alignas(inotify_event) std::array<char, 4096> buffer;
        bool result = false;
        for (ssize_t got; (got = ::read(inotify_.get(), buffer.data(), buffer.size())) > 0;)
            for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
                const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
                at += sizeof *event + event->len;
                result = result || watches.concerns(*event);
            }
        return result;
    }

    TempDir dir_;
    UniqueFd inotify_{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
};

TEST_F(PathWatchesTest, WhatHappensBesideThePathIsNoConcern) {
    const fs::path file = dir_.write("folder/a", "1");
    const PathWatches watches = watch(file);
    EXPECT_FALSE(watches.error);
    dir_.write("beside", "1");
    fs::rename(dir_.path() / "beside", dir_.path() / "other");
    dir_.write("folder/b", "1");
    EXPECT_FALSE(concerned(watches));
    dir_.write("folder/a", "2");
    EXPECT_TRUE(concerned(watches));
}

// Folders like /tmp, in which others make files all the time, must not wake the loop.
TEST_F(PathWatchesTest, FoldersOnTheWayAreWatchedOnlyThemselves) {
    (void)watch(dir_.write("folder/a", "1"));
    dir_.write("beside", "1");
    std::array<char, 4096> buffer;
    EXPECT_EQ(::read(inotify_.get(), buffer.data(), buffer.size()), -1) << "inotify woke us for a neighbour";
}

TEST_F(PathWatchesTest, OldWatchesEndWithoutAConcern) {
    fs::create_directory(dir_.path() / "v1");
    fs::create_directory(dir_.path() / "v2");
    fs::create_symlink("v1", dir_.path() / "now");
    const PathWatches before = watch(dir_.path() / "now/a");
    fs::remove(dir_.path() / "now");
    fs::create_symlink("v2", dir_.path() / "now");
    EXPECT_TRUE(concerned(before));
    const PathWatches now = watch(dir_.path() / "now/a");
    drop_old_watches(inotify_.get(), before, now);
    dir_.write("v1/a", "1");
    EXPECT_FALSE(concerned(now));
    dir_.write("v2/a", "1");
    EXPECT_TRUE(concerned(now));
}

TEST_F(PathWatchesTest, AFolderThatMayNotBeReadIsNamed) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root, to become somebody else";
    const fs::path file = dir_.write("closed/a", "1");
    ASSERT_EQ(::chmod((dir_.path() / "closed").c_str(), 0711), 0);
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0711), 0); // may not be read either, but needs not be
    as_other_user(65534, 65534, {}, [&] {
        const PathWatches watches = watch(file);
        ASSERT_TRUE(watches.error);
        EXPECT_THAT(watches.error->what, HasSubstr("cannot watch " + (dir_.path() / "closed").string()));
    });
}

} // namespace
} // namespace scxhost
