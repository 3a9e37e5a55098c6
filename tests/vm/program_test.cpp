// SPDX-License-Identifier: GPL-2.0-only
//
// Other people's scheduler programs, unmodified, held where they attach: a real program (tests/programs) against a real
// kernel. Runs as root in a guest.
#include "host/kernel/kernel_btf.hpp"
#include "host/kernel/scheduler_links.hpp"
#include "host/programs/held_program.hpp"
#include "tests/vm/guest_test.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

class ProgramVm : public testing::Test {
protected:
    // An event loop, and a program in it. What the loop does, it does in until().
    ProgramVm()
        : loop_(*EventLoop::make())
        , layouts_(ops_layouts(*KernelBtf::load())) {}

    void SetUp() override { ASSERT_TRUE(on_its_own_scheduler()); }
    void TearDown() override {
        program_.reset();
        EXPECT_TRUE(wait_until([] { return bool(on_its_own_scheduler()); }));
        for (const auto& entry : fs::directory_iterator("/sys/fs/cgroup"))
            EXPECT_THAT(entry.path().filename().string(), Not(testing::StartsWith("scxhost-")));
    }

    static ProgramSettings settings(const std::string& habit = "") {
        ProgramSettings settings;
        settings.command.file = *ExecutableFile::open("/root/scx_example");
        settings.command.args = {"/root/example.bpf.o", habit};
        settings.end_patience = std::chrono::milliseconds(500);
        return settings;
    }

    void start(ProgramSettings settings) {
        auto program = HeldProgram::start(loop_, std::move(settings), layouts_,
                                          {.held =
                                               [this](Result<> held) {
                                                   ++holds_;
                                                   if (!held)
                                                       error_ = std::move(held).error();
                                               },
                                           .ended = [this](const ProcessEnd& end) { how_ = end.how; },
                                           .warned = [this](const Error& error) { warnings_.push_back(error.what); },
                                           .output = {}});
        ASSERT_TRUE(program) << program.error().what;
        program_ = *std::move(program);
    }

    // Turns the loop until the condition holds.
    bool until(const std::function<bool()>& condition) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!condition()) {
            if (std::chrono::steady_clock::now() > deadline || !loop_.turn(std::chrono::milliseconds(10)))
                return false;
        }
        return true;
    }

    void start_and_hold(ProgramSettings settings) {
        start(std::move(settings));
        ASSERT_TRUE(until([this] { return holds_ > 0 || how_; }));
        ASSERT_FALSE(error_) << error_->what << "\n" << error_->detail;
        ASSERT_TRUE(program_->is_held());
    }

    // In the window: the link is ours, and the kernel confirms it before the program knows.
    void attach() {
        const std::uint64_t before = kernel_status().enable_seq;
        UniqueFd link = *program_->scheduler()->attach();
        const SchedExtStatus status = kernel_status();
        EXPECT_EQ(status.state, SchedExtState::kEnabled);
        EXPECT_EQ(status.enable_seq, before + 1);
        EXPECT_THAT(status.ops.value_or(""), testing::StartsWith("simple"));
        EXPECT_FALSE(program_->scheduler()->read_exit_record()->left());
        bpf_link_info info{};
        __u32 size = sizeof info;
        ASSERT_EQ(::bpf_obj_get_info_by_fd(link.get(), &info, &size), 0);
        link_id_ = info.id;
        EXPECT_EQ(info.struct_ops.map_id, program_->scheduler()->map_id());
        bool taken = false;
        program_->hand_over(std::move(link), [&](const Result<>& result) {
            EXPECT_TRUE(result) << result.error().what;
            taken = true;
        });
        ASSERT_TRUE(until([&] { return taken; }));
    }

    void detach() const {
        const UniqueFd link(::bpf_link_get_fd_by_id(link_id_));
        ASSERT_TRUE(link);
        EXPECT_EQ(::bpf_link_detach(link.get()), 0);
    }

    void end() {
        program_->end();
        ASSERT_TRUE(until([this] { return how_.has_value(); }));
    }

    // It never attaches; the reason must be this.
    void expect_failure(ProgramSettings settings, ErrorKind kind, const std::string& what,
                        const std::string& detail = "") {
        start(std::move(settings));
        ASSERT_TRUE(until([this] { return error_ && how_; }));
        EXPECT_EQ(error_->kind, kind);
        EXPECT_THAT(error_->what, HasSubstr(what));
        EXPECT_THAT(error_->detail, HasSubstr(detail));
        EXPECT_EQ(holds_, 1);
        EXPECT_TRUE(on_its_own_scheduler());
    }

    [[nodiscard]] int refused_attaches() const {
        const std::string output = program_->output().last_lines(1000);
        int count = 0;
        for (std::size_t at = 0; (at = output.find("cannot attach a second one", at)) != std::string::npos; ++at)
            ++count;
        return count;
    }

    void expect_the_first_runs() const {
        EXPECT_EQ(kernel_status().state, SchedExtState::kEnabled);
        EXPECT_FALSE(program_->scheduler()->read_exit_record()->left());
    }

    EventLoop loop_;
    std::vector<OpsLayout> layouts_;
    std::unique_ptr<HeldProgram> program_;
    std::optional<Error> error_;
    std::optional<std::string> how_;
    int holds_ = 0;
    std::vector<std::string> warnings_;
    std::uint32_t link_id_ = 0;
};

