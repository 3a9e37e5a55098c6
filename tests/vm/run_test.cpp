// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost run` against a real kernel: it tells the truth about the start, the statistics and every kind of end, and
// leaves nothing behind. Runs as root in a guest.
#include "host/base/unique_fd.hpp"
#include "host/bpf/exit_report.hpp"
#include "host/kernel/kernel_btf.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_commands.hpp"
#include "tests/vm/host_process.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kSimpleConfig = "/usr/share/scxhost/configs/simple.toml";
constexpr const char* kFaulty = "/root/faulty.so";
constexpr const char* kRefused = "/root/refused.bpf.o";

std::int64_t total(const nlohmann::json& event) {
    std::int64_t sum = 0;
    for (const auto& [name, statistic] : event.at("statistics").items())
        sum += statistic.at("value").get<std::int64_t>();
    return sum;
}

class RunVm : public GuestTest {};

TEST_F(RunVm, SaysEnabledOnlyWhenTheKernelDoes) {
    const std::uint64_t before = kernel_status().enable_seq;
    HostProcess host({"run", kSimpleConfig, "--json"});
    const auto enabled = host.wait_for_event("enabled");
    ASSERT_TRUE(enabled) << host.out() << host.err();
    const SchedExtStatus status = kernel_status();
    EXPECT_EQ(status.state, SchedExtState::kEnabled);
    EXPECT_EQ(status.ops, enabled->at("ops").get<std::string>());
    EXPECT_EQ(status.enable_seq, before + 1);
    EXPECT_EQ(enabled->at("schema"), 1);
    EXPECT_THAT(enabled->at("ops").get<std::string>(), StartsWith("simple_"));
    EXPECT_THAT(enabled->at("ops").get<std::string>(), HasSubstr(enabled->at("build_id").get<std::string>()));

    host.signal(SIGINT);
    EXPECT_EQ(host.wait(), 0) << host.err();
    const auto ended = host.wait_for_event("ended");
    ASSERT_TRUE(ended) << host.out();
    EXPECT_EQ(ended->at("end"), "requested");
    EXPECT_EQ(ended->at("exit").at("kind"), "UNREG");
}

TEST_F(RunVm, StatisticsMoveUnderLoad) {
    HostProcess host({"run", kSimpleConfig, "--json", "--set", "stats.interval=200ms"});
    ASSERT_TRUE(host.wait_for_event("enabled")) << host.out() << host.err();
    std::vector<nlohmann::json> samples;
    ASSERT_TRUE(host.wait_for_output([&](const std::string& out) {
        samples.clear();
        std::istringstream lines(out.substr(0, out.rfind('\n') + 1));
        for (std::string line; std::getline(lines, line);)
            if (nlohmann::json event = nlohmann::json::parse(line); event.at("event") == "statistics")
                samples.push_back(std::move(event));
        return samples.size() >= 3 && total(samples.back()) > total(samples.front());
    })) << host.out()
        << host.err();
    EXPECT_GT(total(samples.front()), 0);
    host.signal(SIGTERM);
    EXPECT_EQ(host.wait(), 0) << host.err();
}

TEST_F(RunVm, EndsByItselfAfterTheGivenTime) {
    HostProcess host({"run", kSimpleConfig, "--for", "500ms"});
    EXPECT_EQ(host.wait(), 0) << host.err();
    EXPECT_THAT(host.out(), HasSubstr("enabled: simple"));
    EXPECT_THAT(host.out(), HasSubstr("detached: simple"));
}

TEST_F(RunVm, KilledHostLeavesTheKernelOnItsOwnScheduler) {
    HostProcess host({"run", kSimpleConfig, "--json"});
    ASSERT_TRUE(host.wait_for_event("enabled")) << host.out() << host.err();
    host.signal(SIGKILL);
    EXPECT_EQ(host.wait(), 128 + SIGKILL);
}

