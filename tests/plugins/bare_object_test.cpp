// SPDX-License-Identifier: GPL-2.0-only
//
// An object that knows nothing of this host (tests/vm/bare.bpf.c): what is made of its knobs, its exit information, its
// counters and its other programs. That it runs is tested in guests.
#include "host/bpf/kernel_fit.hpp"
#include "host/bpf/options.hpp"
#include "host/bpf/statistics.hpp"
#include "tests/plugins/zoo.hpp"
#include "tests/unit/btf_builder.hpp"

#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace scxhost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class BareObjectTest : public testing::Test {
protected:
    // What the variable `name` starts with, as T.
    template <typename T>
    T variable(const char* name, std::size_t offset = 0) {
        T result{};
        const std::span<std::byte> raw = object_.variable_bytes(*object_.btf().find_variable(name));
        EXPECT_LE(offset + sizeof result, raw.size()) << name;
        std::memcpy(&result, raw.data() + offset, sizeof result);
        return result;
    }
    Result<Binding> bind(std::vector<Setting> options, std::vector<Setting> ops = {}) {
        return bind_options(object_, options, ops, nullptr);
    }
    static Setting set(std::string key, SettingValue value) {
        return {
            .key = std::move(key), .value = std::move(value), .where = {"x.toml", 3, 9}, .key_where = {"x.toml", 3, 1}};
    }
    std::vector<std::string> statistic_names() {
        std::vector<std::string> result;
        for (const StatisticDeclaration& statistic : object_.declarations().statistics)
            result.push_back(statistic.name);
        return result;
    }

    Bytes bytes_ = zoo_bytes("bare.bpf.o");
    SchedulerObject object_ = SchedulerObject::open({.name = "bare", .bytes = bytes_, .struct_ops = {}}).value();
};

TEST_F(BareObjectTest, EveryKnobIsAnOption) {
    std::map<std::string, std::string> found;
    const Binding binding = bind({}).value();
    for (const OptionValue& value : binding.values)
        found[value.key] = value.text;
    const std::map<std::string, std::string> expected = {
        {"slice_us", "20000"},
        {"mode", "\"BARE_CALM\""},
        {"label", "\"bare\""},
        {"shares", "[1, 2, 3, 4]"},
        {"tuning.fail_after", "0"},
        {"tuning.debug.on", "false"},
        {"tuning.debug.level", "0"},
        {"late", "7"},
        {"weights", "[[1, 2], [3, 4], [0, 0]]"},
        {"table", "[5]"},
    };
    EXPECT_EQ(found, expected) << "not the kernel's enumerators, nor the length of the dump";
    for (const OptionDeclaration& option : object_.declarations().options)
        EXPECT_FALSE(option.tagged) << option.key;
}

TEST_F(BareObjectTest, KnobsAreSetByNameAndType) {
    ASSERT_TRUE(bind(
        {set("slice_us", std::int64_t{5000}), set("mode", "BARE_WILD"), set("label", "mine"),
         set("shares", std::vector<Setting>{set("shares[0]", std::int64_t{9})}),
         set("tuning.fail_after", std::int64_t{100}), set("tuning.debug.on", true),
         set("tuning.debug.level", std::int64_t{-3}), set("late", std::int64_t{8}),
         set("weights",
             std::vector<Setting>{set("weights[0]", std::vector<Setting>{}),
                                  set("weights[1]", std::vector<Setting>{set("weights[1][0]", std::int64_t{6})})})},
        {set("timeout_ms", std::int64_t{5000})}));
    EXPECT_EQ(variable<std::uint64_t>("slice_us"), 5000U);
    EXPECT_EQ(variable<std::int32_t>("mode"), 5);
    EXPECT_EQ(std::string(variable<std::array<char, 16>>("label").data()), "mine");
    EXPECT_EQ((variable<std::array<std::uint32_t, 4>>("shares")), (std::array<std::uint32_t, 4>{9, 0, 0, 0}));
    EXPECT_EQ(variable<std::uint32_t>("tuning"), 100U);
    EXPECT_EQ(variable<std::uint8_t>("tuning", 4), 1U);
    EXPECT_EQ(variable<std::int16_t>("tuning", 6), -3);
    EXPECT_EQ(variable<std::uint32_t>("late"), 8U);
    EXPECT_EQ((variable<std::array<std::uint16_t, 6>>("weights")), (std::array<std::uint16_t, 6>{0, 0, 6, 0, 0, 0}));
    EXPECT_EQ(object_.ops_member("timeout_ms").value(), 5000U);
}

TEST_F(BareObjectTest, WrongSettingsAreRefused) {
    const std::pair<Setting, const char*> cases[] = {
        {set("mode", "BARE_WLID"), "mode: expected BARE_CALM or BARE_WILD, found \"BARE_WLID\""},
        {set("mode", "bare_wild"), "mode: expected BARE_CALM or BARE_WILD, found \"bare_wild\""},
        {set("tuning.debug.level", std::int64_t{40000}),
         "tuning.debug.level: 40000 is out of range: it must be from -32768 to 32767"},
        {set("tuning", std::int64_t{1}), "tuning: 'bare' has no such option: the variable is a struct"},
        {set("uei_dump_len", std::int64_t{1}),
         "uei_dump_len: 'bare' has no such option: the variable is filled in by the host"},
        {set("__SCX_DSQ_GLOBAL", std::int64_t{1}),
         "__SCX_DSQ_GLOBAL: 'bare' has no such option: the variable is filled in by the host"},
        {set("weights", std::vector<Setting>{set("weights[0]", std::int64_t{7})}),
         "weights[0]: expected a row, which is an array, found the integer 7"},
    };
    for (const auto& [setting, what] : cases)
        EXPECT_EQ(bind({setting}).error().what, what);
    EXPECT_EQ(bind({set("slice_u", std::int64_t{1})}).error().hint, "did you mean \"slice_us\"?");
}

