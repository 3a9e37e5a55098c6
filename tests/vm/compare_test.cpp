// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost compare` as a user runs it: alone and in a running host, to its end and interrupted, with a scheduler that
// is ejected; and what the machine is left with each time.
#include "tests/vm/host_commands.hpp"

#include <signal.h>

#include <filesystem>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using testing::HasSubstr;

class CompareVm : public PolicyTest {
protected:
    void SetUp() override {
        PolicyTest::SetUp();
        forget_runs();
    }
    static void forget_runs() {
        for (const char* file : {kTried, kRuns})
            std::filesystem::remove(file);
    }

    static constexpr const char* kTried = "/tmp/compare-tried";
    static constexpr const char* kRuns = "/tmp/compare-runs";
    // Ends at once when it is tried; then it runs until it is ended.
    static std::vector<std::string> endless(std::vector<std::string> arguments) {
        arguments.insert(arguments.end(), {"--", "sh", "-c",
                                           std::string("test -e ") + kTried + " || { touch " + kTried +
                                               "; exit 0; }; echo $$ >" + kRuns + "; exec sleep 100000"});
        return arguments;
    }
    static void wait_for_endless() {
        ASSERT_TRUE(wait_until([] { return !read_text(kRuns).empty(); }));
    }
    static void expect_workload_gone() {
        EXPECT_TRUE(wait_until([] { return ::kill(std::stoi(read_text(kRuns)), 0) != 0; }));
    }
    static nlohmann::json document(const HostProcess& process) {
        return nlohmann::json::parse(process.out(), nullptr, false);
    }
};

TEST_F(CompareVm, AloneItStartsAHostAndEndsIt) {
    HostProcess compare({"compare", "kernel", "simple", "interactive", "--workload", "builtin:pipe", "--time", "50ms",
                         "--rounds", "2", "--json"});
    ASSERT_EQ(compare.wait(), 0) << compare.err();
    const nlohmann::json found = document(compare);
    std::string order;
    for (const nlohmann::json& run : found.at("runs")) {
        order += run.at("scheduler").get<std::string>() + " ";
        EXPECT_GT(run.at("figures").at("round trips").get<double>(), 0) << run;
        EXPECT_GT(run.at("figures").at("CPU time").get<double>(), 0) << run;
        // Two processes that wake each other: the tracer has seen it, under the kernel's own scheduler as well.
        EXPECT_GT(run.at("figures").at("wake-up delay, p50").get<double>(), 0) << run;
        EXPECT_LT(run.at("figures").at("wake-up delay, p50").get<double>(), 1000) << run;
        EXPECT_GT(run.at("figures").at("run queue, mean").get<double>(), 0) << run;
        EXPECT_LT(run.at("figures").at("run queue, mean").get<double>(), 8) << run;
    }
    EXPECT_EQ(order, "kernel simple interactive interactive kernel simple ");
    EXPECT_FALSE(found.at("interrupted").get<bool>());
    HostProcess status({"status"});
    EXPECT_EQ(status.wait(), 5) << "a host is left";
}

TEST_F(CompareVm, InARunningHostWhatRanComesBackWithItsOptions) {
    HostProcess host({"run", "simple", "--set", "fifo=true", "--set", "swap.probation=0s", "--json"});
    ASSERT_TRUE(host.wait_for_event("enabled")) << host.err();
    HostProcess compare({"compare", "kernel", "interactive", "simple", "--rounds", "1", "--metric", "is ([0-9]+)",
                         "--json", "--", "echo", "it is 42"});
    ASSERT_EQ(compare.wait(), 0) << compare.err();
    for (const nlohmann::json& run : document(compare).at("runs"))
        EXPECT_EQ(run.at("figures").at("is ([0-9]+)"), 42) << run;
    expect_runs("simple");
    EXPECT_EQ(status().at("scheduler").at("options").at("fifo"), "true");
    EXPECT_EQ(status().at("borrowed"), false);
    end(host);
}

TEST_F(CompareVm, AHostThatWasStoppedIsStoppedAgain) {
    HostProcess host({"run", "simple", "--set", "swap.probation=0s", "--stay", "--json"});
    ASSERT_TRUE(host.wait_for_event("enabled")) << host.err();
    HostProcess stop({"stop"});
    ASSERT_EQ(stop.wait(), 0) << stop.err();
    HostProcess compare({"compare", "kernel", "simple", "--rounds", "1", "--workload", "true"});
    ASSERT_EQ(compare.wait(), 0) << compare.err();
    EXPECT_THAT(compare.out(), HasSubstr("no difference can be told"));
    EXPECT_EQ(status().at("phase"), "stopped");
    EXPECT_TRUE(on_its_own_scheduler());
    end(host);
}

TEST_F(CompareVm, CtrlCLeavesTheMachineAsFound) {
    HostProcess compare(endless({"compare", "simple", "kernel"}));
    wait_for_endless();
    EXPECT_EQ(kernel_status().state, SchedExtState::kEnabled);
    compare.signal(SIGINT);
    EXPECT_EQ(compare.wait(), 128 + SIGINT) << compare.err();
    expect_workload_gone();
    EXPECT_TRUE(on_its_own_scheduler());
    HostProcess status({"status"});
    EXPECT_EQ(status.wait(), 5) << "a host is left";
}

