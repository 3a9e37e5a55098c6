// SPDX-License-Identifier: GPL-2.0-only
//
// Somebody's object (bare.bpf.c) under the host, against a real kernel: options, statistics, its other programs, and
// every way in which it comes and goes. Runs as root in a guest.
#include "host/base/unique_fd.hpp"
#include "host/kernel/cgroup.hpp"
#include "host/kernel/kernel_config.hpp"
#include "host/kernel/kernel_release.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_commands.hpp"

#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kBare = "/root/bare.bpf.o";
constexpr const char* kVariables = "stats.variables=stats,counts,seen";

// Names of the programs that are attached through a link right now.
std::vector<std::string> linked_programs() {
    std::vector<std::string> result;
    for (std::uint32_t id = 0; ::bpf_link_get_next_id(id, &id) == 0;) {
        const UniqueFd link(::bpf_link_get_fd_by_id(id));
        bpf_link_info link_info{};
        std::uint32_t size = sizeof link_info;
        if (link.get() < 0 || ::bpf_obj_get_info_by_fd(link.get(), &link_info, &size) != 0)
            continue;
        const UniqueFd program(::bpf_prog_get_fd_by_id(link_info.prog_id));
        bpf_prog_info info{};
        size = sizeof info;
        if (program.get() >= 0 && ::bpf_obj_get_info_by_fd(program.get(), &info, &size) == 0)
            result.emplace_back(info.name);
    }
    return result;
}

// For a process that is about to become another program: puts an empty folder over this one, for itself alone.
void hide(const char* folder) {
    ::unshare(CLONE_NEWNS);
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    ::mount("none", folder, "tmpfs", 0, "mode=755");
}

void fork_once() {
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(0);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
}