TEST_F(BareObjectTest, ExitRecordIsRecognisedAndItsDumpHasRoom) {
    const std::optional<ExitRecordPlace>& record = object_.declarations().exit_record;
    ASSERT_TRUE(record);
    EXPECT_EQ(record->variable.name, "uei");
    ASSERT_TRUE(record->dump);
    ASSERT_TRUE(bind({}));
    EXPECT_EQ(variable<std::uint32_t>("uei_dump_len"), 32768U) << "the kernel's default";
    ASSERT_TRUE(bind({}, {set("exit_dump_len", std::int64_t{100000})}));
    EXPECT_EQ(variable<std::uint32_t>("uei_dump_len"), 100000U) << "what the object asks the kernel for";
}

TEST_F(BareObjectTest, WhatTheKernelLacksIsClearedWithALine) {
    BtfBuilder b;
    const std::vector<const char*> members = {"select_cpu", "enqueue", "init", "exit", "flags", "timeout_ms", "name"};
    btf__add_struct(b.btf_, "sched_ext_ops", static_cast<__u32>(members.size() * 8));
    for (std::size_t i = 0; i < members.size(); ++i)
        btf__add_field(b.btf_, members[i], b.int_, static_cast<__u32>(i * 64), 0);
    btf__add_enum64(b.btf_, "some_enum", 8, false);
    btf__add_enum64_value(b.btf_, "SCX_DSQ_GLOBAL", 1ULL << 63U | 1U);
    btf__add_enum64_value(b.btf_, "SCX_OPS_ALL_FLAGS", 0xff);
    const KernelBtf kernel = b.build();
    EXPECT_THAT(fit_to_kernel(object_, kernel).value(),
                ElementsAre("this kernel's sched_ext_ops has no teleport: not used",
                            "this kernel does not know the flags 0x4000000000000: not used"));
    EXPECT_EQ(variable<std::uint64_t>("__SCX_DSQ_GLOBAL"), 1ULL << 63U | 1U);
    EXPECT_EQ(object_.ops_member("flags").value(), 0U);
}

TEST_F(BareObjectTest, OtherProgramsAreNamed) {
    std::map<std::string, std::string> found;
    for (const OtherPrograms::Program& program : object_.other_programs())
        found[program.name] = program.section;
    const std::map<std::string, std::string> expected = {{"bare_fork", "tp_btf/sched_process_fork"},
                                                         {"bare_successor", "fentry/bpf_struct_ops_link_create"},
                                                         {"bare_ask", "syscall"}};
    EXPECT_EQ(found, expected);
}

TEST_F(BareObjectTest, NamedVariablesBecomeStatistics) {
    EXPECT_THAT(statistic_names(), ElementsAre());
    ASSERT_TRUE(object_.add_statistics("stats"));
    ASSERT_TRUE(object_.add_statistics("counts"));
    ASSERT_TRUE(object_.add_statistics("counts.forks")) << "there already";
    ASSERT_TRUE(object_.add_statistics("seen.level"));
    ASSERT_TRUE(object_.add_statistics("shares"));
    EXPECT_THAT(statistic_names(),
                ElementsAre("stats[0]", "stats[1]", "counts.enqueued", "counts.forks", "counts.attaches", "seen.level",
                            "shares[0]", "shares[1]", "shares[2]", "shares[3]"));
    const auto& declared = object_.declarations().statistics;
    EXPECT_EQ(declared[0].kind, StatisticKind::kCounter);
    EXPECT_EQ(declared[5].kind, StatisticKind::kGauge) << "it has a sign";

    const auto cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
    const auto copy = [cpus](const bpf_map& map, std::span<std::byte> out) -> Result<> {
        EXPECT_STREQ(bpf_map__name(&map), "stats");
        std::vector<std::uint64_t> values(2 * cpus, 1); // of each CPU, in the first entry
        std::fill(values.begin() + static_cast<long>(cpus), values.end(), 10);
        EXPECT_EQ(out.size(), values.size() * 8);
        std::memcpy(out.data(), values.data(), out.size());
        return {};
    };
    const std::vector<std::int64_t> values = StatisticsReader::make(object_, copy).value().read().value();
    EXPECT_EQ(values[0], static_cast<std::int64_t>(cpus));
    EXPECT_EQ(values[1], static_cast<std::int64_t>(10 * cpus));
    EXPECT_EQ(values[8], 3) << "shares[2]";
}

TEST_F(BareObjectTest, WhatIsNoStatisticIsRefused) {
    const auto refused = [&](const char* variable) {
        const Result<> result = object_.add_statistics(variable);
        if (result)
            return Error{.what = "accepted"};
        EXPECT_EQ(result.error().kind, ErrorKind::kConfig);
        return result.error();
    };
    EXPECT_EQ(refused("count").what, "there is no global and no per-CPU array map 'count'");
    EXPECT_EQ(refused("count").hint, "did you mean \"counts\"?");
    EXPECT_EQ(refused("counts.nosuch").what, "there is no number in 'counts.nosuch'");
    EXPECT_EQ(refused("label").what, "there is no number in 'label'");
    EXPECT_EQ(refused("stats.x").what, "there is no number in 'stats.x'");
    EXPECT_THAT(refused("bare_ops").what, HasSubstr("there is no global"));
    EXPECT_THAT(statistic_names(), ElementsAre());
}

} // namespace
} // namespace scxhost
