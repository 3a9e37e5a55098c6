// SPDX-License-Identifier: GPL-2.0-only
//
// trunk with qmap below it: who gets how much of the CPUs, what a branch that does not play along can take, and that
// nothing is lost when branches come and go. Runs as root in a guest.
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/live_policy.hpp"
#include "tests/vm/performance_target.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {
namespace {

class Trunk : public PolicyTest {
protected:
    void SetUp() override {
        PolicyTest::SetUp();
        if (IsSkipped())
            return;
        SCX_SKIP_WITHOUT("sub-capabilities");
        cgroups_.emplace("trunk");
    }
    void TearDown() override {
        if (cgroups_)
            cgroups_->remove_all();
        PolicyTest::TearDown();
    }

    [[nodiscard]] CpuCgroups& cgroups() { return *cgroups_; }
    // trunk with its tracer, as the host has it.
    static std::unique_ptr<LivePolicy> attach_trunk(const std::vector<std::string>& options = {}) {
        auto trunk = std::make_unique<LivePolicy>("trunk", options);
        trunk->attach();
        EXPECT_TRUE(trunk->object().attach_programs());
        return trunk;
    }
    static void detach_trunk(LivePolicy& trunk) {
        trunk.object().detach_programs();
        trunk.detach();
    }
    static std::unique_ptr<LivePolicy> attach_branch(const std::string& name,
                                                     const std::vector<std::string>& options = {},
                                                     const std::string& policy = "qmap") {
        auto branch = std::make_unique<LivePolicy>(policy, options, "", "/trunk-" + name);
        branch->attach();
        return branch;
    }
    // Each of them still runs; then nothing does.
    static void expect_all_run_and_end(LivePolicy& trunk, std::vector<std::unique_ptr<LivePolicy>>& branches,
                                       Children& crowd) {
        for (const auto& branch : branches)
            EXPECT_TRUE(branch->running()) << branch->exit_record().message;
        EXPECT_TRUE(trunk.running()) << trunk.exit_record().message;
        crowd.end_all();
        branches.clear();
        detach_trunk(trunk);
    }
    static bool works(Children& crowd, std::size_t index) {
        const std::uint64_t work = crowd.board().work[index].load();
        return wait_until([&] { return crowd.board().work[index].load() > work; });
    }

private:
    std::optional<CpuCgroups> cgroups_;
};

TEST_F(Trunk, ServesItsOwnTasksAndItsBranches) {
    cgroups().make("games");
    cgroups().make("work");
    const auto trunk = attach_trunk();
    auto games = attach_branch("games");
    const auto work = attach_branch("work");
    Children crowd;
    cgroups().put(crowd.spinner(), "games");
    cgroups().put(crowd.spinner(), "work");
    fill_cpus(crowd, 0);
    for (std::size_t i = 0; i < crowd.pids().size(); ++i)
        EXPECT_TRUE(works(crowd, i)) << i;
    EXPECT_EQ(games->statistic("in_use"), 1);
    // One that leaves gives its task back, and another one may come.
    for (int round = 0; round < 3; ++round) {
        games->detach();
        EXPECT_TRUE(works(crowd, 0));
        games->attach();
        EXPECT_TRUE(works(crowd, 0));
        EXPECT_TRUE(works(crowd, 1));
    }
    EXPECT_TRUE(trunk->running()) << trunk->exit_record().message;
    EXPECT_TRUE(games->running()) << games->exit_record().message;
    EXPECT_TRUE(work->running()) << work->exit_record().message;
    games->detach();
    work->detach();
    crowd.end_all();
    detach_trunk(*trunk);
}

// One that is heavy and has a single task cannot have its share, and is behind for good. The others share what is left.
TEST_F(Trunk, ABranchThatCannotHaveItsShareLeavesTheOthersTheirs) {
    cgroups().make("heavy", 10000);
    cgroups().make("first");
    cgroups().make("second");
    const auto trunk = attach_trunk();
    std::vector<std::unique_ptr<LivePolicy>> branches;
    for (const char* name : {"heavy", "first", "second"})
        branches.push_back(attach_branch(name));
    Children crowd;
    cgroups().put(crowd.spinner(), "heavy");
    for (const char* name : {"first", "first", "second", "second"})
        cgroups().put(crowd.spinner(), name);
    const auto run = [&] { return trunk->statistics({"branch2_run", "branch3_run"}); };
    const std::vector<std::int64_t> before = run();
    ASSERT_TRUE(wait_until([&] { return run()[0] + run()[1] - before[0] - before[1] > 3'000'000'000; }));
    const std::vector<std::int64_t> after = run();
    const auto share =
        static_cast<double>(after[0] - before[0]) / static_cast<double>(after[0] - before[0] + after[1] - before[1]);
    EXPECT_NEAR(share, 0.5, 0.2);
    crowd.end_all();
    branches.clear();
    detach_trunk(*trunk);
}

// A branch's CPUs are those of its cgroup: the kernel holds it to them, and trunk gives the rest to the others.
TEST_F(Trunk, ABranchStaysOnTheCpusOfItsCgroup) {
    write_text("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset");
    cgroups().make("few", 10000);
    cgroups().make("all");
    write_text(cgroups().path("few") + "/cpuset.cpus", "1");
    const auto trunk = attach_trunk();
    std::vector<std::unique_ptr<LivePolicy>> branches;
    for (const char* name : {"few", "all"})
        branches.push_back(attach_branch(name));
    Children crowd;
    for (const char* name : {"few", "few", "all", "all"})
        cgroups().put(crowd.spinner(), name);
    fill_cpus(crowd, 0); // trunk's own
    const auto run = [&] { return trunk->statistics({"own_run", "branch1_run", "branch2_run"}); };
    const std::vector<std::int64_t> before = run();
    for (int round = 0; round < 5; ++round)
        for (std::size_t i = 0; i < crowd.pids().size(); ++i) {
            EXPECT_TRUE(works(crowd, i)) << i;
            if (i < 2)
                EXPECT_EQ(cpu_of(crowd.pids()[i]), 1) << i;
        }
    const std::vector<std::int64_t> after = run();
    // One CPU is the heavy one's, nearly; the other one is for the rest.
    for (std::size_t i = 0; i < before.size(); ++i)
        EXPECT_GT(after[i], before[i]) << i;

    // With a partition its CPU is nobody else's, also while it has nothing to do.
    write_text(cgroups().path("few") + "/cpuset.cpus.partition", "root");
    ASSERT_EQ(read_text(cgroups().path("few") + "/cpuset.cpus.partition"), "root\n");
    for (std::size_t i = 0; i < 2; ++i)
        EXPECT_EQ(::kill(crowd.pids()[i], SIGSTOP), 0);
    for (int round = 0; round < 4; ++round)
        for (std::size_t i = 2; i < crowd.pids().size(); ++i) {
            EXPECT_TRUE(works(crowd, i)) << i;
            if (round > 0) // what ran elsewhere has left by then
                EXPECT_EQ(cpu_of(crowd.pids()[i]), 0) << i;
        }
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(::kill(crowd.pids()[i], SIGCONT), 0);
        EXPECT_TRUE(works(crowd, i)) << i;
        EXPECT_EQ(cpu_of(crowd.pids()[i]), 1) << i;
    }
    expect_all_run_and_end(*trunk, branches, crowd);
}

// More than qmap has room for. What becomes of one too many is tested there.
TEST_F(Trunk, ServesTheNinthBranchAsTheFirst) {
    const auto trunk = attach_trunk();
    std::vector<std::unique_ptr<LivePolicy>> branches;
    for (int i = 1; i <= 9; ++i) {
        cgroups().make(std::to_string(i));
        branches.push_back(attach_branch(std::to_string(i), {}, "simple"));
    }
    Children crowd;
    cgroups().put(crowd.spinner(), "9");
    cgroups().put(crowd.spinner(), "1");
    fill_cpus(crowd, 0); // trunk's own
    for (std::size_t i = 0; i < crowd.pids().size(); ++i)
        EXPECT_TRUE(works(crowd, i)) << i;
    EXPECT_GT(trunk->statistic("branch9_run"), 0);
    expect_all_run_and_end(*trunk, branches, crowd);
}

// trunk has no tasks of its own here, whose ticks would set it anyway.
TEST_F(Trunk, WhatABranchAskedOfACpuGoesWithIt) {
    constexpr int kSchedExt = 7;
    constexpr int cpu = 1;
    const PerformanceTarget target;
    cgroups().make("slow");
    const auto trunk = attach_trunk({"partial=true", "grant_perf=true"});
    const auto slow = attach_branch("slow");
    Children crowd;
    const pid_t light = crowd.spinner({.nice = 10, .cpu = cpu});
    cgroups().put(light, "slow");
    const sched_param none{};
    ASSERT_EQ(::sched_setscheduler(light, kSchedExt, &none), 0); // from then on it is the branch's
    EXPECT_TRUE(wait_until([&] { return target.of(cpu) == 0; })) << target.of(cpu);
    crowd.end_all();
    EXPECT_EQ(target.of(cpu), 0);
    slow->detach();
    EXPECT_GT(target.of(cpu), 0);
    detach_trunk(*trunk);
}

// In a guest whose clock counts instructions: in others a virtual CPU stands still while its clock goes on.
class TrunkShares : public Trunk {
protected:
    struct Group {
        std::string name; // of the cgroup; empty: trunk's own
        int weight;
        std::vector<pid_t> pids = {};
        bool idle = false;
        std::uint64_t counted = 0, had = 0; // by the policy and by the kernel, in the last measurement
    };

    // Lets all run until they have had this much CPU time together. They stand still while the two who count are read.
    static void measure(LivePolicy& trunk, std::vector<Group>& groups, std::uint64_t ns) {
        std::vector<std::string> names;
        for (std::size_t i = 0; i < groups.size(); ++i)
            names.push_back(i == 0 ? "own_run" : fmt::format("branch{}_run", i));
        const auto total = [&] {
            return std::accumulate(groups.begin(), groups.end(), std::uint64_t{0},
                                   [](std::uint64_t sum, const Group& group) { return sum + run_time(group.pids); });
        };
        const std::vector<std::int64_t> counted = trunk.statistics(names);
        for (Group& group : groups)
            group.had = run_time(group.pids);
        const std::uint64_t start = total();
        tell(groups, SIGCONT);
        EXPECT_TRUE(wait_until([&] { return total() - start >= ns; }));
        tell(groups, SIGSTOP);
        EXPECT_TRUE(trunk.running()) << trunk.exit_record().message;
        const std::vector<std::int64_t> after = trunk.statistics(names);
        for (std::size_t i = 0; i < groups.size(); ++i) {
            groups[i].had = run_time(groups[i].pids) - groups[i].had;
            groups[i].counted = static_cast<std::uint64_t>(after[i] - counted[i]);
        }
    }
    static void tell(const std::vector<Group>& groups, int signal) {
        for (const Group& group : groups)
            if (!group.idle)
                scxhost::tell(group.pids, signal);
    }
    // The others have the share of those that are idle, by their weights. Of trunk's own tasks the kernel's figure has
    // only those that were started for this, and the policy's also the test and the kernel's threads.
    static void expect_shares(const std::vector<Group>& groups) {
        double weights = 0;
        double total = 0;
        for (const Group& group : groups) {
            weights += group.idle ? 0 : group.weight;
            total += static_cast<double>(group.counted);
        }
        for (const Group& group : groups) {
            const auto counted = static_cast<double>(group.counted);
            const double due = group.idle ? 0 : group.weight / weights;
            EXPECT_NEAR(counted / total, due, group.idle ? 0.01 : due / 10) << "'" << group.name << "' had " << counted;
            if (!group.name.empty())
                EXPECT_NEAR(counted, static_cast<double>(group.had), 0.01 * total) << "'" << group.name << "'";
        }
    }
    // As many tasks for each as there are CPUs, so that each can use all of them.
    void start(Children& crowd, std::vector<Group>& groups) {
        for (Group& group : groups)
            for (long i = 0; i < ::sysconf(_SC_NPROCESSORS_ONLN); ++i) {
                group.pids.push_back(crowd.spinner());
                if (!group.name.empty())
                    cgroups().put(group.pids.back(), group.name);
            }
    }
};

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST_F(TrunkShares, FollowTheWeights) {
    std::vector<Group> groups = {{"", 100}, {"low", 100}, {"middle", 200}, {"high", 400}};
    const auto trunk = attach_trunk();
    std::vector<std::unique_ptr<LivePolicy>> branches;
    for (std::size_t i = 1; i < groups.size(); ++i) {
        cgroups().make(groups[i].name, groups[i].weight);
        branches.push_back(attach_branch(groups[i].name));
    }
    Children crowd; // after the policies: to load one takes long beside others
    start(crowd, groups);
    tell(groups, SIGSTOP);
    measure(*trunk, groups, 4 * kSecond);
    expect_shares(groups);
    // What one leaves goes to the others.
    groups[2].idle = true;
    measure(*trunk, groups, 4 * kSecond);
    expect_shares(groups);
    crowd.end_all();
    branches.clear();
    detach_trunk(*trunk);
}

// Its slices are as long as the measurement: what ends its turns is trunk.
TEST_F(TrunkShares, ABranchThatNeverYieldsHasNoMore) {
    std::vector<Group> groups = {{"", 100}, {"greedy", 100}};
    const auto trunk = attach_trunk();
    cgroups().make("greedy", 100);
    const auto greedy = attach_branch("greedy", {"slice=10s"});
    Children crowd;
    start(crowd, groups);
    tell(groups, SIGSTOP);
    measure(*trunk, groups, 4 * kSecond);
    expect_shares(groups);
    EXPECT_GT(trunk->statistic("branch1_cut"), 0);
    crowd.end_all();
    greedy->detach();
    detach_trunk(*trunk);
}

// It has a task in the CPU's own queue whenever another one of it is told to go, until it is barred from there. That
// comes and goes in turns of a tenth of a second.
TEST_F(TrunkShares, ABranchThatFillsACpusQueueHasNoMore) {
    std::vector<Group> groups = {{"", 100}, {"filling", 100}};
    const auto trunk = attach_trunk();
    cgroups().make("filling", 100);
    const auto filling = attach_branch("filling", {}, "/root/filling.bpf.o");
    Children crowd;
    for (int i = 0; i < 2; ++i) // so that one is always there
        start(crowd, groups);
    tell(groups, SIGSTOP);
    measure(*trunk, groups, 12 * kSecond);
    expect_shares(groups);
    EXPECT_GT(trunk->statistic("branch1_barred"), 0);
    EXPECT_GT(filling->statistic("handed_back"), 0);
    EXPECT_TRUE(filling->running()) << filling->exit_record().message;
    crowd.end_all();
    filling->detach();
    detach_trunk(*trunk);
}

// Each is there when the other one has been told to go, and a task of another class comes in between all the time.
TEST_F(TrunkShares, BranchesThatFillACpusQueueInTurnHaveNoMore) {
    std::vector<Group> groups = {{"", 100}, {"filling", 100}, {"other", 100}};
    const auto trunk = attach_trunk();
    std::vector<std::unique_ptr<LivePolicy>> branches;
    for (const char* name : {"filling", "other"}) {
        cgroups().make(name, 100);
        branches.push_back(attach_branch(name, {}, "/root/filling.bpf.o"));
    }
    Children crowd;
    for (int i = 0; i < 2; ++i)
        start(crowd, groups);
    tell(groups, SIGSTOP);
    const pid_t ticker = ::fork();
    if (ticker == 0) {
        const sched_param priority{.sched_priority = 1};
        if (::sched_setscheduler(0, SCHED_FIFO, &priority) != 0)
            ::_exit(1);
        for (;;)
            ::usleep(10'000);
    }
    measure(*trunk, groups, 12 * kSecond);
    expect_shares(groups);
    EXPECT_GT(trunk->statistic("branch1_barred"), 0);
    EXPECT_GT(trunk->statistic("branch2_barred"), 0);
    for (const auto& branch : branches)
        EXPECT_TRUE(branch->running()) << branch->exit_record().message;
    EXPECT_EQ(::waitpid(ticker, nullptr, WNOHANG), 0);
    ::kill(ticker, SIGKILL);
    ::waitpid(ticker, nullptr, 0);
    crowd.end_all();
    branches.clear();
    detach_trunk(*trunk);
}

// Its tasks wait for ever. That costs the others nothing, until the kernel's watchdog ends it and trunk has its tasks.
TEST_F(TrunkShares, ABranchThatDispatchesNothingTakesNothing) {
    std::vector<Group> groups = {{"", 100}, {"good", 100}};
    const auto trunk = attach_trunk();
    cgroups().make("good", 100);
    cgroups().make("lazy", 10000);
    const auto good = attach_branch("good");
    const auto lazy = attach_branch("lazy", {"stall_user_nth=1", "timeout=20s"});
    Children crowd;
    start(crowd, groups);
    tell(groups, SIGSTOP);
    const pid_t waiting = crowd.spinner();
    cgroups().put(waiting, "lazy");
    const std::uint64_t had = run_time({waiting});
    measure(*trunk, groups, 4 * kSecond);
    expect_shares(groups);
    EXPECT_TRUE(lazy->running()) << lazy->exit_record().message;
    EXPECT_LT(run_time({waiting}) - had, kSecond / 100); // what it had before it was enqueued
    EXPECT_TRUE(wait_until([&] { return !lazy->running(); }));
    EXPECT_TRUE(wait_until([&] { return run_time({waiting}) > had + kSecond / 10; }));
    EXPECT_TRUE(trunk->running()) << trunk->exit_record().message;
    EXPECT_TRUE(good->running()) << good->exit_record().message;
    crowd.end_all();
    good->detach();
    detach_trunk(*trunk);
}

} // namespace
} // namespace scxhost
