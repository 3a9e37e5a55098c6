// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/statistics_view.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

StatisticDeclaration statistic(std::string name, StatisticKind kind, std::string group = {}) {
    StatisticDeclaration result;
    result.name = std::move(name);
    result.kind = kind;
    result.group = std::move(group);
    result.help = "Help";
    return result;
}

TEST(StatisticsView, CountersHaveRates) {
    const std::vector statistics = {statistic("count", StatisticKind::kCounter),
                                    statistic("depth", StatisticKind::kGauge)};
    StatisticsView view(statistics, false);
    EXPECT_THAT(view.rates({.since_start = 2s, .values = {10, 3}}), ElementsAre(5.0, 0.0)) << "since the start";
    view.remember({.since_start = 2s, .values = {10, 3}});
    EXPECT_THAT(view.rates({.since_start = 2500ms, .values = {20, 5}}), ElementsAre(20.0, 0.0));
    EXPECT_THAT(view.rates({.since_start = 2s, .values = {20, 5}}), ElementsAre(0.0, 0.0)) << "no time has passed";
}

TEST(StatisticsView, CountersMayWrapAround) {
    const std::vector statistics = {statistic("count", StatisticKind::kCounter)};
    StatisticsView view(statistics, false);
    view.remember({.since_start = 1s, .values = {std::numeric_limits<std::int64_t>::max()}});
    EXPECT_THAT(view.rates({.since_start = 2s, .values = {std::numeric_limits<std::int64_t>::min() + 4}}),
                ElementsAre(5.0));
}

TEST(StatisticsView, OneLineASample) {
    const std::vector statistics = {statistic("count", StatisticKind::kCounter),
                                    statistic("depth", StatisticKind::kGauge)};
    StatisticsView view(statistics, false);
    EXPECT_EQ(view.render({.since_start = 2s, .values = {10, 3}}), "    2.0 s  count=10 (5/s)  depth=3\n");
}

TEST(StatisticsView, ALineHasTheFewThatSayMost) {
    std::vector<StatisticDeclaration> statistics;
    Sample sample{.since_start = 1s, .values = {}};
    for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h"}) {
        statistics.push_back(statistic(name, StatisticKind::kGauge));
        sample.values.push_back(1);
    }
    EXPECT_EQ(StatisticsView(statistics, false).render(sample), "    1.0 s  a=1  b=1  c=1  d=1  e=1  f=1\n")
        << "nothing is declared: the first ones";
    statistics[1].key = true;
    statistics[7].key = true;
    EXPECT_EQ(StatisticsView(statistics, false).render(sample), "    1.0 s  b=1  h=1\n");
    EXPECT_THAT(StatisticsView(statistics, true).render(sample), HasSubstr("\ng ")) << "the table has all";
}

// A number without a sign that nobody declared passes for a counter, and may be none.
TEST(StatisticsView, WhatGoesDownHasNoRate) {
    const std::vector statistics = {statistic("level", StatisticKind::kCounter)};
    for (const bool as_table : {false, true}) {
        StatisticsView view(statistics, as_table);
        view.remember({.since_start = 1s, .values = {10}});
        EXPECT_THAT(view.render({.since_start = 2s, .values = {4}}), Not(HasSubstr("-6")));
    }
}

TEST(StatisticsView, ATableOnATerminal) {
    const std::vector statistics = {statistic("count", StatisticKind::kCounter, "queue"),
                                    statistic("depth", StatisticKind::kGauge, "queue")};
    StatisticsView view(statistics, true);
    const std::string first = view.render({.since_start = 1s, .values = {1234, 3}});
    EXPECT_THAT(first, Not(HasSubstr("\033[")));
    EXPECT_THAT(
        first,
        HasSubstr("queue\n  count         1 234  1 234        Help\n  depth                    3        Help\n"));
}

TEST(StatisticsView, NothingToShow) {
    const std::vector<StatisticDeclaration> none;
    EXPECT_EQ(StatisticsView(none, false).render({.since_start = 1s, .values = {}}), "");
}

TEST(StatisticsView, TextsOfTheObjectDoNotDriveTheTerminal) {
    std::vector statistics = {statistic("co\033[2Junt", StatisticKind::kCounter)};
    statistics[0].help = "\033]0;title\a";
    for (const bool in_place : {false, true}) {
        StatisticsView view(statistics, in_place);
        EXPECT_THAT(view.render({.since_start = 1s, .values = {1}}), Not(HasSubstr("\033")));
    }
}

} // namespace
} // namespace scxhost
