// SPDX-License-Identifier: GPL-2.0-only
//
// The supervisor against a real kernel: swaps under load, and every way in which a swap or a scheduler can fail. After
// each of them the kernel runs what the table in docs/supervision.md says. Runs as root in a guest.
#include "host/base/unique_fd.hpp"
#include "host/control/client.hpp"
#include "host/kernel/kernel_release.hpp"
#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_commands.hpp"
#include "tests/vm/swap_load.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kFaulty = "/root/faulty.so";
// Seconds in a quiet guest: when the fault comes, it was confirmed and told.
constexpr const char* kSoon = "after=50";
constexpr unsigned kNobody = 65534;
constexpr const char* kConfig = "/root/swap.toml";
constexpr const char* kOtherSocket = "control.socket=/run/other/control.sock";
constexpr const char* kExpedited = "/sys/kernel/rcu_expedited";
constexpr const char* kRcuNote = "/run/scxhost/rcu_expedited";

// As an editor does it: another file in the old one's place.
void write_config(const std::string& scheduler, const std::string& rest = {}) {
    write_text("/root/swap.toml.new", fmt::format("[scheduler]\n{}\n[swap]\nprobation = \"0s\"\n{}", scheduler, rest));
    std::filesystem::rename("/root/swap.toml.new", kConfig);
}

class SwapVm : public QuietGuestTest {
protected:
    void TearDown() override {
        QuietGuestTest::TearDown();
        EXPECT_EQ(read_text(kExpedited), "0\n");
        EXPECT_FALSE(std::filesystem::exists(kRcuNote));
    }

    // A host that runs simple, with no probation unless `more` says otherwise.
    static std::unique_ptr<HostProcess> start(std::vector<std::string> more = {}, const std::string& what = "simple") {
        std::vector<std::string> arguments = {
            "run", what, "--json", "--stay", "--set", "swap.probation=0s", "--set", "stats.interval=200ms"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        auto host = std::make_unique<HostProcess>(arguments);
        EXPECT_TRUE(host->next_event("enabled")) << host->out() << host->err();
        return host;
    }

    static nlohmann::json wait_for_phase(const std::string& phase) {
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        nlohmann::json last;
        do {
            last = status();
        } while (last.value("phase", "") != phase && std::chrono::steady_clock::now() < deadline);
        EXPECT_EQ(last.value("phase", ""), phase) << last;
        return last;
    }
};

// A line of /proc/PID/status that is in kB.
std::size_t process_kib(pid_t pid, const std::string& field) {
    std::ifstream file(fmt::format("/proc/{}/status", pid));
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(field + ":"))
            return std::stoul(line.substr(field.size() + 1));
    ADD_FAILURE() << field << " of process " << pid;
    return 0;
}

// One visit to the host's socket, in one of the ways in which nobody should behave.
void misbehave(std::minstd_rand& random) {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "/run/scxhost/control.sock"};
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return;
    std::string text;
    switch (random() % 4) {
    case 0: // garbage
        for (int i = 0; i < 4096; ++i)
            text += static_cast<char>(random());
        break;
    case 1: // a flood
        for (int i = 0; i < 200; ++i)
            text += R"({"jsonrpc":"2.0","id":1,"method":"status"})"
                    "\n";
        break;
    case 2: // a line that does not end
        text = R"({"jsonrpc":"2.0","id":1,"method":")" + std::string(100'000, 'x');
        break;
    default: // requests that fail
        text = R"({"jsonrpc":"2.0","id":1,"method":"swap","params":{"what":"nosuch","wait":"yes"}})"
               "\n"
               R"({"jsonrpc":"2.0","id":[1],"method":"stop"})"
               "\n";
    }
    (void)::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (random() % 2 == 0) { // waits for an answer, and does not read it
        pollfd polled{.fd = fd.get(), .events = POLLIN, .revents = 0};
        (void)::poll(&polled, 1, 50);
    }
}

// For scripts: the kernel has it, and probation is over.
TEST_F(SwapVm, StatusIsReadyWhenTheSchedulerIsGood) {
    const auto ready = [] { return HostProcess({"status", "--ready"}).wait(); };
    const std::unique_ptr<HostProcess> host = start({"--set", "swap.probation=1h"});
    EXPECT_EQ(wait_for_phase("probation").value("agrees", false), true);
    EXPECT_EQ(ready(), 1);
    EXPECT_EQ(swap({"simple", "--set", "swap.probation=0s", "--set", "slice=3ms"}).status, 0);
    wait_for_phase("good");
    EXPECT_EQ(ready(), 0);
    EXPECT_EQ(HostProcess({"stop"}).wait(), 0);
    wait_for_phase("stopped");
    EXPECT_EQ(ready(), 1);
    end(*host);
    EXPECT_EQ(ready(), 5);
}

TEST_F(SwapVm, BackAndForthUnderLoad) {
    const std::string other = has_qmap() ? "qmap" : kFaulty;
    const SwapLoad load(500);
    const auto host = start();
    std::size_t descriptors = 0;
    std::size_t resident = 0;
    std::size_t objects = 0;
    const int swaps = static_cast<int>(from_environment("SCX_TEST_SWAPS", 8)); // an even number
    for (int i = 0; i < swaps; ++i) {
        const std::string to = i % 2 == 0 ? other : "simple";
        const Answer answer = swap({to});
        ASSERT_EQ(answer.status, 0) << "swap " << i << ": " << answer.report << answer.err << host->err();
        EXPECT_EQ(answer.report.at("outcome"), "good");
        const auto enabled = host->next_event("enabled");
        ASSERT_TRUE(enabled);
        EXPECT_THAT(enabled->at("notes").dump(), Not(HasSubstr("ahead of the attach")));
        EXPECT_GT(answer.report.at("gap_ms").get<double>(), 0);
        EXPECT_GE(answer.report.at("tasks").get<int>(), 500);
        // Level from here on, with the same scheduler running; the one before may still be unloading.
        if (i + 1 == std::min(10, swaps / 4 * 2)) {
            descriptors = host->open_descriptors();
            resident = process_kib(host->pid(), "VmRSS");
            objects = count_bpf_objects();
        }
    }
    expect_runs("simple");
    EXPECT_TRUE(wait_until([&] { return host->open_descriptors() <= descriptors; }))
        << host->open_descriptors() << " descriptors, there were " << descriptors;
    EXPECT_LE(process_kib(host->pid(), "VmRSS"), resident + resident / 10);
    expect_bpf_objects(objects);
    EXPECT_GT(load.forks(), 0);
    EXPECT_EQ(load.failed_forks(), 0);
    end(*host);
}