TEST_F(ProgramVm, IsHeldThenAttachedThenEnded) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings()));
    EXPECT_TRUE(on_its_own_scheduler());
    const HeldScheduler& scheduler = *program_->scheduler();
    EXPECT_EQ(scheduler.ops_name(), "simple");
    EXPECT_EQ(scheduler.ops_type(), "sched_ext_ops");
    EXPECT_THAT(scheduler.callbacks(), testing::IsSupersetOf({"select_cpu", "enqueue", "init", "exit"}));
    ASSERT_TRUE(scheduler.has_exit_record());

    ASSERT_NO_FATAL_FAILURE(attach());
    ASSERT_TRUE(until([this] { return program_->output().last_lines(1) == "scheduler started"; }));
    detach();
    EXPECT_TRUE(on_its_own_scheduler());
    EXPECT_EQ(scheduler.read_exit_record()->kind_name(), "UNREG");
    ASSERT_TRUE(until([this] { return how_.has_value(); })); // it has seen its record
    EXPECT_EQ(*how_, "exited with status 0");
    EXPECT_THAT(program_->output().last_lines(1), HasSubstr("exit kind 64: unregistered from user space"));
    EXPECT_EQ(scheduler.read_exit_record()->kind_name(), "UNREG"); // though it is dead
}

// It looks whether another scheduler runs, and one does.
TEST_F(ProgramVm, IsHeldWhileAnotherSchedulerRuns) {
    {
        ASSERT_NO_FATAL_FAILURE(start_and_hold(settings()));
        ASSERT_NO_FATAL_FAILURE(attach());
        const std::unique_ptr<HeldProgram> other = std::move(program_);
        holds_ = 0;
        ASSERT_NO_FATAL_FAILURE(start_and_hold(settings()));
        EXPECT_EQ(kernel_status().state, SchedExtState::kEnabled);
        EXPECT_EQ(program_->scheduler()->attach().error().kind, ErrorKind::kBusy);
        EXPECT_FALSE(how_);
        detach();
    }
    ASSERT_NO_FATAL_FAILURE(attach()); // right after
    end();
    EXPECT_EQ(*how_, "exited with status 0");
}

// Only the program holds its link: its death detaches it.
TEST_F(ProgramVm, ItsDeathDetaches) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings()));
    ASSERT_NO_FATAL_FAILURE(attach());
    ASSERT_EQ(::kill(program_->pid(), SIGKILL), 0);
    ASSERT_TRUE(until([this] { return how_.has_value(); }));
    EXPECT_EQ(*how_, "was killed by SIGKILL");
    EXPECT_TRUE(wait_until([] { return bool(on_its_own_scheduler()); }));
    EXPECT_TRUE(wait_until([this] { return program_->scheduler()->read_exit_record()->left(); }));
}

