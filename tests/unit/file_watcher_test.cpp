// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/file_watcher.hpp"
#include "tests/support/loop_script.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <vector>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
class FileWatcherTest : public testing::Test {
protected:
    std::unique_ptr<FileWatcher> watch(const fs::path& path, int& changes, std::size_t limit = FileWatcher::kMaxBytes) {
        auto watcher = FileWatcher::start(script_.loop(), *worker_, path,
                                          {.on_change = [&changes] { ++changes; },
                                           .on_error = [this](const Error& error) { errors_.push_back(error.what); }},
                                          limit)
                           .value();
        worker_->drain(); // what is there now is known
        return watcher;
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
    std::unique_ptr<BackgroundWorker> worker_ = BackgroundWorker::start(script_.loop()).value();
    std::vector<std::string> errors_;
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
        script_.on_loop([&] { watcher->known(read_file_version(file_, FileWatcher::kMaxBytes).version); });
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
    const auto watcher = watch(file_, changes_, 4);
    script_.run([&] {
        dir_.write("a.toml", "larger");
        EXPECT_TRUE(script_.wait_until([&] { return changes_ == 1; }));
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

// As Kubernetes mounts a ConfigMap: a.toml -> ..data/a.toml, ..data -> ..v1, and a new ..data is put over the old one.
TEST_F(FileWatcherTest, ALinkOnTheWayIsExchanged) {
    const fs::path mount = dir_.path() / "mount";
    dir_.write("mount/..v1/a.toml", "one");
    fs::create_symlink("..v1", mount / "..data");
    fs::create_symlink("..data/a.toml", mount / "a.toml");
    const auto watcher = watch(mount / "a.toml", changes_);
    script_.run([&] {
        for (const char* next : {"..v2", "..v3"}) { // the second time from where the first one led
            const int before = changes_;
            dir_.write(mount / next / "a.toml", next);
            fs::create_symlink(next, mount / "..data_tmp");
            fs::rename(mount / "..data_tmp", mount / "..data");
            settle();
            EXPECT_EQ(changes_, before + 1) << next;
        }
    });
}

TEST_F(FileWatcherTest, ALinksTargetChanges) {
    dir_.write("elsewhere/target.toml", "one");
    fs::create_directory(dir_.path() / "here");
    fs::create_symlink("../elsewhere/target.toml", dir_.path() / "here/link.toml");
    fs::create_symlink(dir_.path() / "here/link.toml", dir_.path() / "absolute.toml");
    const auto watcher = watch(dir_.path() / "absolute.toml", changes_);
    script_.run([&] {
        dir_.write("elsewhere/target.toml", "two");
        settle();
        EXPECT_EQ(changes_, 1);
        fs::remove(dir_.path() / "elsewhere/target.toml");
        settle();
        EXPECT_EQ(changes_, 2) << "a link to nothing";
        dir_.write("elsewhere/target.toml", "three");
        settle();
        EXPECT_EQ(changes_, 3);
    });
}

TEST_F(FileWatcherTest, AFolderIsRenamedAwayAndReplaced) {
    dir_.write("top/etc/a.toml", "one");
    const auto watcher = watch(dir_.path() / "top/etc/a.toml", changes_);
    script_.run([&] {
        for (const char* folder : {"top/etc", "top"}) { // the file's own, and one further up
            const int before = changes_;
            fs::rename(dir_.path() / folder, dir_.path() / "old");
            settle();
            EXPECT_EQ(changes_, before + 1) << folder;
            dir_.write("top/etc/a.toml", "one");
            settle();
            EXPECT_EQ(changes_, before + 2) << folder;
            dir_.write("top/etc/a.toml", folder);
            settle();
            EXPECT_EQ(changes_, before + 3) << "an edit in the new folder";
            fs::remove_all(dir_.path() / "old");
        }
    });
}

TEST_F(FileWatcherTest, WithoutAFolderYet) {
    const auto watcher = watch(dir_.path() / "none/deep/a.toml", changes_);
    script_.run([&] {
        dir_.write("none/deep/a.toml", "one");
        settle();
        EXPECT_EQ(changes_, 1);
    });
    EXPECT_THAT(errors_, testing::IsEmpty());
}

TEST_F(FileWatcherTest, LinksThatLeadInACircleAreNoFile) {
    fs::create_symlink("b", dir_.path() / "circle");
    fs::create_symlink("circle", dir_.path() / "b");
    const auto watcher = watch(dir_.path() / "circle", changes_);
    script_.run([&] {
        fs::remove(dir_.path() / "b");
        dir_.write("b", "one");
        settle();
        EXPECT_EQ(changes_, 1);
    });
}

// Nor for the worker, while something else keeps that.
TEST_F(FileWatcherTest, TheLoopDoesNotWaitForTheFileSystem) {
    const auto watcher = watch(file_, changes_);
    std::promise<void> release;
    bool is_long_settled = false;
    script_.run([&] {
        worker_->submit([&] {
            release.get_future().wait();
            return BackgroundWorker::Completion();
        });
        dir_.write("a.toml", "two");
        script_.on_loop([&] {
            EXPECT_TRUE(script_.loop().after(2 * FileWatcher::kSettleTime, [&] {
                is_long_settled = true;
                EXPECT_EQ(changes_, 0);
            }));
        });
        EXPECT_TRUE(script_.wait_until([&] { return is_long_settled; }));
        release.set_value();
        EXPECT_TRUE(script_.wait_until([&] { return changes_ == 1; }));
    });
}

} // namespace
} // namespace scxhost
