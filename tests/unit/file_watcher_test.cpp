// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/file_watcher.hpp"
#include "tests/support/loop_script.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class FileWatcherTest : public testing::Test {
protected:
    std::unique_ptr<FileWatcher> watch(const fs::path& path, int& changes) {
        return FileWatcher::start(script_.loop(), path, [&changes] { ++changes; }).value();
    }
    // Until all that was done before has been told. A change that another watcher sees only now is told later; of two
    // that are seen in the same turn of the loop that is not sure, so there are two.
    void settle() {
        for (int round = 0; round < 2; ++round) {
            const int before = later_changes_;
            dir_.write("later", std::to_string(before));
            EXPECT_TRUE(script_.wait_until([&] { return later_changes_ > before; }));
        }
    }

    TempDir dir_;
    fs::path file_ = dir_.write("a.toml", "one");
    LoopScript script_;
    int changes_ = 0;
    int later_changes_ = 0;
    std::unique_ptr<FileWatcher> later_ = watch(dir_.path() / "later", later_changes_);
};

TEST_F(FileWatcherTest, AChangeInSeveralStepsIsOne) {
    const auto watcher = watch(file_, changes_);
    script_.run([&] {
        for (const char* text : {"t", "tw", "two"})
            dir_.write("a.toml", text);
        settle();
        EXPECT_EQ(changes_, 1);
    });
}

TEST_F(FileWatcherTest, TheSameContentAgainIsNone) {
    const auto watcher = watch(file_, changes_);
    script_.run([&] {
        dir_.write("a.toml", "other");
        dir_.write("a.toml", "one");
        dir_.write("b.toml", "a neighbour");
        fs::rename(dir_.path() / "b.toml", dir_.path() / "c.toml");
        settle();
        EXPECT_EQ(changes_, 0);
    });
}

TEST_F(FileWatcherTest, WhatIsKnownIsNoChange) {
    const auto watcher = watch(file_, changes_);
    script_.run([&] {
        dir_.write("a.toml", "two");
        script_.on_loop([&] { watcher->known(watcher->read()); });
        settle();
        EXPECT_EQ(changes_, 0);
        dir_.write("a.toml", "three");
        settle();
        EXPECT_EQ(changes_, 1);
    });
}

TEST_F(FileWatcherTest, WhileSomebodyWritesItIsLeftAlone) {
    const auto watcher = watch(file_, changes_);
    script_.run([&] {
        std::ofstream writer(file_);
        writer << "half of it" << std::flush;
        settle();
        EXPECT_EQ(changes_, 0);
        writer << ", and the rest" << std::flush;
        settle();
        EXPECT_EQ(changes_, 0);
        writer.close();
        EXPECT_TRUE(script_.wait_until([&] { return changes_ == 1; }));
        settle();
        EXPECT_EQ(changes_, 1);
    });
}

TEST_F(FileWatcherTest, AnotherNameOfAFileHasNoWriter) {
    const auto watcher = watch(dir_.path() / "new.toml", changes_);
    script_.run([&] {
        fs::create_hard_link(file_, dir_.path() / "new.toml");
        EXPECT_TRUE(script_.wait_until([&] { return changes_ == 1; }));
    });
}

TEST_F(FileWatcherTest, LargerThanItsLimitIsGone) {
    const auto watcher = FileWatcher::start(script_.loop(), file_, [this] { ++changes_; }, 4).value();
    script_.run([&] {
        dir_.write("a.toml", "larger");
        EXPECT_TRUE(script_.wait_until([&] { return changes_ == 1; }));
        EXPECT_FALSE(watcher->read());
    });
}

TEST_F(FileWatcherTest, AFileInTheOldOnesPlace) {
    const auto watcher = watch(file_, changes_);
    script_.run([&] {
        dir_.write("a.toml.new", "two");
        fs::rename(dir_.path() / "a.toml.new", file_);
        settle();
        EXPECT_EQ(changes_, 1);
        dir_.write("a.toml", "three"); // the new file is followed like the old one
        settle();
        EXPECT_EQ(changes_, 2);
    });
}

TEST_F(FileWatcherTest, RemovedAndMadeAgain) {
    const auto watcher = watch(file_, changes_);
    script_.run([&] {
        fs::remove(file_);
        settle();
        EXPECT_EQ(changes_, 1);
        dir_.write("a.toml", "");
        settle();
        EXPECT_EQ(changes_, 2) << "an empty file is not the same as none";
    });
}

TEST_F(FileWatcherTest, NotThereAtFirst) {
    const auto watcher = watch(dir_.path() / "new.toml", changes_);
    script_.run([&] {
        dir_.write("new.toml", "one");
        settle();
        EXPECT_EQ(changes_, 1);
    });
}

// Reading it would hold up the loop for good: nobody writes to it.
TEST_F(FileWatcherTest, APipeInItsPlace) {
    const auto watcher = watch(file_, changes_);
    script_.run([&] {
        const fs::path pipe = dir_.path() / "pipe";
        ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
        fs::rename(pipe, file_);
        settle();
        EXPECT_EQ(changes_, 1) << "to the host the file is gone";
    });
}

TEST_F(FileWatcherTest, ARelativePath) {
    const fs::path before = fs::current_path();
    fs::current_path(dir_.path());
    const auto watcher = watch("a.toml", changes_);
    fs::current_path(before);
    script_.run([&] {
        dir_.write("a.toml", "two");
        settle();
        EXPECT_EQ(changes_, 1);
    });
}

TEST_F(FileWatcherTest, NothingAfterItsEnd) {
    auto watcher = watch(file_, changes_);
    script_.run([&] {
        dir_.write("a.toml", "two");
        script_.on_loop([&] { watcher.reset(); });
        settle();
        EXPECT_EQ(changes_, 0);
    });
}

TEST_F(FileWatcherTest, WithoutAFolder) {
    const auto watcher = FileWatcher::start(script_.loop(), dir_.path() / "none" / "a.toml", [] {});
    ASSERT_FALSE(watcher);
    EXPECT_EQ(watcher.error().kind, ErrorKind::kIo);
    EXPECT_THAT(watcher.error().what, HasSubstr("none"));
}

} // namespace
} // namespace scxhost
