// SPDX-License-Identifier: GPL-2.0-only
//
// Each option of qmap shows its effect on a real kernel, and each fault knob the end that it is there for. Options that
// say who runs when are in qmap_order_test.cpp, the slab's in qmap_slab_test.cpp. Runs as root in a guest.
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_process.hpp"
#include "tests/vm/live_policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int kSchedExt = 7; // SCHED_EXT, which the C library does not name yet
constexpr const char* kTrace = "/sys/kernel/tracing/trace";

class QmapOptions : public PolicyTest {};

// On a kernel build that describes kfuncs wrongly qmap is refused, with their names.
TEST(QmapRefused, NamesTheMalformedKfuncs) {
    if (availability("dsq-create") != Availability::kMalformed)
        GTEST_SKIP() << "this kernel describes its kfuncs soundly";
    HostProcess host({"run", "qmap"});
    EXPECT_NE(host.wait(), 0);
    EXPECT_THAT(host.err(), HasSubstr("scx_bpf_create_dsq"));
}

TEST_F(QmapOptions, PartialTakesOnlyTasksThatAsk) {
    Children crowd;
    LivePolicy qmap("qmap", {"partial=true"});
    const pid_t ordinary = crowd.sleeper();
    qmap.attach();
    const pid_t asking = crowd.sleeper({.policy = kSchedExt});
    EXPECT_EQ(scheduled_by_ext(ordinary), false);
    EXPECT_EQ(scheduled_by_ext(asking), true);
    qmap.detach();

    LivePolicy all("qmap");
    all.attach();
    EXPECT_EQ(scheduled_by_ext(ordinary), true);
    all.detach();
}

// Keeping out means: from asking. Without `partial` the kernel gives every ordinary task to the policy, asked or not.
TEST_F(QmapOptions, DisallowedProcessStaysWithTheKernel) {
    Children crowd;
    const pid_t kept_out = crowd.sleeper({.policy = kSchedExt});
    const pid_t other = crowd.sleeper({.policy = kSchedExt});
    LivePolicy qmap("qmap", {"partial=true", "disallow_pid=" + std::to_string(kept_out)});
    qmap.attach();
    EXPECT_EQ(scheduled_by_ext(kept_out), false);
    EXPECT_EQ(scheduled_by_ext(other), true);
    EXPECT_EQ(::sched_getscheduler(kept_out), SCHED_OTHER);
    // Nor may it ask later.
    const sched_param none{};
    EXPECT_EQ(::sched_setscheduler(kept_out, kSchedExt, &none), -1);
    qmap.detach();
}

TEST_F(QmapOptions, MinusOneMeansTheHost) {
    HostProcess host({"run", "qmap", "--json", "--set", "partial=true", "--set", "disallow_pid=-1"});
    ASSERT_TRUE(host.wait_for_event("enabled")) << host.out() << host.err();
    const sched_param none{};
    EXPECT_EQ(::sched_setscheduler(host.pid(), kSchedExt, &none), -1);
    Children crowd;
    EXPECT_EQ(scheduled_by_ext(crowd.sleeper({.policy = kSchedExt})), true);
    host.signal(SIGTERM);
    EXPECT_EQ(host.wait(), 0) << host.err();
}

// A queue of a busy CPU is no place for a task then: the kernel hands it back.
TEST_F(QmapOptions, ImmediateEnqueueHandsTasksOfBusyCpusBack) {
    SCX_SKIP_WITHOUT("enqueue-immediate");
    const auto reenqueued = [](const std::string& always) {
        LivePolicy qmap("qmap", {always, "immed_stress_nth=3"});
        qmap.attach();
        Children crowd;
        fill_cpus(crowd, 1);
        // As many turns as show it; the stress knob's queue goes past the counter of the five queues.
        EXPECT_TRUE(wait_until([&] { return qmap.statistic("enqueued") >= 50 || qmap.statistic("reenqueued") >= 20; }));
        const std::int64_t result = qmap.statistic("reenqueued");
        EXPECT_TRUE(qmap.running()) << qmap.exit_record().message;
        crowd.end_all();
        qmap.detach();
        return result;
    };
    EXPECT_GT(reenqueued("always_enq_immed=true"), 0);
    EXPECT_EQ(reenqueued("always_enq_immed=false"), 0);
}

