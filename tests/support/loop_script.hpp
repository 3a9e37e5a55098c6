// SPDX-License-Identifier: GPL-2.0-only
//
// An event loop on the test's thread, and beside it a script on a thread of its own: the other end of sockets, somebody
// who changes files. The script may block and expects with gtest; what has to happen on the loop's thread it hands
// over.
#pragma once

#include "host/base/event_loop.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace scxhost {

// What a test waits for takes milliseconds; on a machine that is busy, longer. After this much it has failed.
inline constexpr std::chrono::seconds kPatience{60};

class LoopScript {
public:
    [[nodiscard]] EventLoop& loop() { return loop_; }

    // Turns the loop until the script is over. Once per object: a loop that was stopped is used up.
    void run(std::function<void()> script) {
        std::atomic<bool> over = false;
        const Result<> ticks = loop_.every(std::chrono::milliseconds(1), [&] {
            for (std::packaged_task<void()>& task : take_tasks())
                task();
            if (over)
                loop_.stop();
        });
        ASSERT_TRUE(ticks);
        std::thread thread([&] {
            script();
            over = true;
        });
        EXPECT_TRUE(loop_.run());
        thread.join();
    }

    // For the script: has the loop's thread do it, and waits until it is done.
    void on_loop(std::function<void()> action) {
        std::packaged_task<void()> task(std::move(action));
        std::future<void> done = task.get_future();
        {
            const std::scoped_lock lock(mutex_);
            tasks_.push_back(std::move(task));
        }
        EXPECT_EQ(done.wait_for(kPatience), std::future_status::ready) << "the loop hangs";
    }

    // For the script: until the condition, asked on the loop's thread, holds. False: it never did.
    bool wait_until(const std::function<bool()>& condition) {
        const auto deadline = std::chrono::steady_clock::now() + kPatience;
        for (bool holds = false; std::chrono::steady_clock::now() < deadline;) {
            on_loop([&] { holds = condition(); });
            if (holds)
                return true;
        }
        return false;
    }

private:
    std::vector<std::packaged_task<void()>> take_tasks() {
        const std::scoped_lock lock(mutex_);
        return std::exchange(tasks_, {});
    }

    EventLoop loop_ = EventLoop::make().value();
    std::mutex mutex_;
    std::vector<std::packaged_task<void()>> tasks_;
};

} // namespace scxhost
