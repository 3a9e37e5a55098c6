// SPDX-License-Identifier: GPL-2.0-only
//
// qmap below qmap: a scheduler hands CPUs down to one that has a cgroup's tasks. What both make of it, and what the
// hosts of either do when the other, or the cgroup, goes. Runs as root in a guest.
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_commands.hpp"
#include "tests/vm/live_policy.hpp"
#include "tests/vm/performance_target.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using testing::HasSubstr;

constexpr const char* kCgroup = "/sys/fs/cgroup/qmap-below";
constexpr const char* kCgroupBelow = "/sys/fs/cgroup/qmap-below/further";
constexpr const char* kSocket = "/run/scxhost-below/control.sock";

class QmapBelow : public PolicyTest {
protected:
    void SetUp() override {
        PolicyTest::SetUp();
        if (IsSkipped())
            return;
        SCX_SKIP_WITHOUT("sub-capabilities");
        ASSERT_EQ(::mkdir(kCgroup, 0755), 0);
    }
    void TearDown() override {
        std::error_code ignored;
        for (const auto& entry : std::filesystem::directory_iterator(kCgroup, ignored))
            if (entry.is_directory())
                remove_cgroup(entry.path());
        remove_cgroup(kCgroup);
        PolicyTest::TearDown();
    }

    static std::string folder_of(const char* cgroup, const std::string& above = "/sys/kernel/sched_ext/root") {
        struct stat file{};
        EXPECT_EQ(::stat(cgroup, &file), 0) << cgroup;
        return fmt::format("{}/sub/sub-{}", above, file.st_ino);
    }

    static std::unique_ptr<HostProcess> start(const std::vector<std::string>& arguments) {
        auto host = std::make_unique<HostProcess>(arguments);
        EXPECT_TRUE(host->next_event("enabled")) << host->out() << host->err();
        return host;
    }

    // The name by which the kernel shows what the host started with.
    static std::string ops_name(HostProcess& host) { return host.wait_for_event("enabled").value().at("ops"); }

    static std::vector<std::string> child_arguments() {
        return {"run",
                "qmap",
                "--json",
                "--set",
                "sub_cgroup=/qmap-below",
                "--set",
                fmt::format("control.socket={}", kSocket)};
    }
};

// So many enqueues say that it was given the CPU again and again.
bool serves(LivePolicy& policy) {
    const std::int64_t before = policy.statistic("enqueued");
    return wait_until([&] { return policy.statistic("enqueued") >= before + 20; });
}

pid_t spinner_in(Children& crowd, const std::string& cgroup) {
    const pid_t pid = crowd.spinner();
    write_text(cgroup + "/cgroup.procs", std::to_string(pid));
    return pid;
}

TEST_F(QmapBelow, SubSchedulerServesItsCgroup) {
    LivePolicy parent("qmap");
    parent.attach();
    LivePolicy child("qmap", {"sub_cgroup=/qmap-below"});
    child.attach();
    Children crowd;
    spinner_in(crowd, kCgroup);
    fill_cpus(crowd, 0);
    EXPECT_TRUE(serves(child));
    const std::uint64_t work = crowd.board().work[0].load();
    EXPECT_TRUE(wait_until([&] { return crowd.board().work[0].load() > work; }));
    EXPECT_EQ(child.statistic("in_use"), 1);
    EXPECT_EQ(child.exit_record().kind, 0U) << child.exit_record().message;
    EXPECT_EQ(child.check_slab(), 0);
    // The child goes first: its task goes back to the parent.
    child.detach();
    EXPECT_EQ(child.exit_record().kind_name(), "UNREG");
    EXPECT_EQ(child.statistic("in_use"), 0);
    EXPECT_TRUE(parent.running()) << parent.exit_record().message;
    crowd.end_all();
    parent.detach();
}

