// SPDX-License-Identifier: GPL-2.0-only
//
// interactive against a real kernel: who gets the CPU, that everybody does, and that nothing is lost when tasks, CPUs
// and the policy itself come and go. Runs as root in a guest.
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_process.hpp"
#include "tests/vm/live_policy.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

namespace scxhost {
namespace {

class Interactive : public testing::Test {
protected:
    void SetUp() override {
        SCX_SKIP_WITHOUT("dsq-create"); // malformed in some kernels: the policy is refused there
        ASSERT_TRUE(on_its_own_scheduler());
    }
    void TearDown() override { EXPECT_TRUE(on_its_own_scheduler()); }
};

// Sleeps for 2 ms, and works for much less.
void start_brief(Children& crowd) {
    crowd.start([](Board& board, std::size_t index) {
        for (;;) {
            ::usleep(2000);
            board.work[index % 64].fetch_add(1, std::memory_order_relaxed);
        }
    });
}

std::vector<std::uint64_t> work_of(Children& crowd) {
    std::vector<std::uint64_t> work;
    for (std::size_t child = 0; child < crowd.pids().size(); ++child)
        work.push_back(crowd.board().work[child].load());
    return work;
}

// Each child has done something since `before`.
bool all_moved(Children& crowd, const std::vector<std::uint64_t>& before) {
    const std::vector<std::uint64_t> now = work_of(crowd);
    for (std::size_t child = 0; child < now.size(); ++child)
        if (now[child] == before[child])
            return false;
    return true;
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

// More than two heavy tasks for each CPU, whose virtual time hardly moves, and one of the least weight: by the weights
// alone it would wait for minutes. The bound is README.md's.
TEST_F(Interactive, NobodyWaitsLongerThanTheBound) {
    constexpr std::int64_t kBound = 10'000'000'000;
    LivePolicy policy("interactive");
    policy.attach();
    Children crowd;
    for (long i = 0; i < 2 * ::sysconf(_SC_NPROCESSORS_ONLN) + 1; ++i)
        crowd.spinner({.nice = -20});
    crowd.spinner({.nice = 19});
    start_brief(crowd);
    const std::vector<std::uint64_t> before = work_of(crowd);
    EXPECT_TRUE(wait_until([&] { return all_moved(crowd, before); }));
    for (const char* wait : {"wait_short", "wait_medium", "wait_long"})
        EXPECT_LT(policy.statistic(wait), kBound) << wait;
    EXPECT_TRUE(policy.running()) << policy.exit_record().message;
    crowd.end_all();
    policy.detach();
}

// On one CPU, nice 0 beside nice 5: 1024 to 335 in the kernel's table of weights.
TEST_F(Interactive, CpuTimeFollowsTheWeights) {
    LivePolicy policy("interactive");
    policy.attach();
    Children crowd;
    crowd.spinner({.nice = 0, .cpu = 1});
    crowd.spinner({.nice = 5, .cpu = 1});
    const std::vector<std::uint64_t> before = work_of(crowd);
    const auto changes = [&] { return crowd.board().nr_logged.load(); };
    const std::uint32_t from = changes();
    EXPECT_TRUE(wait_until([&] { return changes() >= from + 50; }));
    const std::vector<std::uint64_t> now = work_of(crowd);
    const double ratio = static_cast<double>(now[0] - before[0]) / static_cast<double>(now[1] - before[1]);
    EXPECT_GT(ratio, 2.2);
    EXPECT_LT(ratio, 4.2);
    crowd.end_all();
    policy.detach();
}

TEST_F(Interactive, TasksStayOnTheirCpus) {
    LivePolicy policy("interactive");
    policy.attach();
    Children crowd;
    fill_cpus(crowd, 4);
    const long cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
    crowd.start([](Board& board, std::size_t index) {
        for (;;) {
            cpu_set_t mine;
            ::sched_getaffinity(0, sizeof mine, &mine);
            const auto cpu = static_cast<unsigned>(::sched_getcpu());
            // Both may change between the two calls, so only what stays wrong counts.
            cpu_set_t still;
            ::sched_getaffinity(0, sizeof still, &still);
            if (CPU_EQUAL(&mine, &still) && !CPU_ISSET(cpu, &mine))
                board.work[63].fetch_add(1);
            board.work[index % 64].fetch_add(1, std::memory_order_relaxed);
        }
    });
    const std::size_t index = crowd.pids().size() - 1;
    const pid_t pid = crowd.pids().back();
    for (long round = 0; round < 2 * cpus; ++round) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<unsigned>(round % cpus), &one);
        ASSERT_EQ(::sched_setaffinity(pid, sizeof one, &one), 0);
        const std::uint64_t before = crowd.board().work[index].load();
        EXPECT_TRUE(wait_until([&] { return crowd.board().work[index].load() > before + 10; }))
            << "on CPU " << round % cpus;
    }
    EXPECT_EQ(crowd.board().work[63].load(), 0U);
    EXPECT_TRUE(policy.running()) << policy.exit_record().message;
    crowd.end_all();
    policy.detach();
}

// The policy's queues are those of the CPUs that there were: the kernel ends it, and the host attaches it anew.
TEST_F(Interactive, AHotplugLoadsItAnew) {
    HostProcess host({"run", "interactive", "--json"});
    ASSERT_TRUE(host.next_event("enabled")) << host.out() << host.err();
    for (const char* online : {"0", "1"}) {
        write_text("/sys/devices/system/cpu/cpu1/online", online);
        const auto left = host.next_event("left");
        ASSERT_TRUE(left) << host.out() << host.err();
        EXPECT_EQ(left->at("exit").at("kind"), "UNREG_KERN");
        ASSERT_TRUE(host.next_event("enabled")) << host.out() << host.err();
    }
    host.signal(SIGTERM);
    EXPECT_EQ(host.wait(), 0) << host.err();
}

} // namespace
} // namespace scxhost