TEST_F(ProgramVm, HeldOneIsRefused) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings()));
    program_->refuse(ECANCELED);
    ASSERT_TRUE(until([this] { return how_.has_value(); }));
    EXPECT_EQ(*how_, "exited with status 1");
    EXPECT_THAT(program_->output().last_lines(1), HasSubstr("cannot attach"));
    EXPECT_TRUE(on_its_own_scheduler());
}

// A standby that is never needed.
TEST_F(ProgramVm, HeldOneIsDropped) {
    const std::size_t objects = count_bpf_objects();
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings()));
    EXPECT_GT(count_bpf_objects(), objects);
    program_.reset();
    expect_bpf_objects(objects);
}

TEST_F(ProgramVm, AThreadOfItAttaches) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings("threads")));
    ASSERT_NO_FATAL_FAILURE(attach());
    end();
}

TEST_F(ProgramVm, IsHeldAgainWhenItRestartsItself) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings("restarts")));
    const std::uint32_t first = program_->scheduler()->map_id();
    ASSERT_NO_FATAL_FAILURE(attach());
    detach();
    ASSERT_TRUE(until([this] { return holds_ == 2; }));
    EXPECT_NE(program_->scheduler()->map_id(), first);
    EXPECT_TRUE(on_its_own_scheduler());
    ASSERT_NO_FATAL_FAILURE(attach());
    end();
    EXPECT_EQ(*how_, "exited with status 0");
}

TEST_F(ProgramVm, IgnoresSignalsAndIsKilled) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings("stubborn")));
    ASSERT_NO_FATAL_FAILURE(attach());
    end();
    EXPECT_EQ(*how_, "was killed by SIGKILL");
    EXPECT_TRUE(wait_until([] { return bool(on_its_own_scheduler()); }));
}

TEST_F(ProgramVm, FloodsItsOutputAndIsSlowedDown) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings("floods")));
    ASSERT_NO_FATAL_FAILURE(attach());
    int turns = 0;
    const std::uint64_t enough = 300'000;
    ASSERT_TRUE(until([&] {
        ++turns;
        return program_->output().bytes() > enough;
    }));
    EXPECT_LE(program_->output().last_lines(1000).size(), 16U << 10U);
    end();
}

TEST_F(ProgramVm, GetsItsEnvironmentAndNothingElse) {
    ::setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1);
    ProgramSettings with = settings("environment");
    with.command.env = {{"RUST_LOG", "info"}};
    ASSERT_NO_FATAL_FAILURE(start_and_hold(std::move(with)));
    ::unsetenv("NOTIFY_SOCKET");
    ASSERT_TRUE(until([this] { return program_->output().bytes() > 0; }));
    // It prints its environment, and libbpf may tell beside it which members of the struct_ops the kernel lacks.
    std::vector<std::string> environment;
    std::istringstream output(program_->output().last_lines(100));
    for (std::string line; std::getline(output, line);)
        if (!line.starts_with("libbpf: "))
            environment.push_back(line);
    EXPECT_THAT(environment, testing::ElementsAre("HOME=/", "LANG=C.UTF-8",
                                                  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                                  "RUST_LOG=info"));
}

TEST_F(ProgramVm, EndsBeforeItsAttach) {
    expect_failure(settings("wrong-argument"), ErrorKind::kObject, "it exited with status 2 before it asked to attach",
                   "Usage: scx_example OBJECT [HABIT]");
}

TEST_F(ProgramVm, DiesBeforeItsAttach) {
    expect_failure(settings("dies"), ErrorKind::kObject, "it was killed by SIGABRT before");
}

TEST_F(ProgramVm, HangsBeforeItsAttach) {
    ProgramSettings hanging = settings("hangs");
    hanging.start_timeout = std::chrono::seconds(1);
    expect_failure(std::move(hanging), ErrorKind::kUnsupported, "it did not ask to attach a scheduler within 1s");
}

