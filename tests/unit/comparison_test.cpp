// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/compare.hpp"
#include "host/compare/comparison.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <set>

namespace scxhost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<Contender> contenders(const std::vector<std::string>& words) {
    return parse_contenders(words).value();
}

TEST(Contenders, AreNamedAsInSwap) {
    const auto all =
        contenders({"kernel", "simple", "simple@/etc/fast.toml", "/a/b.toml", "x.bpf.o", "/usr/bin/scx_lavd"});
    EXPECT_TRUE(all[0].what.empty());
    EXPECT_EQ(all[1].what, "simple");
    EXPECT_EQ(all[2].what, "/etc/fast.toml");
    EXPECT_EQ(all[2].expected, "simple");
    EXPECT_EQ(all[2].label, "simple@/etc/fast.toml");
    EXPECT_EQ(all[3].what, "/a/b.toml");
    EXPECT_TRUE(all[4].what.starts_with("/") && all[4].what.ends_with("/x.bpf.o"));
    EXPECT_FALSE(all[4].is_program);
    EXPECT_TRUE(all[5].is_program);
    EXPECT_EQ(selection_params(all[5], {}), nlohmann::json({{"program", "/usr/bin/scx_lavd"}}));
    EXPECT_EQ(selection_params(all[1], std::vector<std::string>{"/p"}),
              nlohmann::json({{"what", "simple"}, {"plugin_dirs", {"/p"}}}));
}

TEST(Contenders, WhatIsNoComparison) {
    for (const auto& [words, what] :
         std::vector<std::pair<std::vector<std::string>, std::string>>{{{"simple"}, "two schedulers at least"},
                                                                       {{"simple", "simple"}, "named twice"},
                                                                       {{"kernel", "@x.toml"}, "no scheduler's name"},
                                                                       {{"kernel", ""}, "is empty"}}) {
        const auto parsed = parse_contenders(words);
        ASSERT_FALSE(parsed) << what;
        EXPECT_EQ(parsed.error().kind, ErrorKind::kUsage);
        EXPECT_THAT(parsed.error().what, HasSubstr(what));
    }
}

TEST(OrderOfRound, EachHasEachPlaceOnce) {
    EXPECT_THAT(order_of_round(0, 3), ElementsAre(0, 1, 2));
    EXPECT_THAT(order_of_round(1, 3), ElementsAre(2, 0, 1));
    EXPECT_THAT(order_of_round(2, 3), ElementsAre(1, 2, 0));
    EXPECT_THAT(order_of_round(3, 3), ElementsAre(0, 1, 2));
    for (std::size_t place = 0; place < 4; ++place) {
        std::set<std::size_t> seen;
        for (std::size_t round = 0; round < 4; ++round)
            seen.insert(order_of_round(round, 4)[place]);
        EXPECT_EQ(seen.size(), 4U);
    }
}

TEST(Metric, IsTheLastNumberThatMatches) {
    ComparisonPlan plan;
    plan.metric.emplace("score: ([0-9.]+)");
    plan.metric_text = "score: ([0-9.]+)";
    const auto found = figures_of_output(plan, "score: 1\nscore: 2.5 points\nthe end\n");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->at(0).value, 2.5);
    const auto none = figures_of_output(plan, "no score\n");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind, ErrorKind::kUsage);
    EXPECT_EQ(none.error().detail, "no score\n");
    plan.metric.emplace("[0-9]+ ms");
    EXPECT_EQ(figures_of_output(plan, "took 17 ms")->at(0).value, 17) << "all of it, without a group";
}

ComparisonRun run(std::size_t round, std::size_t contender, double late, double jobs) {
    return {.round = round,
            .contender = contender,
            .figures = {{.name = "late", .unit = "ms", .better = Better::kLower, .value = late},
                        {.name = "jobs", .unit = "1/s", .better = Better::kHigher, .value = jobs},
                        {.name = "switches", .unit = "", .better = Better::kUnknown, .value = late}},
            .failure = {}};
}

