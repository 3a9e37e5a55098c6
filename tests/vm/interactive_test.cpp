// SPDX-License-Identifier: GPL-2.0-only
//
// interactive against a real kernel: that brief tasks get the CPU, and that no task is lost when tasks and the policy
// itself come and go. Runs as root in a guest.
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/live_policy.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>

namespace scxhost {
namespace {

class Interactive : public PolicyTest {};

// Sleeps for 2 ms, and works for much less.
void start_brief(Children& crowd) {
    crowd.start([](Board& board, std::size_t index) {
        for (;;) {
            ::usleep(2000);
            board.work[index % 64].fetch_add(1, std::memory_order_relaxed);
        }
    });
}

TEST_F(Interactive, AttachesTwiceAndLosesNoTask) {
    LivePolicy policy("interactive");
    for (int round = 0; round < 2; ++round) {
        policy.attach();
        EXPECT_EQ(fork_storm(40, 8), 0U);
        scx_slab_report report{};
        EXPECT_EQ(policy.check_slab(&report), 0)
            << "lost " << report.lost << ", doubled " << report.doubled << ", wrong " << report.wrong;
        EXPECT_TRUE(wait_until([&] { return policy.statistic("in_use") == static_cast<std::int64_t>(count_tasks()); }))
            << policy.statistic("in_use") << " entries in use, " << count_tasks() << " tasks";
        EXPECT_TRUE(policy.running()) << policy.exit_record().message;
        policy.detach();
        EXPECT_EQ(policy.statistic("in_use"), 0);
    }
}

TEST_F(Interactive, ComesAndGoesUnderLoad) {
    const Load load;
    LivePolicy policy("interactive");
    LivePolicy other("simple");
    for (int round = 0; round < 2; ++round) {
        policy.attach();
        EXPECT_TRUE(wait_until([&] { return policy.statistic("idle_hits") + policy.statistic("preemptions") > 10; }));
        EXPECT_TRUE(policy.running()) << policy.exit_record().message;
        policy.detach();
        other.attach();
        other.detach();
    }
}

// A brief task beside hogs on every CPU takes one from them; with the option off it waits.
TEST_F(Interactive, ABriefTaskTakesTheCpuOfAHog) {
    for (const bool preempt : {true, false}) {
        LivePolicy policy("interactive", {preempt ? "preempt=true" : "preempt=false"});
        policy.attach();
        Children crowd;
        fill_cpus(crowd, 2);
        start_brief(crowd);
        const std::size_t brief = crowd.pids().size() - 1;
        EXPECT_TRUE(wait_until([&] { return crowd.board().work[brief].load() >= 40; }));
        if (preempt)
            EXPECT_GT(policy.statistic("preemptions"), 20);
        else
            EXPECT_EQ(policy.statistic("preemptions"), 0);
        crowd.end_all();
        policy.detach();
    }
}

} // namespace
} // namespace scxhost
