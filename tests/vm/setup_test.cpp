// SPDX-License-Identifier: GPL-2.0-only
//
// A configuration in the place of an object's loading program (needy.bpf.c), against a real kernel: that the machine's
// facts, sizes, variables, entries of maps and runs of programs arrive, and what becomes of a failing one. Runs as root
// in a guest.
#include "host/base/unique_fd.hpp"
#include "host/kernel/machine_topology.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_commands.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kConfig = "/root/needy.toml";

const std::string kHead = R"([scheduler]
object = "needy.bpf.o"
[swap]
probation = "0s"
[stats]
variables = ["seen", "per_cpu_marks", "starts"]
[scheduler.sizes]
layers = 2
cpu_llc = { machine = "cpus" }
per_cpu_marks = { machine = "cpus" }
)";

// The host follows the file that it was told last: what is to be swapped to is in another one each time.
void write_config(const std::string& more, const std::string& path = kConfig) {
    std::ofstream(path) << kHead << more;
}

class SetupVm : public QuietGuestTest {
protected:
    static std::unique_ptr<HostProcess> start(const std::vector<std::string>& more = {}) {
        std::vector<std::string> arguments = {"run", kConfig, "--json"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        auto host = std::make_unique<HostProcess>(arguments);
        const auto enabled = host->next_event("enabled");
        EXPECT_TRUE(enabled) << host->out() << host->err();
        return host;
    }
    // The statistics of the running host, by name.
    static std::map<std::string, std::int64_t> statistics() {
        HostProcess command({"stats", "--json"});
        EXPECT_EQ(command.wait(), 0) << command.err();
        std::map<std::string, std::int64_t> result;
        const nlohmann::json document = nlohmann::json::parse(command.out(), nullptr, false);
        for (const nlohmann::json& entry : document.value("statistics", nlohmann::json::array()))
            result[entry.at("name")] = entry.at("value");
        return result;
    }

    const Load load_{0, 1};
};

TEST_F(SetupVm, WhatALoadingProgramWouldDoIsDone) {
    write_config(R"(
[scheduler.options]
nr_cpu_ids = { machine = "cpus" }
cpu_core = { machine = "core" }
cpu_capacity = { machine = "capacity" }
cpu_llc = { machine = "llc" }
[scheduler.variables]
perf_level = 1024
arena_level = 33
[scheduler.maps]
layers.1 = { weight = 100, limits.quota = 5 }
starts.1 = 7
shares.web = 44
[scheduler.bpf_programs]
watch_forks = false
watch_forks_too = true
[scheduler.ops]
tick = false
[[scheduler.call]]
program = "enable_cpu"
context = { cpu_id = "each-cpu", sibling_cpu_id = { machine = "sibling" }, level = 1000 }
[[scheduler.call]]
program = "reset"
[[scheduler.call]]
program = "enable_cpu"
context = { cpu_id = 0, sibling_cpu_id = -1 }
when = "attached"
)");
    const MachineTopology machine = MachineTopology::read().value();
    const auto host = start();
    expect_runs("needy");
    const nlohmann::json shown = host->wait_for_event("enabled")->at("options");
    EXPECT_EQ(shown.at("nr_cpu_ids"), std::to_string(machine.cpus));
    EXPECT_EQ(shown.at("sizes.layers"), "2");
    EXPECT_EQ(shown.at("variables.perf_level"), "1024");
    EXPECT_EQ(shown.at("maps.layers.1.weight"), "100");
    EXPECT_EQ(shown.at("bpf_programs.watch_forks"), "false");
    EXPECT_EQ(shown.at("call[1]"), "reset()");

    auto seen = statistics();
    EXPECT_EQ(seen.at("seen.cpu_ids"), machine.cpus);
    EXPECT_EQ(seen.at("seen.llc_last"), machine.core.back());
    EXPECT_EQ(seen.at("seen.marks"), machine.capacity.back());
    EXPECT_EQ(seen.at("seen.perf"), 1024);
    EXPECT_EQ(seen.at("seen.level"), 33);
    EXPECT_EQ(seen.at("seen.weight"), 100);
    EXPECT_EQ(seen.at("seen.quota"), 5);
    EXPECT_EQ(seen.at("seen.start"), 7) << "for each CPU";
    EXPECT_EQ(seen.at("starts[1]"), 7 * static_cast<std::int64_t>(machine.possible.size()));
    EXPECT_EQ(seen.at("seen.share"), 44);
    EXPECT_EQ(seen.at("seen.enabled"), static_cast<std::int64_t>(machine.possible.size())) << "before init";
    EXPECT_EQ(seen.at("seen.enabled_later"), 1) << "once it runs";
    EXPECT_EQ(seen.at("seen.resets"), 1);
    EXPECT_EQ(seen.at("seen.siblings"), machine.smt ? static_cast<std::int64_t>(machine.online.size()) : 0);
    EXPECT_EQ(seen.at("seen.registrations"), 1) << "it was there before its scheduler came";
    EXPECT_TRUE(seen.contains("per_cpu_marks[" + std::to_string(machine.cpus - 1) + "]")) << "the array has grown";

    EXPECT_EQ(::system("true"), 0);
    EXPECT_TRUE(wait_until([] { return statistics().at("seen.optional_forks") > 0; }));
    seen = statistics();
    EXPECT_EQ(seen.at("seen.forks"), 0) << "left out";
    EXPECT_EQ(seen.at("seen.ticks"), 0) << "left out";
    end(*host);
}

// Without all that the same counters move.
TEST_F(SetupVm, WithoutItEverythingIsAsTheObjectHasIt) {
    write_config("[scheduler.options]\nnr_cpu_ids = 1\n");
    const Load busy(1, 0); // a tick needs a task that runs
    const auto host = start();
    EXPECT_EQ(::system("true"), 0);
    EXPECT_TRUE(wait_until([] { return statistics().at("seen.forks") > 0 && statistics().at("seen.ticks") > 0; }));
    const auto seen = statistics();
    EXPECT_EQ(seen.at("seen.optional_forks"), 0);
    EXPECT_EQ(seen.at("seen.perf"), 512);
    EXPECT_EQ(seen.at("seen.enabled"), 0);
    end(*host);
}

// What is set in any of these ways is part of what runs: the same again is nothing new, and something else is.
TEST_F(SetupVm, ItIsPartOfWhatRuns) {
    const std::string body = "[scheduler.variables]\nperf_level = 7\n[scheduler.maps]\nlayers.0.weight = 1\n"
                             "[[scheduler.call]]\nprogram = \"reset\"\n";
    write_config(body);
    const auto host = start();
    EXPECT_EQ(swap({kConfig}).report.value("outcome", ""), "unchanged");
    int number = 0;
    for (const std::string& other :
         {std::string("[scheduler.variables]\nperf_level = 8\n[scheduler.maps]\nlayers.0.weight = 1\n"),
          std::string("[scheduler.variables]\nperf_level = 8\n[scheduler.maps]\nlayers.0.weight = 2\n"),
          std::string("[scheduler.variables]\nperf_level = 8\n[scheduler.bpf_programs]\nwatch_forks = false\n"),
          body}) {
        const std::string file = "/root/other" + std::to_string(++number) + ".toml";
        write_config(other, file);
        const Answer answer = swap({file});
        EXPECT_EQ(answer.report.value("outcome", ""), "good") << answer.report << answer.err << other;
        EXPECT_EQ(statistics().at("seen.registrations"), 1) << "of its own life, that of its predecessor is another's";
    }
    EXPECT_EQ(statistics().at("seen.perf"), 7);
    end(*host);
}

// Before the attach it is refused, and afterwards undone.
TEST_F(SetupVm, ACallThatFailsFailsTheWhole) {
    write_config("");
    const auto host = start();
    write_config("[[scheduler.call]]\nprogram = \"enable_cpu\"\ncontext = { cpu_id = 4711 }\n", "/root/before.toml");
    Answer answer = swap({"/root/before.toml"});
    EXPECT_EQ(answer.status, 2) << answer.report;
    EXPECT_THAT(answer.report.value("/error/message"_json_pointer, ""),
                HasSubstr("program enable_cpu of 'needy' returned -22 (Invalid argument)"));
    expect_runs("needy");

    write_config("[scheduler.options]\nnr_cpu_ids = 1\n[[scheduler.call]]\nprogram = \"enable_cpu\"\n"
                 "context = { cpu_id = \"each-online-cpu\" }\nwhen = \"attached\"\n",
                 "/root/after.toml");
    answer = swap({"/root/after.toml"});
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
    EXPECT_THAT(answer.report.value("/error/message"_json_pointer, ""),
                HasSubstr("returned -22 (Invalid argument) for CPU 1"));
    expect_runs("needy");
    end(*host);
}

// As many tracing programs as the kernel allows at its function that registers a scheduler: one more cannot be
// attached.
class FullTrampoline {
public:
    FullTrampoline() {
        const int function = ::libbpf_find_vmlinux_btf_id("bpf_scx_reg", BPF_TRACE_FENTRY);
        LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_FENTRY,
                    .attach_btf_id = static_cast<__u32>(function));
        const std::array<bpf_insn, 2> nothing = {
            bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 0},
            bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
        while (links_.size() < 1000) {
            const UniqueFd program(
                ::bpf_prog_load(BPF_PROG_TYPE_TRACING, "crowd", "GPL", nothing.data(), nothing.size(), &options));
            EXPECT_TRUE(program) << std::strerror(errno);
            UniqueFd link(::bpf_link_create(program.get(), 0, BPF_TRACE_FENTRY, nullptr));
            if (!link)
                return;
            links_.push_back(std::move(link));
        }
    }

