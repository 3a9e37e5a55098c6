// SPDX-License-Identifier: GPL-2.0-only
//
// Somebody's scheduler program under the host, as a user has it: swapped in and out while the machine works, with each
// of its failures, and gone with everything that it started. Runs as root in a guest.
#include "host/base/unique_fd.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_commands.hpp"
#include "tests/vm/swap_load.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
namespace fs = std::filesystem;

constexpr const char* kProgram = "/root/scx_example";
constexpr const char* kObject = "/root/example.bpf.o";
constexpr const char* kFailing = "/root/failing.bpf.o"; // faulty.bpf.c
constexpr const char* kFaulty = "/root/faulty.so";
constexpr const char* kConfig = "/root/program.toml";

// Processes that run the program, those that are being reaped aside.
std::vector<pid_t> processes() {
    std::vector<pid_t> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        std::error_code error;
        if (fs::read_symlink(entry.path() / "exe", error) == kProgram)
            found.push_back(static_cast<pid_t>(std::stol(entry.path().filename().string())));
    }
    return found;
}

std::vector<std::string> cgroups() {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator("/sys/fs/cgroup"))
        if (entry.path().filename().string().starts_with("scxhost-"))
            found.push_back(entry.path().filename());
    return found;
}

std::vector<std::string> program(std::vector<std::string> arguments = {}, std::vector<std::string> settings = {}) {
    std::vector<std::string> words = {"--program", kProgram};
    for (const std::string& setting : settings)
        words.insert(words.end(), {"--set", setting});
    words.emplace_back("--");
    if (arguments.empty())
        arguments = {kObject};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return words;
}

class HostedProgramVm : public QuietGuestTest {
protected:
    void TearDown() override {
        host_.reset();
        EXPECT_TRUE(wait_until([] { return processes().empty(); }));
        EXPECT_TRUE(wait_until([] { return bool(on_its_own_scheduler()); }));
        QuietGuestTest::TearDown();
    }

    // A host that runs `what`, with no probation unless it says otherwise.
    void start(const std::vector<std::string>& what) {
        std::vector<std::string> arguments = {"run", "--json", "--stay", "--set", "swap.probation=0s"};
        arguments.insert(arguments.end(), what.begin(), what.end());
        host_ = std::make_unique<HostProcess>(arguments);
        ASSERT_TRUE(host_->next_event("enabled")) << host_->out() << host_->err();
    }

    static pid_t running_process() {
        const nlohmann::json now = status();
        const nlohmann::json& process = now.at("scheduler").at("process");
        return process.is_object() ? process.at("pid").get<pid_t>() : 0;
    }

    // The program runs, by one process of it, and nothing else of it is left.
    static pid_t expect_program_runs() {
        const nlohmann::json now = status();
        EXPECT_EQ(now.at("scheduler").value("title", ""), "scx_example") << now;
        EXPECT_TRUE(now.at("agrees").get<bool>()) << now;
        EXPECT_EQ(kernel_status().state, SchedExtState::kEnabled);
        EXPECT_TRUE(wait_until([] { return processes().size() == 1; })) << processes().size();
        EXPECT_EQ(processes(), std::vector<pid_t>{running_process()});
        EXPECT_TRUE(wait_until([] { return cgroups().size() == 1; })) << cgroups().size();
        return running_process();
    }

    // How often the host has begun to prepare it, until now.
    int prepared(const std::string& scheduler) {
        host_->signal(SIGTERM); // all that it has to say comes
        host_->wait();
        int count = 0;
        std::istringstream out(host_->out());
        for (std::string line; std::getline(out, line);)
            if (const auto event = nlohmann::json::parse(line, nullptr, false);
                event.is_object() && event.value("event", "") == "preparing" &&
                event.value("scheduler", "") == scheduler)
                ++count;
        return count;
    }

    void finish() {
        end(*host_);
        EXPECT_THAT(processes(), testing::IsEmpty());
        EXPECT_THAT(cgroups(), testing::IsEmpty());
    }

    std::unique_ptr<HostProcess> host_;
};