// How the host itself ends, and comes close to it. In a boot of its own.
class EndingSwapVm : public SwapVm {};

class FailingSwapVm : public SwapVm, public testing::WithParamInterface<FailingSwap> {};

TEST_P(FailingSwapVm, LeavesTheGoodOneRunning) {
    write_text("/root/garbage.toml", "[scheduler]\nplugin = \"simple\"\nslize = 3\n");
    const Load load(0, 1); // somebody has to wake up, or no task is ever enqueued
    const auto host = start();
    const Answer answer = swap(GetParam().arguments);
    ASSERT_EQ(answer.status, GetParam().status) << answer.report << answer.err << host->out() << host->err();
    if (*GetParam().outcome == '\0') {
        EXPECT_THAT(answer.err, HasSubstr(GetParam().message));
    } else {
        EXPECT_EQ(answer.report.value("outcome", ""), GetParam().outcome) << answer.report;
        EXPECT_THAT(answer.report.at("error").value("message", ""), HasSubstr(GetParam().message));
        EXPECT_THAT(answer.report.value("running", ""), StartsWith("simple"));
    }
    expect_runs("simple");
    end(*host);
}

std::vector<std::string> faulty(std::vector<std::string> settings) {
    std::vector<std::string> result = {kFaulty, "--set", "swap.probation=1h", "--set", "after=2"};
    for (const std::string& setting : settings)
        result.insert(result.end(), {"--set", setting});
    return result;
}

INSTANTIATE_TEST_SUITE_P(
    Each, FailingSwapVm,
    testing::Values(
        FailingSwap{"ConfigError", {"/root/garbage.toml"}, 2, "", "slize"},
        FailingSwap{"MissingPlugin", {"nosuch"}, 2, "refused", "nosuch"},
        FailingSwap{"WrongOption", {"simple", "--set", "nosuch=1"}, 2, "refused", "nosuch"},
        FailingSwap{"VerifierRefusal", {"/root/refused.bpf.o"}, 1, "refused", "refused program"},
        FailingSwap{"ThrowsInCreate", faulty({"throws=create"}), 2, "refused", "faulty throws in create"},
        FailingSwap{"ThrowsInConfigure", faulty({"throws=configure"}), 2, "refused", "throws in configure"},
        FailingSwap{"ThrowsInLoaded", faulty({"throws=loaded"}), 2, "refused", "throws in loaded"},
        FailingSwap{"Init", faulty({"fault=init"}), 1, "rolled-back", "init"},
        FailingSwap{"InitTask", faulty({"fault=init_task"}), 1, "rolled-back", "init_task"},
        FailingSwap{"ErrorAtOnce", faulty({"fault=error", "after=0"}), 1, "rolled-back", "faulty: error after"},
        FailingSwap{"ErrorOnProbation", faulty({"fault=error"}), 1, "rolled-back", "faulty: error after"},
        FailingSwap{"MisuseOnProbation", faulty({"fault=misuse"}), 1, "rolled-back", "ERROR"},
        FailingSwap{"StallOnProbation", faulty({"fault=stall", "timeout=2s"}), 1, "rolled-back", "ERROR_STALL"},
        FailingSwap{"ExitOnProbation", faulty({"fault=exit"}), 1, "rolled-back", "faulty: leaving"}),
    [](const auto& failure) { return std::string(failure.param.description); });

TEST_F(SwapVm, SlabTooSmallForTheTasks) {
    if (!has_qmap())
        GTEST_SKIP() << "qmap does not run on this kernel";
    const auto host = start();
    const Answer answer = swap({"qmap", "--set", "max_tasks=10"});
    EXPECT_EQ(answer.status, 1);
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report;
    EXPECT_THAT(answer.report.at("error").value("message", ""), HasSubstr("slab exhausted (max_tasks=10)"));
    expect_runs("simple");
    // Its incident, which is recorded by the time the answer comes, has its own numbers.
    HostProcess show({"incidents", "show", "--json"});
    EXPECT_EQ(show.wait(), 0) << show.err();
    const auto shown = nlohmann::json::parse(show.out(), nullptr, false);
    ASSERT_TRUE(shown.is_object() && shown.contains("incident")) << show.out();
    const nlohmann::json& record = shown.at("incident");
    EXPECT_EQ(record.at("scheduler"), "qmap");
    EXPECT_EQ(record.at("statistics").at("capacity"), 10) << record.at("statistics");
    // With other options the same build is another matter.
    EXPECT_EQ(swap({"qmap"}).status, 0);
    expect_runs("qmap");
    end(*host);
}

// Two preparations of one request are under way at once: the later one counts, whatever becomes of the earlier one.
TEST_F(SwapVm, ResumeStopResume) {
    const auto host = start();
    for (int i = 0; i < 5; ++i) {
        const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "/run/scxhost/control.sock"};
        ASSERT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        std::string calls;
        for (const char* method : {"stop", "resume", "stop", "resume"})
            calls += nlohmann::json{{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}}.dump() + "\n";
        ASSERT_EQ(::send(fd.get(), calls.data(), calls.size(), 0), static_cast<ssize_t>(calls.size()));
        ASSERT_TRUE(host->next_event("enabled")) << host->err();
        wait_for_phase("good");
        expect_runs("simple");
    }
    end(*host);
}