TEST_F(RunVm, ClosedOutputDetaches) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(ends[1], STDOUT_FILENO);
        ::close(ends[0]);
        ::close(ends[1]);
        ::execlp("scxhost", "scxhost", "run", "simple", "--set", "stats.interval=100ms", nullptr);
        std::_Exit(127);
    }
    ::close(ends[1]);
    char byte = 0;
    ASSERT_EQ(::read(ends[0], &byte, 1), 1); // it has begun to talk
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// A shell that becomes what the command says: redirections and ignored signals are the shell's to arrange.
pid_t start_shell(const char* command) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::execl("/bin/sh", "sh", "-c", command, nullptr);
        std::_Exit(127);
    }
    return child;
}

int status_of(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_F(RunVm, OutputThatCannotBeWrittenIsToldAndTheSchedulerRunsOn) {
    for (const char* target : {">/dev/full", ">&-"}) {
        const std::string command =
            std::string("exec scxhost run simple --for 1s --set stats.interval=100ms ") + target;
        EXPECT_EQ(status_of(start_shell((command + " 2>/tmp/full.err").c_str())), 2) << target;
        std::ifstream file("/tmp/full.err");
        const std::string text((std::istreambuf_iterator<char>(file)), {});
        EXPECT_THAT(text, HasSubstr("warning: output cannot be written")) << target;
        EXPECT_THAT(text, HasSubstr("error: not all of the output could be written")) << target;
    }
    EXPECT_EQ(std::filesystem::file_size("/run/scxhost/control.sock.lock"), 0U) << "the file that got descriptor 1";
}

TEST_F(RunVm, AHangupThatWasIgnoredAtTheStartIsIgnored) {
    const std::uint64_t before = kernel_status().enable_seq;
    const pid_t child = start_shell("trap '' HUP; exec scxhost run simple >/dev/null");
    for (const auto deadline = std::chrono::steady_clock::now() + 60s;
         kernel_status().enable_seq == before && std::chrono::steady_clock::now() < deadline;)
        std::this_thread::sleep_for(10ms);
    ::kill(child, SIGHUP);
    // An answer comes from a loop that has turned since.
    for (int i = 0; i < 2; ++i)
        EXPECT_EQ(HostProcess({"status"}).wait(), 0);
    EXPECT_EQ(kernel_status().state, SchedExtState::kEnabled);
    ::kill(child, SIGTERM);
    EXPECT_EQ(status_of(child), 0);
}

// By the time of the signal the terminal is none any more: whether there was one has been asked at the start.
TEST_F(RunVm, AHungUpTerminalEndsItAlsoWhenItHasAConfigurationToReadAgain) {
    UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_TRUE(terminal);
    ASSERT_EQ(::grantpt(terminal.get()), 0);
    ASSERT_EQ(::unlockpt(terminal.get()), 0);
    char name[64];
    ASSERT_EQ(::ptsname_r(terminal.get(), name, sizeof name), 0);
    HostProcess host({"run", kSimpleConfig, "--json"}, [&name] {
        ::setsid();
        const int input = ::open(name, O_RDWR); // by that the session's controlling terminal
        if (::dup2(input, STDIN_FILENO) != STDIN_FILENO)
            std::_Exit(126);
        ::close(input);
    });
    ASSERT_TRUE(host.wait_for_event("enabled")) << host.out() << host.err();
    terminal.reset();
    EXPECT_EQ(host.wait(), 0) << host.out() << host.err();
}

TEST_F(RunVm, NothingIsLeftOver) {
    HostProcess({"run", kSimpleConfig, "--for", "100ms"}).wait();
    const std::size_t before = count_bpf_objects();
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(HostProcess({"run", kSimpleConfig, "--for", "100ms"}).wait(), 0);
    expect_bpf_objects(before);
}

TEST_F(RunVm, AnotherSchedulerIsNamed) {
    HostProcess first({"run", kSimpleConfig, "--json"});
    const auto enabled = first.wait_for_event("enabled");
    ASSERT_TRUE(enabled) << first.out() << first.err();
    HostProcess second({"run", kSimpleConfig});
    EXPECT_EQ(second.wait(), 1);
    EXPECT_THAT(second.err(), HasSubstr(enabled->at("ops").get<std::string>()));
    EXPECT_EQ(kernel_status().ops, enabled->at("ops").get<std::string>());
    first.signal(SIGINT);
    EXPECT_EQ(first.wait(), 0);
}

TEST_F(RunVm, VerifierRefusalIsExplained) {
    HostProcess host({"run", kRefused});
    EXPECT_EQ(host.wait(), 1);
    EXPECT_THAT(host.out(), testing::Not(HasSubstr("enabled")));
    EXPECT_THAT(host.err(), HasSubstr("refused program 'refused_enqueue'"));
    EXPECT_THAT(host.err(), HasSubstr("hint:"));
}

TEST_F(RunVm, MissingRightsNameTheCapability) {
    // nobody, without capabilities; the configuration and the plugin are readable for everybody.
    const pid_t child = ::fork();
    int status = 0;
    if (child == 0) {
        std::freopen("/tmp/unprivileged.err", "w", stderr);
        if (::setgid(65534) != 0 || ::setuid(65534) != 0)
            std::_Exit(126);
        ::execlp("scxhost", "scxhost", "run", kSimpleConfig, nullptr);
        std::_Exit(127);
    }
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 4);
    std::ifstream file("/tmp/unprivileged.err");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    EXPECT_THAT(text, HasSubstr("CAP_"));
}