TEST_F(HostedProgramVm, RunsAndEnds) {
    start(program());
    expect_program_runs();
    EXPECT_TRUE(host_->next_event("output")) << host_->out();
    EXPECT_THAT(host_->out(), HasSubstr("scheduler started"));
    HostProcess command({"status"});
    EXPECT_EQ(command.wait(), 0) << command.err();
    EXPECT_THAT(command.out(),
                HasSubstr("process " + std::to_string(running_process()) + ": /root/scx_example /root/"));

    // Once more, as it was started.
    const pid_t first = running_process();
    const nlohmann::json options = status().at("scheduler").at("options");
    EXPECT_EQ(swap({"--again"}).report.value("outcome", ""), "good");
    EXPECT_NE(expect_program_runs(), first);
    EXPECT_EQ(status().at("scheduler").at("options"), options);
    finish();
}

TEST_F(HostedProgramVm, RoundAndRoundUnderLoad) {
    const SwapLoad load(100);
    start({"simple"});
    std::size_t objects = 0;
    std::size_t descriptors = 0;
    const std::array<std::vector<std::string>, 4> round = {
        program(), {"--object", kObject}, program({kObject, "threads"}), {"simple"}};
    const int swaps = static_cast<int>(from_environment("SCX_TEST_SWAPS", 8)) / 4 * 4;
    for (int i = 0; i < swaps; ++i) {
        const bool to_program = i % 2 == 0;
        const Answer answer = swap(round[static_cast<std::size_t>(i % 4)]);
        ASSERT_EQ(answer.status, 0) << "swap " << i << ": " << answer.report << answer.err << host_->err();
        EXPECT_EQ(answer.report.at("outcome"), "good");
        EXPECT_GT(answer.report.at("gap_ms").get<double>(), 0);
        EXPECT_GE(answer.report.at("tasks").get<int>(), 100);
        if (to_program)
            EXPECT_NE(running_process(), 0);
        if (i % 4 != 3)
            continue;
        EXPECT_TRUE(wait_until([] { return processes().empty() && cgroups().empty(); }));
        if (objects == 0) {
            objects = count_bpf_objects();
            descriptors = host_->open_descriptors();
        }
    }
    EXPECT_TRUE(wait_until([&] { return host_->open_descriptors() <= descriptors; }))
        << host_->open_descriptors() << " descriptors, there were " << descriptors;
    expect_bpf_objects(objects);
    EXPECT_GT(load.forks(), 0);
    EXPECT_EQ(load.failed_forks(), 0);
    finish();
}

// It keeps the host busy where it can; commands are answered and swaps are made as ever.
class FloodingHostedProgramVm : public HostedProgramVm, public testing::WithParamInterface<const char*> {};

TEST_P(FloodingHostedProgramVm, KeepsNobodyFromBeingServed) {
    start(program({kObject, GetParam()}, {"stats.interval=100ms"}));
    for (int i = 0; i < 20; ++i)
        EXPECT_EQ(status().at("scheduler").value("title", ""), "scx_example");
    for (const std::vector<std::string>& to : {std::vector<std::string>{"simple"}, program({kObject, GetParam()})}) {
        const Answer answer = swap(to);
        EXPECT_EQ(answer.report.value("outcome", ""), "good") << answer.report << answer.err;
    }
    finish();
}

INSTANTIATE_TEST_SUITE_P(Each, FloodingHostedProgramVm, testing::Values("floods", "floods-links", "reports-floods"),
                         [](const auto& flood) {
                             std::string name = flood.param;
                             std::erase(name, '-');
                             return name;
                         });

class FailingHostedProgramVm : public HostedProgramVm, public testing::WithParamInterface<FailingSwap> {};

TEST_P(FailingHostedProgramVm, LeavesTheGoodOneRunning) {
    const Load load(0, 1); // somebody has to wake up, or no task is ever enqueued
    start({"simple"});
    const Answer answer = swap(GetParam().arguments);
    ASSERT_EQ(answer.status, GetParam().status) << answer.report << answer.err << host_->out() << host_->err();
    EXPECT_EQ(answer.report.value("outcome", ""), GetParam().outcome) << answer.report;
    EXPECT_THAT(answer.report.at("error").value("message", ""), HasSubstr(GetParam().message));
    expect_runs("simple");
    EXPECT_TRUE(wait_until([] { return processes().empty() && cgroups().empty(); }));
    finish();
}

std::vector<std::string> failing(const std::string& fault, const std::string& after = "after=2") {
    return program({kFailing, "", fault, after}, {"swap.probation=1h"});
}