// Its watchdog comes long after probation is over. Until then it has done nothing wrong by its exit record, but runs
// nothing, the host's own thread included: it is not good.
TEST_F(SwapVm, OneThatRunsNothingDoesNotBecomeGood) {
    const Load load(0, 1); // somebody has to wake up, or no task is ever enqueued
    const auto host = start();
    const Answer answer = swap(
        {kFaulty, "--set", "fault=stall", "--set", "after=1", "--set", "timeout=5s", "--set", "swap.probation=1s"});
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
    EXPECT_TRUE(host->next_event("starving")) << host->out();
    expect_runs("simple");
    end(*host);
}

// A record that could not be written is none to be shown; then the dump is printed.
TEST_F(SwapVm, OnlyARecordThatWasWrittenIsReferredTo) {
    const auto error_of_failed_swap = [](const std::string& folder) {
        const auto host = start({"--set", "incidents.dir=" + folder});
        HostProcess command({"swap", kFaulty, "--set", "fault=init"});
        EXPECT_EQ(command.wait(), 1) << command.err();
        end(*host);
        return command.err();
    };
    const std::string reference = "incidents show has the kernel's dump";
    EXPECT_THAT(error_of_failed_swap("/var/lib/scxhost/incidents"), HasSubstr(reference));
    EXPECT_THAT(error_of_failed_swap("/proc/nowhere"),
                AllOf(HasSubstr("faulty: init refuses"), Not(HasSubstr(reference))));
}

// What a plugin does wrong once its scheduler runs is told; the scheduler is none the worse for it.
TEST_F(SwapVm, ThrowingPluginIsTolerated) {
    for (const std::string where : {"attached", "tick", "detaching"}) {
        const auto host = start();
        ASSERT_EQ(swap({kFaulty, "--set", "throws=" + where}).status, 0) << host->err();
        expect_runs("faulty");
        ASSERT_TRUE(host->next_event("enabled")) << host->out();
        ASSERT_TRUE(host->next_event("statistics")) << host->out(); // a tick has passed
        EXPECT_EQ(swap({"simple"}).status, 0);
        expect_runs("simple");
        end(*host);
        EXPECT_THAT(host->err(), HasSubstr("faulty throws in " + where));
    }
}

TEST_F(SwapVm, ErrorAfterProbationLoadsTheLastGoodOne) {
    const auto host = start();
    // Good at once, since there is no probation; the error comes after that.
    EXPECT_EQ(swap({kFaulty, "--set", "fault=error", "--set", kSoon}).status, 0);
    ASSERT_TRUE(host->next_event("left")) << host->out();
    ASSERT_TRUE(host->next_event("enabled")) << host->out() << host->err();
    const nlohmann::json now = wait_for_phase("good");
    EXPECT_EQ(now.at("quarantine").size(), 1U) << now;
    expect_runs("simple");
    // What failed is not taken again, unless somebody insists. With other options it is another thing.
    const Answer again = swap({kFaulty, "--set", "fault=error", "--set", kSoon});
    EXPECT_EQ(again.status, 1);
    EXPECT_EQ(again.report.value("outcome", ""), "refused") << again.report;
    EXPECT_EQ(swap({kFaulty}).status, 0);
    EXPECT_EQ(swap({kFaulty, "--set", "fault=error", "--set", kSoon, "--force"}).status, 0);
    end(*host);
}

// The kernel ends what runs after the host has last looked, and before the window: in the old one's detaching(). That
// is an ejection as at any other time.
class EjectedInSwapVm : public SwapVm {
protected:
    static std::unique_ptr<HostProcess> start() {
        auto host = SwapVm::start({"--set", "fault=detaching", "--set", "host.fallback=[\"simple\"]"}, kFaulty);
        wait_for_phase("good");
        return host;
    }

    static void expect_told(HostProcess& host) {
        const auto left = host.next_event("left");
        ASSERT_TRUE(left) << host.out();
        EXPECT_EQ(left->at("exit").at("kind"), "ERROR_BPF");
        EXPECT_THAT(left->at("exit").at("message").get<std::string>(), HasSubstr("error while detaching"));
        const auto incident = host.next_event("incident");
        ASSERT_TRUE(incident) << host.out();
        const auto record = nlohmann::json::parse(read_text(incident->at("path").get<std::string>()));
        EXPECT_THAT(record.at("exit").value("message", ""), HasSubstr("error while detaching"));
    }
};

TEST_F(EjectedInSwapVm, ItIsToldAndQuarantinedAndNoneToGoBackTo) {
    const auto host = start();
    const Answer answer = swap({"simple"});
    EXPECT_EQ(answer.report.value("outcome", ""), "good") << answer.report << answer.err;
    expect_told(*host);
    const nlohmann::json now = wait_for_phase("good");
    EXPECT_EQ(now.at("quarantine").size(), 1U) << now;
    EXPECT_EQ(now.at("last_good"), nullptr) << now;
    expect_runs("simple");
    end(*host);
}

TEST_F(EjectedInSwapVm, AFailedSwapDoesNotGoBackToIt) {
    const auto host = start();
    const Answer answer = swap({kFaulty, "--set", "fault=init"});
    EXPECT_EQ(answer.status, 1) << answer.report << answer.err;
    expect_told(*host);
    const nlohmann::json now = wait_for_phase("good");
    EXPECT_EQ(now.at("quarantine").size(), 2U) << now;
    expect_runs("simple"); // the fallback
    end(*host);
}

TEST_F(SwapVm, FallbackRunsWhenNothingGoodIsLeft) {
    const auto host = start({"--set", "fault=error", "--set", kSoon, "--set", "host.fallback=[\"nosuch\", \"simple\"]",
                             "--set", "restart.delay=10ms"},
                            kFaulty);
    ASSERT_TRUE(host->next_event("left")) << host->out();
    ASSERT_TRUE(host->next_event("prepare-failed")) << host->out();
    ASSERT_TRUE(host->next_event("enabled")) << host->out() << host->err();
    expect_runs("simple");
    end(*host);
}