struct Leaving {
    const char* description;
    std::vector<std::string> options;
    const char* kind;
    const char* message; // in the report's message
    bool starts;         // it was enabled before it left
};

class LeavingVm : public RunVm, public testing::WithParamInterface<Leaving> {};

TEST_P(LeavingVm, IsReportedWithKindReasonAndMessage) {
    std::vector<std::string> arguments = {"run", kFaulty, "--json"};
    for (const std::string& option : GetParam().options)
        arguments.insert(arguments.end(), {"--set", option});
    HostProcess host(arguments);
    EXPECT_EQ(host.wait(), 1) << host.out() << host.err();
    EXPECT_EQ(host.wait_for_event("enabled").has_value(), GetParam().starts) << host.out();
    EXPECT_THAT(host.err(), HasSubstr(GetParam().kind));
    EXPECT_THAT(host.err(), HasSubstr(GetParam().message));
    if (!GetParam().starts) {
        EXPECT_TRUE(host.wait_for_event("failed")) << host.out();
        return;
    }
    const auto ended = host.wait_for_event("ended");
    ASSERT_TRUE(ended) << host.out();
    EXPECT_EQ(ended->at("end"), "left");
    EXPECT_EQ(ended->at("exit").at("kind"), GetParam().kind);
    EXPECT_NE(ended->at("exit").at("reason"), "");
    EXPECT_THAT(ended->at("exit").at("message").get<std::string>(), HasSubstr(GetParam().message));
    // Errors come with the kernel's debug dump.
    if (std::string(GetParam().kind).starts_with("ERROR")) {
        EXPECT_NE(ended->at("exit").at("dump"), "");
    }
}

INSTANTIATE_TEST_SUITE_P(EachKind, LeavingVm,
                         testing::Values(Leaving{"Init", {"fault=init"}, "ERROR_BPF", "faulty: init refuses", false},
                                         Leaving{"InitTask", {"fault=init_task"}, "ERROR", "init_task", false},
                                         Leaving{"Error", {"fault=error"}, "ERROR_BPF", "faulty: error after", true},
                                         Leaving{"Misuse", {"fault=misuse"}, "ERROR", "DSQ", true},
                                         Leaving{"Stall", {"fault=stall", "timeout=2s"}, "ERROR_STALL", "", true},
                                         Leaving{"Exit", {"fault=exit"}, "UNREG_BPF", "faulty: leaving", true},
                                         Leaving{"Restart", {"fault=restart"}, "UNREG_BPF", "faulty: once more", true}),
                         [](const auto& leaving) { return std::string(leaving.param.description); });