INSTANTIATE_TEST_SUITE_P(
    Each, FailingHostedProgramVm,
    testing::Values(FailingSwap{"Missing", {"--program", "/root/nosuch"}, 2, "refused", "there is no such program"},
                    FailingSwap{"IsNoProgram", {"--program", "/root"}, 2, "refused", "no file that can be executed"},
                    FailingSwap{"WrongArgument", program({kObject, "wrong-argument"}), 2, "refused",
                                "exited with status 2"},
                    FailingSwap{"Dies", program({kObject, "dies"}), 2, "refused", "was killed by SIGABRT"},
                    FailingSwap{"Hangs", program({kObject, "hangs"}, {"program.start_timeout=1s"}), 3, "refused",
                                "did not ask to attach a scheduler within 1s"},
                    FailingSwap{"RunsOutOfMemory", program({kObject, "eats"}, {"program.memory_max=24MiB"}), 2,
                                "refused", "ran out of memory"},
                    FailingSwap{"Verifier", program({"/root/refused.bpf.o"}), 2, "refused", "exited with status 1"},
                    FailingSwap{"AChildAttaches", program({kObject, "forks"}), 3, "refused", "a child of the program"},
                    FailingSwap{"Init", failing("fault=1"), 1, "rolled-back", "init refuses"},
                    FailingSwap{"InitTask", failing("fault=2"), 1, "rolled-back", "init_task"},
                    FailingSwap{"ErrorAtOnce", failing("fault=3", "after=0"), 1, "rolled-back", "faulty: error after"},
                    FailingSwap{"ErrorOnProbation", failing("fault=3"), 1, "rolled-back", "faulty: error after"},
                    FailingSwap{"Misuse", failing("fault=4"), 1, "rolled-back", "non-existent"},
                    FailingSwap{"Stall", failing("fault=5"), 1, "rolled-back", "stall"},
                    FailingSwap{"ExitOnProbation", failing("fault=6"), 1, "rolled-back", "faulty: leaving"}),
    [](const auto& failure) { return std::string(failure.param.description); });

// It failed in the window; what it has to say of it comes from its own process, which is given its dead link.
TEST_F(HostedProgramVm, ReportsInItsOwnWords) {
    start({"simple"});
    EXPECT_EQ(swap(failing("fault=1")).status, 1);
    const auto ended = host_->wait_for_event("program-ended");
    ASSERT_TRUE(ended) << host_->out();
    EXPECT_EQ(ended->at("how"), "exited with status 0");
    EXPECT_THAT(ended->at("output").get<std::string>(), HasSubstr("exit kind 1025: scx_bpf_error"));
    // The incident, which was written before, has it too.
    EXPECT_TRUE(wait_until([] {
        HostProcess command({"incidents", "show"});
        command.wait();
        return command.out().find("exited with status 0") != std::string::npos &&
               command.out().find("exit kind 1025: scx_bpf_error") != std::string::npos;
    }));
    finish();
}

// With nothing to go back to, the host ends with it; not before its record is whole.
TEST_F(HostedProgramVm, TheHostEndsAfterItsLastWords) {
    const Load load(0, 1);
    std::vector<std::string> arguments = failing("fault=3");
    arguments.insert(arguments.begin(), {"run", "--json"});
    HostProcess host(arguments);
    EXPECT_EQ(host.wait(), 1) << host.out() << host.err();
    EXPECT_TRUE(host.wait_for_event("program-ended")) << host.out();
    HostProcess incidents({"incidents", "show", "--json"});
    EXPECT_EQ(incidents.wait(), 0) << incidents.err();
    const auto shown = nlohmann::json::parse(incidents.out(), nullptr, false);
    EXPECT_EQ(shown.at("incident").at("process").value("end", ""), "exited with status 0") << shown;
    EXPECT_THAT(shown.at("incident").value("output", ""), HasSubstr("exit kind 1025: scx_bpf_error"));
}