TEST_F(SwapVm, WhenTheFallbacksFailTooTheHostStandsDown) {
    const auto host = start({"--set", "fault=error", "--set", kSoon, "--set", "host.fallback=[\"nosuch\", \"neither\"]",
                             "--set", "restart.delay=10ms"},
                            kFaulty);
    ASSERT_TRUE(host->next_event("left")) << host->out();
    const auto down = host->next_event("stood-down");
    ASSERT_TRUE(down) << host->out();
    EXPECT_EQ(down->at("reason"), "nothing-left");
    EXPECT_TRUE(on_its_own_scheduler());
    // A new request is all that it takes.
    EXPECT_EQ(swap({"simple"}).status, 0);
    expect_runs("simple");
    end(*host);
}

TEST_F(SwapVm, RestartIsGrantedThenLimited) {
    const auto host = start(
        {"--set", "fault=restart", "--set", kSoon, "--set", "restart.limit=2", "--set", "restart.delay=10ms"}, kFaulty);
    EXPECT_TRUE(host->next_event("enabled")) << host->out();
    EXPECT_TRUE(host->next_event("enabled")) << host->out();
    const auto down = host->next_event("stood-down");
    ASSERT_TRUE(down) << host->out();
    EXPECT_EQ(down->at("reason"), "nothing-left");
    EXPECT_EQ(status().at("phase"), "stood-down");
    end(*host);
}

TEST_F(SwapVm, SysrqStandsDownUntilResumed) {
    const auto host = start();
    write_text("/proc/sysrq-trigger", "S");
    ASSERT_TRUE(host->next_event("stood-down")) << host->out();
    EXPECT_TRUE(on_its_own_scheduler());
    EXPECT_EQ(status().at("stood_down").at("reason"), "operator");
    EXPECT_EQ(HostProcess({"resume"}).wait(), 0);
    wait_for_phase("good");
    expect_runs("simple");
    end(*host);
}

TEST_F(SwapVm, ForeignSchedulerIsLeftAlone) {
    const auto host = start();
    EXPECT_EQ(HostProcess({"stop"}).wait(), 0);
    EXPECT_TRUE(on_its_own_scheduler());
    HostProcess foreign({"run", kFaulty, "--json", "--set", kOtherSocket});
    ASSERT_TRUE(foreign.wait_for_event("enabled")) << foreign.err();
    const nlohmann::json differing = status();
    EXPECT_EQ(differing.at("agrees"), false);
    EXPECT_EQ(differing.at("scheduler"), nullptr);
    EXPECT_THAT(differing.at("kernel").value("ops", ""), StartsWith("faulty"));
    HostProcess shown({"status"});
    EXPECT_EQ(shown.wait(), 0);
    EXPECT_THAT(shown.out(), HasSubstr("none of this host's"));
    EXPECT_THAT(shown.out(), HasSubstr("enabled: faulty"));
    EXPECT_THAT(shown.out(), HasSubstr("they differ"));
    const Answer answer = swap({"simple"});
    EXPECT_EQ(answer.status, 1);
    EXPECT_THAT(answer.report.at("error").value("message", ""), HasSubstr("faulty"));
    EXPECT_THAT(answer.report.at("error").value("hint", ""),
                HasSubstr(fmt::format("is held by scxhost (pid {})", foreign.pid())));
    const nlohmann::json now = status();
    EXPECT_EQ(now.at("stood_down").at("reason"), "foreign") << now;
    EXPECT_THAT(kernel_status().ops.value_or(""), StartsWith("faulty"));
    end(foreign);
    EXPECT_EQ(HostProcess({"resume"}).wait(), 0);
    wait_for_phase("good");
    expect_runs("simple");
    end(*host);
}

// As `bpftool link detach` does it: by the number that every link has.
void detach_somebody_elses_link() {
    for (std::uint32_t id = 0; ::bpf_link_get_next_id(id, &id) == 0;) {
        const UniqueFd link(::bpf_link_get_fd_by_id(id));
        bpf_link_info info{};
        std::uint32_t size = sizeof info;
        if (link && ::bpf_link_get_info_by_fd(link.get(), &info, &size) == 0 && info.type == BPF_LINK_TYPE_STRUCT_OPS) {
            EXPECT_EQ(::bpf_link_detach(link.get()), 0);
            return;
        }
    }
    ADD_FAILURE() << "there is no struct_ops link";
}

TEST_F(SwapVm, TakeoverBySomebodyElseIsToldAndLeftAlone) {
    const auto host = start();
    host->signal(SIGSTOP); // or it would be faster
    detach_somebody_elses_link();
    HostProcess foreign({"run", kFaulty, "--json", "--set", kOtherSocket});
    ASSERT_TRUE(foreign.wait_for_event("enabled")) << foreign.err();
    host->signal(SIGCONT);
    const auto down = host->next_event("stood-down");
    ASSERT_TRUE(down) << host->out();
    EXPECT_EQ(down->at("reason"), "foreign") << host->out();
    EXPECT_THAT(kernel_status().ops.value_or(""), StartsWith("faulty"));
    end(foreign);
    EXPECT_EQ(swap({"simple"}).status, 0);
    expect_runs("simple");
    end(*host);
}

