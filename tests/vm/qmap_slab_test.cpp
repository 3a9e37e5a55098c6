// SPDX-License-Identifier: GPL-2.0-only
//
// qmap's task contexts against a real kernel: each live task has one entry, none is lost or handed out twice, whatever
// comes, goes and fails. Runs as root in a guest. The loads are mild: a guest under emulation has the speed of one slow
// CPU, and a load that fills it makes everything else take minutes.
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_process.hpp"
#include "tests/vm/live_policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {
namespace {

using testing::HasSubstr;
using testing::Not;

class QmapSlab : public PolicyTest {};

// What holds at any time while nothing comes or goes: as many entries in use as tasks live, none lost, none doubled.
testing::AssertionResult balanced(LivePolicy& qmap) {
    scx_slab_report report{};
    if (const int result = qmap.check_slab(&report); result != 0)
        return testing::AssertionFailure() << "self-check: " << result << "; lost " << report.lost << ", doubled "
                                           << report.doubled << ", wrong " << report.wrong;
    // Kernel threads come and go: equal at some moment.
    std::uint64_t tasks = 0;
    std::int64_t in_use = 0;
    if (!wait_until([&] {
            tasks = count_tasks();
            in_use = qmap.statistic("in_use");
            return in_use == static_cast<std::int64_t>(tasks);
        }))
        return testing::AssertionFailure() << in_use << " entries in use, " << tasks << " tasks";
    if (qmap.statistic("bad_gives") != 0)
        return testing::AssertionFailure() << "an entry was given back that was not in use";
    return testing::AssertionSuccess();
}

TEST_F(QmapSlab, MoreTasksThanEntriesEndTheAttachWithTheNumber) {
    Children crowd;
    while (count_tasks() < 200)
        crowd.sleeper();
    for (int round = 0; round < 2; ++round) {
        HostProcess host({"run", "qmap", "--json", "--set", "max_tasks=150"});
        EXPECT_EQ(host.wait(), 1);
        EXPECT_FALSE(host.wait_for_event("enabled")) << host.out();
        EXPECT_TRUE(host.wait_for_event("failed")) << host.out();
        EXPECT_THAT(host.err(), HasSubstr("task_ctx slab exhausted (max_tasks=150)"));
        EXPECT_THAT(host.err(), HasSubstr("ERROR_BPF"));
        ASSERT_TRUE(on_its_own_scheduler());
    }
}

TEST_F(QmapSlab, AForkThatFindsNoEntryEndsThePolicy) {
    const std::uint64_t room = count_tasks() + 40;
    LivePolicy qmap("qmap", {"max_tasks=" + std::to_string(room)});
    qmap.attach();
    Children crowd;
    EXPECT_TRUE(wait_until([&] {
        try {
            crowd.sleeper();
        } catch (const std::runtime_error&) { // the fork that failed
        }
        return qmap.exit_record().left();
    }));
    EXPECT_FALSE(qmap.running());
    EXPECT_EQ(qmap.exit_record().kind_name(), "ERROR_BPF");
    EXPECT_EQ(qmap.exit_record().message, "task_ctx slab exhausted (max_tasks=" + std::to_string(room) + ")");
    EXPECT_EQ(qmap.statistic("high_water"), static_cast<std::int64_t>(room));
}

// By the host, before anything is loaded; and by the policy itself, when its object is run without the plugin.
TEST_F(QmapSlab, NoEntriesAtAllAreRefused) {
    HostProcess checked({"run", "qmap", "--set", "max_tasks=0"});
    EXPECT_NE(checked.wait(), 0);
    EXPECT_THAT(checked.err(), HasSubstr("max_tasks must be > 0"));
    HostProcess bare({"run", "/usr/lib/scxhost/plugins/qmap.bpf.o", "--json", "--set", "max_tasks=0"});
    EXPECT_EQ(bare.wait(), 1);
    EXPECT_THAT(bare.err(), HasSubstr("max_tasks must be > 0"));
    EXPECT_THAT(bare.err(), HasSubstr("ERROR_BPF"));
}

// The object stays loaded, and so does what the slab held: the first attach must leave nothing to the second.
TEST_F(QmapSlab, TheSameObjectAttachedAgainBeginsAnew) {
    LivePolicy qmap("qmap");
    for (int round = 0; round < 3; ++round) {
        qmap.attach();
        EXPECT_TRUE(balanced(qmap)) << "round " << round;
        EXPECT_EQ(fork_storm(100, 4), 0U);
        EXPECT_TRUE(balanced(qmap)) << "round " << round;
        EXPECT_TRUE(qmap.running());
        qmap.detach();
        // Every task has given its entry back on the way out.
        EXPECT_EQ(qmap.statistic("in_use"), 0);
        EXPECT_EQ(qmap.check_slab(), 0);
    }
}

TEST_F(QmapSlab, AttachedAgainAfterItHasFailed) {
    Children crowd;
    for (int i = 0; i < 50; ++i)
        crowd.sleeper();
    LivePolicy qmap("qmap", {"max_tasks=" + std::to_string(count_tasks() - 30)});
    const Result<Attached> refused = qmap.try_attach();
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().what, HasSubstr("task_ctx slab exhausted"));
    EXPECT_EQ(qmap.check_slab(), 0); // those that had an entry have given it back
    EXPECT_EQ(qmap.statistic("in_use"), 0);
    crowd.end_all();
    qmap.attach();
    EXPECT_TRUE(balanced(qmap));
    qmap.detach();
}