TEST_F(HostedProgramVm, AStandbyIsTheWayBack) {
    const Load load(0, 1);
    start(program());
    const pid_t first = expect_program_runs();
    // In the window.
    Answer answer = swap({kFaulty, "--set", "fault=init"});
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
    EXPECT_EQ(answer.report.value("running", ""), "scx_example");
    const pid_t second = expect_program_runs();
    EXPECT_NE(second, first);
    // On probation.
    answer = swap({kFaulty, "--set", "fault=error", "--set", "after=2", "--set", "swap.probation=1h"});
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
    const pid_t third = expect_program_runs();
    EXPECT_NE(third, second);
    // Neither was loaded anew: the second process had been held all the time.
    EXPECT_EQ(prepared("scx_example"), 1);
    EXPECT_THAT(processes(), testing::IsEmpty());
    EXPECT_THAT(cgroups(), testing::IsEmpty());
}

TEST_F(HostedProgramVm, WithoutAStandbyItIsStartedAnew) {
    const Load load(0, 1);
    start(program({}, {"program.way_back=restart"}));
    const pid_t first = expect_program_runs();
    const Answer answer = swap({kFaulty, "--set", "fault=error", "--set", "after=2", "--set", "swap.probation=1h"});
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
    EXPECT_NE(expect_program_runs(), first);
    finish();
}

TEST_F(HostedProgramVm, WhatEndsByItselfIsStartedAgain) {
    start(program());
    const pid_t first = expect_program_runs();
    ASSERT_EQ(::kill(first, SIGTERM), 0);
    const auto left = host_->next_event("left");
    ASSERT_TRUE(left) << host_->out();
    EXPECT_THAT(left->at("error").value("message", ""), HasSubstr("its process exited with status 0"));
    ASSERT_TRUE(host_->next_event("enabled")) << host_->out();
    EXPECT_NE(expect_program_runs(), first);
    EXPECT_THAT(status().at("quarantine"), testing::IsEmpty());
    finish();
}

// Attached, its process ends for a reason of its own.
struct BadEnd {
    const char* description;
    std::vector<std::string> what;
    int signal; // that it gets from outside; 0: none is needed
    const char* message;
};

class BadEndHostedProgramVm : public HostedProgramVm, public testing::WithParamInterface<BadEnd> {};

TEST_P(BadEndHostedProgramVm, IsBlamed) {
    std::vector<std::string> words = {"--set", "host.fallback=[\"simple\"]"};
    words.insert(words.end(), GetParam().what.begin(), GetParam().what.end());
    start(words);
    if (GetParam().signal != 0)
        ASSERT_EQ(::kill(expect_program_runs(), GetParam().signal), 0);
    const auto left = host_->next_event("left");
    ASSERT_TRUE(left) << host_->out();
    EXPECT_THAT(left->at("error").value("message", ""), HasSubstr(GetParam().message));
    ASSERT_TRUE(host_->next_event("enabled")) << host_->out();
    expect_runs("simple");
    const nlohmann::json now = status();
    ASSERT_EQ(now.at("quarantine").size(), 1U) << now;
    EXPECT_EQ(now.at("quarantine").at(0).value("title", ""), "scx_example");
    // With other arguments it is another matter.
    EXPECT_EQ(swap(GetParam().what).report.value("outcome", ""), "refused");
    EXPECT_EQ(swap(program({kObject, "threads"})).status, 0);
    HostProcess incidents({"incidents", "show", "--json"});
    EXPECT_EQ(incidents.wait(), 0) << incidents.err();
    const auto shown = nlohmann::json::parse(incidents.out(), nullptr, false);
    EXPECT_EQ(shown.at("incident").at("process").value("program", ""), kProgram) << shown;
    EXPECT_THAT(shown.at("incident").value("output", ""), HasSubstr("scheduler started"));
    finish();
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadEndHostedProgramVm,
    testing::Values(BadEnd{"Crash", program(), SIGSEGV, "its process was killed by SIGSEGV"},
                    BadEnd{"GivesUp", program({kObject, "gives-up"}), 0, "its process exited with status 3"},
                    BadEnd{"RunsOutOfMemory", program({kObject, "eats-later"}, {"program.memory_max=24MiB"}), 0,
                           "ran out of memory"}),
    [](const auto& end) { return std::string(end.param.description); });