// The other one comes while ours is on its way back.
TEST_F(SwapVm, WhoComesAfterADetachIsToldAndLeftAlone) {
    // The first restart comes at once: so it has been used.
    const auto host = start({"--set", "restart.delay=1h", "--set", "restart.max_delay=1h"});
    detach_somebody_elses_link();
    ASSERT_TRUE(host->next_event("enabled")) << host->out();
    detach_somebody_elses_link();
    ASSERT_TRUE(host->next_event("waiting")) << host->out();
    EXPECT_TRUE(on_its_own_scheduler());
    HostProcess foreign({"run", kFaulty, "--json", "--set", kOtherSocket});
    ASSERT_TRUE(foreign.wait_for_event("enabled")) << foreign.err();
    const auto replaced = host->next_event("replaced");
    ASSERT_TRUE(replaced) << host->out();
    EXPECT_THAT(replaced->value("by", ""), StartsWith("faulty"));
    const auto down = host->next_event("stood-down");
    ASSERT_TRUE(down) << host->out();
    EXPECT_EQ(down->at("reason"), "foreign");
    EXPECT_THAT(down->value("message", ""), HasSubstr("somebody else's scheduler runs: faulty"));
    const nlohmann::json now = status();
    EXPECT_EQ(now.at("agrees"), true) << now;
    EXPECT_THAT(now.at("stood_down").value("message", ""), HasSubstr("faulty"));
    // Who asks for one of ours hears whose end that takes.
    const Answer answer = swap({"simple"});
    EXPECT_EQ(answer.status, 1);
    EXPECT_THAT(answer.report.at("error").value("hint", ""),
                HasSubstr("is held by scxhost (pid " + std::to_string(foreign.pid()) + "): end that first"));
    end(foreign);
    end(*host);
}

TEST_F(SwapVm, DetachedBySomebodyItComesBack) {
    const auto host = start({"--set", "host.fallback=[\"simple\"]"});
    detach_somebody_elses_link();
    ASSERT_TRUE(host->next_event("left")) << host->out();
    ASSERT_TRUE(host->next_event("enabled")) << host->out() << host->err();
    expect_runs("simple");
    end(*host);
}

TEST_F(SwapVm, CpuHotplugLoadsItAnewWithoutPenalty) {
    const auto host = start();
    {
        const CpuAway away;
        const auto left = host->next_event("left");
        ASSERT_TRUE(left) << host->out();
        EXPECT_EQ(left->at("exit").at("kind"), "UNREG_KERN");
        ASSERT_TRUE(host->next_event("enabled")) << host->out() << host->err();
        expect_runs("simple");
    }
    ASSERT_TRUE(host->next_event("left")) << host->out();
    ASSERT_TRUE(host->next_event("enabled")) << host->out() << host->err();
    const nlohmann::json now = wait_for_phase("good");
    EXPECT_EQ(now.at("recent_failures"), 0);
    end(*host);
}

TEST_F(SwapVm, CpuHotplugWhileOneIsKept) {
    if (!has_qmap())
        GTEST_SKIP() << "qmap handles hotplug itself, and does not run on this kernel";
    const auto host = start({"--set", "stats.interval=24h"}); // only the kernel's event says it
    HostProcess command({"swap", "qmap", "--set", "swap.probation=1h", "--no-wait"});
    EXPECT_EQ(command.wait(), 0) << command.err();
    ASSERT_TRUE(host->next_event("enabled")) << host->out() << host->err();
    {
        const CpuAway away;
        const auto anew = host->next_event("preparing");
        ASSERT_TRUE(anew) << host->out() << host->err();
        EXPECT_THAT(anew->value("scheduler", ""), HasSubstr("simple"));
        // Whatever the policy does about it: something good runs, for the topology that is there now.
        EXPECT_EQ(swap({"simple"}).status, 0) << host->out() << host->err();
        expect_runs("simple");
    }
    ASSERT_TRUE(host->next_event("left")) << host->out();
    wait_for_phase("good");
    end(*host);
}

TEST_F(SwapVm, CpuHotplugWhileOneIsPrepared) {
    const auto host = start();
    HostProcess command({"swap", kFaulty, "--json"});
    ASSERT_TRUE(host->next_event("preparing")) << host->out();
    {
        // What is being loaded now is for the CPUs that there were.
        const CpuAway away;
        EXPECT_EQ(command.wait(), 0) << command.out() << command.err() << host->out();
        expect_runs("faulty");
    }
    wait_for_phase("good");
    end(*host);
}

// As soon as a window is seen to be open a CPU goes, and comes back. The kernel may make it wait, or refuse the new
// scheduler, or eject it: in the end it runs.
TEST_F(SwapVm, CpuHotplugInTheWindow) {
    const auto host = start();
    std::atomic<int> windows = 0;
    std::jthread hotplug([&windows](const std::stop_token& stop) {
        const auto enabled = [] { return read_text("/sys/kernel/sched_ext/state") == "enabled\n"; };
        while (!stop.stop_requested()) {
            if (enabled())
                continue;
            {
                const CpuAway away;
                ++windows;
            }
            while (!enabled() && !stop.stop_requested())
                std::this_thread::sleep_for(1ms); // once for each window
        }
    });
    for (int i = 0; i < 4; ++i) {
        const Answer answer = swap({i % 2 == 0 ? kFaulty : "simple"});
        EXPECT_EQ(answer.report.value("outcome", ""), "good") << answer.report << answer.err << host->out();
    }
    hotplug = {};
    EXPECT_GT(windows, 0);
    EXPECT_TRUE(wait_until([] {
        const nlohmann::json now = status();
        return now.at("phase") == "good" && now.at("agrees") == true && now.at("kernel").at("state") == "enabled";
    })) << status();
    expect_runs("simple");
    end(*host);
}

