// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/metrics.hpp"
#include "tests/support/places.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace scxhost {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json statistic(const char* name, const char* kind, std::int64_t value, const char* unit, const char* help = "Help") {
    return {{"name", name}, {"kind", kind}, {"value", value}, {"unit", unit}, {"group", ""}, {"help", help}};
}

// As a host answers, with texts that mean something in the formats.
json answer() {
    return {{"uptime_seconds", 12.5},
            {"swaps", {{"good", 3}, {"refused", 0}}},
            {"gaps", {{"count", 2}, {"seconds", 0.25}}},
            {"failures", 1},
            {"kernel_events", {{"SCX_EV_REFILL_SLICE_DFL", 7}}},
            {"status",
             {{"version", "0.1.0"},
              {"phase", "good"},
              {"agrees", true},
              {"quarantine", {1}},
              {"recent_failures", 1},
              {"kernel", {{"release", "7.3.4"}, {"ops", "qmap_2f6d"}}},
              {"scheduler",
               {{"name", "a \"b\" \\\nc"}, {"title", "a 1"}, {"running_seconds", 2.5}, {"plugin_hangs", nullptr}}}}},
            {"stats",
             {{"statistics",
               {statistic("nr_queued", "counter", 5, "", "Tasks that \"wait\"\nor \\"),
                statistic("wait_ns", "counter", 1500000000, "ns"), statistic("pool.size", "gauge", 4, "KiB"),
                statistic("pool_size", "gauge", -4, "KiB"), statistic("depth_count", "gauge", -3, "tasks"),
                statistic("nrKept_total", "counter", -1, ""), statistic("busy", "gauge", 50, "%"),
                statistic("nr_kept", "counter", 0, "", ""), statistic("latency", "gauge", 3, "µs"),
                statistic("speed", "gauge", 6, "tasks/s"), statistic("nrkept", "gauge", 2, "")}}}}};
}

// The same with two branches: one with a scheduler of the same name, whose statistics have the same names but other
// types or units, and one that waits.
json tree_answer() {
    json all = answer();
    all["status"]["seat"] = "machine";
    const json runs = {
        {"swaps", {{"good", 1}}},
        {"gaps", {{"count", 4}, {"seconds", 0.5}}},
        {"failures", 2},
        {"kernel_events", {{"SCX_EV_REFILL_SLICE_DFL", 9}}},
        {"status",
         {{"seat", "games"},
          {"above", "machine"},
          {"cgroup", "/games \"1\""},
          {"tasks", 3},
          {"cpus", 2},
          {"phase", "probation"},
          {"agrees", true},
          {"quarantine", json::array()},
          {"recent_failures", 0},
          {"away", {{"count", 3}, {"seconds", 1.5}, {"longest_seconds", 0.75}}},
          {"kernel", {{"ops", "other_1"}}},
          {"scheduler", {{"name", "q"}, {"title", "q 2"}, {"running_seconds", 1.5}, {"plugin_hangs", nullptr}}}}},
        {"stats",
         {{"statistics",
           {statistic("nr_queued", "counter", 6, "", "Said otherwise"), statistic("wait_us", "counter", 2000000, "us"),
            statistic("busy", "counter", 7, "%"), statistic("nrkept", "counter", 8, ""),
            statistic("own", "gauge", 9, "")}}}}};
    const json waits = {{"status",
                         {{"seat", "work"},
                          {"above", "machine"},
                          {"cgroup", "/work"},
                          {"tasks", nullptr},
                          {"cpus", nullptr},
                          {"phase", "waiting"},
                          {"agrees", true},
                          {"kernel", {{"ops", nullptr}}},
                          {"scheduler", nullptr}}},
                        {"stats", nullptr},
                        {"kernel_events", nullptr}};
    all["below"] = {runs, waits};
    return all;
}

// What the reference reader of the format says against it.
std::string findings(const std::string& text, const std::string& format) {
    const TempDir dir;
    const std::filesystem::path file = dir.write("metrics", text);
    const std::filesystem::path said = dir.path() / "said";
    const std::string command = std::string(kSourceDir) + "/tests/tools/check_metrics " + format + " < " +
                                file.string() + " > " + said.string() + " 2>&1";
    if (std::system(command.c_str()) == 0) // NOLINT(concurrency-mt-unsafe): no other thread is here
        return "";
    std::ostringstream text_said;
    text_said << "it failed: " << std::ifstream(said).rdbuf();
    return text_said.str();
}

