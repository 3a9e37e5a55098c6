// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/config_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace scxhost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A file on a file system that answers when it is told to.
struct HangingFile {
    std::atomic<bool> is_being_read = false;
    std::atomic<bool> is_answered = false;
};

class ConfigReaderTest : public testing::Test {
protected:
    static ConfigReader::Read reads(const std::string& name) {
        return [name]() -> Result<Config> {
            Config config;
            config.name = name;
            return config;
        };
    }

    ConfigReader::Read hangs() {
        files_.push_back(std::make_shared<HangingFile>());
        return [file = files_.back()]() -> Result<Config> {
            file->is_being_read = true;
            while (!file->is_answered)
                std::this_thread::yield();
            return Config{};
        };
    }

    // The loop does not turn meanwhile, and so nobody's patience ends.
    void wait_until_it_hangs() const {
        while (!files_.back()->is_being_read)
            std::this_thread::yield();
    }

    ConfigReader::Done notes() {
        return
            [this](const Result<Config>& config) { answers_.push_back(config ? config->name : config.error().what); };
    }

    void turn_until_answered(std::size_t answers) {
        for (int turns = 0; answers_.size() < answers && turns < 1000; ++turns)
            EXPECT_TRUE(loop_.turn(std::chrono::milliseconds(10)));
        EXPECT_EQ(answers_.size(), answers);
    }

    // Until no thread has the file any more.
    static void answer(const std::shared_ptr<HangingFile>& file) {
        file->is_answered = true;
        while (file.use_count() > 1)
            std::this_thread::yield();
    }

    void TearDown() override {
        for (const auto& file : files_)
            answer(file);
    }

    EventLoop loop_ = EventLoop::make().value();
    std::vector<std::shared_ptr<HangingFile>> files_;
    std::vector<std::string> answers_;
};

TEST_F(ConfigReaderTest, InTheOrderOfAsking) {
    ConfigReader reader(loop_);
    ASSERT_TRUE(reader.read(reads("one"), notes()));
    ASSERT_TRUE(reader.read([] { return Result<Config>(fail(ErrorKind::kConfig, "two is wrong")); }, notes()));
    ASSERT_TRUE(reader.read(reads("three"), notes()));
    EXPECT_THAT(answers_, ElementsAre()) << "never from within the call";
    turn_until_answered(3);
    EXPECT_THAT(answers_, ElementsAre("one", "two is wrong", "three"));
}

TEST_F(ConfigReaderTest, WhoHasTheAnswerMayAskForTheNext) {
    ConfigReader reader(loop_);
    const auto ask_again = [&](const Result<Config>& config) {
        notes()(config);
        EXPECT_TRUE(reader.read(reads("next"), notes()));
    };
    ASSERT_TRUE(reader.read(reads("one"), ask_again));
    turn_until_answered(2);
    ASSERT_TRUE(reader.read(reads("one"), ask_again));
    ASSERT_TRUE(reader.read(reads("other"), notes()));
    turn_until_answered(5);
    EXPECT_THAT(answers_, ElementsAre("one", "next", "one", "other", "next"));
}

TEST_F(ConfigReaderTest, WhatHangsIsGivenUpAndHoldsNobodyElse) {
    // Long enough for a thread that reads at once, however busy the machine is.
    ConfigReader reader(loop_, std::chrono::seconds(2));
    ASSERT_TRUE(reader.read(hangs(), notes()));
    wait_until_it_hangs();
    ASSERT_TRUE(reader.read(reads("behind it"), notes()));
    turn_until_answered(2);
    EXPECT_THAT(answers_, ElementsAre(HasSubstr("takes longer than 2s"), "behind it"));
    answer(files_.front());
    ASSERT_TRUE(reader.read(reads("later"), notes()));
    turn_until_answered(3);
    EXPECT_EQ(answers_.back(), "later") << "and what was read too late is nobody's";
}

TEST_F(ConfigReaderTest, NotEveryThreadMayHang) {
    ConfigReader reader(loop_, std::chrono::milliseconds(1));
    for (std::size_t i = 0; i < ConfigReader::kMaxHanging; ++i) {
        ASSERT_TRUE(reader.read(hangs(), notes()));
        wait_until_it_hangs();
        turn_until_answered(i + 1);
    }
    const Result<> refused = reader.read(reads("one more"), notes());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::kBusy);
    EXPECT_THAT(refused.error().what, HasSubstr("do not answer"));
    // When one answers after all, its thread ends and there is room again.
    answer(files_.front());
    ASSERT_TRUE(reader.read(hangs(), notes()));
    turn_until_answered(ConfigReader::kMaxHanging + 1);
}

TEST_F(ConfigReaderTest, TooManyAreRefused) {
    ConfigReader reader(loop_);
    ASSERT_TRUE(reader.read(hangs(), notes()));
    for (std::size_t i = 1; i < ConfigReader::kMaxWaiting; ++i)
        ASSERT_TRUE(reader.read(reads("behind it"), notes()));
    const Result<> refused = reader.read(reads("one more"), notes());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::kBusy);
    files_.front()->is_answered = true;
    turn_until_answered(ConfigReader::kMaxWaiting);
}

TEST_F(ConfigReaderTest, ItsEndWaitsForNothing) {
    auto reader = std::make_unique<ConfigReader>(loop_);
    ASSERT_TRUE(reader->read(hangs(), notes()));
    ASSERT_TRUE(reader->read(reads("behind it"), notes()));
    reader.reset(); // would wait for ever
    EXPECT_TRUE(loop_.turn({}));
    EXPECT_THAT(answers_, ElementsAre());
}

} // namespace
} // namespace scxhost