// Its process is gone, and its scheduler is not: somebody else holds the link.
TEST_F(HostedProgramVm, APinnedLinkDoesNotKeepTheMachine) {
    constexpr const char* kPins = "/sys/fs/bpf";
    ASSERT_EQ(::mount("bpf", kPins, "bpf", 0, nullptr), 0);
    start(program({kObject, "pins"}, {"host.fallback=[\"simple\"]"}));
    const pid_t pid = expect_program_runs();
    ASSERT_TRUE(wait_until([&] { return fs::exists(fmt::format("{}/scx_example", kPins)); }));
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    ASSERT_TRUE(host_->next_event("left")) << host_->out();
    ASSERT_TRUE(host_->next_event("enabled")) << host_->out();
    expect_runs("simple");
    fs::remove(fmt::format("{}/scx_example", kPins));
    expect_runs("simple"); // its dead link ends nobody
    EXPECT_EQ(::umount(kPins), 0);
    finish();
}

TEST_F(HostedProgramVm, StopEndsItAndAllOfIt) {
    start(program({kObject, "stubborn"}));
    expect_program_runs();
    HostProcess stop({"stop"});
    EXPECT_EQ(stop.wait(), 0) << stop.err();
    EXPECT_TRUE(on_its_own_scheduler());
    EXPECT_TRUE(wait_until([] { return processes().empty() && cgroups().empty(); }));
    const auto ended = host_->wait_for_event("program-ended");
    ASSERT_TRUE(ended) << host_->out();
    EXPECT_EQ(ended->at("how"), "was killed by SIGKILL");
    finish();
}

// By whatever the host is doing: nothing of the program is left, and the next host clears up.
TEST_F(HostedProgramVm, NothingOutlivesTheHost) {
    for (const std::string moment : {"runs", "stands by", "starts", "ends"}) {
        start(moment == "starts" ? std::vector<std::string>{"simple"}
              : moment == "ends" ? program({kObject, "stubborn"})
                                 : program());
        if (moment == "ends")
            EXPECT_EQ(swap({"simple"}).status, 0);
        if (moment == "stands by")
            EXPECT_EQ(swap({"simple", "--set", "swap.probation=1h", "--no-wait"}).status, 0);
        if (moment == "starts")
            EXPECT_EQ(swap([] {
                          std::vector<std::string> words = program({kObject, "hangs"});
                          words.insert(words.begin(), "--no-wait");
                          return words;
                      }())
                          .status,
                      0);
        EXPECT_TRUE(wait_until([] { return !processes().empty(); })) << moment;
        if (moment == "stands by")
            EXPECT_TRUE(host_->next_event("enabled")) << host_->out();
        host_->signal(SIGKILL);
        EXPECT_EQ(host_->wait(), 128 + SIGKILL);
        EXPECT_TRUE(wait_until([] { return processes().empty(); })) << moment;
        EXPECT_TRUE(wait_until([] { return bool(on_its_own_scheduler()); })) << moment;
        EXPECT_THAT(cgroups(), testing::Not(testing::IsEmpty())) << moment;
        start({"simple"});
        EXPECT_THAT(cgroups(), testing::IsEmpty()) << moment;
        finish();
    }
}

// Its user changes after the kernel was told to end it with the host.
TEST_F(HostedProgramVm, AnotherUsersProgramEndsWithTheHostToo) {
    write_text("/etc/passwd", "root:x:0:0::/root:/bin/sh\nsomebody:x:1234:1234::/:/bin/sh\n");
    start(program({}, {"program.user=somebody"}));
    expect_program_runs();
    EXPECT_EQ(status().at("scheduler").at("options").value("user", ""), "somebody");
    host_->signal(SIGKILL);
    EXPECT_EQ(host_->wait(), 128 + SIGKILL);
    EXPECT_TRUE(wait_until([] { return processes().empty(); }));
    EXPECT_TRUE(wait_until([] { return bool(on_its_own_scheduler()); }));
    fs::remove("/etc/passwd");
    start({"simple"}); // which sweeps up
    finish();
}

TEST_F(HostedProgramVm, IsAFallback) {
    write_text(kConfig, fmt::format("[scheduler]\nprogram = \"{}\"\nargs = [\"{}\"]\n[program]\nname = \"net\"\n",
                                    kProgram, kObject));
    const Load load(0, 1);
    start({kFaulty, "--set", "fault=error", "--set", "after=20", "--set",
           fmt::format("host.fallback=[\"{}\"]", kConfig)});
    ASSERT_TRUE(host_->next_event("left")) << host_->out();
    ASSERT_TRUE(host_->next_event("enabled")) << host_->out();
    EXPECT_EQ(status().at("scheduler").value("title", ""), "net");
    EXPECT_EQ(processes().size(), 1U);
    finish();
}