TEST_F(ProgramVm, RunsOutOfMemory) {
    ProgramSettings small = settings("eats");
    small.limits.memory_max = 24U << 20U;
    expect_failure(std::move(small), ErrorKind::kObject,
                   "it ran out of memory and was killed (program.memory_max) before");
}

TEST_F(ProgramVm, HasTooManyThreads) {
    ProgramSettings small = settings("forks");
    small.limits.pids_max = 1;
    expect_failure(std::move(small), ErrorKind::kObject, "before it asked to attach");
}

TEST_F(ProgramVm, LeavesTheAttachToAChild) {
    expect_failure(settings("forks"), ErrorKind::kUnsupported, "a child of the program");
}

TEST_F(ProgramVm, IsNoProgram) {
    const auto error = [](const std::string& path) {
        const auto program = ExecutableFile::open(path);
        return program ? std::string() : program.error().what;
    };
    EXPECT_THAT(error("/root/missing"), HasSubstr("there is no such program"));
    EXPECT_THAT(error("scx_example"), HasSubstr("no absolute path"));
    EXPECT_THAT(error("/root"), HasSubstr("no file that can be executed"));
    fs::copy_file("/root/scx_example", "/root/changeable", fs::copy_options::overwrite_existing);
    fs::permissions("/root/changeable", fs::perms::others_write, fs::perm_options::add);
    EXPECT_THAT(error("/root/changeable"), HasSubstr("/root/changeable"));
    fs::remove("/root/changeable");
}

TEST_F(ProgramVm, CannotBeExecuted) {
    const std::string script = "/root/script";
    std::ofstream(script) << "#!/missing/interpreter\n";
    fs::permissions(script, fs::perms::owner_all);
    ProgramSettings wrong = settings();
    wrong.command.file = *ExecutableFile::open(script);
    expect_failure(std::move(wrong), ErrorKind::kObject, "cannot be executed");
    fs::remove(script);
}

// An upgrade between the hash and the start, or before the second process: what was hashed is what runs.
TEST_F(ProgramVm, RunsTheFileThatWasHashed) {
    const fs::path path = "/root/upgraded";
    fs::copy_file("/root/scx_example", path, fs::copy_options::overwrite_existing);
    ProgramSettings before = settings("serves");
    before.command.file = *ExecutableFile::open(path);
    std::ofstream("/root/upgraded.next") << "#!/bin/sh\necho another one\n";
    fs::permissions("/root/upgraded.next", fs::perms::owner_all);
    fs::rename("/root/upgraded.next", path);
    ASSERT_NO_FATAL_FAILURE(start_and_hold(std::move(before)));
    std::ifstream comm(fmt::format("/proc/{}/comm", program_->pid()));
    std::string name;
    comm >> name;
    EXPECT_EQ(name, "upgraded");
    fs::remove(path);
}

TEST_F(ProgramVm, IsWrittenToWhileItIsStarted) {
    const fs::path path = "/root/overwritten";
    fs::copy_file("/root/scx_example", path, fs::copy_options::overwrite_existing);
    ProgramSettings changed = settings();
    changed.command.file = *ExecutableFile::open(path);
    std::ofstream(path, std::ios::app) << "and more";
    expect_failure(std::move(changed), ErrorKind::kObject, "it was changed while it was started");
    fs::remove(path);
}

// A script that becomes the program, as some distributions wrap theirs.
TEST_F(ProgramVm, AScriptBecomesTheProgram) {
    const fs::path path = "/root/wrapper";
    std::ofstream(path) << "#!/bin/sh\nexec /root/scx_example \"$@\"\n";
    fs::permissions(path, fs::perms::owner_all);
    ProgramSettings wrapped = settings();
    wrapped.command.file = *ExecutableFile::open(path);
    EXPECT_TRUE(wrapped.command.file->is_script());
    ASSERT_NO_FATAL_FAILURE(start_and_hold(wrapped));
    ASSERT_NO_FATAL_FAILURE(attach());
    end();
    // Its path names something else by now.
    std::ofstream(path, std::ios::app) << "# longer\n";
    holds_ = 0;
    how_.reset();
    expect_failure(std::move(wrapped), ErrorKind::kObject, "it was changed while it was started");
    fs::remove(path);
}

