// SPDX-License-Identifier: GPL-2.0-only
//
// What tests in a guest share: the kernel's state, a load, and a fixture that insists on the kernel's own scheduler
// before and after.
#pragma once

#include "host/kernel/features.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"
#include "tests/vm/children.hpp"

#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string_view>
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

// What the running kernel says about a feature, by its key in docs/kernel-support.md.
inline Availability availability(std::string_view key) {
    const auto kernel = KernelBtf::load();
    if (!kernel)
        return Availability::kAbsent;
    for (const Feature& feature : known_features())
        if (feature.key == key)
            return probe(*kernel, feature.kind, feature.name);
    ADD_FAILURE() << "there is no feature '" << key << "'";
    return Availability::kAbsent;
}

// Skips a test on a kernel that lacks what it is about, and on no other.
#define SCX_SKIP_WITHOUT(key)                                                                                          \
    if (const Availability found = availability(key); found != Availability::kPresent)                                 \
    GTEST_SKIP() << "in this kernel " << (key) << " is " << to_string(found)

// Maps and programs that the kernel holds: what a leak would add to.
inline std::size_t count_bpf_objects() {
    std::size_t count = 0;
    for (std::uint32_t id = 0; ::bpf_map_get_next_id(id, &id) == 0;)
        ++count;
    for (std::uint32_t id = 0; ::bpf_prog_get_next_id(id, &id) == 0;)
        ++count;
    return count;
}

// The kernel frees them after a grace period: waits for the count.
inline void expect_bpf_objects(std::size_t at_most) {
    EXPECT_TRUE(wait_until([at_most] { return count_bpf_objects() <= at_most; }))
        << count_bpf_objects() << " maps and programs, there were " << at_most;
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

// Of policies that have queues of their own. A SetUp() on top of this one begins as QmapOrder's.
class PolicyTest : public QuietGuestTest {
protected:
    void SetUp() override {
        SCX_SKIP_WITHOUT("dsq-create"); // malformed in some kernels: the policies are refused there
        QuietGuestTest::SetUp();
    }
};

class GuestTest : public QuietGuestTest {
protected:
    Load load_;
};

} // namespace scxhost
