// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/scx_stats.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string answer(const std::string& response, int error = 0) {
    return fmt::format(R"({{"errno":{},"args":{{"resp":{}}}}})", error, response);
}

// "name=value", in order.
std::vector<std::string> numbers(const std::string& response, const ScxStatsMeta& meta = {}) {
    const auto stats = parse_scx_stats(answer(response), meta);
    EXPECT_TRUE(stats) << stats.error().what;
    std::vector<std::string> result;
    for (const ScxStat& stat : stats.value_or(std::vector<ScxStat>()))
        result.push_back(fmt::format("{}={}", stat.name, stat.value));
    return result;
}

TEST(ScxStatsTest, NumbersOfEveryForm) {
    EXPECT_THAT(numbers(R"({"a":1,"b":-2,"c":{"d":3,"e":{"f":4}},"g":[5,[6],{"h":7}]})"),
                ElementsAre("a=1", "b=-2", "c.d=3", "c.e.f=4", "g[0]=5", "g[1][0]=6", "g[2].h=7"));
    EXPECT_THAT(numbers(R"({"text":"1","truth":true,"nothing":null,"empty":{},"none":[]})"), IsEmpty());
    EXPECT_THAT(numbers("[1]"), IsEmpty()) << "statistics have names";
}

TEST(ScxStatsTest, FloatsAreThousandths) {
    EXPECT_THAT(numbers(R"({"a":0.5,"b":-1.2345,"c":1e300,"d":-1e300})"),
                ElementsAre("a=500", "b=-1235", "c=9223372036854775807", "d=-9223372036854775808"));
    EXPECT_THAT(numbers(R"({"a":18446744073709551615})"), ElementsAre("a=9223372036854775807"));
    EXPECT_TRUE(parse_scx_stats(answer(R"({"a":0.5})"), {})->front().is_float);
    EXPECT_FALSE(parse_scx_stats(answer(R"({"a":5})"), {})->front().is_float);
}

// As scx_layered has it: structs, in dictionaries too.
constexpr const char* kMeta = R"({
  "System":{"name":"System","top":"true","desc":"all","fields":{
    "at":{"datum":"u64","desc":"time of the answer"},
    "util":{"datum":"float","desc":"of all CPUs"},
    "bits":{"array":"u64","desc":"words"},
    "layers":{"dict":{"key":"string","datum":{"struct":"Layer"}},"desc":"by name"},
    "main":{"datum":{"struct":"Layer"}}}},
  "Layer":{"name":"Layer","fields":{"tasks":{"datum":"u64","desc":"tasks in it"}}}})";

TEST(ScxStatsTest, DescriptionsAreFound) {
    const auto meta = ScxStatsMeta::parse(answer(kMeta));
    ASSERT_TRUE(meta);
    const auto stats =
        parse_scx_stats(answer(R"({"at":1,"util":2,"bits":[3],"layers":{"batch":{"tasks":4},"at":{"tasks":5,"other":6}},
                   "main":{"tasks":7},"unknown":8})"),
                        *meta);
    ASSERT_TRUE(stats);
    EXPECT_THAT(*stats, ElementsAre(ScxStat{"at", "time of the answer", false, 1},
                                    ScxStat{"bits[0]", "words", false, 3}, ScxStat{"layers.at.other", "", false, 6},
                                    ScxStat{"layers.at.tasks", "tasks in it", false, 5},
                                    ScxStat{"layers.batch.tasks", "tasks in it", false, 4},
                                    ScxStat{"main.tasks", "tasks in it", false, 7}, ScxStat{"unknown", "", false, 8},
                                    ScxStat{"util", "of all CPUs", true, 2000}));
}

TEST(ScxStatsTest, ForeignNamesAreMadePrintable) {
    EXPECT_THAT(numbers("{\"a\\u001b[2J\\u009b\":1}"), ElementsAre("a?[2J?"
                                                                   "?=1"));
    const std::string name(200, 'a');
    EXPECT_THAT(numbers(fmt::format(R"({{"b":{{"{}":1}},"c":2}})", name)), ElementsAre("c=2"));
}

TEST(ScxStatsTest, WhatIsNoAnswer) {
    const std::string too_deep = std::string(100000, '[') + std::string(100000, ']');
    std::string many = "[";
    for (std::size_t i = 0; i <= kMaxScxStats; ++i)
        many += "1,";
    many += "1]";
    const std::pair<std::string, const char*> cases[] = {
        {"", "is no answer of the scx_stats protocol"},
        {"{", "is no answer of the scx_stats protocol"},
        {"[]", "is no answer of the scx_stats protocol"},
        {"{}", "is no answer of the scx_stats protocol"},
        {R"({"errno":"0","args":{"resp":{}}})", "is no answer of the scx_stats protocol"},
        {R"({"errno":0,"args":{}})", "is no answer of the scx_stats protocol"},
        {R"({"errno":0,"args":[]})", "is no answer of the scx_stats protocol"},
        {answer("1e999"), "is no answer of the scx_stats protocol"},
        {answer(too_deep), "is no answer of the scx_stats protocol"},
        {answer("\"unknown \\u001bcommand\"", 22), "answered with error 22: unknown ?command"},
        {answer(fmt::format(R"({{"a":{}}})", many)), "more than 4096 numbers"},
    };
    for (const auto& [line, message] : cases) {
        const auto stats = parse_scx_stats(line, {});
        ASSERT_FALSE(stats) << line.substr(0, 80);
        EXPECT_THAT(stats.error().what, HasSubstr(message));
    }
    EXPECT_FALSE(ScxStatsMeta::parse("{}"));
}

TEST(ScxStatsTest, DescriptionsThatAreNone) {
    for (const char* response : {"1", "[]", R"({"A":1})", R"({"A":{"fields":[]}})", R"({"A":{"fields":{"b":1}}})",
                                 R"({"A":{"top":1,"fields":{"b":{"datum":[],"dict":1,"desc":2}}}})",
                                 R"({"A":{"top":1,"fields":{"b":{"dict":{"datum":{"struct":"A"}}}}}})"}) {
        const auto meta = ScxStatsMeta::parse(answer(response));
        ASSERT_TRUE(meta) << response;
        EXPECT_THAT(numbers(R"({"b":{"b":{"b":1}}})", *meta), ElementsAre("b.b.b=1")) << response;
    }
}

} // namespace
} // namespace scxhost
