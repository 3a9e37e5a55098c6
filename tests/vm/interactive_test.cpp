// SPDX-License-Identifier: GPL-2.0-only
//
// interactive against a real kernel: that brief tasks get the CPU, and that no task is lost when tasks and the policy
// itself come and go. Runs as root in a guest.
#include "plugins/interactive/interactive.h"
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/live_policy.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

namespace scxhost {
namespace {

class Interactive : public PolicyTest {};

constexpr std::int64_t kSecond = 1'000'000'000;

// Sleeps for 2 ms, and works for much less.
void start_brief(Children& crowd, int cpu = -1) {
    crowd.start(
        [](Board& board, std::size_t index) {
            for (;;) {
                ::usleep(2000);
                board.work[index % 64].fetch_add(1, std::memory_order_relaxed);
            }
        },
        {.nice = 0, .cpu = cpu, .policy = -1});
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
            EXPECT_TRUE(wait_until([&] { return policy.statistic("preemptions") > 20; }));
        else
            EXPECT_EQ(policy.statistic("preemptions"), 0);
        crowd.end_all();
        policy.detach();
    }
}

// A hog that was alone is cut short by the timer when another task comes to wait for its CPU.
TEST_F(Interactive, ATaskThatIsNoLongerAloneHasItsSliceCut) {
    LivePolicy policy("interactive", {"preempt=false"});
    policy.attach();
    Children crowd;
    crowd.spinner({.nice = 0, .cpu = 1, .policy = -1});
    EXPECT_TRUE(wait_until([&] { return crowd.board().work[0].load() > 0; }));
    start_brief(crowd, 1);
    EXPECT_TRUE(wait_until([&] { return crowd.board().work[1].load() >= 40; }));
    EXPECT_GT(policy.statistic("slices_cut"), 20);
    crowd.end_all();
    policy.detach();
}

// What the CPUs of each cache have counted, those of one after another.
struct OfCache {
    std::uint64_t idle_hits = 0, taken = 0, stolen = 0;
};
std::vector<OfCache> by_cache(LivePolicy& policy) {
    const SchedulerObject& object = policy.object();
    const auto* arena = reinterpret_cast<const interactive_arena*>( // NOLINT: shared memory
        object.variable_bytes(*object.btf().find_variable("ia")).data());
    std::vector<OfCache> caches;
    for (long cpu = 0; cpu < ::sysconf(_SC_NPROCESSORS_ONLN); ++cpu) {
        const cpu_ctx& counted = arena->cpu_ctxs[cpu];
        if (counted.domain >= caches.size())
            caches.resize(counted.domain + 1);
        OfCache& cache = caches[counted.domain];
        cache.idle_hits += counted.idle_hits;
        cache.taken += counted.taken;
        cache.stolen += counted.stolen;
    }
    return caches;
}

// What each cache did is written in any case, for who runs it by hand in a larger guest.
TEST_F(Interactive, EachCacheServesItsOwnQueueUnderLoad) {
    LivePolicy policy("interactive");
    LivePolicy other("simple");
    policy.attach();
    Children crowd;
    fill_cpus(crowd, ::sysconf(_SC_NPROCESSORS_ONLN) / 4);
    for (int round = 0; round < 2; ++round) {
        EXPECT_EQ(fork_storm(40, 8), 0U);
        EXPECT_TRUE(wait_until([&] {
            return std::ranges::all_of(by_cache(policy), [](const OfCache& cache) { return cache.taken > 0; });
        }));
        EXPECT_TRUE(policy.running()) << policy.exit_record().message;
        const std::vector<OfCache> caches = by_cache(policy);
        for (std::size_t i = 0; i < caches.size(); ++i)
            fmt::print("round {} cache {}: idle_hits={} taken={} stolen={}\n", round, i, caches[i].idle_hits,
                       caches[i].taken, caches[i].stolen);
        policy.detach();
        other.attach();
        other.detach();
        policy.attach();
    }
    crowd.end_all();
    policy.detach();
}

// The guest has two last-level caches. When all tasks of one are gone, its CPUs take what waits at the other.
TEST_F(Interactive, ACacheWithNothingToDoTakesFromTheOther) {
    const std::string cache = read_text("/sys/devices/system/cpu/cpu0/cache/index3/shared_cpu_list");
    const auto cpus = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
    ASSERT_EQ(cache, fmt::format("0-{}\n", cpus / 2 - 1)) << "this test is for a guest with two last-level caches";
    LivePolicy policy("interactive");
    policy.attach();
    Children crowd;
    for (int cpu = 0; cpu < cpus; ++cpu) // as many wait as run
        for (int i = 0; i < 2; ++i)
            crowd.spinner({.nice = 0, .cpu = -1, .policy = -1});
    const auto all_worked = [&] {
        for (std::size_t i = 0; i < crowd.pids().size(); ++i)
            if (crowd.board().work[i].load() == 0)
                return false;
        return true;
    };
    EXPECT_TRUE(wait_until(all_worked));
    const std::int64_t stolen = policy.statistic("stolen");
    // The cache that has fewer: at the other one more wait than it has CPUs.
    std::array<std::vector<pid_t>, 2> at;
    for (const pid_t pid : crowd.pids())
        at.at(cpu_of(pid) < cpus / 2 ? 0 : 1).push_back(pid);
    tell(at[0].size() < at[1].size() ? at[0] : at[1], SIGSTOP);
    EXPECT_TRUE(wait_until([&] { return policy.statistic("stolen") > stolen; }));
    tell(crowd.pids(), SIGCONT);
    crowd.end_all();
    policy.detach();
}

// One of hardly any weight that has a CPU to itself says nothing of what is due to those that wait for the other one.
// Its time moves 70 times as fast, and with it they would all have been as late as can be.
TEST_F(Interactive, WhoHasACpuToItselfMovesNobodysTime) {
    LivePolicy policy("interactive");
    policy.attach();
    Children crowd;
    crowd.spinner({.nice = 19, .cpu = 0, .policy = -1});
    const pid_t heavy = crowd.spinner({.nice = 0, .cpu = 1, .policy = -1});
    const pid_t light = crowd.spinner({.nice = 10, .cpu = 1, .policy = -1});
    const auto had = [&] { return run_time({heavy, light}); };
    const std::uint64_t before = had();
    const std::uint64_t of_light = run_time({light});
    EXPECT_TRUE(wait_until([&] { return had() - before > 4 * kSecond; }));
    // A tenth is due to it.
    EXPECT_LT(run_time({light}) - of_light, (had() - before) / 4);
    EXPECT_TRUE(policy.running()) << policy.exit_record().message;
    crowd.end_all();
    policy.detach();
}

// The bound that README.md derives, 8.4 s, with the weights as far apart as they can be. The hog of low weight waits
// for seconds, and would wait for 20 s and more if only the others' weighted time moved the queue's.
TEST_F(Interactive, NobodyWaitsLongerThanTheBound) {
    LivePolicy policy("interactive");
    policy.attach();
    Children crowd;
    for (long i = 0; i < 2 * ::sysconf(_SC_NPROCESSORS_ONLN); ++i)
        crowd.spinner({.nice = -20, .cpu = -1, .policy = -1});
    crowd.spinner({.nice = 19, .cpu = -1, .policy = -1});
    EXPECT_TRUE(wait_until([&] { return policy.statistic("wait_long") > kSecond; })) << policy.statistic("wait_long");
    // The bound, and the slice that runs; more where the machine below the guest stands still.
    EXPECT_LT(policy.statistic("wait_long"), 84 * kSecond / 10 + kSecond);
    EXPECT_TRUE(policy.running()) << policy.exit_record().message;
    crowd.end_all();
    policy.detach();
}

// Who gets how much, on one CPU whose clock counts instructions. What is measured stands still meanwhile.
class InteractiveShares : public PolicyTest {
protected:
    void TearDown() override {
        crowd_.end_all();
        cgroups_.remove_all();
        PolicyTest::TearDown();
    }

