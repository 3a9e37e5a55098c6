// SPDX-License-Identifier: GPL-2.0-only
//
// qmap under everything at once for a while: processes come and go, tasks change their nice value, their CPUs and their
// cgroup, a CPU leaves and returns. Runs as root in a guest.
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/live_policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <string>
#include <vector>

namespace scxhost {
namespace {

constexpr const char* kCpu1 = "/sys/devices/system/cpu/cpu1/online";

class QmapSoak : public PolicyTest {};

// A task that works for a moment and sleeps for a moment: dozens of them leave an emulated CPU some time.
void start_mixed(Children& crowd) {
    crowd.start([](Board& board, std::size_t index) {
        for (;;) {
            for (int i = 0; i < 20000; ++i)
                board.work[index % 64].fetch_add(1, std::memory_order_relaxed);
            ::usleep(static_cast<useconds_t>(2000 + 1000 * index));
        }
    });
}

// SCX_TEST_SOAK_SECONDS says how long.
TEST_F(QmapSoak, BalancesAfterMixedLoad) {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::seconds(from_environment("SCX_TEST_SOAK_SECONDS", 60));
    const std::string cgroups[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/soak-a", "/sys/fs/cgroup/soak-b"};
    for (const std::string& cgroup : {cgroups[1], cgroups[2]})
        ASSERT_EQ(::mkdir(cgroup.c_str(), 0755), 0);
    // The seed is fixed: what happens is always the same, when it happens never is.
    std::minstd_rand random(1);
    const auto below = [&](unsigned limit) { return random() % limit; };

    LivePolicy qmap("qmap", {"boost_highpri=true", "dispatch_batch=4", "slice=4ms"});
    qmap.attach();
    Children crowd;
    for (int i = 0; i < 10; ++i)
        start_mixed(crowd);
    crowd.spinner();
    std::uint64_t rounds = 0;
    for (; std::chrono::steady_clock::now() < end && qmap.running(); ++rounds) {
        const pid_t pid = crowd.pids()[below(static_cast<unsigned>(crowd.pids().size()))];
        switch (below(6)) {
        case 0:
            EXPECT_EQ(fork_storm(20, 4), 0U);
            break;
        case 1: // the whole range, but for the spinner, which at -20 would leave nothing to the others
            ::setpriority(PRIO_PROCESS, static_cast<id_t>(pid),
                          pid == crowd.pids().back() ? 0 : static_cast<int>(below(40)) - 20);
            break;
        case 2: {
            cpu_set_t cpus;
            CPU_ZERO(&cpus);
            for (long cpu = 0; cpu < ::sysconf(_SC_NPROCESSORS_CONF); ++cpu)
                if (cpu == 0 || below(2) == 0)
                    CPU_SET(static_cast<unsigned>(cpu), &cpus);
            ::sched_setaffinity(pid, sizeof cpus, &cpus);
            break;
        }
        case 3:
            write_text(cgroups[below(3)] + "/cgroup.procs", std::to_string(pid));
            break;
        case 4:
            write_text(cgroups[1 + below(2)] + "/cpu.weight", std::to_string(1 + below(10000)));
            break;
        default:
            if (rounds % 4 == 0)
                write_text(kCpu1, read_text(kCpu1)[0] == '1' ? "0" : "1");
        }
        ::usleep(1000);
    }
    write_text(kCpu1, "1");
    EXPECT_TRUE(qmap.running()) << qmap.exit_record().kind_name() << ": " << qmap.exit_record().message;
    EXPECT_GT(rounds, 20U);
    scx_slab_report report{};
    EXPECT_EQ(qmap.check_slab(&report), 0)
        << "lost " << report.lost << ", doubled " << report.doubled << ", wrong " << report.wrong;
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("in_use") == static_cast<std::int64_t>(count_tasks()); }))
        << qmap.statistic("in_use") << " entries in use, " << count_tasks() << " tasks";
    EXPECT_EQ(qmap.statistic("bad_gives"), 0);
    crowd.end_all();
    qmap.detach();
    EXPECT_EQ(qmap.statistic("in_use"), 0);
    EXPECT_EQ(qmap.check_slab(), 0);
    for (const std::string& cgroup : {cgroups[1], cgroups[2]})
        EXPECT_EQ(::rmdir(cgroup.c_str()), 0);
}

} // namespace
} // namespace scxhost