TEST_F(SwapVm, ChangedConfigurationIsFollowed) {
    write_config("plugin = \"simple\"");
    const auto host = start({}, kConfig);
    write_config("plugin = \"simple\"\n[scheduler.options]\nfifo = true");
    ASSERT_TRUE(host->next_event("config-changed")) << host->out();
    const auto enabled = host->next_event("enabled");
    ASSERT_TRUE(enabled) << host->out() << host->err();
    EXPECT_EQ(enabled->at("options").at("fifo"), "true");

    write_text(kConfig, "garbage");
    ASSERT_TRUE(host->next_event("config-refused")) << host->out();
    expect_runs("simple");
    write_text(kConfig, "[scheduler]\nplugin = \"sim");
    ASSERT_TRUE(host->next_event("config-refused")) << host->out();
    std::filesystem::remove(kConfig);
    ASSERT_TRUE(host->next_event("config-refused")) << host->out();
    expect_runs("simple");
    write_config("plugin = \"simple\"");
    ASSERT_TRUE(host->next_event("enabled")) << host->out() << host->err();
    ASSERT_TRUE(host->next_event("settled"));

    // SIGHUP, and swap without a name, read it again. What runs already stays as it is, unless somebody insists.
    const std::uint64_t enable_seq = kernel_status().enable_seq;
    host->signal(SIGHUP);
    const auto settled = host->next_event("settled");
    ASSERT_TRUE(settled) << host->out() << host->err();
    EXPECT_EQ(settled->value("outcome", ""), "unchanged") << *settled;
    EXPECT_EQ(swap({}).status, 0);
    EXPECT_EQ(kernel_status().enable_seq, enable_seq);
    EXPECT_EQ(swap({"--force"}).report.value("outcome", ""), "good");
    EXPECT_EQ(kernel_status().enable_seq, enable_seq + 1);
    expect_runs("simple");
    end(*host);
}

// Edit, then reload: one swap, and the reload has its answer, whether it or the file's watcher is first.
TEST_F(SwapVm, ReloadRightAfterAChangeIsNotOvertaken) {
    write_config("plugin = \"simple\"");
    const auto host = start({}, kConfig);
    const auto reload = [](ControlClient& client) {
        const auto report = client.call("swap", nlohmann::json::object(), std::nullopt);
        ASSERT_TRUE(report) << report.error().what;
        EXPECT_EQ(report->value("outcome", ""), "good") << *report;
    };
    auto first = ControlClient::connect("/run/scxhost/control.sock");
    auto second = ControlClient::connect("/run/scxhost/control.sock");
    ASSERT_TRUE(first && second);
    const std::uint64_t before = kernel_status().enable_seq;
    write_config("plugin = \"simple\"\n[scheduler.options]\nfifo = true");
    std::jthread other([&] { reload(*second); });
    reload(*first);
    other.join();
    std::this_thread::sleep_for(1s); // longer than a file has to settle
    EXPECT_EQ(kernel_status().enable_seq, before + 1);
    end(*host);
}

TEST_F(SwapVm, SettingsBelongToTheSchedulerThatRuns) {
    write_config("plugin = \"simple\"", "[host]\nfallback = [\"simple\"]\n");
    const auto host = start({}, kConfig);
    const auto fallback = nlohmann::json::array({"simple"});
    EXPECT_EQ(status().at("fallback"), fallback);
    // A name leaves the rest as it is.
    EXPECT_EQ(swap({kFaulty}).status, 0);
    EXPECT_EQ(status().at("fallback"), fallback);
    // A file brings its own, and takes it along when it goes.
    write_text("/root/other.toml",
               fmt::format("[scheduler]\nplugin = \"faulty\"\n[scheduler.options]\nfault = \"error\"\n"
                           "after = 50\n[host]\nplugin_dirs = [\"/root\"]\n"
                           "[swap]\nprobation = \"1h\"\n"));
    HostProcess command({"swap", "/root/other.toml", "--no-wait"});
    EXPECT_EQ(command.wait(), 0) << command.err();
    ASSERT_TRUE(host->next_event("enabled"));
    ASSERT_TRUE(host->next_event("enabled")) << host->out();
    EXPECT_EQ(status().at("fallback"), nlohmann::json::array());
    ASSERT_TRUE(host->next_event("left")) << host->out();
    ASSERT_TRUE(host->next_event("enabled")) << host->out();
    wait_for_phase("good");
    EXPECT_EQ(status().at("fallback"), fallback);
    end(*host);
}

TEST_F(EndingSwapVm, KilledHostIsPutRightByTheNextOne) {
    {
        const auto host = start();
        EXPECT_EQ(swap({kFaulty, "--no-wait", "--set", "swap.probation=1h"}).status, 0);
        ASSERT_TRUE(host->next_event("enabled")) << host->out() << host->err();
        host->signal(SIGKILL);
        EXPECT_EQ(host->wait(), 128 + SIGKILL);
    }
    EXPECT_TRUE(on_its_own_scheduler());
    // As if it had died inside its window.
    write_text(kRcuNote, "0");
    write_text(kExpedited, "1");
    ASSERT_EQ(read_text(kExpedited), "1\n");
    const auto host = start();
    EXPECT_TRUE(host->wait_for_event("rcu-restored")) << host->out();
    EXPECT_EQ(read_text(kExpedited), "0\n");
    expect_runs("simple");
    end(*host);
}

TEST_F(EndingSwapVm, KilledAtAnyTimeItLeavesNothing) {
    if (kernel_release().starts_with("6.16."))
        GTEST_SKIP() << "6.16 crashes when a process is killed in its attach call (docs/kernel-support.md)";
    HostProcess({"run", "simple", "--for", "100ms"}).wait();
    const std::size_t objects = count_bpf_objects();
    for (int i = 0; i < 8; ++i) {
        const auto host = start();
        HostProcess command({"swap", kFaulty, "--json"});
        if (i % 2 == 1) {
            EXPECT_TRUE(host->next_event("preparing")) << host->out();
        }
        std::this_thread::sleep_for(i * 40ms);
        host->signal(SIGKILL);
        EXPECT_EQ(host->wait(), 128 + SIGKILL);
        (void)command.wait(); // its end does not depend on the host's
        EXPECT_TRUE(wait_until([] { return bool(on_its_own_scheduler()); }));
    }
    end(*start());
    expect_bpf_objects(objects);
}

