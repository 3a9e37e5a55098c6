// SPDX-License-Identifier: GPL-2.0-only
//
// A plain file stands for the kernel's setting.
#include "host/kernel/rcu_expediting.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace scxhost {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& path) {
    std::ifstream file(path);
    std::string text(std::istreambuf_iterator<char>(file), {});
    return text.substr(0, text.find('\n'));
}

class RcuExpeditingTest : public testing::Test {
protected:
    [[nodiscard]] RcuExpediting open() const { return RcuExpediting::open(run_, setting_).value(); }

    TempDir dir_;
    fs::path run_ = dir_.write("run/keep", "").parent_path();
    fs::path note_ = run_ / "rcu_expedited";
    fs::path setting_ = dir_.write("setting", "0\n");
};

TEST_F(RcuExpeditingTest, RaisesAndRestores) {
    RcuExpediting rcu = open();
    EXPECT_EQ(rcu.recover().value(), std::nullopt);
    ASSERT_TRUE(rcu.raise());
    EXPECT_EQ(content(setting_), "1");
    EXPECT_EQ(content(note_), "0") << "what a crash would leave to find";
    rcu.restore();
    EXPECT_EQ(content(setting_), "0");
    EXPECT_FALSE(fs::exists(note_));
    ASSERT_TRUE(rcu.raise()) << "as often as there are swaps";
    rcu.restore();
    EXPECT_EQ(content(setting_), "0");
}

TEST_F(RcuExpeditingTest, WhatSomebodyElseRaisedStaysHis) {
    dir_.write("setting", "1\n");
    RcuExpediting rcu = open();
    EXPECT_FALSE(rcu.raise());
    EXPECT_EQ(content(setting_), "1");
    EXPECT_FALSE(fs::exists(note_));
}

TEST_F(RcuExpeditingTest, TheNextHostPutsRightWhatADeadOneLeft) {
    {
        RcuExpediting dies = open();
        ASSERT_TRUE(dies.raise());
    }
    ASSERT_EQ(content(setting_), "1");
    RcuExpediting next = open();
    EXPECT_EQ(next.recover().value(), "0");
    EXPECT_EQ(content(setting_), "0");
    EXPECT_FALSE(fs::exists(note_));
    EXPECT_EQ(next.recover().value(), std::nullopt) << "once";
}

TEST_F(RcuExpeditingTest, ANoteThatSaysNothingIsThrownAway) {
    for (const char* text : {"", "\n", "zero", "-1", "0 1"}) {
        dir_.write("run/rcu_expedited", text);
        dir_.write("setting", "1\n");
        EXPECT_EQ(open().recover().value(), std::nullopt) << text;
        EXPECT_EQ(content(setting_), "1") << text;
        EXPECT_FALSE(fs::exists(note_)) << text;
    }
}

TEST_F(RcuExpeditingTest, NothingIsRaisedThatCannotBeNoted) {
    fs::create_directory(note_);
    RcuExpediting rcu = open();
    EXPECT_FALSE(rcu.raise());
    EXPECT_EQ(content(setting_), "0");
}

TEST_F(RcuExpeditingTest, ALinkInTheNotesPlaceIsNotFollowed) {
    const fs::path target = dir_.write("target", "7");
    fs::create_symlink(target, note_);
    RcuExpediting rcu = open();
    EXPECT_FALSE(rcu.raise());
    EXPECT_EQ(content(setting_), "0");
    const auto recovered = rcu.recover();
    ASSERT_FALSE(recovered);
    EXPECT_EQ(recovered.error().kind, ErrorKind::kIo);
    EXPECT_EQ(content(target), "7");
}

TEST_F(RcuExpeditingTest, WithoutTheSettingOrTheFolder) {
    const auto no_setting = RcuExpediting::open(run_, dir_.path() / "none");
    ASSERT_FALSE(no_setting);
    EXPECT_EQ(no_setting.error().kind, ErrorKind::kUnsupported);
    const auto no_folder = RcuExpediting::open(dir_.path() / "none", setting_);
    ASSERT_FALSE(no_folder);
    EXPECT_EQ(no_folder.error().kind, ErrorKind::kIo);
}

} // namespace
} // namespace scxhost
