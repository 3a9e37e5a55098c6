// SPDX-License-Identifier: GPL-2.0-only
//
// Who runs when under qmap. One CPU (the last one; on a guest with one, all there is) and tasks that never sleep, so
// that what is counted depends on the policy alone: shares of turns, order, batches. Runs as root in a guest.
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/live_policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {
namespace {

class QmapOrder : public PolicyTest {
protected:
    void SetUp() override {
        PolicyTest::SetUp();
        if (IsSkipped())
            return;
        ASSERT_EQ(::sysconf(_SC_NPROCESSORS_ONLN), 1) << "these tests are for a guest with one CPU";
    }
};

// One nice value for each queue: weights 15 and less, 36, 100, 334 and 977.
constexpr std::array kNiceOfQueue = {10, 5, 0, -5, -10};

std::vector<std::int64_t> turns(LivePolicy& qmap) {
    return qmap.statistics({"from_queue0", "from_queue1", "from_queue2", "from_queue3", "from_queue4"});
}

class QmapShares : public QmapOrder, public testing::WithParamInterface<const char*> {
protected:
    void SetUp() override {
        QmapOrder::SetUp();
        if (std::string_view(GetParam()) == "qmap_cid_ops")
            SCX_SKIP_WITHOUT("cid-form");
    }
};

// Queue i gives 2^i tasks before the next one has its turn. Two tasks in each, so that no queue is empty when asked.
TEST_P(QmapShares, TurnsFollowOneTwoFourEightSixteen) {
    LivePolicy qmap("qmap", {"slice=1ms"}, GetParam());
    qmap.attach();
    Children crowd;
    for (int nice : kNiceOfQueue)
        for (int i = 0; i < 2; ++i)
            crowd.spinner({.nice = nice});
    const std::vector<std::int64_t> before = turns(qmap);
    std::vector<std::int64_t> now = before;
    EXPECT_TRUE(wait_until([&] {
        now = turns(qmap);
        return now[0] - before[0] >= 16;
    }));
    const double unit = static_cast<double>(now[0] - before[0]);
    for (std::size_t i = 0; i < now.size(); ++i) {
        const double share = static_cast<double>(now[i] - before[i]) / unit;
        const double due = static_cast<double>(1 << i);
        // A round begun and not ended at both sides, and what else runs in the guest: a fifth of tolerance.
        EXPECT_NEAR(share, due, due * 0.2 + 0.1) << "queue " << i;
    }
    for (std::size_t child = 0; child < crowd.pids().size(); ++child)
        EXPECT_GT(crowd.board().work[child].load(), 0U) << "child " << child << " never ran";
    EXPECT_TRUE(qmap.running()) << qmap.exit_record().message;
    crowd.end_all();
    qmap.detach();
}

INSTANTIATE_TEST_SUITE_P(ByCpu, QmapShares, testing::Values("qmap_ops"), [](const auto&) { return "Number"; });
INSTANTIATE_TEST_SUITE_P(ByCid, QmapShares, testing::Values("qmap_cid_ops"), [](const auto&) { return "Id"; });

TEST_F(QmapOrder, TasksOfOneLevelTakeTurnsInTheirOrder) {
    constexpr std::size_t kTasks = 5;
    constexpr std::uint32_t kChanges = 200;
    LivePolicy qmap("qmap", {"slice=1ms"});
    qmap.attach();
    Children crowd;
    for (std::size_t i = 0; i < kTasks; ++i)
        crowd.spinner();
    const std::uint32_t from = crowd.board().nr_logged.load();
    EXPECT_TRUE(wait_until([&] { return crowd.board().nr_logged.load() >= from + kChanges; }));
    crowd.end_all();
    // In order: after each task comes the same other one, and that makes one circle of all. On a slow machine a turn
    // may be over before the task has written its name; each such turn spoils two pairs. Without an order, four tasks
    // would follow equally often, which is a quarter for each.
    std::array<std::array<std::uint32_t, kTasks>, kTasks> followed{};
    for (std::uint32_t at = from; at + 1 < from + kChanges; ++at)
        ++followed[crowd.board().log[at % Board::kLog].load()][crowd.board().log[(at + 1) % Board::kLog].load()];
    std::uint32_t in_order = 0;
    std::set<std::size_t> circle;
    for (std::size_t task = 0; circle.insert(task).second;) {
        const auto next = std::ranges::max_element(followed[task]);
        in_order += *next;
        task = static_cast<std::size_t>(next - followed[task].begin());
    }
    EXPECT_EQ(circle.size(), kTasks);
    EXPECT_GE(in_order, kChanges * 3 / 4) << "of " << kChanges;
    qmap.detach();
}

// A batch is what leaves the queues together. Without one, all tasks but those that run or are about to wait in the
// queues; with one, as many fewer as a turn of queue 4 gives.
TEST_F(QmapOrder, ABatchLeavesTheQueuesTogether) {
    constexpr std::int64_t kTasks = 20;
    const auto lowest_waiting = [&](const std::string& batch, std::int64_t enough) {
        LivePolicy qmap("qmap", {"slice=1ms", batch});
        qmap.attach();
        Children crowd;
        for (std::int64_t i = 0; i < kTasks; ++i)
            crowd.spinner({.nice = kNiceOfQueue[4]});
        const std::int64_t from = qmap.statistic("dispatched");
        std::int64_t lowest = kTasks;
        EXPECT_TRUE(wait_until([&] {
            lowest = std::min(lowest, qmap.statistic("waiting"));
            return qmap.statistic("dispatched") >= from + 100 && lowest <= enough;
        })) << lowest
            << " waiting at least with " << batch;
        crowd.end_all();
        qmap.detach();
        return lowest;
    };
    // One runs, which is this test when it looks; one may be on its way.
    EXPECT_GE(lowest_waiting("dispatch_batch=0", kTasks), kTasks - 2);
    EXPECT_LE(lowest_waiting("dispatch_batch=16", kTasks - 8), kTasks - 8);
}

// CPU time is the measure, not the clock: as many turns as slices fit.
TEST_F(QmapOrder, AShorterSliceMeansMoreTurns) {
    const auto turns_per_loop = [&](const std::string& slice) {
        LivePolicy qmap("qmap", {slice});
        qmap.attach();
        Children crowd;
        crowd.spinner();
        crowd.spinner();
        const auto changes = [&] { return crowd.board().nr_logged.load(); };
        const std::uint32_t from = changes();
        EXPECT_TRUE(wait_until([&] { return changes() >= from + 20; }));
        const std::uint64_t work = crowd.board().work[0].load() + crowd.board().work[1].load();
        const double result = static_cast<double>(changes()) / static_cast<double>(work);
        crowd.end_all();
        qmap.detach();
        return result;
    };
    EXPECT_GT(turns_per_loop("slice=4ms"), 3 * turns_per_loop("slice=80ms"));
}

// High-priority tasks that never slept would have the CPU to themselves, until the watchdog ended it: these sleep.
void start_urgent(Children& crowd) {
    for (int i = 0; i < 3; ++i)
        crowd.start(
            [](Board& board, std::size_t index) {
                for (;;) {
                    for (int n = 0; n < 1000; ++n)
                        board.work[index].fetch_add(1, std::memory_order_relaxed);
                    ::usleep(2000);
                }
            },
            {.nice = -20});
}

TEST_F(QmapOrder, HighPriorityTasksOvertakeInTheSharedQueue) {
    LivePolicy qmap("qmap", {"slice=1ms", "dispatch_batch=16", "boost_highpri=true"});
    qmap.attach();
    Children crowd;
    start_urgent(crowd);
    for (int i = 0; i < 8; ++i)
        crowd.spinner();
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("expedited_local") >= 50; }))
        << qmap.statistic("expedited_local") << " expedited";
    EXPECT_LE(qmap.statistic("expedited_lost"), qmap.statistic("expedited_local") / 2);
    EXPECT_TRUE(qmap.running()) << qmap.exit_record().message;
    crowd.end_all();
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("highpri_queued") == 0; })) << qmap.statistic("highpri_queued");
    qmap.detach();
}