    // Tasks that never sleep. They stop at once, and run in `expect_shares`.
    struct Group {
        std::string name; // of the cgroup; empty: the root
        double due;       // of the CPU time that all have
        int tasks = 1;
        int nice = 0;
        std::vector<pid_t> pids = {};
    };
    void start(std::vector<Group>& groups) {
        for (Group& group : groups)
            for (int i = 0; i < group.tasks; ++i) {
                group.pids.push_back(crowd_.spinner({.nice = group.nice, .cpu = -1, .policy = -1}));
                tell({group.pids.back()}, SIGSTOP);
                if (!group.name.empty())
                    cgroups_.put(group.pids.back(), group.name);
            }
    }
    void expect_shares(LivePolicy& policy, const std::vector<Group>& groups, std::uint64_t ns = 4 * kSecond) {
        std::vector<pid_t> all;
        std::vector<double> had;
        for (const Group& group : groups) {
            all.insert(all.end(), group.pids.begin(), group.pids.end());
            had.push_back(-static_cast<double>(run_time(group.pids)));
        }
        const std::uint64_t start = run_time(all);
        tell(all, SIGCONT);
        EXPECT_TRUE(wait_until([&] { return run_time(all) - start >= ns; }));
        tell(all, SIGSTOP);
        EXPECT_TRUE(policy.running()) << policy.exit_record().message;
        const auto total = static_cast<double>(run_time(all) - start);
        for (std::size_t i = 0; i < groups.size(); ++i) {
            had[i] += static_cast<double>(run_time(groups[i].pids));
            EXPECT_NEAR(had[i] / total, groups[i].due, groups[i].due / 10)
                << "group " << i << " '" << groups[i].name << "'";
        }
    }