TEST(SumUp, SaysWhichIsBetterAndOnlyIfChanceDoesNot) {
    Comparison comparison;
    for (std::size_t round = 0; round < 4; ++round) {
        const auto n = static_cast<double>(round);
        comparison.runs.push_back(run(round, 0, 40 + n, 100 + n));
        comparison.runs.push_back(run(round, 1, 10 + n, 200 + n));
        comparison.runs.push_back(run(round, 2, 40 + n, 20 + n));
    }
    comparison.runs.push_back({.round = 4, .contender = 1, .figures = {}, .failure = Error{.what = "ejected"}});
    const auto figures = sum_up(comparison, 3);
    ASSERT_EQ(figures.size(), 3U);
    EXPECT_EQ(figures[0].name, "late");
    EXPECT_EQ(figures[0].of[0].verdict, Verdict::kNone);
    EXPECT_EQ(figures[0].of[1].verdict, Verdict::kBetter);
    EXPECT_EQ(figures[0].of[1].samples.size(), 4U) << "a run that is void has none";
    EXPECT_NEAR(*figures[0].of[1].ratio, 11.5 / 41.5, 1e-12);
    EXPECT_EQ(figures[0].of[2].verdict, Verdict::kNoDifference);
    EXPECT_EQ(figures[1].of[1].verdict, Verdict::kBetter);
    EXPECT_EQ(figures[1].of[2].verdict, Verdict::kWorse);
    EXPECT_EQ(figures[2].of[1].verdict, Verdict::kDiffers);

    ComparisonPlan plan;
    plan.contenders = contenders({"kernel", "simple", "qmap"});
    plan.rounds = 5;
    const nlohmann::json document = to_json(plan, comparison, figures, "7.3.4");
    EXPECT_EQ(document["figures"][0]["schedulers"][1]["verdict"], "better");
    EXPECT_EQ(document["runs"].back()["error"]["message"], "ejected");
    EXPECT_FALSE(document["runs"].back().contains("figures"));
    const std::string table = comparison_table(plan, figures, false);
    EXPECT_THAT(table, HasSubstr("late, ms   41.5 ±0.750  11.5 ±0.750  x0.28 better "));
    EXPECT_THAT(table, HasSubstr("x1.00 no difference seen"));
    Comparison idle;
    for (std::size_t contender = 0; contender < 3; ++contender)
        idle.runs.push_back(run(0, contender, 0, 7));
    EXPECT_THAT(comparison_table(plan, sum_up(idle, 3), false), testing::Not(HasSubstr("late"))) << "0 everywhere";
}

TEST(Page, IsWholeAndHarmless) {
    Comparison comparison;
    for (std::size_t round = 0; round < 4; ++round) {
        comparison.runs.push_back(run(round, 0, 40, 1));
        comparison.runs.push_back(run(round, 1, 10, 1));
    }
    comparison.runs.push_back({.round = 4, .contender = 1, .figures = {}, .failure = Error{.what = "ejected & gone"}});
    ComparisonPlan plan;
    plan.contenders = contenders({"kernel", "simple"});
    plan.contenders[1].label = "<script>\"x\"";
    plan.workload = "a <b>";
    const std::string page = comparison_page(plan, comparison, sum_up(comparison, 2), "7.3.4", "2026-01-01T00:00:00Z");
    EXPECT_TRUE(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    EXPECT_THAT(page, HasSubstr("&lt;script&gt;&quot;x&quot;"));
    EXPECT_THAT(page, HasSubstr("ejected &amp; gone"));
    EXPECT_THAT(page, HasSubstr("width=device-width"));
    for (const char* outside : {"<script", "http:", "https:", "src=", "url(", "@import", "<b>\""})
        EXPECT_THAT(page, testing::Not(HasSubstr(outside))) << "it needs nothing from elsewhere";
    std::size_t dots = 0;
    for (std::size_t at = 0; (at = page.find("<circle", at)) != std::string::npos; ++at)
        ++dots;
    EXPECT_EQ(dots, 3 * 8U) << "one for each run and figure";
}

// Three rounds cannot tell, however far apart the figures are.
TEST(SumUp, FewRoundsSayNothing) {
    Comparison comparison;
    for (std::size_t round = 0; round < 3; ++round) {
        comparison.runs.push_back(run(round, 0, 1, 1));
        comparison.runs.push_back(run(round, 1, 1000, 1000));
    }
    for (const ComparedFigure& figure : sum_up(comparison, 2))
        EXPECT_EQ(figure.of[1].verdict, Verdict::kNoDifference) << figure.name;
}

} // namespace
} // namespace scxhost