TEST_F(RunVm, SysrqIsReported) {
    HostProcess host({"run", kSimpleConfig, "--json"});
    ASSERT_TRUE(host.wait_for_event("enabled")) << host.out() << host.err();
    std::ofstream("/proc/sysrq-trigger") << "S" << std::flush;
    EXPECT_EQ(host.wait(), 1);
    const auto ended = host.wait_for_event("ended");
    ASSERT_TRUE(ended) << host.out();
    EXPECT_EQ(ended->at("exit").at("kind"), "SYSRQ");
}

// Times that the process's first thread, which is the event loop's, has gone to sleep.
std::uint64_t sleeps(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{0}/task/{0}/status", pid));
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("voluntary_ctxt_switches:"))
            return std::stoull(line.substr(line.find(':') + 1));
    return 0;
}

TEST_F(RunVm, AQuietHostSleeps) {
    HostProcess host(
        {"run", kSimpleConfig, "--json", "--quiet", "--set", "swap.probation=0s", "--set", "stats.interval=100ms"});
    ASSERT_TRUE(host.wait_for_event("settled")) << host.out() << host.err();
    // Forty intervals, and it takes part in one at most, the last before it found that nobody asks.
    EXPECT_TRUE(wait_until([&] {
        const std::uint64_t before = sleeps(host.pid());
        ::usleep(4'000'000);
        return sleeps(host.pid()) <= before + 1;
    }));
    EXPECT_THAT(host.out(), Not(HasSubstr("\"statistics\"")));

    // Who asks gets samples of each interval from then on, and rates.
    const auto ask = [] {
        HostProcess stats({"stats", "--json"});
        EXPECT_EQ(stats.wait(), 0) << stats.err();
        return stats.out();
    };
    ask();
    EXPECT_TRUE(wait_until([&] { return ask().find("\"rate\"") != std::string::npos; }));
    end(host);
}

// Nothing else wakes it before the day is over.
TEST_F(RunVm, TheKernelsEventWakesAQuietHost) {
    HostProcess host(
        {"run", kSimpleConfig, "--json", "--quiet", "--set", "swap.probation=0s", "--set", "stats.interval=24h"});
    ASSERT_TRUE(host.wait_for_event("settled")) << host.out() << host.err();
    std::ofstream("/proc/sysrq-trigger") << "S" << std::flush;
    EXPECT_EQ(host.wait(), 1);
    const auto ended = host.wait_for_event("ended");
    ASSERT_TRUE(ended) << host.out();
    EXPECT_EQ(ended->at("exit").at("kind"), "SYSRQ");
}

TEST(ExitKindVm, NamesAndNumbersAreTheKernels) {
    const auto btf = KernelBtf::load();
    ASSERT_TRUE(btf) << btf.error().what;
    const auto kinds = btf->enumerators_of("scx_exit_kind");
    EXPECT_GE(kinds.size(), 9U) << "as many as 6.16 has";
    constexpr std::string_view prefix = "SCX_EXIT_";
    for (const auto& [name, value] : kinds) {
        ASSERT_TRUE(name.starts_with(prefix)) << name;
        ExitReport report;
        report.kind = static_cast<std::uint32_t>(value);
        EXPECT_EQ(report.kind_name(), name.substr(prefix.size())) << "a kernel newer than the host's table?";
    }
}

// Libraries are loaded from memory, by a path in there.
TEST_F(RunVm, WithoutProcThePluginsFailureSaysSo) {
    HostProcess check({"check", kFaulty}, [] {
        ::unshare(CLONE_NEWNS);
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
        ::umount2("/proc", MNT_DETACH);
    });
    EXPECT_EQ(check.wait(), 3) << check.out();
    EXPECT_THAT(check.err(), HasSubstr("/proc is not mounted"));
}

} // namespace
} // namespace scxhost