// Not answered without end, told of once, and no harm to the scheduler that runs.
TEST_F(ProgramVm, AsksForASecondScheduler) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings("attaches-twice")));
    ASSERT_NO_FATAL_FAILURE(attach());
    ASSERT_TRUE(until([&] { return refused_attaches() == 4 && program_->is_held(); }));
    EXPECT_THAT(warnings_, testing::ElementsAre(HasSubstr("asked to attach a second scheduler")));
    expect_the_first_runs();
    end();
    EXPECT_THAT(program_->output().last_lines(1000), Not(HasSubstr("attached a second one")));
}

TEST_F(ProgramVm, AChildAsksForASecondScheduler) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings("child-attaches")));
    ASSERT_NO_FATAL_FAILURE(attach());
    ASSERT_TRUE(until([&] { return refused_attaches() >= 4; }));
    EXPECT_THAT(warnings_, testing::ElementsAre(HasSubstr("a child of the program")));
    expect_the_first_runs();
    end();
    EXPECT_THAT(program_->output().last_lines(1000), Not(HasSubstr("attached a second one")));
}

TEST_F(ProgramVm, SeesTheRealStateWhenItRuns) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings()));
    const auto state = [this] {
        std::ifstream file(fmt::format("/proc/{}/root/sys/kernel/sched_ext/state", program_->pid()));
        std::string text;
        file >> text;
        return text;
    };
    ASSERT_NO_FATAL_FAILURE(attach());
    EXPECT_TRUE(until([&] { return state() == "enabled"; })) << state();
    EXPECT_THAT(warnings_, testing::IsEmpty());
    end();
}

TEST_F(ProgramVm, MakesCgroupsOfItsOwn) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings("nests")));
    ASSERT_NO_FATAL_FAILURE(attach());
    ASSERT_TRUE(until([this] { return program_->output().last_lines(1) == "made cgroups"; }));
    end(); // and TearDown() looks for what is left
}

// It sees that its scheduler has left, and is not interrupted at what it has to say of it.
TEST_F(ProgramVm, HasTimeToReport) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings("reflects")));
    ASSERT_NO_FATAL_FAILURE(attach());
    detach();
    ASSERT_TRUE(wait_until([this] { return program_->scheduler()->read_exit_record()->left(); }));
    end();
    EXPECT_EQ(*how_, "exited with status 0");
    EXPECT_THAT(program_->output().last_lines(1), testing::StartsWith("exit kind"));
}

// What it makes, the event loop has to remove.
TEST_F(ProgramVm, MakesOnlySoManyCgroups) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(settings()));
    const fs::path cgroup = program_->cgroup().path();
    std::error_code error;
    int made = 0;
    while (made < 1000 && fs::create_directory(cgroup / std::to_string(made), error))
        ++made;
    EXPECT_EQ(made, 256);
    EXPECT_EQ(error, std::errc::resource_unavailable_try_again);
    end(); // and TearDown() looks for what is left
}

TEST_F(ProgramVm, RegistersWithoutALink) {
    ProgramSettings linkless = settings("linkless");
    linkless.start_timeout = std::chrono::seconds(5);
    start(std::move(linkless));
    ASSERT_TRUE(until([this] { return error_ && how_; }));
    EXPECT_THAT(error_->what, HasSubstr("it registers its scheduler without a link"));
    EXPECT_TRUE(wait_until([] { return bool(on_its_own_scheduler()); }));
}