// As soon as the window is seen to be open. A host that dies while it has RCU expedited leaves a note, and the next one
// sees to it.
TEST_F(EndingSwapVm, KilledInItsWindowItLeavesNothing) {
    bool left_a_note = false;
    for (int i = 0; i < 12 && !left_a_note; ++i) {
        const auto host = start();
        HostProcess command({"swap", kFaulty, "--json"});
        ASSERT_TRUE(host->next_event("preparing")) << host->out();
        const UniqueFd state(::open("/sys/kernel/sched_ext/state", O_RDONLY | O_CLOEXEC));
        char text[16];
        while (::pread(state.get(), text, sizeof text, 0) > 0 && std::string_view(text).starts_with("enabled"))
            continue;
        host->signal(SIGKILL);
        EXPECT_EQ(host->wait(), 128 + SIGKILL);
        (void)command.wait();
        EXPECT_TRUE(wait_until([] { return bool(on_its_own_scheduler()); }));
        left_a_note = std::filesystem::exists(kRcuNote);
        EXPECT_EQ(read_text(kExpedited), left_a_note ? "1\n" : "0\n");
    }
    EXPECT_TRUE(left_a_note);
    const auto next = start();
    EXPECT_TRUE(next->wait_for_event("rcu-restored")) << next->out();
    EXPECT_EQ(read_text(kExpedited), "0\n");
    end(*next);
}

TEST_F(EndingSwapVm, EndsCleanlyWhilePreparingAndOnProbation) {
    {
        const auto host = start();
        HostProcess command({"swap", kFaulty, "--json"});
        ASSERT_TRUE(host->next_event("preparing")) << host->out();
        end(*host);
        EXPECT_NE(command.wait(), 0); // the host is gone, and with it the answer
        EXPECT_TRUE(on_its_own_scheduler());
    }
    const auto host = start();
    EXPECT_EQ(HostProcess({"swap", kFaulty, "--no-wait", "--set", "swap.probation=1h"}).wait(), 0);
    ASSERT_TRUE(host->next_event("enabled")) << host->out() << host->err();
    wait_for_phase("probation");
    end(*host);
}

// Whether the preparation or the stop is faster: the operator's last word holds.
TEST_F(SwapVm, StopWhilePreparingHolds) {
    const auto host = start();
    HostProcess command({"swap", kFaulty, "--json"});
    ASSERT_TRUE(host->next_event("preparing")) << host->out();
    EXPECT_EQ(HostProcess({"stop"}).wait(), 0);
    const int status = command.wait();
    const std::string outcome = nlohmann::json::parse(command.out()).value("outcome", "");
    EXPECT_EQ(outcome, status == 0 ? "good" : "superseded") << command.out();
    EXPECT_EQ(wait_for_phase("stopped").at("preparing"), nullptr);
    EXPECT_TRUE(on_its_own_scheduler());
    EXPECT_EQ(HostProcess({"resume"}).wait(), 0);
    wait_for_phase("good");
    end(*host);
}

TEST_F(SwapVm, MetricsCountWhatHappened) {
    const auto host = start();
    ASSERT_EQ(swap({kFaulty}).status, 0);
    ASSERT_EQ(swap({"simple", "--set", "fifo=true"}).status, 0);
    ASSERT_EQ(swap({"none-of-this-name"}).status, 2);
    ASSERT_EQ(swap({kFaulty, "--set", "fault=init"}).status, 1);
    const nlohmann::json kernel = status().at("kernel");
    HostProcess metrics({"metrics"});
    EXPECT_EQ(metrics.wait(), 0) << metrics.err();
    for (const std::string& line : {
             std::string("scxhost_phase{seat=\"machine\",scxhost_phase=\"good\"} 1"),
             std::string("scxhost_kernel_agrees{seat=\"machine\"} 1"),
             std::string("scxhost_swaps_total{seat=\"machine\",outcome=\"good\"} 3"), // with the start
             std::string("scxhost_swaps_total{seat=\"machine\",outcome=\"rolled-back\"} 1"),
             std::string("scxhost_swap_gap_seconds_count{seat=\"machine\"} 2"),
             std::string("scxhost_failures_total{seat=\"machine\"} 1"),
             std::string("scxhost_quarantined_builds{seat=\"machine\"} 1"),
             std::string("scxhost_scheduler_running_seconds{seat=\"machine\",scheduler=\"simple\"} "),
             std::string("scxhost_stats_queued_total{seat=\"machine\",scheduler=\"simple\"} "),
             "kernel=\"" + kernel.value("release", "") + "\"",
         })
        EXPECT_THAT(metrics.out(), HasSubstr(line));
    // Where this kernel counts events at all, each of them is there.
    const std::string& text = metrics.out();
    const auto events = std::ranges::count(std::filesystem::exists("/sys/kernel/sched_ext/root/events")
                                               ? read_text("/sys/kernel/sched_ext/root/events")
                                               : std::string(),
                                           '\n');
    std::ptrdiff_t counted = 0;
    for (std::size_t at = 0;
         (at = text.find("\nscxhost_kernel_events_total{seat=\"machine\",scheduler=\"simple\",event=\"SCX_EV_", at)) !=
         std::string::npos;
         ++at)
        ++counted;
    EXPECT_EQ(counted, events);
    EXPECT_TRUE(text.ends_with("\n# EOF\n")) << text;
    end(*host);
}

TEST_F(SwapVm, CommandsFollowWhatHappens) {
    const auto host = start();
    HostProcess events({"events", "--follow", "--json"});
    HostProcess watch({"stats", "--watch", "--interval", "50ms", "--json"});
    ASSERT_TRUE(events.wait_for_event("enabled")) << events.err(); // the first one, from what was kept
    const auto readings_of = [](const std::string& scheduler) {
        return [scheduler](const std::string& out) {
            return out.find("\"scheduler\":\"" + scheduler) != out.rfind("\"scheduler\":\"" + scheduler);
        };
    };
    EXPECT_TRUE(watch.wait_for_output(readings_of("simple"))) << watch.err();
    EXPECT_EQ(swap({kFaulty}).status, 0);
    const auto settled = events.wait_for_event("settled");
    ASSERT_TRUE(settled) << events.out();
    EXPECT_THAT(settled->value("to", ""), StartsWith("simple")); // of the start itself
    EXPECT_TRUE(events.wait_for_output([](const std::string& out) {
        return out.find("\"to\":\"faulty") != std::string::npos &&
               out.find("\"outcome\":\"good\"") != std::string::npos;
    })) << events.out();
    EXPECT_TRUE(watch.wait_for_output(readings_of("faulty"))) << watch.err();
    end(*host);
    EXPECT_EQ(events.wait(), 5) << events.err(); // nobody is there any more
    EXPECT_EQ(watch.wait(), 5) << watch.err();
}

