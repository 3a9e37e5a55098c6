// SPDX-License-Identifier: GPL-2.0-only
//
// central against a real kernel: that everybody gets a turn, also while the central CPU is taken away, and that CPUs
// run without a tick where the kernel was told to. Runs as root in a guest.
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_commands.hpp"
#include "tests/vm/live_policy.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace scxhost {
namespace {

class CentralBase : public PolicyTest {
protected:
    // All of these children go on working.
    static void expect_progress(Children& crowd) {
        std::vector<std::uint64_t> before;
        for (std::size_t child = 0; child < crowd.pids().size(); ++child)
            before.push_back(crowd.board().work[child]);
        EXPECT_TRUE(wait_until([&] {
            for (std::size_t child = 0; child < before.size(); ++child)
                if (crowd.board().work[child] < before[child] + 3)
                    return false;
            return true;
        }));
    }

    static void start_waking(Children& crowd, const ChildSettings& settings = {}) {
        crowd.start(
            [](Board& board, std::size_t index) {
                for (;;) {
                    ::usleep(2000);
                    ++board.work[index];
                }
            },
            settings);
    }

    static void start_busy(Children& crowd, const ChildSettings& settings = {}) {
        crowd.start(
            [](Board& board, std::size_t index) {
                for (;;) {
                    for (int i = 0; i < 100'000; ++i)
                        std::atomic_signal_fence(std::memory_order_seq_cst);
                    ++board.work[index];
                }
            },
            settings);
    }
};

using Central = CentralBase;
using TicklessCentral = CentralBase; // CPUs 1 to 3 are booted with nohz_full=

TEST_F(Central, EverybodyGetsATurn) {
    LivePolicy policy("central", {"slice=5ms"});
    Children crowd;
    for (int i = 0; i < 9; ++i) // on four CPUs
        start_busy(crowd);
    start_waking(crowd);
    start_waking(crowd, {.cpu = 3});
    start_busy(crowd, {.cpu = 3});
    for (int round = 0; round < 2; ++round) {
        policy.attach();
        expect_progress(crowd);
        EXPECT_TRUE(wait_until([&] { return policy.statistic("preempted") > 20; }));
        EXPECT_GT(policy.statistic("pinned"), 0);
        EXPECT_EQ(fork_storm(40, 8), 0U);
        EXPECT_TRUE(policy.running()) << policy.exit_record().message;
        policy.detach();
    }
}

// A task that sched_ext does not schedule keeps the central CPU from its dispatch. The kernel's own throttling of
// real-time tasks is not to help.
TEST_F(Central, ItsCpuMayBeTakenAway) {
    const std::string throttling = "/proc/sys/kernel/sched_rt_runtime_us";
    const std::string before = read_text(throttling);
    write_text(throttling, "-1");
    {
        LivePolicy policy("central");
        policy.attach();
        Children thief;
        thief.spinner({.cpu = 0, .policy = SCHED_FIFO});
        const std::int64_t given = policy.statistic("given_by_timer") + policy.statistic("self_served");
        Children crowd;
        for (int i = 0; i < 6; ++i)
            start_busy(crowd);
        start_waking(crowd);
        expect_progress(crowd);
        EXPECT_GT(policy.statistic("given_by_timer") + policy.statistic("self_served"), given);
        EXPECT_TRUE(policy.running()) << policy.exit_record().message;
    }
    write_text(throttling, before);
}

TEST_F(Central, ItsCpuMayGoAndComeBack) {
    HostProcess host({"run", "central", "--json", "--stay", "--set", "cpu=1", "--set", "swap.probation=100ms"});
    ASSERT_TRUE(host.next_event("enabled")) << host.err();
    EXPECT_EQ(statistic("central"), 1);
    {
        const CpuAway away;
        ASSERT_TRUE(host.next_event("left")) << host.out();
        ASSERT_TRUE(host.next_event("enabled")) << host.out() << host.err();
        EXPECT_EQ(statistic("central"), 0);
    }
    ASSERT_TRUE(host.next_event("left")) << host.out();
    ASSERT_TRUE(host.next_event("enabled")) << host.out() << host.err();
    EXPECT_EQ(statistic("central"), 1);
    end(host);
    EXPECT_THAT(host.err(), testing::HasSubstr("central: CPU 1 is not online: CPU 0 decides"));
}

// The timer ends up on the central CPU, wherever init ran.
TEST_F(Central, TheTimerGoesToItsCpu) {
    HostProcess host({"run", "central", "--json", "--stay", "--set", "cpu=2"});
    ASSERT_TRUE(host.next_event("enabled")) << host.err();
    EXPECT_TRUE(wait_until([&] {
        const std::int64_t before = statistic("away");
        ::usleep(100'000); // a hundred looks
        return statistic("away") == before;
    }));
    end(host);
}

TEST_F(TicklessCentral, ABusyCpuHasNoTicks) {
    LivePolicy policy("central");
    policy.attach();
    Children crowd;
    start_busy(crowd, {.cpu = 2});
    const auto measured = [&] { return policy.statistics({"ticks", "ticks_saved"}); };
    ASSERT_TRUE(wait_until([&] { return policy.statistic("ticks_saved") > 50; }));
    const auto before = measured();
    ASSERT_TRUE(wait_until([&] { return measured()[1] > before[1] + 250; }));
    const auto after = measured();
    EXPECT_LT(after[0] - before[0], (after[1] - before[1]) / 2);
    EXPECT_TRUE(policy.running()) << policy.exit_record().message;
    policy.detach();
}

} // namespace
} // namespace scxhost