    [[nodiscard]] std::size_t size() const { return links_.size(); }

private:
    std::vector<UniqueFd> links_;
};

// What is to see the registration is attached before the window: when that fails, the one that runs is not touched.
TEST_F(SetupVm, AnEarlyAttachThatFailsTouchesNothing) {
    std::ofstream("/root/simple.toml") << "[scheduler]\nplugin = \"simple\"\n[swap]\nprobation = \"0s\"\n";
    HostProcess host({"run", "/root/simple.toml", "--json"});
    ASSERT_TRUE(host.next_event("enabled")) << host.out() << host.err();
    const std::uint64_t before = kernel_status().enable_seq;
    write_config("", "/root/early.toml");
    {
        const FullTrampoline crowd;
        ASSERT_GT(crowd.size(), 10U);
        const Answer answer = swap({"/root/early.toml"});
        EXPECT_NE(answer.status, 0);
        EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
        EXPECT_THAT(answer.report.value("/error/message"_json_pointer, ""), HasSubstr("watch_registration"));
        expect_runs("simple");
        EXPECT_EQ(kernel_status().enable_seq, before) << "it was never detached";
    }
    const Answer answer = swap({"/root/early.toml", "--force"});
    EXPECT_EQ(answer.report.value("outcome", ""), "good") << answer.report << answer.err;
    end(host);
}