class BareVm : public QuietGuestTest {
protected:
    // A host that runs the object.
    static std::unique_ptr<HostProcess> start(std::vector<std::string> more = {}) {
        std::vector<std::string> arguments = {"run",   "--object", kBare,   "--json",
                                              "--set", kVariables, "--set", "swap.probation=0s"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        auto host = std::make_unique<HostProcess>(arguments);
        EXPECT_TRUE(host->next_event("enabled")) << host->out() << host->err();
        return host;
    }
    static void expect_traced() {
        EXPECT_THAT(linked_programs(), Contains("bare_fork"));
        const std::int64_t before = statistic("counts.forks");
        fork_once();
        EXPECT_GT(statistic("counts.forks"), before);
        EXPECT_EQ(statistic("counts.attaches"), 0) << "its tracing program saw a scheduler being attached";
    }

    const Load load_{0, 2}; // somebody has to wake up, or no task is ever enqueued
};

TEST_F(BareVm, OptionsAndStatisticsReachBothWays) {
    const auto host = start({"--set", "slice_us=7000",
                             "--set", "mode=BARE_WILD",
                             "--set", "label=x",
                             "--set", "shares=5,6,77",
                             "--set", "tuning.debug.on=yes",
                             "--set", "tuning.debug.level=-4",
                             "--set", "late=3",
                             "--set", "weights=[[], [33]]",
                             "--set", "scheduler.ops.timeout_ms=15000",
                             "--set", "scheduler.ops.flags=SCX_OPS_ENQ_LAST,SCX_OPS_ENQ_EXITING"});
    const auto enabled = host->wait_for_event("enabled");
    ASSERT_TRUE(enabled) << host->out();
    EXPECT_EQ(enabled->at("options").at("mode"), "\"BARE_WILD\"");
    EXPECT_THAT(enabled->at("notes"), Contains(HasSubstr("has no teleport: not used")));
    EXPECT_THAT(enabled->at("notes"), Contains(HasSubstr("does not know the flags 0x4000000000000: not used")));
    EXPECT_THAT(enabled->at("ops").get<std::string>(), StartsWith("bare_"));
    EXPECT_EQ(statistic("seen.slice_us"), 7000);
    EXPECT_EQ(statistic("seen.mode"), 5);
    EXPECT_EQ(statistic("seen.share"), 77);
    EXPECT_EQ(statistic("seen.late"), 3);
    EXPECT_EQ(statistic("seen.weight"), 33);
    EXPECT_EQ(statistic("seen.letter"), 'x');
    EXPECT_EQ(statistic("seen.level"), -4);
    EXPECT_EQ(statistic("seen.debug"), 1);
    EXPECT_TRUE(wait_until([] { return statistic("stats[0]") > 0 && statistic("stats[1]") > 0; }));
    EXPECT_GE(statistic("counts.enqueued"), statistic("stats[0]") / 2);
    expect_traced();

    // Once more, with all of it.
    EXPECT_EQ(HostProcess({"swap", "--again", "--no-wait"}).wait(), 0);
    const auto again = host->next_event("enabled");
    ASSERT_TRUE(again) << host->out();
    EXPECT_GT(again->at("enable_seq"), enabled->at("enable_seq"));
    EXPECT_EQ(again->at("options"), enabled->at("options"));
    EXPECT_EQ(again->at("notes"), enabled->at("notes"));
    EXPECT_EQ(statistic("seen.slice_us"), 7000);
    end(*host);
    EXPECT_THAT(linked_programs(), Not(Contains("bare_fork")));
}

TEST_F(BareVm, CheckGoesAsFarAsTheVerifier) {
    HostProcess command({"check", "--object", kBare});
    EXPECT_EQ(command.wait(), 0) << command.out() << command.err();
    EXPECT_THAT(command.out(), HasSubstr("loaded and verified, not attached"));
}

TEST_F(BareVm, EjectionIsReportedAndRecorded) {
    std::filesystem::remove_all("/var/lib/scxhost/incidents");
    HostProcess host({"run", "--object", kBare, "--json", "--set", "tuning.fail_after=20", "--set",
                      "scheduler.ops.exit_dump_len=16384"});
    EXPECT_EQ(host.wait(), 1);
    const auto left = host.wait_for_event("left");
    ASSERT_TRUE(left) << host.out() << host.err();
    EXPECT_EQ(left->at("exit").at("kind"), "ERROR");
    EXPECT_THAT(left->at("exit").at("message").get<std::string>(), HasSubstr("0x1267")); // queue 4711
    EXPECT_NE(left->at("exit").at("reason"), "");
    EXPECT_GT(left->at("exit").at("dump").get<std::string>().size(), 100U);
    const auto incident = host.wait_for_event("incident");
    ASSERT_TRUE(incident) << host.out() << host.err();
    const nlohmann::json record = nlohmann::json::parse(read_text(incident->at("path").get<std::string>()));
    EXPECT_EQ(record.at("scheduler"), "bare");
    EXPECT_EQ(record.at("options").at("tuning.fail_after"), "20");
    EXPECT_THAT(linked_programs(), Not(Contains("bare_fork")));
}

// Its tracing program counts the schedulers that are attached while it is there: there must be none, since it goes
// before its successor comes and is back only after its own return.
TEST_F(BareVm, GoesWithItsProgramsAndComesBackWithThem) {
    const auto host = start();
    expect_traced();
    const Answer failed = swap({"/root/faulty.so", "--set", "fault=init"});
    EXPECT_EQ(failed.report.value("outcome", ""), "rolled-back") << failed.report << failed.err;
    expect_runs("bare");
    expect_traced();

    // On probation the one before is kept as it is: what it saw is still there when it comes back.
    const Answer ejected =
        swap({"/root/faulty.so", "--force", "--set", "fault=error", "--set", "after=2", "--set", "swap.probation=1h"});
    EXPECT_EQ(ejected.report.value("outcome", ""), "rolled-back") << ejected.report << ejected.err;
    expect_runs("bare");
    expect_traced();

    EXPECT_EQ(swap({"simple"}).status, 0);
    expect_runs("simple");
    EXPECT_THAT(linked_programs(), Not(Contains("bare_fork")));
    const Answer back = swap({"--object", kBare, "--set", kVariables});
    EXPECT_EQ(back.report.value("outcome", ""), "good") << back.report << back.err;
    expect_runs("bare");
    expect_traced();
    end(*host);
}

TEST_F(BareVm, FailsOnProbationAndTheOneBeforeComesBack) {
    HostProcess host({"run", "simple", "--json"});
    ASSERT_TRUE(host.next_event("enabled")) << host.out() << host.err();
    const Answer answer = swap({"--object", kBare, "--set", "tuning.fail_after=20", "--set", "swap.probation=1h"});
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
    EXPECT_THAT(answer.report.at("error").value("message", ""), HasSubstr("0x1267"));
    expect_runs("simple");
    EXPECT_THAT(linked_programs(), Not(Contains("bare_fork")));
    end(host);
}

// qmap without its declarations' help: an array in its arena, whose element 2 counts the tasks of ordinary weight.
TEST_F(BareVm, NumbersInAnArenaAreShown) {
    if (!has_qmap())
        GTEST_SKIP() << "qmap needs kfuncs that are malformed in this kernel's BTF";
    HostProcess host({"run", "--object", "/usr/lib/scxhost/plugins/qmap.bpf.o", "--json", "--set",
                      "stats.variables=qa.core_sched_tail_seqs"});
    ASSERT_TRUE(host.next_event("enabled")) << host.out() << host.err();
    EXPECT_TRUE(wait_until([] { return statistic("qa.core_sched_tail_seqs[2]") > 0; }));
    end(host);
}

// Every command line that docs/bare-objects.md begins with, in its order: what runs stays for those after it.
TEST_F(BareVm, CommandsOfThePageWork) {
    std::filesystem::copy_file(kBare, "/root/mine.bpf.o");
    std::unique_ptr<HostProcess> host;
    for (const std::string& command_line : commands_of("/root/bare-objects.md", "scxhost ")) {
        std::istringstream words(command_line.substr(0, command_line.find('#')));
        const std::vector<std::string> arguments(std::istream_iterator<std::string>(words), {});
        auto command = std::make_unique<HostProcess>(arguments);
        if (arguments.front() == "run") {
            host = std::move(command);
            EXPECT_TRUE(host->wait_for_output([](const std::string& out) { return out.contains("enabled: mine"); }))
                << host->err();
        } else {
            EXPECT_EQ(command->wait(), 0) << command_line << '\n' << command->err();
        }
    }
    ASSERT_TRUE(host) << "none of them runs it";
    end(*host);
}

// Asked for by name, since by itself an object with both forms takes the one that the kernel has.
TEST_F(BareVm, FormThatTheKernelLacksIsNamedByTheFitCheck) {
    HostProcess check(
        {"check", "--object", "/usr/lib/scxhost/plugins/qmap.bpf.o", "--set", "scheduler.struct_ops=qmap_cid_ops"});
    const int status = check.wait();
    if (availability("cid-form") == Availability::kPresent) {
        EXPECT_TRUE(status == 0 || check.err().contains("malformed in this kernel's BTF")) << check.err();
        return;
    }
    EXPECT_EQ(status, 3);
    EXPECT_THAT(check.out(), HasSubstr("FAILED       fit to this kernel"));
    EXPECT_THAT(check.err(), HasSubstr("written for struct sched_ext_ops_cid"));
}

// What the kernel was built with, from the file that its package has.
TEST_F(BareVm, KernelConfigurationReachesTheObject) {
    const auto config = find_kernel_config(kernel_config_places(kernel_release()));
    if (!config) {
        HostProcess check({"check", "--object", "/root/configured.bpf.o"});
        EXPECT_EQ(check.wait(), 3);
        EXPECT_THAT(check.err(), HasSubstr("no file with this kernel's configuration"));
        GTEST_SKIP()
            << "the kernel was fetched without its configuration: ./dev setup --refresh, if the archive has it";
    }
    HostProcess host({"run", "--object", "/root/configured.bpf.o", "--json", "--set", "stats.variables=seen"});
    ASSERT_TRUE(host.next_event("enabled")) << host.out() << host.err();
    EXPECT_EQ(std::to_string(statistic("seen.hz")), config->value("CONFIG_HZ"));
    EXPECT_EQ(statistic("seen.smp"), 1);
    EXPECT_EQ(statistic("seen.other"), 0);
    end(host);

    HostProcess missing({"check", "--object", "/root/unconfigured.bpf.o"});
    EXPECT_EQ(missing.wait(), 3);
    EXPECT_THAT(missing.err(), HasSubstr("needs CONFIG_OF_ANOTHER_WORLD, and " + config->path.string()));
    HostProcess nowhere({"check", "--object", "/root/configured.bpf.o"}, [] { hide("/usr/lib/modules"); });
    EXPECT_EQ(nowhere.wait(), 3);
    EXPECT_THAT(nowhere.err(), HasSubstr("no file with this kernel's configuration: neither /boot/config-"));
}

// By the folder's name, and no other file system's folder will do.
TEST_F(BareVm, CgroupsOfOptionsAreCgroups) {
    std::filesystem::create_directory("/sys/fs/cgroup/named");
    struct stat folder{};
    ASSERT_EQ(::stat("/sys/fs/cgroup/named", &folder), 0);
    for (const char* name : {"named", "/named", "/sys/fs/cgroup/named", "/sys/fs/cgroup/named/"})
        EXPECT_EQ(find_cgroup(name).value_or(0), folder.st_ino) << name;
    std::filesystem::remove("/sys/fs/cgroup/named");
    HostProcess other({"check", "--object", "/usr/lib/scxhost/plugins/qmap.bpf.o", "--set", "sub_cgroup=/named"}, [] {
        hide("/sys/fs/cgroup");
        std::filesystem::create_directory("/sys/fs/cgroup/named");
    });
    EXPECT_EQ(other.wait(), 2) << other.out();
    EXPECT_THAT(other.out() + other.err(), HasSubstr("/sys/fs/cgroup/named is not in a cgroup2 file system"));
}

TEST_F(BareVm, ProcessesOfAPidNamespaceAreRefused) {
    const std::vector<std::string> arguments = {"check", "--object", "/usr/lib/scxhost/plugins/qmap.bpf.o", "--set",
                                                "disallow_pid=-1"};
    HostProcess inside(arguments, [] {
        ::unshare(CLONE_NEWPID); // of children only
        if (const pid_t child = ::fork(); child > 0) {
            int status = 0;
            ::waitpid(child, &status, 0);
            std::_Exit(WIFEXITED(status) ? WEXITSTATUS(status) : 127);
        }
    });
    EXPECT_EQ(inside.wait(), 2) << inside.out();
    EXPECT_THAT(inside.out() + inside.err(),
                HasSubstr("disallow_pid: process numbers here are those of a PID namespace"));
    HostProcess outside(arguments);
    outside.wait();
    EXPECT_THAT(outside.out() + outside.err(), Not(HasSubstr("PID namespace")));
}

// The kernel takes the scheduler, but one of its other programs has no place in it.
TEST_F(BareVm, ProgramThatCannotBeAttachedIsAFailedSwap) {
    HostProcess host({"run", "simple", "--json"});
    ASSERT_TRUE(host.next_event("enabled")) << host.out() << host.err();
    const Answer answer = swap({"/root/lost.bpf.o"});
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
    EXPECT_THAT(answer.report.at("error").value("message", ""),
                HasSubstr("cannot attach program 'lost_probe' (tp/nosuch/event) of 'lost'"));
    expect_runs("simple");
    end(host);
}

} // namespace
} // namespace scxhost
