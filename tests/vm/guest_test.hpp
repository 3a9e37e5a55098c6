// SPDX-License-Identifier: GPL-2.0-only
//
// What tests in a guest share: the kernel's state, a load, and a fixture that insists on the kernel's own scheduler
// before and after.
#pragma once

#include "host/kernel/sched_ext_sysfs.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace scxhost {

inline SchedExtStatus kernel_status() {
    auto status = SchedExtSysfs().snapshot();
    EXPECT_TRUE(status) << status.error().what;
    return *std::move(status);
}

// The kernel's own scheduler runs: nothing of ours is attached.
inline testing::AssertionResult on_its_own_scheduler() {
    const SchedExtStatus status = kernel_status();
    if (status.state == SchedExtState::kDisabled && !status.ops)
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << "state is " << status.state_text << ", scheduler "
                                       << status.ops.value_or("none");
}

// Threads that run and threads that wake up all the time: without them nothing is enqueued.
class Load {
public:
    explicit Load(int busy = 3, int waking = 3) {
        for (int i = 0; i < busy; ++i)
            threads_.emplace_back([this] {
                while (!stop_.load())
                    for (int n = 0; n < 1000; ++n)
                        std::atomic_signal_fence(std::memory_order_seq_cst);
            });
        for (int i = 0; i < waking; ++i)
            threads_.emplace_back([this] {
                while (!stop_.load())
                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
            });
    }
    ~Load() {
        stop_ = true;
        for (std::thread& thread : threads_)
            thread.join();
    }

private:
    std::atomic<bool> stop_ = false;
    std::vector<std::thread> threads_;
};

class QuietGuestTest : public testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(on_its_own_scheduler()); }
    void TearDown() override { EXPECT_TRUE(on_its_own_scheduler()); }
};

class GuestTest : public QuietGuestTest {
protected:
    Load load_;
};

} // namespace scxhost