// Three schedulers, one below the other: each serves its own tasks, and hands CPUs down.
TEST_F(QmapBelow, AChildHasAChildOfItsOwn) {
    ASSERT_EQ(::mkdir(kCgroupBelow, 0755), 0);
    LivePolicy root("qmap");
    root.attach();
    LivePolicy child("qmap", {"sub_cgroup=/qmap-below"});
    child.attach();
    LivePolicy grandchild("qmap", {"sub_cgroup=/qmap-below/further"});
    grandchild.attach();
    EXPECT_EQ(::access(folder_of(kCgroupBelow, folder_of(kCgroup)).c_str(), F_OK), 0);

    Children crowd;
    spinner_in(crowd, kCgroup);
    spinner_in(crowd, kCgroupBelow);
    fill_cpus(crowd, 0);
    EXPECT_TRUE(serves(grandchild));
    EXPECT_TRUE(serves(child));
    EXPECT_TRUE(serves(root));
    EXPECT_EQ(grandchild.statistic("in_use"), 1);
    EXPECT_EQ(child.statistic("in_use"), 1);

    // Who leaves takes along whoever is below, and hands its tasks to the one above.
    child.detach();
    EXPECT_EQ(child.exit_record().kind_name(), "UNREG");
    // The kernel detaches those below in threads of their own.
    EXPECT_TRUE(wait_until([&] { return grandchild.exit_record().left() && !grandchild.running(); }));
    EXPECT_EQ(grandchild.exit_record().kind_name(), "PARENT");
    EXPECT_EQ(grandchild.statistic("in_use"), 0);
    EXPECT_EQ(child.statistic("in_use"), 0);
    EXPECT_TRUE(root.running()) << root.exit_record().message;
    EXPECT_TRUE(serves(root));
    for (const LivePolicy* policy : {&root, &child, &grandchild})
        EXPECT_EQ(policy->check_slab(), 0);
    crowd.end_all();
    root.detach();
}

// A cgroup has one scheduler: its tasks change hands when they move.
TEST_F(QmapBelow, TasksChangeHandsWithTheirCgroup) {
    LivePolicy parent("qmap");
    parent.attach();
    LivePolicy child("qmap", {"sub_cgroup=/qmap-below"});
    child.attach();
    Children crowd;
    const pid_t moving = crowd.spinner();
    fill_cpus(crowd, 0);
    for (int round = 0; round < 5; ++round) {
        write_text(std::string(kCgroup) + "/cgroup.procs", std::to_string(moving));
        EXPECT_EQ(child.statistic("in_use"), 1);
        EXPECT_TRUE(serves(child));
        write_text("/sys/fs/cgroup/cgroup.procs", std::to_string(moving));
        EXPECT_EQ(child.statistic("in_use"), 0);
    }
    EXPECT_TRUE(child.running()) << child.exit_record().message;
    EXPECT_EQ(parent.check_slab(), 0);
    EXPECT_EQ(child.check_slab(), 0);
    child.detach();
    EXPECT_TRUE(parent.running()) << parent.exit_record().message;
    crowd.end_all();
    parent.detach();
}

// The parent has no task of its own, whose ticks would set it anyway.
TEST_F(QmapBelow, WhatAChildAskedOfACpuGoesWithIt) {
    constexpr int kSchedExt = 7;
    constexpr int cpu = 1;
    const PerformanceTarget target;
    LivePolicy parent("qmap", {"partial=true"});
    parent.attach();
    LivePolicy child("qmap", {"sub_cgroup=/qmap-below"});
    child.attach();
    Children crowd;
    const pid_t light = crowd.spinner({.nice = 10, .cpu = cpu});
    write_text(std::string(kCgroup) + "/cgroup.procs", std::to_string(light));
    const sched_param none{};
    ASSERT_EQ(::sched_setscheduler(light, kSchedExt, &none), 0); // from then on it is the child's
    EXPECT_TRUE(wait_until([&] { return target.of(cpu) == 0; })) << target.of(cpu);
    crowd.end_all();
    EXPECT_EQ(target.of(cpu), 0);
    child.detach();
    EXPECT_GT(target.of(cpu), 0);
    parent.detach();
}

TEST_F(QmapBelow, AHostConfirmsAndWatchesASubScheduler) {
    const auto parent = start({"run", "qmap", "--json"});
    const auto child = start(child_arguments());
    const std::string name = ops_name(*child);
    EXPECT_EQ(read_text(folder_of(kCgroup) + "/ops"), name + "\n");

    // A second one has no place there.
    HostProcess second({"run", "qmap", "--json", "--set", "sub_cgroup=/qmap-below", "--set",
                        "control.socket=/run/scxhost-second/control.sock"});
    EXPECT_NE(second.wait(), 0);
    EXPECT_THAT(second.err(), HasSubstr("another scheduler is attached: " + name));

    end(*child);
    EXPECT_NE(::access(folder_of(kCgroup).c_str(), F_OK), 0);
    end(*parent);
}

