// SPDX-License-Identifier: GPL-2.0-only
//
// trunk with qmap below it: who gets how much of the CPUs, what a branch that does not play along can take, and that
// nothing is lost when branches come and go. Runs as root in a guest.
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/live_policy.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

namespace scxhost {
namespace {

constexpr const char* kMount = "/sys/fs/cgroup";

std::string cgroup_of(const std::string& name) {
    return fmt::format("{}/trunk-{}", kMount, name);
}

class Trunk : public PolicyTest {
protected:
    void SetUp() override {
        PolicyTest::SetUp();
        if (IsSkipped())
            return;
        SCX_SKIP_WITHOUT("sub-capabilities");
        write_text(std::string(kMount) + "/cgroup.subtree_control", "+cpu");
    }
    void TearDown() override {
        for (const std::string& name : names_)
            remove_cgroup(cgroup_of(name));
        PolicyTest::TearDown();
    }

    void make_cgroup(const std::string& name, int weight = 100) {
        ASSERT_EQ(::mkdir(cgroup_of(name).c_str(), 0755), 0);
        names_.insert(names_.begin(), name); // what is below another one goes first
        write_text(cgroup_of(name) + "/cpu.weight", std::to_string(weight));
    }
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
    static std::unique_ptr<LivePolicy> attach_branch(const std::string& name, std::vector<std::string> options = {}) {
        options.push_back(fmt::format("sub_cgroup=/trunk-{}", name));
        auto branch = std::make_unique<LivePolicy>("qmap", options);
        branch->attach();
        return branch;
    }
    static void put(pid_t pid, const std::string& name) {
        write_text(cgroup_of(name) + "/cgroup.procs", std::to_string(pid));
    }
    static bool works(Children& crowd, std::size_t index) {
        const std::uint64_t work = crowd.board().work[index].load();
        return wait_until([&] { return crowd.board().work[index].load() > work; });
    }

private:
    std::vector<std::string> names_;
};

TEST_F(Trunk, ServesItsOwnTasksAndItsBranches) {
    make_cgroup("games");
    make_cgroup("work");
    const auto trunk = attach_trunk();
    auto games = attach_branch("games");
    const auto work = attach_branch("work");
    Children crowd;
    put(crowd.spinner(), "games");
    put(crowd.spinner(), "work");
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

} // namespace
} // namespace scxhost