TEST_F(QmapOptions, MessagesAndQueuesGoToTheTrace) {
    const std::string cgroup = "/sys/fs/cgroup/qmap-messages";
    write_text(kTrace, "");
    LivePolicy qmap("qmap", {"print_messages=true", "print_dsqs_and_events=true"});
    qmap.attach();
    ASSERT_EQ(::mkdir(cgroup.c_str(), 0755), 0);
    Children crowd;
    const pid_t moved = crowd.sleeper();
    fill_cpus(crowd, 1);
    write_text(cgroup + "/cpu.weight", "55");
    write_text(cgroup + "/cpu.max", "50000 100000");
    write_text(cgroup + "/cgroup.procs", std::to_string(moved));
    std::string trace;
    EXPECT_TRUE(wait_until([&] {
        trace = read_text(kTrace);
        return trace.find("qmap: event ") != std::string::npos;
    })) << trace;
    EXPECT_THAT(trace, HasSubstr("initialised with weight 100"));
    EXPECT_THAT(trace, HasSubstr(": weight 55"));
    if (availability("cgroup-bandwidth") == Availability::kPresent) {
        EXPECT_THAT(trace, HasSubstr(": bandwidth 50000 us of 100000 us"));
    }
    EXPECT_THAT(trace, HasSubstr("[" + std::to_string(moved) + "] moves from cgroup"));
    EXPECT_TRUE(qmap.running()) << qmap.exit_record().message;
    crowd.end_all();
    qmap.detach();
    EXPECT_EQ(::rmdir(cgroup.c_str()), 0);
}

TEST_F(QmapOptions, SilentUnlessAsked) {
    const std::string cgroup = "/sys/fs/cgroup/qmap-silence";
    write_text(kTrace, "");
    LivePolicy qmap("qmap");
    qmap.attach();
    ASSERT_EQ(::mkdir(cgroup.c_str(), 0755), 0);
    EXPECT_EQ(::rmdir(cgroup.c_str()), 0);
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("perf_cur_max") > 0; })); // the timer has been there
    qmap.detach();
    EXPECT_THAT(read_text(kTrace), Not(HasSubstr("qmap:")));
}

void start_waker(Children& crowd, const ChildSettings& settings) {
    crowd.start(
        [](Board& board, std::size_t index) {
            for (;;) {
                for (int i = 0; i < 1000; ++i)
                    board.work[index % 64].fetch_add(1, std::memory_order_relaxed);
                ::usleep(2000);
            }
        },
        settings);
}

// The kernel does not ask select_cpu about a task of one CPU: it comes to enqueue, which finds that CPU idle.
TEST_F(QmapOptions, ATaskOfOneIdleCpuGoesThereFromEnqueue) {
    LivePolicy qmap("qmap");
    qmap.attach();
    Children crowd;
    start_waker(crowd, {.cpu = 1});
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("direct_from_enqueue") > 0; }));
    crowd.end_all();
    qmap.detach();
}

// A high-priority task of another CPU than the one that comes across it is sent there.
TEST_F(QmapOptions, HighPriorityTasksGoToTheCpuWhereTheyMayRun) {
    LivePolicy qmap("qmap", {"slice=2ms", "dispatch_batch=8", "boost_highpri=true"});
    qmap.attach();
    Children crowd;
    fill_cpus(crowd, 1);
    start_waker(crowd, {.nice = -20, .cpu = 1});
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("expedited_remote") > 0; }));
    EXPECT_TRUE(qmap.running()) << qmap.exit_record().message;
    crowd.end_all();
    qmap.detach();
}

// A task that waits and is changed leaves its queue and comes again.
TEST_F(QmapOptions, AChangedTaskIsDequeued) {
    LivePolicy qmap("qmap");
    qmap.attach();
    Children crowd;
    fill_cpus(crowd, 1);
    int nice = 0;
    const std::int64_t before = qmap.statistic("dequeued");
    EXPECT_TRUE(wait_until([&] {
        nice = nice == 0 ? 5 : 0;
        for (const pid_t pid : crowd.pids())
            ::setpriority(PRIO_PROCESS, static_cast<id_t>(pid), nice);
        return qmap.statistic("dequeued") > before;
    }));
    EXPECT_GE(qmap.statistic("waiting"), 0);
    EXPECT_EQ(qmap.check_slab(), 0);
    crowd.end_all();
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("waiting") == 0; })) << qmap.statistic("waiting");
    qmap.detach();
}

struct Fault {
    const char* description;
    std::vector<std::string> options;
    const char* kind;
    const char* message;
};

class QmapFault : public QmapOptions, public testing::WithParamInterface<Fault> {};

nlohmann::json exit_of(const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {"run", "qmap", "--json"};
    for (const std::string& option : options)
        arguments.insert(arguments.end(), {"--set", option});
    HostProcess host(arguments);
    // Only now: preparing would take several times as long beside them.
    EXPECT_TRUE(host.wait_for_event("enabled")) << host.out() << host.err();
    Children crowd;
    fill_cpus(crowd, 1);
    EXPECT_EQ(host.wait(), 1) << host.out() << host.err();
    const auto ended = host.wait_for_event("ended");
    EXPECT_TRUE(ended) << host.out() << host.err();
    return ended ? ended->at("exit") : nlohmann::json::object({{"kind", ""}, {"message", ""}, {"dump", ""}});
}