TEST_F(QmapSlab, AForkWithoutStorageFailsAloneAndGivesItsEntryBack) {
    LivePolicy qmap("qmap", {"fail_storage_nth=5"});
    qmap.attach();
    EXPECT_TRUE(balanced(qmap));
    EXPECT_GE(fork_storm(100, 4), 20U); // one of five
    EXPECT_TRUE(balanced(qmap));
    EXPECT_TRUE(qmap.running());
    qmap.detach();
}

// Both ways to name CPUs: by number, which kernels before 7.2 take, and by topological id.
class QmapStorm : public QmapSlab, public testing::WithParamInterface<const char*> {
protected:
    void SetUp() override {
        QmapSlab::SetUp();
        if (std::string_view(GetParam()) == "qmap_cid_ops")
            SCX_SKIP_WITHOUT("cid-form");
    }
};

// 20,000 processes is what the number was chosen for, and SCX_TEST_FORKS=20000 does it; under emulation that takes
// minutes, so an ordinary run takes fewer.
TEST_P(QmapStorm, BalancesAfterThousandsOfProcesses) {
    const std::uint64_t forks = from_environment("SCX_TEST_FORKS", 1500);
    LivePolicy qmap("qmap", {}, GetParam());
    qmap.attach();
    const std::uint64_t before = count_tasks();
    EXPECT_EQ(fork_storm(forks, 8), 0U);
    EXPECT_TRUE(balanced(qmap));
    EXPECT_TRUE(qmap.running()) << qmap.exit_record().message;
    // At most those that there were, the storm's eight, its parent, and kernel threads that came and went.
    EXPECT_GE(qmap.statistic("high_water"), qmap.statistic("in_use"));
    EXPECT_LE(qmap.statistic("high_water"), static_cast<std::int64_t>(before + 9 + 60));
    // Memory follows that, not the number of forks.
    EXPECT_LE(qmap.statistic("pages"), 32);
    EXPECT_EQ(qmap.statistic("failed"), 0);
    qmap.detach();
    EXPECT_EQ(qmap.check_slab(), 0);
    EXPECT_EQ(qmap.statistic("in_use"), 0);
}

INSTANTIATE_TEST_SUITE_P(ByCpu, QmapStorm, testing::Values("qmap_ops"), [](const auto&) { return "Number"; });
INSTANTIATE_TEST_SUITE_P(ByCid, QmapStorm, testing::Values("qmap_cid_ops"), [](const auto&) { return "Id"; });

} // namespace
} // namespace scxhost
