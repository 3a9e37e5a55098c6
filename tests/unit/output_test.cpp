// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/unique_fd.hpp"
#include "host/cli/output.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

namespace scxhost {
namespace {

class OutputTest : public testing::Test {
protected:
    OutputTest() {
        int ends[2];
        EXPECT_EQ(::pipe(ends), 0);
        reader_ = UniqueFd(ends[0]);
        writer_ = UniqueFd(ends[1]);
        ::signal(SIGPIPE, SIG_IGN);
    }
    [[nodiscard]] std::string read_until(const std::string& end) const {
        std::string text;
        char buffer[4096];
        while (!text.ends_with(end)) {
            const ssize_t got = ::read(reader_.get(), buffer, sizeof buffer);
            if (got <= 0)
                break;
            text.append(buffer, static_cast<std::size_t>(got));
        }
        return text;
    }

    UniqueFd reader_;
    UniqueFd writer_;
    std::unique_ptr<Output> output_ = Output::start().value();
};

TEST_F(OutputTest, KeepsTheOrder) {
    std::string expected;
    for (int i = 0; i < 1000; ++i) {
        const std::string line = std::to_string(i) + "\n";
        output_->put(writer_.get(), line);
        expected += line;
    }
    EXPECT_EQ(read_until("999\n"), expected);
}

TEST_F(OutputTest, NobodyReadsAndNobodyWaits) {
    const std::string block(16U << 10U, 'x');
    output_->put(writer_.get(), "first\n");
    // More than the pipe holds: whoever wrote this directly would stand still here.
    for (int i = 0; i < 1000; ++i)
        output_->put(writer_.get(), block, Output::Worth::kSample);
    output_->put(writer_.get(), "message\n");
    const std::string text = read_until("message\n");
    EXPECT_TRUE(text.starts_with("first\n"));
    EXPECT_TRUE(text.ends_with("xmessage\n"));
    EXPECT_LT(text.size(), 100 * block.size()); // most samples were dropped
}

TEST_F(OutputTest, MessagesEndSomewhereToo) {
    const std::string block(1U << 20U, 'x');
    for (int i = 0; i < 100; ++i)
        output_->put(writer_.get(), block);
    output_.reset(); // nobody reads: the rest is left
    // The thread is still in the one that it had begun, and must not lose its descriptor before that has been read.
    std::string text(block.size(), '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t got = ::read(reader_.get(), text.data() + size, text.size() - size);
        ASSERT_GT(got, 0);
        size += static_cast<std::size_t>(got);
    }
    EXPECT_EQ(text, block);
    pollfd more{.fd = reader_.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&more, 1, 0), 0);
}

TEST_F(OutputTest, AReaderThatHasGoneIsNoticed) {
    EXPECT_FALSE(output_->reader_gone(writer_.get()));
    reader_.reset();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!output_->reader_gone(writer_.get()) && std::chrono::steady_clock::now() < deadline) {
        output_->put(writer_.get(), "text\n");
        std::this_thread::yield();
    }
    EXPECT_TRUE(output_->reader_gone(writer_.get()));
}

TEST_F(OutputTest, AFullDiskIsNotTheEnd) {
    const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    ASSERT_TRUE(full);
    output_->put(full.get(), "text\n");
    output_->put(writer_.get(), "done\n");
    EXPECT_EQ(read_until("done\n"), "done\n"); // both have been tried
    EXPECT_FALSE(output_->reader_gone(full.get()));
}

} // namespace
} // namespace scxhost
