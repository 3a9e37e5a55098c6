// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/thread.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <future>
#include <mutex>

namespace scxhost {
namespace {

using namespace std::chrono_literals;

TEST(Thread, JoiningCanBeGivenUp) {
    std::promise<void> gate;
    Thread thread = Thread::start([&gate] { gate.get_future().wait(); }).value();
    EXPECT_FALSE(thread.join_for(1ms));
    EXPECT_TRUE(thread.joinable());
    gate.set_value();
    EXPECT_TRUE(thread.join_for(60s));
    EXPECT_FALSE(thread.joinable());
    EXPECT_TRUE(thread.join_for(1ms)) << "nothing is left to wait for";
}

TEST(Thread, SignalsAreBlockedInItAndNotHere) {
    const auto is_blocked = [] {
        sigset_t set;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &set);
        return ::sigismember(&set, SIGTERM) == 1;
    };
    std::atomic<bool> blocked = false;
    Thread::start([&] { blocked = is_blocked(); }).value().join();
    EXPECT_TRUE(blocked);
    EXPECT_FALSE(is_blocked());
}

TEST(Thread, EndOfTheOwnerJoins) {
    std::atomic<bool> done = false;
    {
        const Thread thread = Thread::start([&] { done = true; }).value();
    }
    EXPECT_TRUE(done);
}

TEST(InheritingMutex, Excludes) {
    InheritingMutex mutex;
    int count = 0;
    const auto add = [&] {
        for (int i = 0; i < 1000; ++i) {
            const std::scoped_lock lock(mutex);
            ++count;
        }
    };
    Thread one = Thread::start(add).value();
    add();
    one.join();
    EXPECT_EQ(count, 2000);
}

} // namespace
} // namespace scxhost