// Two urgent tasks wake up while another one has the CPU, and leave the queue together. One runs, and the other one
// would wait for as long as that one's slice is, were it not for the timer that looks once a second.
TEST_F(QmapOrder, TheTimerExpeditesWhoWaitsBehindALongSlice) {
    LivePolicy qmap("qmap", {"slice=1200ms", "dispatch_batch=16", "boost_highpri=true", "timeout=20s"});
    qmap.attach();
    Children urgent;
    for (int i = 0; i < 2; ++i)
        urgent.start(
            [](Board& board, std::size_t) {
                while (board.last == 0)
                    ::usleep(10'000);
                for (timespec used{}; used.tv_sec < 2;)
                    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
            },
            {.nice = -20});
    Children busy;
    busy.spinner();
    urgent.board().last = 1;
    urgent.join();
    EXPECT_TRUE(qmap.running()) << qmap.exit_record().message;
    EXPECT_GT(qmap.statistic("expedited_from_timer"), 0);
    busy.end_all();
    qmap.detach();
}

TEST_F(QmapOrder, WithoutBoostingNobodyOvertakes) {
    LivePolicy qmap("qmap", {"slice=1ms", "dispatch_batch=16"});
    qmap.attach();
    Children crowd;
    start_urgent(crowd);
    for (int i = 0; i < 8; ++i)
        crowd.spinner();
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("dispatched") >= 100; }));
    EXPECT_EQ(qmap.statistic("expedited_local") + qmap.statistic("expedited_remote"), 0);
    EXPECT_EQ(qmap.statistic("highpri_queued"), 0);
    crowd.end_all();
    qmap.detach();
}

