// SPDX-License-Identifier: GPL-2.0-only
//
// What `scxhost info` prints, for made-up kernels and for the machine that runs the test.
#include "host/cli/info.hpp"
#include "host/kernel/kernel_release.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <sstream>

namespace scxhost {
namespace {

using testing::HasSubstr;
using testing::Not;
using Outcome = PreflightItem::Outcome;

const Feature& find_feature(std::string_view key) {
    for (const Feature& feature : known_features())
        if (feature.key == key)
            return feature;
    ADD_FAILURE() << "no feature " << key;
    return known_features().front();
}

KernelInfo running_kernel() {
    KernelInfo info;
    info.release = "7.1.13-test";
    info.machine = "x86_64";
    info.lockdown = "none";
    info.preflight.items.push_back({.name = "sched_ext", .outcome = Outcome::kPassed, .error = {}, .reason = {}});
    info.preflight.items.push_back({.name = "no other scheduler",
                                    .outcome = Outcome::kFailed,
                                    .error = Error{.kind = ErrorKind::kBusy, .what = "taken", .hint = "stop it"},
                                    .reason = {}});
    info.sched_ext = SchedExtStatus{.state = SchedExtState::kEnabled,
                                    .state_text = "enabled",
                                    .ops = "other_1",
                                    .enable_seq = 4,
                                    .nr_rejected = 0,
                                    .hotplug_seq = 1,
                                    .switch_all = true,
                                    .events = {{"SCX_EV_X", 7}}};
    info.features = {{&find_feature("dsq-create"), Availability::kMalformed},
                     {&find_feature("task-ids"), Availability::kAbsent},
                     {&find_feature("arena"), Availability::kPresent}};
    info.ops_flags = {{"SCX_OPS_ENQ_LAST", 2}, {"SCX_OPS_OF_TOMORROW", 1ULL << 40}};
    info.ops_members = {"select_cpu", "name"};
    info.malformed_kfuncs = {{.name = "scx_bpf_create_dsq", .why = "for a test"}};
    info.host_version = "0.1";
    info.contract_version = "1.0";
    info.libbpf_version = "v1.7";
    return info;
}

std::string text_of(const KernelInfo& info, const Result<>& programs = {}) {
    std::ostringstream out;
    print_kernel_info(out, info, programs);
    return out.str();
}

TEST(Info, TextTellsWhatMatters) {
    const std::string text = text_of(running_kernel());
    EXPECT_THAT(text, HasSubstr("7.1.13-test (x86_64)"));
    EXPECT_THAT(text, HasSubstr("enabled, scheduler \"other_1\"; 4 enabled since boot"));
    EXPECT_THAT(text, HasSubstr("failed: taken"));
    EXPECT_THAT(text, HasSubstr("hint: stop it"));
    EXPECT_THAT(text, HasSubstr("malformed in this kernel's BTF"));
    EXPECT_THAT(text, testing::ContainsRegex("malformed +scx_bpf_create_dsq"));
    EXPECT_THAT(text, testing::ContainsRegex("absent +scx_bpf_tid_to_task.*from 7.2"));
    EXPECT_THAT(text, testing::ContainsRegex("present +BPF_MAP_TYPE_ARENA"));
    EXPECT_THAT(text, HasSubstr("SCX_OPS_OF_TOMORROW"));
    EXPECT_THAT(text, Not(HasSubstr("Lockdown")));
}

TEST(Info, TextTellsWhetherProgramsCanBeHosted) {
    EXPECT_THAT(text_of(running_kernel()), testing::ContainsRegex("Can host programs +yes\n"));
    const std::string text =
        text_of(running_kernel(), fail(ErrorKind::kPermission, "CAP_SYS_PTRACE is missing", "start it as root"));
    EXPECT_THAT(text, testing::ContainsRegex("Can host programs +no: CAP_SYS_PTRACE is missing\n"));
    EXPECT_THAT(text, HasSubstr("hint: start it as root"));
}

TEST(Info, LockdownIsExplainedWhenItMatters) {
    KernelInfo info = running_kernel();
    info.lockdown = "confidentiality";
    EXPECT_THAT(text_of(info), HasSubstr("read kernel memory by address"));
}

TEST(Info, KernelWithoutSchedExtGetsNoTable) {
    KernelInfo info = running_kernel();
    info.sched_ext.reset();
    EXPECT_THAT(text_of(info), HasSubstr("not available"));
    EXPECT_THAT(text_of(info), Not(HasSubstr("BPF_MAP_TYPE_ARENA")));
}

TEST(Info, JsonHoldsEverything) {
    const nlohmann::ordered_json json = to_json(running_kernel());
    EXPECT_EQ(json.at("schema"), 1);
    EXPECT_EQ(json.at("ready"), false);
    EXPECT_EQ(json.at("kernel").at("release"), "7.1.13-test");
    EXPECT_EQ(json.at("versions").at("libbpf"), "v1.7");
    EXPECT_EQ(json.at("sched_ext").at("scheduler"), "other_1");
    EXPECT_EQ(json.at("sched_ext").at("events").at("SCX_EV_X"), 7);
    EXPECT_EQ(json.at("checks").at(1).at("what"), "taken");
    EXPECT_EQ(json.at("malformed_kfuncs").at(0).at("name"), "scx_bpf_create_dsq");
    EXPECT_EQ(json.at("features").at(1).at("availability"), "absent");
    EXPECT_EQ(json.at("features").at(1).at("since"), "7.2");
    EXPECT_EQ(json.at("ops_flags").at("SCX_OPS_OF_TOMORROW"), 1ULL << 40);
    EXPECT_EQ(json.at("ops_members").size(), 2U);
}

TEST(Info, JsonOfAKernelWithoutSchedExt) {
    KernelInfo info = running_kernel();
    info.sched_ext.reset();
    info.lockdown.clear();
    const nlohmann::ordered_json json = to_json(info);
    EXPECT_TRUE(json.at("sched_ext").is_null());
    EXPECT_TRUE(json.at("kernel").at("lockdown").is_null());
}

TEST(Info, WorksOnAnyMachine) {
    std::ostringstream text;
    info_command(text, false);
    EXPECT_THAT(text.str(), HasSubstr(kernel_release()));
    std::ostringstream json;
    info_command(json, true);
    EXPECT_EQ(nlohmann::json::parse(json.str()).at("kernel").at("release"), kernel_release());
}

} // namespace
} // namespace scxhost