TEST_F(CompareVm, CtrlCAndSigkillBringBackWhatAHostRan) {
    HostProcess host({"run", "simple", "--set", "swap.probation=0s", "--json"});
    ASSERT_TRUE(host.wait_for_event("enabled")) << host.err();
    for (const int number : {SIGINT, SIGKILL}) {
        forget_runs();
        HostProcess compare(endless({"compare", "kernel", "interactive"}));
        wait_for_endless();
        EXPECT_TRUE(on_its_own_scheduler());
        compare.signal(number);
        EXPECT_EQ(compare.wait(), 128 + number) << compare.err();
        expect_workload_gone();
        // Nobody waits for a host when the process was killed.
        EXPECT_TRUE(wait_until([] { return status().at("scheduler").is_object(); })) << number;
        expect_runs("simple");
    }
    end(host);
}

TEST_F(CompareVm, KilledAloneItsHostEndsToo) {
    HostProcess compare(endless({"compare", "simple", "kernel"}));
    wait_for_endless();
    compare.signal(SIGKILL);
    EXPECT_EQ(compare.wait(), 128 + SIGKILL);
    EXPECT_TRUE(wait_until([] { return static_cast<bool>(on_its_own_scheduler()); }));
    expect_workload_gone();
    EXPECT_TRUE(wait_until([] {
        HostProcess status({"status"});
        return status.wait() == 5;
    }));
}

TEST_F(CompareVm, ARunWhoseSchedulerWasEjectedDoesNotCount) {
    const char* config = "/root/ejected.toml";
    write_text(config, "[scheduler]\nplugin = \"faulty\"\n[scheduler.options]\nfault = \"error\"\nafter = 3000\n"
                       "[host]\nplugin_dirs = [\"/root\"]\n");
    HostProcess compare({"compare", "kernel", "simple", std::string("faulty@") + config, "--workload", "builtin:pipe",
                         "--time", "1s", "--rounds", "1", "--json"});
    EXPECT_EQ(compare.wait(), 1) << compare.err();
    const nlohmann::json found = document(compare);
    const nlohmann::json& runs = found.at("runs");
    ASSERT_EQ(runs.size(), 3U) << found;
    EXPECT_TRUE(runs[0].contains("figures") && runs[1].contains("figures")) << runs;
    EXPECT_FALSE(runs[2].contains("figures")) << runs;
    EXPECT_THAT(runs[2].at("error").at("message").get<std::string>(), HasSubstr("faulty: error after"));
    EXPECT_THAT(compare.err(), HasSubstr("does not count"));
    EXPECT_TRUE(found.at("figures")[0].at("schedulers")[2].at("samples").empty());
    std::filesystem::remove(config);
}

TEST_F(CompareVm, WhoSwapsMeanwhileHasTheLastWord) {
    HostProcess host({"run", "simple", "--set", "swap.probation=0s", "--json"});
    ASSERT_TRUE(host.wait_for_event("enabled")) << host.err();
    HostProcess compare(endless({"compare", "kernel", "simple"}));
    wait_for_endless();
    HostProcess second({"compare", "kernel", "simple", "--workload", "true"});
    EXPECT_EQ(second.wait(), 1);
    EXPECT_THAT(second.err(), HasSubstr("borrowed"));
    EXPECT_EQ(swap({"interactive", "--set", "swap.probation=0s"}).status, 0);
    ::kill(std::stoi(read_text(kRuns)), SIGKILL); // the workload's end
    EXPECT_EQ(compare.wait(), 1);
    EXPECT_THAT(compare.err(), HasSubstr("somebody else has changed what the host runs"));
    expect_runs("interactive");
    end(host);
}

TEST_F(CompareVm, MistakesAreToldBeforeAnythingIsTouched) {
    const std::uint64_t enabled = kernel_status().enable_seq;
    for (const auto& [arguments, message] : std::vector<std::pair<std::vector<std::string>, std::string>>{
             {{"kernel", "simple", "--workload", "builtin:pipo"}, "pipe"},
             {{"kernel", "simple", "--workload", "/nowhere/x"}, "/nowhere/x"},
             {{"kernel", "simple", "--workload", "false"}, "ended with status 1"},
             {{"kernel", "simple", "--workload", "echo 1", "--metric", "x([0-9])"}, "--metric"},
             {{"kernel", "--workload", "true"}, "two schedulers"},
             {{"kernel", "simple"}, "expected one workload"}}) {
        std::vector<std::string> words = arguments;
        words.insert(words.begin(), "compare");
        HostProcess compare(words);
        EXPECT_EQ(compare.wait(), 2) << message;
        EXPECT_THAT(compare.err(), HasSubstr(message));
    }
    write_text("/root/other.toml", "[scheduler]\nplugin = \"simple\"\n");
    HostProcess other({"compare", "simple", "interactive@/root/other.toml", "--workload", "true"});
    EXPECT_EQ(other.wait(), 2);
    EXPECT_THAT(other.err(), HasSubstr("the configuration runs simple, not interactive"));
    HostProcess tree({"compare", "/usr/share/scxhost/configs/tree.toml", "simple", "--workload", "true"});
    EXPECT_EQ(tree.wait(), 2);
    EXPECT_THAT(tree.err(), HasSubstr("tree.toml:"));
    EXPECT_THAT(tree.err(), HasSubstr("compare configurations without [[below]]"));
    EXPECT_EQ(kernel_status().enable_seq, enabled);
    HostProcess unknown({"compare", "simple", "simpel", "--workload", "true"});
    EXPECT_EQ(unknown.wait(), 2);
    EXPECT_THAT(unknown.err(), HasSubstr("simpel"));
}

} // namespace
} // namespace scxhost