TEST_F(HostedProgramVm, AConfigurationIsFollowed) {
    const auto write = [](const std::string& arguments) {
        write_text(kConfig, fmt::format("[scheduler]\nprogram = \"{}\"\nargs = [{}]\nenv = {{ RUST_LOG = \"info\" }}\n"
                                        "[program]\nname = \"example\"\nmemory_max = \"256MiB\"\npids_max = 16\n"
                                        "[swap]\nprobation = \"0s\"\n",
                                        kProgram, arguments));
    };
    write(fmt::format("\"{}\"", kObject));
    start({kConfig});
    const pid_t first = running_process();
    EXPECT_EQ(status().at("scheduler").value("title", ""), "example");
    EXPECT_EQ(swap({}).report.value("outcome", ""), "unchanged");
    EXPECT_EQ(running_process(), first);
    write(fmt::format("\"{}\", \"threads\"", kObject));
    const Answer answer = swap({});
    EXPECT_TRUE(answer.report.value("outcome", "") == "good") << answer.report << answer.err;
    EXPECT_NE(running_process(), first);
    EXPECT_EQ(status().at("scheduler").at("options").value("args", ""), fmt::format("{} threads", kObject));
    finish();
}

// A program says itself for which cgroup its scheduler is, and the host holds it to what the configuration says.
TEST_F(HostedProgramVm, IsABranch) {
    SCX_SKIP_WITHOUT("sub-capabilities");
    constexpr const char* kCgroup = "/sys/fs/cgroup/games";
    fs::create_directory(kCgroup);
    struct stat cgroup{};
    ASSERT_EQ(::stat(kCgroup, &cgroup), 0);
    const auto write = [](std::uint64_t id) {
        write_text(kConfig, fmt::format("[scheduler]\nplugin = \"trunk\"\n[swap]\nprobation = \"0s\"\n"
                                        "[[below]]\ncgroup = \"/games\"\nprogram = \"{}\"\n"
                                        "args = [\"/usr/lib/scxhost/plugins/simple.bpf.o\", \"below={}\"]\n",
                                        kProgram, id));
    };
    const auto branch = [] { return status().at("below").at(0); };
    const auto ops = [&] {
        const std::string file = fmt::format("/sys/kernel/sched_ext/root/sub/sub-{}/ops", cgroup.st_ino);
        return fs::exists(file) ? read_text(file) : "";
    };
    write(cgroup.st_ino);
    start({kConfig});
    ASSERT_TRUE(host_->next_event("enabled")) << host_->out() << host_->err();
    EXPECT_EQ(branch().at("scheduler").value("title", ""), "scx_example");
    EXPECT_EQ(ops(), "simple\n");
    const pid_t first = branch().at("scheduler").at("process").at("pid").get<pid_t>();
    EXPECT_EQ(processes(), std::vector<pid_t>{first});

    // Another one there and the program again, while what is above stays.
    const std::uint64_t root = kernel_status().enable_seq;
    EXPECT_EQ(swap({"qmap", "--at", "games"}).report.value("outcome", ""), "good");
    EXPECT_THAT(ops(), StartsWith("qmap_"));
    EXPECT_TRUE(wait_until([] { return processes().empty(); }));
    const Answer back = swap({"--at", "games"});
    EXPECT_EQ(back.report.value("outcome", ""), "good") << back.report << back.err;
    EXPECT_EQ(ops(), "simple\n");
    EXPECT_EQ(kernel_status().enable_seq, root);

    // For another cgroup, and for none, which would be the whole machine.
    const pid_t second = branch().at("scheduler").at("process").at("pid").get<pid_t>();
    for (const std::uint64_t wrong : {std::uint64_t{cgroup.st_ino} + 1, std::uint64_t{0}}) {
        write(wrong);
        ASSERT_EQ(HostProcess({"swap"}).wait(), 0); // of the machine's nothing changes
        std::optional<nlohmann::json> settled;
        do
            settled = host_->next_event("settled");
        while (settled && (settled->value("seat", "") != "games" || settled->value("outcome", "") == "good"));
        ASSERT_TRUE(settled) << host_->out() << host_->err();
        EXPECT_EQ(settled->value("outcome", ""), "refused");
        EXPECT_THAT(settled->at("error").dump(), HasSubstr("would not run where the branch"));
        EXPECT_EQ(ops(), "simple\n");
        EXPECT_EQ(processes(), std::vector<pid_t>{second});
    }
    finish();
    fs::remove(kCgroup);
}

