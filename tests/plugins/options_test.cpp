// SPDX-License-Identifier: GPL-2.0-only
//
// Settings bound to a real object, opened but never loaded: each kind, its limits, and what is refused.
#include "host/bpf/options.hpp"
#include "host/config/setting.hpp"
#include "host/kernel/kernel_btf.hpp"
#include "tests/plugins/zoo.hpp"
#include "tests/unit/btf_builder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <limits>
#include <span>

namespace scxhost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

Setting set(std::string key, SettingValue value) {
    return {.key = std::move(key), .value = std::move(value), .where = {"x.toml", 3, 9}, .key_where = {"x.toml", 3, 1}};
}

Setting array(const std::string& key, std::vector<SettingValue> values) {
    std::vector<Setting> elements;
    for (SettingValue& value : values)
        elements.push_back(set(key + "[" + std::to_string(elements.size()) + "]", std::move(value)));
    return set(key, std::move(elements));
}

class OptionsTest : public testing::Test {
protected:
    Result<Binding> bind(const std::vector<Setting>& options, const std::vector<Setting>& ops = {},
                         const KernelBtf* kernel = nullptr) {
        object_.emplace(SchedulerObject::open({.name = "zoo", .bytes = bytes_, .struct_ops = {}}).value());
        return bind_options(*object_, options, ops, kernel);
    }
    // The text of an option after binding, which is read back from the variable's bytes.
    std::string value(const std::string& key, SettingValue value) {
        const Result<Binding> binding = bind({set(key, std::move(value))});
        return binding ? shown(*binding, key) : binding.error().what;
    }
    static std::string shown(const Binding& binding, const std::string& key) {
        for (const OptionValue& option : binding.values)
            if (option.key == key)
                return option.text;
        return "no such option";
    }
    Error refused(const Setting& setting) {
        const Result<Binding> binding = bind({setting});
        if (binding)
            return {.what = "accepted"};
        EXPECT_EQ(binding.error().kind, ErrorKind::kConfig);
        return binding.error();
    }
    template <typename T>
    T variable(const char* name) const {
        const VariablePlace* place = object_->btf().find_variable(name);
        T result{};
        EXPECT_NE(place, nullptr) << name;
        const auto raw = std::as_const(*object_).variable_bytes(*place);
        EXPECT_EQ(raw.size(), sizeof result) << name;
        std::memcpy(&result, raw.data(), std::min(raw.size(), sizeof result));
        return result;
    }

    Bytes bytes_ = zoo_bytes("good.bpf.o");
    std::optional<SchedulerObject> object_;
};

TEST_F(OptionsTest, DefaultsAreTheInitialValues) {
    const Binding binding = bind({}).value();
    const std::pair<const char*, const char*> expected[] = {
        {"flag", "false"},         {"count", "10"},       {"small", "-1"},      {"large", "0"},
        {"slice", "\"20ms\""},     {"timeout", "\"5s\""}, {"room", "\"4KiB\""}, {"mode", "\"calm\""},
        {"title", "\"zoo\""},      {"process", "0"},      {"cpus", "\"0-3\""},  {"cgroup", "\"\""},
        {"weights", "[1, -2, 3]"},
    };
    ASSERT_EQ(binding.values.size(), std::size(expected));
    for (std::size_t i = 0; i < std::size(expected); ++i) {
        EXPECT_EQ(binding.values[i].key, expected[i].first);
        EXPECT_EQ(binding.values[i].text, expected[i].second) << expected[i].first;
        EXPECT_FALSE(binding.values[i].set);
    }
    EXPECT_EQ(object_->ops_member("timeout_ms").value(), 5000U) << "goes into the struct_ops, set or not";
}