// No more address space than it has: whatever is loaded beside the running one fails, the running one stays.
TEST_F(EndingSwapVm, OutOfMemoryTouchesNothing) {
    const auto host = start();
    const rlimit tight{.rlim_cur = process_kib(host->pid(), "VmSize") << 10U, .rlim_max = RLIM_INFINITY};
    ASSERT_EQ(::prlimit(host->pid(), RLIMIT_AS, &tight, nullptr), 0);
    const Answer answer = swap({kFaulty});
    EXPECT_NE(answer.status, 0);
    // There may be no room for the thread that reads the request's configuration, or else for what it names.
    EXPECT_THAT(answer.report.value("outcome", "") + answer.err,
                testing::AnyOf(testing::StartsWith("refused"), HasSubstr("cannot start a thread")));
    expect_runs("simple");
    const rlimit wide{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    ASSERT_EQ(::prlimit(host->pid(), RLIMIT_AS, &wide, nullptr), 0);
    EXPECT_EQ(swap({kFaulty}).status, 0);
    end(*host);
}

// Garbage, floods, lines that do not end, clients that vanish, of somebody whom an administrator let in: swaps go on,
// since root is served first.
TEST_F(SwapVm, HostileClientsDoNotMatter) {
    const auto host = start();
    ASSERT_EQ(::chmod("/run/scxhost", 0755), 0);
    ASSERT_EQ(::chmod("/run/scxhost/control.sock", 0666), 0);
    Children clients;
    for (int i = 0; i < 2; ++i)
        clients.start([](Board& board, std::size_t index) {
            if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)
                return;
            std::minstd_rand random(static_cast<unsigned>(index) + 1);
            for (;; ++board.work[index])
                misbehave(random);
        });
    ASSERT_TRUE(wait_until([&] { return clients.board().work[0] > 100 && clients.board().work[1] > 100; }));
    for (int i = 0; i < 6; ++i) {
        const Answer answer = swap({i % 2 == 0 ? kFaulty : "simple"});
        EXPECT_EQ(answer.report.value("outcome", ""), "good") << answer.report << answer.err << host->err();
    }
    expect_runs("simple");
    clients.end_all();
    end(*host);
}

TEST_F(EndingSwapVm, OutOfDescriptorsTouchesNothing) {
    const auto host = start();
    const rlimit tight{.rlim_cur = host->open_descriptors() + 6, .rlim_max = 4096};
    ASSERT_EQ(::prlimit(host->pid(), RLIMIT_NOFILE, &tight, nullptr), 0);
    const Answer answer = swap({"simple"});
    EXPECT_NE(answer.status, 0);
    EXPECT_EQ(answer.report.value("outcome", ""), "refused") << answer.report << answer.err;
    expect_runs("simple");
    const rlimit wide{.rlim_cur = 4096, .rlim_max = 4096};
    ASSERT_EQ(::prlimit(host->pid(), RLIMIT_NOFILE, &wide, nullptr), 0);
    EXPECT_EQ(swap({"simple"}).status, 0);
    end(*host);
}

TEST_F(SwapVm, SecondHostNamesTheFirst) {
    const auto host = start();
    HostProcess second({"run", "simple"});
    EXPECT_EQ(second.wait(), 1);
    EXPECT_THAT(second.err(), HasSubstr(std::to_string(host->pid())));
    end(*host);
}

TEST_F(EndingSwapVm, IncidentIsRecordedEvenWhenItIsTheHostsEnd) {
    std::filesystem::remove_all("/var/lib/scxhost/incidents");
    HostProcess host({"run", kFaulty, "--json", "--set", "fault=error", "--set", "after=2"});
    EXPECT_EQ(host.wait(), 1);
    const auto incident = host.wait_for_event("incident");
    ASSERT_TRUE(incident) << host.out() << host.err();
    const nlohmann::json record = nlohmann::json::parse(read_text(incident->at("path").get<std::string>()));
    EXPECT_EQ(record.at("scheduler"), "faulty");
    EXPECT_EQ(record.at("exit").at("kind"), "ERROR_BPF");
    EXPECT_NE(record.at("exit").at("dump"), "");
    EXPECT_EQ(record.at("options").at("fault"), "\"error\""); // as TOML has it
    EXPECT_THAT(record.at("kernel_log").get<std::string>(), HasSubstr("sched_ext"));
}

TEST_F(SwapVm, SocketIsNobodyElses) {
    const auto host = start();
    struct stat info{};
    ASSERT_EQ(::stat("/run/scxhost/control.sock", &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600U);
    EXPECT_EQ(info.st_uid, 0U);
    const pid_t child = ::fork();
    if (child == 0) {
        std::freopen("/tmp/nobody.err", "w", stderr);
        if (::setgid(65534) != 0 || ::setuid(65534) != 0)
            std::_Exit(126);
        ::execlp("scxhost", "scxhost", "status", nullptr);
        std::_Exit(127);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 4);
    EXPECT_THAT(read_text("/tmp/nobody.err"), HasSubstr("control.group"));
    end(*host);
}

TEST_F(SwapVm, WithoutAHostCommandsSaySo) {
    for (const char* command : {"status", "stats", "swap", "stop", "resume", "events"}) {
        HostProcess process({command});
        EXPECT_EQ(process.wait(), 5) << command;
        EXPECT_THAT(process.err(), HasSubstr("no host is running"));
    }
}

} // namespace
} // namespace scxhost