TEST(Metrics, ReferenceReadersHaveNothingToSay) {
    for (const json& one : {answer(), tree_answer()}) {
        const std::string open = metrics_text(one, MetricsFormat::kOpenMetrics);
        EXPECT_EQ(findings(open, "openmetrics"), "") << open;
        const std::string older = metrics_text(one, MetricsFormat::kPrometheus);
        EXPECT_EQ(findings(older, "prometheus"), "") << older;
        // They do look.
        EXPECT_NE(findings(older, "openmetrics"), "");
    }
    EXPECT_NE(findings("# TYPE a counter\na 1\n", "prometheus"), "");
}

TEST(Metrics, OpenMetrics) {
    const std::string text = metrics_text(answer(), MetricsFormat::kOpenMetrics);
    for (const char* lines : {
             "# TYPE scxhost_build info\nscxhost_build_info{version=\"0.1.0\",kernel=\"7.3.4\"} 1\n",
             "# TYPE scxhost_uptime_seconds gauge\n# UNIT scxhost_uptime_seconds seconds\nscxhost_uptime_seconds "
             "12.5\n",
             "# TYPE scxhost_phase stateset\nscxhost_phase{seat=\"machine\",scxhost_phase=\"empty\"} 0\n",
             "scxhost_phase{seat=\"machine\",scxhost_phase=\"good\"} 1\n",
             "# TYPE scxhost_swaps counter\nscxhost_swaps_total{seat=\"machine\",outcome=\"good\"} 3\n",
             "scxhost_swap_gap_seconds_count{seat=\"machine\"} 2\nscxhost_swap_gap_seconds_sum{seat=\"machine\"} "
             "0.25\n",
             "scxhost_kernel_events_total{seat=\"machine\",scheduler=\"a \\\"b\\\" "
             "\\\\\\nc\",event=\"SCX_EV_REFILL_SLICE_DFL\"} 7\n",
             "# HELP scxhost_stats_nr_queued Tasks that \\\"wait\\\"\\nor \\\\\n",
             "\n# EOF\n",
         })
        EXPECT_THAT(text, HasSubstr(lines));
}

TEST(Metrics, ThePrometheusFormatHasFewerTypes) {
    const std::string text = metrics_text(answer(), MetricsFormat::kPrometheus);
    EXPECT_THAT(text, HasSubstr("# TYPE scxhost_build_info gauge\n"));
    EXPECT_THAT(text, HasSubstr("# TYPE scxhost_phase gauge\n"));
    EXPECT_THAT(text, HasSubstr("# TYPE scxhost_swaps_total counter\n"));
    EXPECT_THAT(text, HasSubstr("# HELP scxhost_stats_nr_queued_total Tasks that \"wait\"\\nor \\\\\n"));
    EXPECT_THAT(text, Not(HasSubstr("# UNIT")));
    EXPECT_THAT(text, Not(HasSubstr("# EOF")));
}

TEST(Metrics, StatisticsAreInBaseUnitsAndEachHasAName) {
    json answer_now = answer();
    answer_now["status"]["scheduler"]["name"] = "p";
    const std::string text = metrics_text(answer_now, MetricsFormat::kOpenMetrics);
    for (const char* line : {
             "scxhost_stats_nr_queued_total{seat=\"machine\",scheduler=\"p\"} 5\n",
             "scxhost_stats_wait_seconds_total{seat=\"machine\",scheduler=\"p\"} 1.5\n",
             "scxhost_stats_pool_size_bytes{seat=\"machine\",scheduler=\"p\"} 4096\n",
             "scxhost_stats_pool_size_2_bytes{seat=\"machine\",scheduler=\"p\"} -4096\n",
             "scxhost_stats_depth_tasks{seat=\"machine\",scheduler=\"p\"} -3\n",
             "scxhost_stats_nrkept_total{seat=\"machine\",scheduler=\"p\"} 18446744073709551615\n",
             "scxhost_stats_busy_ratio{seat=\"machine\",scheduler=\"p\"} 0.5\n",
             "# HELP scxhost_stats_nr_kept What the scheduler has in nr_kept\n",
             "scxhost_stats_latency_seconds{seat=\"machine\",scheduler=\"p\"} 3e-06\n",
             "scxhost_stats_speed{seat=\"machine\",scheduler=\"p\"} 6\n",
             "scxhost_stats_nrkept_2{seat=\"machine\",scheduler=\"p\"} 2\n",
         })
        EXPECT_THAT(text, HasSubstr(std::string("\n") + line));
}