// It starts over by itself when its scheduler has left: that is the host's to do.
TEST_F(HostedProgramVm, RestartsAreTheHosts) {
    start(program({kFailing, "restarts", "fault=7", "after=2000"}, {"restart.limit=1"}));
    const Load load(0, 2);
    ASSERT_TRUE(host_->next_event("left")) << host_->out();
    ASSERT_TRUE(host_->next_event("enabled")) << host_->out();
    EXPECT_TRUE(host_->wait_for_event("stood-down")) << host_->out();
    EXPECT_TRUE(wait_until([] { return processes().empty() && cgroups().empty(); }));
    finish();
}

// Each process has its socket to itself, and everybody finds the one of the process that runs.
TEST_F(HostedProgramVm, ItsSocketIsWhereItAlwaysWas) {
    constexpr const char* kSocket = "/run/scx/root/stats";
    const auto ask = [] {
        const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "/run/scx/root/stats"};
        std::array<char, 32> answer{};
        if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
            ::read(fd.get(), answer.data(), answer.size() - 1) <= 0)
            return 0;
        return std::atoi(answer.data());
    };
    const Load load(0, 1);
    start(program({kObject, "serves"}));
    const pid_t first = expect_program_runs();
    EXPECT_EQ(ask(), first);
    const Answer answer = swap({kFaulty, "--set", "fault=init"});
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
    const pid_t second = expect_program_runs();
    EXPECT_NE(second, first);
    EXPECT_EQ(ask(), second);
    EXPECT_EQ(swap({"simple"}).status, 0);
    EXPECT_TRUE(wait_until([&] { return !fs::exists(fs::symlink_status(kSocket)); }));
    finish();
    EXPECT_FALSE(fs::exists(fs::symlink_status("/run/scx/root")));
}

// It says for which CPUs it is, and the kernel would refuse it: it is started anew, and nothing else happens.
TEST_F(HostedProgramVm, CpuHotplugWhileItIsStarted) {
    const Load load(0, 1);
    start({"simple"});
    std::vector<std::string> arguments = {"swap", "--json"};
    std::ranges::copy(program(), std::back_inserter(arguments));
    HostProcess command(arguments);
    ASSERT_TRUE(host_->next_event("preparing")) << host_->out();
    {
        const CpuAway away;
        EXPECT_EQ(command.wait(), 0) << command.out() << command.err() << host_->out();
        // When the CPU went a moment after the swap, it is on its way back in.
        EXPECT_TRUE(wait_until([] { return status().at("phase") == "good"; })) << status();
        expect_program_runs();
    }
    // Back again: the policy does not know what to do about that, and is started for the CPUs that there are now.
    ASSERT_TRUE(host_->next_event("left")) << host_->out();
    ASSERT_TRUE(host_->next_event("enabled")) << host_->out() << host_->err();
    EXPECT_TRUE(wait_until([] { return status().at("phase") == "good"; })) << status();
    expect_program_runs();
    finish();
}

TEST_F(HostedProgramVm, CpuHotplugWhileAStandbyWaits) {
    const Load load(0, 1);
    start(program());
    HostProcess command({"swap", kFaulty, "--set", "swap.probation=1h", "--no-wait"});
    EXPECT_EQ(command.wait(), 0) << command.err();
    ASSERT_TRUE(host_->next_event("enabled")) << host_->out() << host_->err();
    EXPECT_TRUE(wait_until([] { return !processes().empty(); })) << "the standby";
    {
        const CpuAway away;
        ASSERT_TRUE(host_->next_event("left")) << host_->out();
        ASSERT_TRUE(host_->next_event("enabled")) << host_->out() << host_->err();
        // What fails now has a way back for these CPUs.
        const Answer answer = swap({kFaulty, "--set", "fault=init"});
        EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
        EXPECT_TRUE(status().at("agrees").get<bool>()) << status();
        EXPECT_EQ(kernel_status().state, SchedExtState::kEnabled);
    }
    ASSERT_TRUE(host_->next_event("left")) << host_->out();
    ASSERT_TRUE(host_->next_event("enabled")) << host_->out() << host_->err();
    EXPECT_TRUE(status().at("agrees").get<bool>()) << status();
    EXPECT_EQ(swap(program({kObject})).status, 0);
    expect_program_runs();
    finish();
}