// Nice 19 goes to a queue that only the kernel's handing it back serves, and from there waits its turn: neither must
// tasks of nice 19 keep the others (this test among them) from the CPU, nor the others them.
TEST_F(QmapOrder, TheLowestPriorityIsServedByReenqueueing) {
    SCX_SKIP_WITHOUT("dsq-reenqueue");
    LivePolicy qmap("qmap", {"timeout=10s"});
    qmap.attach();
    Children crowd;
    crowd.spinner({.nice = 19});
    crowd.spinner({.nice = 19});
    const std::int64_t before = qmap.statistic("reenqueued");
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("reenqueued") >= before + 20; }));
    EXPECT_GE(qmap.statistic("reenqueued_cpu0"), 20); // there is no other CPU
    crowd.spinner();
    crowd.spinner();
    const std::array work = {crowd.board().work[0].load(), crowd.board().work[1].load(), std::uint64_t{0},
                             std::uint64_t{0}};
    EXPECT_TRUE(wait_until([&] {
        for (std::size_t i = 0; i < work.size(); ++i)
            if (crowd.board().work[i].load() == work[i])
                return false;
        return true;
    }));
    EXPECT_TRUE(qmap.running()) << qmap.exit_record().message;
    crowd.end_all();
    qmap.detach();
}

// The CPU's performance follows the weights of what runs on it: nice -10 asks for all, nice 10 for nothing.
TEST_F(QmapOrder, PerformanceFollowsTheWeights) {
    LivePolicy qmap("qmap");
    qmap.attach();
    {
        Children heavy;
        heavy.spinner({.nice = -10});
        EXPECT_TRUE(wait_until([&] { // one CPU: the lowest is the highest
            return qmap.statistics({"perf_target_min", "perf_target_max"}) == std::vector<std::int64_t>{1024, 1024};
        }));
    }
    Children light;
    light.spinner({.nice = 10});
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("perf_target_max") == 0; }));
    EXPECT_GT(qmap.statistic("perf_cur_avg"), 0);
    light.end_all();
    qmap.detach();
}

} // namespace
} // namespace scxhost