class IdentityProgramVm : public ProgramVm {
protected:
    static constexpr const char* kUser = "somebody";
    void SetUp() override {
        ProgramVm::SetUp();
        fs::create_directories("/etc");
        std::ofstream("/etc/passwd") << "root:x:0:0::/root:/bin/sh\nsomebody:x:1234:1235::/:/bin/sh\n";
        std::ofstream("/etc/group") << "root:x:0:\nprimary:x:1235:\nsecond:x:1236:somebody\n";
        // Where everybody may read it.
        fs::create_directories(kFolder);
        fs::copy_file("/root/example.bpf.o", fs::path(kFolder) / "example.bpf.o", fs::copy_options::overwrite_existing);
    }
    void TearDown() override {
        fs::remove_all(kFolder);
        fs::remove("/etc/passwd");
        fs::remove("/etc/group");
        ProgramVm::TearDown();
    }
    static ProgramSettings as(const std::string& user, const std::vector<std::string>& capabilities) {
        ProgramSettings changed = settings("identity");
        changed.command.args[0] = fs::path(kFolder) / "example.bpf.o";
        auto identity = program_identity(user, capabilities);
        EXPECT_TRUE(identity) << identity.error().what;
        changed.command.identity = *std::move(identity);
        return changed;
    }
    // The words behind such a name in what it has printed.
    [[nodiscard]] std::string said(const std::string& name) const {
        std::istringstream output(program_->output().last_lines(1000));
        for (std::string line; std::getline(output, line);)
            if (line.starts_with(name + ":")) {
                std::string words;
                std::istringstream rest(line.substr(name.size() + 1));
                for (std::string word; rest >> word;)
                    words += (words.empty() ? "" : " ") + word;
                return words;
            }
        return "(nothing)";
    }
    static std::string hex(const std::vector<std::string>& capabilities) {
        CapabilitySet set = 0;
        for (const std::string& name : capabilities)
            set |= CapabilitySet{1} << *find_capability(name);
        return fmt::format("{:016x}", set);
    }
    static constexpr const char* kFolder = "/objects";
};

TEST_F(IdentityProgramVm, KeepsWhatSchedulersNeed) {
    ASSERT_NO_FATAL_FAILURE(start_and_hold(as("", {})));
    ASSERT_NO_FATAL_FAILURE(attach());
    const std::string kept = hex({std::begin(kDefaultProgramCapabilities), std::end(kDefaultProgramCapabilities)});
    EXPECT_EQ(said("Uid"), "0 0 0 0");
    EXPECT_EQ(said("CapEff"), kept);
    EXPECT_EQ(said("CapPrm"), kept);
    EXPECT_EQ(said("CapBnd"), kept);
    EXPECT_EQ(said("NoNewPrivs"), "1");
    end();
}

TEST_F(IdentityProgramVm, RunsAsAnotherUser) {
    const std::vector<std::string> few = {"CAP_BPF", "CAP_PERFMON"};
    ASSERT_NO_FATAL_FAILURE(start_and_hold(as(kUser, few)));
    ASSERT_NO_FATAL_FAILURE(attach());
    ASSERT_TRUE(until([this] { return program_->output().last_lines(1) == "scheduler started"; }));
    EXPECT_EQ(said("Uid"), "1234 1234 1234 1234");
    EXPECT_EQ(said("Gid"), "1235 1235 1235 1235");
    EXPECT_EQ(said("Groups"), "1235 1236");
    for (const char* set : {"CapPrm", "CapEff", "CapBnd", "CapAmb"})
        EXPECT_EQ(said(set), hex(few)) << set;
    EXPECT_THAT(warnings_, testing::IsEmpty());
    end();
    EXPECT_EQ(*how_, "exited with status 0");
}

// What docs/programs.md says of it.
TEST_F(IdentityProgramVm, ItTakesTwoCapabilitiesToAttach) {
    for (const std::vector<std::string>& few : std::vector<std::vector<std::string>>{{"CAP_BPF"}, {"CAP_PERFMON"}}) {
        error_.reset();
        how_.reset();
        holds_ = 0;
        expect_failure(as(kUser, few), ErrorKind::kObject, "before it asked to attach", "cannot load");
    }
}

TEST_F(IdentityProgramVm, IsNobody) {
    EXPECT_THAT(program_identity("nosuch", {}).error().what, HasSubstr("there is no user 'nosuch'"));
    EXPECT_THAT(program_identity("", {"CAP_BFP"}).error().hint, HasSubstr("CAP_BPF"));
}

} // namespace
} // namespace scxhost