TEST_F(HostedProgramVm, VariablesOfItsObjectAreStatistics) {
    const Load load(0, 1);
    start(program({}, {"stats.variables=stats,vtime_now"}));
    const auto counted = [] { return statistic("stats.direct") + statistic("stats.queued"); };
    EXPECT_TRUE(wait_until([&] { return counted() > 0 && statistic("vtime_now") > 0; }));
    // Of the second process, too: they are the same counters, and go on.
    const std::int64_t before = counted();
    const Answer answer = swap({kFaulty, "--set", "fault=init"});
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
    const std::int64_t after = counted();
    EXPECT_GE(after, before);
    EXPECT_TRUE(wait_until([&] { return counted() > after; }));
    finish();
}

TEST_F(HostedProgramVm, AVariableThatItsObjectHasNotIsRefused) {
    HostProcess host(std::vector<std::string>{"check", "--program", kProgram, "--set", "stats.variables=nothing_here",
                                              "--", kObject});
    EXPECT_EQ(host.wait(), 2) << host.out();
    EXPECT_THAT(host.err(), HasSubstr("nothing_here"));
    EXPECT_THAT(processes(), testing::IsEmpty());
}

TEST_F(HostedProgramVm, WhatItsSocketSaysIsStatistics) {
    const auto value = [](const char* name) {
        const nlohmann::json found = find_statistic(name);
        return found.is_null() ? -1 : found.at("value").get<std::int64_t>();
    };
    const Load load(0, 1);
    start(program({kObject, "reports"}, {"stats.interval=100ms"}));
    const pid_t first = expect_program_runs();
    EXPECT_TRUE(wait_until([&] { return value("scx_stats.questions") > 2; }));
    EXPECT_EQ(find_statistic("scx_stats.questions").value("help", ""), "questions answered");
    EXPECT_EQ(find_statistic("scx_stats.load").value("unit", ""), "thousandths");
    EXPECT_EQ(value("scx_stats.load"), 500);
    EXPECT_EQ(value("scx_stats.cpus.0.pid"), first);
    // The way back is another process, which has its own.
    const Answer answer = swap({kFaulty, "--set", "fault=init"});
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
    const pid_t second = expect_program_runs();
    EXPECT_TRUE(wait_until([&] { return value("scx_stats.cpus.0.pid") == second; }));
    finish();
}

// Whatever comes from the socket, the program goes on, and so do the statistics that the host has by itself.
class BadSocketHostedProgramVm : public HostedProgramVm, public testing::WithParamInterface<const char*> {};

TEST_P(BadSocketHostedProgramVm, IsGivenUp) {
    const Load load(0, 1);
    start(program({kObject, GetParam()}, {"stats.interval=100ms"}));
    const auto told = [&](const std::string&) {
        return host_->err().find("3 times in a row, ignoring\n  hint: its own statistics are not asked for any more") !=
               std::string::npos;
    };
    EXPECT_TRUE(host_->wait_for_output(told)) << host_->err();
    expect_program_runs();
    EXPECT_GT(statistic("cpu_time"), 0);
    EXPECT_TRUE(find_statistic("scx_stats.questions").is_null());
    finish();
}

INSTANTIATE_TEST_SUITE_P(Each, BadSocketHostedProgramVm,
                         testing::Values("reports-nothing", "reports-garbage", "reports-nested", "reports-floods"));

TEST_F(HostedProgramVm, CheckSaysWhatItWouldBe) {
    HostProcess check({"check", "--program", kProgram, "--", kObject});
    EXPECT_EQ(check.wait(), 0) << check.out() << check.err();
    EXPECT_THAT(check.out(), HasSubstr("it asks to attach 'simple' (sched_ext_ops"));
    EXPECT_THAT(processes(), testing::IsEmpty());
    EXPECT_THAT(cgroups(), testing::IsEmpty());
    HostProcess wrong({"check", "--program", kProgram, "--", kObject, "wrong-argument"});
    EXPECT_EQ(wrong.wait(), 2) << wrong.out();
    EXPECT_THAT(wrong.err(), HasSubstr("Usage: scx_example OBJECT [HABIT]"));
}

} // namespace
} // namespace scxhost