// Another scheduler above, by whatever way, takes this one along. Its host has it below the new one soon after.
TEST_F(QmapBelow, ASwapAboveBringsItBackBelowTheNewOne) {
    const auto parent = start({"run", "qmap", "--json", "--set", "swap.probation=0s"});
    const auto child = start(child_arguments());
    const Answer answer = swap({"qmap", "--set", "slice=5ms"});
    EXPECT_EQ(answer.status, 0) << answer.report << answer.err;
    const auto left = child->next_event("left");
    ASSERT_TRUE(left) << child->out() << child->err();
    EXPECT_EQ(left->at("exit").at("kind"), "PARENT") << left->dump(1);
    ASSERT_TRUE(child->next_event("enabled")) << child->out() << child->err();
    EXPECT_EQ(::access(folder_of(kCgroup).c_str(), F_OK), 0);
    end(*child);
    end(*parent);
}

// Stopped above, and resumed: the one below waits for that, and starts again.
TEST_F(QmapBelow, ItWaitsForTheOneAboveToComeBack) {
    const auto parent = start({"run", "qmap", "--json", "--stay", "--set", "swap.probation=0s"});
    std::vector<std::string> arguments = child_arguments();
    arguments.insert(arguments.end(), {"--set", "restart.limit=100", "--set", "restart.max_delay=1s"});
    const auto child = start(arguments);
    EXPECT_EQ(HostProcess({"stop"}).wait(), 0);
    for (int attempt = 0; attempt < 2; ++attempt)
        ASSERT_TRUE(child->next_event("switch-failed")) << child->out() << child->err();
    EXPECT_EQ(HostProcess({"resume"}).wait(), 0);
    ASSERT_TRUE(child->next_event("enabled")) << child->out() << child->err();
    EXPECT_EQ(::access(folder_of(kCgroup).c_str(), F_OK), 0);
    end(*child);
    end(*parent);
}

// A fallback has no cgroup: it would be one for the whole machine, which nobody has asked for.
TEST_F(QmapBelow, NoFallbackTakesTheMachineInItsPlace) {
    const std::string config = "/root/fallback.toml";
    write_text(config, fmt::format("[scheduler]\nplugin = \"qmap\"\n[scheduler.options]\nsub_cgroup = \"/qmap-below\"\n"
                                   "[host]\nfallback = [\"simple\"]\n[control]\nsocket = \"{}\"\n"
                                   "[restart]\nlimit = 1\n",
                                   kSocket));
    const auto parent = start({"run", "qmap", "--json"});
    const auto child = start({"run", config, "--json"});
    EXPECT_EQ(::rmdir(kCgroup), 0);
    EXPECT_EQ(child->wait(), 1) << child->err();
    EXPECT_THAT(child->err(), HasSubstr("'simple' would take the whole machine"));
    end(*parent);
}

TEST_F(QmapBelow, ItEndsWithTheLastSchedulerAbove) {
    const auto parent = start({"run", "qmap", "--json"});
    const auto child = start(child_arguments());
    end(*parent);
    const auto left = child->wait_for_event("left");
    ASSERT_TRUE(left) << child->out() << child->err();
    EXPECT_EQ(left->at("exit").at("kind"), "PARENT") << left->dump(1);
    EXPECT_EQ(child->wait(), 1) << child->err();
    EXPECT_THAT(child->err(), HasSubstr("no scheduler runs that it could be below"));
}

TEST_F(QmapBelow, ItGoesWithItsCgroup) {
    const auto parent = start({"run", "qmap", "--json"});
    const auto child = start(child_arguments());
    EXPECT_EQ(::rmdir(kCgroup), 0);
    const auto left = child->wait_for_event("left");
    ASSERT_TRUE(left) << child->out() << child->err();
    EXPECT_EQ(left->at("exit").at("kind"), "UNREG_KERN") << left->dump(1);
    EXPECT_EQ(child->wait(), 1) << child->err();
    EXPECT_THAT(child->err(), HasSubstr("/qmap-below"));
    expect_runs("qmap");
    end(*parent);
}