TEST(Metrics, EachSeatHasItsRows) {
    json all = tree_answer();
    all["status"]["scheduler"]["name"] = "p";
    const std::string text = metrics_text(all, MetricsFormat::kOpenMetrics);
    for (const char* lines : {
             "scxhost_branch_info{seat=\"games\",above=\"machine\",cgroup=\"/games \\\"1\\\"\"} 1\n"
             "scxhost_branch_info{seat=\"work\",above=\"machine\",cgroup=\"/work\"} 1\n",
             "# TYPE scxhost_branch_tasks gauge\nscxhost_branch_tasks{seat=\"games\"} 3\n# HELP", // of work not known
             "# TYPE scxhost_branch_cpus gauge\nscxhost_branch_cpus{seat=\"games\"} 2\n# HELP",
             "scxhost_phase{seat=\"machine\",scxhost_phase=\"good\"} 1\n",
             "scxhost_phase{seat=\"games\",scxhost_phase=\"probation\"} 1\n",
             "scxhost_phase{seat=\"work\",scxhost_phase=\"waiting\"} 1\n",
             "scxhost_swaps_total{seat=\"games\",outcome=\"good\"} 1\n",
             "scxhost_failures_total{seat=\"games\"} 2\n",
             "scxhost_away_seconds_count{seat=\"games\"} 3\nscxhost_away_seconds_sum{seat=\"games\"} 1.5\n",
             "scxhost_away_longest_seconds{seat=\"games\"} 0.75\n",
             "scxhost_scheduler_info{seat=\"games\",scheduler=\"q\",title=\"q 2\"} 1\n",
             "scxhost_kernel_events_total{seat=\"games\",scheduler=\"q\",event=\"SCX_EV_REFILL_SLICE_DFL\"} 9\n",
             // The same statistic, also where a scheduler counts it in another unit.
             "scxhost_stats_nr_queued_total{seat=\"machine\",scheduler=\"p\"} 5\n"
             "scxhost_stats_nr_queued_total{seat=\"games\",scheduler=\"q\"} 6\n",
             "scxhost_stats_wait_seconds_total{seat=\"machine\",scheduler=\"p\"} 1.5\n"
             "scxhost_stats_wait_seconds_total{seat=\"games\",scheduler=\"q\"} 2\n",
             // Of another type.
             "scxhost_stats_busy_ratio{seat=\"machine\",scheduler=\"p\"} 0.5\n",
             "scxhost_stats_busy_2_ratio_total{seat=\"games\",scheduler=\"q\"} 0.07\n",
             "scxhost_stats_nrkept_total{seat=\"games\",scheduler=\"q\"} 8\n",
             "scxhost_stats_own{seat=\"games\",scheduler=\"q\"} 9\n",
         })
        EXPECT_THAT(text, HasSubstr(lines));
    EXPECT_THAT(text, Not(HasSubstr("Said otherwise"))) << "a metric is described once";
    EXPECT_THAT(text, Not(HasSubstr("running_seconds{seat=\"work\"")));
}

TEST(Metrics, WhatIsNotSaidIsLeftOut) {
    const json nothing_runs = {{"status", {{"scheduler", nullptr}, {"phase", "empty"}}}, {"stats", nullptr}};
    for (const json& answer : {nothing_runs, json(nullptr), json({{"status", 3}, {"stats", {{"statistics", {1}}}}})}) {
        const std::string text = metrics_text(answer, MetricsFormat::kOpenMetrics);
        EXPECT_EQ(findings(text, "openmetrics"), "") << text;
        EXPECT_THAT(text, Not(HasSubstr("scheduler_running")));
        EXPECT_THAT(text, Not(HasSubstr("scxhost_branch")));
    }
}

TEST(Metrics, FormatsHaveNames) {
    EXPECT_EQ(metrics_format("openmetrics"), MetricsFormat::kOpenMetrics);
    EXPECT_EQ(metrics_format("prometheus"), MetricsFormat::kPrometheus);
    EXPECT_EQ(metrics_format("Prometheus"), std::nullopt);
}

} // namespace
} // namespace scxhost