// The same from the user-space half of a plugin, whose object is needy's own.
TEST_F(SetupVm, APluginDoesItForAnObjectThatExists) {
    HostProcess host({"run", "/root/around.so", "--json", "--set", "stats.variables=seen,per_cpu_marks"},
                     [] { ::setenv("SCXHOST_ZOO_JOURNAL", "/root/journal", 1); });
    ASSERT_TRUE(host.next_event("enabled")) << host.out() << host.err();
    EXPECT_THAT(read_text("/sys/kernel/sched_ext/root/ops"), testing::StartsWith("needy")) << "the object's own name";
    EXPECT_EQ(read_text("/sys/kernel/sched_ext/switch_all"), "0\n") << "SCX_OPS_SWITCH_PARTIAL";
    const auto seen = statistics();
    EXPECT_EQ(seen.at("seen.enabled"), 1);
    EXPECT_EQ(seen.at("seen.sum"), 3);
    EXPECT_TRUE(seen.contains("per_cpu_marks[3]")) << "the array has grown";
    std::ifstream file("/root/journal");
    std::string last;
    for (std::string line; std::getline(file, line);)
        last = line;
    EXPECT_EQ(last, "'layers' cannot have 4 entries: the object is loaded");
    end(host);
}

TEST_F(SetupVm, CheckSaysWhatItWouldDo) {
    write_config("[scheduler.options]\nnr_cpu_ids = 1\n[[scheduler.call]]\nprogram = \"reset\"\n");
    HostProcess check({"check", kConfig});
    EXPECT_EQ(check.wait(), 0) << check.out() << check.err();
    EXPECT_THAT(check.out(), HasSubstr("call[0] = reset()"));
    EXPECT_THAT(check.out(), HasSubstr("nobody runs the syscall program enable_cpu;"));

    HostProcess bare({"check", "--object", "/root/needy.bpf.o"});
    EXPECT_EQ(bare.wait(), 2) << bare.out();
    EXPECT_THAT(bare.err(), HasSubstr("map 'layers' of 'needy' has no number of entries"));
    EXPECT_THAT(bare.err(), HasSubstr("write layers = NUMBER in [scheduler.sizes]"));
}

// It drops everything, kernel threads too, and its watchdog comes long after probation is over.
TEST_F(SetupVm, OneThatDropsEverythingDoesNotBecomeGood) {
    HostProcess host({"run", "simple", "--json"});
    ASSERT_TRUE(host.next_event("enabled")) << host.out() << host.err();
    write_config("[scheduler.options]\ndrop_everything = true\n[scheduler.ops]\ntimeout_ms = 5000\n");
    const Answer answer = swap({kConfig, "--set", "swap.probation=2s"});
    EXPECT_EQ(answer.report.value("outcome", ""), "rolled-back") << answer.report << answer.err;
    EXPECT_THAT(answer.report.at("error").value("message", ""), HasSubstr("ERROR_STALL"));
    std::istringstream events(host.out());
    for (std::string event; std::getline(events, event);)
        EXPECT_FALSE(event.find("\"event\":\"good\"") != std::string::npos && event.find("needy") != std::string::npos)
            << event;
    expect_runs("simple");
    end(host);
}

} // namespace
} // namespace scxhost
