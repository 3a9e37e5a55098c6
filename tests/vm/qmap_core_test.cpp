// SPDX-License-Identifier: GPL-2.0-only
//
// qmap under core scheduling: tasks of different groups may not run on the threads of one core at the same time, so the
// kernel asks core_sched_before whose turn it is, and takes tasks out of the policy's queues by itself. Runs as root in
// a guest with two threads a core, and a kernel with CONFIG_SCHED_CORE (CONTRIBUTING.md says how to get one).
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/live_policy.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

namespace scxhost {
namespace {

class QmapCore : public PolicyTest {
protected:
    void SetUp() override {
        PolicyTest::SetUp();
        if (IsSkipped())
            return;
        ASSERT_EQ(read_text("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list"), "0-1\n")
            << "these tests are for a guest with two threads a core";
        if (read_text("/proc/kallsyms").find(" sched_core_share_pid\n") == std::string::npos)
            GTEST_SKIP() << "this kernel was built without core scheduling (CONFIG_SCHED_CORE)";
    }
    void TearDown() override {
        remove_cgroup(kCgroup);
        PolicyTest::TearDown();
    }

    static constexpr const char* kCgroup = "/sys/fs/cgroup/qmap-core";
};

// Tasks that never sleep, one group for core scheduling.
class Group {
public:
    // With `one_core` on the two threads of the first core only, so that groups have nowhere else to go.
    Group(Children& crowd, std::size_t count, int nice, bool one_core)
        : crowd_(crowd)
        , first_(crowd.pids().size()) {
        for (std::size_t i = 0; i < count; ++i) {
            const pid_t pid = crowd.spinner({.nice = nice});
            pids_.push_back(pid);
            if (!one_core)
                continue;
            cpu_set_t core;
            CPU_ZERO(&core);
            CPU_SET(0, &core);
            CPU_SET(1, &core);
            EXPECT_EQ(::sched_setaffinity(pid, sizeof core, &core), 0);
        }
        make_group();
    }

    [[nodiscard]] const std::vector<pid_t>& pids() const { return pids_; }
    [[nodiscard]] std::vector<std::uint64_t> work() const {
        std::vector<std::uint64_t> done;
        for (std::size_t i = 0; i < pids_.size(); ++i)
            done.push_back(crowd_.board().work[first_ + i].load());
        return done;
    }
    [[nodiscard]] std::uint64_t all_work() const {
        std::uint64_t sum = 0;
        for (const std::uint64_t done : work())
            sum += done;
        return sum;
    }

private:
    // In a process of its own: who takes a group's cookie to give it on is of that group from then on.
    void make_group() const {
        const pid_t helper = ::fork();
        if (helper == 0) {
            const auto control = [](int command, pid_t pid) {
                return ::prctl(PR_SCHED_CORE, command, pid, 0 /* one thread */, 0) == 0;
            };
            bool done = control(PR_SCHED_CORE_CREATE, pids_[0]) && control(PR_SCHED_CORE_SHARE_FROM, pids_[0]);
            for (std::size_t i = 1; i < pids_.size(); ++i)
                done = done && control(PR_SCHED_CORE_SHARE_TO, pids_[i]);
            ::_exit(done ? 0 : 1);
        }
        int status = -1;
        EXPECT_EQ(::waitpid(helper, &status, 0), helper);
        EXPECT_EQ(status, 0) << "the tasks are no group";
    }

    Children& crowd_;
    std::size_t first_;
    std::vector<pid_t> pids_;
};

// Each task of each group runs, again and again.
void expect_all_run(const std::vector<const Group*>& groups) {
    for (int round = 0; round < 3; ++round)
        for (const Group* group : groups) {
            const std::vector<std::uint64_t> before = group->work();
            EXPECT_TRUE(wait_until([&] {
                const std::vector<std::uint64_t> now = group->work();
                for (std::size_t i = 0; i < now.size(); ++i)
                    if (now[i] == before[i])
                        return false;
                return true;
            }));
        }
}

TEST_F(QmapCore, EachTaskOfEachGroupRuns) {
    LivePolicy qmap("qmap", {"slice=4ms"});
    qmap.attach();
    Children crowd;
    const Group a(crowd, 3, 0, false);
    const Group b(crowd, 3, 0, false);
    expect_all_run({&a, &b});
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("core_sched_execed") > 0; }));
    EXPECT_TRUE(qmap.running()) << qmap.exit_record().message;
    EXPECT_EQ(qmap.check_slab(), 0);
    crowd.end_all();
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("waiting") == 0; })) << qmap.statistic("waiting");
    qmap.detach();
}

// Of two groups on one core the one in queue 4 comes more often than the one in queue 0, which has its turns too. For
// guests whose clock counts instructions: with another one each virtual CPU of the emulator runs for long while its
// sibling stands still, and the groups then change with that.
TEST_F(QmapCore, WhoseQueueComesMoreOftenRunsMore) {
    LivePolicy qmap("qmap", {"slice=4ms"});
    qmap.attach();
    Children crowd;
    const Group light(crowd, 4, 10, true);
    const Group heavy(crowd, 4, -10, true);
    expect_all_run({&light, &heavy});
    const std::uint64_t light_before = light.all_work();
    const std::uint64_t heavy_before = heavy.all_work();
    const auto turns = [&] { return qmap.statistic("dispatched") + qmap.statistic("core_sched_execed"); };
    const std::int64_t before = turns();
    EXPECT_TRUE(wait_until([&] { return turns() >= before + 300; }));
    EXPECT_GT(light.all_work(), light_before);
    EXPECT_GT(heavy.all_work() - heavy_before, 3 * (light.all_work() - light_before));
    EXPECT_TRUE(qmap.running()) << qmap.exit_record().message;
    crowd.end_all();
    qmap.detach();
}

// Whose turn it is between tasks of two schedulers, the one above both is asked: about tasks that it does not have.
TEST_F(QmapCore, GroupsOfTwoSchedulersShareACore) {
    SCX_SKIP_WITHOUT("sub-capabilities");
    ASSERT_EQ(::mkdir(kCgroup, 0755), 0);
    LivePolicy parent("qmap", {"slice=4ms"});
    parent.attach();
    LivePolicy child("qmap", {"slice=4ms", "sub_cgroup=/qmap-core"});
    child.attach();
    Children crowd;
    const Group above(crowd, 2, 0, true);
    const Group below(crowd, 2, 0, true);
    for (const pid_t pid : below.pids())
        write_text(std::string(kCgroup) + "/cgroup.procs", std::to_string(pid));
    expect_all_run({&above, &below});
    EXPECT_TRUE(child.running()) << child.exit_record().message;
    EXPECT_TRUE(parent.running()) << parent.exit_record().message;
    child.detach();
    EXPECT_EQ(child.statistic("in_use"), 0);
    expect_all_run({&above, &below});
    EXPECT_TRUE(parent.running()) << parent.exit_record().message;
    crowd.end_all();
    parent.detach();
    EXPECT_EQ(parent.check_slab(), 0);
}

} // namespace
} // namespace scxhost