TEST_P(QmapFault, EndsAsItSays) {
    const nlohmann::json exit = exit_of(GetParam().options);
    EXPECT_EQ(exit.at("kind"), GetParam().kind) << exit.dump(1);
    EXPECT_THAT(exit.at("message").get<std::string>(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Each, QmapFault,
    testing::Values(
        Fault{"ErrorAfter", {"error_after=100"}, "ERROR_BPF", "error_after: an error on purpose, after 100 enqueues"},
        Fault{"StallUser", {"stall_user_nth=20", "timeout=1s"}, "ERROR_STALL", ""},
        Fault{"StallKernel", {"stall_kernel_nth=20", "timeout=1s"}, "ERROR_STALL", ""},
        // The kernel breaks the loop off each time and asks again: it does not hang, but what waits starves.
        Fault{"DispatchLoop", {"dispatch_loop_after=50", "timeout=1s"}, "ERROR_STALL", ""}),
    [](const auto& fault) { return std::string(fault.param.description); });

TEST_F(QmapOptions, ImmediateStressAloneIsSurvived) {
    LivePolicy qmap("qmap", {"immed_stress_nth=2"});
    qmap.attach();
    Children crowd;
    fill_cpus(crowd, 1);
    EXPECT_TRUE(wait_until([&] { return qmap.statistic("enqueued") >= 50; }));
    EXPECT_EQ(fork_storm(100, 4), 0U);
    EXPECT_TRUE(qmap.running()) << qmap.exit_record().message;
    crowd.end_all();
    qmap.detach();
}

TEST_F(QmapOptions, DumpHasThePolicysPartUnlessSuppressed) {
    const std::string full = exit_of({"error_after=100"}).at("dump");
    EXPECT_THAT(full, HasSubstr("qmap: queue 0:"));
    EXPECT_THAT(full, HasSubstr("qmap: task contexts:"));
    EXPECT_THAT(full, HasSubstr("core_sched_seq"));
    EXPECT_THAT(full, HasSubstr("average weight"));

    const std::string suppressed = exit_of({"error_after=100", "suppress_dump=true"}).at("dump");
    EXPECT_THAT(suppressed, HasSubstr("CPU states"));
    EXPECT_THAT(suppressed, Not(HasSubstr("qmap: ")));

    const std::string cut = exit_of({"error_after=100", "exit_dump_len=2048"}).at("dump");
    EXPECT_LT(cut.size(), 2048U);
    EXPECT_GT(cut.size(), 1024U);
    EXPECT_GT(full.size(), 2048U);
}

// Both ways to name CPUs: by number, and by topological id.
class QmapChange : public QmapOptions, public testing::WithParamInterface<const char*> {
protected:
    void SetUp() override {
        QmapOptions::SetUp();
        if (std::string_view(GetParam()) == "qmap_cid_ops")
            SCX_SKIP_WITHOUT("cid-form");
    }
};

// Cgroups and CPUs come, go and change under load. A policy that says what it does when a CPU comes or goes, as qmap
// does, is not ejected for it. And it can still be detached: a kick from a CPU on its way out would prevent that.
TEST_P(QmapChange, CgroupsAndCpusComeAndGo) {
    const std::string cgroup = "/sys/fs/cgroup/qmap-moves";
    LivePolicy qmap("qmap", {}, GetParam());
    qmap.attach();
    Children crowd;
    const pid_t moved = crowd.spinner();
    fill_cpus(crowd, 1);
    for (int round = 0; round < 3; ++round) {
        ASSERT_EQ(::mkdir(cgroup.c_str(), 0755), 0);
        write_text(cgroup + "/cpu.weight", std::to_string(50 + round));
        write_text(cgroup + "/cgroup.procs", std::to_string(moved));
        write_text("/sys/devices/system/cpu/cpu1/online", "0");
        const std::uint64_t work = crowd.board().work[0].load();
        EXPECT_TRUE(wait_until([&] { return crowd.board().work[0].load() > work; }));
        write_text("/sys/devices/system/cpu/cpu1/online", "1");
        write_text("/sys/fs/cgroup/cgroup.procs", std::to_string(moved));
        ASSERT_EQ(::rmdir(cgroup.c_str()), 0);
    }
    EXPECT_TRUE(qmap.running()) << qmap.exit_record().message;
    EXPECT_EQ(qmap.check_slab(), 0);
    crowd.end_all();
    qmap.detach();
}

INSTANTIATE_TEST_SUITE_P(ByCpu, QmapChange, testing::Values("qmap_ops"), [](const auto&) { return "Number"; });
INSTANTIATE_TEST_SUITE_P(ByCid, QmapChange, testing::Values("qmap_cid_ops"), [](const auto&) { return "Id"; });

} // namespace
} // namespace scxhost