    Children crowd_;
    CpuCgroups cgroups_{"interactive"};
};

// Nice levels of five apart, in the kernel's own proportion: 1024 to 335 to 110.
TEST_F(InteractiveShares, FollowNice) {
    LivePolicy policy("interactive");
    policy.attach();
    std::vector<Group> groups = {{"", 1024 / 1469.}, {"", 335 / 1469., 1, 5}, {"", 110 / 1469., 1, 10}};
    start(groups);
    expect_shares(policy, groups);
    policy.detach();
}

// One task against three, and cgroups below cgroups. An idle one costs nobody anything, however heavy it is.
TEST_F(InteractiveShares, FollowTheWeightsOfCgroups) {
    LivePolicy policy("interactive");
    cgroups_.make("many");
    cgroups_.make("one", 300);
    policy.attach();
    std::vector<Group> groups = {{"one", 3 / 4.}, {"many", 1 / 4., 3}};
    start(groups);
    EXPECT_TRUE(wait_until([&] { return policy.statistic("weighted") == 1; })) << "what is removed goes later";
    expect_shares(policy, groups);
    // A weight that changes while tasks run, and tasks that come and go meanwhile.
    tell(groups[1].pids, SIGCONT);
    cgroups_.set_weight("one", 50);
    for (const pid_t pid : groups[1].pids) {
        cgroups_.put(pid, "one");
        cgroups_.put(pid, "many");
    }
    groups[0].due = 1 / 3.;
    groups[1].due = 2 / 3.;
    expect_shares(policy, groups);

    // A cgroup that comes and goes.
    cgroups_.make("brief", 500);
    EXPECT_EQ(policy.statistic("weighted"), 2);
    remove_cgroup(cgroups_.path("brief"));
    EXPECT_TRUE(wait_until([&] { return policy.statistic("weighted") == 1; }));

    cgroups_.set_weight("one", 100);
    EXPECT_EQ(policy.statistic("weighted"), 0);
    groups[0].due = 1 / 4.; // as many tasks
    groups[1].due = 3 / 4.;
    const std::int64_t samples = policy.statistic("samples");
    expect_shares(policy, groups);
    EXPECT_EQ(policy.statistic("samples"), samples);
    policy.detach();
}

TEST_F(InteractiveShares, FollowTheWeightsOfCgroupsBelowCgroups) {
    cgroups_.make("a", 200);
    cgroups_.make("b");
    cgroups_.make("a/x", 300);
    cgroups_.make("a/y");
    cgroups_.make("a/idle", 10000);
    LivePolicy policy("interactive");
    policy.attach();
    cgroups_.put(crowd_.sleeper(), "a/idle");
    // Tasks of different nice within one of them, too.
    std::vector<Group> groups = {
        {"a/x", 1 / 2.}, {"a/y", 1 / 6. * 1024 / 1359}, {"a/y", 1 / 6. * 335 / 1359, 1, 5}, {"b", 1 / 3., 2}};
    start(groups);
    expect_shares(policy, groups);
    policy.detach();
}

// With the option a cgroup counts as one where all weights are the default; and with another value never.
TEST_F(InteractiveShares, CgroupsCountAsTheOptionSays) {
    cgroups_.make("one", 300);
    cgroups_.make("many");
    std::vector<Group> groups = {{"one", 1 / 4.}, {"many", 3 / 4., 3}};
    start(groups);
    {
        LivePolicy policy("interactive", {"cgroups=never"});
        policy.attach();
        expect_shares(policy, groups);
        policy.detach();
    }
    LivePolicy policy("interactive", {"cgroups=always"});
    cgroups_.set_weight("one", 100);
    policy.attach();
    groups[0].due = groups[1].due = 1 / 2.;
    expect_shares(policy, groups);
    policy.detach();
}

} // namespace
} // namespace scxhost