// A swap of the lower one touches nothing above, and a new one that errs gives its place back to the old one.
TEST_F(QmapBelow, ASwapBelowLeavesTheOneAboveAlone) {
    const auto parent = start({"run", "qmap", "--json"});
    // Files of their own: a host follows the one that it has.
    const auto configured = [](const std::string& name, const std::string& options) {
        std::string path = fmt::format("/root/{}.toml", name);
        write_text(path, fmt::format("[scheduler]\nplugin = \"qmap\"\n[scheduler.options]\n"
                                     "sub_cgroup = \"/qmap-below\"\n{}\n"
                                     "[control]\nsocket = \"{}\"\n[swap]\nprobation = \"0s\"\n",
                                     options, kSocket));
        return path;
    };
    const auto child = start({"run", configured("below", ""), "--json", "--stay"});
    const std::string name = ops_name(*child);
    const std::uint64_t enable_seq = kernel_status().enable_seq;

    const Answer good = swap({configured("shorter", "slice = \"5ms\""), "--socket", kSocket});
    EXPECT_EQ(good.status, 0) << good.report << good.err;
    EXPECT_EQ(good.report.value("outcome", ""), "good") << good.report;
    EXPECT_EQ(read_text(folder_of(kCgroup) + "/ops"), name + "\n");

    // One entry for three tasks.
    Children crowd;
    for (int i = 0; i < 3; ++i)
        spinner_in(crowd, kCgroup);
    const Answer refused = swap({configured("too-few", "max_tasks = 1"), "--socket", kSocket});
    EXPECT_EQ(refused.status, 1) << refused.report << refused.err;
    EXPECT_EQ(refused.report.value("outcome", ""), "rolled-back") << refused.report;
    EXPECT_THAT(refused.err + refused.report.dump(), HasSubstr("task_ctx slab exhausted (max_tasks=1)"));
    EXPECT_EQ(read_text(folder_of(kCgroup) + "/ops"), name + "\n");
    EXPECT_EQ(kernel_status().enable_seq, enable_seq);
    crowd.end_all();
    end(*child);
    expect_runs("qmap");
    end(*parent);
}

TEST_F(QmapBelow, WithoutAParentThereIsNothingToBeBelow) {
    HostProcess child(child_arguments());
    EXPECT_EQ(child.wait(), 1) << child.out();
    EXPECT_FALSE(child.wait_for_event("enabled")) << child.out();
    EXPECT_THAT(child.err(), HasSubstr("sub-scheduler"));
}

// They come from the top down: there is no way in between two.
TEST_F(QmapBelow, AboveOneThatIsThereAlreadyItIsRefused) {
    ASSERT_EQ(::mkdir(kCgroupBelow, 0755), 0);
    LivePolicy root("qmap");
    root.attach();
    LivePolicy lower("qmap", {"sub_cgroup=/qmap-below/further"});
    lower.attach();
    HostProcess upper(child_arguments());
    EXPECT_EQ(upper.wait(), 1) << upper.out();
    EXPECT_THAT(upper.err(), HasSubstr("a cgroup further down has one already"));
    EXPECT_TRUE(lower.running()) << lower.exit_record().message;
    lower.detach();
    root.detach();
}

// qmap has room for eight. The kernel reports the refusal as an error of the ninth, whose build is not to blame.
TEST_F(QmapBelow, TheNinthIsRefusedAndItsBuildIsNotBlamed) {
    LivePolicy parent("qmap");
    parent.attach();
    std::vector<std::unique_ptr<LivePolicy>> children;
    for (int i = 0; i < 9; ++i) {
        const std::string cgroup = fmt::format("{}/{}", kCgroup, i);
        ASSERT_EQ(::mkdir(cgroup.c_str(), 0755), 0);
        if (i == 8)
            break;
        children.push_back(
            std::make_unique<LivePolicy>("qmap", std::vector{fmt::format("sub_cgroup=/qmap-below/{}", i)}));
        children.back()->attach();
    }
    HostProcess ninth({"run", "qmap", "--json", "--set", "sub_cgroup=/qmap-below/8"});
    EXPECT_EQ(ninth.wait(), 1) << ninth.out();
    EXPECT_THAT(ninth.err(), HasSubstr("parent rejected"));
    EXPECT_THAT(ninth.err(), HasSubstr("has no room for one more"));
    EXPECT_FALSE(ninth.wait_for_event("quarantined")) << ninth.out();
    for (const auto& child : children)
        EXPECT_TRUE(child->running()) << child->exit_record().message;
    children.clear();
    parent.detach();
}

// `simple` takes nobody below it.
TEST_F(QmapBelow, BelowOneThatTakesNoSubSchedulersItIsRefused) {
    const auto parent = start({"run", "simple", "--json"});
    HostProcess child(child_arguments());
    EXPECT_EQ(child.wait(), 1) << child.out();
    EXPECT_FALSE(child.wait_for_event("enabled")) << child.out();
    EXPECT_THAT(child.err(), HasSubstr("takes no sub-schedulers"));
    expect_runs("simple");
    end(*parent);
}

} // namespace
} // namespace scxhost