TEST_F(OptionsTest, EveryKindIsSetUpToItsLimits) {
    EXPECT_EQ(value("flag", true), "true");
    EXPECT_EQ(value("count", std::int64_t{1}), "1");
    EXPECT_EQ(value("count", std::int64_t{100}), "100");
    EXPECT_EQ(variable<std::uint32_t>("count"), 100U);
    EXPECT_EQ(value("small", std::int64_t{-128}), "-128");
    EXPECT_EQ(value("small", std::int64_t{127}), "127");
    EXPECT_EQ(variable<std::int8_t>("small"), 127);
    EXPECT_EQ(value("large", kMax), std::to_string(kMax));
    EXPECT_EQ(value("slice", "1us"), "\"1us\"");
    EXPECT_EQ(value("slice", "1s"), "\"1s\"");
    EXPECT_EQ(variable<std::uint64_t>("slice_ns"), 1'000'000'000U);
    EXPECT_EQ(value("timeout", "1500ms"), "\"1.5s\"");
    EXPECT_EQ(variable<std::uint32_t>("timeout_ms"), 1500U);
    EXPECT_EQ(object_->ops_member("timeout_ms").value(), 1500U);
    EXPECT_EQ(value("room", "1M"), "\"1MiB\"");
    EXPECT_EQ(value("room", std::int64_t{512}), "\"512\"");
    EXPECT_EQ(value("mode", "wild"), "\"wild\"");
    EXPECT_EQ(variable<std::int32_t>("mode"), 7);
    EXPECT_EQ(value("title", "1234567"), "\"1234567\"");
    EXPECT_EQ(value("title", ""), "\"\"") << "nothing of the default is left";
    EXPECT_EQ(variable<std::uint64_t>("title"), 0U);
    EXPECT_EQ(value("process", std::int64_t{1}), "1");
    EXPECT_EQ(value("process", std::int64_t{-1}), std::to_string(::getpid())) << "-1 is the host itself";
    EXPECT_EQ(value("cpus", "0,2-4,127"), "\"0,2-4,127\"");
    EXPECT_EQ(value("cpus", ""), "\"\"");
    EXPECT_EQ(value("cpus", "0-127"), "\"0-127\"");
    EXPECT_EQ(value("cgroup", ""), "\"\"");
    const Binding binding = bind({array("weights", {std::int64_t{-32768}, std::int64_t{32767}})}).value();
    EXPECT_EQ(shown(binding, "weights"), "[-32768, 32767, 0]");
    EXPECT_TRUE(binding.values.back().set);
}

TEST_F(OptionsTest, OutOfRangeIsRefused) {
    const struct {
        Setting setting;
        const char* what;
    } cases[] = {
        {set("count", std::int64_t{0}), "count: 0 is out of range: it must be from 1 to 100"},
        {set("count", std::int64_t{101}), "count: 101 is out of range: it must be from 1 to 100"},
        {set("small", std::int64_t{128}), "small: 128 is out of range: it must be from -128 to 127"},
        {set("large", std::int64_t{-1}), "large: -1 is out of range: it must be at least 0"},
        {set("slice", "999ns"), "slice: 999ns is out of range: it must be from 1us to 1s"},
        {set("slice", "2s"), "slice: 2s is out of range: it must be from 1us to 1s"},
        {set("timeout", "31s"), "timeout: 31s is out of range: it must be from 0s to 30s"},
        {set("timeout", "1500us"), "timeout: 1.5ms is not a whole number of ms"},
        {set("room", "2M"), "room: 2MiB is out of range: it must be from 0 to 1MiB"},
        {set("title", "12345678"), "title: the text has 8 bytes, at most 7 fit"},
        {set("title", std::string("a\0b", 3)), "title: the text contains a NUL character"},
        {set("process", std::int64_t{-2}), "process: -2 is out of range: it must be from -1 to 2147483647"},
        {set("cpus", "128"), "cpus: \"128\" is no list of CPUs: the scheduler handles CPUs below 128"},
        {set("cpus", "0-99999999999999999999"),
         "cpus: \"0-99999999999999999999\" is no list of CPUs: a range has no end, or ends before it starts"},
        {set("cpus", "3-1"), "cpus: \"3-1\" is no list of CPUs: a range has no end, or ends before it starts"},
        {set("cpus", "1,,2"), "cpus: \"1,,2\" is no list of CPUs: a number is missing"},
        {set("cpus", "1,"), "cpus: \"1,\" is no list of CPUs: a number is missing after the last ','"},
        {set("cpus", "0-3,"), "cpus: \"0-3,\" is no list of CPUs: a number is missing after the last ','"},
        {set("cpus", ",1"), "cpus: \",1\" is no list of CPUs: a number is missing"},
        {set("cpus", ","), "cpus: \",\" is no list of CPUs: a number is missing"},
        {set("cpus", "1-"), "cpus: \"1-\" is no list of CPUs: a range has no end, or ends before it starts"},
        {set("cpus", "1-,2"), "cpus: \"1-,2\" is no list of CPUs: a range has no end, or ends before it starts"},
        {set("cpus", "-1"), "cpus: \"-1\" is no list of CPUs: a number is missing"},
        {set("cpus", "all"), "cpus: \"all\" is no list of CPUs: a number is missing"},
        {set("cpus", "1 2"), "cpus: \"1 2\" is no list of CPUs: numbers are separated by ','"},
        {set("cgroup", "no/such/cgroup"), "cgroup: there is no cgroup /sys/fs/cgroup/no/such/cgroup"},
        {set("cgroup", "../../../tmp"), "cgroup: \"../../../tmp\" is no name of a cgroup"},
        {set("cgroup", "/sys/fs/cgroup/../../../tmp"),
         "cgroup: \"/sys/fs/cgroup/../../../tmp\" is no name of a cgroup"},
        {set("cgroup", "/sys/fs/cgroupX"), "cgroup: there is no cgroup /sys/fs/cgroup/sys/fs/cgroupX"},
        {array("weights", {std::int64_t{1}, std::int64_t{1}, std::int64_t{1}, std::int64_t{1}}),
         "weights: 4 numbers, at most 3 fit"},
        {array("weights", {std::int64_t{1}, std::int64_t{40000}}),
         "weights[1]: 40000 is out of range: it must be from -32768 to 32767"},
    };
    for (const auto& test : cases) {
        const Error error = refused(test.setting);
        EXPECT_EQ(error.what, test.what);
        ASSERT_TRUE(error.where) << test.what;
        EXPECT_EQ(to_string(*error.where), "x.toml:3:9") << "the place of the value";
    }
}

TEST_F(OptionsTest, WrongTypesAreRefused) {
    const struct {
        Setting setting;
        const char* what;
    } cases[] = {
        {set("flag", std::int64_t{1}), "flag: expected true or false, found the integer 1"},
        {set("count", "10"), "count: expected an integer, found the string \"10\""},
        {set("count", 1.5), "count: expected an integer, found the number 1.5"},
        {set("slice", std::int64_t{20}),
         "slice: expected a duration with its unit, such as \"20ms\", found the integer 20"},
        {set("slice", "20"), "slice: \"20\" is not a duration: the unit is missing"},
        {set("room", true), "room: expected a size, such as \"64KiB\", found true"},
        {set("mode", std::int64_t{7}), "mode: expected a string, found the integer 7"},
        {set("mode", "wlid"), "mode: expected calm or wild, found \"wlid\""},
        {set("title", false), "title: expected a string, found false"},
        {set("cpus", std::int64_t{3}), "cpus: expected a string, found the integer 3"},
        {set("cgroup", std::int64_t{3}), "cgroup: expected a string, found the integer 3"},
        {set("weights", std::int64_t{3}), "weights: expected an array, found the integer 3"},
        {array("weights", {"x"}), "weights[0]: expected an integer, found the string \"x\""},
    };
    for (const auto& test : cases)
        EXPECT_EQ(refused(test.setting).what, test.what);
}

TEST_F(OptionsTest, UnknownKeyHasItsPlaceAndASuggestion) {
    const Error error = refused(set("slise", "1ms"));
    EXPECT_EQ(error.what, "slise: 'zoo' has no such option");
    EXPECT_EQ(error.hint, "did you mean \"slice\"?");
    EXPECT_EQ(to_string(error.where.value()), "x.toml:3:1") << "the place of the key";
    EXPECT_THAT(refused(set("something", "1ms")).hint, HasSubstr("known options: flag, count"));
}

TEST_F(OptionsTest, MembersOfTheStructOps) {
    ASSERT_TRUE(bind({}, {set("timeout_ms", std::int64_t{700}), set("exit_dump_len", std::int64_t{1000}),
                          set("flags", std::int64_t{8})}));
    EXPECT_EQ(object_->ops_member("timeout_ms").value(), 700U) << "what is set by name comes after the options";
    EXPECT_EQ(object_->ops_member("flags").value(), 8U);
    EXPECT_EQ(variable<std::uint32_t>("uei_dump_len"), 1000U);

    const auto error = [&](const Setting& setting) {
        const Result<Binding> binding = bind({}, {setting});
        return binding ? Error{.what = "accepted"} : binding.error();
    };
    EXPECT_EQ(error(set("timeout_ms", std::int64_t{1} << 32)).what,
              "timeout_ms: 4294967296 does not fit into 'timeout_ms', which has 32 bits");
    EXPECT_EQ(error(set("timeout_ms", std::int64_t{-1})).what, "timeout_ms: -1 is out of range: it must be at least 0");
    EXPECT_EQ(error(set("enqueue", std::int64_t{1})).what, "enqueue: this is a callback, and no number");
    for (const char* key : {"name", "timeout", ""}) {
        EXPECT_EQ(error(set(key, std::int64_t{1})).what,
                  std::string(key) + ": the scheduler's sched_ext_ops has no such number");
        EXPECT_EQ(to_string(error(set(key, std::int64_t{1})).where.value()), "x.toml:3:1");
    }
    EXPECT_EQ(error(array("flags", {"ENQ_LAST"})).what, "flags[0]: \"ENQ_LAST\" is no flag of sched_ext_ops");
}

TEST_F(OptionsTest, WhatOnlyTheKernelKnows) {
    BtfBuilder builder;
    btf__add_enum64(builder.btf_, "scx_ops_flags", 8, false);
    btf__add_enum64_value(builder.btf_, "SCX_OPS_ENQ_LAST", 1ULL << 1U);
    btf__add_enum64_value(builder.btf_, "SCX_OPS_SWITCH_PARTIAL", 1ULL << 3U);
    btf__add_enum64_value(builder.btf_, "SCX_SLICE_DFL", 5'000'000);
    const KernelBtf kernel = builder.build();

    const Binding plain = bind({}, {}, &kernel).value();
    EXPECT_EQ(shown(plain, "slice"), "\"5ms\"") << "the kernel's default";
    EXPECT_EQ(object_->ops_member("flags").value(), 0U);

    const Binding binding = bind({set("flag", true), set("slice", "7ms")},
                                 {array("flags", {"SCX_OPS_ENQ_LAST", "SCX_OPS_FUTURE"})}, &kernel)
                                .value();
    EXPECT_EQ(shown(binding, "slice"), "\"7ms\"");
    EXPECT_EQ(object_->ops_member("flags").value(), (1U << 3U) | (1U << 1U));
    EXPECT_THAT(binding.notes, ElementsAre(HasSubstr("this kernel has no SCX_OPS_FUTURE, ignoring")));

    // As on a command line, where nothing says that it is an array.
    for (const char* words : {"SCX_OPS_ENQ_LAST", "SCX_OPS_SWITCH_PARTIAL,SCX_OPS_ENQ_LAST"}) {
        Setting flags = set("flags", words);
        flags.typed = words;
        ASSERT_TRUE(bind({}, {flags}, &kernel)) << words;
        EXPECT_NE(object_->ops_member("flags").value() & (1U << 1U), 0U) << words;
    }
    EXPECT_THAT(bind({}, {set("flags", "SCX_OPS_ENQ_LAST")}, &kernel).error().hint,
                HasSubstr("[\"SCX_OPS_ENQ_LAST\"]"));
    EXPECT_EQ(bind({}, {set("flags", "8")}, &kernel).error().hint, "remove the quotes");
}

TEST_F(OptionsTest, KernelsDefaultOutsideOfTheLimitsIsIgnored) {
    BtfBuilder builder;
    btf__add_enum64(builder.btf_, "scx_public_consts", 8, false);
    btf__add_enum64_value(builder.btf_, "SCX_SLICE_DFL", 2'000'000'000);
    const KernelBtf kernel = builder.build();
    const Binding binding = bind({}, {}, &kernel).value();
    EXPECT_EQ(shown(binding, "slice"), "\"20ms\"") << "the initial value";
    EXPECT_THAT(binding.notes, ElementsAre("this kernel's SCX_SLICE_DFL, \"2s\", is outside of the limits of option "
                                           "'slice', ignoring it"));
}

TEST_F(OptionsTest, DefaultMustKeepToItsOwnLimits) {
    const struct {
        const char* variable;
        std::int64_t value;
        const char* what; // nullptr: accepted
    } cases[] = {
        {"count", 1, nullptr},
        {"count", 100, nullptr},
        {"count", 0, "option 'count': its default 0 is less than what its tag scx.min=1 allows"},
        {"count", 101, "option 'count': its default 101 is more than what its tag scx.max=100 allows"},
        {"slice_ns", 1000, nullptr},
        {"slice_ns", 999, "option 'slice': its default \"999ns\" is less than what its tag scx.min=1us allows"},
        {"slice_ns", -1, "is more than what its tag scx.max=1s allows"},
        {"timeout_ms", 30'000, nullptr},
        {"timeout_ms", 30'001,
         "option 'timeout': its default \"30.001s\" is more than what its tag scx.max=30s allows"},
        {"room", (1 << 20) + 1, "is more than what its tag scx.max=1M allows"},
        {"large", -1, nullptr}, // all ones: no limit is declared
    };
    bind({}).value(); // opens the object, for the variables' places
    for (const auto& test : cases) {
        SCOPED_TRACE(std::string(test.variable) + " " + std::to_string(test.value));
        const VariablePlace place = *object_->btf().find_variable(test.variable);
        Bytes bytes = bytes_;
        std::memcpy(bytes.data() + section_offset(bytes, place.section) + place.offset, &test.value, place.size);
        const auto object = SchedulerObject::open({.name = "zoo", .bytes = bytes, .struct_ops = {}});
        EXPECT_EQ(object.has_value(), test.what == nullptr);
        if (!object && test.what != nullptr) {
            EXPECT_EQ(object.error().kind, ErrorKind::kObject);
            EXPECT_THAT(object.error().what, HasSubstr(test.what));
        }
    }
}

TEST_F(OptionsTest, DescriptionsForHelp) {
    ASSERT_TRUE(bind({}));
    const auto describe = [&](const char* key) {
        return describe_option(*object_->declarations().find_option(key)).value();
    };
    EXPECT_EQ(describe("flag"), "bool");
    EXPECT_EQ(describe("count"), "int, from 1 to 100");
    EXPECT_EQ(describe("timeout"), "duration, at most 30s");
    EXPECT_EQ(describe("mode"), "one of calm or wild");
    EXPECT_EQ(describe("title"), "string, at most 7 bytes");
}

TEST(OptionLimits, DefaultOfAListIsAsLongAsItsLastNumber) {
    OptionDeclaration option;
    option.key = "key";
    option.kind = OptionKind::kIntegers;
    option.storage = {.kind = StorageKind::kIntegers, .width = 2, .count = 3, .is_signed = true, .enumerators = {}};
    option.min = "2";
    const auto check = [&](const std::array<std::int16_t, 3>& values) {
        const Result<> result = check_default(option, std::as_bytes(std::span(values)));
        return result ? "" : result.error().what;
    };
    EXPECT_EQ(check({2, 0, 0}), "");
    EXPECT_EQ(check({0, 0, 0}), "");
    EXPECT_EQ(check({0, 2, 0}), "option 'key': its default [0, 2, 0] is less than what its tag scx.min=2 allows");
    EXPECT_EQ(check({2, 3, -1}), "option 'key': its default [2, 3, -1] is less than what its tag scx.min=2 allows");
}

TEST(OptionLimits, DeclaredLimitsThatAreNoneAreRefused) {
    OptionDeclaration option;
    option.key = "key";
    option.storage = {.kind = StorageKind::kInteger, .width = 4, .count = 1, .is_signed = false, .enumerators = {}};
    option.min = "many";
    EXPECT_THAT(option_limits(option).error().what, HasSubstr("option 'key' declares the limit 'many': "));
    option.min = "7";
    option.max = "6";
    EXPECT_EQ(option_limits(option).error().what, "option 'key' declares limits that exclude each other");
    option.max = "";
    option.kind = OptionKind::kDuration;
    option.unit = "week";
    EXPECT_EQ(option_limits(option).error().what, "option 'key' counts in 'week', which is no unit of time");
}

} // namespace
} // namespace scxhost
